"""Compute the descriptors of a finished store again, from its volumes or from the records of its particles."""

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
from nmcdist.errors import BundleError, StoreError
from nmcdist.inputs import local_path
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import checked_plan, kind_of, parsed_recipe, recipe_of_store
from nmcdist.runs.journal import Journal
from nmcdist.runs.paths import Paths
from nmcdist.runs.production import Crew, Production, Result
from nmcdist.runs.progress import Progress

if TYPE_CHECKING:
    from distributed import Client

_ALL_THERE = 2**63  # bytes: what is stored keeps its place on the disk


def describe_store(
    store: Path,
    deployment: Deployment | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    client: "Client | None" = None,
) -> Result:
    """Describe every item of a finished store again, and put the result in its place when it is whole.

    The new store is made beside the old one, which readers see until a rename. Volumes stay the very same files,
    shared by hard links where the file system has them; particles are rendered again from their records. An
    interrupted call is continued by the next.

    Parameters
    ----------
    store : Path
    deployment : Deployment, optional
    changes : Mapping, optional
        Options of the descriptors (fields of `descriptors` in the recipes of the kind) that differ from those of the
        store's recipe.
    progress : Progress, optional
    client : distributed.Client, optional

    Raises
    ------
    PlanError
        If a task does not fit in memory.
    RecipeError
        If an option is impossible.
    StoreError
        If the store is not finished, holds nothing to describe its items from, is damaged, or another run works on it.
    """
    crew, paths = Crew.of(deployment, progress, client), Paths(local_path(store).absolute())
    paths.refuse_strangers()
    swapped = not paths.store.exists() and Journal(paths.run).is_swapped(paths.old)
    there = paths.old if swapped else paths.store  # opening the run puts it back
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
    """Return the recipe and the bundle that a store was made from, with the descriptors asked for."""
    content, bundle = read_origin(store)
    read_manifest(store)
    made_from = recipe_of_store(store)
    kind = kind_of(made_from)
    sources = kind.sources(made_from)
    if not sources:
        raise StoreError(f"{store}: holds no {kind.name} to describe")
    for name in sources:
        readable_metadata(store, name)  # refuses a store without it before every item fails
    options = {**(content["descriptors"] or {}), **changes}
    recipe = parsed_recipe({**content, "kind": kind.name, "descriptors": options}, str(store))
    try:
        bare = Bundle.model_validate(bundle)
    except ValidationError:
        raise StoreError(f"{store}: attribute bundle: not a bundle that this version reads") from None
    return recipe, _with_arrays(bare, paths) if bare.array_records else bare


def _with_arrays(bundle: Bundle, paths: Paths) -> Bundle:
    """Return the bundle with its arrays, which stand beside the store or are built in, not in its attributes."""
    for place in (paths.run / "bundle", bundle.name):
        with contextlib.suppress(BundleError):
            found = load_bundle(place)
            if found.content_hash == bundle.content_hash:
                return found
    raise StoreError(
        f"{paths.store}: needs the arrays of bundle {bundle.name!r}, expected them in {paths.run / 'bundle'}"
    )


def _replace_journal(new: Journal, old: Journal) -> None:
    """Let the receipts of the new store take the place of those of the old one."""
    old.clear()
    for path in new.folder.iterdir():
        path.rename(old.folder / path.name)
    new.folder.rmdir()
