"""A release appears at once: it is made in a hidden folder beside its place, frozen, and renamed.

The hidden folder is locked while its process lives, so that the next publisher can tell the remains of a killed one
from the work of another that still runs.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from nmcdist.datasets.files import entries_below, flush, locked_folder, naming
from nmcdist.datasets.final_names import final_names
from nmcdist.datasets.folder import refuse_all_but_folders
from nmcdist.errors import ReleaseError

_SUFFIX = ".partial"
_FILE, _FOLDER = 0o444, 0o555


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give an empty hidden folder beside a target; what is left of it at the end is removed.

    Raises
    ------
    StoreError
        If a link or a file is in place of the target's parent folder.
    """
    folder = target.parent
    refuse_all_but_folders(folder)
    with locked_folder(folder):
        _remove_remains(target)
        stage = folder / f".{target.name}.{secrets.token_hex(8)}{_SUFFIX}"
        stage.mkdir()
        handle = _lock_of(stage)
    try:
        with final_names(stage, target), naming(stage):
            yield stage
    finally:
        if stage.exists():
            _remove(stage)
        if handle is not None:
            os.close(handle)


def put_in_place(stage: Path, target: Path) -> None:
    """Freeze a staged folder, write it to the disk and give it its name.

    Raises
    ------
    ReleaseError
        If the name is taken.
    """
    freeze(stage)
    with locked_folder(target.parent):
        refuse_existing(target)
        try:
            stage.rename(target)
        except OSError:
            refuse_existing(target)  # made by a process that does not take the lock
            raise
        flush(target.parent)


def refuse_existing(target: Path) -> None:
    """Refuse a version that exists.

    Raises
    ------
    ReleaseError
        If anything has the name of the target.
    """
    if os.path.lexists(target):
        raise ReleaseError(f"{target}: exists, and a published version never changes; choose a higher version")


def freeze(folder: Path) -> None:
    """Make everything below a folder read-only, and flush it to the disk.

    A hard link shares its mode with the file that it was made from, which becomes read-only, too: an edit of it in
    place would change the release.
    """
    for name, state in entries_below(folder):
        (folder / name).chmod(_FILE)
        if state.st_nlink == 1:  # links are to files that were on the disk before
            flush(folder / name)
    for path in [*(p for p in folder.rglob("*") if p.is_dir()), folder]:
        path.chmod(_FOLDER)
        flush(path)


def _remove_remains(target: Path) -> None:
    """Remove the hidden folders that killed publishers of a target left; whatever cannot be removed stays."""
    own = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}{re.escape(_SUFFIX)}")
    for path in [path for path in target.parent.iterdir() if own.fullmatch(path.name)]:
        with contextlib.suppress(OSError):  # a file, a link, another user's folder, or already removed
            handle = _lock_of(path)
            if handle is not None:
                try:
                    if os.fstat(handle).st_uid == os.geteuid():
                        _remove(path)
                finally:
                    os.close(handle)


def _lock_of(folder: Path) -> int | None:
    """Return a handle that locks a folder until it is closed; None if a living process has locked it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        os.close(handle)
        raise
    return handle


def _remove(folder: Path) -> None:
    for path in [folder, *(p for p in folder.rglob("*") if p.is_dir() and not p.is_symlink())]:
        path.chmod(0o755)
    shutil.rmtree(folder)
