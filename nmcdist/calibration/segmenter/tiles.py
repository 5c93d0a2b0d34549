"""A segmenter on an image, in boxes that may be of any size: the same bytes come out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from nmcdist.calibration.boxes import Box
from nmcdist.calibration.fibsem.stored import FULL
from nmcdist.calibration.segmenter.net import Memory, Net


class Normalised(Protocol):
    """An image on one scale of grey values, which is read in boxes."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Return a box as float32."""


def box_probabilities(net: Net, image: Normalised, box: Box) -> np.ndarray:
    """Return the probability of each class in a box, as uint8: 255 is 1; beyond the image it continues as in a mirror.

    Parameters
    ----------
    net : Net
    image : Normalised
    box : tuple of slice
        Along z, y, x.

    Returns
    -------
    ndarray of uint8, shape (c, nz, ny, nx)
    """
    z, rows, columns = box[0], *(_reached(net, part) for part in box[1:])
    inner = _inside(net, rows, columns, box)
    planes: dict[int, np.ndarray] = {}
    memory = Memory()
    out = np.empty((net.classes, *(part.stop - part.start for part in box)), np.uint8)
    for number in range(z.start, z.stop):
        near = neighbours(number, net.planes, image.shape[0])
        planes = {k: planes[k] if k in planes else _plane(image, k, rows, columns) for k in near}
        found = net.probabilities(np.stack([planes[k] for k in near]), memory)
        out[:, number - z.start] = stored(found[(slice(None), *inner)])
    return out


def padded_box(
    net: Net, image: Normalised, near: Sequence[int], box: Box, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a net sees of neighbouring slices for a box along y and x, and the labels of what it then gives.

    Parameters
    ----------
    net : Net
    image : Normalised
    near : sequence of int
        The slices.
    box : tuple of slice
    labels : ndarray of int, shape (ny, nx)
        Of the whole slice; pixels out of the box get 0.
    """
    rows, columns = (_reached(net, part) for part in box)
    window = np.stack([_plane(image, k, rows, columns) for k in near])
    given = np.zeros([n - 2 * net.halo for n in window.shape[1:]], np.int32)
    given[_inside(net, rows, columns, box)] = labels[box]
    return window, given


def stored(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities as they are kept: rounded, 255 is 1."""
    return np.rint(np.float32(FULL) * probabilities).astype(np.uint8)


def labels_of(probabilities: np.ndarray) -> np.ndarray:
    """Return the most probable class of each pixel, the lower one of equals, as uint8."""
    labels: np.ndarray = probabilities.argmax(axis=0).astype(np.uint8)
    return labels


def padded(window: np.ndarray, net: Net) -> np.ndarray:
    """Return a window (planes, ny, nx) with the mirrored rim that a net needs, from its first pixel on."""
    rows, columns = (_reached(net, slice(0, n)) for n in window.shape[1:])
    y, x = (mirrored(np.arange(at.start, at.stop), n) for at, n in zip((rows, columns), window.shape[1:], strict=True))
    return window[:, y[:, None], x]


def neighbours(number: int, planes: int, count: int) -> list[int]:
    """Return the slices that a net sees for one of so many, itself in the middle, as in a mirror beyond the ends."""
    return [int(mirrored(k, count)) for k in range(number - planes // 2, number + planes // 2 + 1)]


def mirrored(at: int | np.ndarray, length: int) -> np.ndarray:
    """Return the places in an image that is continued as in a mirror."""
    within = np.asarray(at) % (2 * length)
    places: np.ndarray = np.minimum(within, 2 * length - 1 - within)
    return places


def _reached(net: Net, part: slice) -> slice:
    """Return what a net needs along an axis, from a multiple of its step on."""
    step = net.step
    return slice(part.start // step * step - net.halo, -(-part.stop // step) * step + net.halo)


def _inside(net: Net, rows: slice, columns: slice, box: Box) -> tuple[slice, slice]:
    """Return where a box lies in what a net gives for the rows and columns that it sees."""
    y, x = (slice(part.start - at.start - net.halo, part.stop - at.start - net.halo)
            for part, at in zip(box[-2:], (rows, columns), strict=True))  # fmt: skip
    return y, x


def _plane(image: Normalised, number: int, rows: slice, columns: slice) -> np.ndarray:
    y, x = (mirrored(np.arange(at.start, at.stop), n) for at, n in zip((rows, columns), image.shape[1:], strict=True))
    read = slice(y.min(), y.max() + 1), slice(x.min(), x.max() + 1)
    plane: np.ndarray = image.read(slice(number, number + 1), *read)[0]
    mirrored_plane: np.ndarray = plane[(y - read[0].start)[:, None], x - read[1].start]
    return mirrored_plane
