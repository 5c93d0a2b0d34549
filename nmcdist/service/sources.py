"""Where the bytes of a release come from: the files of a folder, or a store that computes.

A key is looked up in the manifest, or in the layout of a computed store. No path is made of what a client sends.
"""

import os
import threading
from collections.abc import Mapping
from typing import Protocol

from nmcdist.datasets.files import FileRecord, record_of_handle
from nmcdist.datasets.folder import Folder
from nmcdist.errors import StoreError

_LOCKS = 64


class Content(Protocol):
    """Bytes that are ready to be read."""

    size: int

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`."""

    def close(self) -> None:
        """Give back what the content holds."""


class Source(Protocol):
    """The bytes of a release by key."""

    def computes(self, key: str) -> bool:
        """Return whether opening a key may take long, and its size is unknown before."""

    def is_checked(self, key: str) -> bool:
        """Return False if opening a key reads the whole file first, to compare it with its checksum."""

    def etag(self, key: str) -> str:
        """Return the entity tag of a key, in quotes; KeyError if there is no such key. Nothing is computed."""

    def open(self, key: str) -> Content:
        """Return the content of a known key.

        Raises
        ------
        StoreError
            If it is missing, damaged, or cannot be made.
        Busy
            If too many items wait to be made.
        """


class Files:
    """The files of a folder that its manifest names, each compared with its checksum when it is first opened.

    A file is read for that only once, until its size, time or inode changes.

    Parameters
    ----------
    folder : Folder
    records : Mapping of str to FileRecord
        The records by path relative to the folder; no other file is served.
    """

    def __init__(self, folder: Folder, records: Mapping[str, FileRecord]) -> None:
        self._folder, self._records = folder, records
        self._checked: dict[str, tuple[tuple[int, ...], bool]] = {}  # what the file was, and whether it was whole
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    @property
    def names(self) -> tuple[str, ...]:
        """The keys."""
        return tuple(self._records)

    def has(self, key: str) -> bool:
        """Return whether there is such a key."""
        return key in self._records

    def computes(self, key: str) -> bool:
        """Return False: files are on the disk."""
        return False

    def is_checked(self, key: str) -> bool:
        """Return whether a file has been compared with its checksum, or is unknown."""
        return key in self._checked or key not in self._records

    def etag(self, key: str) -> str:
        """Return the SHA-256 that the manifest records, in quotes."""
        return f'"{self._records[key].sha256}"'

    def open(self, key: str) -> Content:
        """Open a file, without following a link, and compare it with its record when it is first opened."""
        handle = self._folder.open(key)
        try:
            size, expected = os.fstat(handle).st_size, self._records[key].size
            if size != expected:
                raise StoreError(f"{self._folder / key}: has {size} bytes, expected {expected}")
            if not self._is_whole(key, handle):
                raise StoreError(f"{self._folder / key}: does not match its checksum")
        except BaseException:
            os.close(handle)
            raise
        return OpenFile(handle, size)

    def _is_whole(self, key: str, handle: int) -> bool:
        """Return whether an open file matches its checksum; several threads that ask at once read it once."""
        state = os.fstat(handle)
        stamp = state.st_size, state.st_mtime_ns, state.st_ino, state.st_dev
        known = self._checked.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        with self._locks[hash(key) % _LOCKS]:
            known = self._checked.get(key)
            if known is None or known[0] != stamp:
                known = stamp, record_of_handle(handle) == self._records[key]
                self._checked[key] = known
            return known[1]


class Made:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data, self.size = data, len(data)

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`."""
        return self._data[start:stop]

    def close(self) -> None:
        """Do nothing."""


class OpenFile:
    """An open file of known size."""

    def __init__(self, handle: int, size: int) -> None:
        self._handle: int | None = handle
        self.size = size

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`; StoreError if the file is closed or has become shorter."""
        if self._handle is None:
            raise StoreError("the file is closed")
        parts = []
        while start < stop:
            if not (part := os.pread(self._handle, stop - start, start)):
                raise StoreError("a file became shorter while it was read")
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
