"""Label volumes at twice the voxel size, for pyramids of images."""

import numpy as np

from nmcdist.jit import kernel


def halved(labels: np.ndarray) -> np.ndarray:
    """Return labels at twice the voxel size: the most frequent of each eight, the greatest in a tie.

    A last voxel without a partner counts by itself.

    Parameters
    ----------
    labels : ndarray of integers, shape (nz, ny, nx)

    Returns
    -------
    ndarray, same dtype, shape half of that, rounded up
    """
    shape = tuple(-(-n // 2) for n in labels.shape)
    coarse = np.empty(shape, dtype=labels.dtype)
    _take_modes(np.ascontiguousarray(labels), coarse)
    return coarse


@kernel
def _take_modes(labels: np.ndarray, coarse: np.ndarray) -> None:
    nz, ny, nx = labels.shape
    eight = np.empty(8, dtype=labels.dtype)
    for z in range(coarse.shape[0]):
        for y in range(coarse.shape[1]):
            for x in range(coarse.shape[2]):
                size = 0
                for k in range(8):
                    w, v, u = 2 * z + (k >> 2), 2 * y + (k >> 1 & 1), 2 * x + (k & 1)
                    if w < nz and v < ny and u < nx:
                        eight[size] = labels[w, v, u]
                        size += 1
                best, most = eight[0], 0
                for k in range(size):
                    count = 0
                    for j in range(size):
                        count += eight[j] == eight[k]
                    if count > most or (count == most and eight[k] > best):
                        best, most = eight[k], count
                coarse[z, y, x] = best
