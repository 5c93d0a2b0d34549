"""The journal of a run: a folder beside the store with receipts of what was made and what failed.

A receipt is written after the files it vouches for, by a rename, so that what is there is true; before a
task starts anew its receipt goes first. Nothing of this is in the store, which holds no clocks and no hosts.
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from nmcdist.datasets.files import FileRecord, matches, write_text
from nmcdist.datasets.layout import Box
from nmcdist.errors import StoreError

_PROBED_S = 2.0  # in which others who only look whether a lock is free let go of it


class Receipt(BaseModel):
    """What a task has written.

    Attributes
    ----------
    task : str
    fingerprint : str
        Of the run; a receipt of another recipe, bundle or format is void.
    box : Box or None
        Voxels of the volume that it covers, where a task makes one volume.
    files : dict of str to FileRecord
        Path in the store, SHA-256 and size.
    partials : dict or None
        What a task adds to the descriptors of its volume, or to the statistics of the dataset.
    seconds : dict of str to float
        Wall time of drawing, writing and describing.
    peak_memory_bytes : int
    worker : str
        Process and host that made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    fingerprint: str
    box: Box | None = None
    files: dict[str, FileRecord]
    partials: dict[str, Any] | None = None
    seconds: dict[str, float] = {}
    peak_memory_bytes: int = 0
    worker: str = ""


@dataclass(frozen=True)
class Journal:
    """The folder of a run's journal."""

    folder: Path

    @property
    def _receipts(self) -> Path:
        return self.folder / "receipts"

    @property
    def _failures(self) -> Path:
        return self.folder / "failures"

    @property
    def _starts(self) -> Path:
        return self.folder / "started"

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Record what the run was started with."""
        write_text(self.folder / "run.json", json.dumps(settings, indent=1, sort_keys=True) + "\n")

    def settings(self) -> dict[str, Any]:
        """Return what the run was started with; nothing if no run was.

        Raises
        ------
        StoreError
            If the record is there but cannot be read: what it is of must not be taken for nobody's.
        """
        path = self.folder / "run.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise StoreError(f"{path}: damaged, expected JSON; without this file, a run goes by what the store says")
        return content

    def write_receipt(self, receipt: Receipt) -> None:
        """Record that a task is done."""
        write_text(self._receipts / f"{receipt.task}.json", receipt.model_dump_json() + "\n")
        (self._starts / f"{receipt.task}.json").unlink(missing_ok=True)

    def receipt(self, task: str) -> Receipt | None:
        """Return the receipt of a task; None if there is none or it is damaged."""
        try:
            return Receipt.model_validate_json((self._receipts / f"{task}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def required_receipt(self, task: str) -> Receipt:
        """Return the receipt of a task that is done.

        Raises
        ------
        StoreError
            If there is none or it is damaged.
        """
        receipt = self.receipt(task)
        if receipt is None:
            raise StoreError(f"{self.folder}: the receipt of {task} is gone; run again with --resume")
        return receipt

    def drop_receipt(self, task: str) -> None:
        """Forget that a task was done, before its files are touched."""
        (self._receipts / f"{task}.json").unlink(missing_ok=True)
        (self._failures / f"{task}.txt").unlink(missing_ok=True)

    def write_start(self, task: str, worker: str) -> None:
        """Record that a worker began a task; for those who look on, so that it need not survive a crash."""
        self._starts.mkdir(parents=True, exist_ok=True)
        (self._starts / f"{task}.json").write_text(json.dumps({"worker": worker, "since": time.time()}))

    def write_failure(self, task: str, text: str) -> Path:
        """Record why a task failed, and return the file that says so."""
        path = self._failures / f"{task}.txt"
        write_text(path, text)
        (self._starts / f"{task}.json").unlink(missing_ok=True)
        return path

    def receipts(self) -> Iterator[os.DirEntry[str]]:
        """Yield the files of receipts."""
        return _entries(self._receipts, ".json")

    def starts(self) -> Iterator[os.DirEntry[str]]:
        """Yield the records of tasks that began and have neither receipt nor failure."""
        return _entries(self._starts, ".json")

    def failures(self) -> dict[str, str]:
        """Return, for each task that failed, the last line of why."""
        found = {}
        for entry in _entries(self._failures, ".txt"):
            try:
                lines = Path(entry.path).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            except FileNotFoundError:  # the task was begun anew meanwhile
                continue
            found[entry.name.removesuffix(".txt")] = lines[-1] if lines else "no reason was recorded"
        return found

    def clear(self) -> None:
        """Forget every task."""
        for folder in (self._receipts, self._failures, self._starts):
            shutil.rmtree(folder, ignore_errors=True)


def is_done(journal: Journal, store: Path, task: str, fingerprint: str, box: Box | None, files: Sequence[str]) -> bool:
    """Return whether a task's receipt holds: it is of this run, and its files are as they were written."""
    receipt = journal.receipt(task)
    if receipt is None or receipt.fingerprint != fingerprint or receipt.box != box:
        return False
    if set(receipt.files) != set(files):
        return False
    return all(matches(store / name, record) for name, record in receipt.files.items())


def packed(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return arrays as plain data that JSON keeps exactly."""
    return {
        name: {"dtype": array.dtype.str, "shape": list(array.shape), "values": array.ravel().tolist()}
        for name, array in arrays.items()
    }


def unpacked(content: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays that :func:`packed` turned into plain data."""
    return {
        name: np.array(record["values"], dtype=record["dtype"]).reshape(record["shape"])
        for name, record in content.items()
    }


@contextlib.contextmanager
def locked(folder: Path, part: tuple[int, int] | None = None) -> Iterator[None]:
    """Keep other drivers off a run, or off a part of it; the system lets go when this process ends, however it ends.

    Parameters
    ----------
    folder : Path
    part : (k, n), optional
        Only the k-th of n parts: drivers of the other n - 1 may work at the same time, and nobody else.

    Raises
    ------
    StoreError
        If another process has the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if part is None:
            stack.enter_context(_flocked(folder / "lock", fcntl.LOCK_EX, f"{folder}: another run"))
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
            stack.enter_context(_flocked(folder / f"part-{k}-of-{n}.lock", fcntl.LOCK_EX, f"{folder}: part {k}/{n}"))
        yield


@contextlib.contextmanager
def _flocked(path: Path, kind: int, whose: str, patience_s: float = 0.0) -> Iterator[None]:
    """Hold a lock. Who holds one alone writes its name into the file; of those who share one, none can."""
    handle, end = os.open(path, os.O_RDWR | os.O_CREAT, 0o666), time.monotonic() + patience_s
    try:
        while not try_flock(handle, kind, path):
            if time.monotonic() >= end:
                owner = os.pread(handle, 200, 0).decode(errors="replace").strip()
                named = f" (process {owner})" if owner else ""
                raise StoreError(f"{whose}{named} is working on this dataset")
            time.sleep(0.02)
        os.ftruncate(handle, 0)
        if kind == fcntl.LOCK_EX:
            os.pwrite(handle, f"{os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def try_flock(handle: int, kind: int, path: Path) -> bool:
    """Take a lock unless another process has it; StoreError on a file system that has no locks."""
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


def _entries(folder: Path, suffix: str) -> Iterator[os.DirEntry[str]]:
    if folder.is_dir():
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if entry.name.endswith(suffix))
