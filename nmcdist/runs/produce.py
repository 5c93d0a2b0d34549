"""What every run has in common: prepare the store in the making, do the tasks that are not done, tell how it goes."""

import contextlib
import shutil
import signal
import threading
from array import array
from collections.abc import Container, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmcdist.bundle import Bundle, load_bundle, save_bundle
from nmcdist.datasets.store import create_store, read_attributes
from nmcdist.errors import BundleError, StoreError
from nmcdist.runs.deployment import Deployment
from nmcdist.runs.execute import run_here, run_on_dask
from nmcdist.runs.journal import Journal, is_done
from nmcdist.runs.progress import Progress
from nmcdist.runs.task import Outcome
from nmcdist.runs.work import Job, Plan, Task, Tasks


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes
    ----------
    store : Path
        The finished store; not there yet if items failed.
    made, kept : int
        Tasks done by this run, and by those before it.
    failed : dict of int to str
        Items that could not be made, each with the reason.
    manifest_sha256 : str
        Stands for the whole store; empty if items failed.
    journal : Path
        Folder with receipts and failures.
    """

    store: Path
    made: int
    kept: int
    failed: dict[int, str]
    manifest_sha256: str
    journal: Path


def tasks_to_do(
    plan: Plan, store: Path, journal: Journal, part: tuple[int, int] = (1, 1), only: Container[str] | None = None
) -> Tasks[Task]:
    """Return the tasks without a receipt that holds.

    Parameters
    ----------
    plan : Plan
    store : Path
    journal : Journal
    part : (k, n)
        Every n-th task from the k-th on.
    only : container of str, optional
        Names of the tasks that come into question; default: all.
    """
    k, n = part
    numbers = array("q")
    for number in range(k - 1, len(plan.tasks), n):
        task = plan.tasks[number]
        if only is not None and task.name not in only:
            continue
        if not is_done(journal, store, task.name, plan.fingerprint, task.box, task.files):
            numbers.append(number)
    return Tasks(len(numbers), lambda place: plan.tasks[numbers[place]])


def prepare(plan: Plan, wip: Path, journal: Journal, progress: Progress, **settings: Any) -> None:
    """Make the store in the making ready for tasks; what another recipe left in it is thrown away.

    Parameters
    ----------
    plan : Plan
    wip : Path
    journal : Journal
    progress : Progress
    **settings
        What else an earlier run must have been started with for its receipts to count.
    """
    deciding = {"fingerprint": plan.fingerprint, **settings}
    before = settings_before(wip, journal)
    if any(before.get(name) != value for name, value in deciding.items()):
        if wip.exists():
            progress.event("changed", reason="recipe, bundle or version is another: everything is made again")
        shutil.rmtree(wip, ignore_errors=True)
        journal.clear()
    record_settings(plan, journal, **settings)
    create_store(wip, plan.layout)


def settings_before(wip: Path, journal: Journal) -> dict[str, Any]:
    """Return what a run was started with; of a store in the making whose record is gone, what it says itself."""
    found = journal.settings()
    if not found and wip.exists():
        with contextlib.suppress(StoreError):
            found = {"fingerprint": read_attributes(wip).get("fingerprint")}
    return found


def record_settings(plan: Plan, journal: Journal, **settings: Any) -> None:
    """Record what a run of this plan is started with."""
    facts = {"recipe": plan.recipe.content, "bundle": plan.bundle_hash, "tasks": len(plan.tasks)}
    journal.write_settings({"fingerprint": plan.fingerprint, **settings, **plan.settings, **facts})


def keep_bundle(bundle: Bundle, folder: Path) -> Path:
    """Save the bundle where workers load it from, unless it is there."""
    with contextlib.suppress(BundleError):
        if load_bundle(folder).content_hash == bundle.content_hash:
            return folder
    new = folder.with_name(folder.name + ".new")
    for stale in (folder, new):
        shutil.rmtree(stale, ignore_errors=True)
    save_bundle(bundle, new)
    return new.rename(folder)


def job_of(
    plan: Plan,
    wip: Path,
    journal: Journal,
    *,
    bundle_folder: Path | None = None,
    source: Path | None = None,
    retries: int = 0,
) -> Job:
    """Return what the tasks of a plan share; paths are absolute, since workers may start elsewhere."""
    return Job(
        store=wip.absolute(),
        journal=journal.folder.absolute(),
        bundle_folder=bundle_folder.absolute() if bundle_folder else None,
        bundle_hash=plan.bundle_hash,
        fingerprint=plan.fingerprint,
        source=source.absolute() if source else None,
        recipe=plan.recipe,
        variables=plan.layout.variables,
        threads=plan.resources.threads,
        retries=retries,
    )


def produce(
    plan: Plan,
    job: Job,
    todo: Sequence[Task],
    deployment: Deployment,
    progress: Progress,
    *,
    total: int | None = None,
    max_failures: int | None = None,
) -> tuple[int, dict[int, str]]:
    """Do tasks; those that fail do not stop the others.

    Parameters
    ----------
    plan : Plan
    job : Job
    todo : sequence of Task
    deployment : Deployment
    progress : Progress
    total : int, optional
        Tasks that `todo` is what is left of; default: all of the plan.
    max_failures : int, optional
        After more failures than this no more tasks begin; default: all are tried.

    Returns
    -------
    made : int
        Tasks that are done now.
    failed : dict of int to str
        Items that failed, each with the reason.

    Raises
    ------
    StoreError
        If the disk fails, or no worker is left.
    """
    journal, failed = Journal(job.journal), dict[int, str]()
    total = len(plan.tasks) if total is None else total
    kept = done = total - len(todo)
    with contextlib.ExitStack() as stack:
        progress.start(total, done)
        stack.callback(progress.finish)
        outcomes = stack.enter_context(contextlib.closing(_outcomes(plan, job, todo, deployment, progress)))
        for outcome in outcomes:
            if outcome.hopeless:
                raise StoreError(f"item {outcome.sample}: {outcome.error}; make room and continue with --resume")
            if outcome.error:
                journal.write_failure(outcome.task, outcome.details or outcome.error)
                failed.setdefault(outcome.sample, outcome.error)
                progress.event("failed", item=outcome.sample, error=outcome.error)
            else:
                done += 1
            progress.advance(done)
            _stop_if_asked()
            if max_failures is not None and len(failed) > max_failures:
                progress.event("stopped", reason=f"more than {max_failures} items failed")
                break
    return done - kept, failed


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: workers closed, and all that is done kept.

    Both are noted besides raising KeyboardInterrupt: an exception that lands in a finaliser or a callback of a
    library is lost, and the note ends the run after the next outcome (:func:`_stop_if_asked`).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked_to_stop.clear()
    before = {number: signal.signal(number, _note_and_raise) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_asked_to_stop = threading.Event()


def _note_and_raise(number: int, frame: Any) -> None:
    _asked_to_stop.set()
    raise KeyboardInterrupt


def _stop_if_asked() -> None:
    if _asked_to_stop.is_set():
        _asked_to_stop.clear()
        raise KeyboardInterrupt


def _outcomes(
    plan: Plan, job: Job, todo: Sequence[Task], deployment: Deployment, progress: Progress
) -> Generator[Outcome, None, None]:
    if not todo:
        return
    if plan.resources.workers == 0:
        yield from run_here(job, todo)
        return
    yield from run_on_dask(
        job,
        todo,
        plan.resources,
        plan.task_bytes,
        deployment,
        announce=lambda name, text: progress.event(name, **{_ANNOUNCED[name]: text}),
    )


_ANNOUNCED = {"dashboard": "link", "waiting": "queue", "warning": "text"}
