"""A packing of known shapes in the places of the particles, and how well separating it finds them again.

Every region of a separation is replaced by the star shape fitted to its free surface. The shapes reach into each
other where the regions touch; a contested voxel goes to the shape in which it lies deeper, |x| / P(x / |x|), so the
packing has contacts like those of the image, and its particles are known.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmcdist.calibration.shell.blocks import EDGE, Arrays, Box, Place, blocks, in_memory
from nmcdist.calibration.shell.tally import FREE, by_pair, empty_keys, slot
from nmcdist.calibration.spread import Spread
from nmcdist.geometry import sphere
from nmcdist.jit import Int, kernel

_PART = 0.05  # least share of a particle that a region holds to count as a part of it


class Score(NamedTuple):
    """A separation of a packing against the known particles; whole ones only.

    Attributes
    ----------
    ratio : float or None
        Neck ratio above which regions were merged; None for the paper's rule.
    true, found : int
        Whole particles of at least the smallest volume.
    mean_iou, error_iou, share_over_08 : float
        Intersection over union of each true particle with the region that fits it best: mean, its standard error,
        and share above 0.8.
    split : float
        Share of the true particles of which two or more regions hold 5 % each and lie mostly in it.
    merged : float
        Share of the found regions that hold most of two or more true particles.
    """

    ratio: float | None
    true: int
    found: int
    mean_iou: float
    error_iou: float
    share_over_08: float
    split: float
    merged: float


class Overlap(NamedTuple):
    """Voxels that true and found regions share.

    Attributes
    ----------
    pairs : ndarray of int64, shape (m, 2)
        True and found labels, both above 0.
    voxels : ndarray of int64, shape (m,)
    """

    pairs: np.ndarray
    voxels: np.ndarray

    def joined(self, mapping: np.ndarray) -> "Overlap":
        """Return the overlap after found labels were merged: `mapping` has the new label of each, 0 for none."""
        found = mapping[self.pairs[:, 1]].astype(np.int64)
        width = int(mapping.max()) + 1
        keys, place = np.unique(self.pairs[:, 0] * width + found, return_inverse=True)
        voxels = np.bincount(place, self.voxels).astype(np.int64)
        pairs = np.stack([keys // width, keys % width], axis=1)
        return Overlap(pairs[pairs[:, 1] > 0], voxels[pairs[:, 1] > 0])


def packed(
    shape: Place, coefficients: np.ndarray, centres: np.ndarray, spacing: tuple[float, float, float], *,
    spread: Spread = map, arrays: Arrays = in_memory, edge: int = EDGE,
) -> Any:  # fmt: skip
    """Fill an image with star shapes, block by block.

    Parameters
    ----------
    shape : tuple of int
    coefficients : ndarray of float64, shape (n, (L + 1)^2)
        In the unit of `spacing`.
    centres : ndarray of float64, shape (n, 3)
        In voxel indices.
    spacing : tuple of float
    spread : callable
        Applies a function to items as `map` does, in order.
    arrays : callable
        Makes the array.
    edge : int
        Of the blocks, in voxels.

    Returns
    -------
    array of int32
        Labels 1 to n, 0 outside.
    """
    labels = arrays("packing", shape, np.int32)
    reach = sphere.star_bounds_of_many(coefficients)[:, 1, None] / np.asarray(spacing)
    low = np.ceil(centres - reach).astype(np.int64)
    high = np.floor(centres + reach).astype(np.int64) + 1
    items = []
    for core in blocks(shape, edge):
        near = np.flatnonzero(((high > core.low) & (low < core.high)).all(axis=1))
        items.append((core, near + 1, coefficients[near], centres[near], low[near], high[near]))
    list(spread(partial(_pack, labels, spacing), items))
    return labels


def _pack(labels: Any, spacing: tuple[float, float, float], item: Any) -> None:
    """Write the shapes that reach into one core."""
    core, *shapes = item
    found, depth = np.zeros(core.shape, np.int32), np.ones(core.shape, np.float32)
    for label, row, centre, low, high in zip(*shapes, strict=True):
        first, last = np.maximum(low, core.low), np.minimum(high, core.high)
        box = tuple(slice(a - o, b - o) for a, b, o in zip(first, last, core.low, strict=True))
        axes = [(np.arange(a, b) - c) * s for a, b, c, s in zip(first, last, centre, spacing, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        lengths = np.sqrt((points**2).sum(axis=1))
        points[lengths == 0] = (1.0, 0.0, 0.0)
        near = lengths <= sphere.star_bounds(row)[1]
        ratio = np.full(len(points), np.inf, np.float32)
        ratio[near] = lengths[near] / sphere.star_radii(row, points[near])
        deeper = ratio.reshape(depth[box].shape) < depth[box]
        found[box][deeper] = label
        depth[box][deeper] = ratio.reshape(deeper.shape)[deeper]
    labels[core.slices] = found


def overlap(true: Any, found: Any, spread: Spread = map, edge: int = EDGE) -> Overlap:
    """Return the voxels that each pair of true and found regions shares; both are read in boxes."""
    parts = list(spread(partial(_shared, true, found), blocks(true.shape, edge)))
    pairs, voxels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Overlap(pairs, voxels).joined(np.arange(int(pairs[:, 1].max(initial=0)) + 1))


def _shared(true: Any, found: Any, core: Box) -> Overlap:
    one, two = (np.ascontiguousarray(labels[core.slices]).reshape(-1) for labels in (true, found))
    width, size = int(two.max()) + 1, 1 << 14
    while True:
        keys = empty_keys(size)
        voxels = np.zeros(len(keys), np.int64)
        if _share(one, two, width, keys, voxels):
            pairs, used = by_pair(keys, width)
            return Overlap(pairs, voxels[used])
        size *= 4


@kernel
def _share(true: np.ndarray, found: np.ndarray, width: Int, keys: np.ndarray, voxels: np.ndarray) -> bool:
    """Count the pairs of labels above 0; return whether the table had room."""
    at: Int = 0
    used, last = 0, np.int64(-2)
    for k in range(len(true)):
        if true[k] > 0 and found[k] > 0:
            key = np.int64(true[k]) * width + found[k]
            if key != last:
                at, last = slot(keys, key), key
                if keys[at] == FREE:
                    used += 1
                    if 2 * used > len(keys):
                        return False
                    keys[at] = key
            voxels[at] += 1
    return True


def best_matches(shared: Overlap, true_voxels: np.ndarray, found_voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the best intersection over union of each true region, and the found label that has it (0 for none)."""
    iou, match = np.zeros(len(true_voxels)), np.zeros(len(true_voxels), np.int64)
    _match(shared.pairs, shared.voxels, true_voxels, found_voxels, iou, match)
    return iou, match


def score(
    ratio: float | None, shared: Overlap, true_voxels: np.ndarray, true_kept: np.ndarray, found_voxels: np.ndarray,
    found_kept: np.ndarray,
) -> Score:  # fmt: skip
    """Score a separation.

    Parameters
    ----------
    ratio : float or None
    shared : Overlap
    true_voxels, found_voxels : ndarray of int64
        Voxels of each region, that of label k at k - 1.
    true_kept, found_kept : ndarray of bool
        Which regions are whole and large enough.
    """
    iou = best_matches(shared, true_voxels, found_voxels)[0][true_kept]
    true, found = shared.pairs.T - 1
    parts = (shared.voxels >= _PART * true_voxels[true]) & (2 * shared.voxels > found_voxels[found])
    pieces = np.bincount(true[parts], minlength=len(true_voxels))[true_kept]
    held = 2 * shared.voxels > true_voxels[true]
    holds = np.bincount(found[held], minlength=len(found_voxels))[found_kept]
    return Score(
        ratio, int(true_kept.sum()), int(found_kept.sum()), float(iou.mean()),
        float(iou.std() / np.sqrt(len(iou))), float((iou > 0.8).mean()),
        float((pieces > 1).mean()), float((holds > 1).mean()) if len(holds) else 0.0,
    )  # fmt: skip


@kernel
def _match(
    pairs: np.ndarray, voxels: np.ndarray, true: np.ndarray, found: np.ndarray, iou: np.ndarray, match: np.ndarray
) -> None:
    for k in range(len(pairs)):
        one, two = pairs[k, 0] - 1, pairs[k, 1] - 1
        value = voxels[k] / (true[one] + found[two] - voxels[k])
        if value > iou[one]:
            iou[one], match[one] = value, two + 1
