"""Columns on the disk, mapped into memory: one file per variable, in a folder named for the manifest of the store.

A manifest names every byte of a store, so a file is never out of date. The folder may be deleted at any time. If it
cannot be written, columns are kept in memory.
"""

import contextlib
import os
from pathlib import Path

import numpy as np

from nmcdist.datasets.files import replacing

CACHE_VARIABLE = "XDG_CACHE_HOME"
_LAYOUT = "columns-1"


def user_cache() -> Path:
    """Return the folder of this user for columns."""
    return Path(os.environ.get(CACHE_VARIABLE) or os.path.expanduser("~/.cache"), "nmcdist", _LAYOUT)  # noqa: PTH111


class ColumnFiles:
    """The columns of one store on the disk.

    Parameters
    ----------
    folder : Path
        Made when the first file is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, variable: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return the columns of a variable, mapped into memory; None if they are not there, or not as expected."""
        with contextlib.suppress(OSError, ValueError, EOFError):  # missing, or of another program
            values = np.load(self._file(variable), mmap_mode="r", allow_pickle=False)
            if values.shape == shape and values.dtype == np.float64 and values.flags.c_contiguous:
                return np.asarray(values)
        return None

    def put(self, variable: str, values: np.ndarray) -> np.ndarray:
        """Write the columns of a variable, and return them mapped into memory; else return them as they are."""
        with contextlib.suppress(OSError):
            with replacing(self._file(variable)) as partial, partial.open("wb") as stream:
                np.save(stream, values, allow_pickle=False)
            found = self.get(variable, values.shape)
            return values if found is None else found
        return values

    def _file(self, variable: str) -> Path:
        return self.folder / f"{variable}.npy"
