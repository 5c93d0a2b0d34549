"""File operations of this package: files are hashed, and become visible only when they are complete."""

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nmcdist.datasets.final_names import final_names
from nmcdist.errors import StoreError
from nmcdist.inputs import kind_of

_READ = 1 << 20


class FileRecord(NamedTuple):
    """The record of a file: its SHA-256 (hex) and its size in bytes."""

    sha256: str
    size: int


def file_record(path: Path) -> FileRecord:
    """Read an ordinary file and return its record.

    Raises
    ------
    StoreError
        If it is a link, a pipe, a device or a folder.
    OSError
        If it is missing or cannot be read.
    """
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path}: is {kind_of(mode)}, expected an ordinary file")
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return record_of_handle(handle)
    finally:
        os.close(handle)


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the content of an ordinary file.

    Raises
    ------
    StoreError
        If it is a link, a pipe, a device or a folder, or has more bytes than the limit.
    OSError
        If it is missing or cannot be read.
    """
    state = path.lstat()
    if not stat.S_ISREG(state.st_mode):
        raise StoreError(f"{path}: is {kind_of(state.st_mode)}, expected an ordinary file")
    if state.st_size > limit:
        raise StoreError(f"{path}: has {state.st_size} bytes, expected at most {limit}")
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        return stream.read(state.st_size + 1)  # not `limit`: that much memory would be allocated first


def refuse_special(root: Path, name: str, known: set[str] | None = None) -> None:
    """Refuse special files in place of a file below a folder or of a folder on its path; ignore a missing file.

    Parameters
    ----------
    root : Path
        May be a link, and be reached through links.
    name : str
        Path of the file relative to `root`.
    known : set of str, optional
        Folders that are not checked again; newly checked folders are added.

    Raises
    ------
    StoreError
        If the file is a link, pipe, socket or device, or its path leads through anything but folders.
    """
    known = set() if known is None else known
    parts = name.split("/")
    folders = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
    for folder in (folder for folder in folders if folder not in known):
        mode = _mode_of(root / folder)
        if mode is None:
            return
        if not stat.S_ISDIR(mode):
            raise StoreError(f"{root / folder}: is {kind_of(mode)}, expected a folder")
        known.add(folder)
    mode = _mode_of(root / name)
    if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StoreError(f"{root / name}: is {kind_of(mode)}, expected an ordinary file")


def _mode_of(path: Path) -> int | None:
    """Return the mode of a path itself, not of its link target; None if it is missing or out of reach."""
    try:
        return path.lstat().st_mode
    except OSError:
        return None


def record_of_handle(handle: int) -> FileRecord:
    """Read an open file from its beginning and return its record."""
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.dup(handle), "rb", buffering=0) as stream:
        while block := stream.read(_READ):
            digest.update(block)
            size += len(block)
    return FileRecord(digest.hexdigest(), size)


def write_all(handle: int, data: bytes | memoryview) -> None:
    """Write all bytes to an open file, in several calls if needed."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(handle, rest) :]


def matches(path: Path, record: FileRecord) -> bool:
    """Return whether an ordinary file exists and matches the record."""
    try:
        return path.lstat().st_size == record.size and file_record(path) == record
    except OSError:
        return False


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add this path to system errors that name no file, for example on a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or os.strerror(error.errno), str(path)) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty new file to write to; if the block succeeds, the file is renamed to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}")
    with final_names(partial, path):
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        try:
            with naming(path):
                yield partial
                flush(partial)
                partial.replace(path)
                flush(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file, which becomes visible only when complete."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Let one process at a time change a folder; the others wait. The folder is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with naming(folder):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def flush(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def entries_below(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the relative path and state of everything below a folder except folders; do not follow links."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with contextlib.suppress(FileNotFoundError), os.scandir(folder / prefix) as entries:  # others may remove it
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{prefix}{entry.name}/")
                else:
                    with contextlib.suppress(FileNotFoundError):
                        yield prefix + entry.name, entry.stat(follow_symlinks=False)


def files_below(folder: Path) -> Iterator[str]:
    """Yield the relative paths of everything below a folder except folders, in sorted order."""
    yield from sorted(name for name, _ in entries_below(folder))


def existing_parent(path: Path) -> Path:
    """Return the path itself, or its nearest existing parent, which need not be a folder."""
    path = path.absolute()
    while not os.path.lexists(path):
        path = path.parent
    return path


def readable_bytes(count: float) -> str:
    """Return a size in a readable unit, such as "1.5 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.4g} EiB"


def parsed_bytes(text: str | int) -> int:
    """Return the number of bytes in "8GiB", "500 MB" or 1024.

    Raises
    ------
    ValueError
        If the text has another form.
    """
    units: dict[str, int] = {"": 1, "B": 1}
    for power, letter in enumerate("KMGT", start=1):
        units |= {f"{letter}IB": 1024**power, f"{letter}B": 1000**power}
    if not str(text).isascii() or "_" in str(text):  # Python would read both as numbers
        raise ValueError(f"found {text!r}, expected a size such as 8GiB or 500MB")
    bare: Any = str(text).strip().upper()
    number = bare.rstrip("KMGTIB ")
    unit = bare[len(number) :].strip()
    try:
        value = float(number) * units[unit]
    except (KeyError, ValueError):
        raise ValueError(f"found {text!r}, expected a size such as 8GiB or 500MB") from None
    if not 0 < value < 1e18:
        raise ValueError(f"found {text!r}, expected a size above 0 and below 1,000,000 TB")
    return int(value)
