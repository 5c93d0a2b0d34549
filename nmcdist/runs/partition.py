"""Runs without a scheduler of our own: parts of a recipe that any queue starts in any order, then one that seals.

What is needed to go on stands beside the store: the journal's settings hold the recipe, its folder the bundle.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmcdist.bundle import Bundle, load_bundle
from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.guard import stop_if_imported_by_a_worker
from nmcdist.clusters.resources import Machine
from nmcdist.datasets.catalog import check_catalog
from nmcdist.datasets.folder import Epoch, Folder, mark_of
from nmcdist.datasets.integrity import manifest_hash
from nmcdist.errors import PlanError, StoreError
from nmcdist.inputs import local_path
from nmcdist.products.plan import Plan
from nmcdist.products.recipe import BaseRecipe, parsed_recipe
from nmcdist.products.registry import checked_plan, make_plan
from nmcdist.runs.journal import Journal
from nmcdist.runs.locks import alone, locked
from nmcdist.runs.produce import (
    Result,
    begin,
    interruptible,
    job_of,
    keep_bundle,
    prepare,
    produce,
    refuse_stranger,
    settings_before,
    tasks_to_do,
)
from nmcdist.runs.progress import Progress, Silent
from nmcdist.runs.run import RETRIES, found_whole, is_published, is_whole, seal, size_of
from nmcdist.runs.sealing import Paths, undo_half_a_swap

_ANYTHING = Machine(cores=1, memory=2**60)  # sealing holds no volume
_PREPARE_TIMEOUT_S = 120.0


def run_part(
    recipe: BaseRecipe,
    bundle: Bundle,
    out: Path,
    part: tuple[int, int],
    deployment: Deployment | None = None,
    *,
    progress: Progress | None = None,
    retries: int = RETRIES,
    max_failures: int | None = None,
) -> Result:
    """Make the k-th of n parts of a dataset: every n-th task from the k-th on, those that are done left as they are.

    Any number of parts may run at the same time on one folder, in any order and again; nothing is published before
    :func:`finalise_store`.

    Parameters
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    out : Path
        Folder of the dataset; all parts must see it.
    part : (k, n)
        With 1 <= k <= n.
    deployment : Deployment, optional
    progress : Progress, optional
    retries : int
    max_failures : int, optional
        As for :func:`nmcdist.runs.run.run_recipe`.

    Raises
    ------
    PlanError
        If the part is none, a task does not fit, or earlier parts cut the volumes in another way.
    StoreError
        If another recipe's run is there, or another driver works on the same items.
    """
    k, n = part
    if not 1 <= k <= n:
        raise PlanError(f"partition: found {k}/{n}, expected k/n with 1 <= k <= n")
    stop_if_imported_by_a_worker()
    deployment, progress, out = deployment or Deployment(), progress or Silent(), local_path(out)
    paths = Paths(out / f"{recipe.name}.zarr")
    journal = Journal(paths.run)
    paths.refuse_strangers()
    check_catalog(out)
    settings, present = journal.settings(), size_of(paths.wip)
    plan = checked_plan(recipe, bundle, out, deployment, settings=settings, present_bytes=present)
    if n > len(plan.tasks):
        raise PlanError(f"partition: found {k}/{n}, expected at most {len(plan.tasks)} parts, one for each task")
    cluster_of(deployment).preflight(deployment, plan.resources)
    with locked(paths.run, part), interruptible():
        if paths.store.exists():
            if not is_published(plan, paths.store, journal):
                raise StoreError(f"{paths.store}: exists already, made from another recipe or bundle")
            progress.event("nothing to do", store=str(paths.store))
            return Result(paths.store, 0, len(plan.tasks), {}, manifest_hash(paths.store), paths.run)
        with alone(paths.run / "prepare.lock", _PREPARE_TIMEOUT_S, f"{paths.run}: another part"):
            wip = _prepare_once(plan, paths, journal, bundle, progress)
        todo = tasks_to_do(plan, paths.wip, journal, part)
        own = len(range(k - 1, len(plan.tasks), n))
        job = job_of(plan, wip, journal, bundle_folder=paths.run / "bundle", retries=retries)
        made, failed = produce(plan, job, todo, deployment, progress, total=own, max_failures=max_failures)
        progress.event("part", part=f"{k}/{n}", made=made, failed=len(failed))
        return Result(paths.store, made, own - len(todo), failed, "", paths.run)


def finalise_store(store: Path, *, progress: Progress | None = None) -> Result:
    """Seal and publish a store all of whose tasks are done, by whatever drivers and parts.

    Raises
    ------
    StoreError
        If tasks are not done, which it names, what they wrote is damaged, a driver is at work, or there is no such run.
    """
    paths, progress = Paths(local_path(store).absolute()), progress or Silent()
    _settings_of(paths)
    with locked(paths.run), interruptible():
        undo_half_a_swap(paths, Journal(paths.run))
        plan, _, journal = _recorded(paths)
        refuse_stranger(paths.wip, journal, plan.fingerprint)
        if paths.store.exists() and not paths.wip.exists():
            return _published(plan, paths, journal, progress)
        return seal(plan, paths, journal, progress, made=0, known=False)


def _published(plan: Plan, paths: Paths, journal: Journal, progress: Progress) -> Result:
    if not is_whole(plan, paths.store, journal):
        raise StoreError(f"{paths.store}: is finished but damaged; `nmcdist run --resume` heals it")
    return found_whole(plan, paths, progress)


def retry_failed(
    store: Path,
    deployment: Deployment | None = None,
    *,
    progress: Progress | None = None,
    retries: int = RETRIES,
) -> Result:
    """Try the tasks that failed again, and seal the store if nothing is left to do after that.

    Raises
    ------
    PlanError
        If a task does not fit, or the volumes would be cut in another way.
    StoreError
        If there is no such run, or a driver is at work.
    """
    stop_if_imported_by_a_worker()
    deployment, progress = deployment or Deployment(), progress or Silent()
    paths = Paths(local_path(store).absolute())
    _settings_of(paths)
    with locked(paths.run), interruptible():
        undo_half_a_swap(paths, Journal(paths.run))
        plan, bundle, journal = _recorded(paths, deployment)
        refuse_stranger(paths.wip, journal, plan.fingerprint)
        if not paths.wip.exists():
            return _published(plan, paths, journal, progress)
        plan.validate(present_bytes=size_of(paths.wip))
        cluster_of(deployment).preflight(deployment, plan.resources)
        todo = tasks_to_do(plan, paths.wip, journal, only=journal.failures())
        folder = keep_bundle(bundle, paths.run / "bundle")
        wip = begin(paths.wip, plan.fingerprint)
        job = job_of(plan, wip, journal, bundle_folder=folder, retries=retries)
        made, failed = produce(plan, job, todo, deployment, progress, total=len(todo))
        if failed:
            return Result(paths.store, made, 0, failed, "", paths.run)
        return seal(plan, paths, journal, progress, made=made, known=False)


def _prepare_once(plan: Plan, paths: Paths, journal: Journal, bundle: Bundle, progress: Progress) -> Folder:
    """Make the unfinished store ready, unless another part did; never touch what other parts are writing to."""
    if paths.wip.exists():
        before = settings_before(paths.wip, journal)
        if before.get("fingerprint") != plan.fingerprint:
            raise StoreError(f"{paths.wip}: an unfinished run of another recipe, bundle or version is here")
        _check_cut(plan, before)
        mark, nodes = mark_of(paths.wip), plan.layout.nodes - plan.layout.late_nodes
        if "recipe" in before and mark and all((paths.wip / name).exists() for name in nodes):
            keep_bundle(bundle, paths.run / "bundle")
            wip = paths.wip.absolute()
            return Folder(wip, Epoch(wip, mark[0]))
    keep_bundle(bundle, paths.run / "bundle")
    return prepare(plan, paths.wip, journal, progress)


def _check_cut(plan: Plan, before: Mapping[str, Any]) -> None:
    for name, value in plan.settings.items():
        if before.get(name, value) != value:
            raise PlanError(f"memory: with this worker {name} would be {value}, the other parts have {before[name]}")


def _recorded(paths: Paths, deployment: Deployment | None = None) -> tuple[Plan, Bundle, Journal]:
    """Return the plan and the bundle of a run from what its journal recorded."""
    journal, settings = Journal(paths.run), _settings_of(paths)
    bundle = load_bundle(paths.run / "bundle")
    recipe = parsed_recipe(settings["recipe"], str(paths.run / "run.json"))
    machine = None if deployment else _ANYTHING
    plan = make_plan(recipe, bundle, paths.store.parent, deployment, settings=settings, machine=machine)
    _check_cut(plan, settings)
    if plan.fingerprint != settings.get("fingerprint"):
        raise StoreError(f"{paths.run}: this run was begun by another version; continue it with `nmcdist run --resume`")
    return plan, bundle, journal


def _settings_of(paths: Paths) -> dict[str, Any]:
    paths.refuse_strangers()
    settings = Journal(paths.run).settings()
    if "recipe" not in settings or not (paths.wip.exists() or paths.store.exists() or paths.old.exists()):
        raise StoreError(f"{paths.store}: no run is recorded beside it (expected {paths.run})")
    return settings
