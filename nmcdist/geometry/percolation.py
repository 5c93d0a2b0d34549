"""Voxels on paths of face neighbours from the first plane to the last, found by joining runs along x."""

import numpy as np

from nmcdist.geometry.union_find import join, root
from nmcdist.jit import kernel


def percolating_runs(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the runs of non-zero voxels along x, and which of them are connected to both end planes.

    Parameters
    ----------
    codes : ndarray of uint8, shape (nz, ny, nx)

    Returns
    -------
    starts : ndarray of int64, shape (nz * ny + 1,)
        Line i = z * ny + y has the runs [starts[i], starts[i + 1]).
    first, last : ndarray of int32
        Run r holds the voxels [first[r], last[r]) of its line.
    carries : ndarray of bool
        Whether the run is connected to both end planes.
    """
    starts = _count_runs(codes)
    return starts, *_carrying_runs(codes, starts)


@kernel
def _count_runs(codes: np.ndarray) -> np.ndarray:
    nz, ny, nx = codes.shape
    starts = np.zeros(nz * ny + 1, np.int64)
    for line in range(nz * ny):
        row = codes[line // ny, line % ny]
        count = 0
        before = False
        for x in range(nx):
            here = row[x] != 0
            count += here and not before
            before = here
        starts[line + 1] = starts[line] + count
    return starts


@kernel
def _find_runs(row: np.ndarray, run: int, first: np.ndarray, last: np.ndarray) -> None:
    before = False
    for x in range(row.size):
        here = row[x] != 0
        if here and not before:
            first[run] = x
        if before and not here:
            last[run] = x
            run += 1
        before = here
    if before:
        last[run] = row.size


@kernel
def _join_lines(
    parent: np.ndarray, first: np.ndarray, last: np.ndarray, a: int, a_end: int, b: int, b_end: int
) -> None:
    while a < a_end and b < b_end:
        if first[a] < last[b] and first[b] < last[a]:
            join(parent, a, b)
        if last[a] < last[b]:
            a += 1
        else:
            b += 1


@kernel
def _carrying_runs(codes: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    nz, ny, _ = codes.shape
    count = starts[-1]
    first = np.empty(count, np.int32)
    last = np.empty(count, np.int32)
    parent = np.arange(count)
    for line in range(nz * ny):
        a, a_end = starts[line], starts[line + 1]
        _find_runs(codes[line // ny, line % ny], a, first, last)
        if line % ny:
            _join_lines(parent, first, last, a, a_end, starts[line - 1], a)
        if line >= ny:
            _join_lines(parent, first, last, a, a_end, starts[line - ny], starts[line - ny + 1])
    touches = np.zeros(count, np.uint8)
    for a in range(starts[ny]):
        touches[root(parent, a)] |= 1
    for a in range(starts[(nz - 1) * ny], count):
        touches[root(parent, a)] |= 2
    carries = np.empty(count, np.bool_)
    for a in range(count):
        carries[a] = touches[root(parent, a)] == 3
    return first, last, carries


def flowing(phase: np.ndarray, is_periodic: bool) -> np.ndarray | None:
    """Return the voxels of a phase through which fluid flows along the first axis, None if there are none.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    is_periodic : bool
        Whether the volume continues itself in all directions: then a piece carries flow if it meets its own image in
        another period along the axis. Otherwise, if it joins the first and the last plane.

    Returns
    -------
    ndarray of bool, shape (nz, ny, nx), or None
    """
    found = np.zeros(phase.shape, np.bool_)
    if is_periodic:
        _fill_winding(np.ascontiguousarray(phase), found)
    else:
        starts, first, last, carries = percolating_runs(np.ascontiguousarray(phase).view(np.uint8))
        _fill_runs(starts, first, last, carries, found)
    return found if found.any() else None


@kernel
def _fill_runs(
    starts: np.ndarray, first: np.ndarray, last: np.ndarray, carries: np.ndarray, found: np.ndarray
) -> None:  # fmt: skip
    ny = found.shape[1]
    for line in range(starts.size - 1):
        for run in range(starts[line], starts[line + 1]):
            if carries[run]:
                found[line // ny, line % ny, first[run] : last[run]] = True


@kernel
def _fill_winding(phase: np.ndarray, found: np.ndarray) -> None:
    """Walk through each piece, and count on the way how often the first axis has been gone round."""
    nz, ny, nx = phase.shape
    turn = np.zeros(phase.size, np.int16)
    seen = np.zeros(phase.size, np.bool_)
    stack = np.empty(phase.size, np.int64)
    flat, out = phase.reshape(-1), found.reshape(-1)
    for start in range(phase.size):
        if seen[start] or not flat[start]:
            continue
        seen[start], stack[0], count, at, winds = True, start, 1, 0, False
        while at < count:
            voxel = stack[at]
            at += 1
            z, y, x = voxel // (ny * nx), voxel // nx % ny, voxel % nx
            for side in range(6):
                axis, step = side >> 1, 2 * (side & 1) - 1
                p, q, r = z + step * (axis == 0), y + step * (axis == 1), x + step * (axis == 2)
                turns = turn[voxel] + (p == nz) - (p < 0)
                other = (p % nz * ny + q % ny) * nx + r % nx
                if not flat[other]:
                    continue
                if not seen[other]:
                    seen[other], turn[other], stack[count] = True, turns, other
                    count += 1
                elif turn[other] != turns:
                    winds = True
        if winds:
            for n in range(count):
                out[stack[n]] = True
