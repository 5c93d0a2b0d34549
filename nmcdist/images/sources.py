"""Where the voxels of an image lie: a file, a folder of slices, an array. Each reads boxes, also on a worker."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.wording import one_line

Slices = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Source(ABC):
    """The voxels of an image in the order of its own axes; sent to workers as it is.

    Attributes
    ----------
    path : Path
    shape : tuple of int
    dtype : numpy.dtype
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    @abstractmethod
    def read(self, box: Slices) -> np.ndarray:
        """Return a box; ImageError if its bytes are damaged."""


@dataclass(frozen=True)
class Pages(Source):
    """The pages of an image in a TIFF file.

    Attributes
    ----------
    number : int
        Of the image in the file, from 0.
    """

    number: int = 0

    def read(self, box: Slices) -> np.ndarray:
        """Return a box; ImageError if its bytes are damaged."""
        import tifffile

        pages, y, x = box
        numbers = range(*pages.indices(self.shape[0]))
        with reading(self.path):
            state = self.path.stat()
            plain = _plain_pages(self.path, state.st_size, state.st_mtime_ns, self.number, self.shape)
            if plain is not None and len(plain.offsets) == self.shape[0] and plain.shape == self.shape[1:]:
                return np.stack([plain.read(self.path, k)[y, x] for k in numbers])
        with reading(self.path), tifffile.TiffFile(self.path) as file:
            if self.number or len(file.pages) == 1:  # or one page that holds a whole stack, compressed
                return np.asarray(file.series[self.number].asarray().reshape(self.shape)[box])
            return np.stack([file.pages[k].asarray()[y, x] for k in numbers])


@dataclass(frozen=True)
class _PlainPages:
    """Where the pages of a TIFF file lie that are not compressed, so that parts of them are read alone."""

    offsets: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, path: Path, number: int) -> np.ndarray:
        return np.memmap(path, self.dtype, "r", self.offsets[number], self.shape)


@lru_cache(maxsize=8)
def _plain_pages(
    path: Path, size: int, changed_ns: int, number: int, shape: tuple[int, int, int]
) -> _PlainPages | None:  # fmt: skip
    """Return the places of the planes of an image in the present file; None if they are compressed or differ."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[number]
        if series.dataoffset is not None and series.size == math.prod(shape):  # also of one page, as ImageJ writes
            dtype, start = np.dtype(series.dtype).newbyteorder(file.byteorder), int(series.dataoffset)
            step = dtype.itemsize * math.prod(shape[1:])
            return _PlainPages(tuple(start + k * step for k in range(shape[0])), shape[1:], dtype)
        if number:
            return None
        first = file.pages[0]
        dtype = np.dtype(first.dtype).newbyteorder(file.byteorder)
        pages = list(file.pages)
        if any(page.shape != first.shape or page.dtype != first.dtype or not page.is_contiguous for page in pages):
            return None
        return _PlainPages(tuple(int(page.dataoffsets[0]) for page in pages), tuple(first.shape), dtype)


@dataclass(frozen=True)
class Stack(Source):
    """A folder of slices, one file each.

    Attributes
    ----------
    files : tuple of str
        Names in order.
    reader : callable
        Takes the path of a slice; returns an array.
    """

    files: tuple[str, ...]
    reader: Callable[[Path], np.ndarray]

    def read(self, box: Slices) -> np.ndarray:
        """Return a box; ImageError if a slice is damaged, or of another size or type."""
        numbers, y, x = box
        planes = []
        for name in self.files[numbers]:
            with reading(self.path / name):
                plane = self.reader(self.path / name)
            if plane.shape != self.shape[1:] or plane.dtype != self.dtype:
                found, expected = f"{plane.dtype} of shape {plane.shape}", f"{self.dtype} of shape {self.shape[1:]}"
                raise ImageError(f"{self.path / name}: found {found}, expected {expected} as in {self.files[0]}")
            planes.append(plane[y, x])
        return np.stack(planes)


@dataclass(frozen=True)
class Array(Source):
    """An array in a .npy file, in a folder of Zarr, or in an HDF5 file; one of two dimensions is a layer.

    Attributes
    ----------
    dataset : str
        Its name in the HDF5 file; "" for the others.
    kept : tuple of int
        Its axes that the image has; the others have one channel or one time. Default: the last ones.
    """

    dataset: str = ""
    kept: tuple[int, ...] = ()

    def read(self, box: Slices) -> np.ndarray:
        """Return a box; ImageError if its bytes are damaged."""
        with reading(self.path), self._opened() as array:
            kept = self.kept or range(array.ndim)[-len(box) :]
            own = dict(zip(kept, box[-len(kept) :], strict=True))
            part = np.array(array[tuple(own.get(axis, 0) for axis in range(array.ndim))])
            return part if part.ndim == len(box) else part[None][box[0]]

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        if self.dataset:
            import h5py

            with h5py.File(self.path) as file:
                yield file[self.dataset]
        elif self.path.is_file():
            yield np.lib.format.open_memmap(self.path, "r")
        else:
            import zarr

            yield zarr.open_array(self.path, mode="r")


@dataclass(frozen=True)
class Decoded(Source):
    """An image that a library decodes as a whole, once.

    Attributes
    ----------
    reader : callable
        Takes the path and the name of the array in it; returns an array of two or three dimensions.
    dataset : str
        "" for the only one.
    """

    reader: Callable[[Path, str], np.ndarray]
    dataset: str = ""

    def read(self, box: Slices) -> np.ndarray:
        """Return a box; ImageError if its bytes are damaged."""
        with reading(self.path):
            state = self.path.stat()
            array = _decoded(self.reader, self.path, self.dataset, state.st_size, state.st_mtime_ns)
        return array[box]


@lru_cache(maxsize=1)
def _decoded(
    reader: Callable[[Path, str], np.ndarray], path: Path, dataset: str, size: int, changed_ns: int
) -> np.ndarray:  # fmt: skip
    """Return an image in its present state, in three dimensions."""
    array = reader(path, dataset)
    return array if array.ndim == 3 else array[None]


@dataclass(frozen=True)
class InMemory(Source):
    """An array of the caller: of NumPy, Dask, Zarr or xarray, in two or three dimensions."""

    array: Any = None

    def read(self, box: Slices) -> np.ndarray:
        """Return a box."""
        part = np.asarray(self.array[box[-self.array.ndim :]])
        return part if self.array.ndim == len(box) else part[None][box[0]]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn any error of a reader into an ImageError that names the file, and silence what it warns of before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ImageError:
            raise
        except Exception as error:  # damaged bytes raise errors of any type
            if "'imagecodecs'" in str(error):  # which tifffile asks for
                how = "install it (pip install imagecodecs), or save the image without compression"
                raise ImageError(f"{path}: its compression needs the package imagecodecs: {how}") from error
            raise ImageError(f"{path}: cannot be read ({one_line(error)})") from error


def permuted(box: Sequence[slice], order: Sequence[int]) -> Slices:
    """Return a box given along z, y, x in the order of other axes; `order` has the own axis of each of z, y, x."""
    own = [slice(None)] * 3
    for part, axis in zip(box, order, strict=True):
        own[axis] = part
    return own[0], own[1], own[2]
