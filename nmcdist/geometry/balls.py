"""Unions of digital balls: the largest of many balls that covers each voxel.

A map gives each voxel c the squared radius R(c) of an open ball, the voxel centres x with |x - c|^2 < R(c). The cover
at x is the largest R(c) of the balls that contain x. Painting every ball is exact but far too slow. The method here
is also exact, but paints almost nothing:

- A ball inside the ball of one of the 26 neighbours is left out (lookup tables after Remy and Thiel, Pattern
  Recognition Letters 23 (2002) 649).
- A ball is left out if none of its six neighbours is smaller: for any x in it, a step from its centre towards x leads
  to a ball at least as large that still contains x.
- For every other ball, only the cap that sticks out of a neighbour's larger ball, its leader, is painted. Caps of the
  same radius towards the same kind of leader are the beginning of one list of voxels sorted by distance from the
  leader, so painting a cap means reading the start of a list.

Leaders of equal radius are chosen by their position in the volume, and only among balls that the second rule keeps.
So a chain of leaders always ends.
"""

from functools import lru_cache

import numpy as np

from nmcdist.geometry.neighbours import CUBE, kind_of
from nmcdist.jit import Int, kernel
from nmcdist.threads import thread_map

SLAB = 16  # planes that a thread searches for leaders at a time
PAINT_SLAB = 64  # least number of planes that a thread paints at a time
STRIP = 32  # rows whose balls are painted together
CAP_VOXELS = 256  # longest list of a cap; the few larger caps are painted row by row
CAP_RADIUS2 = 1024  # largest squared radius with lists, which bounds their memory to 6 MB

OMITTED, ALONE = 0, 1  # marks of omitted balls and of balls without a leader; otherwise LED + direction
LED = 2

DIRECTIONS = np.array(CUBE, dtype=np.int64)
HERE = 13  # the number of no direction
KINDS = np.array([kind_of(step) for step in CUBE], dtype=np.int64)
BITS = 5  # that a direction needs
EMPTY = np.uint32(HERE)  # no ball, packed with a direction


def cover_by_balls(radius2: np.ndarray, lowest: int = 1) -> np.ndarray:
    """Return the largest squared radius of the balls that cover each voxel, 0 if there is none.

    Parameters
    ----------
    radius2 : ndarray of uint16 or uint32, shape (nz, ny, nx), C-contiguous
        Squared radius of the open ball around each voxel centre, in voxels; 0 for no ball. No entry may be the
        largest number that the type holds.
    lowest : int
        Balls of smaller squared radius may be left out: the result is exact where it is at least this value, and
        smaller than this value elsewhere.

    Returns
    -------
    ndarray, shape and dtype of `radius2`
    """
    nz = radius2.shape[0]
    cover = radius2.copy()
    largest = int(radius2.max())
    if largest < 2:
        return cover  # a ball of squared radius 1 is its centre
    root = np.sqrt(np.arange(largest + 1)).astype(np.int32)
    reach = _reach_table(largest, np.iinfo(radius2.dtype).max).astype(radius2.dtype)
    marks = np.empty(radius2.shape, dtype=np.uint8)
    thread_map(lambda z: _mark(radius2, max(lowest, 2), reach, marks, z, min(z + SLAB, nz)), range(0, nz, SLAB))
    caps = _cap_lists(min(CAP_RADIUS2, 1 << largest.bit_length()))
    # A thread owns the planes that it paints. Slabs of twice the largest radius keep the share of balls that two
    # threads process small; an even number of slabs keeps two threads busy.
    slabs = max(1, nz // max(PAINT_SLAB, 2 * int(root[largest - 1])))
    ends = np.linspace(0, nz, (slabs - slabs % 2 if slabs > 1 else 1) + 1).astype(np.int64)
    thread_map(
        lambda first, last: _paint(radius2, cover, marks, root, caps, first, last, DIRECTIONS, KINDS, _FRAMES),
        ends[:-1], ends[1:],
    )  # fmt: skip
    return cover


def _frames() -> np.ndarray:
    """Return, per direction, the signed axes of its frame: first those of its non-zero coordinates.

    In this frame, all directions of a kind are (1, 0, 0), (1, 1, 0) or (1, 1, 1).
    """
    frames = np.zeros((len(DIRECTIONS), 3, 3), dtype=np.int64)
    for frame, direction in zip(frames, DIRECTIONS, strict=True):
        order = np.argsort(direction == 0, kind="stable")
        frame[np.arange(3), order] = np.where(direction[order] == 0, 1, direction[order])
    return frames


_FRAMES = _frames()


@lru_cache(maxsize=1)
def _cap_lists(limit: int) -> np.ndarray:
    """Return, for each kind of direction v and squared radius, the voxels p of the ball farthest from v.

    Returns
    -------
    ndarray of int16, shape (3, limit + 1, CAP_VOXELS + 1, 4)
        Voxels p in the frame of the direction, and |p - v|^2, sorted by it, the largest first; 0 after the last. The
        last entry only shows whether there are more than CAP_VOXELS.
    """
    side = np.arange(-int(np.sqrt(limit)), int(np.sqrt(limit)) + 1, dtype=np.int16)
    voxels = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    shell = (voxels.astype(np.int32) ** 2).sum(axis=1)
    voxels, shell = voxels[shell < limit], shell[shell < limit]
    caps = np.zeros((3, limit + 1, CAP_VOXELS + 1, 4), dtype=np.int16)
    for kind in range(3):
        direction = np.array([1, 1, 1][: kind + 1] + [0, 0, 0][kind + 1 :])
        depth = ((voxels - direction) ** 2).sum(axis=1)
        order = np.lexsort((-depth, shell))
        starts = np.searchsorted(shell[order], np.arange(limit + 1))
        _merge_shells(np.column_stack([voxels, depth])[order].astype(np.int16), starts, caps[kind])
    return caps


@kernel
def _merge_shells(voxels: np.ndarray, starts: np.ndarray, caps: np.ndarray) -> None:
    """Merge the list of each squared radius with the next shell, both sorted, into the next list."""
    for r in range(1, len(starts)):
        old, new = 0, starts[r - 1]
        for i in range(caps.shape[1]):
            if new < starts[r] and voxels[new, 3] >= caps[r - 1, old, 3]:
                for k in range(4):  # copying a row would take seconds to compile
                    caps[r, i, k] = voxels[new, k]
                new += 1
            elif caps[r - 1, old, 3] > 0:
                for k in range(4):
                    caps[r, i, k] = caps[r - 1, old, k]
                old += 1


@kernel
def _reach_table(largest: int, limit: int) -> np.ndarray:
    """Return 1 + max |p - v|^2 over the voxels p of a ball, by kind of direction v and squared radius.

    A ball lies inside the ball around v if the latter has at least this squared radius.
    """
    reach = np.zeros((3, largest + 1), np.int64)
    n = int(np.sqrt(largest)) + 1
    for a in range(n + 1):
        for b in range(a + 1):
            for c in range(b + 1):
                shell = a * a + b * b + c * c
                if shell < largest:
                    # The farthest point of the shell is opposite to v, with its largest coordinates along v.
                    far = shell + 1
                    for kind, coordinate in enumerate((a, b, c)):
                        far += 2 * coordinate + 1
                        reach[kind, shell + 1] = max(reach[kind, shell + 1], far)
    for kind in range(3):
        for r in range(1, largest + 1):
            reach[kind, r] = min(max(reach[kind, r], reach[kind, r - 1]), limit)
    return reach


@kernel
def _mark(radius2: np.ndarray, lowest: int, reach: np.ndarray, marks: np.ndarray, first: int, last: int) -> None:
    """Mark which balls to leave out, and the direction of the leader of the others."""
    _, ny, nx = radius2.shape
    near = np.empty(nx, np.uint32)  # best of the rows across a face, except the row itself
    far = np.empty(nx, np.uint32)  # best of the rows across an edge
    best = np.empty((3, nx), np.uint32)  # best of each kind of neighbour
    least = np.empty(nx, radius2.dtype)  # smallest of the six neighbours
    keep = np.empty(nx, np.bool_)
    for z in range(first, last):
        for y in range(ny):
            row = radius2[z, y]
            _survey(radius2, z, y, near, far, best, least)
            for x in range(nx):
                r = row[x]
                keep[x] = (
                    (r >= lowest)
                    & (least[x] < r)
                    & (best[0, x] >> BITS < reach[0, r])
                    & (best[1, x] >> BITS < reach[1, r])
                    & (best[2, x] >> BITS < reach[2, r])
                )
            for x in range(nx):
                marks[z, y, x] = _leader(radius2, best, z, y, x) if keep[x] else OMITTED


@kernel
def _survey(
    radius2: np.ndarray, z: int, y: int, near: np.ndarray, far: np.ndarray, best: np.ndarray, least: np.ndarray
) -> None:
    """Write the largest neighbour of each kind, packed with its direction, and the smallest of the six."""
    nz, ny, nx = radius2.shape
    row = radius2[z, y]
    for x in range(nx):
        near[x] = EMPTY
        far[x] = EMPTY
        least[x] = row[x]
    for dz in range(-1, 2):
        for dy in range(-1, 2):
            if (dz != 0 or dy != 0) and 0 <= z + dz < nz and 0 <= y + dy < ny:
                other = radius2[z + dz, y + dy]
                direction = np.uint32(HERE + 9 * dz + 3 * dy)
                if dz * dy == 0:
                    for x in range(nx):
                        near[x] = max(near[x], np.uint32((np.uint32(other[x]) << BITS) + direction))
                        least[x] = min(least[x], other[x])
                else:
                    for x in range(nx):
                        far[x] = max(far[x], np.uint32((np.uint32(other[x]) << BITS) + direction))
    for x in range(nx):
        best[0, x] = near[x]
        best[1, x] = far[x]
        best[2, x] = EMPTY
    # A step along the row changes the direction by one, which never carries into the radius.
    for x in range(1, nx):
        best[0, x] = max(best[0, x], np.uint32((np.uint32(row[x - 1]) << BITS) + (HERE - 1)))
        best[1, x] = max(best[1, x], np.uint32(near[x - 1] - 1))
        best[2, x] = max(best[2, x], np.uint32(far[x - 1] - 1))
        least[x] = min(least[x], row[x - 1])
    for x in range(nx - 1):
        best[0, x] = max(best[0, x], np.uint32((np.uint32(row[x + 1]) << BITS) + (HERE + 1)))
        best[1, x] = max(best[1, x], np.uint32(near[x + 1] + 1))
        best[2, x] = max(best[2, x], np.uint32(far[x + 1] + 1))
        least[x] = min(least[x], row[x + 1])


@kernel
def _leader(radius2: np.ndarray, best: np.ndarray, z: int, y: int, x: int) -> Int:
    """Return the mark of a ball: the larger neighbour that leaves the lowest cap uncovered."""
    r = np.int64(radius2[z, y, x])
    lead, height = np.uint32(0), np.float32(-np.inf)  # minus the height of the cap, up to constants
    for kind in range(3):
        larger = np.int64(best[kind, x] >> BITS) - r
        if larger > 0:
            other = np.float32(larger - kind) / np.sqrt(np.float32(kind + 1))
            if other > height:
                lead, height = best[kind, x], other
    if lead > 0:
        return LED + np.int64(lead & ((1 << BITS) - 1))
    return equal_leader(radius2, z, y, x)


@kernel
def equal_leader(radius2: np.ndarray, z: int, y: int, x: int) -> int:
    """Return the mark of a ball without a larger neighbour; among equals, later positions count as larger."""
    nz, ny, nx = radius2.shape
    for k in range(HERE + 1, 27):
        a, b, c = z + k // 9 - 1, y + k // 3 % 3 - 1, x + k % 3 - 1
        if (
            0 <= a < nz
            and 0 <= b < ny
            and 0 <= c < nx
            and radius2[a, b, c] == radius2[z, y, x]
            and has_smaller(radius2, a, b, c)
        ):
            return LED + k
    return ALONE


@kernel
def has_smaller(radius2: np.ndarray, z: int, y: int, x: int) -> bool:
    """Return whether one of the six neighbours has a smaller ball or no ball."""
    nz, ny, nx = radius2.shape
    r = radius2[z, y, x]
    return (
        (x > 0 and radius2[z, y, x - 1] < r)
        or (x < nx - 1 and radius2[z, y, x + 1] < r)
        or (y > 0 and radius2[z, y - 1, x] < r)
        or (y < ny - 1 and radius2[z, y + 1, x] < r)
        or (z > 0 and radius2[z - 1, y, x] < r)
        or (z < nz - 1 and radius2[z + 1, y, x] < r)
    )


@kernel
def _paint(
    radius2: np.ndarray, cover: np.ndarray, marks: np.ndarray, root: np.ndarray, caps: np.ndarray, first: int,
    last: int, directions: np.ndarray, kinds: np.ndarray, frames: np.ndarray,
) -> None:  # fmt: skip
    """Raise the planes first <= z < last of the cover by the caps of all balls."""
    nz, ny, nx = radius2.shape
    margin = root[len(root) - 1]
    flat, none = cover.reshape(-1), np.int64(0)  # typed: with a plain 0, `_paint_rows` would be compiled twice
    steps = np.empty((len(frames), 3), np.int64)
    for k in range(len(frames)):
        for i in range(3):
            steps[k, i] = (frames[k, i, 0] * ny + frames[k, i, 1]) * nx + frames[k, i, 2]
    # A strip of rows at a time, so that the painted voxels stay in the cache.
    for strip in range(0, ny, STRIP):
        for z in range(max(0, first - margin), min(nz, last + margin)):
            for y in range(strip, min(strip + STRIP, ny)):
                for x in range(nx):
                    mark = marks[z, y, x]
                    if mark == OMITTED:
                        continue
                    r = radius2[z, y, x]
                    if mark == ALONE:
                        _paint_rows(cover, root, z, y, x, r, none, none, none, none, first, last)
                        continue
                    k = mark - LED
                    dz, dy, dx = directions[k, 0], directions[k, 1], directions[k, 2]
                    leading = np.int64(radius2[z + dz, y + dy, x + dx])
                    if r >= caps.shape[1] or caps[kinds[k], r, CAP_VOXELS, 3] >= leading:
                        _paint_rows(cover, root, z, y, x, r, leading, dz, dy, dx, first, last)
                        continue
                    cap, w = caps[kinds[k], r], root[r - 1]
                    if z - w >= first and z + w < last and w <= y < ny - w and w <= x < nx - w:
                        _paint_list(flat, (z * ny + y) * nx + x, r, leading, cap, steps[k])
                    else:
                        _paint_clipped(cover, z, y, x, r, leading, cap, frames[k], first, last)


@kernel
def _paint_list(flat: np.ndarray, centre: int, r: int, leading: Int, cap: np.ndarray, steps: np.ndarray) -> None:
    s0, s1, s2 = steps[0], steps[1], steps[2]
    for i in range(CAP_VOXELS):
        if cap[i, 3] < leading:
            break
        place = np.uint64(centre + cap[i, 0] * s0 + cap[i, 1] * s1 + cap[i, 2] * s2)
        flat[place] = max(flat[place], r)


@kernel
def _paint_clipped(
    cover: np.ndarray, z: int, y: int, x: int, r: int, leading: Int, cap: np.ndarray, frame: np.ndarray, first: int,
    last: int,
) -> None:  # fmt: skip
    _, ny, nx = cover.shape
    for i in range(CAP_VOXELS):
        if cap[i, 3] < leading:
            break
        p, q, s = np.int64(cap[i, 0]), np.int64(cap[i, 1]), np.int64(cap[i, 2])
        a = z + p * frame[0, 0] + q * frame[1, 0] + s * frame[2, 0]
        b = y + p * frame[0, 1] + q * frame[1, 1] + s * frame[2, 1]
        c = x + p * frame[0, 2] + q * frame[1, 2] + s * frame[2, 2]
        if first <= a < last and 0 <= b < ny and 0 <= c < nx:
            cover[a, b, c] = max(cover[a, b, c], r)


@kernel
def _paint_rows(
    cover: np.ndarray, root: np.ndarray, z: int, y: int, x: int, r: int, leading: Int, vz: Int, vy: Int, vx: Int,
    first: int, last: int,
) -> None:  # fmt: skip
    """Paint a ball, row by row, without the ball of its leader at distance v (squared radius 0: no leader).

    A voxel p of the ball with |p - v|^2 >= leading has p.v <= plane = (r - 1 + v.v - leading) / 2.
    """
    _, ny, nx = cover.shape
    inner = np.int64(r) - 1
    v2 = vz * vz + vy * vy + vx * vx
    plane = (inner + v2 - leading) >> 1
    low, high = _extent(inner, vz, v2, plane)
    for a in range(max(low, first - z), min(high, last - 1 - z) + 1):
        disc = inner - a * a
        low, high = _extent(disc, vy, v2 - vz * vz, plane - a * vz)
        for b in range(max(low, -y), min(high, ny - 1 - y) + 1):
            row = cover[z + a, y + b]
            half = root[disc - b * b]
            begin, end = max(0, x - half), min(nx - 1, x + half) + 1
            covered = leading - 1 - (a - vz) * (a - vz) - (b - vy) * (b - vy)
            if covered < 0:
                for c in range(begin, end):
                    row[c] = max(row[c], r)
            else:
                half = root[covered]
                for c in range(begin, min(end, x + vx - half)):
                    row[c] = max(row[c], r)
                for c in range(max(begin, x + vx + half + 1), end):
                    row[c] = max(row[c], r)


@kernel
def _extent(s: Int, along: Int, v2: int, plane: Int) -> tuple[int, int]:
    """Bound a coordinate over |p|^2 <= s, p.v <= plane, where v has this coordinate `along` and |v|^2 = v2."""
    half = int(np.sqrt(s))
    low, high = -half, half
    if v2 == 0:
        if plane < 0:
            high = low - 1
        return low, high
    # On the rim of the cap; one hundredth allows for rounding, and additional rows without voxels are harmless.
    rim = np.sqrt(max(0.0, float((s * v2 - plane * plane) * (v2 - along * along))))
    if half * along > plane:
        high = min(high, int(np.floor((plane * along + rim) / v2 + 0.01)))
    if -half * along > plane:
        low = max(low, int(np.ceil((plane * along - rim) / v2 - 0.01)))
    return low, high
