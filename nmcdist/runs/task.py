"""The work itself, as plain functions that any scheduler can call: draw, write, describe, leave a receipt."""

import os
import socket
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets.files import file_record, link_or_copy
from nmcdist.datasets.integrity import read_manifest
from nmcdist.datasets.layout import VOLUME, Shape, Variable
from nmcdist.datasets.store import read_block, remove_files, write_block, write_descriptors
from nmcdist.errors import BundleError, StoreError
from nmcdist.runs import cba
from nmcdist.runs.journal import Journal, Receipt, packed
from nmcdist.runs.memory import peak_memory_bytes, reset_peak_memory
from nmcdist.runs.plan import Task, owned_files
from nmcdist.runs.recipe import DescriptorSpec


@dataclass(frozen=True)
class Job:
    """What all tasks of a run share; every worker gets it once.

    Attributes
    ----------
    store, journal : Path
        The store in the making, and the folder of the journal.
    bundle_folder : Path or None
        Where workers load the bundle from; None where volumes are not drawn.
    bundle_hash, fingerprint : str
    source : Path or None
        A finished store whose volumes are taken instead of drawn.
    seed : int
    shape : tuple of int
    voxel_size_nm : float
    descriptors : DescriptorSpec or None
    variables : tuple of Variable
    by_blocks : bool
    threads : int
        Threads of the kernels of one task.
    """

    store: Path
    journal: Path
    bundle_folder: Path | None
    bundle_hash: str
    fingerprint: str
    source: Path | None
    seed: int
    shape: Shape
    voxel_size_nm: float
    descriptors: DescriptorSpec | None
    variables: tuple[Variable, ...]
    by_blocks: bool
    threads: int

    @property
    def volume(self) -> Variable | None:
        """The variable of the volumes; None where they are not stored."""
        return next((v for v in self.variables if v.name == VOLUME), None)


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes
    ----------
    task : str
    sample : int
    error : str
        One line; empty if the task is done.
    details : str
        The traceback.
    hopeless : bool
        Whether every other task would fail in the same way, as on a full disk.
    unready : bool
        Whether the worker lacked the bundle, so that the task is worth another try.
    """

    task: str
    sample: int
    error: str = ""
    details: str = ""
    hopeless: bool = False
    unready: bool = False


_held: dict[str, tuple[Job, Bundle | None]] = {}


def hold(job: Job) -> None:
    """Load what the tasks of a job need into this process.

    Raises
    ------
    BundleError
        If the bundle cannot be loaded or is not the one that the job was planned with.
    """
    from nmcdist.bundle import load_bundle

    bundle = None
    if job.bundle_folder is not None:
        bundle = load_bundle(job.bundle_folder)
        if bundle.content_hash != job.bundle_hash:
            raise BundleError(
                f"{job.bundle_folder}: found content hash {bundle.content_hash}, expected {job.bundle_hash}"
            )
    _held[job.fingerprint] = job, bundle


def release(fingerprint: str) -> None:
    """Forget what :func:`hold` loaded."""
    _held.pop(fingerprint, None)


def run_task(fingerprint: str, task: Task) -> Outcome:
    """Make and write what a task owns; what goes wrong comes back as data.

    The process must hold the job (:func:`hold`). Stopping the process at any moment leaves either a receipt
    with the files it names, or no receipt.
    """
    if fingerprint not in _held:
        return Outcome(task.name, task.sample, f"worker {_worker()} does not hold the bundle", unready=True)
    job, bundle = _held[fingerprint]
    try:
        _make(job, bundle, task)
    except Exception as error:
        return Outcome(
            task.name, task.sample, f"{type(error).__name__}: {_one_line(error)}", traceback.format_exc(),
            hopeless=_is_hopeless(error),
        )  # fmt: skip
    return Outcome(task.name, task.sample)


def _make(job: Job, bundle: Bundle | None, task: Task) -> None:
    from nmcdist.threads import set_thread_count

    set_thread_count(job.threads)
    reset_peak_memory()
    journal, seconds = Journal(job.journal), dict[str, float]()
    files = owned_files(job.variables, task, by_blocks=job.by_blocks)
    journal.drop_receipt(task.name)
    remove_files(job.store, files)
    window = _volume(job, bundle, task, seconds)
    core = tuple(slice(a - w, b - w) for (a, b), (w, _) in zip(task.box, task.window, strict=True))
    if job.volume is not None and job.source is None:
        with _timed(seconds, "write"):
            write_block(job.store, job.volume, task.sample, task.box, window[core])
    partials = None
    if job.descriptors is not None:
        with _timed(seconds, "describe"):
            partials = _describe(job, task, window, core)
    journal.write_receipt(
        Receipt(
            task=task.name,
            fingerprint=job.fingerprint,
            box=task.box,
            files={name: file_record(job.store / name) for name in files},
            partials=partials,
            seconds=seconds,
            peak_memory_bytes=peak_memory_bytes(),
            worker=_worker(),
        )
    )


def _volume(job: Job, bundle: Bundle | None, task: Task, seconds: dict[str, float]) -> np.ndarray:
    """Return the voxels of a task's window, drawn, or read from the store that they are taken from."""
    (z, y, x) = task.window
    if job.source is None:
        assert bundle is not None  # hold() loads it for every job without a source
        with _timed(seconds, "draw"):
            shape = (z[1] - z[0], y[1] - y[0], x[1] - x[0])
            return cba.draw(bundle, task.changes, shape, job.voxel_size_nm, job.seed, task.sample, (z[0], y[0], x[0]))
    with _timed(seconds, "read"):
        _take_files(job, job.source, task)
        return read_block(job.source, task.sample, task.window)


def _take_files(job: Job, source: Path, task: Task) -> None:
    manifest = read_manifest(source)
    assert job.volume is not None  # only stores with volumes are described again
    for name in owned_files((job.volume,), task, by_blocks=job.by_blocks):
        if file_record(source / name) != manifest.get(name):
            raise StoreError(f"{source}: {name}: damaged; run `nmcdist verify`, then heal it with --resume")
        link_or_copy(source / name, job.store / name)


def _describe(job: Job, task: Task, window: np.ndarray, core: Sequence[slice]) -> dict | None:
    assert job.descriptors is not None
    if job.by_blocks:
        return packed(cba.describe_block(window, tuple(core), job.shape, job.voxel_size_nm, job.descriptors))
    values = cba.describe(window, job.voxel_size_nm, job.descriptors)
    descriptors = [v for v in job.variables if v.name != VOLUME]
    write_descriptors(job.store, descriptors, task.sample, values)
    return None


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - start, 3)


def _is_hopeless(error: BaseException) -> bool:
    """Return whether an error is of the disk, and so meets every task."""
    import errno

    disk = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG}
    return isinstance(error, OSError) and error.errno in disk


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
