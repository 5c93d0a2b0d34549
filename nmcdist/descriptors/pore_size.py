"""Sizes and bottlenecks of a phase, from the balls that fit into it.

Balls are open and digital: the radius of the largest ball around a voxel centre c is the distance from c to the
nearest voxel centre outside the phase, and the ball contains the voxel centres that are nearer. The surface of the
phase lies about half a voxel before that centre, so radii are up to half a voxel larger than those of the continuous
phase. Voxels beyond the faces of the volume do not count as outside. All radii are computed at once, with the same
result as painting every ball.

Where voxels have three edges, squared lengths are whole multiples of a unit; see :mod:`nmcdist.geometry.box_lattice`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nmcdist.arguments import finite_array, plain_array
from nmcdist.descriptors.phases import check_axis, check_edges, check_phase
from nmcdist.errors import InputError
from nmcdist.geometry import balls, box_lattice, distance
from nmcdist.geometry.paths import widest_from_face
from nmcdist.jit import kernel
from nmcdist.threads import thread_map

__all__ = [
    "PoreSizeDistribution",
    "bottleneck_radius",
    "constrictivity",
    "constrictivity_from_radii",
    "pore_size_distribution",
    "squared_distance",
]

SLAB = 64  # planes that a thread counts at a time
SHORT_TABLE = 1 << 20  # entries of a table of counts; longer ones are not kept for every slab
_WORK = 5  # bytes per voxel: squared distances and covering balls; twice this with three edges
CUBE = (1, 1, 1)


class PoreSizeDistribution(NamedTuple):
    """Continuous size distribution of a phase.

    Attributes
    ----------
    radius_nm : ndarray of float64, shape (n,)
        Radii.
    fraction : ndarray of float64, shape (n,)
        Share of the phase covered by balls of at least this radius that lie in the phase.
    r_max_nm : float
        Largest radius whose fraction is at least 0.5.
    """

    radius_nm: np.ndarray
    fraction: np.ndarray
    r_max_nm: float


def squared_distance(phase: np.ndarray, voxel_size_nm: float | Sequence[float] = 1.0) -> np.ndarray:
    """Return the squared distance from each voxel centre to the nearest voxel centre outside the phase.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x.

    Returns
    -------
    ndarray of uint16 or uint32, shape (nz, ny, nx)
        In squared edges of cubes, or in the squared unit of :func:`nmcdist.geometry.box_lattice.whole_weights`; 0
        outside the phase. The largest number of the type everywhere if the phase fills the volume.
    """
    weights, _ = box_lattice.whole_weights(check_edges(voxel_size_nm))
    return _squared_distance(phase, weights)


def pore_size_distribution(
    phase: np.ndarray,
    voxel_size_nm: float | Sequence[float],
    radii_nm: Iterable[float] | None = None,
    *,
    squared_distance: np.ndarray | None = None,
) -> PoreSizeDistribution:
    """Return the continuous size distribution of a phase, and its median radius r_max.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x.
    radii_nm : iterable of float, optional
        Radii at which to evaluate the distribution. Default: multiples of the shortest edge from 0 to the first radius
        at which nothing is covered.
    squared_distance : ndarray, optional
        :func:`squared_distance` of the phase on these voxels, if it is at hand.

    Returns
    -------
    PoreSizeDistribution
        For an empty phase, fractions and r_max are 0. If the phase fills the volume, nothing bounds the balls:
        fractions are 1 and r_max is infinite (default radii: 0 only).

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.

    References
    ----------
    Gräfensteiner et al. (2025), doi:10.1186/s13362-025-00174-z, Eq. (26).
    """
    edges = check_edges(voxel_size_nm)
    weights, _ = box_lattice.whole_weights(edges)
    phase = check_phase(phase, work=_work(weights))
    radii = None if radii_nm is None else _check_radii(radii_nm)
    return sizes_within(_distance(phase, weights, squared_distance), edges, radii)


def sizes_within(
    distance2: np.ndarray, edges: tuple[float, float, float], radii: np.ndarray | None,
    core: tuple[slice, ...] | None = None,
) -> PoreSizeDistribution:  # fmt: skip
    """Return the size distribution of a phase in a box, without checks; balls reach into it from around.

    Parameters
    ----------
    distance2 : ndarray
        :func:`squared_distance` of the phase.
    edges : (float, float, float)
        Of a voxel, in nm.
    radii : ndarray or None
        See :func:`pore_size_distribution`.
    core : tuple of slice, optional
        The box to whose voxels the shares refer. Default: the volume.
    """
    weights, unit_nm = box_lattice.whole_weights(edges)
    if _is_unbounded(distance2):
        radii = np.zeros(1) if radii is None else radii
        return PoreSizeDistribution(radii, np.ones(len(radii)), math.inf)
    cover = _cover(distance2, weights)
    covered = _count_covered(cover if core is None else np.ascontiguousarray(cover[core]))
    if radii is None:
        radii = np.arange(math.isqrt((len(covered) - 2) // min(weights)) + 2) * min(edges)
    total = covered[1]
    # One part in 10^9 allows for rounding in nm.
    steps = radii / unit_nm
    level = np.ceil(steps * steps * (1 - 1e-9)).clip(1, len(covered) - 1).astype(np.int64)
    fraction = covered[level] / max(total, 1)
    return PoreSizeDistribution(radii, fraction, math.sqrt(_median_level(covered, total)) * unit_nm)


def bottleneck_radius(
    phase: np.ndarray, voxel_size_nm: float | Sequence[float], axis: int = 0,
    squared_distance: np.ndarray | None = None,
) -> float:  # fmt: skip
    """Return r_min, the largest radius at which balls that intrude from a face reach half of a phase.

    A ball starts with its centre on a voxel of the face at index 0 and moves in steps to the 6 neighbours, always
    inside the phase. It reaches all voxels that it covers on the way.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x.
    axis : int
        0, 1 or 2 for z, y or x.
    squared_distance : ndarray, optional
        :func:`squared_distance` of the phase on these voxels, if it is at hand.

    Returns
    -------
    float
        In nm; 0 if no ball reaches half of the phase, infinite if the phase fills the volume.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.

    References
    ----------
    Gräfensteiner et al. (2025), doi:10.1186/s13362-025-00174-z, Sec. 3.3; Neumann et al., Scand. J. Stat. 46
    (2019) 848.
    """
    weights, unit_nm = box_lattice.whole_weights(check_edges(voxel_size_nm))
    phase, axis = check_phase(phase, work=_work(weights)), check_axis(axis)
    distance2 = _distance(phase, weights, squared_distance)
    if _is_unbounded(distance2):
        return math.inf
    total = int(np.count_nonzero(distance2))
    # The widest half of the centres determines the median; smaller balls do not change it.
    widest, lowest = widest_from_face(distance2, axis, enough=(total + 1) // 2)
    level = _median_level(_count_covered(_cover(widest, weights, lowest)), total)
    return math.sqrt(level) * unit_nm


def constrictivity(phase: np.ndarray, voxel_size_nm: float | Sequence[float], axis: int = 0) -> float:
    """Return the constrictivity r_min^2 / r_max^2 of a phase along an axis.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x.
    axis : int
        0, 1 or 2 for z, y or x.

    Returns
    -------
    float
        Between 0 and 1: 0 if the phase is empty or less than half of it can be reached from the face at index 0, 1 if
        it fills the volume.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.

    References
    ----------
    Gräfensteiner et al. (2025), doi:10.1186/s13362-025-00174-z, Sec. 3.3.
    """
    weights, _ = box_lattice.whole_weights(check_edges(voxel_size_nm))
    phase = check_phase(phase, work=_work(weights))
    distance2 = _squared_distance(phase, weights)
    r_min = bottleneck_radius(phase, voxel_size_nm, axis, distance2)
    sizes = pore_size_distribution(phase, voxel_size_nm, (), squared_distance=distance2)
    return float(constrictivity_from_radii(r_min, sizes.r_max_nm))


def constrictivity_from_radii(r_min_nm: Any, r_max_nm: float) -> np.ndarray:
    """Return (r_min / r_max)^2, elementwise; 0 where r_max is 0 and 1 where both are infinite."""
    r_min = np.asarray(r_min_nm, dtype=np.float64)
    if r_max_nm == 0 or math.isinf(r_max_nm):
        return np.full(r_min.shape, 0.0 if r_max_nm == 0 else 1.0)
    ratio = r_min / r_max_nm
    return ratio * ratio


def _check_radii(radii_nm: Iterable[float]) -> np.ndarray:
    radii = finite_array("radii_nm", list(radii_nm) if isinstance(radii_nm, Iterator) else radii_nm, ("n",))
    if not (radii >= 0).all():
        raise InputError(f"radii_nm: found {radii.min():g}, expected numbers >= 0")
    return radii


def _squared_distance(phase: np.ndarray, weights: distance.Weights) -> np.ndarray:
    return distance.squared_distance(phase) if weights == CUBE else box_lattice.squared_distance(phase, weights)


def _cover(radius2: np.ndarray, weights: distance.Weights, lowest: int = 1) -> np.ndarray:
    if weights == CUBE:
        return balls.cover_by_balls(radius2, lowest)
    return box_lattice.cover_by_balls(radius2, weights, lowest)


def _work(weights: distance.Weights) -> int:
    return _WORK if weights == CUBE else 2 * _WORK


def _distance(phase: np.ndarray, weights: distance.Weights, distance2: np.ndarray | None) -> np.ndarray:
    if distance2 is None:
        return _squared_distance(phase, weights)
    distance2 = plain_array("squared_distance", distance2)
    if distance2.shape != phase.shape:
        raise InputError(f"squared_distance: found shape {distance2.shape}, expected that of phase, {phase.shape}")
    if distance2.dtype not in (np.uint16, np.uint32):
        raise InputError(f"squared_distance: found dtype {distance2.dtype}, expected uint16 or uint32")
    return np.ascontiguousarray(distance2)


def _is_unbounded(distance2: np.ndarray) -> bool:
    """Return whether the phase fills the volume, so that nothing bounds the balls."""
    return bool(distance2.all())


def _count_covered(cover: np.ndarray) -> np.ndarray:
    """Return the number of voxels covered by balls of at least each squared radius; 0 beyond the largest."""
    levels = int(cover.max()) + 2
    nz = cover.shape[0]
    slab = SLAB if levels <= SHORT_TABLE else nz
    counts = thread_map(lambda z: _count_levels(cover, levels, z, min(z + slab, nz)), range(0, nz, slab))
    return np.asarray(np.sum(counts, axis=0)[::-1].cumsum()[::-1])


@kernel
def _count_levels(cover: np.ndarray, levels: int, begin: int, end: int) -> np.ndarray:
    # Neighbours are often equal: alternating between two tables keeps one increment from waiting for the last.
    counts = np.zeros((2, levels), np.int64)
    for z in range(begin, end):
        for y in range(cover.shape[1]):
            for x in range(cover.shape[2]):
                counts[x & 1, cover[z, y, x]] += 1
    return counts[0] + counts[1]


def _median_level(covered: np.ndarray, total: int) -> int:
    """Return the largest squared radius at which at least half of `total` voxels are covered, or 0."""
    enough = np.flatnonzero((2 * covered[1:] >= total) & (covered[1:] > 0))
    return int(enough[-1]) + 1 if len(enough) else 0
