"""Intrinsic volumes per unit volume from the histogram of 2x2x2 voxel configurations.

Each cube of eight neighbouring voxel centres shows one of 256 configurations. Volume fraction apart, every density
is a linear function of their frequencies (Ohser and Schladitz, *3D Images of Materials Structures*, 2009, ch. 5):
surface by Crofton's formula along 13 directions, mean curvature by the Euler numbers of planar sections with those
13 directions as normals, the Euler number by its cubical complex. The weights are derived below, not tabulated.
"""

from itertools import combinations, product
from typing import NamedTuple

import numba
import numpy as np

from nmcdist.errors import InputError
from nmcdist.threads import thread_count, thread_map

# Shares of the sphere nearest to each of the 13 lattice directions: axes, face diagonals, space diagonals.
_SHARE = {1: 0.045777895, 2: 0.036980626, 3: 0.035195639}
_CORNERS = np.array(list(product((0, 1), repeat=3)))  # corner i of a cube; bit i of a configuration


class IntrinsicVolumes(NamedTuple):
    """Intrinsic volumes of a phase per unit volume.

    Attributes
    ----------
    volume_fraction : float
    surface_area : float
        In 1/nm.
    mean_curvature : float
        Integral of mean curvature, in 1/nm^2; 4 pi r for a ball.
    euler_number : float
        In 1/nm^3; 1 for a ball.
    """

    volume_fraction: float
    surface_area: float
    mean_curvature: float
    euler_number: float


def volume_fraction(phase: np.ndarray) -> float:
    """Return the share of voxel centres in the phase, Eq. (6) of the CBA paper.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)

    Raises
    ------
    InputError
        If the array is not three-dimensional, empty or not boolean.
    """
    phase = check_phase(phase)
    return float(np.count_nonzero(phase) / phase.size)


def intrinsic_volumes(phase: np.ndarray, voxel_size_nm: float) -> IntrinsicVolumes:
    """Estimate the intrinsic volumes per unit volume of a phase, Eqs. (6)-(9) of the CBA paper.

    Only cubes that lie wholly in the volume count, so the densities are unbiased for a stationary phase. A phase and
    its complement have the same surface and Euler number, and opposite mean curvature.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
        At least two voxels along each axis.
    voxel_size_nm : float
        Voxel edge in nm.

    Returns
    -------
    IntrinsicVolumes

    Raises
    ------
    InputError
        If the array is not three-dimensional, boolean and large enough, or the voxel size is not positive.
    """
    phase = check_phase(phase)
    densities = intrinsic_volumes_from_counts(configuration_counts(phase), voxel_size_nm)
    return densities._replace(volume_fraction=volume_fraction(phase))


def configuration_counts(phase: np.ndarray) -> np.ndarray:
    """Count the 2x2x2 configurations of a phase.

    Counts of blocks that overlap by one layer of voxels add up to those of the whole.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)

    Returns
    -------
    ndarray of int64, shape (256,)
        Bit 4 dz + 2 dy + dx of the index tells whether voxel (z + dz, y + dy, x + dx) is in the phase.
    """
    phase = np.ascontiguousarray(check_phase(phase)).view(np.uint8)
    cuts = np.linspace(0, phase.shape[0] - 1, thread_count() + 1).astype(int)
    parts = [phase[a : b + 1] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    return np.sum(thread_map(_count, parts), axis=0)


def intrinsic_volumes_from_counts(counts: np.ndarray, voxel_size_nm: float) -> IntrinsicVolumes:
    """Return the densities that a histogram of configurations stands for.

    Parameters
    ----------
    counts : ndarray of int, shape (256,)
        As :func:`configuration_counts` gives them.
    voxel_size_nm : float
        Voxel edge in nm.

    Returns
    -------
    IntrinsicVolumes
        With the volume fraction as the cubes see it.
    """
    if not 0 < voxel_size_nm < np.inf:
        raise InputError(f"voxel_size_nm: found {voxel_size_nm}, expected a positive number of nanometres")
    total = int(np.sum(counts))
    if total == 0:
        raise InputError("phase: found an edge of one voxel, expected at least two voxels along each axis")
    volume, surface, curvature, euler = (float(counts @ weights) / total for weights in _WEIGHTS)
    return IntrinsicVolumes(
        volume, surface / voxel_size_nm, curvature / voxel_size_nm**2, euler / voxel_size_nm**3
    )


def check_phase(phase: np.ndarray) -> np.ndarray:
    """Return a phase as it is, or raise InputError if it is not a three-dimensional boolean array."""
    phase = np.asarray(phase)
    if phase.ndim != 3 or phase.size == 0:
        raise InputError(f"phase: found shape {phase.shape}, expected three dimensions, none of them empty")
    if phase.dtype != np.bool_:
        raise InputError(f"phase: found dtype {phase.dtype}, expected bool")
    return phase


@numba.njit(cache=True, nogil=True)
def _count(voxels):
    nz, ny, nx = voxels.shape
    counts = np.zeros(256, dtype=np.int64)
    for z in range(nz - 1):
        for y in range(ny - 1):
            a, b, c, d = voxels[z, y], voxels[z, y + 1], voxels[z + 1, y], voxels[z + 1, y + 1]
            # Bits of the column x - 1 stand at dx = 0, those of the column x at dx = 1.
            before = a[0] | b[0] << 2 | c[0] << 4 | d[0] << 6
            for x in range(1, nx):
                here = a[x] | b[x] << 2 | c[x] << 4 | d[x] << 6
                counts[before | here << 1] += 1
                before = here
    return counts


def _weights() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each configuration, what a cube of unit edge adds to the four densities."""
    inside = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(float)
    return inside.mean(axis=1), _surface(inside), _curvature(inside), _euler(inside)


def _surface(inside: np.ndarray) -> np.ndarray:
    """Crofton: surface per volume is twice the mean number of crossings per length over all directions."""
    total = np.zeros(256)
    for pairs in _pairs_by_direction().values():
        step = _CORNERS[pairs[0][1]] - _CORNERS[pairs[0][0]]
        crossings = np.mean([np.abs(inside[:, i] - inside[:, j]) for i, j in pairs], axis=0)
        total += 2 * _share(step) * crossings * 2 / np.linalg.norm(step)
    return total


def _curvature(inside: np.ndarray) -> np.ndarray:
    """Mean curvature per volume is 2 pi times the mean Euler number per area of planar sections."""
    total = np.zeros(256)
    for normal in _directions():
        cells = _section_cells(normal)
        density = np.mean([_planar_euler(inside[:, cell]) / _area(cell) for cell in cells], axis=0)
        total += 2 * np.pi * 2 * _share(normal) * density
    return total


def _euler(inside: np.ndarray) -> np.ndarray:
    """Mean of 6-adjacency (vertices, edges, faces and cubes that are whole) and its dual, 26-adjacency."""

    def complex_6(mask: np.ndarray) -> np.ndarray:
        edges = [p for d, pairs in _pairs_by_direction().items() if sum(map(abs, d)) == 1 for p in pairs]
        faces = [c for n in _directions() if sum(map(abs, n)) == 1 for c in _section_cells(n)]
        return (
            mask.sum(axis=1) / 8
            - sum(mask[:, list(e)].prod(axis=1) for e in edges) / 4
            + sum(mask[:, list(f)].prod(axis=1) for f in faces) / 2
            - mask.prod(axis=1)
        )

    return (complex_6(inside) + complex_6(1 - inside)) / 2


def _directions() -> list[tuple[int, ...]]:
    """Return the 13 lattice directions up to sign."""
    return [d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)]


def _share(direction: tuple[int, ...] | np.ndarray) -> float:
    return _SHARE[int(np.abs(direction).sum())]


def _pairs_by_direction() -> dict[tuple[int, ...], list[tuple[int, int]]]:
    """Return the pairs of corners of a cube that lie along each of the 13 directions."""
    pairs: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for i, j in combinations(range(8), 2):
        pairs.setdefault(tuple(int(v) for v in _CORNERS[j] - _CORNERS[i]), []).append((i, j))
    return pairs


def _section_cells(normal: tuple[int, ...]) -> list[list[int]]:
    """Return the cells of the sections of a cube across a normal: its two faces, a rectangle, or two triangles."""
    height = _CORNERS @ np.array(normal)
    cells = [[int(i) for i in np.flatnonzero(height == h)] for h in np.unique(height)]
    most = max(len(cell) for cell in cells)
    return [cell for cell in cells if len(cell) == most]


def _area(cell: list[int]) -> float:
    a, b, c = _CORNERS[cell[0]], _CORNERS[cell[1]], _CORNERS[cell[2]]
    triangle = float(np.linalg.norm(np.cross(b - a, c - a))) / 2
    return triangle if len(cell) == 3 else 2 * triangle


def _planar_euler(vertices: np.ndarray) -> np.ndarray:
    """Euler number that a cell of a planar lattice adds, the same in absolute value for the complement."""
    number = vertices.sum(axis=1)
    if vertices.shape[1] == 4:
        # Quadrilaterals: the mean of 4- and 8-adjacency counts convex less concave corners.
        return ((number == 1).astype(float) - (number == 3)) / 4
    # Triangles: a vertex belongs to six, an edge to two.
    edges = number * (number - 1) / 2
    return number / 6 - edges / 2 + (number == 3)


_WEIGHTS = _weights()
