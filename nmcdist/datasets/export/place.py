"""The target of an export: a new file or folder that appears only when it is complete."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nmcdist.datasets.export.content import About
from nmcdist.datasets.export.formats import FORMATS, Format
from nmcdist.datasets.files import flush, replacing
from nmcdist.errors import InputError, StoreError


def write_export(
    chosen: Format, target: Path, content: Callable[[], Any], about: About, *, overwrite: bool
) -> Path:  # fmt: skip
    """Write one export and return its path.

    Parameters
    ----------
    chosen : Format
    target : Path
    content : callable
        Returns the content of the format; called only after `target` was found to be writable.
    about : About
    overwrite : bool
        Whether to replace an existing file or folder. A folder is replaced only if it contains nothing but such an
        export.

    Raises
    ------
    InputError
        If `target` already exists, or ends as files of another format do.
    StoreError
        If it cannot be written.
    """
    try:
        _check_place(target, chosen, overwrite)
        with replacing(target) if chosen.owns is None else _replacing_folder(target) as partial:
            chosen.write(partial, content(), about)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        reason = error.strerror or f"{error}; the disk may be full"  # NumPy's words for fewer bytes than it wanted
        raise StoreError(f"{target}: cannot be written: {reason}") from error
    return target


def _check_ending(target: Path, chosen: Format) -> None:
    """Refuse names such as pores.stl for another format: programs tell formats by the ending."""
    own = _ending(chosen)
    if target.suffix.lower() in {_ending(each) for each in FORMATS.values()} - {"", own}:
        expected = own or "a folder without such an ending"
        raise InputError(f"{target}: found the ending {target.suffix}, expected {expected}, as of {chosen.name}")


def _ending(chosen: Format) -> str:
    return Path("x" + chosen.suffix).suffix


def _check_place(target: Path, chosen: Format, overwrite: bool) -> None:
    _check_ending(target, chosen)
    if not target.exists():
        if target.is_symlink():
            raise InputError(f"{target}: is a link to nothing, expected a new name")
        place = next(parent for parent in target.parents if parent.exists())
        if not place.is_dir():
            raise StoreError(f"{target}: cannot be written: {place} is a file, expected a folder")
        return
    if not overwrite:
        raise InputError(f"{target}: already exists, expected a new name")
    if (chosen.owns is None) == target.is_dir():
        found, expected = ("a folder", "a file") if target.is_dir() else ("a file", "a folder")
        raise InputError(f"{target}: is {found}, expected {expected} to replace")
    names = [path.name for path in target.iterdir()] if chosen.owns else []
    if chosen.owns and names and not chosen.owns(names):
        raise InputError(f"{target}: holds other files, expected a folder written by such an export")


@contextlib.contextmanager
def _replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to write to; if the block succeeds, the folder is renamed to `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = f"{os.getpid()}.{secrets.token_hex(4)}"
    partial, old = target.with_name(f".{target.name}.{mark}"), target.with_name(f".{target.name}.{mark}.old")
    partial.mkdir()
    try:
        yield partial
        flush(partial)
        _exchange(partial, target, old)
        flush(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _exchange(partial: Path, target: Path, old: Path) -> None:
    """Replace one folder by another; a folder cannot be renamed onto one that is not empty."""
    if not target.exists():
        partial.rename(target)
        return
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old)
