"""Grains of a generalised balanced power diagram on voxels, sections, lines and points: exact, with culling.

Grain i is where its cost (x - s_i)^T M_i (x - s_i) - r_i is the smallest (Eq. 8). The labels equal those of brute
force: at a point, costs are computed from x - s_i in float64, and the lowest row wins a tie. It is fast because only
a few grains are tried at each point:

- A block of the lattice starts with a list of grains. A grain with a low cost in the whole block is compared with all
  others, and those that it beats in the whole block are dropped. The difference of two costs is quadratic, so value,
  gradient and curvature at the centre bound its least value in the block; the bound allows for rounding, here and in
  the cost at a point.
- Halved blocks start with the remaining grains, down to 64 points or a single grain.

A block is a box in index space, where its bounds are computed, so full grids, sections of any direction and lines use
the same code. Loose points are halved like a lattice.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nmcdist.arguments import check_number, finite_array, plain_array
from nmcdist.errors import InputError
from nmcdist.geometry.frames import radial_frames, radial_matrices
from nmcdist.geometry.growing import grown
from nmcdist.jit import Int, kernel
from nmcdist.threads import thread_count, thread_map
from nmcdist.wording import shown

__all__ = ["label_lattice", "label_points", "radial_frames", "radial_matrices", "rasterize_gbpd"]

LEAF_POINTS = 64
CELL_POINTS = 16  # number of loose points that are not divided further
TASKS = 16  # least number of parts for threads, if there are enough
MOST_SEEDS = 2**31 - 1
MOST_POINTS = 2**40
# A cost has fewer than a hundred rounding errors, each 2^-53 of the sum of its terms' sizes.
_ROUNDING = 2.0**-45
# Smaller differences of costs can be lost to underflow.
_TINY = 1e-290
_HUGE = 1e290

# Columns of lists of grains: seed, matrix (diagonal, then sums of off-diagonal entries), offset, and the matrix for
# steps of the lattice (in the same form). A list is an array of packs of _LANES grains, and a pack has its columns one
# after another. Their distances are constant and the indices have no sign, so loops over a pack compile to vector
# instructions.
_COLUMNS, _OFFSET = 16, 9
_LANES = 16
_FEW = 4  # so many grains are faster one by one
_PACK = _COLUMNS * _LANES
_FOUND = 5 * _LANES
_ALL = -1  # in place of the first pack of a list: the list of all grains
_EACH, _PACK_, _FOUND_ = np.uint64(_LANES), np.uint64(_PACK), np.uint64(_FOUND)
_C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13, _C14, _C15 = (
    np.uint64(column * _LANES) for column in range(1, _COLUMNS)
)

_jit = kernel(error_model="numpy")


def rasterize_gbpd(
    seeds: np.ndarray,
    matrices: np.ndarray,
    offsets: np.ndarray,
    shape: tuple[int, int, int],
    spacing: float | Sequence[float] | np.ndarray,
    origin: Sequence[float] | np.ndarray,
    *,
    reach: float | None = None,
) -> np.ndarray:
    """Return the grain at each point of a grid along the axes (Eq. 8).

    Parameters
    ----------
    seeds : ndarray of float64, shape (n, 3)
        Ordered z, y, x, in nm.
    matrices : ndarray of float64, shape (n, 3, 3)
        M, symmetric and positive definite.
    offsets : ndarray of float64, shape (n,)
        r in nm^2.
    shape : tuple of int
        Points along z, y, x.
    spacing : float or sequence of three
        Distance of neighbouring points in nm, for all axes or per axis.
    origin : sequence of three
        The first point in nm.
    reach : float, optional
        Points farther than this from (0, 0, 0), in nm, get no grain.

    Returns
    -------
    ndarray of int32, shape `shape`
        Row of the grain with the smallest cost, the lowest row in a tie; -1 beyond `reach`.

    Raises
    ------
    InputError
        If an argument has an impossible shape or value.
    """
    size = plain_array("spacing", spacing)
    size = finite_array("spacing", np.broadcast_to(size, 3) if size.ndim == 0 else size, (3,))
    if not (size > 0).all():
        raise InputError(f"spacing: found {spacing}, expected positive numbers of nanometres")
    if len(_checked_shape(shape)) != 3:
        raise InputError(f"shape: found {shown(shape)}, expected three numbers of points")
    return label_lattice(seeds, matrices, offsets, shape, np.diag(size), origin, reach=reach)


def label_lattice(
    seeds: np.ndarray,
    matrices: np.ndarray,
    offsets: np.ndarray,
    shape: tuple[int, ...],
    steps: np.ndarray,
    origin: Sequence[float] | np.ndarray,
    *,
    reach: float | None = None,
) -> np.ndarray:
    """Return the grain at each point of a lattice: a line, a planar section of any direction, or a grid (Eq. 8).

    Parameters
    ----------
    seeds, matrices, offsets, origin, reach
        As in :func:`rasterize_gbpd`.
    shape : tuple of int, length k = 1, 2 or 3
        Points along each axis of the lattice.
    steps : ndarray of float64, shape (k, 3)
        Vector from a point to the next along each axis, in nm.

    Returns
    -------
    ndarray of int32, shape `shape`
        Row of the grain with the smallest cost, the lowest row in a tie; -1 beyond `reach`.

    Raises
    ------
    InputError
        If an argument has an impossible shape or value.
    """
    shape = _checked_shape(shape)
    steps = finite_array("steps", steps, (len(shape), 3))
    lattice = np.zeros((4, 3))
    lattice[0] = finite_array("origin", origin, (3,))
    lattice[4 - len(shape) :] = steps
    if reach is not None and not 0 <= check_number("reach", reach) < math.inf:
        raise InputError(f"reach: found {reach}, expected a number of nanometres, not negative")
    box = np.array((1,) * (3 - len(shape)) + shape)
    farthest = np.abs(lattice[0]) + ((box - 1)[:, None] * np.abs(lattice[1:])).sum(axis=0)
    table, rows = _checked_table(seeds, matrices, offsets, lattice[1:], farthest)
    labels = np.empty(box, dtype=np.int32)
    leaf = _leaf(box)
    reach2 = math.inf if reach is None else float(reach) * float(reach)

    def label(first: np.ndarray, last: np.ndarray) -> None:
        _label_blocks(table, rows, len(seeds), lattice, farthest.sum(), leaf, reach2, first, last, labels)

    first = _block_corners(box, leaf)
    last = np.minimum(first + _block_size(box, leaf), box)
    parts = 1 if thread_count() == 1 else len(first)  # a thread reuses the memory for its lists
    thread_map(label, np.array_split(first, parts), np.array_split(last, parts))
    return labels.reshape(shape)


def label_points(seeds: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the grain at each of some points (Eq. 8).

    Parameters
    ----------
    seeds, matrices, offsets
        As in :func:`rasterize_gbpd`.
    points : ndarray of float64, shape (m, 3)
        Ordered z, y, x, in nm.

    Returns
    -------
    ndarray of int32, shape (m,)
        Row of the grain with the smallest cost, the lowest row in a tie.

    Raises
    ------
    InputError
        If an argument has an impossible shape or value.
    """
    points = finite_array("points", points, ("m", 3))
    farthest = np.abs(points).max(axis=0, initial=0.0)
    table, rows = _checked_table(seeds, matrices, offsets, np.eye(3), farthest)
    labels = np.empty(len(points), dtype=np.int32)
    order = np.arange(len(points))
    bounds = [0, len(points)]
    for _ in range(TASKS.bit_length() - 1 if len(points) > TASKS * CELL_POINTS else 0):
        bounds = sorted({*bounds, *(_halve(points, order, a, b) for a, b in pairwise(bounds))})

    def label(first: int, last: int) -> None:
        _label_cell(table, rows, len(seeds), points, farthest.sum(), order, first, last, labels)

    thread_map(label, bounds[:-1], bounds[1:])
    return labels


def _checked_shape(shape: Any) -> tuple[int, ...]:
    found = plain_array("shape", shape)
    whole = found.ndim == 1 and len(found) in (1, 2, 3) and found.dtype.kind in "iu"
    if not whole or not (found > 0).all():
        raise InputError(f"shape: found {shown(shape)}, expected one to three positive integers")
    checked = tuple(int(n) for n in found)
    if math.prod(checked) > MOST_POINTS:
        raise InputError(f"shape: found {math.prod(checked)} points, expected at most {MOST_POINTS}")
    return checked


def _checked_table(
    seeds: Any, matrices: Any, offsets: Any, steps: np.ndarray, farthest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the list of all grains for the kernels, and their rows, or raise."""
    seeds = finite_array("seeds", seeds, ("n", 3))
    if not 0 < len(seeds) <= MOST_SEEDS:
        raise InputError(f"seeds: found {len(seeds)}, expected 1 to {MOST_SEEDS}")
    matrices = finite_array("matrices", matrices, (len(seeds), 3, 3))
    offsets = finite_array("offsets", offsets, (len(seeds),))
    packs = -(-len(seeds) // _LANES)
    table = np.empty(packs * _PACK)
    row, largest = _fill_table(seeds, matrices, offsets, steps, farthest.sum(), table)
    if row >= 0:
        raise InputError(f"matrices: found {matrices[row].tolist()} in row {row}, expected symmetric positive definite")
    if not largest < _HUGE:
        raise InputError(f"seeds, matrices, offsets: found costs up to {largest:g}, expected less than {_HUGE:g}")
    return table, np.arange(packs * _LANES, dtype=np.int32)


def _leaf(box: np.ndarray) -> np.ndarray:
    """Return the edges of a block of LEAF_POINTS along the axes that have more than one point."""
    wide = box > 1
    return np.where(wide, {0: 1, 1: LEAF_POINTS, 2: 8, 3: 4}[int(wide.sum())], 1)


def _block_size(box: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    """Return the edges of the blocks for threads, as large as possible with enough blocks."""
    size = leaf.copy()
    while math.prod(-(-box // (2 * size))) >= TASKS:
        size = 2 * size
    return size


def _block_corners(box: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    size = _block_size(box, leaf)
    return np.asarray(np.argwhere(np.ones(-(-box // size), dtype=bool)) * size)


@_jit
def _fill_table(
    seeds: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, steps: np.ndarray, far: float, table: np.ndarray
) -> tuple[int, float]:
    """Write the table of grains; return the first row with an invalid matrix, or -1, and a bound on all costs."""
    largest = 0.0
    e = steps
    row = np.empty(_COLUMNS)
    for i in range(len(seeds)):
        m = matrices[i]
        m00, m11, m22 = m[0, 0], m[1, 1], m[2, 2]
        m01, m02, m12 = m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1]
        skew = max(abs(m[0, 1] - m[1, 0]), abs(m[0, 2] - m[2, 0]), abs(m[1, 2] - m[2, 1]))
        # Pivots of the Cholesky factorisation.
        p1 = m11 - 0.25 * m01 * m01 / m00
        c = 0.5 * m12 - 0.25 * m01 * m02 / m00
        p2 = m22 - 0.25 * m02 * m02 / m00 - c * c / p1
        if not (m00 > 0 and p1 > 0 and p2 > 0 and skew <= 1e-9 * max(m00, m11, m22)):
            return i, largest
        row[0], row[1], row[2] = seeds[i, 0], seeds[i, 1], seeds[i, 2]
        row[3], row[4], row[5], row[6], row[7], row[8] = m00, m11, m22, m01, m02, m12
        row[9] = offsets[i]
        for a in range(3):
            row[10 + a] = _product(row, e[a], e[a])
        row[13] = 2 * _product(row, e[0], e[1])
        row[14] = 2 * _product(row, e[0], e[2])
        row[15] = 2 * _product(row, e[1], e[2])
        size = abs(row[0]) + abs(row[1]) + abs(row[2]) + far
        cost = (m00 + m11 + m22) * size * size + abs(row[9])
        if not cost <= largest:
            largest = cost
        for column in range(_COLUMNS):
            table[_place(i) + column * _LANES] = row[column]
    _pad(table, 0, len(seeds))
    return -1, largest


@_jit
def _place(k: int) -> int:
    """Return where the first column of a list's k-th grain is."""
    return k // _LANES * _PACK + k % _LANES


@_jit
def _packs(length: int) -> int:
    return (length + _LANES - 1) // _LANES


@_jit
def _pad(lists: np.ndarray, begin: int, length: int) -> None:
    """Give the rest of the last pack of a list an offset of minus infinity: these costs are infinite, or NaN."""
    for k in range(length, _packs(length) * _LANES):
        lists[begin * _PACK + _place(k) + _OFFSET * _LANES] = -np.inf


@_jit
def _product(row: np.ndarray, u: np.ndarray, v: np.ndarray) -> float:
    """Return u^T M v."""
    straight = row[3] * u[0] * v[0] + row[4] * u[1] * v[1] + row[5] * u[2] * v[2]
    across = row[6] * (u[0] * v[1] + u[1] * v[0]) + row[7] * (u[0] * v[2] + u[2] * v[0])
    return straight + 0.5 * (across + row[8] * (u[1] * v[2] + u[2] * v[1]))


@_jit
def _label_blocks(
    table: np.ndarray, rows: np.ndarray, count: int, lattice: np.ndarray, far: float, leaf: np.ndarray, reach2: float,
    firsts: np.ndarray, lasts: np.ndarray, labels: np.ndarray,
) -> None:  # fmt: skip
    """Label the points of blocks [first, last), halving them along all axes down to a single grain or a leaf."""
    lists, names = np.empty(2 * len(table)), np.empty(2 * len(rows), np.int32)
    found, work = np.empty(_packs(count) * _FOUND), np.empty((2, _LANES))
    spots, best, winner = np.empty((3, LEAF_POINTS)), np.empty(LEAF_POINTS), np.empty(LEAF_POINTS, np.int32)
    # Waiting blocks: corners, and the list of the parent block: its first pack and its length. Lists are stored one
    # after another, the list of a block after that of its parent; lists after it belong to finished blocks.
    stack = np.empty((256, 8), np.int64)
    centre, half, room = np.empty(3), np.empty(3), np.empty(3)
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for block in range(len(firsts)):
        stack[0, :3], stack[0, 3:6] = firsts[block], lasts[block]
        stack[0, 6], stack[0, 7] = _ALL, count
        waiting = 1
        while waiting:
            waiting -= 1
            for d in range(3):
                low[d], high[d] = stack[waiting, d], stack[waiting, 3 + d]
            start, length = stack[waiting, 6], stack[waiting, 7]
            _measure(lattice, low, high, centre, half, room)
            nearest2, farthest2 = _distances2(centre, room, _ROUNDING * far)
            if nearest2 > reach2 * (1 + _ROUNDING):
                _fill(labels, low, high, np.int32(-1))
                continue
            begin = 0 if start == _ALL else start + _packs(length)
            lists = grown(lists, (begin + _packs(length)) * _PACK)
            names = grown(names, (begin + _packs(length)) * _LANES)
            room_for = lists, names, begin
            if start == _ALL:
                kept = _cull(table, rows, 0, length, lattice[1:], far, centre, half, room, found, work, *room_for)
            else:
                kept = _cull(lists, names, start, length, lattice[1:], far, centre, half, room, found, work, *room_for)
            is_inside = farthest2 <= reach2 * (1 - _ROUNDING)
            if kept == 1 and is_inside:
                _fill(labels, low, high, names[begin * _LANES])
            elif high[0] - low[0] <= leaf[0] and high[1] - low[1] <= leaf[1] and high[2] - low[2] <= leaf[2]:
                _try_all(lists, names, begin, kept, lattice, low, leaf, spots, best, winner)
                _write_leaf(spots, winner, np.inf if is_inside else reach2, low, high, leaf, labels)
            else:
                waiting = _push_halves(stack, waiting, low, high, leaf, begin, kept)


@_jit
def _fill(labels: np.ndarray, low: np.ndarray, high: np.ndarray, label: Int) -> None:
    for i in range(low[0], high[0]):
        for j in range(low[1], high[1]):
            for k in range(low[2], high[2]):
                labels[i, j, k] = label


@_jit
def _measure(
    lattice: np.ndarray, low: np.ndarray, high: np.ndarray, centre: np.ndarray, half: np.ndarray, room: np.ndarray
) -> None:
    """Write a block's centre, half its edges in steps, and half the edges of its bounding box along z, y, x."""
    for d in range(3):
        half[d] = 0.5 * (high[d] - 1 - low[d])
    for a in range(3):
        centre[a], room[a] = lattice[0, a], 0.0
        for d in range(3):
            centre[a] += 0.5 * (low[d] + high[d] - 1) * lattice[1 + d, a]
            room[a] += half[d] * abs(lattice[1 + d, a])


@_jit
def _distances2(centre: np.ndarray, room: np.ndarray, doubt: float) -> tuple[float, float]:
    """Return bounds on the squared distances from (0, 0, 0) to the nearest and the farthest point of a box."""
    nearest2 = farthest2 = 0.0
    for a in range(3):
        nearest2 += max(abs(centre[a]) - room[a] - doubt, 0.0) ** 2
        farthest2 += (abs(centre[a]) + room[a] + doubt) ** 2
    return nearest2, farthest2


@_jit
def _push_halves(
    stack: np.ndarray, waiting: int, low: np.ndarray, high: np.ndarray, leaf: np.ndarray, begin: int, kept: int
) -> int:
    middle = low.copy()
    for d in range(3):
        leaves = (high[d] - low[d] + leaf[d] - 1) // leaf[d]
        middle[d] = low[d] + (leaves + 1) // 2 * leaf[d] if leaves > 1 else high[d]
    for part in range(8):
        empty = False
        for d in range(3):
            upper = (part >> d) & 1
            stack[waiting, d] = middle[d] if upper else low[d]
            stack[waiting, 3 + d] = high[d] if upper else middle[d]
            empty |= stack[waiting, d] >= stack[waiting, 3 + d]
        if not empty:
            stack[waiting, 6], stack[waiting, 7] = begin, kept
            waiting += 1
    return waiting


@_jit
def _cull(
    source: np.ndarray, rows: np.ndarray, start: int, length: int, e: np.ndarray, far: float, centre: np.ndarray,
    half: np.ndarray, room: np.ndarray, found: np.ndarray, work: np.ndarray, lists: np.ndarray, names: np.ndarray,
    begin: int,
) -> int:  # fmt: skip
    """Copy a list to pack `begin` of `lists`, without grains that lose in the whole box; return its length.

    The box is centre + sum t_d e_d with |t_d| <= half_d.
    """
    rival = _expand(source, start, length, e, far, centre, half, room, found, work[0], work[1])
    _compare(source, start, length, rival, half, found)
    kept = 0
    for k in range(length):
        if found[k // _LANES * _FOUND + k % _LANES] > _TINY:
            continue
        _copy(source, np.uint64(start * _PACK + _place(k)), lists, np.uint64(begin * _PACK + _place(kept)))
        names[begin * _LANES + kept] = rows[start * _LANES + k]
        kept += 1
    _pad(lists, begin, kept)
    return kept


@_jit
def _copy(source: np.ndarray, place: Int, target: np.ndarray, at: Int) -> None:
    for column in range(np.uint64(_COLUMNS)):
        target[at + column * _EACH] = source[place + column * _EACH]


@_jit
def _expand(
    source: np.ndarray, start: int, length: int, e: np.ndarray, far: float, centre: np.ndarray, half: np.ndarray,
    room: np.ndarray, found: np.ndarray, least: np.ndarray, pack_of: np.ndarray,
) -> int:  # fmt: skip
    """Write each grain's cost and gradient at the centre of a box; return the grain with the least upper bound.

    Columns of `found`: lower bound of the cost with rounding, gradient along the steps, upper bound of the cost.
    """
    c0, c1, c2, h0, h1, h2 = centre[0], centre[1], centre[2], half[0], half[1], half[2]
    q0, q1, q2, q01, q02, q12 = h0 * h0, h1 * h1, h2 * h2, h0 * h1, h0 * h2, h1 * h2
    e00, e01, e02, e10, e11, e12 = e[0, 0], e[0, 1], e[0, 2], e[1, 0], e[1, 1], e[1, 2]
    e20, e21, e22 = e[2, 0], e[2, 1], e[2, 2]
    wide = room[0] + room[1] + room[2]
    for k in range(_LANES):
        least[k], pack_of[k] = np.inf, 0.0
    lanes = np.uint64(length) if length <= _FEW else _EACH
    for p in range(np.uint64(_packs(length))):
        pack = float(p)
        for k in range(lanes):
            i, o = (np.uint64(start) + p) * _PACK_ + k, p * _FOUND_ + k
            d0, d1, d2 = c0 - source[i], c1 - source[i + _C1], c2 - source[i + _C2]
            m00, m11, m22 = source[i + _C3], source[i + _C4], source[i + _C5]
            m01, m02, m12 = source[i + _C6], source[i + _C7], source[i + _C8]
            r = source[i + _C9]
            g0 = 2 * m00 * d0 + m01 * d1 + m02 * d2
            g1 = 2 * m11 * d1 + m01 * d0 + m12 * d2
            g2 = 2 * m22 * d2 + m02 * d0 + m12 * d1
            cost = 0.5 * (g0 * d0 + g1 * d1 + g2 * d2) - r
            span = abs(d0) + abs(d1) + abs(d2) + wide
            doubt = _ROUNDING * ((m00 + m11 + m22) * span * (span + far) + abs(r))
            f0 = g0 * e00 + g1 * e01 + g2 * e02
            f1 = g0 * e10 + g1 * e11 + g2 * e12
            f2 = g0 * e20 + g1 * e21 + g2 * e22
            found[o], found[o + _C4] = cost - doubt, cost + doubt
            found[o + _C1], found[o + _C2], found[o + _C3] = f0, f1, f2
            rise = h0 * abs(f0) + h1 * abs(f1) + h2 * abs(f2)
            rise += q0 * source[i + _C10] + q1 * source[i + _C11] + q2 * source[i + _C12]
            rise += q01 * abs(source[i + _C13]) + q02 * abs(source[i + _C14]) + q12 * abs(source[i + _C15])
            is_less = cost + rise < least[k]
            least[k] = cost + rise if is_less else least[k]
            pack_of[k] = pack if is_less else pack_of[k]
    best = 0
    for k in range(1, min(length, _LANES)):
        if least[k] < least[best]:
            best = k
    return int(pack_of[best]) * _LANES + best


@_jit
def _compare(source: np.ndarray, start: int, length: int, rival: int, half: np.ndarray, found: np.ndarray) -> None:
    """Write a lower bound on each grain's cost minus that of a rival, in the whole box, to the first column."""
    i, o = np.uint64(start * _PACK + _place(rival)), np.uint64(rival // _LANES * _FOUND + rival % _LANES)
    n00, n11, n22 = source[i + _C10], source[i + _C11], source[i + _C12]
    n01, n02, n12 = source[i + _C13], source[i + _C14], source[i + _C15]
    g0, g1, g2, upper = found[o + _C1], found[o + _C2], found[o + _C3], found[o + _C4]
    h0, h1, h2 = half[0], half[1], half[2]
    q0, q1, q2, q01, q02, q12 = h0 * h0, h1 * h1, h2 * h2, h0 * h1, h0 * h2, h1 * h2
    lanes = np.uint64(length) if length <= _FEW else _EACH
    for p in range(np.uint64(_packs(length))):
        for k in range(lanes):
            i, o = (np.uint64(start) + p) * _PACK_ + k, p * _FOUND_ + k
            f0, f1, f2 = h0 * abs(found[o + _C1] - g0), h1 * abs(found[o + _C2] - g1), h2 * abs(found[o + _C3] - g2)
            # Along one axis, the minimum of g t + n t^2 is -|g| h + n h^2 at the end, or at least -|g| h / 2.
            b0, b1, b2 = q0 * (source[i + _C10] - n00), q1 * (source[i + _C11] - n11), q2 * (source[i + _C12] - n22)
            fall = f0 + f1 + f2
            fall -= b0 if b0 < 0.5 * f0 else 0.5 * f0
            fall -= b1 if b1 < 0.5 * f1 else 0.5 * f1
            fall -= b2 if b2 < 0.5 * f2 else 0.5 * f2
            fall += q01 * abs(source[i + _C13] - n01) + q02 * abs(source[i + _C14] - n02)
            found[o] -= upper + fall + q12 * abs(source[i + _C15] - n12)


@_jit
def _cost(
    d0: float, d1: float, d2: float, m00: float, m11: float, m22: float, m01: float, m02: float, m12: float, r: float
) -> float:
    """Return a grain's cost at d from its seed; all costs at points are computed here."""
    return (m00 * d0 + m01 * d1 + m02 * d2) * d0 + (m11 * d1 + m12 * d2) * d1 + m22 * d2 * d2 - r


@_jit
def _try_all(
    lists: np.ndarray, names: np.ndarray, begin: int, length: int, lattice: np.ndarray, low: np.ndarray,
    leaf: np.ndarray, spots: np.ndarray, best: np.ndarray, winner: np.ndarray,
) -> None:  # fmt: skip
    """Write the winner at each point of a leaf."""
    for a in range(3):
        spot = 0
        for i in range(leaf[0]):
            for j in range(leaf[1]):
                step = (low[0] + i) * lattice[1, a] + (low[1] + j) * lattice[2, a]
                for k in range(leaf[2]):
                    spots[a, spot] = lattice[0, a] + (step + (low[2] + k) * lattice[3, a])
                    spot += 1
    x0, x1, x2 = spots[0], spots[1], spots[2]
    for k in range(LEAF_POINTS):
        best[k] = np.inf
    for i in range(length):
        grain, place = names[begin * _LANES + i], begin * _PACK + _place(i)
        s0, s1, s2 = lists[place], lists[place + _LANES], lists[place + 2 * _LANES]
        m00, m11, m22 = lists[place + 3 * _LANES], lists[place + 4 * _LANES], lists[place + 5 * _LANES]
        m01, m02, m12 = lists[place + 6 * _LANES], lists[place + 7 * _LANES], lists[place + 8 * _LANES]
        r = lists[place + 9 * _LANES]
        for k in range(LEAF_POINTS):
            cost = _cost(x0[k] - s0, x1[k] - s1, x2[k] - s2, m00, m11, m22, m01, m02, m12, r)
            if cost < best[k]:
                best[k] = cost
                winner[k] = grain


@_jit
def _write_leaf(
    spots: np.ndarray, winner: np.ndarray, reach2: float, low: np.ndarray, high: np.ndarray, leaf: np.ndarray,
    labels: np.ndarray,
) -> None:  # fmt: skip
    for i in range(high[0] - low[0]):
        for j in range(high[1] - low[1]):
            for k in range(high[2] - low[2]):
                spot = (i * leaf[1] + j) * leaf[2] + k
                labels[low[0] + i, low[1] + j, low[2] + k] = winner[spot]
                if reach2 == np.inf:
                    continue
                distance2 = spots[0, spot] ** 2 + spots[1, spot] ** 2 + spots[2, spot] ** 2
                if distance2 > reach2:
                    labels[low[0] + i, low[1] + j, low[2] + k] = -1


@_jit
def _label_cell(
    table: np.ndarray, rows: np.ndarray, count: int, points: np.ndarray, far: float, order: np.ndarray, first: int,
    last: int, labels: np.ndarray,
) -> None:  # fmt: skip
    """Label the points of order[first:last], halving their bounding box down to a single grain or few points."""
    lists, names = np.empty(2 * len(table)), np.empty(2 * len(rows), np.int32)
    found, work = np.empty(_packs(count) * _FOUND), np.empty((2, _LANES))
    axes = np.eye(3)
    # Waiting cells, with lists as in _label_blocks.
    stack = np.empty(64, np.int64)
    stack[0], stack[1], stack[2], stack[3] = first, last, _ALL, count
    waiting = 4 if first < last else 0
    centre, half = np.empty(3), np.empty(3)
    while waiting:
        waiting -= 4
        a, b, start, length = stack[waiting], stack[waiting + 1], stack[waiting + 2], stack[waiting + 3]
        _bound(points, order, a, b, centre, half)
        begin = 0 if start == _ALL else start + _packs(length)
        lists = grown(lists, (begin + _packs(length)) * _PACK)
        names = grown(names, (begin + _packs(length)) * _LANES)
        if start == _ALL:
            kept = _cull(table, rows, 0, length, axes, far, centre, half, half, found, work, lists, names, begin)
        else:
            kept = _cull(lists, names, start, length, axes, far, centre, half, half, found, work, lists, names, begin)
        middle = a
        if kept > 1 and b - a > CELL_POINTS:
            middle = _halve(points, order, a, b)
        if a < middle < b:
            stack = grown(stack, waiting + 8)
            stack[waiting : waiting + 4] = a, middle, begin, kept
            stack[waiting + 4 : waiting + 8] = middle, b, begin, kept
            waiting += 8
        else:
            for i in order[a:b]:
                labels[i] = _winner_at(lists, names, begin, kept, points[i])


@_jit
def _winner_at(lists: np.ndarray, names: np.ndarray, begin: int, length: int, point: np.ndarray) -> Int:
    winner, best = names[begin * _LANES], np.inf
    for i in range(length):
        at = begin * _PACK + _place(i)
        cost = _cost(
            point[0] - lists[at], point[1] - lists[at + _LANES], point[2] - lists[at + 2 * _LANES],
            lists[at + 3 * _LANES], lists[at + 4 * _LANES], lists[at + 5 * _LANES], lists[at + 6 * _LANES],
            lists[at + 7 * _LANES], lists[at + 8 * _LANES], lists[at + 9 * _LANES],
        )  # fmt: skip
        if cost < best:
            winner, best = names[begin * _LANES + i], cost
    return winner


@_jit
def _bound(points: np.ndarray, order: np.ndarray, first: int, last: int, centre: np.ndarray, half: np.ndarray) -> None:
    """Write the centre and half the edges of the bounding box of points."""
    for a in range(3):
        low = high = points[order[first], a]
        for i in order[first + 1 : last]:
            low, high = min(low, points[i, a]), max(high, points[i, a])
        centre[a] = 0.5 * low + 0.5 * high
        half[a] = 0.5 * high - 0.5 * low


@_jit
def _halve(points: np.ndarray, order: np.ndarray, first: int, last: int) -> int:
    """Split order[first:last] at the middle of the longest edge of its bounding box; return the index of the split."""
    if first == last:
        return first
    centre, half = np.empty(3), np.empty(3)
    _bound(points, order, first, last, centre, half)
    axis = np.argmax(half)
    a, b = first, last
    while a < b:
        if points[order[a], axis] < centre[axis]:
            a += 1
        else:
            b -= 1
            order[a], order[b] = order[b], order[a]
    return a
