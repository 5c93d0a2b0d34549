"""A packing of known shapes in the places of the particles, and how well separating it finds them again.

Every region of a separation is replaced by the star shape fitted to its free surface. The shapes reach into each
other where the regions touch; a contested voxel goes to the shape in which it lies deeper, |x| / P(x / |x|), so the
packing has contacts like those of the image, and its particles are known.
"""

from typing import NamedTuple

import numpy as np

from nmcdist.geometry import sphere
from nmcdist.jit import kernel

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
    shape: tuple[int, int, int], coefficients: np.ndarray, centres: np.ndarray, spacing: tuple[float, float, float]
) -> np.ndarray:
    """Fill an image with star shapes.

    Parameters
    ----------
    shape : tuple of int
    coefficients : ndarray of float64, shape (n, (L + 1)^2)
        In the unit of `spacing`.
    centres : ndarray of float64, shape (n, 3)
        In voxel indices.
    spacing : tuple of float

    Returns
    -------
    ndarray of int32
        Labels 1 to n, 0 outside.
    """
    labels, depth = np.zeros(shape, np.int32), np.ones(shape, np.float32)
    for label, (row, centre) in enumerate(zip(coefficients, centres, strict=True), 1):
        reach = sphere.star_bounds(row)[1] / np.asarray(spacing)
        low = np.clip(np.ceil(centre - reach).astype(int), 0, shape)
        high = np.clip(np.floor(centre + reach).astype(int) + 1, 0, shape)
        if (high <= low).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        axes = [(np.arange(a, b) - c) * s for a, b, c, s in zip(low, high, centre, spacing, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        lengths = np.sqrt((points**2).sum(axis=1))
        points[lengths == 0] = (1.0, 0.0, 0.0)
        near = lengths <= sphere.star_bounds(row)[1]
        ratio = np.full(len(points), np.inf, np.float32)
        ratio[near] = lengths[near] / sphere.star_radii(row, points[near])
        deeper = ratio.reshape(depth[box].shape) < depth[box]
        labels[box][deeper] = label
        depth[box][deeper] = ratio.reshape(deeper.shape)[deeper]
    return labels


def overlap(true: np.ndarray, found: np.ndarray) -> Overlap:
    """Return the voxels that each pair of true and found regions shares."""
    both = (true > 0) & (found > 0)
    width = int(found.max()) + 1
    keys, voxels = np.unique(true[both].astype(np.int64) * width + found[both], return_counts=True)
    return Overlap(np.stack([keys // width, keys % width], axis=1), voxels.astype(np.int64))


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
