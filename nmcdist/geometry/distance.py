"""Exact squared Euclidean distances on voxel grids, in small integers.

There are three passes, one per axis. Along a row, the runs give the distance to the nearest outside voxel. Across
rows, and then across planes, the lower envelope min_d f(i +- d) + w d^2 is built by trying d = 1, 2, ... until w d^2
can no longer lower any value in a stretch of the row. The cost grows with the largest distance, but each step is one
vector instruction on 16 or more voxels. For pores, which are a few dozen voxels wide, this is faster than envelope
algorithms.
"""

import edt
import numpy as np

from nmcdist.jit import Int, kernel
from nmcdist.threads import thread_count, thread_map

LIMIT = (1 << 16) - 1  # this and larger squared distances do not fit into 16 bits
SLAB = 16  # planes that a thread processes at a time
STRETCH = 128  # voxels of a row that stop their search together
Weights = tuple[int, int, int]


def squared_distance(phase: np.ndarray) -> np.ndarray:
    """Return the squared distance from each voxel centre to the nearest voxel centre outside the phase.

    Voxels beyond the faces of the volume do not count as outside.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)

    Returns
    -------
    ndarray of uint16 or uint32, shape (nz, ny, nx)
        In squared voxels, 0 outside the phase; uint16 unless a distance reaches 256 voxels. If the phase fills the
        volume, every entry is 65535.
    """
    cells = np.ascontiguousarray(phase).view(np.uint8)
    if cells.all():
        return np.full(cells.shape, LIMIT, dtype=np.uint16)
    distance, largest = envelopes(cells, (1, 1, 1), np.uint16)
    if largest < LIMIT:
        return distance
    # Single precision holds these integers exactly, up to distances of 4096 voxels.
    return np.asarray(edt.edtsq(cells, black_border=False, parallel=thread_count()).astype(np.uint32))


def envelopes(cells: np.ndarray, weights: Weights, kind: type[np.unsignedinteger]) -> tuple[np.ndarray, int]:
    """Return the squared distances of cells, in integers of a kind, and the largest of them.

    Parameters
    ----------
    cells : ndarray of uint8, shape (nz, ny, nx), C-contiguous
        1 in the phase, 0 outside.
    weights : (int, int, int)
        Squared edges of a voxel along z, y, x.
    kind : type
        Longer distances are given as the largest number that it holds.
    """
    nz, ny, _ = cells.shape
    distance = np.empty(cells.shape, dtype=kind)
    thread_map(lambda z: _within_planes(cells, weights, distance, z, min(z + SLAB, nz)), range(0, nz, SLAB))
    most = thread_map(lambda y: _across_planes(distance, weights[0], y, min(y + SLAB, ny)), range(0, ny, SLAB))
    return distance, max(most)


@kernel
def _within_planes(cells: np.ndarray, weights: Weights, distance: np.ndarray, first: int, last: int) -> None:
    _, ny, nx = cells.shape
    rows = np.empty((ny, nx), distance.dtype)
    for z in range(first, last):
        for y in range(ny):
            _along_row(cells[z, y], weights[2], rows[y])
        _envelope(rows, weights[1], distance[z])


@kernel
def _across_planes(distance: np.ndarray, weight: int, first: int, last: int) -> Int:
    nz, _, nx = distance.shape
    rows = np.empty((nz, nx), distance.dtype)
    lowered = np.empty((nz, nx), distance.dtype)  # one array, so that the compiler knows that its rows are contiguous
    largest: Int = np.int64(0)
    for y in range(first, last):
        for z in range(nz):
            for x in range(nx):  # copying a row would take seconds to compile
                rows[z, x] = distance[z, y, x]
        largest = max(largest, _envelope(rows, weight, lowered))
        for z in range(nz):
            for x in range(nx):
                distance[z, y, x] = lowered[z, x]
    return largest


@kernel
def _along_row(cells: np.ndarray, weight: int, squared: np.ndarray) -> None:
    """Write the squared distance within a row, at most the largest number."""
    n, limit = len(cells), np.int64(np.iinfo(squared.dtype).max)
    x = 0
    while x < n:
        start = x
        while x < n and cells[x]:
            x += 1
        for i in range(start, x):
            before = i - start + 1 if start > 0 else n
            after = x - i if x < n else n
            d = min(before, after)
            squared[i] = min(weight * d * d, limit) if d < n else limit
        if x < n:
            squared[x] = 0
            x += 1


@kernel
def _envelope(rows: np.ndarray, weight: int, out: np.ndarray) -> int:
    """Write min over d of rows[i +- d] + weight d^2, at most the largest number, into out[i]; return the largest."""
    n, width = rows.shape
    kind, limit = rows.dtype.type, np.int64(np.iinfo(rows.dtype).max)
    largest = kind(0)
    for i in range(n):
        for start in range(0, width, STRETCH):
            stop = min(width, start + STRETCH)
            here = out[i, start:stop]
            most = kind(0)
            for x in range(stop - start):
                here[x] = rows[i, start + x]
                most = max(most, here[x])
            d = 1
            while weight * d * d < most and (d <= i or d < n - i):
                # Beyond an end, the other side is used twice, so one loop suffices for all.
                before = rows[i - d if d <= i else i + d, start:stop]
                after = rows[i + d if d < n - i else i - d, start:stop]
                step = kind(weight * d * d)
                room = kind(limit - weight * d * d)
                most = kind(0)
                for x in range(stop - start):
                    value = kind(min(min(before[x], after[x]), room) + step)
                    value = min(value, here[x])
                    here[x] = value
                    most = max(most, value)
                d += 1
            largest = max(largest, most)
    return int(largest)
