"""The work itself, as plain functions that any scheduler can call: make the files of a task, leave a receipt."""

import errno
import os
import socket
import time
import traceback
from dataclasses import dataclass, replace

from nmcdist.bundle import Bundle, load_bundle
from nmcdist.datasets.folder import Folder, SupersededError
from nmcdist.datasets.writing import remove_files
from nmcdist.errors import BundleError, StoreError
from nmcdist.execution.journal import Journal, Receipt, packed
from nmcdist.log import log
from nmcdist.products.memory import peak_memory_bytes, reset_peak_memory
from nmcdist.products.plan import ItemFailed, Job, Task
from nmcdist.products.registry import kind_of
from nmcdist.wording import one_line

RETRY_S = 0.2


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task.

    Attributes
    ----------
    task : str
    sample : int
        Its item; of several, the failed one, else the first.
    error : str
        One line; empty if the task is done.
    details : str
        The traceback.
    hopeless : bool
        Whether every other task would fail in the same way, for example on a full disk.
    unready : bool
        Whether the worker lacked the bundle, so a retry makes sense.
    seconds : float
        Duration.
    """

    task: str
    sample: int
    error: str = ""
    details: str = ""
    hopeless: bool = False
    unready: bool = False
    seconds: float = 0.0


_held: dict[str, tuple[Job, Bundle | None]] = {}


def hold(job: Job) -> None:
    """Load the data of a job into this process.

    Raises
    ------
    BundleError
        If the bundle cannot be loaded, or is not the one of the plan.
    """
    bundle = None
    if job.bundle_folder is not None:
        bundle = load_bundle(job.bundle_folder)
        if bundle.content_hash != job.bundle_hash:
            raise BundleError(
                f"{job.bundle_folder}: found content hash {bundle.content_hash}, expected {job.bundle_hash}"
            )
    _held[job.key] = job, bundle


def release(key: str) -> None:
    """Release the data that :func:`hold` loaded."""
    _held.pop(key, None)


def run_task(key: str, task: Task) -> Outcome:
    """Make and write the files of a task; errors are returned as data.

    The process must hold the job (:func:`hold`). If the process stops at any moment, it leaves either a receipt
    with the files it names, or no receipt.
    """
    if key not in _held:
        return Outcome(task.name, task.sample, f"worker {_worker()} does not hold the bundle", unready=True)
    job, bundle = _held[key]
    start = time.perf_counter()
    for attempt in range(job.retries + 1):
        outcome = _tried(job, bundle, task)
        if not outcome.error or outcome.hopeless:
            break
        if attempt < job.retries:
            log.info("%s: %s; tried again", task.name, outcome.error)
            log.debug("%s", outcome.details)
            time.sleep(RETRY_S)  # what passes by itself, as a file system that stalls, has passed then
    seconds = time.perf_counter() - start
    log.info("%s: %s after %.2f s", task.name, outcome.error or "done", seconds)
    return replace(outcome, seconds=seconds)


def _tried(job: Job, bundle: Bundle | None, task: Task) -> Outcome:
    try:
        _make(job, bundle, task)
    except Exception as error:
        sample, cause = task.sample, error
        if isinstance(error, ItemFailed):
            sample, cause = error.item, error.error
        text = f"{type(cause).__name__}: {one_line(cause)}"
        if isinstance(cause, OSError) and cause.errno is not None:
            text += f" (in {cause.filename or Folder.of(job.store).path})"
        return Outcome(task.name, sample, text, traceback.format_exc(), hopeless=_is_hopeless(cause))
    return Outcome(task.name, task.sample)


def _make(job: Job, bundle: Bundle | None, task: Task) -> None:
    from nmcdist.threads import set_thread_count

    set_thread_count(job.threads)
    reset_peak_memory()
    store, seconds = Folder.of(job.store), dict[str, float]()
    journal = Journal(job.journal, store.epoch)
    journal.drop_receipt(task.name)
    journal.write_start(task.name, _worker())
    remove_files(store, task.files)
    made = kind_of(job.recipe).make(job, bundle, task, seconds)
    if set(made.files) != set(task.files):
        raise StoreError(f"{task.name}: wrote other files than its own: {sorted(set(made.files) ^ set(task.files))}")
    journal.write_receipt(
        Receipt(
            task=task.name,
            fingerprint=job.fingerprint,
            box=task.box,
            files=made.files,
            partials=None if made.partials is None else packed(made.partials),
            seconds=seconds,
            peak_memory_bytes=peak_memory_bytes(),
            worker=_worker(),
        )
    )


def _is_hopeless(error: BaseException) -> bool:
    """Return whether an error affects every task: one of the disk, or of a run that another driver took over."""
    disk = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG}
    return isinstance(error, SupersededError) or (isinstance(error, OSError) and error.errno in disk)


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
