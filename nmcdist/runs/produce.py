"""What every run has in common: prepare the unfinished store, do the tasks that are not done, report progress."""

import contextlib
import secrets
import signal
import threading
from array import array
from collections.abc import Container, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmcdist.bundle import Bundle, load_bundle, save_bundle
from nmcdist.bundle.files import BUNDLE_FILES
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.files import naming
from nmcdist.datasets.folder import Folder, mark_of, refuse_all_but_folders
from nmcdist.datasets.integrity import refuse_links
from nmcdist.datasets.store import create_store, read_attributes
from nmcdist.errors import BundleError, StoreError
from nmcdist.kernels import compilation_said_by
from nmcdist.products.plan import Job, Plan, Task, Tasks
from nmcdist.runs.execute import run_here, run_on_dask
from nmcdist.runs.journal import Journal, is_done
from nmcdist.runs.progress import Progress
from nmcdist.runs.worker import Outcome


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


def prepare(plan: Plan, wip: Path, journal: Journal, progress: Progress, **settings: Any) -> Folder:
    """Make the unfinished store ready for tasks, and return it; what another recipe left in it is thrown away.

    Parameters
    ----------
    plan : Plan
    wip : Path
    journal : Journal
    progress : Progress
    **settings
        What else an earlier run must have been started with for its receipts to count.

    Raises
    ------
    StoreError
        If what is there under the name of the unfinished store is not the run's own.
    """
    deciding = {"fingerprint": plan.fingerprint, **settings}
    refuse_stranger(wip, journal, plan.fingerprint)
    before = settings_before(wip, journal)
    if any(before.get(name) != value for name, value in deciding.items()):
        if wip.exists():
            progress.event("changed", reason="recipe, bundle or version is another: everything is made again")
        journal.discard(wip)
        journal.clear()
    refuse_links(wip)
    record_settings(plan, journal, **settings)
    store = begin(wip, plan.fingerprint)
    create_store(store, plan.layout)
    return store


def begin(wip: Path, fingerprint: str) -> Folder:
    """Begin a driver's turn on an unfinished store, made if it is missing, and return it."""
    if not wip.exists():
        wip.mkdir(parents=True)
    return Folder(wip.absolute()).begin(fingerprint)


def refuse_stranger(wip: Path, journal: Journal, fingerprint: str) -> None:
    """Refuse what stands under the name of an unfinished store and is not this run's.

    Parameters
    ----------
    wip : Path
    journal : Journal
    fingerprint : str
        Of the run that is about to begin.

    Raises
    ------
    StoreError
        If it is a link or a file, holds what is no store, or is of a run that the journal did not record.
    """
    refuse_all_but_folders(wip)
    if not wip.exists() or not any(wip.iterdir()):
        return
    found = fingerprint_of(wip)
    if found is None:
        raise StoreError(f"{wip}: holds no unfinished store, so that no run has made it; move it away")
    if found not in (fingerprint, journal.settings().get("fingerprint")):
        raise StoreError(f"{wip}: is of a run that {journal.folder} did not record; move it away")


def settings_before(wip: Path, journal: Journal) -> dict[str, Any]:
    """Return what a run was started with; of an unfinished store whose record is gone, what it says itself."""
    return journal.settings() or ({"fingerprint": fingerprint_of(wip)} if wip.exists() else {})


def fingerprint_of(wip: Path) -> str | None:
    """Return the fingerprint of the run that an unfinished store is of; None if it is no store."""
    if mark := mark_of(wip):
        return mark[1]
    try:
        found = read_attributes(wip).get("fingerprint")
    except StoreError:
        return None
    return found if isinstance(found, str) else None


def record_settings(plan: Plan, journal: Journal, **settings: Any) -> None:
    """Record what a run of this plan is started with."""
    facts = {"recipe": plan.recipe.content, "bundle": plan.bundle_hash, "tasks": len(plan.tasks)}
    journal.write_settings({"fingerprint": plan.fingerprint, **settings, **plan.settings, **facts})


def keep_bundle(bundle: Bundle, folder: Path) -> Path:
    """Save the bundle where workers load it from, unless it is there.

    Raises
    ------
    StoreError
        If something else is there.
    """
    refuse_all_but_folders(folder)
    with contextlib.suppress(BundleError):
        if load_bundle(folder).content_hash == bundle.content_hash:
            return folder
    journal, new = Journal(folder.parent), folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    if folder.exists():
        if not {entry.name for entry in folder.iterdir()} <= BUNDLE_FILES:
            raise StoreError(f"{folder}: holds more than the copy of a bundle; move it away")
        journal.discard(folder)
    try:
        with naming(folder):
            save_bundle(bundle, new)
            return new.rename(folder)
    finally:
        if new.exists():
            journal.discard(new)


def job_of(
    plan: Plan,
    wip: Path | Folder,
    journal: Journal,
    *,
    bundle_folder: Path | None = None,
    source: Path | None = None,
    retries: int = 0,
) -> Job:
    """Return what the tasks of a plan share; paths are absolute, since workers may start elsewhere."""
    return Job(
        store=wip.absolute() if isinstance(wip, Path) else wip,
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
                raise StoreError(f"item {outcome.sample}: {outcome.error}; once that is mended, use --resume")
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
        with compilation_said_by(lambda text: progress.event("compiling", text=text)):
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


_ANNOUNCED = {"dashboard": "link", "waiting": "queue", "warning": "text", "compiling": "text"}
