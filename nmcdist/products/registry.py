"""The registry of kinds of datasets, and the functions that depend on the kind: recipes, plans, stores.

To add a kind, write a module that calls :func:`register`, and name it in an entry point of the group
``nmcdist.kinds`` or in the environment variable ``NMCDIST_KINDS`` (several: separated by commas). Names in recipes and
stores are never imported.
"""

import difflib
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nmcdist.bundle import Bundle, list_bundles, load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine, this_machine
from nmcdist.datasets.store import read_attributes, read_origin
from nmcdist.errors import InputError, RecipeError, StoreError
from nmcdist.faults import fault_lines, proposal
from nmcdist.inputs import local_path
from nmcdist.plugins import import_plugins
from nmcdist.products.kind import Effort, Kind, Site
from nmcdist.products.plan import Plan
from nmcdist.products.recipe import BaseRecipe
from nmcdist.wording import shown
from nmcdist.yaml_text import load_yaml

KINDS_VARIABLE = "NMCDIST_KINDS"
ENTRY_POINTS = "nmcdist.kinds"
_BUILT_IN = (
    "nmcdist.products.particles.kind",
    "nmcdist.products.volumes.additive",
    "nmcdist.products.campaigns.kind",
    "nmcdist.products.baselines.kinds",
    "nmcdist.products.baselines.comparison",
    "nmcdist.products.refined.kind",
)
_COMMON = "volumes"  # kind of recipes without a deciding field

RecipeLike = str | Path | Mapping[str, Any] | BaseRecipe

_TRAINED = ("segmenter", "superres", "surrogate")  # kinds of recipes of `nmcdist train`
_OF_OTHERS = f"; for a kind of your own, name its module in ${KINDS_VARIABLE}"
_NAME = re.compile("[a-z0-9][a-z0-9-]*")
_known: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Add a kind of dataset; it replaces an earlier definition of it in the same module.

    Importing the same file under another name changes nothing.

    Raises
    ------
    InputError
        If another kind has this name.
    """
    _check(kind)
    before = _known.get(kind.name)
    if before is not None and type(before).__qualname__ != type(kind).__qualname__:
        raise InputError(f"kind {kind.name!r}: is already registered, by {type(before).__module__}")
    if before is None or type(before).__module__ == type(kind).__module__:  # otherwise the same file was imported again
        _known[kind.name] = kind


def _check(kind: Any) -> None:
    """Refuse a kind that no recipe could name, or that lacks a required attribute."""
    if not isinstance(kind, Kind):
        raise InputError(f"kind: found {shown(kind)}, expected an object of a subclass of Kind")
    name, model = getattr(kind, "name", None), getattr(kind, "recipe", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"kind: name: found {shown(name)}, expected small letters, digits and hyphens")
    if not (isinstance(model, type) and issubclass(model, BaseRecipe)):
        raise InputError(f"kind {name!r}: recipe: found {shown(model)}, expected a subclass of BaseRecipe")
    if model.model_fields["kind"].default != name:
        found = shown(model.model_fields["kind"].default)
        raise InputError(f"kind {name!r}: recipe: its field kind has the default {found}, expected {name!r}")
    if fault := kind.fault():
        raise InputError(f"kind {name!r}: {fault}")


def kinds() -> Mapping[str, Kind]:
    """Return all kinds by name: built-in kinds and those of the user's modules.

    Raises
    ------
    InputError
        If a module in the environment variable or an entry point cannot be imported.
    """
    for module in _BUILT_IN:
        import_module(module)
    import_plugins(ENTRY_POINTS, KINDS_VARIABLE)
    return _known


def kind_of(recipe: BaseRecipe) -> Kind:
    """Return the kind of a recipe."""
    return kinds()[recipe.kind]


def kind_of_store(store: Path) -> Kind:
    """Return the kind of a store.

    Raises
    ------
    StoreError
        If there is no store, its metadata is damaged, its format is unsupported, or its kind is unknown.
    """
    said, (content, _) = read_attributes(store).get("kind"), read_origin(store)
    return kind_of_content(said, content, store)


def kind_of_content(said: Any, recipe: Mapping[str, Any], where: Any) -> Kind:
    """Return the kind that the attributes of a dataset name, or the fields of its recipe imply if they name none.

    Raises
    ------
    StoreError
        If it is unknown; the message begins with `where`.
    """
    name = _inferred(recipe) if said is None else said
    if name not in list(kinds()):
        raise StoreError(f"{where}: is of kind {shown(name)}, expected one of {', '.join(kinds())}{_OF_OTHERS}")
    return kinds()[name]


def recipe_of_store(store: Path) -> BaseRecipe:
    """Return the recipe from which a store was made.

    Raises
    ------
    StoreError
        As :func:`kind_of_store`, or if this version cannot read the recipe.
    """
    kind, (content, _) = kind_of_store(store), read_origin(store)
    try:
        return parsed_recipe({**content, "kind": kind.name}, "recipe")
    except RecipeError as error:
        raise StoreError(f"{store}: attribute recipe: {str(error).splitlines()[0]}") from None


def loaded_recipe(recipe: RecipeLike) -> tuple[BaseRecipe, Bundle, str]:
    """Return a recipe, its bundle, and the name of its file (empty if there is none).

    Parameters
    ----------
    recipe : str, Path, Mapping or BaseRecipe
        A recipe file, or its content. Bundle paths are relative to the file, or else to the current folder.

    Raises
    ------
    BundleError, RecipeError
        If one of them cannot be read.
    """
    if isinstance(recipe, str | Path):
        loaded, folder, where = load_recipe(recipe), local_path(recipe).parent, str(recipe)
    else:
        loaded, folder, where = parsed_recipe(recipe, "recipe"), Path(), ""
    return loaded, recipe_bundle(loaded, folder), where


def load_recipe(path: str | Path) -> BaseRecipe:
    """Read a recipe file; a relative bundle path in it is relative to its folder.

    Raises
    ------
    RecipeError
        If it cannot be read; otherwise one line per error, with the field's path.
    """
    return parsed_recipe(load_yaml(path, RecipeError), str(path))


def parsed_recipe(content: Any, where: str) -> BaseRecipe:
    """Return the recipe in plain data, of the kind that it names or its fields imply.

    Raises
    ------
    RecipeError
        One line per error.
    """
    if isinstance(content, BaseRecipe):  # checked again, because a copy with other values was not checked
        content = content.model_dump(mode="json", warnings=False)
    if not isinstance(content, Mapping):
        raise RecipeError(f"{where}: found {type(content).__name__}, expected a mapping of fields")
    if content.get("descriptors") == "none":
        content = {**content, "descriptors": None}
    name = content.get("kind", _inferred(content))
    if name in _TRAINED:
        raise RecipeError(f"{where}: kind: found {name!r}, expected that of a dataset; nmcdist train {name} takes it")
    if name not in list(kinds()):
        known = proposal(name if isinstance(name, str) else "", kinds())
        raise RecipeError(f"{where}: kind: found {shown(name)}{known}{_OF_OTHERS}")
    model = kinds()[name].recipe
    try:
        return model.model_validate({**content, "kind": name})
    except ValidationError as error:
        raise RecipeError("\n".join(fault_lines(error, where, model))) from None


def _inferred(content: Mapping[str, Any]) -> str:
    """Return the kind that the fields belong to, even if the deciding field is misspelt."""
    deciding = {kind.own_field: name for name, kind in sorted(kinds().items()) if kind.own_field}
    names = [str(name) for name in content]
    near = (found for name in names for found in difflib.get_close_matches(name, deciding, n=1, cutoff=0.7))
    field = next((field for field in deciding if field in content), None) or next(near, None)
    return deciding[field] if field else _COMMON


def recipe_bundle(recipe: BaseRecipe, folder: Path) -> Bundle:
    """Load the bundle of a recipe in this folder.

    Raises
    ------
    BundleError
        If it is unknown or damaged.
    """
    if recipe.bundle in list_bundles() or not (folder / recipe.bundle).exists():
        return load_bundle(recipe.bundle)
    return load_bundle(folder / recipe.bundle)


def make_plan(
    recipe: BaseRecipe,
    bundle: Bundle,
    out: Path,
    deployment: Deployment | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    machine: Machine | None = None,
    draws: bool = True,
    effort: Effort = "whole",
) -> Plan:
    """Plan a run; nothing is written, and nothing is refused before :meth:`Plan.validate`.

    Parameters
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    out : Path
        Folder of the store.
    deployment : Deployment, optional
        Default: fits this machine.
    settings, draws, effort
        As in :class:`nmcdist.products.kind.Site`.
    machine : Machine, optional
        Default: this one.

    Raises
    ------
    BundleError, InputError, RecipeError
        If the bundle does not support the recipe.
    """
    site = Site(
        local_path(out), deployment or Deployment(), machine or this_machine(), settings or {}, draws, effort
    )  # fmt: skip
    return kind_of(recipe).plan(recipe, bundle, site)


def checked_plan(
    recipe: BaseRecipe, bundle: Bundle, out: Path, deployment: Deployment, *, present_bytes: int = 0, **how: Any
) -> Plan:
    """Plan a run that can succeed; refuse a run that is sure to fail before the expensive drawing.

    Parameters
    ----------
    recipe, bundle, out, deployment, **how
        As for :func:`make_plan`.
    present_bytes : int
        As for :meth:`Plan.validate`.

    Raises
    ------
    BundleError, InputError, RecipeError
        If the bundle does not support the recipe.
    PlanError, StoreError
        As for :meth:`Plan.validate`.
    """
    plan = make_plan(recipe, bundle, out, deployment, effort="least", **how)
    plan.validate(present_bytes=present_bytes)
    if not plan.is_exact:
        plan = make_plan(recipe, bundle, out, deployment, **how)
        plan.validate(present_bytes=present_bytes)
    return plan
