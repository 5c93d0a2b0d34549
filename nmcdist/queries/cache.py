"""Columns on the disk, mapped into memory: one file per variable, in a folder named for the manifest of the store.

A manifest names every byte of a store, so a file is never out of date. The folder may be deleted at any time. If it
cannot be written, columns are kept in memory. The files of all stores have a limit together: those that were used
longest ago make room. A process that has mapped such a file keeps its content until it ends.
"""

import contextlib
import os
import re
import stat
from pathlib import Path

import numpy as np

from nmcdist.datasets.files import replacing

CACHE_VARIABLE = "XDG_CACHE_HOME"
LIMIT_BYTES = 4 << 30  # of the files of all stores
_LAYOUT = "columns-1"
_MANIFEST = re.compile("[0-9a-f]{64}")


def user_cache() -> Path:
    """Return the folder of this user for columns."""
    return Path(os.environ.get(CACHE_VARIABLE) or os.path.expanduser("~/.cache"), "nmcdist", _LAYOUT)  # noqa: PTH111


class ColumnFiles:
    """The columns of one store on the disk.

    Parameters
    ----------
    folder : Path
        Named for the manifest of the store; made when the first file is written.
    limit_bytes : int
        Of the files of all stores in the parent of the folder.
    """

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    def get(self, variable: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return the columns of a variable, mapped into memory; None if they are not there, or not as expected."""
        with contextlib.suppress(OSError, ValueError, EOFError):  # missing, or of another program
            values = np.load(self._file(variable), mmap_mode="r", allow_pickle=False)
            if values.shape == shape and values.dtype == np.float64 and values.flags.c_contiguous:
                with contextlib.suppress(OSError):  # a folder of another user
                    os.utime(self._file(variable))
                return np.asarray(values)
        return None

    def put(self, variable: str, values: np.ndarray) -> np.ndarray:
        """Write the columns of a variable, and return them mapped into memory; else return them as they are."""
        if values.nbytes > self.limit_bytes:
            return values
        with contextlib.suppress(OSError):
            make_room(self.folder.parent, self.limit_bytes - values.nbytes)
            with replacing(self._file(variable)) as partial, partial.open("wb") as stream:
                np.save(stream, values, allow_pickle=False)
            found = self.get(variable, values.shape)
            return values if found is None else found
        return values

    def _file(self, variable: str) -> Path:
        return self.folder / f"{variable}.npy"


def make_room(root: Path, limit_bytes: int) -> None:
    """Remove the columns that were used longest ago, until those that remain have at most so many bytes."""
    files = sorted(_files_by_use(root), reverse=True)
    held = 0
    for _, size, path in files:
        held += size
        if held > limit_bytes:
            with contextlib.suppress(OSError):  # another process has removed it, or it is another user's
                path.unlink()
                path.parent.rmdir()  # fails if other columns are in it


def _files_by_use(root: Path) -> list[tuple[int, int, Path]]:
    """Return time, bytes and path of every file of columns, also of those that killed processes left half written."""
    found = []
    folders = [path for path in root.iterdir() if _MANIFEST.fullmatch(path.name)] if root.is_dir() else []
    for folder in folders:
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                state = path.lstat()
                if ".npy" in path.name and stat.S_ISREG(state.st_mode):
                    found.append((state.st_mtime_ns, state.st_size, path))
    return found
