"""Compute the descriptors of a finished store again, from its volumes or from the records of its particles."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nmcdist.bundle import Bundle, load_bundle
from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.guard import stop_if_imported_by_a_worker
from nmcdist.datasets.catalog import CATALOG_FILE, add_entry, recorded_manifest
from nmcdist.datasets.integrity import manifest_hash, read_manifest
from nmcdist.datasets.layout import VOLUME
from nmcdist.datasets.particles import RECORD_ITEMS, RECORD_ROWS
from nmcdist.datasets.store import read_origin, readable_metadata
from nmcdist.errors import BundleError, RecipeError, StoreError
from nmcdist.inputs import local_path
from nmcdist.products.plan import Plan
from nmcdist.products.recipe import BaseRecipe, Recipe, parsed_recipe
from nmcdist.products.registry import checked_plan
from nmcdist.runs.journal import Journal
from nmcdist.runs.locks import locked
from nmcdist.runs.produce import (
    Result,
    interruptible,
    job_of,
    prepare,
    produce,
    tasks_to_do,
)
from nmcdist.runs.progress import Progress, Silent
from nmcdist.runs.sealing import Paths, finalise, publish, undo_half_a_swap

_ALL_THERE = 2**63  # bytes: what is stored keeps its place on the disk


def describe_store(
    store: Path,
    deployment: Deployment | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
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
        Options of the descriptors (fields of DescriptorSpec, or of GrainSpec for particles) that differ from
        those of the store's recipe.
    progress : Progress, optional

    Raises
    ------
    PlanError
        If a task does not fit in memory.
    RecipeError
        If an option is impossible.
    StoreError
        If the store is not finished, holds no volumes, is damaged, or another run works on it.
    """
    stop_if_imported_by_a_worker()
    deployment, progress = deployment or Deployment(), progress or Silent()
    store = local_path(store).absolute()
    paths = Paths(store)
    paths.refuse_strangers()
    if not paths.old.exists():
        _origin(store, changes or {})  # refuses what is no store before a journal is made beside it
    with locked(paths.run), interruptible():
        undo_half_a_swap(paths, Journal(paths.run))
        recipe, bundle = _origin(store, changes or {})
        plan = checked_plan(recipe, bundle, store.parent, deployment, draws=False, present_bytes=_ALL_THERE)
        cluster_of(deployment).preflight(deployment, plan.resources)
        return _describe(plan, paths, deployment, progress)


def _describe(plan: Plan, paths: Paths, deployment: Deployment, progress: Progress) -> Result:
    store = paths.store
    wip, journal = store.with_name(store.name + ".describe"), Journal(paths.run / "describe")
    paths.refuse_what_bars_a_swap()
    folder = prepare(plan, wip, journal, progress, source=manifest_hash(store))
    todo = tasks_to_do(plan, wip, journal)
    kept = len(plan.tasks) - len(todo)
    made, failed = produce(plan, job_of(plan, folder, journal, source=store), todo, deployment, progress)
    if failed:
        return Result(store, made, kept, failed, "", journal.folder)
    digest = finalise(plan, wip, journal)
    publish(paths, wip, Journal(paths.run))
    _replace_journal(journal, Journal(paths.run))
    catalog = store.parent / CATALOG_FILE
    if recorded_manifest(catalog, store) is not None:
        add_entry(catalog, store)
    progress.event("finished", store=str(store), manifest_sha256=digest)
    return Result(store, made, kept, {}, digest, paths.run)


def _origin(store: Path, changes: Mapping[str, Any]) -> tuple[BaseRecipe, Bundle]:
    """Return the recipe and the bundle that a store was made from, with the descriptors asked for."""
    content, bundle = read_origin(store)
    read_manifest(store)
    try:
        made_from = parsed_recipe(content, "recipe")
    except RecipeError as error:
        raise StoreError(f"{store}: attribute recipe: {str(error).splitlines()[0]}") from None
    if isinstance(made_from, Recipe) and not made_from.storage.volumes:
        raise StoreError(f"{store}: holds no volumes to describe")
    for name in (VOLUME,) if isinstance(made_from, Recipe) else (*RECORD_ITEMS, *RECORD_ROWS):
        readable_metadata(store, name)  # refuses a store without it before every item fails
    recipe = parsed_recipe({**content, "descriptors": {**(content["descriptors"] or {}), **changes}}, str(store))
    try:
        bare = Bundle.model_validate(bundle)
    except ValidationError:
        raise StoreError(f"{store}: attribute bundle: not a bundle that this version reads") from None
    return recipe, _with_arrays(bare, store) if bare.array_records else bare


def _with_arrays(bundle: Bundle, store: Path) -> Bundle:
    """Return the bundle with its arrays, which stand beside the store or are built in, not in its attributes."""
    for place in (Paths(store).run / "bundle", bundle.name):
        with contextlib.suppress(BundleError):
            found = load_bundle(place)
            if found.content_hash == bundle.content_hash:
                return found
    raise StoreError(
        f"{store}: needs the arrays of bundle {bundle.name!r}, expected them in {Paths(store).run / 'bundle'}"
    )


def _replace_journal(new: Journal, old: Journal) -> None:
    """Let the receipts of the new store take the place of those of the old one."""
    old.clear()
    for path in new.folder.iterdir():
        path.rename(old.folder / path.name)
    new.folder.rmdir()
