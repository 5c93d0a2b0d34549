"""Sizes, second moments and pieces of grains, from the runs of equal labels along the last axis of an array.

A line of voxels consists of a few runs, and the sums over a run have closed forms, so one pass over the runs measures
all grains. Sums are integers, so results do not depend on the order of the voxels.
"""

from typing import Any, NamedTuple

import numpy as np

from nmcdist.arguments import finite_array, plain_array
from nmcdist.errors import InputError
from nmcdist.geometry.eigen import eigen_symmetric
from nmcdist.geometry.union_find import join, root
from nmcdist.jit import Int, kernel

__all__ = ["Runs", "check_labels", "check_origin", "count_pieces", "find_runs", "grain_moments", "principal_axes"]

# Relative gap between two principal moments below which only rounding determines the axis.
DEGENERATE = 1e-9


class Runs(NamedTuple):
    """Runs of equal labels, line by line, of a label array padded with one voxel of outside.

    Attributes
    ----------
    end : ndarray of int32, shape (runs,)
        First column after the run.
    row : ndarray of int32, shape (runs,)
        0 outside, k for the grain of label ``labels[k - 1]``.
    first : ndarray of int64, shape (lines + 1,)
        First run of each line.
    shape : tuple of int
        Shape of the padded array.
    labels : ndarray of int32, shape (n,)
        Positive labels in the array, ascending.
    """

    end: np.ndarray
    row: np.ndarray
    first: np.ndarray
    shape: tuple[int, int, int]
    labels: np.ndarray


def check_labels(labels: Any, dimensions: int) -> np.ndarray:
    """Return labels as a contiguous int32 array; refuse another shape, another kind, negative or huge labels."""
    labels = plain_array("labels", labels, work=2)
    if labels.ndim != dimensions or labels.size == 0:
        expected = {2: "two", 3: "three"}[dimensions]
        raise InputError(f"labels: found shape {labels.shape}, expected {expected} dimensions, none of them empty")
    if labels.dtype.kind not in "iu":
        raise InputError(f"labels: found dtype {labels.dtype}, expected integers")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= 2**31:
        raise InputError(f"labels: found {low if low < 0 else high}, expected 0 (outside) to 2147483647")
    return np.ascontiguousarray(labels, dtype=np.int32)


def check_origin(origin_nm: Any, shape: tuple[int, ...], spacing_nm: float) -> np.ndarray:
    """Return the coordinates of the first voxel's centre; by default those that centre the array on the origin."""
    if origin_nm is None:
        return -0.5 * spacing_nm * (np.array(shape) - 1)
    return finite_array("origin_nm", origin_nm, (len(shape),))


def find_runs(labels: np.ndarray) -> Runs:
    """Return the runs of a checked label array; a section counts as one plane.

    Parameters
    ----------
    labels : ndarray of int32, shape (nz, ny, nx) or (ny, nx)
    """
    cells = labels.reshape((-1, *labels.shape[-2:]))
    first = _count_runs(cells)
    end, found = _fill_runs(cells, first)
    # The padding makes sure that 0 is the first of them.
    values = np.unique(found)
    nz, ny, nx = cells.shape
    row = np.searchsorted(values, found).astype(np.int32)
    return Runs(end, row, first, (nz + 2, ny + 2, nx + 2), values[1:])


def grain_moments(runs: Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the voxels, mean index and covariance of the indices of each grain.

    Covariances are those of the grain as a union of cubes: they include the moment of a voxel about its centre, 1/12.

    Returns
    -------
    count : ndarray of int64, shape (n,)
    mean : ndarray of float64, shape (n, 3)
    covariance : ndarray of float64, shape (n, 3, 3)
    """
    sums = _sum_runs(runs.end, runs.row, runs.first, runs.shape, len(runs.labels) + 1)[1:]
    count, first, second = sums[:, 0], sums[:, 1:4], sums[:, 4:][:, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]
    # About an integer point near the mean, sums are exact and small enough to convert to floats without loss.
    near = first // count[:, None]
    rest = first - count[:, None] * near
    second = second - near[:, :, None] * rest[:, None, :] - first[:, :, None] * near[:, None, :]
    offset = rest / count[:, None]
    covariance = second / count[:, None, None] - offset[:, :, None] * offset[:, None, :] + np.eye(3) / 12
    return count, near + offset, covariance


def principal_axes(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return principal moments, largest first, and the first axis; NaN where the first two moments are equal.

    Parameters
    ----------
    covariance : ndarray of float64, shape (n, k, k)

    Returns
    -------
    moments : ndarray of float64, shape (n, k)
    direction : ndarray of float64, shape (n, k)
    """
    moments, vectors = eigen_symmetric(covariance)
    unclear = moments[:, 0] - moments[:, 1] <= DEGENERATE * moments[:, 0]
    return moments, np.where(unclear[:, None], np.nan, vectors[:, 0])


def count_pieces(runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of face-connected pieces of each grain, and the voxels of the largest.

    Returns
    -------
    pieces, largest : ndarray of int64, shape (n,)
    """
    pieces, largest = _count_pieces(runs.end, runs.row, runs.first, runs.shape, len(runs.labels) + 1)
    return pieces[1:], largest[1:]


@kernel
def _count_runs(cells: np.ndarray) -> np.ndarray:
    nz, ny, nx = cells.shape
    first = np.empty((nz + 2) * (ny + 2) + 1, np.int64)
    first[0] = 0
    line = 0
    for z in range(-1, nz + 1):
        for y in range(-1, ny + 1):
            runs = 1
            if 0 <= z < nz and 0 <= y < ny:
                last = 0
                for x in range(nx):
                    runs += cells[z, y, x] != last
                    last = cells[z, y, x]
                runs += last != 0
            first[line + 1] = first[line] + runs
            line += 1
    return first


@kernel
def _fill_runs(cells: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    nz, ny, nx = cells.shape
    end = np.full(first[-1], nx + 2, np.int32)
    label = np.zeros(first[-1], np.int32)
    for z in range(nz):
        for y in range(ny):
            k = first[(z + 1) * (ny + 2) + y + 1]
            last = 0
            for x in range(nx):
                if cells[z, y, x] != last:
                    end[k] = x + 1
                    k += 1
                    last = cells[z, y, x]
                    label[k] = last
            if last != 0:
                end[k] = nx + 1
    return end, label


@kernel
def _sum_runs(
    end: np.ndarray, row: np.ndarray, first: np.ndarray, shape: tuple[int, int, int], rows: int
) -> np.ndarray:
    """Return count, first moments z, y, x and second moments zz, zy, zx, yy, yx, xx of the indices before padding."""
    sums = np.zeros((rows, 10), np.int64)
    for z in range(shape[0] - 2):
        for y in range(shape[1] - 2):
            line = (z + 1) * shape[1] + y + 1
            begin = np.int64(0)
            for k in range(first[line], first[line + 1]):
                stop = end[k] - 1
                if row[k] != 0:
                    n = stop - begin
                    x = (begin + stop - 1) * n // 2
                    s = sums[row[k]]
                    s[0] += n
                    s[1] += n * z
                    s[2] += n * y
                    s[3] += x
                    s[4] += n * z * z
                    s[5] += n * z * y
                    s[6] += z * x
                    s[7] += n * y * y
                    s[8] += y * x
                    s[9] += _sum_squares(stop) - _sum_squares(begin)
                begin = stop
    return sums


@kernel
def _sum_squares(n: Int) -> int:
    """Return 0^2 + 1^2 + ... + (n - 1)^2."""
    return (n - 1) * n * (2 * n - 1) // 6


@kernel
def _count_pieces(
    end: np.ndarray, row: np.ndarray, first: np.ndarray, shape: tuple[int, int, int], rows: int
) -> tuple[np.ndarray, np.ndarray]:
    parent = np.arange(len(end))
    for z in range(1, shape[0] - 1):
        for y in range(1, shape[1] - 1):
            line = z * shape[1] + y
            _join_lines(end, row, parent, first[line], first[line + 1])
            _join_lines(end, row, parent, first[line], first[line + shape[1]])
    pieces, largest = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    voxels = np.zeros(len(end), np.int64)
    for k in range(len(end)):
        piece = root(parent, k)
        # For the first run of a line, the run before it belongs to the line before.
        begin = end[k - 1] % shape[2] if k > 0 else 0
        voxels[piece] += end[k] - begin
        pieces[row[k]] += piece == k
        largest[row[k]] = max(largest[row[k]], voxels[piece])
    return pieces, largest


@kernel
def _join_lines(end: np.ndarray, row: np.ndarray, parent: np.ndarray, i: int, j: int) -> None:
    """Join touching runs of one grain in two lines with the first runs i and j."""
    width = end[-1]
    x = 0
    while x < width:
        if row[i] == row[j] and row[i] != 0:
            join(parent, i, j)
        a, b = end[i], end[j]
        x = min(a, b)
        i += a == x
        j += b == x
