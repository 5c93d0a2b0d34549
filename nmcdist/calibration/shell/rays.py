"""Star radii of voxel regions, Eq. (1) of the NMC811 paper, and the share of a region that its star point sees.

A ray is followed from voxel to voxel. It ends where it enters a voxel of another label, which is what "the nearest
grid point lies in the particle" means for all points before.
"""

from typing import NamedTuple

import numpy as np

from nmcdist.jit import kernel

FREE, CONTACT, BORDER = 0, 1, 2  # what a ray meets at its end: background, another region, the border of the image


class Stars(NamedTuple):
    """Star-shaped views of regions.

    Attributes
    ----------
    radii : ndarray of float64, shape (n, directions)
        In the unit of `spacing`; 0 where the star point lies outside of the region.
    ends : ndarray of uint8, shape (n, directions)
        FREE, CONTACT or BORDER.
    visible : ndarray of float64, shape (n,)
        Share of the region's voxels that the star point sees.
    """

    radii: np.ndarray
    ends: np.ndarray
    visible: np.ndarray


def star_views(
    labels: np.ndarray, chosen: np.ndarray, centres: np.ndarray, low: np.ndarray, high: np.ndarray,
    directions: np.ndarray, spacing: tuple[float, float, float],
) -> Stars:  # fmt: skip
    """Measure star radii of regions around given points.

    Parameters
    ----------
    labels : ndarray of int32, shape (nz, ny, nx)
    chosen : ndarray of int, shape (n,)
        Labels to measure.
    centres : ndarray of float64, shape (n, 3)
        Star points in voxel indices: the centres of mass, in the paper.
    low, high : ndarray of int, shape (n, 3)
        Boxes around the regions.
    directions : ndarray of float64, shape (n, directions, 3)
        Unit vectors z, y, x in space, of each region.
    spacing : tuple of float
        Edges of a voxel along z, y, x.
    """
    radii = np.zeros(directions.shape[:2])
    ends, visible = np.zeros(radii.shape, np.uint8), np.zeros(len(chosen))
    _views(labels, chosen, centres, low, high, directions, np.asarray(spacing, np.float64), radii, ends, visible)
    return Stars(radii, ends, visible)


@kernel
def _views(
    labels: np.ndarray, chosen: np.ndarray, centres: np.ndarray, low: np.ndarray, high: np.ndarray,
    directions: np.ndarray, spacing: np.ndarray, radii: np.ndarray, ends: np.ndarray, visible: np.ndarray,
) -> None:  # fmt: skip
    step = np.empty(3)
    for i in range(len(chosen)):
        label, centre = chosen[i], centres[i]
        for k in range(directions.shape[1]):
            for axis in range(3):
                step[axis] = directions[i, k, axis] / spacing[axis]  # voxel indices per unit of length
            radii[i, k], ends[i, k] = _follow(labels, label, centre, step, np.inf)
        seen, total = 0, 0
        for z in range(low[i, 0], high[i, 0]):
            for y in range(low[i, 1], high[i, 1]):
                for x in range(low[i, 2], high[i, 2]):
                    if labels[z, y, x] != label:
                        continue
                    total += 1
                    step[0], step[1], step[2] = z - centre[0], y - centre[1], x - centre[2]
                    seen += _follow(labels, label, centre, step, 1.0)[0] >= 1.0
        visible[i] = seen / max(total, 1)


@kernel
def _follow(labels: np.ndarray, label: int, centre: np.ndarray, step: np.ndarray, furthest: float) -> tuple[float, int]:
    """Return how far the ray centre + t step stays in a label, at most `furthest`, and what it meets."""
    at, way = np.empty(3, np.int64), np.empty(3, np.int64)
    cross, per = np.empty(3), np.empty(3)
    for axis in range(3):
        at[axis] = int(np.floor(centre[axis] + 0.5))
        way[axis] = 1 if step[axis] > 0 else -1
        per[axis] = 1.0 / abs(step[axis]) if step[axis] != 0 else np.inf
        cross[axis] = (0.5 + way[axis] * (at[axis] - centre[axis])) * per[axis] if step[axis] != 0 else np.inf
    t = 0.0
    while True:
        for axis in range(3):
            if at[axis] < 0 or at[axis] >= labels.shape[axis]:
                return t, BORDER
        other = labels[at[0], at[1], at[2]]
        if other != label:
            return t, CONTACT if other > 0 else FREE
        axis = 0
        if cross[1] < cross[axis]:
            axis = 1
        if cross[2] < cross[axis]:
            axis = 2
        t = cross[axis]
        if t >= furthest:
            return furthest, FREE
        at[axis] += way[axis]
        cross[axis] += per[axis]
