"""Smaller voxels without learning, to compare with: the nearest voxel, and interpolated indicator functions."""

import numpy as np

from nmcdist.bundle.superres import FACTOR
from nmcdist.geometry.convolution import repeated
from nmcdist.learning.refine.labels import likeliest
from nmcdist.learning.refine.net import indicators


def nearest(labels: np.ndarray) -> np.ndarray:
    """Return labels in voxels of half the edge, each that of the voxel around it."""
    return np.asarray(repeated(labels[None], (FACTOR,) * 3)[0])


def trilinear(labels: np.ndarray, phases: int) -> np.ndarray:
    """Return the phase whose indicator function, interpolated at the centres of the parts, is largest.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz + 2, ny + 2, nx + 2)
        With a rim of one voxel.
    phases : int

    Returns
    -------
    ndarray of uint8, shape (2 nz, 2 ny, 2 nx)
    """
    values = indicators(labels, phases)
    for axis in (1, 2, 3):
        n = values.shape[axis] - 2
        before, here, after = (values.take(range(start, start + n), axis) for start in range(3))
        pair = np.stack([0.75 * here + 0.25 * before, 0.75 * here + 0.25 * after], axis + 1)
        values = pair.reshape([FACTOR * n if k == axis else m for k, m in enumerate(here.shape)])
    return likeliest(values)
