"""Locks that keep two drivers off one run; the system releases them when a process ends, however it ends."""

import contextlib
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nmcdist.datasets.folder import Folder, refuse_all_but_folders
from nmcdist.errors import StoreError
from nmcdist.inputs import kind_of

_PROBED_S = 2.0  # processes that only test whether a lock is free release it within this time
_LOOKED_S = 0.2  # the same for the lock of a whole run, which only `status` tests
_FOLDERS = ("receipts", "failures", "started", "bundle", "describe", "trash")
_OURS = ("lock", "run.json", "receipts")  # every folder made by a run holds one of them


@dataclass(frozen=True)
class Driver:
    """The process that holds, or held, a lock.

    Attributes
    ----------
    process : int
    host : str
    since : float
        Unix time at which it acquired the lock.
    holds : bool
        Whether the lock is held, as far as this machine can see.
    """

    process: int
    host: str
    since: float
    holds: bool

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


@contextlib.contextmanager
def locked(folder: Path, part: tuple[int, int] | None = None) -> Iterator[None]:
    """Lock a run, or a part of it, against other drivers.

    Parameters
    ----------
    folder : Path
        Folder of the run's journal; made if it is missing.
    part : (k, n), optional
        Only the k-th of n parts: drivers of the other n - 1 may work at the same time, but no other driver.

    Raises
    ------
    StoreError
        If another process holds the lock, or the folder was not made by a run.
    """
    refuse_all_but_folders(folder, *(folder / name for name in _FOLDERS))
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_stranger(folder)
    with contextlib.ExitStack() as stack:
        if part is None:
            stack.enter_context(_flocked(folder / "lock", fcntl.LOCK_EX, f"{folder}: another run", _LOOKED_S))
        else:
            k, n = part
            stack.enter_context(_flocked(folder / "lock", fcntl.LOCK_SH, f"{folder}: a run of all items"))
            division = folder / f"parts-of-{n}.lock"
            stack.enter_context(_flocked(division, fcntl.LOCK_SH, f"{folder}: another run", _PROBED_S))
            for other in folder.glob("parts-of-*.lock"):
                if other != division:
                    what = f"{folder}: a run in {other.stem.removeprefix('parts-of-')} parts, not {n},"
                    with _flocked(other, fcntl.LOCK_EX, what, _PROBED_S):
                        pass
            own = folder / f"part-{k}-of-{n}.lock"
            stack.enter_context(_flocked(own, fcntl.LOCK_EX, f"{folder}: part {k}/{n}", _LOOKED_S))
        yield


@contextlib.contextmanager
def alone(path: Path, patience_s: float, whose: str) -> Iterator[None]:
    """Let one process at a time enter; the others wait for a limited time."""
    with _flocked(path, fcntl.LOCK_EX, whose, patience_s):
        yield


def drivers_of(folder: Path) -> list[Driver]:
    """Return the drivers that work on a run or died while they did; those that ended normally are left out."""
    found = []
    for path in (folder / "lock", *sorted(folder.glob("part-*-of-*.lock"))):
        driver = _owner(path)
        if driver is not None or _is_held(path):
            process, host, since = driver or (0, "an unknown machine", 0.0)
            found.append(Driver(process, host, since, _is_held(path)))
    return found


@contextlib.contextmanager
def _flocked(path: Path, kind: int, whose: str, patience_s: float = 0.0) -> Iterator[None]:
    """Hold a lock; the holder of an exclusive lock writes its name beside it, holders of a shared lock cannot."""
    handle, end = _opened(path, os.O_RDWR | os.O_CREAT), time.monotonic() + patience_s
    try:
        while not _try_flock(handle, kind, path):
            if time.monotonic() >= end:
                owner = _owner(path)
                named = f" (process {owner[0]} on {owner[1]})" if owner else ""
                raise StoreError(f"{whose}{named} is working on this dataset")
            time.sleep(0.02)
        folder, name = Folder(path.parent), f"{path.name}.owner"
        folder.remove(name)  # left by a process that died
        if kind == fcntl.LOCK_EX:
            owned = {"process": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            folder.write(name, json.dumps(owned).encode())
        try:
            yield
        finally:
            if kind == fcntl.LOCK_EX:
                folder.remove(name)
    finally:
        os.close(handle)


def _opened(path: Path, flags: int) -> int:
    """Open the file of a lock, which is never written to."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode):
                raise StoreError(f"{path}: is {kind_of(mode)}, expected a lock of the run's own") from None
        raise
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise StoreError(f"{path}: is {kind_of(mode)}, expected a lock of the run's own")
    return handle


def _try_flock(handle: int, kind: int, path: Path) -> bool:
    """Acquire a lock unless another process holds it; StoreError on a file system without locks."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(
            f"{path}: this file system has no locks ({error.strerror}); mount it with them (Lustre: -o flock), or put "
            "the dataset elsewhere"
        ) from None
    return True


def _is_held(path: Path) -> bool:
    """Return whether another process holds an exclusive lock."""
    try:
        handle = _opened(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _try_flock(handle, fcntl.LOCK_SH, path)
    finally:
        os.close(handle)


def _owner(path: Path) -> tuple[int, str, float] | None:
    """Return process, host and start time of the holder of a lock, or of the process that died with it."""
    try:
        content = json.loads(Folder(path.parent).read(f"{path.name}.owner"))
        return int(content["process"]), str(content["host"]), float(content["since"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _refuse_stranger(folder: Path) -> None:
    """Refuse a folder that holds files, but none of a run."""
    names = {entry.name for entry in os.scandir(folder)}
    if names and not names.intersection(_OURS):
        raise StoreError(f"{folder}: holds {min(names)!r} and no journal of a run; move it away")
