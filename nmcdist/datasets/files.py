"""The few ways in which this package touches files: whole, hashed, and never seen half-written."""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_READ = 1 << 20


class FileRecord(NamedTuple):
    """What a file must be: its SHA-256 (hex) and its size in bytes."""

    sha256: str
    size: int


def file_record(path: Path) -> FileRecord:
    """Read a file and return its record."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_READ):
            digest.update(block)
            size += len(block)
    return FileRecord(digest.hexdigest(), size)


def matches(path: Path, record: FileRecord) -> bool:
    """Return whether the file is there and is what the record says."""
    try:
        return path.stat().st_size == record.size and file_record(path) == record
    except OSError:
        return False


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; when the block ends well, the file takes its place under `path` at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        yield partial
        flush(partial)
        partial.replace(path)
        flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Ask the system to put a file or a folder's entries on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system has no hard links, copy it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def files_below(folder: Path) -> Iterator[str]:
    """Yield the paths of all files below a folder, relative to it, in sorted order."""
    for path in sorted(p for p in folder.rglob("*") if not p.is_dir()):
        yield path.relative_to(folder).as_posix()


def existing_parent(path: Path) -> Path:
    """Return the path itself, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def readable_bytes(count: float) -> str:
    """Return a size as people read it: 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def parsed_bytes(text: str | int) -> int:
    """Return the number of bytes that "8GiB", "500 MB" or 1024 mean.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    units: dict[str, int] = {"": 1, "B": 1}
    for power, letter in enumerate("KMGT", start=1):
        units |= {f"{letter}IB": 1024**power, f"{letter}B": 1000**power}
    bare: Any = str(text).strip().upper()
    number = bare.rstrip("KMGTIB ")
    unit = bare[len(number) :].strip()
    try:
        value = float(number) * units[unit]
    except (KeyError, ValueError):
        raise ValueError(f"found {text!r}, expected a size such as 8GiB or 500MB") from None
    if not 0 < value < 2**60:
        raise ValueError(f"found {text!r}, expected a positive size")
    return int(value)
