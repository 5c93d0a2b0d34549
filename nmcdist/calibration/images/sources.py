"""Where the voxels of an image lie: a file, a folder of slices, a Zarr array. Each reads boxes, also on a worker."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.wording import one_line

Slices = tuple[slice, slice, slice]


class Source(Protocol):
    """The voxels of an image in the order of its own axes; sent to workers as it is."""

    @property
    def path(self) -> Path:
        """Where they lie."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""

    def read(self, box: Slices) -> np.ndarray:
        """Return a box; ImageError if its bytes are damaged."""


@dataclass(frozen=True)
class Pages:
    """The pages of a TIFF file.

    Attributes
    ----------
    path : Path
    shape : tuple of int
    dtype : numpy.dtype
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def read(self, box: Slices) -> np.ndarray:
        """Return a box; ImageError if its bytes are damaged."""
        import tifffile

        pages, y, x = box
        with reading(self.path), tifffile.TiffFile(self.path) as file:
            if len(file.pages) == 1:  # one page that holds the whole stack, as ImageJ writes large ones
                return np.asarray(file.series[0].asarray()[box])
            return np.stack([file.pages[k].asarray()[y, x] for k in range(*pages.indices(self.shape[0]))])


@dataclass(frozen=True)
class Stack:
    """A folder of slices, one TIFF file each.

    Attributes
    ----------
    path : Path
    files : tuple of str
        Names in order.
    shape : tuple of int
    dtype : numpy.dtype
    """

    path: Path
    files: tuple[str, ...]
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def read(self, box: Slices) -> np.ndarray:
        """Return a box; ImageError if a slice is damaged, or of another size or type."""
        import tifffile

        numbers, y, x = box
        planes = []
        for name in self.files[numbers]:
            with reading(self.path / name):
                plane = tifffile.imread(self.path / name)
            if plane.shape != self.shape[1:] or plane.dtype != self.dtype:
                found, expected = f"{plane.dtype} of shape {plane.shape}", f"{self.dtype} of shape {self.shape[1:]}"
                raise ImageError(f"{self.path / name}: found {found}, expected {expected} as in {self.files[0]}")
            planes.append(plane[y, x])
        return np.stack(planes)


@dataclass(frozen=True)
class Array:
    """An array in a .npy file or a Zarr group.

    Attributes
    ----------
    path : Path
        Of the file, or of the group of the array.
    shape : tuple of int
    dtype : numpy.dtype
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def read(self, box: Slices) -> np.ndarray:
        """Return a box; ImageError if its bytes are damaged."""
        with reading(self.path):
            return np.array(self._array[box])

    @cached_property
    def _array(self) -> Any:
        if self.path.is_file():
            return np.load(self.path, mmap_mode="r", allow_pickle=False)
        import zarr

        return zarr.open_array(self.path, mode="r")


class reading:  # noqa: N801  (used like a function)
    """Turn any error of a reader into an ImageError that names the file, in a block."""

    def __init__(self, path: Path) -> None:
        self._path, self._silence = path, warnings.catch_warnings()

    def __enter__(self) -> None:
        self._silence.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._silence.__exit__(kind, error, trace)
        if isinstance(error, ImageError) or not isinstance(error, Exception):
            return
        raise ImageError(f"{self._path}: cannot be read ({one_line(error)})") from error


def planes(source: Source, start: int, stop: int) -> np.ndarray:
    """Return whole planes along the first axis."""
    return source.read((slice(start, stop), slice(None), slice(None)))


def permuted(box: Sequence[slice], order: Sequence[int]) -> Slices:
    """Return a box given along z, y, x in the order of other axes; `order` has the own axis of each of z, y, x."""
    own = [slice(None)] * 3
    for part, axis in zip(box, order, strict=True):
        own[axis] = part
    return own[0], own[1], own[2]
