"""A cache on disk, of bounded size, which several processes may share and any of them may leave at any moment.

The folder alone is the truth. `entries/` holds whole entries; the time of an entry is that of its last use. `writing/`
holds entries that are being written; the name of each begins with its bytes, and its writer holds a lock on it, so that
one without a lock is left over from a process that died. `ledger` holds an upper bound on the bytes of both, and the
lock under which bytes are claimed; the bound is worked out again from the folder whenever it would exceed the limit.
"""

import contextlib
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from nmcdist.datasets.files import write_all
from nmcdist.virtual.entry import packed, read_file, read_files
from nmcdist.virtual.making import Files

PATIENCE_S = 120.0  # for another process to make an entry: it may be stopped, or on a machine that is gone
_BLOCK = 4096  # bytes in which file systems allocate
_OWN = 2 * _BLOCK  # bytes of the ledger and of folders
_SPARE = 0.1  # share of the limit that is freed at a time, so that few claims read the folder
_ENTRIES, _WRITING, _LOCKS, _LEDGER = "entries", "writing", "locks", "ledger"
_ENTRY, _PARTIAL = re.compile("[0-9a-f]{64}"), re.compile("([0-9]{1,18})-[0-9a-f]{16}")
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Cache:
    """Entries of files by name, on disk. Failures of the disk are misses: they never fail a reader.

    Parameters
    ----------
    folder : Path
        Made if missing.
    limit_bytes : int
        Bytes of all files in the folder, counted in blocks of 4 KiB; what is being written counts.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in (_ENTRIES, _WRITING, _LOCKS):
                (folder / name).mkdir(exist_ok=True, mode=0o700)

    def trouble(self, entry_bytes: int) -> str:
        """Return in one line why entries of some size cannot be kept; empty if they can."""
        if entry_bytes > self.limit_bytes - _OWN:
            return f"a limit of {self.limit_bytes} bytes is less than the {entry_bytes + _OWN} that a chunk may need"
        try:
            with self._ledger():
                partial = self.folder / _WRITING / f"0-{secrets.token_hex(8)}"
                os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600))
                partial.unlink(missing_ok=True)
        except OSError as error:
            return f"{self.folder}: cannot be written ({error.strerror})"
        return ""

    def get(self, name: str, key: str) -> bytes | None:
        """Return one file of an entry, or None if there is no such entry, or it is damaged."""
        with self._entry(name) as handle:
            return None if handle is None else read_file(handle, name, key)

    def get_all(self, name: str) -> Files | None:
        """Return all files of an entry, or None if there is no such entry, or one of them is damaged."""
        with self._entry(name) as handle:
            return None if handle is None else read_files(handle, name)

    def put(self, name: str, files: Files) -> bool:
        """Write an entry, whole or not at all, and return whether it is there; other entries make room for it."""
        content = packed(name, files)
        size = _in_blocks(len(content))
        partial = self.folder / _WRITING / f"{size}-{secrets.token_hex(8)}"
        try:
            handle = self._claimed(partial, size)
            if handle is None:
                return False
            try:
                write_all(handle, content)
                partial.replace(self.folder / _ENTRIES / name)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            finally:
                os.close(handle)
        except OSError:  # a full disk, a folder that is read-only or gone
            return False
        return True

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until no other process makes this entry, for a limited time, and keep others from making it."""
        handle = None
        with contextlib.suppress(OSError):
            handle = os.open(self.folder / _LOCKS / name[:2], os.O_RDWR | os.O_CREAT | _OPEN, 0o600)
            _lock_in_time(handle)
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)

    @contextlib.contextmanager
    def _entry(self, name: str) -> Iterator[int | None]:
        """Give an open entry, now used last; None if there is none."""
        handle = None
        try:
            with contextlib.suppress(OSError):
                handle = os.open(self.folder / _ENTRIES / name, os.O_RDONLY | _OPEN)
                with contextlib.suppress(OSError):  # a read-only folder
                    os.utime(handle)
            try:
                yield handle
            except OSError:  # a bad disk
                return
        finally:
            if handle is not None:
                os.close(handle)

    def _claimed(self, partial: Path, size: int) -> int | None:
        """Return a handle of a new, locked file for an entry of some size; None if there is no room for it."""
        if size > self.limit_bytes - _OWN:
            return None
        with self._ledger() as ledger:
            total = _number_in(ledger)
            if total is None or total + size > self.limit_bytes - _OWN:
                total = self._make_room(size)
            if total + size > self.limit_bytes - _OWN:
                return None
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _put_number(ledger, total + size)
        return handle

    def _make_room(self, size: int) -> int:
        """Remove the entries used longest ago until one of some size fits, and return the bytes that remain."""
        usable = self.limit_bytes - _OWN
        writing, entries = self._bytes_in_flight(), self._entries_by_use()
        total = writing + sum(each for _, each, _ in entries)
        wanted = min(usable - size, int((1 - _SPARE) * usable))
        for _, each, path in entries:
            if total <= wanted:
                break
            path.unlink(missing_ok=True)
            total -= each
        return total

    def _entries_by_use(self) -> list[tuple[int, int, Path]]:
        """Return time, bytes and path of every entry, that used longest ago first."""
        found = []
        with os.scandir(self.folder / _ENTRIES) as listing:
            for entry in listing:
                with contextlib.suppress(OSError):
                    state = entry.stat(follow_symlinks=False)
                    if _ENTRY.fullmatch(entry.name) and not stat.S_ISDIR(state.st_mode):
                        found.append((state.st_mtime_ns, _in_blocks(state.st_size), Path(entry.path)))
        return sorted(found)

    def _bytes_in_flight(self) -> int:
        """Return the bytes that other threads and processes are writing; remove what dead ones left."""
        total = 0
        with os.scandir(self.folder / _WRITING) as listing:
            for entry in listing:
                written = _PARTIAL.fullmatch(entry.name)
                if written is None:  # not of this cache
                    continue
                with contextlib.suppress(OSError):
                    if _is_left_over(entry.path):
                        Path(entry.path).unlink()
                    else:
                        total += int(written[1])
        return total

    @contextlib.contextmanager
    def _ledger(self) -> Iterator[int]:
        """Give the ledger, locked: processes hold it for the time of a claim, and die with their lock."""
        handle = os.open(self.folder / _LEDGER, os.O_RDWR | os.O_CREAT | _OPEN, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)


def _in_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _number_in(ledger: int) -> int | None:
    text = os.pread(ledger, 32, 0)
    return int(text) if text.endswith(b"\n") and text[:-1].isdigit() else None


def _put_number(ledger: int, number: int) -> None:
    os.pwrite(ledger, b"%020d\n" % number, 0)


def _is_left_over(path: str) -> bool:
    """Return whether the process that wrote a file has died."""
    handle = os.open(path, os.O_RDONLY | _OPEN)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _lock_in_time(handle: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
