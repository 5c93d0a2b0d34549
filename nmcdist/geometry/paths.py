"""Paths through a phase from face to face: the shortest ones, the widest ones, and whether one exists.

Every kernel runs on one thread and releases the GIL, so that axes and phases can run side by side.
"""

import math

import numpy as np

from nmcdist.geometry.growing import grown
from nmcdist.geometry.neighbours import NEIGHBOURS, kind_of, offsets_in
from nmcdist.jit import Int, kernel

# Lengths of steps across a face, an edge and a corner. Their ratios are sqrt(2) and sqrt(3) within 6e-8. With
# integers, the length of a path does not depend on the order of its steps.
UNIT = 20586
STEP_LENGTHS = (UNIT, 29113, 35656)
FINE_UNIT = 1 << 24  # of the shortest edge, where edges differ and ratios are arbitrary


def mean_path_length(phase: np.ndarray, axis: int, edges: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> float:
    """Return the mean length of the shortest paths from the first face of an axis to the last.

    Steps lead to the 26 neighbours, from voxel centre to voxel centre. One path starts from each voxel of the phase
    on the first face that is connected to the last face.

    Parameters
    ----------
    phase : ndarray of bool, three-dimensional
    axis : int
    edges : (float, float, float)
        Edges of a voxel along the axes of the array; only their ratios count.

    Returns
    -------
    float
        In edges along the axis; NaN if no path joins the faces.
    """
    across = np.moveaxis(phase, axis, 0)
    if not edges[0] == edges[1] == edges[2]:
        return _mean_stretched_length(across, (edges[axis], *(e for k, e in enumerate(edges) if k != axis)))
    total, paths = _sum_path_lengths(across, np.uint32)
    if total < 0:
        total, paths = _sum_path_lengths(across, np.uint64)
    return total / paths / UNIT if paths else math.nan


def widest_from_face(distance2: np.ndarray, axis: int, enough: int | None = None) -> tuple[np.ndarray, int]:
    """Return the size of the largest ball that can reach each voxel from the face at index 0 of an axis.

    This is the smallest squared distance on a path from the face to the voxel, maximised over all paths. Paths step
    to the 6 neighbours.

    Parameters
    ----------
    distance2 : ndarray of uint16 or uint32, shape (nz, ny, nx), C-contiguous
        Squared distance to the outside, 0 outside the phase.
    axis : int
    enough : int, optional
        Stop as soon as this many voxels are known; the widest come first.

    Returns
    -------
    widest : ndarray, shape and dtype of `distance2`
        0 where no path leads to.
    lowest : int
        Entries of at least this are exact, others are below it.
    """
    widest = np.zeros_like(distance2)
    following = np.empty(distance2.size, dtype=np.int32 if distance2.size < 2**31 else np.int64)
    shape = np.array(distance2.shape)
    shape[axis] = 1
    heads = np.full(int(distance2.max()) + 1, -1)
    lowest = _flood(distance2, shape, distance2.size if enough is None else enough, heads, widest, following)
    return widest, int(lowest)


def joins_faces(phase: np.ndarray, axis: int, connectivity: int) -> bool:
    """Return whether a path over 6 or 26 neighbours joins the first and the last face of an axis."""
    across = np.moveaxis(phase, axis, 0)
    cells = np.zeros([n + 2 for n in across.shape], dtype=np.uint8)
    cells[1:-1, 1:-1, 1:-1] = across
    steps = [step for step in NEIGHBOURS if connectivity == 26 or kind_of(step) == 0]
    return _reaches(cells.reshape(-1), offsets_in(steps, cells.shape), math.prod(cells.shape[1:]))


def _sum_path_lengths(across: np.ndarray, kind: type) -> tuple[int, int]:
    """Return the sum and the number of the path lengths; the sum is negative if a path is too long for the type."""
    # A margin of zeros represents the outside, because no path is shorter.
    distance: np.ndarray = np.zeros([n + 2 for n in across.shape], dtype=kind)
    np.copyto(distance[1:-1, 1:-1, 1:-1], np.iinfo(kind).max, where=across)
    plane = math.prod(distance.shape[1:])
    flat = distance.reshape(-1)
    first, last = flat[plane : 2 * plane], flat[-2 * plane : -plane]
    # Distances count from UNIT.
    last[last > 0] = UNIT
    seeds = np.flatnonzero(last) + (len(flat) - 2 * plane)
    lengths: np.ndarray = np.array([STEP_LENGTHS[kind_of(step)] for step in NEIGHBOURS], dtype=kind)
    index = np.int32 if len(flat) < 2**31 else np.int64
    offsets = offsets_in(NEIGHBOURS, distance.shape)
    if not _settle(flat, offsets, lengths, seeds.astype(index), kind(UNIT), kind(np.iinfo(kind).max)):
        return -1, 0
    reached = first[(first > 0) & (first < np.iinfo(kind).max)]
    return int(reached.sum(dtype=np.uint64)) - UNIT * len(reached), len(reached)


def _mean_stretched_length(across: np.ndarray, edges: tuple[float, ...]) -> float:
    shortest, farthest = min(edges), np.iinfo(np.int64).max
    distance = np.zeros([n + 2 for n in across.shape], dtype=np.int64)
    np.copyto(distance[1:-1, 1:-1, 1:-1], farthest, where=across)
    plane = math.prod(distance.shape[1:])
    flat = distance.reshape(-1)
    first, last = flat[plane : 2 * plane], flat[-2 * plane : -plane]
    last[last > 0] = 1
    seeds = np.flatnonzero(last) + (len(flat) - 2 * plane)
    steps = [math.hypot(*(a * edge for a, edge in zip(step, edges, strict=True))) for step in NEIGHBOURS]
    lengths = np.array([round(FINE_UNIT * step / shortest) for step in steps], dtype=np.int64)
    _settle_in_bands(flat, offsets_in(NEIGHBOURS, distance.shape), lengths, seeds)
    reached = first[(first > 0) & (first < farthest)]
    if not len(reached):
        return math.nan
    return float(reached.sum() - len(reached)) / len(reached) / FINE_UNIT * (shortest / edges[0])


@kernel
def _settle_in_bands(distance: np.ndarray, offsets: np.ndarray, lengths: np.ndarray, seeds: np.ndarray) -> None:
    """Replace distances by those of shortest paths from the seeds, whatever the ratios of the steps.

    Bands are as wide as the longest step, so steps lead into the same band or the next. Voxels of a band are visited
    again when their distance drops, until none does.
    """
    band = lengths.max()
    current, n_current = seeds.copy(), len(seeds)
    following, n_following = np.empty_like(seeds), 0
    begin = np.int64(1)
    while n_current:
        end = begin + band
        i = 0
        while i < n_current:
            place = current[i]
            i += 1
            here = distance[place]
            if here < begin:
                continue
            current = grown(current, n_current + len(offsets))
            following = grown(following, n_following + len(offsets))
            for k in range(len(offsets)):
                to = place + offsets[k]
                new, old = here + lengths[k], distance[to]
                if new < old:
                    distance[to] = new
                    if new < end:
                        current[n_current] = to
                        n_current += 1
                    elif old >= end + band:
                        following[n_following] = to
                        n_following += 1
        current, following = following, current
        n_current, n_following = n_following, 0
        begin = end


@kernel
def _settle(
    distance: np.ndarray, offsets: np.ndarray, lengths: np.ndarray, seeds: np.ndarray, unit: int, farthest: int
) -> bool:
    """Replace distances by those of shortest paths from the seeds; return whether all fit into their type.

    Dial's buckets are as wide as the smallest step: the distances of a bucket are final when its turn comes, and
    steps from it lead into the next two, so three lists of voxels are enough. If the distance of a voxel drops to a
    nearer bucket, its old entry in the farther one remains and is skipped later.
    """
    current, n_current = seeds, len(seeds)
    following, n_following = np.empty_like(seeds), 0
    later, n_later = np.empty_like(seeds), 0
    begin = np.uint64(unit)
    while n_current or n_following:
        middle = begin + unit
        end = middle + unit
        if end + unit > farthest:
            return False
        room = len(offsets) * n_current
        following = grown(following, n_following + room)
        later = grown(later, n_later + room)
        for i in range(n_current):
            place = np.int64(current[i])
            here = distance[place]
            if here < begin:
                continue
            for k in range(len(offsets)):
                to = place + offsets[k]
                new, old = here + lengths[k], distance[to]
                if new < old:
                    distance[to] = new
                    if new < end:
                        if old >= end:
                            following[n_following] = to
                            n_following += 1
                    elif old == farthest:
                        later[n_later] = to
                        n_later += 1
        current, following, later = following, later, current
        n_current, n_following, n_later = n_following, n_later, 0
        begin = middle
    return True


@kernel
def _flood(
    distance2: np.ndarray, face: np.ndarray, enough: int, heads: np.ndarray, widest: np.ndarray, following: np.ndarray
) -> Int:
    """Write the widths of the widest paths from the face; return the level down to which they are known.

    Voxels are processed from the widest down, so the first path that reaches a voxel is its widest, and each voxel is
    listed once. There is one list per width, which starts at `heads` (-1: empty) and is linked through `following`.
    """
    nz, ny, nx = distance2.shape
    distance, flat = distance2.reshape(-1), widest.reshape(-1)
    level = np.int64(len(heads) - 1)
    for z in range(face[0]):
        for y in range(face[1]):
            for x in range(face[2]):
                place = (z * ny + y) * nx + x
                width = distance[place]
                if width > 0:
                    flat[place] = width
                    following[place] = heads[width]
                    heads[width] = place
    known = 0
    while level > 0:
        while heads[level] >= 0:
            place = heads[level]
            heads[level] = following[place]
            known += 1
            row = place // nx
            x, y, z = place - row * nx, row % ny, row // ny
            for side in range(6):
                if side == 0:
                    inside, to = z > 0, place - ny * nx
                elif side == 1:
                    inside, to = y > 0, place - nx
                elif side == 2:
                    inside, to = x > 0, place - 1
                elif side == 3:
                    inside, to = x < nx - 1, place + 1
                elif side == 4:
                    inside, to = y < ny - 1, place + nx
                else:
                    inside, to = z < nz - 1, place + ny * nx
                if inside and distance[to] > 0 and flat[to] == 0:
                    width = min(np.int64(distance[to]), level)
                    flat[to] = width
                    following[to] = heads[width]
                    heads[width] = to
        if known >= enough:
            return level
        level -= 1
    return 1


@kernel
def _reaches(cells: np.ndarray, offsets: np.ndarray, plane: int) -> bool:
    """Return whether the set cells of the second plane are joined to the last but one; clears visited cells."""
    stack, n = np.empty(1024, np.int64), 0
    goal = len(cells) - 2 * plane
    for seed in range(plane, 2 * plane):
        if cells[seed] == 0:
            continue
        cells[seed] = 0
        stack[0], n = seed, 1
        while n:
            n -= 1
            place = stack[n]
            if place >= goal:
                return True
            stack = grown(stack, n + len(offsets))
            for k in range(len(offsets)):
                to = place + offsets[k]
                if cells[to]:
                    cells[to] = 0
                    stack[n] = to
                    n += 1
    return False
