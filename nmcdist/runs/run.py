"""The driver: from a recipe to a published dataset, continued where it stopped."""

import json
import stat
from pathlib import Path

from nmcdist.bundle import Bundle
from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.guard import stop_if_imported_by_a_worker
from nmcdist.datasets.catalog import CATALOG_FILE, add_entry, check_catalog
from nmcdist.datasets.files import FileRecord, entries_below, files_below
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import GROUP, MANIFEST, is_damaged, manifest_hash, read_manifest, refuse_links
from nmcdist.datasets.store import read_attributes
from nmcdist.errors import StoreError
from nmcdist.inputs import local_path
from nmcdist.products.plan import Plan
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import checked_plan
from nmcdist.runs.journal import Journal, Receipt
from nmcdist.runs.locks import locked
from nmcdist.runs.produce import (
    Result,
    begin,
    interruptible,
    job_of,
    keep_bundle,
    prepare,
    produce,
    record_settings,
    refuse_stranger,
    tasks_to_do,
)
from nmcdist.runs.progress import Progress, Silent
from nmcdist.runs.sealing import Paths, finalise, publish, undo_half_a_swap

RETRIES = 1


def run_recipe(
    recipe: BaseRecipe,
    bundle: Bundle,
    out: Path,
    deployment: Deployment | None = None,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    retries: int = RETRIES,
    max_failures: int | None = None,
) -> Result:
    """Make the dataset of a recipe and list it in the catalog of its folder.

    Parameters
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    out : Path
        Folder of the store, its journal and ``catalog.yaml``.
    deployment : Deployment, optional
        Default: workers on this machine, as many as fit.
    resume : bool
        Continue an interrupted run, or heal a finished store: only what is missing or damaged is made again,
        or everything if the recipe, the bundle or the version changed.
    progress : Progress, optional
    retries : int
        How often a task that failed is tried again on the spot; what kills workers is counted apart.
    max_failures : int, optional
        After more failures than this no more tasks begin; default: all are tried.

    Returns
    -------
    Result
        Items that could not be made are in its `failed`; the dataset is published only if there are none.

    Raises
    ------
    PlanError
        If the run cannot fit in memory or on the disk.
    CatalogError
        If the catalog of the folder holds what nmcdist does not write.
    StoreError
        If the dataset is there already, another run works on it, or its files cannot be written.
    """
    stop_if_imported_by_a_worker()
    deployment, progress, out = deployment or Deployment(), progress or Silent(), local_path(out)
    paths = Paths(out / f"{recipe.name}.zarr")
    journal = Journal(paths.run)
    paths.refuse_strangers()
    check_catalog(out)
    if not resume:
        _refuse_existing(paths, recipe, bundle)
    settings = journal.settings() if resume else None
    plan = checked_plan(recipe, bundle, out, deployment, settings=settings, present_bytes=size_of(paths.wip))
    cluster_of(deployment).preflight(deployment, plan.resources)
    with locked(paths.run), interruptible():
        undo_half_a_swap(paths, journal, plan.fingerprint if resume else None)
        if not resume:
            _refuse_existing(paths, recipe, bundle)
        elif is_published(plan, paths.store, journal):
            if is_whole(plan, paths.store, journal):
                return found_whole(plan, paths, progress)
            progress.event("damaged", store=str(paths.store), what="changed since it was sealed, or incomplete")
            _open_again(plan, paths, journal)
        paths.refuse_what_bars_a_swap()
        wip = prepare(plan, paths.wip, journal, progress)
        todo = tasks_to_do(plan, paths.wip, journal)
        folder = keep_bundle(bundle, paths.run / "bundle")
        job = job_of(plan, wip, journal, bundle_folder=folder, retries=retries)
        made, failed = produce(plan, job, todo, deployment, progress, max_failures=max_failures)
        if failed:
            return Result(paths.store, made, len(plan.tasks) - len(todo), failed, "", paths.run)
        return seal(plan, paths, journal, progress, made=made)


def found_whole(plan: Plan, paths: Paths, progress: Progress) -> Result:
    """Return the result of a run that had nothing to do, its store listed in the catalog of its folder."""
    add_entry(plan.out / CATALOG_FILE, paths.store)
    progress.event("nothing to do", store=str(paths.store))
    return Result(paths.store, 0, len(plan.tasks), {}, manifest_hash(paths.store), paths.run)


def seal(plan: Plan, paths: Paths, journal: Journal, progress: Progress, *, made: int, known: bool = True) -> Result:
    """Finalise a store all of whose tasks are done, publish it, and list it in the catalog of its folder."""
    check_catalog(plan.out)
    paths.refuse_what_bars_a_swap()
    digest = finalise(plan, paths.wip, journal, known=known)
    publish(paths, paths.wip, journal)
    add_entry(plan.out / CATALOG_FILE, paths.store)
    progress.event("finished", store=str(paths.store), manifest_sha256=digest)
    return Result(paths.store, made, len(plan.tasks) - made, {}, digest, paths.run)


def _refuse_existing(paths: Paths, recipe: BaseRecipe, bundle: Bundle) -> None:
    if paths.store.exists():
        found = read_attributes(paths.store)
        same = (found.get("recipe_hash"), found.get("bundle_hash")) == (recipe.content_hash, bundle.content_hash)
        what = "this recipe" if same else "another recipe or bundle"
        then = "checks and heals it" if same else "replaces it when the new one is whole"
        raise StoreError(f"{paths.store}: exists already, made from {what}; --resume {then}")
    if paths.wip.exists():
        raise StoreError(f"{paths.wip}: an unfinished run is here; --resume continues it")


def is_published(plan: Plan, store: Path, journal: Journal) -> bool:
    """Return whether the finished store is there and is that of this plan."""
    if not store.exists():
        return False
    try:
        return read_attributes(store).get("fingerprint") == plan.fingerprint
    except StoreError:
        if not is_damaged(store, GROUP):
            raise
        return journal.settings().get("fingerprint") == plan.fingerprint


def _open_again(plan: Plan, paths: Paths, journal: Journal) -> None:
    """Make a published store that is damaged the unfinished one, if what is whole in it is known and can be kept.

    Otherwise it stays where it is until another is whole.
    """
    own = journal.settings().get("fingerprint") == plan.fingerprint
    if not own and (plan.has_partials or not _has_manifest(paths.store)):
        return
    refuse_stranger(paths.wip, journal, plan.fingerprint)
    refuse_links(paths.store)
    journal.discard(paths.wip)
    if not own:
        _restore_receipts(plan, paths.store, journal)
    begin(paths.store, plan.fingerprint)  # first, so that it is known for the run's own whatever is damaged
    paths.store.rename(paths.wip)


def _has_manifest(store: Path) -> bool:
    try:
        return bool(read_manifest(store))
    except StoreError:
        return False


def _restore_receipts(plan: Plan, store: Path, journal: Journal) -> None:
    """Write the receipts of a store whose journal is not there or another run's; its manifest vouches for its files."""
    manifest = read_manifest(store)
    journal.clear()
    for task in plan.tasks:
        files = {name: manifest[name] for name in task.files if name in manifest}
        journal.write_receipt(Receipt(task=task.name, fingerprint=plan.fingerprint, box=task.box, files=files))
    # Last: until then the receipts are nobody's.
    record_settings(plan, journal)


def is_whole(plan: Plan, store: Path, journal: Journal) -> bool:
    """Return whether a published store needs nothing: all is there and as the manifest has it.

    Receipts and the seal of this run, where they are there, must say the same; a store that came without them is
    whole too.
    """
    try:
        manifest, attributes = read_manifest(store), read_attributes(store)
    except StoreError:
        return False
    vouched: dict[str, FileRecord] = {}
    if journal.settings().get("fingerprint") == plan.fingerprint:
        if journal.is_sealed_otherwise(manifest_hash(store)):
            return False
        for task in plan.tasks:
            receipt = journal.receipt(task.name)
            vouched.update(receipt.files if receipt else {})
    return (
        attributes == json.loads(json.dumps(dict(plan.layout.attrs)))
        and set(manifest) == set(files_below(store)) - {MANIFEST}
        and all(name in manifest for task in plan.tasks for name in task.files)
        and all(manifest.get(name) == record for name, record in vouched.items())
        and all(Folder(store).matches(name, record) for name, record in manifest.items())
    )


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder, 0 if there is none."""
    return sum(state.st_size for _, state in entries_below(folder) if stat.S_ISREG(state.st_mode))
