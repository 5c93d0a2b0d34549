"""Closed surfaces of label volumes: each interface between two labels once, conforming and without gaps.

The mesh is a surface net: one point per corner where voxels of different labels meet, and one polygon per voxel face
between two labels. The points are smoothed within their own cells, then moved along the normals until each grain has
the volume of its voxels again.

Points are in the order z, y, x, and the cross product in this order of columns orients a triangle. Code that writes
x, y, z must also reverse the order of the corners.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import cg

from nmcdist.errors import InputError
from nmcdist.jit import Int, kernel

SMOOTHING = 8
# A point stays this close to its voxel corner, in voxels along each axis: cells of neighbours never overlap.
_REACH = 0.4
# Where voxels of a grain touch only across an edge, two sheets of its surface pass the middle of that edge. This is
# half of their distance, in voxels along each axis; without it, four triangles would share the edge.
_GAP = 0.1
# Grains of fewer voxels are smoothed proportionally less, otherwise they would vanish.
_SMALL_GRAIN = 8
_VOLUME_TOLERANCE = 1e-3
_CORRECTIONS = 30
_STEP = 0.1


@dataclass(frozen=True)
class LabelSurface:
    """The interfaces of a label volume as one triangle mesh.

    Attributes
    ----------
    points : ndarray of float64, shape (n, 3)
        In nm, in the order z, y, x.
    triangles : ndarray of int32, shape (m, 3)
    labels : ndarray of int32, shape (m, 2)
        The labels on the two sides; the outside is 0. The normal points out of the first into the second. The outside
        is always the second; of two grains, the first has the lower label (as in VTK).
    """

    points: np.ndarray
    triangles: np.ndarray
    labels: np.ndarray

    def grains(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield, for each grain, its label and its closed, outward surface as (label, points, triangles)."""
        sides = self.labels.T.reshape(-1)
        order = np.argsort(sides, kind="stable")
        values, starts = np.unique(sides[order], return_index=True)
        for value, chosen in zip(values.tolist(), np.split(order, starts[1:]), strict=True):
            if value:
                yield value, *self._gathered(chosen)

    def grain(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the closed, outward surface of one grain as (points, triangles).

        Raises
        ------
        InputError
            If no triangle belongs to this label.
        """
        chosen = np.flatnonzero(label == self.labels.T)
        if label == 0 or chosen.size == 0:
            raise InputError(f"label: found {label}, expected the label of a grain of this surface")
        return self._gathered(chosen)

    def outer(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the closed surface between the grains and the outside, as (points, triangles)."""
        return _without_spare_points(self.points, self.triangles[self.labels[:, 1] == 0])

    def volumes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels of the grains, ascending, and the volumes that their surfaces enclose, in nm^3."""
        values, sides = np.unique(self.labels, return_inverse=True)
        volumes = enclosed_volumes(self.points, self.triangles, sides.reshape(-1, 2), len(values))
        return values[values > 0], volumes[values > 0]

    def _gathered(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = len(self.triangles)
        triangles = self.triangles[chosen % count]
        inward = chosen >= count
        triangles[inward] = triangles[inward, ::-1]
        return _without_spare_points(self.points, triangles)


def label_surface(
    labels: np.ndarray,
    spacing: float | tuple[float, float, float],
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    smoothing: int = SMOOTHING,
) -> LabelSurface:
    """Mesh all interfaces of a label volume.

    The surface of each grain, and of all grains together, is closed: each edge belongs to exactly two triangles,
    which run along it in opposite directions. Grains are closed at the border of the volume.

    Parameters
    ----------
    labels : ndarray of integers, shape (nz, ny, nx)
        0 is the outside.
    spacing : float or (float, float, float)
        Size of a voxel along z, y, x, in nm.
    origin : (float, float, float)
        Centre of the first voxel, in nm.
    smoothing : int
        Sweeps that move each point towards its neighbours; 0 keeps the faces of the voxels.

    Returns
    -------
    LabelSurface
        The volume of each grain is that of its voxels within 0.1 %, except for grains of very few voxels.

    Raises
    ------
    InputError
        If the labels are not a volume of labels or no voxel has one, or a parameter is out of range.
    """
    step = checked_spacing(spacing)
    if smoothing < 0:
        raise InputError(f"smoothing: found {smoothing}, expected 0 or more sweeps")
    net = LabelNet.of(labels)
    corners = net.smoothed(smoothing)
    points, pinches = net.with_pinches(corners)
    triangles, sides = _triangulate(
        net.quads, net.axes, net.sides, net.pinched, net.pinch_keys, net.pinch_kinds, points * step
    )
    points = net.with_volumes(points, triangles, sides, pinches)
    return LabelSurface(net.placed(points, step, origin), triangles, net.values[sides].astype(np.int32))


def closed_surface(
    labels: np.ndarray,
    spacing: float | tuple[float, float, float],
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    label: int | None = None,
    smoothing: int = SMOOTHING,
) -> tuple[np.ndarray, np.ndarray]:
    """Mesh the surface of one grain, or of all grains together, by itself.

    Parameters
    ----------
    labels, spacing, origin, smoothing
        As for :func:`label_surface`.
    label : int, optional
        The grain. Default: all voxels that are not 0.

    Returns
    -------
    points : ndarray of float64, shape (n, 3)
    triangles : ndarray of int32, shape (m, 3)
        Closed, outward, of the volume of the voxels.

    Raises
    ------
    InputError
        As :func:`label_surface`, or if no voxel has the label.
    """
    if label is not None and label < 1:
        raise InputError(f"label: found {label}, expected the label of a grain")
    mask = labels > 0 if label is None else labels == label
    if label is not None and not mask.any():
        raise InputError(f"label: found {label}, which no voxel has, expected the label of a grain")
    surface = label_surface(mask.view(np.uint8), spacing, origin, smoothing=smoothing)
    return surface.points, surface.triangles


def checked_spacing(spacing: float | tuple[float, float, float]) -> np.ndarray:
    """Return the spacing along the three axes.

    Raises
    ------
    InputError
        If it is not one or three positive lengths.
    """
    step = np.asarray(spacing, dtype=float)
    if step.shape not in ((), (3,)) or not (np.isfinite(step).all() and (step > 0).all()):
        raise InputError(f"voxel size: found {spacing}, expected one positive length, or three, in nm")
    return np.broadcast_to(step, 3).copy()


@dataclass(frozen=True)
class LabelNet:
    """The corners and faces between voxels of different labels, in units of voxels.

    Attributes
    ----------
    corners : ndarray of int32, shape (n, 3)
        Corner (0, 0, 0) is the outer corner of the first voxel of the cropped volume.
    quads : ndarray of int32, shape (m, 4)
        Corners of each voxel face, around its normal axis.
    axes : ndarray of uint8, shape (m,)
        That axis.
    sides : ndarray of int32, shape (m, 2)
        Rows of `values` before and behind the face along its axis.
    neighbours : ndarray of int32, shape (n, 6)
        Corners towards which smoothing moves a corner, -1 for none.
    pinched : ndarray of uint8, shape (n,)
        Bit k: an edge starts here along axis k across which voxels of a grain touch, without sharing a face.
    pinch_keys, pinch_ends, pinch_kinds : ndarray of int64, int32 and uint8, shape (p,)
        These edges: 3 * corner + axis, the corner at their end, and which two of the four voxels have a separate
        sheet, in the order of `_find_edges`: 0 for the second and fourth, 1 for the first and third.
    values, voxels : ndarray of int, shape (k,)
        The labels and their numbers of voxels, which are the volumes that they get; the outside comes first.
    crop : (int, int, int)
        Where the cropped volume starts.
    """

    corners: np.ndarray
    quads: np.ndarray
    axes: np.ndarray
    sides: np.ndarray
    neighbours: np.ndarray
    pinched: np.ndarray
    pinch_keys: np.ndarray
    pinch_ends: np.ndarray
    pinch_kinds: np.ndarray
    values: np.ndarray
    voxels: np.ndarray
    crop: tuple[int, int, int]

    @classmethod
    def of(cls, labels: np.ndarray) -> "LabelNet":
        """Find the net of a label volume (errors as :func:`label_surface`)."""
        cells, values, voxels, crop = cropped(labels)
        ids = np.full(cells.shape, -1, dtype=np.int32)
        corner_count, face_count = _number_corners(cells, ids)
        if corner_count >= 2**31 // 6:
            raise InputError(f"labels: found {corner_count} corners between labels, expected under {2**31 // 6}")
        corners = np.empty((corner_count, 3), dtype=np.int32)
        neighbours = np.full((corner_count, 6), -1, dtype=np.int32)
        pinched = np.zeros(corner_count, dtype=np.uint8)
        keys, ends, kinds = _find_edges(cells, ids, corners, neighbours, pinched)
        quads = np.empty((face_count, 4), dtype=np.int32)
        axes = np.empty(face_count, dtype=np.uint8)
        sides = np.empty((face_count, 2), dtype=np.int32)
        _find_faces(cells, ids, quads, axes, sides)
        rows = np.searchsorted(values, sides).astype(np.int32)
        return cls(corners, quads, axes, rows, neighbours, pinched, keys, ends, kinds, values, voxels, crop)

    def with_targets(self, volumes: np.ndarray) -> "LabelNet":
        """Return a net whose grains get other volumes, in voxels, than those of their own; one for each label."""
        return replace(self, voxels=np.concatenate([[0.0], volumes[self.values[1:]]]))

    def smoothed(self, sweeps: int) -> np.ndarray:
        """Return the corners after some sweeps of averaging, each within its own cell."""
        reach = np.full(len(self.corners), _REACH)
        small = np.minimum(1.0, self.voxels / _SMALL_GRAIN)
        small[0] = 1.0
        _lower_to(reach, self.quads, _REACH * small[self.sides].min(axis=1))
        points = self.corners.astype(np.float64)
        for _ in range(sweeps):
            points = _average(points, self.corners, self.neighbours, reach)
        return points

    def with_pinches(self, corners: np.ndarray) -> tuple[np.ndarray, int]:
        """Append two points per pinched edge, and return the number of new points."""
        new = _pinch_points(corners, self.pinch_keys, self.pinch_ends, self.pinch_kinds)
        return np.concatenate([corners, new]), len(new)

    def with_volumes(
        self, points: np.ndarray, triangles: np.ndarray, sides: np.ndarray, pinches: int,
        held: np.ndarray | None = None, steps: int = _CORRECTIONS,
    ) -> np.ndarray:  # fmt: skip
        """Move points along the normals until the volume of each grain is that of its voxels.

        Each step solves for one pressure per grain. An interface moves by the difference of the two pressures and a
        point by the mean of its triangles, which gives the required volumes to first order. Coordinates that are
        `held`, a mask like `corners`, stay; it is for points that are corners only.
        """
        corners = len(points) - pinches
        moving = np.ones(len(triangles), bool) if held is None else _not_held(triangles, held, self.corners)
        stiffness = self._interface_areas(points, triangles[moving], sides[moving])
        diagonal = stiffness.diagonal()
        scale = diags_array(np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0))
        for _ in range(steps):
            missing = (self.voxels - enclosed_volumes(points, triangles, sides, len(self.values)))[1:]
            missing[diagonal == 0] = 0  # of a grain with no face that can move
            if (np.abs(missing) <= _VOLUME_TOLERANCE * self.voxels[1:]).all():
                break
            pressures = np.zeros(len(self.values))
            pressures[1:], _ = cg(stiffness, missing, rtol=1e-4, M=scale)
            change = np.clip(_displacements(points, triangles, sides, pressures), -_STEP, _STEP)
            if held is not None:
                change[:corners][held] = 0
            points = points + change
            points[:corners] = np.clip(points[:corners], self.corners - 0.49, self.corners + 0.49)
        return points

    def placed(self, points: np.ndarray, step: np.ndarray, origin: tuple[float, float, float]) -> np.ndarray:
        """Return points in nm from points in voxels of the cropped volume."""
        return np.asarray((points + (np.array(self.crop) - 0.5)) * step + np.asarray(origin, dtype=float))

    def _interface_areas(self, points: np.ndarray, triangles: np.ndarray, sides: np.ndarray) -> csr_array:
        areas = _areas(points, triangles)
        count = len(self.values)
        between = coo_array((areas, (sides[:, 0], sides[:, 1])), shape=(count, count)).tocsr()
        between = between + between.T
        total = diags_array(np.asarray(between.sum(axis=0)).reshape(-1))
        return csr_array((total - between).tocsr()[1:, 1:])


def cropped(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int, int]]:
    """Crop a label volume to its grains, with one layer of the outside around them.

    Parameters
    ----------
    labels : ndarray of integers, shape (nz, ny, nx)

    Returns
    -------
    cells : ndarray of int32, shape two more than the grains' along each axis
    values, voxels : ndarray
        The labels, the outside first, and their numbers of voxels.
    crop : (int, int, int)
        Where the grains start in `labels`.

    Raises
    ------
    InputError
        If the array is not a volume of labels, or no voxel has one.
    """
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        raise InputError(f"labels: found {labels.ndim} axes of {labels.dtype}, expected three axes of integers")
    spans = []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        used = np.flatnonzero(labels.any(axis=others))
        if used.size == 0:
            raise InputError("labels: found only 0, expected a grain")
        spans.append(slice(int(used[0]), int(used[-1]) + 1))
    inner = labels[tuple(spans)]
    if inner.min() < 0 or inner.max() >= 2**31:
        raise InputError(f"labels: found {inner.min()} to {inner.max()}, expected 0 to {2**31 - 1}")
    cells = np.pad(inner.astype(np.int32, copy=False), 1)
    values, voxels = np.unique(cells, return_counts=True)
    return cells, values, voxels, (spans[0].start, spans[1].start, spans[2].start)


def _without_spare_points(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used, rows = np.unique(triangles, return_inverse=True)
    return points[used], rows.reshape(triangles.shape).astype(np.int32)


# Below, a corner has the index of the voxel before it, so that both use the same strides.


@kernel
def _number_corners(cells: np.ndarray, ids: np.ndarray) -> tuple[int, int]:
    corners = faces = 0
    nz, ny, nx = cells.shape
    for z in range(nz - 1):
        for y in range(ny - 1):
            for x in range(nx - 1):
                here = cells[z, y, x]
                faces += here != cells[z + 1, y, x]
                faces += here != cells[z, y + 1, x]
                faces += here != cells[z, y, x + 1]
                if (
                    here != cells[z, y, x + 1]
                    or here != cells[z, y + 1, x]
                    or here != cells[z, y + 1, x + 1]
                    or here != cells[z + 1, y, x]
                    or here != cells[z + 1, y, x + 1]
                    or here != cells[z + 1, y + 1, x]
                    or here != cells[z + 1, y + 1, x + 1]
                ):
                    ids[z, y, x] = corners
                    corners += 1
    return corners, faces


@kernel
def _strides(shape: tuple[int, int, int]) -> tuple[int, int, int, int, int]:
    return (shape[1] * shape[2], shape[2], 1, shape[1] * shape[2], shape[2])


@kernel
def _find_faces(cells: np.ndarray, ids: np.ndarray, quads: np.ndarray, axes: np.ndarray, sides: np.ndarray) -> None:
    """Find the corners of faces, in the order (0,0), (1,0), (1,1), (0,1) of the two axes that follow the normal."""
    strides = _strides(cells.shape)
    flat, corner = cells.reshape(-1), ids.reshape(-1)
    nz, ny, nx = cells.shape
    face = 0
    for z in range(nz - 1):
        for y in range(ny - 1):
            for x in range(nx - 1):
                at = (z * ny + y) * nx + x
                for axis in range(3):
                    if flat[at] != flat[at + strides[axis]]:
                        e, f = strides[axis + 1], strides[axis + 2]
                        quads[face, 0] = corner[at - e - f]
                        quads[face, 1] = corner[at - f]
                        quads[face, 2] = corner[at]
                        quads[face, 3] = corner[at - e]
                        axes[face] = axis
                        sides[face, 0] = flat[at]
                        sides[face, 1] = flat[at + strides[axis]]
                        face += 1


@kernel
def _find_edges(
    cells: np.ndarray, ids: np.ndarray, corners: np.ndarray, neighbours: np.ndarray, pinched: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill in the edges of each corner, and list the pinched ones in ascending order of their keys."""
    strides = _strides(cells.shape)
    flat, corner = cells.reshape(-1), ids.reshape(-1)
    nz, ny, nx = cells.shape
    junctions = np.zeros(len(corners), dtype=np.uint8)  # bit k: three or more faces meet at the edge to neighbour k
    keys = [np.int64(0) for _ in range(0)]  # so that an empty list has a type
    ends = [np.int32(0) for _ in range(0)]
    kinds = [np.uint8(0) for _ in range(0)]
    for z in range(nz - 1):
        for y in range(ny - 1):
            for x in range(nx - 1):
                at = (z * ny + y) * nx + x
                here = corner[at]
                if here < 0:
                    continue
                corners[here, 0], corners[here, 1], corners[here, 2] = z, y, x
                for axis in range(3):
                    if (z, y, x)[axis] + 2 >= cells.shape[axis]:
                        continue
                    first = at + strides[axis]
                    e, f = strides[axis + 1], strides[axis + 2]
                    p, q, r, s = flat[first], flat[first + e], flat[first + e + f], flat[first + f]
                    faces = (p != q) + (q != r) + (r != s) + (s != p)
                    if faces == 0:
                        continue
                    there = corner[first]
                    neighbours[here, 2 * axis] = there
                    neighbours[there, 2 * axis + 1] = here
                    if faces > 2:
                        junctions[here] |= 1 << (2 * axis)
                        junctions[there] |= 1 << (2 * axis + 1)
                    if faces == 4 and (p == r or q == s):
                        pinched[here] |= 1 << axis
                        keys.append(3 * np.int64(here) + axis)
                        ends.append(there)
                        kinds.append(np.uint8(1 if q == s and (p != r or q > p) else 0))
    _keep_to_junctions(neighbours, junctions)
    return np.array(keys), np.array(ends), np.array(kinds)


@kernel
def _keep_to_junctions(neighbours: np.ndarray, junctions: np.ndarray) -> None:
    """Restrict corners where three faces meet to motion along such edges, so that these lines become smooth."""
    for i in range(len(neighbours)):
        count = 0
        for k in range(6):
            count += (junctions[i] >> k) & 1
        if count >= 2:
            for k in range(6):
                if not (junctions[i] >> k) & 1:
                    neighbours[i, k] = -1


@kernel
def _lower_to(reach: np.ndarray, quads: np.ndarray, bounds: np.ndarray) -> None:
    for i in range(len(quads)):
        for k in range(4):
            reach[quads[i, k]] = min(reach[quads[i, k]], bounds[i])


@kernel
def _average(points: np.ndarray, corners: np.ndarray, neighbours: np.ndarray, reach: np.ndarray) -> np.ndarray:
    moved = np.empty_like(points)
    for i in range(len(points)):
        for c in range(3):
            total, count = 0.0, 0
            for k in range(6):
                if neighbours[i, k] >= 0:
                    total += points[neighbours[i, k], c]
                    count += 1
            goal = 0.5 * (points[i, c] + total / count) if count else points[i, c]
            moved[i, c] = min(max(goal, corners[i, c] - reach[i]), corners[i, c] + reach[i])
    return moved


@kernel
def _pinch_points(points: np.ndarray, keys: np.ndarray, ends: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Compute the points on the sheets of pinched edges, each moved into the voxel that its sheet surrounds."""
    new = np.empty((2 * len(keys), 3))
    for i in range(len(keys)):
        start, axis = keys[i] // 3, keys[i] % 3
        e, f = (axis + 1) % 3, (axis + 2) % 3
        for side in range(2):
            into_e = 1.0 if kinds[i] == side else -1.0
            into_f = -into_e if kinds[i] == 0 else into_e
            for c in range(3):
                new[2 * i + side, c] = (points[start, c] + points[ends[i], c]) / 2
            new[2 * i + side, e] += _GAP * into_e
            new[2 * i + side, f] += _GAP * into_f
    return new


@kernel
def _sheet(
    corner: int, edge_axis: int, face_axis: int, ahead: int, pinched: np.ndarray, keys: np.ndarray, kinds: np.ndarray,
    corners: int,
) -> Int:  # fmt: skip
    """Return the point of a face's sheet in the middle of a pinched edge, -1 where the edge is not pinched.

    `ahead` is 1 where the face lies beyond the edge along the third axis, 0 where it lies before it.
    """
    if not (pinched[corner] >> edge_axis) & 1:
        return -1
    row = np.searchsorted(keys, 3 * np.int64(corner) + edge_axis)
    side = 1 - ahead if kinds[row] == 0 and face_axis == (edge_axis + 2) % 3 else ahead
    return corners + 2 * row + side


@kernel
def _triangulate(
    quads: np.ndarray, axes: np.ndarray, sides: np.ndarray, pinched: np.ndarray, keys: np.ndarray, kinds: np.ndarray,
    points: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Cut each face along its shorter diagonal, or into a fan from the middle of a pinched edge."""
    count = 2 * len(quads) + 4 * len(keys)
    triangles, owners = np.empty((count, 3), dtype=np.int32), np.empty((count, 2), dtype=np.int32)
    ring = np.empty(8, dtype=np.int32)
    corners = len(pinched)
    t = 0
    for i in range(len(quads)):
        a, b, c, d = quads[i]
        n = axes[i]
        e, f = (n + 1) % 3, (n + 2) % 3
        size, first = 0, -1
        for k in range(4):
            ring[size] = quads[i, k]
            size += 1
            start, along, ahead = ((a, e, 1), (b, f, 0), (d, e, 0), (a, f, 1))[k]
            middle = _sheet(start, along, n, ahead, pinched, keys, kinds, corners)
            if middle >= 0:
                first = size
                ring[size] = middle
                size += 1
        if first < 0:
            ac = bd = 0.0
            for k in range(3):
                ac += (points[a, k] - points[c, k]) ** 2
                bd += (points[b, k] - points[d, k]) ** 2
            first = 1 if bd < ac else 0
        ahead = sides[i, 1] == 0 or 0 < sides[i, 0] < sides[i, 1]
        for k in range(1, size - 1):
            triangles[t, 0] = ring[first]
            triangles[t, 1 if ahead else 2] = ring[(first + k) % size]
            triangles[t, 2 if ahead else 1] = ring[(first + k + 1) % size]
            owners[t, 0], owners[t, 1] = sides[i, 0 if ahead else 1], sides[i, 1 if ahead else 0]
            t += 1
    return triangles, owners


@kernel
def _not_held(triangles: np.ndarray, held: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return which triangles are not in a plane across an axis along which their three points stay."""
    moving = np.ones(len(triangles), dtype=np.bool_)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        for axis in range(3):
            if not (held[a, axis] and held[b, axis] and held[c, axis]):
                continue
            if corners[a, axis] == corners[b, axis] == corners[c, axis]:
                moving[t] = False
    return moving


@kernel
def _double_area_vector(points: np.ndarray, a: int, b: int, c: int) -> tuple[float, float, float]:
    uz, uy, ux = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
    vz, vy, vx = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
    return uy * vx - ux * vy, ux * vz - uz * vx, uz * vy - uy * vz


@kernel
def _areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    areas = np.empty(len(triangles))
    for t in range(len(triangles)):
        z, y, x = _double_area_vector(points, triangles[t, 0], triangles[t, 1], triangles[t, 2])
        areas[t] = np.sqrt(z * z + y * y + x * x) / 2
    return areas


@kernel
def _displacements(points: np.ndarray, triangles: np.ndarray, sides: np.ndarray, pressures: np.ndarray) -> np.ndarray:
    moves, weights = np.zeros_like(points), np.zeros(len(points))
    for t in range(len(triangles)):
        z, y, x = _double_area_vector(points, triangles[t, 0], triangles[t, 1], triangles[t, 2])
        push = pressures[sides[t, 0]] - pressures[sides[t, 1]]
        size = np.sqrt(z * z + y * y + x * x)
        for k in range(3):
            i = triangles[t, k]
            moves[i, 0] += push * z
            moves[i, 1] += push * y
            moves[i, 2] += push * x
            weights[i] += size
    for i in range(len(points)):
        if weights[i] > 0:
            for c in range(3):
                moves[i, c] /= weights[i]
    return moves


@kernel
def enclosed_volumes(points: np.ndarray, triangles: np.ndarray, sides: np.ndarray, count: int) -> np.ndarray:
    """Return the volume enclosed by the surface of each side 0..count-1.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
    triangles, sides : ndarray of int, shapes (m, 3) and (m, 2)
        The normal points out of the first side into the second.
    count : int

    Returns
    -------
    ndarray of float64, shape (count,)
    """
    volumes = np.zeros(count)
    z, y, x = points[0]  # any point is correct; one near the surface loses the fewest digits
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        az, ay, ax = points[a, 0] - z, points[a, 1] - y, points[a, 2] - x
        bz, by, bx = points[b, 0] - z, points[b, 1] - y, points[b, 2] - x
        cz, cy, cx = points[c, 0] - z, points[c, 1] - y, points[c, 2] - x
        six = az * (by * cx - bx * cy) + ay * (bx * cz - bz * cx) + ax * (bz * cy - by * cz)
        volumes[sides[t, 0]] += six / 6
        volumes[sides[t, 1]] -= six / 6
    return volumes
