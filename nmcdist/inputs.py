"""Paths and files from the user: local paths only, ordinary files only, of bounded size."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from nmcdist.errors import InputError, NmcdistError
from nmcdist.wording import shown

TEXT_LIMIT = 64 << 20  # bytes of a text file written by a person

# A scheme has two letters or more, unlike a Windows drive; pathlib turns two slashes into one.
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+(::|:/)")
_REMOTE = re.compile(r"^[\w.-]+@[\w.-]+:")  # the form of scp and rsync
_RESERVED = re.compile("con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE)  # with any extension
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISREG, "a file"),
)


def folder_name(name: str) -> str:
    """Return the name of a future folder; ValueError if Windows, to which it may be copied, reserves it."""
    if _RESERVED.fullmatch(name.partition(".")[0]):
        raise ValueError(f"found {name!r}, which Windows reserves for a device, expected another name")
    return name


def kind_of(mode: int) -> str:
    """Return the type of a path from its mode, in words: a folder, a link, a device."""
    return next((name for test, name in _KINDS if test(mode)), "of an unknown kind")


def local_path(path: str | os.PathLike[str], error: type[NmcdistError] = InputError) -> Path:
    """Return a path on this machine.

    Raises
    ------
    error
        If it is a URL, on another machine, empty, or not a path.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise error(f"path: found {shown(path)}, expected text or a pathlib.Path")
    if any(ord(character) < 32 for character in text):
        raise error(f"{text!a}: contains a control character, expected a path")
    if not text:
        raise error("path: found an empty text, expected a path")
    if _REMOTE.match(text):
        raise error(f"{text}: is on another machine, expected a path on this one (a mounted folder works)")
    if _URL.match(text):
        raise error(f"{text}: is a URL, expected a path on this machine (a mounted folder works)")
    return Path(text)


def named_path(path: str | os.PathLike[str], error: type[NmcdistError] = InputError) -> Path:
    """Return a path on this machine whose last part is a name; ``.`` becomes the name of the folder.

    Raises
    ------
    error
        As :func:`local_path`, and for the root of the file system.
    """
    found = local_path(path, error)
    found = found if found.name else found.absolute()
    if not found.name:
        raise error(f"{found}: is the root of the file system, expected a store")
    return found


def existing_folder(
    path: str | os.PathLike[str], error: type[NmcdistError] = InputError, missing: str = "no such folder"
) -> Path:
    """Return the path of a folder.

    Parameters
    ----------
    path : str or path
    error : type
        Type of the error to raise.
    missing : str
        Message for a missing folder.

    Raises
    ------
    error
        If it is missing or unreachable, or is a file, a pipe, a socket or a device.
    """
    found = local_path(path, error)
    mode = _mode(found, error, missing)
    if not stat.S_ISDIR(mode):
        raise error(f"{found}: is {kind_of(mode)}, expected a folder")
    return found


def folder_to_make(path: str | os.PathLike[str], error: type[NmcdistError] = InputError) -> Path:
    """Return the path of an existing folder or of nothing; refuse with `error` if another file has the name."""
    found = local_path(path, error)
    return existing_folder(found, error) if os.path.lexists(found) else found


def empty_folder(path: str | os.PathLike[str], error: type[NmcdistError] = InputError) -> Path:
    """Return the path of an empty folder or of nothing; refuse with `error` if it holds or is something else."""
    found = folder_to_make(path, error)
    if found.exists() and any(found.iterdir()):
        raise error(f"{found}: holds other files, expected a new or an empty folder")
    return found


def outside(path: Path, source: Path, error: type[NmcdistError] = InputError) -> None:
    """Raise `error` if a new folder would lie in a source, which is a folder itself, or be that source."""
    if source.is_dir() and path.resolve().is_relative_to(source.resolve()):
        raise error(f"{path}: is in the input {source}, expected a new folder outside it")


def made_folder(path: str | os.PathLike[str], error: type[NmcdistError] = InputError) -> Path:
    """Make a folder, unless it exists and is empty, and return its path; refuse with `error` if that is impossible."""
    found = empty_folder(path, error)
    try:
        found.mkdir(parents=True, exist_ok=True)
    except OSError as failed:
        raise error(f"{found}: cannot be made ({failed.strerror})") from None
    return found


@contextlib.contextmanager
def folder_of_results(path: str | os.PathLike[str], error: type[NmcdistError] = InputError) -> Iterator[Path]:
    """Make a folder as :func:`made_folder`; if the block fails, remove it if it was made here and is empty."""
    is_new = not os.path.lexists(local_path(path, error))
    found = made_folder(path, error)
    try:
        yield found
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # it holds what is written
                found.rmdir()
        raise


def ordinary_file(path: str | os.PathLike[str], error: type[NmcdistError] = InputError) -> Path:
    """Return the path of a file that can be read to its end: not a folder, a pipe, a socket or a device.

    Raises
    ------
    error
        If it is missing, unreachable, or not such a file.
    """
    found = local_path(path, error)
    mode = _mode(found, error, "no such file")
    if not stat.S_ISREG(mode):
        raise error(f"{found}: is {kind_of(mode)}, expected an ordinary file")
    return found


def read_text(path: str | os.PathLike[str], error: type[NmcdistError] = InputError, limit: int = TEXT_LIMIT) -> str:
    """Return the text of an ordinary UTF-8 file.

    Raises
    ------
    error
        If it is not an ordinary file, cannot be read, is not text, or is larger than the limit in bytes.
    """
    found = ordinary_file(path, error)
    try:
        size = found.stat().st_size
        if size > limit:
            raise error(f"{found}: has {size} bytes, expected at most {limit}")
        return found.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as cause:
        also = " (it is UTF-16)" if cause.object[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise error(f"{found}: is not a UTF-8 text file{also}") from None
    except OSError as cause:
        raise error(f"{found}: cannot be read ({cause.strerror})") from None


def _mode(path: Path, error: type[NmcdistError], missing: str) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        raise error(f"{path}: {'is a link to nothing' if path.is_symlink() else missing}") from None
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror})") from None
