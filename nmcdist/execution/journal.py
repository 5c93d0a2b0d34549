"""The journal of a run: a folder beside the store with receipts of finished tasks and records of failures.

A receipt is written after the files it vouches for, by a rename, so that every existing receipt is true; before a
task is repeated, its receipt is removed. None of this is in the store, which holds no times and no host names.
"""

import contextlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from nmcdist.datasets.files import FileRecord
from nmcdist.datasets.folder import Epoch, Folder, refuse_all_but_files, refuse_all_but_folders
from nmcdist.datasets.layout import Box
from nmcdist.errors import StoreError
from nmcdist.products.plan import Task

_RECEIPTS, _FAILURES, _STARTS, _TRASH = "receipts", "failures", "started", "trash"
_PROPOSALS = "proposals"
_SETTINGS, _SEAL, _SWAP = "run.json", "sealed.json", "swap.json"


class Receipt(BaseModel):
    """The record of what a task has written.

    Attributes
    ----------
    task : str
    fingerprint : str
        Fingerprint of the run; a receipt of another recipe, bundle or format is void.
    box : Box or None
        Voxels of the volume that it covers, where a task makes one volume.
    files : dict of str to FileRecord
        Path in the store, SHA-256 and size.
    partials : dict or None
        The task's contribution to the descriptors of its volume, or to the statistics of the dataset.
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
    """The folder of a run's journal; no file in it is reached through a link.

    Attributes
    ----------
    folder : Path
    epoch : Epoch, optional
        Epoch of the unfinished store that a worker writes to; in another epoch the worker changes nothing here.
    """

    folder: Path
    epoch: Epoch | None = None

    @property
    def _files(self) -> Folder:
        return Folder(self.folder, self.epoch)

    def refuse_strangers(self) -> None:
        """Refuse records that are not ordinary files, and folders of records that are not the run's own.

        Raises
        ------
        StoreError
            If one is a link, a device, or a file in place of a folder or the reverse.
        """
        refuse_all_but_folders(*(self.folder / name for name in (_RECEIPTS, _FAILURES, _STARTS, _PROPOSALS)))
        refuse_all_but_files(*(self.folder / name for name in (_SETTINGS, _SEAL, _SWAP)))

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Record the settings of the run."""
        self._write(_SETTINGS, json.dumps(settings, indent=1, sort_keys=True) + "\n")

    def settings(self) -> dict[str, Any]:
        """Return the settings of the run; empty if no run was started.

        Raises
        ------
        StoreError
            If the record exists but cannot be read: its run must not be mistaken for none.
        """
        path = self.folder / _SETTINGS
        try:
            content = json.loads(self._files.read(_SETTINGS))
        except FileNotFoundError:
            return {}
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise StoreError(f"{path}: damaged, expected JSON; if it is removed, a run uses what the store says")
        return content

    def write_receipt(self, receipt: Receipt) -> None:
        """Record that a task is done."""
        self._write(f"{_RECEIPTS}/{receipt.task}.json", receipt.model_dump_json() + "\n")
        self._files.remove(f"{_STARTS}/{receipt.task}.json")

    def receipt(self, task: str) -> Receipt | None:
        """Return the receipt of a task; None if it is missing or damaged."""
        try:
            return Receipt.model_validate_json(self._files.read(f"{_RECEIPTS}/{task}.json"))
        except (OSError, ValidationError):
            return None

    def required_receipt(self, task: str) -> Receipt:
        """Return the receipt of a finished task.

        Raises
        ------
        StoreError
            If it is missing or damaged.
        """
        receipt = self.receipt(task)
        if receipt is None:
            raise StoreError(f"{self.folder}: the receipt of {task} is gone; run again with --resume")
        return receipt

    def partials(self, task: Task) -> dict[str, np.ndarray]:
        """Return the partial results of a finished task; StoreError if its receipt is missing."""
        return unpacked(self.required_receipt(task.name).partials or {})

    def result(self, task: str, fingerprint: str) -> dict[str, np.ndarray] | None:
        """Return the partial results of a task; None if it has no receipt of this run."""
        receipt = self.receipt(task)
        return None if receipt is None or receipt.fingerprint != fingerprint else unpacked(receipt.partials or {})

    def has_failed(self, task: str) -> bool:
        """Return whether a task was given up."""
        return (self.folder / f"{_FAILURES}/{task}.txt").is_file()

    def proposal(self, name: str) -> dict[str, Any] | None:
        """Return what was chosen for tasks under a name; None if nothing was, or the record is damaged."""
        try:
            content = json.loads(self._files.read(f"{_PROPOSALS}/{name}.json"))
        except (OSError, ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def keep_proposal(self, name: str, content: dict[str, Any]) -> None:
        """Record what was chosen for tasks under a name, so that it is never chosen again."""
        self._write(f"{_PROPOSALS}/{name}.json", json.dumps(content) + "\n")

    def drop_receipt(self, task: str) -> None:
        """Delete a task's receipt, before its files are touched."""
        self._files.remove(f"{_RECEIPTS}/{task}.json")
        self._files.remove(f"{_FAILURES}/{task}.txt")

    def write_start(self, task: str, worker: str) -> None:
        """Record that a worker started a task; only `status` reads this, so it need not survive a crash."""
        text = json.dumps({"worker": worker, "since": time.time()})
        self._write(f"{_STARTS}/{task}.json", text, durable=False)

    def write_failure(self, task: str, text: str) -> Path:
        """Record why a task failed, and return the file of the record."""
        self._write(f"{_FAILURES}/{task}.txt", text)
        self._files.remove(f"{_STARTS}/{task}.json")
        return self.folder / f"{_FAILURES}/{task}.txt"

    def receipts(self) -> Iterator[os.DirEntry[str]]:
        """Yield the files of receipts."""
        return _entries(self.folder / _RECEIPTS, ".json")

    def starts(self) -> Iterator[os.DirEntry[str]]:
        """Yield the records of started tasks that have neither receipt nor failure."""
        return _entries(self.folder / _STARTS, ".json")

    def failures(self) -> dict[str, str]:
        """Return the last line of the reason for each failed task."""
        found = {}
        for entry in _entries(self.folder / _FAILURES, ".txt"):
            try:
                text = self._files.read(f"{_FAILURES}/{entry.name}").decode(errors="replace")
            except (FileNotFoundError, StoreError):  # the task was started again meanwhile, or this is not a record
                continue
            lines = text.strip().splitlines()
            found[entry.name.removesuffix(".txt")] = lines[-1] if lines else "no reason was recorded"
        return found

    def clear(self) -> None:
        """Delete the records of all tasks."""
        for name in (_RECEIPTS, _FAILURES, _STARTS, _PROPOSALS):
            self.discard(self.folder / name)
        if self.folder.exists():
            self._files.remove(_SEAL)

    def discard(self, folder: Path) -> None:
        """Remove a folder of the run's own: it is renamed first, so that no half of it can pass for a whole one.

        A link in its place is removed itself, and never followed.
        """
        trash = self.folder / _TRASH
        refuse_all_but_folders(self.folder, trash)
        trash.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(trash / secrets.token_hex(8))
        shutil.rmtree(trash, ignore_errors=True)

    def write_seal(self, manifest_sha256: str, versions: Mapping[str, str] | None = None) -> None:
        """Record the SHA-256 (hex) of the manifest with which the run sealed its store.

        Parameters
        ----------
        manifest_sha256 : str
        versions : Mapping, optional
            Versions of the packages on which the bytes of the store depend.
        """
        seal = {"manifest_sha256": manifest_sha256} | ({"versions": dict(versions)} if versions else {})
        self._write(_SEAL, json.dumps(seal) + "\n")

    def seal(self) -> dict[str, Any]:
        """Return the record of the seal; empty if there is none, or it is damaged."""
        try:
            recorded = json.loads(self._files.read(_SEAL))
        except (OSError, ValueError, RecursionError):
            return {}
        return recorded if isinstance(recorded, dict) else {}

    def is_sealed_otherwise(self, manifest_sha256: str) -> bool:
        """Return whether the run sealed its store with another manifest; False if it recorded none."""
        return bool(self.seal().get("manifest_sha256", manifest_sha256) != manifest_sha256)

    def begin_swap(self, old: Path) -> None:
        """Record the folder that is about to make room for the finished store."""
        self._write(_SWAP, json.dumps({"inode": old.lstat().st_ino}) + "\n")

    def is_swapped(self, old: Path) -> bool:
        """Return whether a folder is the one that made room for the finished store."""
        try:
            recorded = json.loads(self._files.read(_SWAP))["inode"]
            return stat.S_ISDIR(old.lstat().st_mode) and old.lstat().st_ino == recorded
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def end_swap(self) -> None:
        """Delete the record of the folder that made room."""
        if self.folder.exists():
            self._files.remove(_SWAP)

    def _write(self, name: str, text: str, *, durable: bool = True) -> None:
        if self.epoch is None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._files.write(name, text.encode(), durable=durable)


def is_done(journal: Journal, store: Path, task: str, fingerprint: str, box: Box | None, files: Sequence[str]) -> bool:
    """Return whether a task's receipt is valid: it belongs to this run, and its files are unchanged."""
    receipt = journal.receipt(task)
    if receipt is None or receipt.fingerprint != fingerprint or receipt.box != box:
        return False
    if set(receipt.files) != set(files):
        return False
    return all(Folder(store).matches(name, record) for name, record in receipt.files.items())


def packed(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return arrays as plain data that JSON stores exactly."""
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


def _entries(folder: Path, suffix: str) -> Iterator[os.DirEntry[str]]:
    if folder.is_dir():
        with os.scandir(folder) as entries:
            yield from (e for e in entries if e.name.endswith(suffix) and e.is_file(follow_symlinks=False))
