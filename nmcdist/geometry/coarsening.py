"""Label volumes on fewer, larger voxels, without losing a label."""

import numpy as np

from nmcdist.errors import InputError
from nmcdist.jit import Int, kernel


class LostLabelError(InputError):
    """Voxels are too few to hold every label."""


def coarsened(labels: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Divide the box of a label volume into fewer voxels; each has the label with its largest share.

    The greatest wins a tie. A label that wins nowhere gets the voxel of which it has the largest share, unless this is
    the last of another label.

    Parameters
    ----------
    labels : ndarray of integers, shape (nz, ny, nx)
        From 0, the outside.
    shape : (int, int, int)
        Voxels along each axis, from 1 to that of the labels.

    Returns
    -------
    coarse : ndarray, same dtype, of this shape
    volumes : ndarray of float64, shape (labels,)
        The volume of each label before, in the new voxels.

    Raises
    ------
    LostLabelError
        If the voxels are too few to hold every label.
    """
    labels = np.ascontiguousarray(labels)
    coarse = np.empty(shape, dtype=labels.dtype)
    _take_largest(labels, coarse)
    voxels = np.zeros(int(labels.max()) + 1, dtype=np.int64)
    for page in labels:
        voxels += np.bincount(page.reshape(-1), minlength=len(voxels))
    values = np.flatnonzero(voxels)
    counts = _counts(coarse.reshape(-1), values)
    claimed = np.zeros(shape, dtype=bool)
    while (lost := (counts == 0) & (values > 0)).any():
        if not _claim(labels, coarse, values, counts, claimed):
            count, one = np.count_nonzero(values), values[lost][0]
            raise LostLabelError(
                f"labels: found no voxel for {lost.sum()} of {count}, such as {one}, expected smaller voxels"
            )
    return coarse, voxels * (coarse.size / labels.size)


@kernel
def _span(i: int, fine: int, coarse: int) -> tuple[Int, Int]:
    """Return the first voxel within a coarse one, and the one after the last."""
    return i * fine // coarse, ((i + 1) * fine + coarse - 1) // coarse


@kernel
def _overlap(i: int, j: int, fine: int, coarse: int) -> Int:
    """Return the length that a coarse and a fine voxel have in common, as a whole number."""
    return min((i + 1) * fine, (j + 1) * coarse) - max(i * fine, j * coarse)


@kernel
def _shares(labels: np.ndarray, shape: tuple[int, int, int], z: int, y: int, x: int, found: np.ndarray,
            shares: np.ndarray) -> Int:  # fmt: skip
    """Write the labels within a coarse voxel and their shares; return how many there are."""
    size = 0
    first_z, last_z = _span(z, labels.shape[0], shape[0])
    first_y, last_y = _span(y, labels.shape[1], shape[1])
    first_x, last_x = _span(x, labels.shape[2], shape[2])
    for w in range(first_z, last_z):
        of_z = _overlap(z, w, labels.shape[0], shape[0])
        for v in range(first_y, last_y):
            of_y = of_z * _overlap(y, v, labels.shape[1], shape[1])
            for u in range(first_x, last_x):
                label = labels[w, v, u]
                k = 0
                while k < size and found[k] != label:
                    k += 1
                if k == size:
                    found[k], shares[k] = label, 0
                    size += 1
                shares[k] += of_y * _overlap(x, u, labels.shape[2], shape[2])
    return size


@kernel
def _room(labels: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    size = 1
    for axis in range(3):
        size *= labels.shape[axis] // shape[axis] + 2
    return np.empty(size, dtype=labels.dtype), np.empty(size, dtype=np.int64)


@kernel
def _take_largest(labels: np.ndarray, coarse: np.ndarray) -> None:
    found, shares = _room(labels, coarse.shape)
    for z in range(coarse.shape[0]):
        for y in range(coarse.shape[1]):
            for x in range(coarse.shape[2]):
                size = _shares(labels, coarse.shape, z, y, x, found, shares)
                best = 0
                for k in range(1, size):
                    if shares[k] > shares[best] or (shares[k] == shares[best] and found[k] > found[best]):
                        best = k
                coarse[z, y, x] = found[best]


@kernel
def _counts(coarse: np.ndarray, values: np.ndarray) -> np.ndarray:
    counts = np.zeros(len(values), dtype=np.int64)
    for label in coarse:
        counts[np.searchsorted(values, label)] += 1
    return counts


@kernel
def _claim(
    labels: np.ndarray, coarse: np.ndarray, values: np.ndarray, counts: np.ndarray, claimed: np.ndarray
) -> Int:  # fmt: skip
    """Give each label without a voxel the best one that is free; return how many got one."""
    found, shares = _room(labels, coarse.shape)
    most, where = np.zeros(len(values), dtype=np.int64), np.zeros((len(values), 3), dtype=np.int64)
    for z in range(coarse.shape[0]):
        for y in range(coarse.shape[1]):
            for x in range(coarse.shape[2]):
                owner = np.searchsorted(values, coarse[z, y, x])
                if claimed[z, y, x] or (values[owner] > 0 and counts[owner] == 1):
                    continue
                for k in range(_shares(labels, coarse.shape, z, y, x, found, shares)):
                    row = np.searchsorted(values, found[k])
                    if counts[row] == 0 and shares[k] > most[row]:
                        most[row], where[row] = shares[k], (z, y, x)
    placed = 0
    for row in range(len(values)):
        if values[row] == 0 or most[row] == 0:
            continue
        z, y, x = where[row]
        owner = np.searchsorted(values, coarse[z, y, x])
        if claimed[z, y, x] or (values[owner] > 0 and counts[owner] == 1):
            continue  # another label took the voxel, or the one before it
        counts[owner] -= 1
        coarse[z, y, x], claimed[z, y, x], counts[row] = values[row], True, 1
        placed += 1
    return placed
