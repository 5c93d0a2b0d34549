"""Runs in parts that any queue starts in any order, the seal at the end, and retries of failed tasks.

All that a later part needs is beside the store: the journal's settings hold the recipe, its folder the bundle.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmcdist.bundle import Bundle, load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine
from nmcdist.datasets.folder import Epoch, Folder, mark_of
from nmcdist.errors import PlanError, StoreError
from nmcdist.execution.journal import Journal
from nmcdist.inputs import local_path
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import make_plan, parsed_recipe
from nmcdist.runs.healing import size_of
from nmcdist.runs.paths import Paths
from nmcdist.runs.production import RETRIES, Crew, Production, Result
from nmcdist.runs.progress import Progress
from nmcdist.runs.unfinished import begin, keep_bundle, refuse_stranger, settings_before

if TYPE_CHECKING:
    from distributed import Client

_ANYTHING = Machine(cores=1, memory=2**60)  # sealing holds no volume


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
    client: "Client | None" = None,
) -> Result:
    """Make part k of n of a dataset: every n-th task from the k-th on; finished tasks are kept.

    Any number of parts may run at the same time on one folder, in any order and repeatedly;
    :func:`finalise_store` finishes the store.

    Parameters
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    out : Path
        Folder of the dataset; all parts must see it.
    part : (k, n)
        With 1 <= k <= n.
    deployment, progress, retries, max_failures, client
        As for :func:`nmcdist.runs.run.run_recipe`.

    Raises
    ------
    PlanError
        If the part is invalid, a task does not fit, or earlier parts cut the volumes in another way.
    StoreError
        If a run of another recipe exists, or another driver works on the same items.
    """
    k, n = part
    if not 1 <= k <= n:
        raise PlanError(f"partition: found {k}/{n}, expected k/n with 1 <= k <= n")
    crew, paths = Crew.of(deployment, progress, client), Paths.of(recipe, out)
    paths.refuse_strangers()
    production = Production.of(recipe, bundle, out, crew, Journal(paths.run).settings())
    tasks = len(production.plan.tasks)
    if n > tasks:
        raise PlanError(f"partition: found {k}/{n}, expected at most {tasks} parts, one for each task")
    with production.opened(part):
        if paths.store.exists():
            if not production.is_there():
                raise StoreError(f"{paths.store}: already exists, made from another recipe or bundle")
            return _finished(production)
        with production.alone():
            store = _prepared(production)
        result = production.do(
            store, production.left(part), total=len(range(k - 1, tasks, n)), retries=retries, max_failures=max_failures
        )
        crew.progress.event("part", part=f"{k}/{n}", made=result.made, failed=len(result.failed))
        return result


def finalise_store(store: Path, *, progress: Progress | None = None) -> Result:
    """Seal a store whose tasks are all done, by any drivers and parts, and put it in place.

    Raises
    ------
    StoreError
        If tasks are not done (the message names them), their files are damaged, a driver is running, or no run exists.
    """
    production = _recorded(store, Crew.of(None, progress), _ANYTHING)
    with production.opened():
        _refuse_another(production)
        if production.paths.store.exists() and not production.wip.exists():
            return _finished(production)
        nothing = Result(production.paths.store, 0, len(production.plan.tasks), {}, "", production.paths.run)
        return production.seal(nothing, known=False)


def retry_failed(
    store: Path,
    deployment: Deployment | None = None,
    *,
    progress: Progress | None = None,
    retries: int = RETRIES,
    client: "Client | None" = None,
) -> Result:
    """Retry the failed tasks, and seal the store if no task is left.

    Raises
    ------
    PlanError
        If a task does not fit, or the volumes would be cut in another way.
    StoreError
        If no run exists, or a driver is running.
    """
    production = _recorded(store, Crew.of(deployment, progress, client))
    production.plan.validate(present_bytes=size_of(production.wip))
    with production.opened():
        _refuse_another(production)
        if not production.wip.exists():
            return _finished(production)
        todo = production.left(only=production.journal.failures())
        folder = begin(production.wip, production.plan.fingerprint)
        result = production.do(folder, todo, total=len(todo), retries=retries)
        return production.seal(result, known=False)


def _finished(production: Production) -> Result:
    paths = production.paths
    if not production.is_whole():
        raise StoreError(f"{paths.store}: is finished but damaged; repair it with: {paths.resume}")
    return production.found_whole()


def _prepared(production: Production) -> Folder:
    """Prepare the unfinished store, unless another part did; never touch files that other parts are writing."""
    plan, wip, journal = production.plan, production.wip, production.journal
    if wip.exists():
        before = settings_before(wip, journal)
        if before.get("fingerprint") != plan.fingerprint:
            raise StoreError(f"{wip}: an unfinished run of another recipe, bundle or version is here")
        _check_cut(plan.settings, before)
        mark, nodes = mark_of(wip), plan.layout.nodes - plan.layout.late_nodes
        if "recipe" in before and mark and all((wip / name).exists() for name in nodes):
            return Folder(wip.absolute(), Epoch(wip.absolute(), mark[0]))
    keep_bundle(production.bundle, production.paths.run / "bundle")
    return production.prepare()


def _check_cut(settings: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if before.get(name, value) != value:
            raise PlanError(f"memory: with this worker {name} would be {value}, the other parts have {before[name]}")


def _recorded(store: Path, crew: Crew, machine: Machine | None = None) -> Production:
    """Return the run of a store from the records of its journal.

    Parameters
    ----------
    store : Path
    crew : Crew
    machine : Machine, optional
        Default: this one.
    """
    paths = Paths(local_path(store).absolute())
    paths.refuse_strangers()
    journal = Journal(paths.run)
    settings = journal.settings()
    if "recipe" not in settings or not (paths.wip.exists() or paths.store.exists() or paths.old.exists()):
        raise StoreError(f"{paths.store}: no run is recorded beside it (expected {paths.run})")
    recipe = parsed_recipe(settings["recipe"], str(paths.run / "run.json"))  # first: its kind may register a model
    bundle = load_bundle(paths.run / "bundle")
    plan = make_plan(recipe, bundle, paths.folder, crew.deployment, settings=settings, machine=machine)
    _check_cut(plan.settings, settings)
    if plan.fingerprint != settings.get("fingerprint"):
        raise StoreError(f"{paths.run}: another version began this run; continue it with: {paths.resume}")
    return Production(plan, bundle, paths, journal, paths.wip, crew)


def _refuse_another(production: Production) -> None:
    """Refuse a run that another driver has changed since it was planned."""
    refuse_stranger(production.wip, production.journal, production.plan.fingerprint)
    if production.journal.settings().get("fingerprint") != production.plan.fingerprint:
        raise StoreError(f"{production.paths.run}: another run has started here meanwhile")
