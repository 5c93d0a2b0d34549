"""A folder of a run or a store, accessed by handles, never through links, and only while it belongs to the run.

Anyone who can write beside a run can put links into its folders, or rename them while a worker waits. So every path
below a folder is opened step by step from a handle of that folder, and files are written under a new name, then
renamed. An unfinished store contains the epoch of its driver: a worker of an earlier driver finds another epoch and
stops.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nmcdist.datasets.files import FileRecord, existing_parent, record_of_handle, write_all
from nmcdist.errors import StoreError
from nmcdist.inputs import existing_folder, kind_of

MARK = ".epoch"  # in unfinished stores only

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MARK_BYTES = 4096


class SupersededError(StoreError):
    """Another driver has started on an unfinished store since the job was sent."""


@dataclass(frozen=True)
class Epoch:
    """The mark that an unfinished store must have for a job to go on.

    Attributes
    ----------
    store : Path
    value : str
        Random name of the driver's turn.
    """

    store: Path
    value: str

    def check(self) -> None:
        """Raise SupersededError if the store is gone, sealed, or belongs to another driver."""
        if mark_of(self.store)[:1] != (self.value,):
            raise SupersededError(f"{self.store}: another run has started here, so the work of this one does not count")


@dataclass(frozen=True)
class Folder:
    """A folder that is not a link; links below it are not followed.

    Attributes
    ----------
    path : Path
    epoch : Epoch, optional
        Checked before every change, after opening the handles of the changed files.
    """

    path: Path
    epoch: Epoch | None = None

    @staticmethod
    def of(folder: "Folder | Path") -> "Folder":
        """Return the folder, or the folder of a path."""
        return folder if isinstance(folder, Folder) else Folder(folder)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def write(self, name: str, data: bytes | memoryview, *, durable: bool = False) -> None:
        """Write a file under a new name, then rename it, so it becomes visible only when complete.

        Raises
        ------
        StoreError
            If a link or a file is in place of a folder, or another driver has started on this store.
        OSError
            If it cannot be written; the error names the file.
        """
        with self._parent(name, make=True) as (parent, last):
            partial = f".{last}.{secrets.token_hex(8)}.partial"
            handle = os.open(partial, _CREATE, 0o666, dir_fd=parent)
            try:
                try:
                    write_all(handle, data)
                    if durable:
                        os.fsync(handle)
                finally:
                    os.close(handle)
                self.check()
                os.replace(partial, last, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                os.unlink(partial, dir_fd=parent)
                raise
            if durable:
                os.fsync(parent)

    def read(self, name: str) -> bytes:
        """Return the content of an ordinary file.

        Raises
        ------
        StoreError
            If it is not an ordinary file, or its path leads through a link.
        OSError
            If it is missing or cannot be read; the error names the file.
        """
        with self._opened(name) as handle, os.fdopen(os.dup(handle), "rb") as stream:
            return stream.read()

    def open(self, name: str) -> int:
        """Return a handle of an ordinary file, which the caller closes; raises as :meth:`read`."""
        with self._opened(name) as handle:
            return os.dup(handle)

    def record(self, name: str) -> FileRecord:
        """Return the record of an ordinary file; raises as :meth:`read`."""
        with self._opened(name) as handle:
            return record_of_handle(handle)

    def matches(self, name: str, record: FileRecord) -> bool:
        """Return whether an ordinary file exists and matches the record."""
        try:
            with self._opened(name) as handle:
                return os.fstat(handle).st_size == record.size and record_of_handle(handle) == record
        except OSError:
            return False

    def remove(self, name: str) -> None:
        """Remove a file, or a link in its place; ignore a missing file."""
        with contextlib.suppress(FileNotFoundError), self._parent(name) as (parent, last):
            self.check()
            os.unlink(last, dir_fd=parent)

    def remove_tree(self, name: str) -> None:
        """Remove a folder below this one; ignore a missing folder."""
        with contextlib.suppress(FileNotFoundError), self._parent(name) as (parent, last):
            self.check()
            shutil.rmtree(last, dir_fd=parent)

    def link(self, source: "Folder", name: str) -> None:
        """Hard-link a file of another folder into this one; copy it if the file system has no hard links."""
        self.remove(name)
        with source._opened(name) as handle, self._parent(name, make=True) as (parent, last):
            self.check()
            with source._parent(name) as (origin, _):
                try:
                    os.link(last, last, src_dir_fd=origin, dst_dir_fd=parent, follow_symlinks=False)
                    return
                except OSError:
                    with os.fdopen(os.dup(handle), "rb") as stream:
                        content = stream.read()
        self.write(name, content)

    def begin(self, fingerprint: str) -> "Folder":
        """Start a driver's turn on an unfinished store; workers of earlier turns can no longer change it.

        Parameters
        ----------
        fingerprint : str
            Fingerprint of the run, which identifies the folder even while its metadata is rewritten.
        """
        value = secrets.token_hex(16)
        self.write(MARK, f"{value} {fingerprint}\n".encode(), durable=True)
        return Folder(self.path, Epoch(self.path, value))

    def check(self) -> None:
        """Raise SupersededError if another driver has started on this store since the epoch was issued."""
        if self.epoch is not None:
            self.epoch.check()

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        """Yield a handle of an ordinary file."""
        with self._parent(name) as (parent, last):
            try:
                handle = os.open(last, _READ, dir_fd=parent)
            except OSError as error:
                raise _named(error, self.path / name, parent, last) from None
            try:
                mode = os.fstat(handle).st_mode
                if not stat.S_ISREG(mode):
                    raise StoreError(f"{self.path / name}: is {kind_of(mode)}, expected an ordinary file")
                yield handle
            finally:
                os.close(handle)

    @contextlib.contextmanager
    def _parent(self, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Yield a handle of a file's folder, and the file's name in it."""
        *folders, last = name.split("/")
        path = self.path
        with contextlib.ExitStack() as stack:
            parent = _folder(path)
            stack.callback(os.close, parent)
            if make:
                self.check()
            for folder in folders:
                path = path / folder
                parent = _folder(path, parent, make=make)
                stack.callback(os.close, parent)
            try:
                yield parent, last
            except StoreError:
                raise
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path / name)) from error


def mark_of(store: Path) -> tuple[str, ...]:
    """Return the epoch and the fingerprint in the mark of an unfinished store; empty if it has no mark."""
    folder = Folder(store)
    try:
        with folder._opened(MARK) as handle:
            words = tuple(os.read(handle, _MARK_BYTES).decode(errors="replace").split())
    except OSError:
        return ()
    return words if len(words) == 2 else ()


def refuse_all_but_folders(*paths: Path) -> None:
    """Refuse anything but a folder under the names that a run uses for folders.

    Raises
    ------
    StoreError
        If a name is a link or a file, or below a file.
    """
    for path in paths:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            existing_folder(existing_parent(path), StoreError)
            raise
        if not stat.S_ISDIR(mode):
            raise StoreError(f"{path}: is {kind_of(mode)}, expected a folder of the run's own; move it away")


def refuse_all_but_files(*paths: Path) -> None:
    """Refuse anything but an ordinary file under the names that a run uses for files.

    Raises
    ------
    StoreError
        If a name is a folder, a link or a device.
    """
    for path in paths:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode):
                raise StoreError(f"{path}: is {kind_of(mode)}, expected an ordinary file; move it away")


def _folder(path: Path, parent: int | None = None, *, make: bool = False) -> int:
    """Return a handle of a folder, by its path or by its name in a parent handle."""
    name = str(path) if parent is None else path.name
    if make:
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:
            pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except OSError as error:
        raise _named(error, path, parent, name, "a folder of the run's own") from None


def _named(error: OSError, path: Path, parent: int | None, name: str, expected: str = "an ordinary file") -> OSError:
    """Return an error that names the path, and its type if it is not a folder."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
        with contextlib.suppress(OSError):
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(mode):
                return StoreError(f"{path}: is {kind_of(mode)}, expected {expected}")
    return OSError(error.errno, error.strerror, str(path))
