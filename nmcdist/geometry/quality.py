"""Quality of tetrahedra by their dihedral angles, and moves of nodes that improve the worst ones.

Each node of a bad tetrahedron tries steps at random, in balls that become smaller, and takes one if the worst angle of
all tetrahedra around it grows. Nothing else changes, so meshes stay conforming, keep their labels, and cannot turn
inside out.
"""

from dataclasses import dataclass

import numpy as np

from nmcdist.jit import Float, inlined, kernel

TRIES = 40  # steps that a node tries
SWEEPS = 60
PATIENCE = 12  # sweeps after which no tetrahedron has become good
_REACHES = (0.4, 0.2, 0.1, 0.05)  # radii of the balls, in edges of a voxel, one after the other

_jit = kernel(error_model="numpy")


@dataclass(frozen=True)
class Improved:
    """A mesh whose nodes were moved.

    Attributes
    ----------
    points : ndarray of float64, shape (n, 3)
    smallest_angle : float
        Smallest dihedral angle, in degrees.
    below : ndarray of int, shape (k,)
        The tetrahedra with an angle under the target.
    """

    points: np.ndarray
    smallest_angle: float
    below: np.ndarray


def dihedral_angles(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the smallest dihedral angle of each tetrahedron, in degrees; 0 for those that are inside out.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
    cells : ndarray of int32, shape (m, 4)
        With positive volume in the order of the columns of `points`.
    """
    return np.degrees(np.arccos(np.clip(_cosines(points, cells), -1.0, 1.0)))


def improved(
    points: np.ndarray, cells: np.ndarray, leeway: np.ndarray, held: np.ndarray, edges: tuple[float, float, float],
    degrees: float, anchors: np.ndarray | None = None,
) -> Improved:  # fmt: skip
    """Move nodes until no dihedral angle is below a target, or no move helps any more.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
    cells : ndarray of int32, shape (m, 4)
        With positive volume in the order of the columns of `points`.
    leeway : ndarray of float64, shape (n,)
        How far a node may move from its anchor, in edges of a voxel; infinite for free ones.
    held : ndarray of bool, shape (n, 3)
        Coordinates that stay, such as those across the faces of a box.
    edges : tuple of float
        Edges of a voxel along the columns of `points`: the measure of a step.
    degrees : float
        The target.
    anchors : ndarray of float64, shape (n, 3), optional
        Default: `points`.

    Returns
    -------
    Improved
    """
    moved, goal = points.copy(), float(np.cos(np.radians(degrees)))
    anchors = points if anchors is None else anchors
    starts, members = _cells_of_nodes(len(points), cells)
    worst = _cosines(moved, cells)
    steps = np.asarray(edges, dtype=float)
    fewest, since = len(cells), 0
    for sweep in range(SWEEPS):
        reach = _REACHES[sweep % len(_REACHES)]
        bad = np.flatnonzero(worst > goal)
        fewest, since = (bad.size, sweep) if bad.size < fewest else (fewest, since)
        if not bad.size or sweep - since >= PATIENCE:
            break
        _sweep(moved, anchors, cells, leeway, held, reach, steps, starts, members, worst, bad, goal, sweep)
    return Improved(moved, float(np.degrees(np.arccos(min(worst.max(), 1.0)))), np.flatnonzero(worst > goal))


@_jit
def _cells_of_nodes(count: int, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    starts = np.zeros(count + 1, np.int64)
    for row in range(len(cells)):
        for n in range(4):
            starts[cells[row, n] + 1] += 1
    starts = np.cumsum(starts)
    filled, members = starts[:-1].copy(), np.empty(4 * len(cells), np.int32)
    for row in range(len(cells)):
        for n in range(4):
            node = cells[row, n]
            members[filled[node]] = row
            filled[node] += 1
    return starts, members


@inlined
def _normal(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inlined
def _dot(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_jit
def _cosine(points: np.ndarray, a: int, b: int, c: int, d: int) -> Float:
    """Return the cosine of the smallest dihedral angle, 2 if the volume is not positive."""
    p = points[a]
    u = points[b, 0] - p[0], points[b, 1] - p[1], points[b, 2] - p[2]
    v = points[c, 0] - p[0], points[c, 1] - p[1], points[c, 2] - p[2]
    w = points[d, 0] - p[0], points[d, 1] - p[1], points[d, 2] - p[2]
    n_b, n_c, n_d = _normal(v, w), _normal(w, u), _normal(u, v)  # of the faces without this node, inwards
    if not _dot(u, n_b) > 0:
        return 2.0
    n_a = -(n_b[0] + n_c[0] + n_d[0]), -(n_b[1] + n_c[1] + n_d[1]), -(n_b[2] + n_c[2] + n_d[2])
    a2, b2, c2, d2 = _dot(n_a, n_a), _dot(n_b, n_b), _dot(n_c, n_c), _dot(n_d, n_d)
    largest = -_dot(n_a, n_b) / np.sqrt(a2 * b2)
    largest = max(largest, -_dot(n_a, n_c) / np.sqrt(a2 * c2))
    largest = max(largest, -_dot(n_a, n_d) / np.sqrt(a2 * d2))
    largest = max(largest, -_dot(n_b, n_c) / np.sqrt(b2 * c2))
    largest = max(largest, -_dot(n_b, n_d) / np.sqrt(b2 * d2))
    return max(largest, -_dot(n_c, n_d) / np.sqrt(c2 * d2))


@_jit
def _cosines(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    found = np.empty(len(cells))
    for row in range(len(cells)):
        found[row] = _cosine(points, cells[row, 0], cells[row, 1], cells[row, 2], cells[row, 3])
    return found


@_jit
def _sweep(
    moved: np.ndarray, anchors: np.ndarray, cells: np.ndarray, leeway: np.ndarray, held: np.ndarray, reach: float,
    edges: np.ndarray, starts: np.ndarray, members: np.ndarray, worst: np.ndarray, bad: np.ndarray, goal: float,
    number: int,
) -> None:  # fmt: skip
    """Let the nodes of each bad tetrahedron try to move."""
    state = np.uint64(number + 1)
    old = np.empty(3)
    for row in bad:
        for n in range(4):
            if worst[row] <= goal:
                break
            node = cells[row, n]
            first, end = starts[node], starts[node + 1]
            best: Float = -1.0
            for k in range(first, end):
                best = max(best, worst[members[k]])
            for _ in range(TRIES):
                old[:] = moved[node]
                away = 0.0
                for axis in range(3):
                    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                    if not held[node, axis]:
                        share = np.float64(state >> np.uint64(11)) / 4503599627370496.0 - 1.0  # in [-1, 1)
                        moved[node, axis] += share * reach * edges[axis]
                        away += ((moved[node, axis] - anchors[node, axis]) / edges[axis]) ** 2
                found: Float = 2.0
                if away <= leeway[node] ** 2:
                    found = -1.0
                    for k in range(first, end):
                        c = members[k]
                        found = max(found, _cosine(moved, cells[c, 0], cells[c, 1], cells[c, 2], cells[c, 3]))
                        if found >= best:
                            break
                if found < best:
                    best = found
                    for k in range(first, end):
                        c = members[k]
                        worst[c] = _cosine(moved, cells[c, 0], cells[c, 1], cells[c, 2], cells[c, 3])
                else:
                    moved[node] = old
