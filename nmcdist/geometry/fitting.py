"""Fit tetrahedra to smooth interfaces: nodes leave the corners of voxels, grains keep their volumes, angles stay good.

Interfaces are smoothed as surfaces of labels are. Then nodes move until all dihedral angles are large enough, and
grains get their volumes back; the two alternate, because each disturbs the other a little.
"""

from dataclasses import dataclass

import numpy as np

from nmcdist.geometry.graded import LatticeMesh
from nmcdist.geometry.quality import dihedral_angles, improved
from nmcdist.geometry.surfaces import LabelNet, enclosed_volumes
from nmcdist.jit import kernel

# No tetrahedron becomes smaller than this share of an unsmoothed one.
_SMALLEST = 0.1
_BACK = 0.3  # of the way, as often as needed
_ROUNDS = 4
_MOST_ROUNDS = 8  # while angles are too small
_STEPS = 5  # towards the volumes, each time that interfaces are smoothed
_FEWER_STEPS = 3  # after each move of nodes for their angles, which disturbs volumes less
_LEEWAY = 0.2  # of nodes on interfaces, in edges of a voxel
_VOLUME_ERROR = 2e-3  # of the volume of a grain, that needs no other round


@dataclass(frozen=True)
class Fitted:
    """Nodes of tetrahedra that follow smooth interfaces.

    Attributes
    ----------
    points : ndarray of float64, shape (n, 3)
        In voxels, as the corners of the lattice.
    smallest_angle : float
        Smallest dihedral angle, in degrees.
    below : int
        Tetrahedra with an angle under the target.
    """

    points: np.ndarray
    smallest_angle: float
    below: int


def fitted(
    mesh: LatticeMesh, net: LabelNet, held: np.ndarray, step: np.ndarray, degrees: float, sweeps: int
) -> Fitted:  # fmt: skip
    """Move the nodes of a lattice.

    Parameters
    ----------
    mesh : LatticeMesh
    net : LabelNet
        Of the same labels. Its `voxels` are the volumes that grains get.
    held : ndarray of bool, shape (n, 3)
        Coordinates that stay, such as those across the faces of a box.
    step : ndarray of float64, shape (3,)
        Edges of a voxel.
    degrees : float
        Smallest dihedral angle to reach; 0 moves nodes for smooth interfaces only.
    sweeps : int
        Of smoothing; 0 keeps the corners of the voxels.
    """
    shape = _Interfaces.of(mesh, net, held)
    smooth = mesh.corners.astype(np.float64)
    least = _SMALLEST * _six_volumes(smooth, mesh.cells)
    if sweeps:
        shape.smooth(smooth, mesh, least, sweeps)
    if degrees == 0:
        return Fitted(smooth, float(dihedral_angles(smooth * step, mesh.cells).min()), 0)
    leeway = np.full(len(smooth), np.inf)
    leeway[shape.rows] = _LEEWAY
    points = smooth
    for done in range(1, _MOST_ROUNDS + 1):
        found = improved(points * step, mesh.cells, leeway, held, tuple(step), degrees, anchors=smooth * step)
        points = found.points / step
        good = not len(found.below) and (done >= _ROUNDS or shape.volume_error(points) <= _VOLUME_ERROR)
        if good or not sweeps or done == _MOST_ROUNDS:
            break
        back = np.unique(mesh.cells[found.below])
        smooth[back] += _BACK * (mesh.corners[back] - smooth[back])
        points = shape.with_volumes(points, smooth, mesh, least)
    return Fitted(points, found.smallest_angle, len(found.below))


@dataclass(frozen=True)
class _Interfaces:
    """The faces of a mesh between labels, with nodes numbered as the corners of a net; `rows` are those in the mesh."""

    net: LabelNet
    rows: np.ndarray
    triangles: np.ndarray
    sides: np.ndarray
    held: np.ndarray

    @classmethod
    def of(cls, mesh: LatticeMesh, net: LabelNet, held: np.ndarray) -> "_Interfaces":
        faces = np.concatenate([mesh.outer, mesh.interfaces])
        used = np.zeros(len(mesh.corners), dtype=bool)
        used[faces] = True
        rows = np.flatnonzero(used)  # both are sorted by z, y, x
        numbers = np.cumsum(used, dtype=np.int32) - np.int32(1)
        outside = np.stack([mesh.grains[mesh.outer_cells], np.zeros(len(mesh.outer), dtype=np.int32)], axis=1)
        sides = np.searchsorted(net.values, np.concatenate([outside, mesh.interface_grains]))
        return cls(net, rows, numbers[faces], sides.astype(np.int32), held[rows])

    def smooth(self, points: np.ndarray, mesh: LatticeMesh, least: np.ndarray, sweeps: int) -> None:
        """Move points of interfaces to where they are smooth, as far as tetrahedra keep their least volumes."""
        regular = points.copy()
        moved = self.net.smoothed(sweeps)
        moved[self.held] = regular[self.rows][self.held]
        for _ in range(_ROUNDS):
            points[self.rows] = self.net.with_volumes(moved, self.triangles, self.sides, 0, self.held, _STEPS)
            _hold_back(points, regular, mesh.cells, least)
            moved = points[self.rows]

    def volume_error(self, points: np.ndarray) -> float:
        """Return the largest relative error of the volume of a grain."""
        found = enclosed_volumes(points[self.rows], self.triangles, self.sides, len(self.net.values))[1:]
        return float(np.abs(found / self.net.voxels[1:] - 1).max())

    def with_volumes(
        self, points: np.ndarray, smooth: np.ndarray, mesh: LatticeMesh, least: np.ndarray
    ) -> np.ndarray:  # fmt: skip
        """Return points that give grains their volumes, no farther from the smooth interface than nodes may move."""
        moved, anchors = points.copy(), smooth[self.rows]
        found = self.net.with_volumes(points[self.rows], self.triangles, self.sides, 0, self.held, _FEWER_STEPS)
        away = found - anchors
        far = np.linalg.norm(away, axis=1, keepdims=True)
        moved[self.rows] = anchors + away * (_LEEWAY / np.maximum(far, _LEEWAY))
        _hold_back(moved, points, mesh.cells, least)
        return moved


def _hold_back(points: np.ndarray, origins: np.ndarray, cells: np.ndarray, least: np.ndarray) -> None:
    """Move nodes back towards where they were until each tetrahedron is large enough, or where it was."""
    moved = np.ones(len(points), dtype=bool)
    while moved.any():
        moved = _nodes_of_small(points, origins, cells, least, moved)
        points[moved] += _BACK * (origins[moved] - points[moved])


@kernel
def _nodes_of_small(
    points: np.ndarray, origins: np.ndarray, cells: np.ndarray, least: np.ndarray, moved: np.ndarray
) -> np.ndarray:  # fmt: skip
    """Return which nodes are of small tetrahedra, among those with a node that moved."""
    small = np.zeros(len(points), dtype=np.bool_)
    for row in range(len(cells)):
        a, b, c, d = cells[row]
        if not (moved[a] or moved[b] or moved[c] or moved[d]):
            continue
        volume = _six_volume(points, a, b, c, d)
        if volume < least[row] and volume < 0.999 * _six_volume(origins, a, b, c, d):
            small[a] = small[b] = small[c] = small[d] = True
    return small


@kernel
def _six_volumes(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    found = np.empty(len(cells))
    for row in range(len(cells)):
        found[row] = _six_volume(points, cells[row, 0], cells[row, 1], cells[row, 2], cells[row, 3])
    return found


@kernel
def _six_volume(points: np.ndarray, a: int, b: int, c: int, d: int) -> float:
    bz, by, bx = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
    cz, cy, cx = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
    dz, dy, dx = points[d, 0] - points[a, 0], points[d, 1] - points[a, 1], points[d, 2] - points[a, 2]
    return bz * (cy * dx - cx * dy) + by * (cx * dz - cz * dx) + bx * (cz * dy - cy * dz)
