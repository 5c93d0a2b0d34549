"""What is counted of labels in one pass over blocks: volumes, centres, boxes, faces, and what touches what.

All counts are whole numbers or extremes, so sums over blocks do not depend on the blocks, and the counts of merged
labels follow without another pass.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmcdist.calibration.shell.blocks import EDGE, Box, blocks
from nmcdist.calibration.shell.tally import FREE, by_pair, empty_keys, slot
from nmcdist.calibration.spread import Spread
from nmcdist.jit import Int, kernel

_PAIRS_PER_LABEL = 16  # expected; more make the table grow
_LAST = np.iinfo(np.int32).max
_HALF = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1),
                  (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1),
                  (1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1)])  # fmt: skip


class Counts(NamedTuple):
    """Counts of labels 1 to n, in rows 0 to n - 1.

    Attributes
    ----------
    voxels : ndarray of int64, shape (n,)
    sums : ndarray of int64, shape (n, 3)
        Sums of indices along z, y, x.
    low, high : ndarray of int32, shape (n, 3)
        First index and last index + 1 along each axis.
    outer : ndarray of int64, shape (n, 3)
        Faces of voxels towards the background, by the axis of their normal; the border of the image does not count.
    """

    voxels: np.ndarray
    sums: np.ndarray
    low: np.ndarray
    high: np.ndarray
    outer: np.ndarray

    @classmethod
    def none(cls, count: int) -> "Counts":
        """Return counts of labels without voxels."""
        return cls(
            np.zeros(count, np.int64), np.zeros((count, 3), np.int64), np.full((count, 3), _LAST, np.int32),
            np.zeros((count, 3), np.int32), np.zeros((count, 3), np.int64),
        )  # fmt: skip

    def merged(self, numbers: np.ndarray) -> "Counts":
        """Return the counts of merged labels: `numbers` has the new label of each label from 0, 0 for none."""
        return summed([self], [numbers], int(numbers.max()))


class Touching(NamedTuple):
    """Pairs of labels that touch at a face, an edge or a corner of voxels.

    Attributes
    ----------
    pairs : ndarray of int32, shape (m, 2)
        The lower label first, sorted.
    saddles : ndarray of float32, shape (m,)
        Largest distance on the border between them, the lower of the two voxels' counting; 0 without a distance map.
    faces : ndarray of int64, shape (m, 3)
        Faces of voxels between them, by the axis of their normal.
    """

    pairs: np.ndarray
    saddles: np.ndarray
    faces: np.ndarray

    def merged(self, numbers: np.ndarray) -> "Touching":
        """Return the pairs of merged labels, as :meth:`Counts.merged`."""
        return joined([self], [numbers])


def summed(parts: Sequence[Counts], numbers: Sequence[np.ndarray], count: int) -> Counts:
    """Return the counts of labels 1 to `count` from parts whose labels have the given numbers; 0 drops a label."""
    total = Counts.none(count)
    for part, of in zip(parts, numbers, strict=True):
        kept = np.flatnonzero(of[1:])
        to = of[1:][kept] - 1
        for add, whole, own in zip((np.add, np.add, np.minimum, np.maximum, np.add), total, part, strict=True):
            add.at(whole, to, own[kept])
    return total


def joined(parts: Sequence[Touching], numbers: Sequence[np.ndarray]) -> Touching:
    """Return the pairs of parts whose labels have the given numbers; labels with equal numbers do not touch."""
    pairs = np.concatenate([np.sort(of[part.pairs], axis=1) for part, of in zip(parts, numbers, strict=True)])
    saddles, faces = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    kept = np.flatnonzero((pairs[:, 0] > 0) & (pairs[:, 0] != pairs[:, 1]))
    order = kept[np.lexsort((pairs[kept, 1], pairs[kept, 0]))]
    pairs, saddles, faces = pairs[order], saddles[order], faces[order]
    first = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)][: len(pairs)])
    if len(first) == 0:
        return Touching(pairs.astype(np.int32), saddles, faces)
    return Touching(
        pairs[first].astype(np.int32), np.maximum.reduceat(saddles, first), np.add.reduceat(faces, first, axis=0)
    )


def count_labels(labels: Any, count: int, spread: Spread = map, edge: int = EDGE) -> tuple[Counts, Touching]:
    """Count the labels 1 to `count` of an image that is read in boxes; 0 is the background."""
    found = list(spread(partial(_count_block, labels), blocks(labels.shape, edge)))
    parts, pairs, numbers = (list(column) for column in zip(*found, strict=True))
    return summed(parts, numbers, count), joined(pairs, numbers)


def _count_block(labels: Any, core: Box) -> tuple[Counts, Touching, np.ndarray]:
    rim = core.grown(1, labels.shape)
    values = np.ascontiguousarray(labels[rim.slices], np.int32)
    own = np.flatnonzero(np.bincount(values.reshape(-1)))  # so that a block returns its own labels only
    own = own[own > 0]
    local = np.zeros(int(values.max()) + 1, np.int32)
    local[own] = np.arange(1, len(own) + 1)
    return *counted(local[values], core.within(rim), core, len(own)), np.append(0, own)


def counted(
    labels: np.ndarray, core: Box, place: Box, count: int, distance: np.ndarray | None = None
) -> tuple[Counts, Touching]:
    """Count the labels 1 to `count` of a core, whose next voxels on all sides are in `labels` as far as they exist.

    Parameters
    ----------
    labels : ndarray of int32
    core : Box
        In indices of `labels`.
    place : Box
        The core in the image.
    count : int
    distance : ndarray of float32, optional
        Shape as of `labels`.
    """
    found = Counts.none(count)
    corners, origin = np.array(core), np.array(place.low) - np.array(core.low)
    _count(labels, corners, origin, *found)
    width, size = count + 1, _PAIRS_PER_LABEL * (count + 1)
    heights = np.zeros((1, 1, 1), np.float32) if distance is None else distance
    steps = _HALF[: 3 if distance is None else 13]
    while True:
        keys = empty_keys(size)
        saddles, faces = np.zeros(len(keys), np.float32), np.zeros((len(keys), 3), np.int64)
        if _touch(labels, heights, corners, steps, width, keys, saddles, faces):
            break
        size *= 4
    pairs, used = by_pair(keys, width)
    return found, Touching(pairs.astype(np.int32), saddles[used], faces[used])


@kernel
def _count(
    labels: np.ndarray, corners: np.ndarray, origin: np.ndarray, voxels: np.ndarray, sums: np.ndarray,
    low: np.ndarray, high: np.ndarray, outer: np.ndarray,
) -> None:  # fmt: skip
    nz, ny, nx = labels.shape
    for z in range(corners[0, 0], corners[1, 0]):
        for y in range(corners[0, 1], corners[1, 1]):
            for x in range(corners[0, 2], corners[1, 2]):
                label = labels[z, y, x]
                if label > 0:
                    row = label - 1
                    voxels[row] += 1
                    for axis, at in ((0, z), (1, y), (2, x)):
                        index = at + origin[axis]
                        sums[row, axis] += index
                        low[row, axis] = min(low[row, axis], index)
                        high[row, axis] = max(high[row, axis], index + 1)
                for axis in range(3):
                    a, b, c = z + (axis == 0), y + (axis == 1), x + (axis == 2)
                    if a < nz and b < ny and c < nx:
                        other = labels[a, b, c]
                        if other != label and (other == 0 or label == 0):
                            outer[max(label, other) - 1, axis] += 1


@kernel
def _touch(
    labels: np.ndarray, distance: np.ndarray, corners: np.ndarray, steps: np.ndarray, width: Int, keys: np.ndarray,
    saddles: np.ndarray, faces: np.ndarray,
) -> bool:  # fmt: skip
    """Enter the pairs of the core into the table; return whether it had room."""
    nz, ny, nx = labels.shape
    at: Int = 0
    used, last = 0, np.int64(-2)
    for z in range(corners[0, 0], corners[1, 0]):
        for y in range(corners[0, 1], corners[1, 1]):
            for x in range(corners[0, 2], corners[1, 2]):
                one = labels[z, y, x]
                if one == 0:
                    continue
                for k in range(len(steps)):
                    a, b, c = z + steps[k, 0], y + steps[k, 1], x + steps[k, 2]
                    if not (0 <= a < nz and 0 <= b < ny and 0 <= c < nx):
                        continue
                    two = labels[a, b, c]
                    if two == 0 or two == one:
                        continue
                    key = np.int64(min(one, two)) * width + max(one, two)
                    if key != last:
                        at, last = slot(keys, key), key
                        if keys[at] == FREE:
                            used += 1
                            if 2 * used > len(keys):
                                return False
                            keys[at] = key
                    if k < 3:
                        faces[at, k] += 1
                    if len(steps) > 3:
                        saddles[at] = max(saddles[at], min(distance[z, y, x], distance[a, b, c]))
    return True
