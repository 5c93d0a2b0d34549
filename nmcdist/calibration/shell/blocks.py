"""Work on an image in blocks: each reads its core with a halo around it, and writes its core only."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

EDGE = 128  # voxels along the edge of a core
PIECE_BYTES = 1_000_000_000  # of a core with the widest halo
_SLAB_BYTES = 64 << 20
Place = tuple[int, int, int]
Arrays = Callable[[str, Place, Any], Any]  # name, shape, dtype -> array of zeros that is read and written in boxes


class Readable(Protocol):
    """What is read in boxes: an array of NumPy or Zarr, or an image."""

    @property
    def shape(self) -> Place:
        """Voxels along each axis."""

    def __getitem__(self, box: Any, /) -> Any:
        """Return a box."""


class Box(NamedTuple):
    """A box of voxels.

    Attributes
    ----------
    low, high : tuple of int
        First index and last index + 1 along z, y, x.
    """

    low: Place
    high: Place

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index of an array."""
        (a, b, c), (d, e, f) = self
        return slice(a, d), slice(b, e), slice(c, f)

    @property
    def shape(self) -> Place:
        """Voxels along each axis."""
        return _place(b - a for a, b in zip(self.low, self.high, strict=True))

    def grown(self, width: int, shape: Place) -> "Box":
        """Return the box with a halo, as far as the image reaches."""
        low, high = ((max(0, a - width) for a in self.low),
                     (min(n, b + width) for b, n in zip(self.high, shape, strict=True)))  # fmt: skip
        return Box(_place(low), _place(high))

    def within(self, other: "Box") -> "Box":
        """Return the box in indices relative to another box."""
        low, high = (_place(a - o for a, o in zip(end, other.low, strict=True)) for end in self)
        return Box(low, high)


def copied(read: Callable[..., np.ndarray], name: str, shape: Place, dtype: Any, arrays: Arrays) -> Any:
    """Return an array that is filled slab by slab: files of slices are read once, though blocks cut them often."""
    array = arrays(name, shape, dtype)
    planes = max(1, _SLAB_BYTES // max(1, np.dtype(dtype).itemsize * shape[1] * shape[2]))
    for start in range(0, shape[0], planes):
        slab = slice(start, min(start + planes, shape[0]))
        array[slab] = read(slab)
    return array


def blocks(shape: Place, edge: int = EDGE) -> list[Box]:
    """Return cores that cover an image, each as large as `edge` or the rest, in the order of their voxels."""
    starts = itertools.product(*(range(0, n, edge) for n in shape))
    return [Box(_place(low), _place(min(a + edge, n) for a, n in zip(low, shape, strict=True))) for low in starts]


def in_memory(name: str, shape: Place, dtype: Any) -> np.ndarray:
    """Return an array of zeros in memory: the arrays of a calibration, unless files are asked for."""
    return np.zeros(shape, dtype)


def in_files(folder: Path) -> Arrays:
    """Return what makes arrays of zeros in files of Zarr, a new one for each call, which workers can write too."""
    numbers = itertools.count()

    def arrays(name: str, shape: Place, dtype: Any) -> Any:
        import zarr

        chunk = tuple(min(EDGE, n) for n in shape)
        path = folder / f"{next(numbers):02d}-{name}.zarr"
        return zarr.create_array(path, shape=shape, chunks=chunk, dtype=np.dtype(dtype), overwrite=True)

    return arrays


def _place(numbers: Iterable[int]) -> Place:
    z, y, x = map(int, numbers)
    return z, y, x
