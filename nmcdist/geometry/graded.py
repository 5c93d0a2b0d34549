"""Tetrahedra of label volumes on a lattice that is fine at interfaces and coarse inside the grains.

The lattice is that of repeated bisection (Maubach, SIAM J. Sci. Comput. 16, 210, 1995): cubes of 16 voxels have six
tetrahedra each, and three bisections turn a cube into eight of half the size. A tetrahedron is bisected at the middle
of an edge, and all that share the edge are bisected with it, so that the mesh conforms. The middles of edges are the
corners of voxels, each the middle of one edge; before it, the middles around it must be split ("parents"). All
dihedral angles are 45, 60 or 90 degrees before nodes move.

How coarse the mesh is depends on one number, the growth: edges at a distance d from interfaces are not longer than
1 + growth * d, in voxels. At growth 0 each voxel has six tetrahedra, at infinity only the corners at interfaces are
needed.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from nmcdist.errors import InputError
from nmcdist.geometry.distance import squared_distance
from nmcdist.geometry.surfaces import cropped
from nmcdist.jit import Float, Int, kernel

COARSEST = 16  # voxels along the edge of a cube with six tetrahedra
_LEVELS = 3 * (COARSEST.bit_length() - 1)  # bisections down to tetrahedra within a voxel
_STEPS = 12  # of the search for a growth
_CLOSE = 0.02  # of the wanted number of tetrahedra, where the search ends
_OUTSIDE, _INSIDE, _INTERFACE = 0, 1, 2


class LatticeMesh(NamedTuple):
    """Tetrahedra between corners of voxels.

    Attributes
    ----------
    corners : ndarray of int32, shape (n, 3)
        Each corner in voxels; (0, 0, 0) is the outer corner of the first voxel of the cropped volume.
    cells, grains, outer, outer_cells, interfaces, interface_grains, interface_cells : ndarray
        See :class:`nmcdist.geometry.elements.VolumeMesh`.
    """

    corners: np.ndarray
    cells: np.ndarray
    grains: np.ndarray
    outer: np.ndarray
    outer_cells: np.ndarray
    interfaces: np.ndarray
    interface_grains: np.ndarray
    interface_cells: np.ndarray


@dataclass(frozen=True)
class GradedLattice:
    """All meshes of a label volume, from coarse to fine inside the grains.

    Attributes
    ----------
    cells : ndarray of int32
        The labels with one layer of the outside around them, see :func:`nmcdist.geometry.surfaces.cropped`.
    crop : (int, int, int)
        Where they start in the label volume.
    growths : ndarray of float32, a multiple of 16 voxels and one more along each axis
        The largest growth at which a corner is a node; corners of cubes of 16 voxels are nodes at any.
    """

    cells: np.ndarray
    crop: tuple[int, int, int]
    growths: np.ndarray
    _counts: dict[float, int] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, labels: np.ndarray) -> "GradedLattice":
        """Find the lattice of a label volume.

        Raises
        ------
        InputError
            If the array is not a volume of labels, no voxel has one, or it is too large.
        """
        cells, _, _, crop = cropped(labels)
        shape = tuple(-(-(n - 2) // COARSEST) * COARSEST + 1 for n in cells.shape)
        if np.prod(shape) >= 2**31 // 6:
            raise InputError(f"labels: found {cells.size} voxels around the grains, expected under {2**31 // 6}")
        kinds = np.zeros(shape, dtype=np.uint8)
        _find_kinds(cells, kinds)
        squared = squared_distance(kinds != _INTERFACE)
        growths = np.zeros(shape, dtype=np.float32)
        _find_growths(kinds, squared, growths)
        _ask_parents(growths)
        return cls(cells, crop, growths)

    @property
    def fewest(self) -> int:
        """The number of tetrahedra that interfaces need."""
        return self.count(np.inf)

    @property
    def most(self) -> int:
        """Six tetrahedra per voxel."""
        return self.count(0.0)

    def count(self, growth: float) -> int:
        """Return the number of tetrahedra at a growth."""
        if growth not in self._counts:
            nothing = np.empty((0, 4), dtype=np.int32), np.empty(0, dtype=np.int32)
            found = self._fill(growth, *nothing) if growth else 6 * int(np.count_nonzero(self.cells))
            self._counts[growth] = found
        return self._counts[growth]

    def _fill(self, growth: float, cells: np.ndarray, grains: np.ndarray) -> int:
        return int(_bisect(self.growths, self.cells, np.float32(growth), cells, grains))

    def growth_for(self, count: int) -> float:
        """Return the growth at which the number of tetrahedra is nearest to one, by bisection."""
        if count <= self.fewest:
            return np.inf
        low, high = 1 / COARSEST, 2.0 * COARSEST
        found = {self.fewest: np.inf, self.most: 0.0}
        for _ in range(_STEPS):
            middle = float(np.float32(np.sqrt(low * high)))
            there = self.count(middle)
            found[there] = middle
            if abs(there - count) <= _CLOSE * count:
                break
            low, high = (low, middle) if there < count else (middle, high)
        return found[min(found, key=lambda there: abs(there - count))]

    def mesh(self, growth: float = 0.0) -> LatticeMesh:
        """Return the mesh at a growth, sorted by grain."""
        total = self.count(growth)
        cells, grains = np.empty((total, 4), dtype=np.int32), np.empty(total, dtype=np.int32)
        self._fill(growth, cells, grains)
        order = np.argsort(grains, kind="stable")
        cells, grains = cells[order], grains[order]
        used = np.zeros(self.growths.size, dtype=bool)
        used[cells] = True
        nodes = np.flatnonzero(used)
        numbers = np.cumsum(used, dtype=np.int32)
        numbers -= 1
        cells = numbers[cells]
        corners = np.stack(np.unravel_index(nodes, self.growths.shape), axis=1).astype(np.int32)
        _orient(corners, cells)
        return LatticeMesh(corners, cells, grains, *_faces(corners, cells, grains, self.cells))


def _faces(corners: np.ndarray, cells: np.ndarray, grains: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the faces towards the outside and between grains, as a mesh lists them."""
    nothing = np.empty((0, 3), dtype=np.int32)
    total = _find_faces(corners, cells, grains, labels, nothing, nothing)
    faces, about = np.empty((total, 3), dtype=np.int32), np.empty((total, 3), dtype=np.int32)
    _find_faces(corners, cells, grains, labels, faces, about)
    outer = about[:, 2] == 0
    rows, pairs = about[:, 0], about[:, 1:]
    return faces[outer], rows[outer], faces[~outer], pairs[~outer], rows[~outer]


# In a lattice of some step, a corner with one odd coordinate is the middle of an edge of cubes of twice the step, one
# with two odd coordinates the middle of a face, one with three that of a cube. Cubes are bisected first.


@kernel
def _find_kinds(cells: np.ndarray, kinds: np.ndarray) -> None:
    nz, ny, nx = cells.shape
    for z in range(nz - 1):
        for y in range(ny - 1):
            for x in range(nx - 1):
                first = cells[z, y, x]
                kind = _INSIDE if first else _OUTSIDE
                for k in range(1, 8):
                    if cells[z + (k >> 2), y + (k >> 1 & 1), x + (k & 1)] != first:
                        kind = _INTERFACE
                kinds[z, y, x] = kind


@kernel
def _find_growths(kinds: np.ndarray, squared: np.ndarray, growths: np.ndarray) -> None:
    """Set the growth of each corner by the length of the edge that it is the middle of."""
    nz, ny, nx = kinds.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if kinds[z, y, x] == _INTERFACE:
                    growths[z, y, x] = np.inf
                elif kinds[z, y, x] == _INSIDE:
                    step = 1
                    while step < COARSEST and (z | y | x) & step == 0:
                        step *= 2
                    odd = ((z & step) + (y & step) + (x & step)) / step
                    growths[z, y, x] = (2 * step * np.sqrt(odd) - 1) / np.sqrt(float(squared[z, y, x]))


@kernel
def _ask_parents(growths: np.ndarray) -> None:
    """Raise the growth of each corner to that of all corners that need it, the finest first."""
    step = 1
    while step < COARSEST:
        for odd in range(1, 4):
            _ask_parents_of(growths, step, odd)
        step *= 2


@kernel
def _ask_parents_of(growths: np.ndarray, step: int, odd: int) -> None:
    nz, ny, nx = growths.shape
    for z in range(0, nz, step):
        for y in range(0, ny, step):
            for x in range(0, nx, step):
                at = (z & step, y & step, x & step)
                if at[0] + at[1] + at[2] != odd * step:
                    continue
                growth = growths[z, y, x]
                if odd < 3:  # the middles of the faces at an edge, and of the cubes at a face
                    for axis in range(3):
                        if at[axis] == 0:
                            for side in (-step, step):
                                _raise(growths, z + side * (axis == 0), y + side * (axis == 1),
                                       x + side * (axis == 2), growth)  # fmt: skip
                elif 2 * step < COARSEST:  # the middles of edges that are corners of a cube
                    e, f, g = _even(z, step), _even(y, step), _even(x, step)
                    _raise(growths, 2 * z - e, f, g, growth)
                    _raise(growths, e, 2 * y - f, g, growth)
                    _raise(growths, e, f, 2 * x - g, growth)


@kernel
def _even(middle: int, step: int) -> Int:
    """Return which end of a cube's edge is even in the lattice of twice the step."""
    return middle - step if (middle - step) & 2 * step == 0 else middle + step


@kernel
def _raise(growths: np.ndarray, z: Int, y: Int, x: Int, growth: float) -> None:
    if 0 <= z < growths.shape[0] and 0 <= y < growths.shape[1] and 0 <= x < growths.shape[2]:
        growths[z, y, x] = max(growths[z, y, x], growth)


@kernel
def _bisect(
    growths: np.ndarray, labels: np.ndarray, growth: Float, cells: np.ndarray, grains: np.ndarray
) -> int:  # fmt: skip
    """Return the number of tetrahedra of grains, and write their corners and labels if there is room."""
    nz, ny, nx = growths.shape
    waiting, levels = np.empty((_LEVELS + 2, 4, 3), dtype=np.int32), np.empty(_LEVELS + 2, dtype=np.int32)
    count = 0
    for z in range(0, nz - 1, COARSEST):
        for y in range(0, ny - 1, COARSEST):
            for x in range(0, nx - 1, COARSEST):
                for order in range(6):
                    _start(waiting[0], z, y, x, order)
                    levels[0], top = 0, 0
                    while top >= 0:
                        tetrahedron, k = waiting[top], 3 - levels[top] % 3
                        if levels[top] < _LEVELS:
                            a = (tetrahedron[0, 0] + tetrahedron[k, 0]) // 2
                            b = (tetrahedron[0, 1] + tetrahedron[k, 1]) // 2
                            c = (tetrahedron[0, 2] + tetrahedron[k, 2]) // 2
                            if growths[a, b, c] >= growth and growths[a, b, c] > 0:
                                _split(tetrahedron, waiting[top + 1], k, a, b, c)
                                levels[top] += 1
                                levels[top + 1] = levels[top]
                                top += 1
                                continue
                        label = _label_at(labels, tetrahedron)
                        if label > 0:
                            if count < len(cells):
                                grains[count] = label
                                for n in range(4):
                                    p = tetrahedron[n]
                                    cells[count, n] = (p[0] * ny + p[1]) * nx + p[2]
                            count += 1
                        top -= 1
    return count


@kernel
def _start(tetrahedron: np.ndarray, z: int, y: int, x: int, order: int) -> None:
    """Set one of the six tetrahedra of a cube: from its even corner to its odd one, along the axes in some order."""
    first, second = order // 2, (order // 2 + 1 + order % 2) % 3
    low = (z, y, x)
    for axis in range(3):
        even = low[axis] + (low[axis] & COARSEST)
        odd = 2 * low[axis] + COARSEST - even
        tetrahedron[0, axis] = even
        tetrahedron[1, axis] = odd if axis == first else even
        tetrahedron[2, axis] = odd if axis in (first, second) else even
        tetrahedron[3, axis] = odd


@kernel
def _split(tetrahedron: np.ndarray, other: np.ndarray, k: int, z: int, y: int, x: int) -> None:
    """Replace a tetrahedron by its two halves, in Maubach's order of nodes."""
    for n in range(4):
        for axis in range(3):
            other[n, axis] = tetrahedron[n + 1 if n < k else n, axis]
    for half in (tetrahedron, other):
        half[k, 0], half[k, 1], half[k, 2] = z, y, x


@kernel
def _label_at(labels: np.ndarray, tetrahedron: np.ndarray) -> Int:
    """Return the label of a voxel that contains the centre of a tetrahedron."""
    z = (tetrahedron[0, 0] + tetrahedron[1, 0] + tetrahedron[2, 0] + tetrahedron[3, 0]) // 4 + 1
    y = (tetrahedron[0, 1] + tetrahedron[1, 1] + tetrahedron[2, 1] + tetrahedron[3, 1]) // 4 + 1
    x = (tetrahedron[0, 2] + tetrahedron[1, 2] + tetrahedron[2, 2] + tetrahedron[3, 2]) // 4 + 1
    within = z < labels.shape[0] and y < labels.shape[1] and x < labels.shape[2]
    return labels[z, y, x] if within else np.int32(0)


@kernel
def _orient(corners: np.ndarray, cells: np.ndarray) -> None:
    for row in range(len(cells)):
        a, b, c, d = cells[row]
        p, q, r, s = corners[a], corners[b], corners[c], corners[d]
        uz, uy, ux = q[0] - p[0], q[1] - p[1], q[2] - p[2]
        vz, vy, vx = r[0] - p[0], r[1] - p[1], r[2] - p[2]
        wz, wy, wx = s[0] - p[0], s[1] - p[1], s[2] - p[2]
        if uz * (vy * wx - vx * wy) + uy * (vx * wz - vz * wx) + ux * (vz * wy - vy * wz) < 0:
            cells[row, 2], cells[row, 3] = d, c


@kernel
def _find_faces(
    corners: np.ndarray, cells: np.ndarray, grains: np.ndarray, labels: np.ndarray, faces: np.ndarray,
    about: np.ndarray,
) -> int:  # fmt: skip
    """Return the number of faces between labels, and write their nodes, cell and two labels if there is room.

    They are halves of voxel faces; between two grains, they are those of the lower label.
    """
    count = 0
    low, high = np.empty(3, dtype=np.int32), np.empty(3, dtype=np.int32)
    for row in range(len(cells)):
        a, b, c, d = cells[row]
        for face in ((b, c, d), (a, d, c), (a, b, d), (a, c, b)):  # their normals point out of the cell
            flat, small = 0, 0
            for axis in range(3):
                p, q, r = corners[face[0], axis], corners[face[1], axis], corners[face[2], axis]
                low[axis], high[axis] = min(p, q, r), max(p, q, r)
                flat += high[axis] == low[axis]
                small += high[axis] - low[axis] <= 1
            if flat != 1 or small != 3:
                continue
            behind = labels[low[0] + 1, low[1] + 1, low[2] + 1]
            before = labels[high[0], high[1], high[2]]
            other = behind if before == grains[row] else before
            if other == grains[row] or 0 < other < grains[row]:
                continue
            if count < len(faces):
                faces[count, 0], faces[count, 1], faces[count, 2] = face
                about[count, 0], about[count, 1], about[count, 2] = row, grains[row], other
            count += 1
    return count
