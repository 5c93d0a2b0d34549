"""Freeze a recipe into a virtual store: metadata, coordinates, bundle and sizes, but no chunk."""

from pathlib import Path

from nmcdist.bundle import Bundle, save_bundle
from nmcdist.datasets.files import write_text
from nmcdist.datasets.integrity import write_manifest
from nmcdist.datasets.writing import consolidate, create_store, write_coordinates
from nmcdist.errors import StoreError
from nmcdist.inputs import empty_folder
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import kind_of
from nmcdist.products.virtual import BUNDLE_FOLDER
from nmcdist.virtual.description import DESCRIPTION, Description
from nmcdist.virtual.making import Maker


def freeze(recipe: BaseRecipe, bundle: Bundle, folder: Path) -> None:
    """Write a virtual store.

    Parameters
    ----------
    recipe : BaseRecipe
    bundle : Bundle
        The bundle of the recipe.
    folder : Path
        The store itself, for example ``NAME.zarr``: a new or empty folder.

    Raises
    ------
    RecipeError
        If the recipe describes what a virtual store cannot hold.
    InputError
        If the kind of the recipe has no virtual stores.
    BundleError
        If the bundle does not support the recipe.
    StoreError
        If the folder holds something, or cannot be written.
    """
    folder = empty_folder(folder, StoreError)
    kind = kind_of(recipe)
    description = Description.of(recipe, bundle, kind.freeze(recipe, bundle))
    plan = kind.virtual_plan(recipe, bundle, description.frozen)
    layout = plan.layout()
    try:
        create_store(folder, layout)
        write_coordinates(folder, layout, compact=True)
        consolidate(folder)
        save_bundle(bundle, folder / BUNDLE_FOLDER)
        witnesses = Maker(folder, recipe, bundle, plan).witnesses()
        write_text(folder / DESCRIPTION, description.model_copy(update={"witnesses": witnesses}).text)
        write_manifest(folder, {})
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{folder}: cannot be written ({error.strerror or error})") from error
