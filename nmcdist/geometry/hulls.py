"""The volume of the convex hull of points all around the origin, such as the vertices of a star-shaped surface.

A plane with q . x = 1 is written as its pole q, so a point p lies beyond it if q . p > 1.
"""

import math

import numpy as np

from nmcdist.jit import kernel

_BEYOND = 1.0 + 1e-13  # a point on a facet must not see it, rounded
_within = kernel(forceinline=True)  # too short to be worth a call

_AROUND = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])


@kernel
def star_hull_volume(points: np.ndarray) -> float:
    """Return the volume of the convex hull of points in directions all around the origin.

    Each point is added to the hull of those before: the facets that see it, which are connected, are replaced by
    facets between it and their edges. Each later point waits at a facet that sees it; if that one is replaced, at a new
    one, or else it lies inside (Barber, Dobkin and Huhdanpaa, ACM Trans. Math. Softw. 22 (1996) 469).

    Parameters
    ----------
    points : ndarray, shape (n, 3)

    Returns
    -------
    float
        -1 if no four of the points were found to surround the origin, or rounding leaves a surface that is not closed.
    """
    most = 3 * len(points) + 64  # a hull has two facets a point, and new ones come before old ones go
    corners, beside = np.empty((most, 3), np.int64), np.empty((most, 3), np.int64)  # beside[f, k] lacks corner k of f
    poles, seen_by, is_used = np.empty((most, 3)), np.full(most, -1), np.zeros(most, np.bool_)
    seen, edges = np.empty(most, np.int64), np.empty((3 * most, 3), np.int64)
    starting, start_of = np.empty(len(points), np.int64), np.full(len(points), -1)
    if not _start(points, corners, beside, poles):
        return -1.0
    is_used[:4] = True
    free, free_count = np.arange(most)[::-1].copy(), most - 4  # the last are used first
    place, waiting, after = np.full(len(points), -1), np.full(most, -1), np.empty(len(points), np.int64)
    for p in range(len(points)):
        _wait(points[p], p, poles, free, most - 4, most, place, waiting, after)
    for p in range(len(points)):
        facet = place[p]
        if facet < 0:
            continue
        seen_count, edge_count = _horizon(points[p], p, corners, beside, poles, seen_by, seen, edges, facet)
        if edge_count > free_count:
            return -1.0
        for e in range(edge_count):
            free_count -= 1
            facet, start, beyond = free[free_count], edges[e, 0], edges[e, 2]
            if start_of[start] == p:  # two edges around what is seen start here
                return -1.0
            start_of[start], starting[start] = p, facet
            corners[facet, 0], corners[facet, 1], corners[facet, 2] = start, edges[e, 1], p
            is_used[facet], seen_by[facet], beside[facet, 2] = True, -1, beyond
            if not _pole(points, corners[facet], poles[facet]):
                return -1.0
            for k in range(3):
                if corners[beyond, k] == edges[e, 1]:
                    beside[beyond, (k + 2) % 3] = facet
        for _ in range(edge_count):  # once around
            end = corners[facet, 1]
            if start_of[end] != p:
                return -1.0
            beside[facet, 0], beside[starting[end], 1] = starting[end], facet
            facet, start_of[end] = starting[end], -1
        for k in range(seen_count):
            q = waiting[seen[k]]
            while q >= 0:
                rest, place[q] = after[q], -1
                if q > p:
                    _wait(points[q], q, poles, free, free_count, free_count + edge_count, place, waiting, after)
                q = rest
            waiting[seen[k]] = -1
        for k in range(seen_count):
            is_used[seen[k]], free[free_count] = False, seen[k]
            free_count += 1
    volume = 0.0
    for f in range(most):
        if is_used[f]:
            volume += _product(points[corners[f, 0]], points[corners[f, 1]], points[corners[f, 2]])
    return volume / 6.0


@kernel
def _start(points: np.ndarray, corners: np.ndarray, beside: np.ndarray, poles: np.ndarray) -> bool:
    """Fill in the facets 0 to 3 of a tetrahedron around the origin, and return whether there is one."""
    first = np.zeros(4, np.int64)
    for k in range(4):
        best, a = -np.inf, _AROUND[k]
        for p in range(len(points)):
            z, y, x = points[p]
            along = (a[0] * z + a[1] * y + a[2] * x) / math.sqrt(z * z + y * y + x * x)
            if along > best:
                best, first[k] = along, p
    is_around = True
    for f, (a, b, c) in enumerate(((1, 3, 2), (0, 2, 3), (0, 3, 1), (0, 1, 2))):  # facet f lacks corner f
        corners[f, 0], corners[f, 1], corners[f, 2] = first[a], first[b], first[c]
        beside[f, 0], beside[f, 1], beside[f, 2] = a, b, c
        is_around &= _pole(points, corners[f], poles[f])
    return is_around


@_within
def _wait(
    point: np.ndarray, p: int, poles: np.ndarray, facets: np.ndarray, start: int, stop: int, place: np.ndarray,
    waiting: np.ndarray, after: np.ndarray,
) -> None:  # fmt: skip
    """Let a point wait at that of some facets beyond which it lies farthest, if there is any."""
    best, height = -1, _BEYOND
    for k in range(start, stop):
        found = _height(poles[facets[k]], point)
        if found > height:
            best, height = facets[k], found
    place[p] = best
    if best >= 0:
        after[p], waiting[best] = waiting[best], p


@kernel
def _pole(points: np.ndarray, corners: np.ndarray, pole: np.ndarray) -> bool:
    """Fill in the pole of a facet, and return whether the origin lies behind it."""
    a, b, c = points[corners[0]], points[corners[1]], points[corners[2]]
    uz, uy, ux = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vz, vy, vx = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    z, y, x = uy * vx - ux * vy, ux * vz - uz * vx, uz * vy - uy * vz
    height = z * a[0] + y * a[1] + x * a[2]
    if not height > 0.0:
        return False
    pole[0], pole[1], pole[2] = z / height, y / height, x / height
    return True


@_within
def _height(pole: np.ndarray, point: np.ndarray) -> float:
    return pole[0] * point[0] + pole[1] * point[1] + pole[2] * point[2]


@_within
def _sees(pole: np.ndarray, point: np.ndarray) -> bool:
    return _height(pole, point) > _BEYOND


@kernel
def _horizon(
    point: np.ndarray, p: int, corners: np.ndarray, beside: np.ndarray, poles: np.ndarray, seen_by: np.ndarray,
    seen: np.ndarray, edges: np.ndarray, facet: int,
) -> tuple[int, int]:  # fmt: skip
    """Fill in the facets that see a point, and the edges around them with the facet beyond each; return the counts."""
    seen[0], seen_by[facet] = facet, p
    done, seen_count, edge_count = 0, 1, 0
    while done < seen_count:
        f = seen[done]
        done += 1
        for k in range(3):
            other = beside[f, k]
            if seen_by[other] == p:
                continue
            if _sees(poles[other], point):
                seen[seen_count], seen_by[other] = other, p
                seen_count += 1
            else:
                edges[edge_count, 0], edges[edge_count, 1] = corners[f, (k + 1) % 3], corners[f, (k + 2) % 3]
                edges[edge_count, 2] = other
                edge_count += 1
    return seen_count, edge_count


@_within
def _product(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    return a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0])
