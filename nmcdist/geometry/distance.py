"""Exact squared Euclidean distances on voxel grids, in small integers.

There are three passes, one per axis. Along a row, the runs give the distance to the nearest outside voxel. Across
rows, and then across planes, the lower envelope min_d f(i +- d) + d^2 is built by trying d = 1, 2, ... until d^2 can
no longer lower any value in a stretch of the row. The cost grows with the largest distance, but each step is one
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
    nz, ny, _ = cells.shape
    distance = np.empty(cells.shape, dtype=np.uint16)
    thread_map(lambda z: _within_planes(cells, distance, z, min(z + SLAB, nz)), range(0, nz, SLAB))
    largest = max(thread_map(lambda y: _across_planes(distance, y, min(y + SLAB, ny)), range(0, ny, SLAB)))
    if largest < LIMIT:
        return distance
    # Single precision holds these integers exactly, up to distances of 4096 voxels.
    return np.asarray(edt.edtsq(cells, black_border=False, parallel=thread_count()).astype(np.uint32))


@kernel
def _within_planes(cells: np.ndarray, distance: np.ndarray, first: int, last: int) -> None:
    _, ny, nx = cells.shape
    rows = np.empty((ny, nx), np.uint16)
    for z in range(first, last):
        for y in range(ny):
            _along_row(cells[z, y], rows[y])
        _envelope(rows, distance[z])


@kernel
def _across_planes(distance: np.ndarray, first: int, last: int) -> Int:
    nz, _, nx = distance.shape
    rows = np.empty((nz, nx), np.uint16)
    lowered = np.empty((nz, nx), np.uint16)  # one array, so that the compiler knows that its rows are contiguous
    largest: Int = np.int64(0)
    for y in range(first, last):
        for z in range(nz):
            for x in range(nx):  # copying a row would take seconds to compile
                rows[z, x] = distance[z, y, x]
        largest = max(largest, _envelope(rows, lowered))
        for z in range(nz):
            for x in range(nx):
                distance[z, y, x] = lowered[z, x]
    return largest


@kernel
def _along_row(cells: np.ndarray, squared: np.ndarray) -> None:
    """Write the squared distance within a row, at most LIMIT."""
    n = len(cells)
    x = 0
    while x < n:
        start = x
        while x < n and cells[x]:
            x += 1
        for i in range(start, x):
            before = i - start + 1 if start > 0 else n
            after = x - i if x < n else n
            d = min(before, after)
            squared[i] = min(d * d, LIMIT) if d < n else LIMIT
        if x < n:
            squared[x] = 0
            x += 1


@kernel
def _envelope(rows: np.ndarray, out: np.ndarray) -> int:
    """Write min over d of rows[i +- d] + d^2, at most LIMIT, into out[i]; return the largest value written."""
    n, width = rows.shape
    largest = np.uint16(0)
    for i in range(n):
        for start in range(0, width, STRETCH):
            stop = min(width, start + STRETCH)
            here = out[i, start:stop]
            most = np.uint16(0)
            for x in range(stop - start):
                here[x] = rows[i, start + x]
                most = max(most, here[x])
            d = 1
            while d * d < most and (d <= i or d < n - i):
                # Beyond an end, the other side is used twice, so one loop suffices for all.
                before = rows[i - d if d <= i else i + d, start:stop]
                after = rows[i + d if d < n - i else i - d, start:stop]
                step = np.uint16(d * d)
                room = np.uint16(LIMIT - d * d)
                most = np.uint16(0)
                for x in range(stop - start):
                    value = np.uint16(min(min(before[x], after[x]), room) + step)
                    value = min(value, here[x])
                    here[x] = value
                    most = max(most, value)
                d += 1
            largest = max(largest, most)
    return int(largest)
