"""Volume meshes of label volumes: hexahedra or tetrahedra, sorted by grain; elements that meet share nodes.

Points are in the order z, y, x, and the volume of an element is positive in this order of columns. Code that writes
x, y, z must also mirror the order of the nodes.
"""

from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from nmcdist.errors import InputError
from nmcdist.geometry.quality import dihedral_angles, improved
from nmcdist.geometry.surfaces import SMOOTHING, LabelNet, checked_spacing, cropped
from nmcdist.jit import kernel

ELEMENTS = ("hexahedra", "tetrahedra")
# Corners of a voxel, in steps along the three axes.
_HEXAHEDRON = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))
# Kuhn's six tetrahedra: each follows the three axes in a different order from the first corner to the last. They cut
# a face of a voxel along the same diagonal from both sides.
_ORDERS = tuple(permutations(range(3)))
# No tetrahedron becomes smaller than this share of an unsmoothed one.
_SMALLEST = 0.1
_ROUNDS = 4
MIN_ANGLE = 15.0  # degrees: what node moves reach for voxels that are cubes
LARGEST_ANGLE = 40.0  # a mesh of equal tetrahedra has 60 to 70, which no conforming mesh keeps everywhere
_LEEWAY = 0.2  # of nodes on interfaces, in edges of a voxel


@dataclass(frozen=True)
class VolumeMesh:
    """A conforming mesh of the grains of a label volume.

    Attributes
    ----------
    points : ndarray of float64, shape (n, 3)
        In nm, in the order z, y, x.
    cells : ndarray of int32, shape (m, 8) or (m, 4)
    grains : ndarray of int32, shape (m,)
        The label of each cell, ascending.
    outer, outer_cells : ndarray of int32, shapes (k, 4) or (k, 3), and (k,)
        Faces towards the outside, with normals that point there, and the cell of each face.
    interfaces, interface_grains : ndarray of int32, shapes (j, 4) or (j, 3), and (j, 2)
        Faces between two grains, each once; the normal points out of the grain with the first, lower label.
    interface_cells : ndarray of int32, shape (j,)
        The cell of each such face in the grain with the lower label.
    smallest_angle : float
        Smallest dihedral angle of tetrahedra, in degrees; 90 for hexahedra.
    """

    points: np.ndarray
    cells: np.ndarray
    grains: np.ndarray
    outer: np.ndarray
    outer_cells: np.ndarray
    interfaces: np.ndarray
    interface_grains: np.ndarray
    interface_cells: np.ndarray
    smallest_angle: float = field(default=90.0, kw_only=True)


def volume_mesh(
    labels: np.ndarray,
    spacing: float | tuple[float, float, float],
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    elements: str = "hexahedra",
    smoothing: int = SMOOTHING,
    min_angle: float | None = None,
) -> VolumeMesh:
    """Mesh the grains of a label volume.

    Parameters
    ----------
    labels : ndarray of integers, shape (nz, ny, nx)
        0 is the outside, which is not meshed.
    spacing : float or (float, float, float)
        Size of a voxel along z, y, x, in nm.
    origin : (float, float, float)
        Centre of the first voxel, in nm.
    elements : {"hexahedra", "tetrahedra"}
        One hexahedron per voxel, or six tetrahedra.
    smoothing : int
        For tetrahedra: sweeps that smooth the interfaces, as in :func:`nmcdist.geometry.surfaces.label_surface`; each
        tetrahedron keeps at least a tenth of its volume.
    min_angle : float, optional
        For tetrahedra: smallest dihedral angle, in degrees, from 0 to 40. Nodes are moved until all reach it, those of
        interfaces by at most a fifth of a voxel, and within the faces of the volume. Default: 15, or what can be
        reached; 0 moves nothing.

    Returns
    -------
    VolumeMesh

    Raises
    ------
    InputError
        If the labels are not a volume of labels or no voxel has one, a parameter is out of range, or a given
        `min_angle` cannot be reached.
    """
    step = checked_spacing(spacing)
    if elements not in ELEMENTS:
        raise InputError(f"elements: found {elements!r}, expected one of {', '.join(ELEMENTS)}")
    if smoothing < 0:
        raise InputError(f"smoothing: found {smoothing}, expected 0 or more sweeps")
    if min_angle is not None and not 0 <= min_angle <= LARGEST_ANGLE:
        raise InputError(f"min_angle: found {min_angle!r}, expected degrees from 0 to {LARGEST_ANGLE:g}")
    lattice = _Lattice.of(labels)
    if elements == "hexahedra":
        corners, mesh, angle = np.argwhere(lattice.nodes >= 0).astype(np.float64), _hexahedra(lattice), 90.0
    else:
        regular = np.argwhere(lattice.nodes >= 0).astype(np.float64)
        place = regular + np.array(lattice.crop)
        held = (place == 0) | (place == np.array(labels.shape))  # coordinates across the faces of the volume
        mesh = _tetrahedra(lattice)
        corners, angle = _with_angles(_smoothed(regular, held, labels, lattice, smoothing), held, mesh, step, min_angle)
    points = (corners + (np.array(lattice.crop) - 0.5)) * step + np.asarray(origin, dtype=float)
    return VolumeMesh(points, *mesh, smallest_angle=angle)


def _with_angles(
    corners: np.ndarray, held: np.ndarray, mesh: tuple[np.ndarray, ...], step: np.ndarray, min_angle: float | None
) -> tuple[np.ndarray, float]:  # fmt: skip
    """Return corners, in voxels, moved until the tetrahedra have the smallest dihedral angle, and what it is now."""
    cells, _, outer, _, interfaces, *_ = mesh
    if min_angle == 0:
        return corners, float(dihedral_angles(corners * step, cells).min())
    leeway = np.full(len(corners), np.inf)
    leeway[outer.reshape(-1)] = leeway[interfaces.reshape(-1)] = _LEEWAY
    found = improved(corners * step, cells, leeway, held, tuple(step), MIN_ANGLE if min_angle is None else min_angle)
    if min_angle is not None and found.below:
        raise InputError(
            f"min_angle: found {found.below} of {len(cells)} tetrahedra below {min_angle:g} degrees after all moves, "
            f"the smallest angle {found.smallest_angle:.3g}; expected a smaller target, or voxels that are cubes"
        )
    return found.points / step, found.smallest_angle


@dataclass(frozen=True)
class _Lattice:
    """Voxels by grain, and their corners; a corner has the index of the voxel before it.

    `cells` and `crop` are those of :func:`nmcdist.geometry.surfaces.cropped`; `nodes` numbers the corners of
    grains, -1 elsewhere; `voxels` are flat indices, sorted by label, and `rows` is their inverse.
    """

    cells: np.ndarray
    crop: tuple[int, int, int]
    nodes: np.ndarray
    voxels: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> "_Lattice":
        cells, _, _, crop = cropped(labels)
        if cells.size >= 2**31 // 6:
            raise InputError(f"labels: found {cells.size} voxels around the grains, expected under {2**31 // 6}")
        flat = cells.reshape(-1)
        inside = np.flatnonzero(flat).astype(np.int32)
        voxels = inside[np.argsort(flat[inside], kind="stable")]
        rows = np.full(flat.size, -1, dtype=np.int32)
        rows[voxels] = np.arange(voxels.size, dtype=np.int32)
        used = np.zeros(flat.size, dtype=bool)
        for corner in _HEXAHEDRON:
            used[voxels + _offset(cells.shape, corner)] = True
        nodes = np.where(used, np.cumsum(used, dtype=np.int32) - np.int32(1), np.int32(-1))
        return cls(cells, crop, nodes.reshape(cells.shape), voxels, rows)

    def corner(self, voxels: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
        """Return the nodes at these steps along the axes from the first corner of each voxel."""
        return self.nodes.reshape(-1)[voxels + _offset(self.cells.shape, steps)]


def _offset(shape: tuple[int, ...], steps: tuple[int, ...]) -> np.int32:
    z, y, x = (step - 1 for step in steps)
    return np.int32((z * shape[1] + y) * shape[2] + x)


def _hexahedra(lattice: _Lattice) -> tuple[np.ndarray, ...]:
    cells = np.empty((lattice.voxels.size, 8), dtype=np.int32)
    for k, corner in enumerate(_HEXAHEDRON):
        cells[:, k] = lattice.corner(lattice.voxels, corner)
    grains = lattice.cells.reshape(-1)[lattice.voxels]
    outer, owners, interfaces, pairs, lower = [], [], [], [], []
    for axis in range(3):
        for ahead in (1, 0):
            voxels = _outer_voxels(lattice, axis, ahead)
            outer.append(_oriented(_face(lattice, voxels, axis, ahead), ahead == 1))
            owners.append(lattice.rows[voxels])
        voxels, labels = _between_grains(lattice, axis)
        first = labels[:, 0] < labels[:, 1]
        interfaces.append(_oriented(_face(lattice, voxels, axis, 1), first))
        pairs.append(np.sort(labels, axis=1))
        lower.append(_lower_rows(lattice, voxels, axis, first))
    return cells, grains, *map(np.concatenate, (outer, owners, interfaces, pairs, lower))


def _tetrahedra(lattice: _Lattice) -> tuple[np.ndarray, ...]:
    cells = np.empty((lattice.voxels.size, 6, 4), dtype=np.int32)
    for k, order in enumerate(_ORDERS):
        path = _path(order)
        for node, corner in enumerate(path if _is_even(order) else (path[0], path[2], path[1], path[3])):
            cells[:, k, node] = lattice.corner(lattice.voxels, corner)
    grains = np.repeat(lattice.cells.reshape(-1)[lattice.voxels], 6)
    outer, owners, interfaces, pairs, lower = [], [], [], [], []
    for axis in range(3):
        for ahead in (1, 0):
            voxels = _outer_voxels(lattice, axis, ahead)
            outer += _halves(_oriented(_face(lattice, voxels, axis, ahead), ahead == 1))
            owners += [6 * lattice.rows[voxels] + kind for kind in _kinds_at(axis, ahead)]
        voxels, labels = _between_grains(lattice, axis)
        first = labels[:, 0] < labels[:, 1]
        interfaces += _halves(_oriented(_face(lattice, voxels, axis, 1), first))
        pairs += 2 * [np.sort(labels, axis=1)]
        rows = 6 * _lower_rows(lattice, voxels, axis, first)
        kinds = zip(_kinds_at(axis, 1), _kinds_at(axis, 0), strict=True)
        lower += [rows + np.where(first, ahead, behind) for ahead, behind in kinds]
    return cells.reshape(-1, 4), grains, *map(np.concatenate, (outer, owners, interfaces, pairs, lower))


def _kinds_at(axis: int, ahead: int) -> list[np.int32]:
    """Return which of a voxel's tetrahedra end in the halves of a face: they cross the axis first, or last."""
    e, f = (axis + 1) % 3, (axis + 2) % 3
    orders = ((axis, e, f), (axis, f, e)) if ahead else ((f, e, axis), (e, f, axis))
    return [np.int32(_ORDERS.index(order)) for order in orders]


def _lower_rows(lattice: _Lattice, voxels: np.ndarray, axis: int, first: np.ndarray) -> np.ndarray:
    """Return the rows of the voxels with the lower label, of those before and behind faces along an axis."""
    return np.asarray(lattice.rows[np.where(first, voxels, voxels + _stride(lattice, axis))])


def _path(order: tuple[int, ...]) -> list[tuple[int, ...]]:
    steps: list[tuple[int, ...]] = [(0, 0, 0)]
    for axis in order:
        steps.append(tuple(step + (k == axis) for k, step in enumerate(steps[-1])))
    return steps


def _is_even(order: tuple[int, ...]) -> bool:
    return order in ((0, 1, 2), (1, 2, 0), (2, 0, 1))


def _outer_voxels(lattice: _Lattice, axis: int, ahead: int) -> np.ndarray:
    flat = lattice.cells.reshape(-1)
    stride = _stride(lattice, axis)
    return np.asarray(lattice.voxels[flat[lattice.voxels + (stride if ahead else -stride)] == 0])


def _between_grains(lattice: _Lattice, axis: int) -> tuple[np.ndarray, np.ndarray]:
    flat = lattice.cells.reshape(-1)
    labels = np.stack([flat[lattice.voxels], flat[lattice.voxels + _stride(lattice, axis)]], axis=1)
    chosen = (labels[:, 0] != labels[:, 1]) & (labels[:, 1] > 0)
    return lattice.voxels[chosen], labels[chosen]


def _stride(lattice: _Lattice, axis: int) -> np.int32:
    return np.int32(np.prod(lattice.cells.shape[axis + 1 :], dtype=int))


def _face(lattice: _Lattice, voxels: np.ndarray, axis: int, ahead: int) -> np.ndarray:
    """Return the corners of faces around an axis: (0,0), (1,0), (1,1), (0,1) of the two axes that follow it."""
    face = np.empty((voxels.size, 4), dtype=np.int32)
    for k, (e, f) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
        steps = [ahead] * 3
        steps[(axis + 1) % 3], steps[(axis + 2) % 3] = e, f
        face[:, k] = lattice.corner(voxels, tuple(steps))
    return face


def _oriented(faces: np.ndarray, along_axis: np.ndarray | bool) -> np.ndarray:
    """Keep the faces that point along their axis and reverse the others; the first corner stays the first."""
    return np.where(np.reshape(along_axis, (-1, 1)), faces, faces[:, [0, 3, 2, 1]])


def _halves(faces: np.ndarray) -> list[np.ndarray]:
    return [faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]]


def _smoothed(
    regular: np.ndarray, held: np.ndarray, labels: np.ndarray, lattice: _Lattice, smoothing: int
) -> np.ndarray:  # fmt: skip
    """Return all nodes in voxels; those of interfaces are moved unless a tetrahedron would become too small."""
    if smoothing == 0:
        return regular
    net = LabelNet.of(labels)
    rows = lattice.nodes[tuple(net.corners.T)]
    triangles = np.concatenate(_halves(net.quads))
    sides = np.tile(net.sides, (2, 1))  # in the order of the quads: here either side can come first
    moved, corners, stays = net.smoothed(smoothing), regular.copy(), held[rows]
    moved[stays] = regular[rows][stays]
    for _ in range(_ROUNDS):
        corners[rows] = net.with_volumes(moved, triangles, sides, 0, stays)
        _hold_back(corners, regular, lattice)
        moved = corners[rows]
    return corners


def _hold_back(corners: np.ndarray, regular: np.ndarray, lattice: _Lattice) -> None:
    """Move nodes back towards their original positions until each tetrahedron is large enough."""
    paths = np.array(
        [[_offset(lattice.cells.shape, corner) for corner in _path(order)] for order in _ORDERS], dtype=np.int64
    )
    signs = np.array([1.0 if _is_even(order) else -1.0 for order in _ORDERS])
    while True:
        small = _nodes_of_small(corners, regular, lattice.nodes.reshape(-1), lattice.voxels, paths, signs)
        if not small.any():
            return
        corners[small] += 0.3 * (regular[small] - corners[small])


@kernel
def _nodes_of_small(
    corners: np.ndarray, regular: np.ndarray, nodes: np.ndarray, voxels: np.ndarray, paths: np.ndarray,
    signs: np.ndarray,
) -> np.ndarray:  # fmt: skip
    small = np.zeros(len(corners), dtype=np.bool_)
    moved = np.zeros(len(corners), dtype=np.bool_)
    for i in range(len(corners)):
        for c in range(3):
            moved[i] |= corners[i, c] != regular[i, c]
    for v in voxels:
        for k in range(6):
            a, b, c, d = nodes[v + paths[k, 0]], nodes[v + paths[k, 1]], nodes[v + paths[k, 2]], nodes[v + paths[k, 3]]
            if not (moved[a] or moved[b] or moved[c] or moved[d]):
                continue
            if signs[k] * _six_volumes(corners, a, b, c, d) < _SMALLEST:
                small[a] = small[b] = small[c] = small[d] = True
    return small


@kernel
def _six_volumes(points: np.ndarray, a: int, b: int, c: int, d: int) -> float:
    bz, by, bx = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
    cz, cy, cx = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
    dz, dy, dx = points[d, 0] - points[a, 0], points[d, 1] - points[a, 1], points[d, 2] - points[a, 2]
    return bz * (cy * dx - cx * dy) + by * (cx * dz - cz * dx) + bx * (cz * dy - cy * dz)
