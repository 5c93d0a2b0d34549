"""Balls in a periodic box, moved apart until none overlap by more than a tolerance.

A sweep visits all pairs of balls that overlap and moves both apart along the line of their centres to a little more
than contact; the smaller one moves further. Only sums, products, quotients and square roots are used, so the result
is the same on every machine.
"""

import math

import numpy as np

from nmcdist.geometry.elementary import cbrt
from nmcdist.jit import Int, kernel

TOLERANCE = 1e-3  # allowed overlap over the smaller radius
SWEEPS = 4000
_BEYOND = 3e-4  # gap that a push leaves, over the sum of the radii
_SKIN = 0.1  # pairs are listed up to this gap over the largest radius, until a ball has moved by half of it


def relax(centre_nm: np.ndarray, radius_nm: np.ndarray, edges_nm: np.ndarray, sweeps: int = SWEEPS) -> float:
    """Move balls in a periodic box apart, in place, until no two overlap by more than the tolerance.

    Parameters
    ----------
    centre_nm : ndarray of float64, shape (n, 3)
        Changed; in [0, edge) afterwards.
    radius_nm : ndarray of float64, shape (n,)
    edges_nm : ndarray of float64, shape (3,)
        At least twice the largest radius.
    sweeps : int
        Sweeps at most.

    Returns
    -------
    float
        Largest overlap of two balls over the smaller radius.
    """
    moved = centre_nm.copy()
    done, overlap = 0, math.inf
    skin = _SKIN * float(radius_nm.max())
    while done < sweeps:
        wrap(centre_nm, edges_nm)
        pairs = near_pairs(centre_nm, radius_nm, edges_nm, skin)
        moved[:] = centre_nm
        count, overlap = _push(centre_nm, moved, radius_nm, edges_nm, pairs, skin, sweeps - done)
        done += count
        if overlap <= TOLERANCE:
            break
    wrap(centre_nm, edges_nm)
    return overlap


def near_pairs(centre_nm: np.ndarray, radius_nm: np.ndarray, edges_nm: np.ndarray, gap_nm: float) -> np.ndarray:
    """Return all pairs of balls in a periodic box with a gap of at most a length, int32, shape (pairs, 2)."""
    reach = 2 * float(radius_nm.max()) + gap_nm
    most = max(1, math.ceil(float(cbrt(float(len(radius_nm))))))
    cells = np.clip((edges_nm / reach).astype(np.int64), 1, 2 * most)
    return np.asarray(_near_pairs(centre_nm, radius_nm, edges_nm, gap_nm, cells))


@kernel
def wrap(centre: np.ndarray, edges: np.ndarray) -> None:
    """Move points into the periodic box [0, edge), in place."""
    for i in range(len(centre)):
        for a in range(3):
            inside = centre[i, a] - math.floor(centre[i, a] / edges[a]) * edges[a]
            centre[i, a] = inside if 0.0 <= inside < edges[a] else 0.0


@kernel
def _near_pairs(
    centre: np.ndarray, radius: np.ndarray, edges: np.ndarray, gap: float, cells: np.ndarray
) -> np.ndarray:  # fmt: skip
    """Sort the balls into cells at least as wide as the longest distance, and compare those of neighbouring cells."""
    n = len(radius)
    place = np.empty((n, 3), np.int64)
    head = np.full(cells[0] * cells[1] * cells[2], -1, np.int64)
    following = np.full(n, -1, np.int64)
    for i in range(n - 1, -1, -1):
        for a in range(3):
            place[i, a] = min(int(centre[i, a] / edges[a] * cells[a]), cells[a] - 1)
        cell = (place[i, 0] * cells[1] + place[i, 1]) * cells[2] + place[i, 2]
        following[i], head[cell] = head[cell], i
    pairs, count = np.empty((8 * n + 64, 2), np.int32), 0
    first, last = np.empty(3, np.int64), np.empty(3, np.int64)
    for a in range(3):
        # With one or two cells along an edge, both neighbours are the same cell.
        first[a], last[a] = -1 if cells[a] > 2 else 0, 1 if cells[a] > 1 else 0
    for i in range(n):
        for dz in range(first[0], last[0] + 1):
            for dy in range(first[1], last[1] + 1):
                for dx in range(first[2], last[2] + 1):
                    z, y, x = (
                        (place[i, 0] + dz) % cells[0],
                        (place[i, 1] + dy) % cells[1],
                        (place[i, 2] + dx) % cells[2],
                    )
                    j = head[(z * cells[1] + y) * cells[2] + x]
                    while j >= 0:
                        if j > i:
                            _, _, _, square = offset(centre, edges, i, j)
                            reach = radius[i] + radius[j] + gap
                            if square <= reach * reach:
                                if count == len(pairs):
                                    longer = np.empty((2 * count, 2), np.int32)
                                    longer[:count] = pairs
                                    pairs = longer
                                pairs[count, 0], pairs[count, 1] = i, j
                                count += 1
                        j = following[j]
    return pairs[:count].copy()


@kernel
def offset(centre: np.ndarray, edges: np.ndarray, i: Int, j: Int) -> tuple[float, float, float, float]:
    """Return the shortest way from a ball to another one in the periodic box, and its squared length."""
    z, y, x = centre[j, 0] - centre[i, 0], centre[j, 1] - centre[i, 1], centre[j, 2] - centre[i, 2]
    z -= edges[0] * math.floor(z / edges[0] + 0.5)
    y -= edges[1] * math.floor(y / edges[1] + 0.5)
    x -= edges[2] * math.floor(x / edges[2] + 0.5)
    return z, y, x, z * z + y * y + x * x


@kernel
def push_apart(
    centre: np.ndarray, i: Int, j: Int, z: float, y: float, x: float, by: float, share: float
) -> None:  # fmt: skip
    """Move two balls apart by a length, of which the first gets a share, along the way from the first to the second."""
    square = z * z + y * y + x * x
    if square == 0.0:
        z, y, x, square = 1.0, 0.0, 0.0, 1.0
    unit = by / math.sqrt(square)
    back, forth = share * unit, (1.0 - share) * unit
    for a, way in ((0, z), (1, y), (2, x)):
        centre[i, a] -= back * way
        centre[j, a] += forth * way


@kernel
def _push(
    centre: np.ndarray, before: np.ndarray, radius: np.ndarray, edges: np.ndarray, pairs: np.ndarray, skin: float,
    sweeps: int,
) -> tuple[Int, float]:  # fmt: skip
    """Sweep until no pair overlaps, or a ball has moved so far that pairs may be missing; return sweeps and overlap."""
    overlap = math.inf
    for sweep in range(sweeps):
        overlap = _sweep(centre, radius, edges, pairs, True)
        if overlap <= TOLERANCE:
            overlap = _sweep(centre, radius, edges, pairs, False)
        far = 0.0
        for i in range(len(centre)):
            square = 0.0
            for a in range(3):
                square += (centre[i, a] - before[i, a]) * (centre[i, a] - before[i, a])
            far = max(far, square)
        if 4.0 * far > skin * skin:
            return sweep + 1, math.inf
        if overlap <= TOLERANCE:
            return sweep + 1, overlap
    return sweeps, overlap


@kernel
def _sweep(centre: np.ndarray, radius: np.ndarray, edges: np.ndarray, pairs: np.ndarray, push: bool) -> float:
    """Push pairs apart, and return the largest overlap met, over the smaller radius."""
    most = 0.0
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        reach = radius[i] + radius[j]
        z, y, x, square = offset(centre, edges, i, j)
        if square >= reach * reach:
            continue
        distance = math.sqrt(square)
        most = max(most, (reach - distance) / min(radius[i], radius[j]))
        if push:
            push_apart(centre, i, j, z, y, x, reach * (1.0 + _BEYOND) - distance, radius[j] / reach)
    return most
