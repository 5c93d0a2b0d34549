"""Two-point coverage along lattice vectors, each by itself, as annealing needs it."""

from typing import Any

import numpy as np

from nmcdist.arguments import check_whole, plain_array
from nmcdist.descriptors.phases import check_phase
from nmcdist.errors import InputError
from nmcdist.jit import kernel

AXES_AND_DIAGONALS = np.array([
    (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (0, 1, -1), (1, 0, 1), (1, 0, -1), (1, 1, 0), (1, -1, 0),
])  # fmt: skip


def directional_coverage(phase: np.ndarray, directions: np.ndarray, lags: int) -> np.ndarray:
    """Return the probability that two voxels both lie in the phase, at multiples of each lattice vector.

    The estimate is unbiased and not periodic: pairs in the phase over all pairs within the volume.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    directions : array_like of int, shape (d, 3)
        Lattice vectors (z, y, x) in voxels, for example :data:`AXES_AND_DIAGONALS`.
    lags : int
        Largest multiple, which must fit into the volume.

    Returns
    -------
    ndarray of float64, shape (d, lags + 1)
        The first column is the volume fraction.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    phase, lags = check_phase(phase), check_whole("lags", lags, 1)
    vectors = check_directions(directions)
    reach = np.abs(vectors).max(axis=0) * lags
    if (reach >= phase.shape).any():
        raise InputError(
            f"lags: found {lags}, which reach {tuple(reach.tolist())} voxels, expected less than {phase.shape}"
        )
    coverage = np.empty((len(vectors), lags + 1))
    for row, (z, y, x) in zip(coverage, vectors, strict=True):
        for k in range(lags + 1):
            row[k] = _share_of_pairs(phase, k * z, k * y, k * x)
    return coverage


def check_directions(directions: Any) -> np.ndarray:
    """Return lattice vectors as int64; refuse other shapes, fractions, and the vector 0."""
    vectors = plain_array("directions", directions)
    if vectors.ndim != 2 or vectors.shape[1] != 3 or not len(vectors) or vectors.dtype.kind not in "iuf":
        raise InputError(f"directions: found shape {vectors.shape}, expected whole numbers of shape (d, 3)")
    whole = np.rint(vectors)
    if (whole != vectors).any() or (np.abs(whole) > 2**20).any() or (whole == 0).all(axis=1).any():
        raise InputError("directions: found a vector that is 0, long or between voxels, expected lattice vectors")
    return np.asarray(whole, dtype=np.int64)


@kernel
def _share_of_pairs(phase: np.ndarray, dz: int, dy: int, dx: int) -> float:
    nz, ny, nx = phase.shape
    both = np.int64(0)
    for z in range(max(0, -dz), nz - max(0, dz)):
        for y in range(max(0, -dy), ny - max(0, dy)):
            here, there = phase[z, y], phase[z + dz, y + dy]
            for x in range(max(0, -dx), nx - max(0, dx)):
                both += here[x] & there[x + dx]
    return both / ((nz - abs(dz)) * (ny - abs(dy)) * (nx - abs(dx)))
