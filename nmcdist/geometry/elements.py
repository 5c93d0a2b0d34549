"""Volume meshes of label volumes: hexahedra or tetrahedra, sorted by grain; elements that meet share nodes.

Points are in the order z, y, x, and the volume of an element is positive in this order of columns. Code that writes
x, y, z must also mirror the order of the nodes.
"""

from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from nmcdist.errors import InputError
from nmcdist.faults import proposal
from nmcdist.geometry.fitting import fitted
from nmcdist.geometry.graded import GradedLattice
from nmcdist.geometry.surfaces import SMOOTHING, LabelNet, checked_spacing, cropped
from nmcdist.wording import shown

ELEMENTS = ("hexahedra", "tetrahedra")
# Corners of a voxel, in steps along the three axes.
_HEXAHEDRON = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))
MIN_ANGLE = 15.0  # degrees: what node moves reach for voxels that are cubes
LARGEST_ANGLE = 40.0  # a mesh of equal tetrahedra has 60 to 70, which no conforming mesh keeps everywhere
TOLERANCE = 1.3  # times more or fewer tetrahedra than were asked for


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
    elements: str | int = "hexahedra",
    smoothing: int = SMOOTHING,
    min_angle: float | None = None,
    volumes: np.ndarray | None = None,
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
    elements : {"hexahedra", "tetrahedra"} or int
        One hexahedron per voxel, or six tetrahedra. A number is that of tetrahedra, within 30 %: they become coarse
        inside the grains, and stay as fine as the voxels at interfaces.
    smoothing : int
        For tetrahedra: sweeps that smooth the interfaces, as in :func:`nmcdist.geometry.surfaces.label_surface`.
    min_angle : float, optional
        For tetrahedra: smallest dihedral angle, in degrees, from 0 to 40. Nodes are moved until all reach it, those of
        interfaces by at most a fifth of a voxel, or back towards the corners of the voxels, and within the faces of
        the volume. Default: 15, or what can be reached; 0 moves nothing.
    volumes : ndarray of float64, optional
        For smoothed tetrahedra: the volume that each label gets, in voxels; default: that of its voxels.

    Returns
    -------
    VolumeMesh

    Raises
    ------
    InputError
        If the labels are not a volume of labels or no voxel has one, a parameter is out of range, or a given
        `min_angle` or number of tetrahedra cannot be reached.
    """
    step = checked_spacing(spacing)
    check_elements(elements)
    if smoothing < 0:
        raise InputError(f"smoothing: found {smoothing}, expected 0 or more sweeps")
    if min_angle is not None and not 0 <= min_angle <= LARGEST_ANGLE:
        raise InputError(f"min_angle: found {min_angle!r}, expected degrees from 0 to {LARGEST_ANGLE:g}")
    if elements == "hexahedra":
        lattice = _Lattice.of(labels)
        corners, mesh, crop, angle = np.argwhere(lattice.nodes >= 0), _hexahedra(lattice), lattice.crop, 90.0
    else:
        graded = GradedLattice.of(labels)
        made = graded.mesh(0.0 if elements == "tetrahedra" else _growth_for(graded, int(elements), step))
        net = LabelNet.of(labels) if volumes is None else LabelNet.of(labels).with_targets(volumes)
        place, crop = made.corners + np.array(graded.crop), graded.crop
        held = (place == 0) | (place == np.array(labels.shape))  # coordinates across the faces of the volume
        moved = fitted(made, net, held, step, MIN_ANGLE if min_angle is None else min_angle, smoothing)
        if min_angle is not None and moved.below:
            raise InputError(
                f"min_angle: found {moved.below} of {len(made.cells)} tetrahedra below {min_angle:g} degrees after all "
                f"moves, the smallest angle {moved.smallest_angle:.3g}; expected a smaller target, or voxels that are "
                "cubes"
            )
        corners, mesh, angle = moved.points, made[1:], moved.smallest_angle
    points = (corners + (np.array(crop) - 0.5)) * step + np.asarray(origin, dtype=float)
    return VolumeMesh(points, *mesh, smallest_angle=angle)


def check_elements(elements: str | int) -> None:
    """Refuse what is neither a kind of element nor a number of tetrahedra."""
    if isinstance(elements, Integral) and not isinstance(elements, bool):
        if elements < 1:
            raise InputError(f"elements: found {elements}, expected a number of tetrahedra from 1")
    elif elements not in ELEMENTS:
        raise InputError(f"elements: found {shown(elements)}{proposal(str(elements), (*ELEMENTS, 'a number'))}")


def _growth_for(graded: GradedLattice, count: int, step: np.ndarray) -> float:
    growth = graded.growth_for(count)
    found = graded.count(growth)
    if not count / TOLERANCE <= found <= count * TOLERANCE:
        size = f"{np.cbrt(step.prod()):.4g} nm"
        raise InputError(
            f"elements: found {count}, but voxels of {size} give {graded.fewest} to {graded.most} tetrahedra, and the "
            f"nearest is {found}; expected {'larger' if found > count else 'smaller'} voxels, or a number between those"
        )
    return growth


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


def _lower_rows(lattice: _Lattice, voxels: np.ndarray, axis: int, first: np.ndarray) -> np.ndarray:
    """Return the rows of the voxels with the lower label, of those before and behind faces along an axis."""
    return np.asarray(lattice.rows[np.where(first, voxels, voxels + _stride(lattice, axis))])


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
