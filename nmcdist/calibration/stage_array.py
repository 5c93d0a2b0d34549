"""An image of a stage: pieces of work write it and read it in boxes, wherever they run."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.boxes import Box

_here = threading.local()  # its `box` is what this thread wrote last: path, box and digest


class StageArray:
    """An array in a file of Zarr, and in memory too if that is asked for.

    Parameters
    ----------
    path : Path
    shape : tuple of int
    chunks : tuple of int
    dtype : dtype
    in_memory : bool
        Whether boxes are read from memory, as long as pieces of work are done in this process.

    Attributes
    ----------
    key : str
        Of the stage that it is, once it is whole.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int, int], chunks: tuple[int, ...], dtype: Any, in_memory: bool
    ) -> None:
        self.path, self.shape, self.chunks, self.dtype, self.key = path, shape, chunks, np.dtype(dtype), ""
        self._memory = np.zeros(shape, dtype) if in_memory else None
        self._stored: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what another process cannot use."""
        return {**self.__dict__, "_memory": None, "_stored": None}

    def __getitem__(self, box: Any) -> np.ndarray:
        """Return a box, or a plane."""
        return np.asarray(self._file()[box] if self._memory is None else self._memory[box])

    def __setitem__(self, box: Box, values: Any) -> None:
        """Write a box of whole chunks."""
        values = np.asarray(values, self.dtype)
        self._file()[box] = values
        if self._memory is not None:
            self._memory[box] = values
        _here.box = self.path, box, digest_of_values(values)

    def recalled(self, box: Box) -> np.ndarray:
        """Return a box as the file holds it."""
        values = np.asarray(self._file()[box])
        if self._memory is not None:
            self._memory[box] = values
        return values

    def _file(self) -> Any:
        import zarr

        if self._stored is None:
            # Chunks of zeros are written too: looking for them takes as long as writing most of them.
            self._stored = zarr.open_array(self.path, mode="r+", config={"write_empty_chunks": True})
        return self._stored


def taken(array: StageArray, box: Box) -> str:
    """Return the digest of the box of an array that this thread wrote last."""
    path, where, digest = _here.box
    if (path, where) != (array.path, box):
        raise RuntimeError(f"{array.path.name}: a piece wrote the box {where} of {path.name}, not {box}")
    return str(digest)


def digest_of_values(values: np.ndarray) -> str:
    """Return the SHA-256 of the bytes of an array, in the order of its indices."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
