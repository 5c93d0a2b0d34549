"""Recompute the descriptors of a finished store, from its volumes or from the records of its particles."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from nmcdist.bundle import Bundle, load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.catalog import CATALOG_FILE, recorded_manifest
from nmcdist.datasets.integrity import manifest_hash, read_manifest
from nmcdist.datasets.store import read_origin, readable_metadata
from nmcdist.errors import BundleError, RecipeError, StoreError
from nmcdist.execution.journal import Journal
from nmcdist.inputs import local_path
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import checked_plan, kind_of, parsed_recipe, recipe_of_store
from nmcdist.runs.paths import Paths
from nmcdist.runs.production import Crew, Production, Result
from nmcdist.runs.progress import Progress

if TYPE_CHECKING:
    from distributed import Client

_ALL_THERE = 2**63  # bytes: stored files keep their place on the disk


def describe_store(
    store: Path,
    deployment: Deployment | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    client: "Client | None" = None,
) -> Result:
    """Recompute the descriptors of every item of a finished store, and replace the store when the result is whole.

    The new store is made beside the old one, which readers see until a rename. Volumes stay the same files, shared by
    hard links if the file system has them; particles are rendered again from their records. The next call continues
    an interrupted one.

    Parameters
    ----------
    store : Path
    deployment : Deployment, optional
    changes : Mapping, optional
        Descriptor options (fields of `descriptors` in the recipes of the kind) that replace those of the store's
        recipe.
    progress : Progress, optional
    client : distributed.Client, optional

    Raises
    ------
    PlanError
        If a task does not fit in memory.
    RecipeError
        If an option is impossible.
    StoreError
        If the store is not finished, has no volumes or records to describe, is damaged, or another run works on it.
    """
    crew, paths = Crew.of(deployment, progress, client), Paths(local_path(store).absolute())
    paths.refuse_strangers()
    swapped = not paths.store.exists() and Journal(paths.run).is_swapped(paths.old)
    there = paths.old if swapped else paths.store  # opening the run restores it
    recipe, bundle = _origin(there, changes or {}, paths)
    plan = checked_plan(recipe, bundle, paths.folder, crew.deployment, draws=False, present_bytes=_ALL_THERE)
    wip, journal = paths.store.with_name(paths.store.name + ".describe"), Journal(paths.run / "describe")
    production = Production(plan, bundle, paths, journal, wip, crew)
    with production.opened():
        folder = production.prepare(source=manifest_hash(paths.store))
        result = production.do(folder, production.left(), source=paths.store, retries=0)
        listed = recorded_manifest(paths.folder / CATALOG_FILE, paths.store) is not None
        result = production.seal(result, listed=listed)
        if not result.failed:
            _replace_journal(journal, Journal(paths.run))
        return result


def _origin(store: Path, changes: Mapping[str, Any], paths: Paths) -> tuple[BaseRecipe, Bundle]:
    """Return the recipe and the bundle of a store, with the requested descriptors."""
    content, bundle = read_origin(store)
    read_manifest(store)
    made_from = recipe_of_store(store)
    kind = kind_of(made_from)
    sources = kind.sources(made_from)
    if not sources:
        raise StoreError(f"{store}: holds no {kind.name} to describe")
    for name in sources:
        readable_metadata(store, name)  # refuses a store without the variable before every item fails
    if strange := [option for option in changes if option not in kind.descriptor_fields()]:
        known = ", ".join(kind.descriptor_fields())
        raise RecipeError(f"{strange[0]}: not a descriptor option of kind {kind.name}, expected one of {known}")
    options = {**(content["descriptors"] or {}), **changes}
    recipe = parsed_recipe({**content, "kind": kind.name, "descriptors": options}, str(store))
    try:
        bare = Bundle.model_validate(bundle)
    except ValidationError:
        raise StoreError(f"{store}: attribute bundle: not a bundle that this version reads") from None
    return recipe, _with_arrays(bare, paths) if bare.array_records else bare


def _with_arrays(bundle: Bundle, paths: Paths) -> Bundle:
    """Return the bundle with its arrays, which are beside the store or built in, not in its attributes."""
    for place in (paths.run / "bundle", bundle.name):
        with contextlib.suppress(BundleError):
            found = load_bundle(place)
            if found.content_hash == bundle.content_hash:
                return found
    raise StoreError(
        f"{paths.store}: needs the arrays of bundle {bundle.name!r}, expected them in {paths.run / 'bundle'}"
    )


def _replace_journal(new: Journal, old: Journal) -> None:
    """Replace the receipts of the old store by those of the new one."""
    old.clear()
    for path in new.folder.iterdir():
        path.rename(old.folder / path.name)
    new.folder.rmdir()
