"""Distances and unions of balls on lattices whose voxels have three edges.

A squared length is a sum of squared steps times whole weights, one per axis, in a unit common to them. So lengths that
are equal in theory are equal here, and levels of squared distance are small numbers, as on cubes.

Balls are open and digital as in :mod:`nmcdist.geometry.balls`, and the method is the same: a ball is left out if none
of its six neighbours is smaller, or if it lies inside the ball of a neighbour, and of every other only the cap that
sticks out of a larger neighbour is painted, row by row.
"""

import numpy as np

from nmcdist.errors import InputError
from nmcdist.geometry.balls import ALONE, HERE, LED, equal_leader, has_smaller
from nmcdist.geometry.distance import Weights, envelopes
from nmcdist.geometry.neighbours import CUBE, kind_of
from nmcdist.jit import Float, Int, kernel
from nmcdist.threads import thread_count, thread_map

ACCURACY = 1e-3  # of squared edges, so half of it for edges
MOST_PARTS = 1024  # of the shortest squared edge; some number below always holds the accuracy
MOST_EXACT_PARTS = 64
LIMIT = (1 << 32) - 1
INSIDE = -1  # no step: a ball inside that of a neighbour
PAINT_SLAB = 32  # least number of planes that a thread paints at a time
REACH_LEVELS = 1 << 20  # largest squared radius for which balls inside others are found, which bounds a table to 32 MB

_STEPS = np.array(CUBE, dtype=np.int64)
_ORDER = np.array(sorted((k for k in range(27) if k != HERE), key=lambda k: kind_of(CUBE[k])))
Edges = tuple[float, float, float]


def whole_weights(edges: Edges) -> tuple[Weights, float]:
    """Return whole weights in the ratios of the squared edges, and the length of their unit.

    Edges hold within 0.05 %, and exactly if their squares have simple ratios: 10, 10, 20 gives 1, 1, 4.
    """
    shortest = min(edges)
    ratios = np.array([(edge / shortest) ** 2 for edge in edges])
    parts = np.arange(1, MOST_PARTS + 1)[:, None]
    errors = np.abs(np.rint(parts * ratios) / parts / ratios - 1).max(axis=1)
    exact = np.flatnonzero(errors[:MOST_EXACT_PARTS] < 1e-12)
    best = exact[0] if len(exact) else np.flatnonzero(errors <= ACCURACY)[0]
    z, y, x = (int(w) for w in np.rint(parts[best] * ratios))
    return (z, y, x), float(shortest / np.sqrt(float(parts[best, 0])))


def squared_distance(phase: np.ndarray, weights: Weights) -> np.ndarray:
    """Return the squared distance from each voxel centre to the nearest voxel centre outside the phase.

    Voxels beyond the faces of the volume do not count as outside.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    weights : (int, int, int)
        Squared edges along z, y, x.

    Returns
    -------
    ndarray of uint32, shape (nz, ny, nx)
        0 outside the phase. If the phase fills the volume, every entry is the largest number.

    Raises
    ------
    InputError
        If a distance is too long for these weights.
    """
    cells = np.ascontiguousarray(phase).view(np.uint8)
    if cells.all():
        return np.full(cells.shape, LIMIT, dtype=np.uint32)
    if sum(w * n * n for w, n in zip(weights, cells.shape, strict=True)) >= LIMIT:
        raise InputError(f"phase: found shape {cells.shape}, expected a smaller one for edges of such ratios")
    return envelopes(cells, weights, np.uint32)[0]


def cover_by_balls(radius2: np.ndarray, weights: Weights, lowest: int = 1) -> np.ndarray:
    """Return the largest squared radius of the balls that cover each voxel, 0 if there is none.

    Parameters
    ----------
    radius2 : ndarray of uint32, shape (nz, ny, nx), C-contiguous
        Squared radius of the open ball around each voxel centre, in the unit of the weights; 0 for no ball.
    weights : (int, int, int)
        Squared edges along z, y, x.
    lowest : int
        Balls of smaller squared radius may be left out: the result is exact where it is at least this value, and
        smaller than this value elsewhere.

    Returns
    -------
    ndarray of uint32, shape of `radius2`
    """
    nz = radius2.shape[0]
    cover, largest = radius2.copy(), int(radius2.max())
    margin = int(np.sqrt(float(largest) / weights[0])) + 1
    reach = _reach_table(min(largest, REACH_LEVELS), weights)
    # Two threads process the balls near the border of their slabs.
    slabs = max(1, min(4 * thread_count(), nz // max(PAINT_SLAB, 2 * margin)))
    ends = np.linspace(0, nz, slabs + 1).astype(np.int64)
    thread_map(
        lambda first, last: _paint(radius2, cover, weights, max(lowest, 2), margin, first, last, _STEPS, reach),
        ends[:-1], ends[1:],
    )  # fmt: skip
    return cover


@kernel
def _reach_table(largest: int, weights: Weights) -> np.ndarray:
    """Return 1 + max |p - v|^2 over the voxels p of a ball, by the axes of a step v and by squared radius.

    A ball lies inside the ball around v if the latter has at least this squared radius. The axes of a step are a number
    with the bits 4, 2, 1 for z, y, x.
    """
    wz, wy, wx = weights
    reach = np.zeros((8, largest + 1), np.uint32)
    most = [int(np.sqrt(np.float64((largest - 1) // w))) for w in weights]
    for z in range(most[0] + 1):
        for y in range(most[1] + 1):
            for x in range(most[2] + 1):
                shell = _squared(weights, z, y, x)
                if shell >= largest:
                    break
                for axes in range(1, 8):
                    # The farthest voxel of a shell is opposite to v, so each step adds 2 n + 1 squares.
                    far = shell + 1
                    far += wz * (2 * z + 1) if axes & 4 else 0
                    far += wy * (2 * y + 1) if axes & 2 else 0
                    far += wx * (2 * x + 1) if axes & 1 else 0
                    reach[axes, shell + 1] = max(np.int64(reach[axes, shell + 1]), far)
    for axes in range(1, 8):
        for r in range(1, largest + 1):
            reach[axes, r] = max(reach[axes, r], reach[axes, r - 1])
    return reach


@kernel
def _paint(
    radius2: np.ndarray, cover: np.ndarray, weights: Weights, lowest: int, margin: int, first: int, last: int,
    steps: np.ndarray, reach: np.ndarray,
) -> None:  # fmt: skip
    """Raise the planes first <= z < last of the cover by the caps of all balls."""
    nz, ny, nx = radius2.shape
    for z in range(max(0, first - margin), min(nz, last + margin)):
        beyond = max(first - z, z - last + 1, 0)
        least = max(lowest, weights[0] * beyond * beyond + 1)  # smaller balls do not reach these planes
        for y in range(ny):
            for x in range(nx):
                r = radius2[z, y, x]
                if r >= least and has_smaller(radius2, z, y, x):
                    k = _leader(radius2, weights, z, y, x, steps, reach)
                    if k == INSIDE:
                        continue
                    dz, dy, dx = steps[k, 0], steps[k, 1], steps[k, 2]
                    leading = np.int64(0) if k == HERE else np.int64(radius2[z + dz, y + dy, x + dx])
                    _paint_cap(cover, weights, z, y, x, r, leading, dz, dy, dx, first, last)


@kernel
def _leader(
    radius2: np.ndarray, weights: Weights, z: int, y: int, x: int, steps: np.ndarray, reach: np.ndarray
) -> Int:  # fmt: skip
    """Return the step to the neighbour that leaves the lowest cap of a ball uncovered.

    HERE if there is none, INSIDE if a neighbour leaves nothing uncovered.
    """
    nz, ny, nx = radius2.shape
    r = np.int64(radius2[z, y, x])
    lead, height = HERE, -np.inf  # minus twice the height of the cap, up to a constant
    for k in _ORDER:
        dz, dy, dx = steps[k, 0], steps[k, 1], steps[k, 2]
        a, b, c = z + dz, y + dy, x + dx
        if 0 <= a < nz and 0 <= b < ny and 0 <= c < nx and radius2[a, b, c] > r:
            other = np.int64(radius2[a, b, c])
            if r < reach.shape[1] and other >= reach[4 * (dz & 1) + 2 * (dy & 1) + (dx & 1), r]:
                return INSIDE
            v2 = _squared(weights, dz, dy, dx)
            uncovered = (other - r - v2) / np.sqrt(np.float64(v2))
            if uncovered > height:
                lead, height = k, uncovered
    if lead != HERE:
        return lead
    mark = equal_leader(radius2, z, y, x)
    return HERE if mark == ALONE else mark - LED


@kernel
def _squared(weights: Weights, z: Int, y: Int, x: Int) -> Int:
    return weights[0] * z * z + weights[1] * y * y + weights[2] * x * x


@kernel
def _paint_cap(
    cover: np.ndarray, weights: Weights, z: int, y: int, x: int, r: int, leading: Int, vz: Int, vy: Int, vx: Int,
    first: int, last: int,
) -> None:  # fmt: skip
    """Paint a ball, row by row, without the ball of its leader at step v (squared radius 0: no leader).

    A voxel p of the ball with |p - v|^2 >= leading has p.v <= plane = (r - 1 + v.v - leading) / 2.
    """
    _, ny, nx = cover.shape
    wz, wy, wx = weights
    inner = np.int64(r) - 1
    v2 = np.float64(_squared(weights, vz, vy, vx))
    plane = (inner + v2 - leading) / 2
    low, high = _extent(inner, wz, vz, v2, plane)
    for a in range(max(low, first - z), min(high, last - 1 - z) + 1):
        disc = inner - wz * a * a
        low, high = _extent(disc, wy, vy, v2 - wz * vz * vz, plane - wz * a * vz)
        for b in range(max(low, -y), min(high, ny - 1 - y) + 1):
            row = cover[z + a, y + b]
            half = int(np.sqrt(np.float64((disc - wy * b * b) // wx)))
            begin, end = max(0, x - half), min(nx - 1, x + half) + 1
            covered = leading - 1 - wz * (a - vz) * (a - vz) - wy * (b - vy) * (b - vy)
            if covered < 0:
                for c in range(begin, end):
                    row[c] = max(row[c], r)
            else:
                half = int(np.sqrt(np.float64(covered // wx)))
                for c in range(begin, min(end, x + vx - half)):
                    row[c] = max(row[c], r)
                for c in range(max(begin, x + vx + half + 1), end):
                    row[c] = max(row[c], r)


@kernel
def _extent(s: Int, weight: Int, along: Int, v2: Float, plane: Float) -> tuple[int, int]:
    """Bound a coordinate over |p|^2 <= s, p.v <= plane, where v has this coordinate `along` and |v|^2 = v2."""
    half = int(np.sqrt(np.float64(s // weight)))
    low, high = -half, half
    if v2 == 0:
        if plane < 0:
            high = low - 1
        return low, high
    # On the rim of the cap, in units of length; one hundredth allows for rounding, and additional rows without voxels
    # are harmless.
    scale = np.sqrt(np.float64(weight))
    along_length = scale * along
    rim = np.sqrt(max(0.0, (s * v2 - plane * plane) * (v2 - along_length * along_length)))
    if half * along * weight > plane:
        high = min(high, int(np.floor((plane * along_length + rim) / v2 / scale + 0.01)))
    if -half * along * weight > plane:
        low = max(low, int(np.ceil((plane * along_length - rim) / v2 / scale - 0.01)))
    return low, high
