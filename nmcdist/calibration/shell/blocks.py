"""Work on an image in blocks: each reads its core with a halo around it, and writes its core only."""

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from nmcdist.calibration.spread import Spread
from nmcdist.images import Image

EDGE = 128  # voxels along the edge of a core
PIECE_BYTES = 1_000_000_000  # of a core with the widest halo
_SLAB_BYTES = 256 << 20  # of what is read of an image at a time
Place = tuple[int, int, int]
Arrays = Callable[[str, Place, Any], Any]  # name, shape, dtype -> array that the next map fills, each piece one box


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

    def across(self, axis: int) -> "Box":
        """Return the first layer along an axis, and the layer before it."""
        low, high = (list(end) for end in self)
        low[axis], high[axis] = self.low[axis] - 1, self.low[axis] + 1
        return Box(_place(low), _place(high))

    def within(self, other: "Box") -> "Box":
        """Return the box in indices relative to another box."""
        low, high = (_place(a - o for a, o in zip(end, other.low, strict=True)) for end in self)
        return Box(low, high)


class Digested(NamedTuple):
    """An image that is read in boxes, and the digest of its voxels.

    Attributes
    ----------
    image : Image
    sha256 : str
    """

    image: Image
    sha256: str


def copied(source: Digested, arrays: Arrays, spread: Spread = map, edge: int = EDGE) -> Any:
    """Return an array with the voxels of an image.

    Files of slices are read in large pieces, once if these hold whole planes, though blocks cut planes often.
    """
    shape, dtype = source.image.shape, source.image.dtype.newbyteorder("=")
    array = arrays("image", shape, dtype)
    rows = max(1, _SLAB_BYTES // (edge * edge * shape[2] * dtype.itemsize)) * edge
    cores = [
        Box((z, y, 0), (min(z + edge, shape[0]), min(y + rows, shape[1]), shape[2]))
        for z in range(0, shape[0], edge) for y in range(0, shape[1], rows)
    ]  # fmt: skip
    list(spread(partial(_copy, source, array), cores))
    return array


def _copy(source: Digested, array: Any, core: Box) -> None:
    array[core.slices] = source.image.read(*core.slices)


def blocks(shape: Place, edge: int = EDGE) -> list[Box]:
    """Return cores that cover an image, each as large as `edge` or the rest, in the order of their voxels."""
    starts = itertools.product(*(range(0, n, edge) for n in shape))
    return [Box(_place(low), _place(min(a + edge, n) for a, n in zip(low, shape, strict=True))) for low in starts]


def renumber(own: Any, labels: Any, item: tuple[Box, np.ndarray]) -> None:
    """Write the labels of a core in the whole image: `numbers` has that of each label from 0 of the block."""
    core, numbers = item
    labels[core.slices] = numbers[own[core.slices]]


def in_memory(name: str, shape: Place, dtype: Any) -> np.ndarray:
    """Return an array in memory: those of a calibration, unless its stages are kept."""
    return np.zeros(shape, dtype)


def _place(numbers: Iterable[int]) -> Place:
    z, y, x = map(int, numbers)
    return z, y, x
