"""Volume and surface of the union of packed balls, which may overlap."""

import math

import numpy as np

from nmcdist.geometry.elementary import sin_cos
from nmcdist.jit import kernel
from nmcdist.models import boolean
from nmcdist.models.packing import Packing, periodic_images
from nmcdist.models.relaxation import near_pairs, offset

_DIRECTIONS = 1000
_VOXELS = 6.0  # per mean radius
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def union_volume_and_surface(packing: Packing, edge_nm: float) -> tuple[float, float]:
    """Return the volume fraction of the union of balls in a periodic cube, and its surface per volume in 1/nm.

    The volume counts voxel centres, six or more per mean radius; the surface counts, for each ball, which of 1,000 even
    directions end in no other ball. Unlike voxels, directions do not bridge the clefts between balls.

    Parameters
    ----------
    packing : Packing
    edge_nm : float
        Edge of the cube.
    """
    edges = np.full(3, edge_nm)
    count = math.ceil(_VOXELS * edge_nm * len(packing.radius_nm) / math.fsum(packing.radius_nm.tolist()))
    labels = np.zeros((count, count, count), dtype=np.uint8)
    boolean.paint_slabs(labels, periodic_images(packing, edges), 1, edge_nm / count, (0, 0, 0))
    hidden = np.zeros((len(packing.radius_nm), _DIRECTIONS), dtype=np.bool_)
    pairs = near_pairs(packing.centre_nm, packing.radius_nm, edges, 0.0)
    _hide(packing.centre_nm, packing.radius_nm, edges, pairs, _even_directions(), hidden)
    seen = np.count_nonzero(~hidden, axis=1) / _DIRECTIONS
    surface = math.fsum((4 * math.pi * packing.radius_nm * packing.radius_nm * seen).tolist())
    return np.count_nonzero(labels) / labels.size, surface / edge_nm**3


@kernel
def _even_directions() -> np.ndarray:
    """Return unit vectors along a spiral, one per equal part of the sphere."""
    found = np.empty((_DIRECTIONS, 3))
    for k in range(_DIRECTIONS):
        z = 1.0 - (2 * k + 1) / _DIRECTIONS
        s, c = sin_cos((k * _GOLDEN_ANGLE) % (2 * math.pi))
        across = math.sqrt(1.0 - z * z)
        found[k, 0], found[k, 1], found[k, 2] = z, across * s, across * c
    return found


@kernel
def _hide(
    centre: np.ndarray, radius: np.ndarray, edges: np.ndarray, pairs: np.ndarray, directions: np.ndarray,
    hidden: np.ndarray,
) -> None:  # fmt: skip
    """Mark the directions of each ball whose ends lie in another ball."""
    for pair in range(len(pairs)):
        i, j = pairs[pair, 0], pairs[pair, 1]
        z, y, x, square = offset(centre, edges, i, j)
        for k in range(len(directions)):
            along = directions[k, 0] * z + directions[k, 1] * y + directions[k, 2] * x
            # |r u - d|^2 < R^2, and the same with d turned round for the other ball.
            if radius[i] * radius[i] - 2 * radius[i] * along + square < radius[j] * radius[j]:
                hidden[i, k] = True
            if radius[j] * radius[j] + 2 * radius[j] * along + square < radius[i] * radius[i]:
                hidden[j, k] = True
