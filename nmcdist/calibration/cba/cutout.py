"""The cutout of the paper's route: the box of its size that has the least graphite and large pores.

The paper chose 278 x 136 x 124 voxels of 20 nm by eye. Here every box with these edges, in each orientation and at
every fourth voxel, is compared. The least is an extreme, so what it holds of the carbon binder is above the mean.
"""

from itertools import permutations

import numpy as np

from nmcdist.calibration.cba.large_pores import LARGE_PORE
from nmcdist.models.cba import GRAPHITE

EDGES_NM = (5560.0, 2720.0, 2480.0)
_ROOM = 0.7  # of an edge of the labels: the cutout is scaled down to it, so that there is something to choose
_STEP = 4

Box = tuple[slice, slice, slice]


def freest_box(labels: np.ndarray, voxel_size_nm: float) -> Box:
    """Return the cutout.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
        With large pores marked as 3.
    voxel_size_nm : float
    """
    longest = np.sort(labels.shape)[::-1] * voxel_size_nm * _ROOM
    scale = min(1.0, float((longest / EDGES_NM).min()))
    edges = [max(2, round(scale * edge / voxel_size_nm)) for edge in EDGES_NM]
    sums = _summed((labels == GRAPHITE) | (labels == LARGE_PORE))
    found = []
    for shape in sorted(set(permutations(edges))):
        if all(n <= m for n, m in zip(shape, labels.shape, strict=True)):
            blocked = _in_boxes(sums, shape)
            at = np.unravel_index(int(blocked.argmin()), blocked.shape)
            found.append((int(blocked[at]), shape, tuple(int(i) * _STEP for i in at)))
    _, shape, (z, y, x) = min(found)
    return slice(z, z + shape[0]), slice(y, y + shape[1]), slice(x, x + shape[2])


def _summed(blocked: np.ndarray) -> np.ndarray:
    """Return the number of blocked voxels before each corner."""
    sums = np.zeros([n + 1 for n in blocked.shape], dtype=np.int32)
    inner = sums[1:, 1:, 1:]
    inner[:] = blocked
    for axis in range(3):
        np.cumsum(inner, axis=axis, out=inner)
    return sums


def _in_boxes(sums: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the number of blocked voxels in the boxes of a shape that begin at every fourth voxel."""
    found = sums
    for axis, edge in enumerate(shape):
        n = found.shape[axis] - edge
        low, high = (tuple(slice(a, a + n, _STEP) if k == axis else slice(None) for k in range(3)) for a in (0, edge))
        found = found[high] - found[low]
    return found
