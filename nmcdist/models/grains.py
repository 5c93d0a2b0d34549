"""The grains of a particle before the shell selects them: Poisson seeds around the centre, and their markers.

Seeds are ordered by distance from the centre, in blocks with separate streams: a larger window only appends seeds,
and leaves existing seeds and markers unchanged bit for bit.
"""

import math
from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import Bundle, ParticleParameters
from nmcdist.errors import InputError
from nmcdist.geometry.elementary import cbrt
from nmcdist.geometry.frames import lengths
from nmcdist.geometry.tessellation import radial_matrices
from nmcdist.jit import kernel
from nmcdist.models import streams
from nmcdist.models.intensity import IntensityProfile
from nmcdist.models.markers import BLOCK_ROWS, MarkerLaw, in_blocks, marker_law

_BLOCK = 1024  # seeds per stream: changing it changes every particle
_SEEDS_PER_CELL = 1.5  # fastest for 12 neighbours, as measured
_RINGS = 4  # rings of cells around a seed that are searched before all seeds


@dataclass(frozen=True)
class Grains:
    """Seeds and markers, rounded to float32 as they are stored.

    Attributes
    ----------
    seeds_nm : ndarray of float32, shape (n, 3)
        Positions from the particle's centre, ordered by distance.
    diagonals : ndarray of float32, shape (n, 3)
        D, the radial entry first.
    offsets_nm2 : ndarray of float32, shape (n,)
        r.
    gammas : ndarray of float32, shape (n,)
        Turn about the radial direction.
    """

    seeds_nm: np.ndarray
    diagonals: np.ndarray
    offsets_nm2: np.ndarray
    gammas: np.ndarray

    def matrices(self) -> np.ndarray:
        """Return M = Q^T diag(D) Q (Eq. 12), float64, shape (n, 3, 3)."""
        return radial_matrices(
            *(part.astype(np.float64) for part in (self.seeds_nm, self.diagonals, self.gammas))
        )  # fmt: skip

    def diagram(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return seeds (n, 3), matrices M (n, 3, 3) and offsets r (n,) of the power diagram, float64."""
        return self.seeds_nm.astype(np.float64), self.matrices(), self.offsets_nm2.astype(np.float64)

    def nearest_to_centre(self, radius_nm: float) -> "Grains":
        """Return the grains with seeds at most this far from the centre."""
        distance = lengths(self.seeds_nm)
        # Rounding to float32 may swap two seeds, so keep all up to the last one that is near enough.
        count = int(np.flatnonzero(distance <= radius_nm)[-1]) + 1 if (distance <= radius_nm).any() else 0
        return Grains(*(part[:count] for part in (self.seeds_nm, self.diagonals, self.offsets_nm2, self.gammas)))


@dataclass(frozen=True)
class GrainModel:
    """Seeds of a Poisson process with markers.

    Attributes
    ----------
    intensity_per_nm3 : float
        Intensity of the seeds; with a profile, the factor multiplied by the profile.
    law : MarkerLaw
    profile : IntensityProfile, optional
        Intensity by distance from the centre, if it is not constant.
    """

    intensity_per_nm3: float
    law: MarkerLaw
    profile: IntensityProfile | None = None

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> "GrainModel":
        """Return the model of a bundle; BundleError if it has no marker law."""
        law = marker_law(bundle)
        parameters = bundle.particle()
        return cls(parameters.grain_intensity_per_nm3, law, intensity_profile(parameters))

    @property
    def spacing_nm(self) -> float:
        """Mean spacing of the seeds, intensity^(-1/3); for a varying intensity, where the seeds are densest."""
        highest = self.intensity_per_nm3 if self.profile is None else self.profile.highest
        return float(cbrt(1.0 / highest))

    @property
    def widest_spacing_nm(self) -> float:
        """Mean spacing of the seeds where they are sparsest."""
        return float(cbrt(1.0 / self._lowest_intensity))

    @property
    def _lowest_intensity(self) -> float:
        return self.intensity_per_nm3 if self.profile is None else self.profile.lowest

    def seeds_within(self, radius_nm: np.ndarray) -> np.ndarray:
        """Return the expected number of seeds in balls about the centre, float64, in the shape of the radii."""
        if self.profile is not None:
            return self.profile.seeds_within(radius_nm)
        return np.asarray(self.intensity_per_nm3 * 4 / 3 * np.pi * (radius_nm * radius_nm * radius_nm))

    def draw(self, radius_nm: float, seed: int, index: int = 0) -> Grains:
        """Draw the grains whose seeds lie within a radius of the centre.

        Parameters
        ----------
        radius_nm : float
        seed : int
            Seed in [0, 2^64).
        index : int
            Number of the particle in [0, 2^32).

        Returns
        -------
        Grains

        Raises
        ------
        InputError
            If an argument is impossible.
        """
        seed, index = streams.check_key(seed, index)
        if not 0 <= radius_nm < math.inf:
            raise InputError(f"radius_nm: found {radius_nm}, expected a length of at least 0")
        seeds, count, neighbours = self._seeds(radius_nm, seed, index)
        uniforms = _uniforms(len(seeds), self.law.uniforms, seed, index)
        diagonals, offsets, gammas = self.law.markers(seeds, neighbours, uniforms)
        return Grains(
            seeds[:count].astype(np.float32), diagonals.astype(np.float32), offsets.astype(np.float32),
            gammas.astype(np.float32),
        )  # fmt: skip

    def _seeds(self, radius_nm: float, seed: int, index: int) -> tuple[np.ndarray, int, np.ndarray]:
        """Return seeds (with a margin if the law needs it), the number within the radius, and their neighbours."""
        wanted = self.law.neighbours
        rim = 0.0 if not wanted else 1.8 * cbrt(wanted / (4 / 3 * math.pi * self._lowest_intensity))
        while True:
            seeds, radii = poisson_seeds(self.profile or self.intensity_per_nm3, radius_nm + rim, seed, index)
            count = int(np.searchsorted(radii, radius_nm, side="right"))
            if not wanted:
                return seeds, count, np.empty((count, 0), dtype=np.int64)
            if len(seeds) > wanted:
                neighbours, farthest = nearest(seeds, wanted, count)
                # The last factor allows for the rounding of seeds.
                if (farthest <= (radius_nm + rim) * (1 - 1e-6) - radii[:count]).all():
                    return seeds, count, neighbours
            rim *= 1.3


def intensity_profile(parameters: ParticleParameters) -> IntensityProfile | None:
    """Return a bundle's intensity by distance from the centre, None if it is constant."""
    if not parameters.grain_intensity_knots_nm:
        return None
    scale = parameters.grain_intensity_per_nm3
    values = tuple(scale * factor for factor in parameters.grain_intensity_factors)
    return IntensityProfile(parameters.grain_intensity_knots_nm, values)


def poisson_seeds(
    intensity: float | IntensityProfile, radius_nm: float, seed: int, index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the points of a Poisson process in a ball about the origin, by distance from it.

    The expected numbers of points in the balls through successive points grow by independent exponentials of mean 1.

    Parameters
    ----------
    intensity : float or IntensityProfile
        Points per nm^3.
    radius_nm : float
    seed, index : int

    Returns
    -------
    points : ndarray of float64, shape (n, 3)
        Rounded to float32.
    radii : ndarray of float64, shape (n,)
        Distances before rounding, ascending.
    """
    radii, points, total, block = [np.empty(0)], [np.empty((0, 3))], 0.0, 0
    while radii[-1][-1:].sum() <= radius_nm:
        draws = streams.draws(seed, streams.SEEDS, index, block)
        masses = total + np.cumsum(draws.exponential(_BLOCK))
        direction, radius = draws.normal(_BLOCK, 3), _radii_of(intensity, masses)
        _set_lengths(direction, radius)
        radii.append(radius)
        points.append(direction.astype(np.float32).astype(np.float64))
        total, block = float(masses[-1]), block + 1
    distance = np.concatenate(radii)
    count = int(np.searchsorted(distance, radius_nm, side="right"))
    return np.concatenate(points)[:count], distance[:count]


def _radii_of(intensity: float | IntensityProfile, masses: np.ndarray) -> np.ndarray:
    """Return the radii of the balls with these expected numbers of points."""
    if isinstance(intensity, IntensityProfile):
        return intensity.radii_of(masses)
    radii = np.empty(len(masses))
    _set_cube_roots(masses, 3.0 / (4.0 * math.pi * intensity), radii)
    return radii


@kernel
def _set_cube_roots(masses: np.ndarray, per_mass: float, radii: np.ndarray) -> None:
    for i in range(len(radii)):
        radii[i] = cbrt(masses[i] * per_mass)


@kernel
def _set_lengths(directions: np.ndarray, radii: np.ndarray) -> None:
    """Scale directions to these lengths."""
    for i in range(len(radii)):
        z, y, x = directions[i, 0], directions[i, 1], directions[i, 2]
        factor = radii[i] / math.sqrt(z * z + y * y + x * x)
        directions[i, 0], directions[i, 1], directions[i, 2] = z * factor, y * factor, x * factor


def _uniforms(count: int, width: int, seed: int, index: int) -> np.ndarray:
    blocks = range(math.ceil(count / _BLOCK))
    rows = [streams.draws(seed, streams.MARKERS, index, block).uniform(_BLOCK, width) for block in blocks]
    return np.concatenate([np.empty((0, width)), *rows])[:count]


def nearest(points: np.ndarray, k: int, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest other points of each of the first `count` points (all by default).

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        More than k points.
    k, count : int

    Returns
    -------
    rows : ndarray of int32, shape (count, k)
        Nearest first, ties by row.
    farthest : ndarray of float64, shape (count,)
        Distance of the last.

    Raises
    ------
    InputError
        If there are not more than k points.
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    count = len(points) if count is None else count
    if len(points) <= k:
        raise InputError(f"points: found {len(points)}, expected more than k = {k}")
    low = points.min(axis=0)
    extent = points.max(axis=0) - low
    # Cells need a positive size even if all points are in a plane, on a line or in one place.
    extent = np.maximum(extent, max(extent.max() * 1e-3, 1e-6))
    side = float(cbrt(extent.prod() * _SEEDS_PER_CELL / len(points)))
    shape = np.floor(extent / side).astype(np.int64) + 1
    starts, order = _sort_into_cells(points, low, side, shape)
    ordered = points[order]
    rows, farthest = np.empty((count, k), dtype=np.int32), np.empty(count)
    in_blocks(lambda first: _find_nearest(
        ordered, order, starts, low, side, shape, *_RING_CELLS, first, rows, farthest
    ), len(points))  # fmt: skip
    return rows, farthest


def _ring_cells() -> tuple[np.ndarray, np.ndarray]:
    """Return the cells around a cell and the least distance to each from inside it, in cells; nearest first."""
    steps = np.stack(np.meshgrid(*[np.arange(-_RINGS, _RINGS + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    least = (np.maximum(np.abs(steps) - 1, 0) ** 2).sum(axis=1)
    order = np.lexsort(((steps**2).sum(axis=1), least))
    # Farther cells are incomplete, so the list ends there.
    order = order[least[order] < _RINGS**2]
    return steps[order], np.sqrt(least[order])


_RING_CELLS = _ring_cells()


@kernel
def _cell_of(value: float, low: float, side: float, cells: int) -> int:
    return min(max(int((value - low) / side), 0), cells - 1)


@kernel
def _sort_into_cells(
    points: np.ndarray, low: np.ndarray, side: float, shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    starts = np.zeros(shape[0] * shape[1] * shape[2] + 1, np.int64)
    cells = np.empty(len(points), np.int64)
    for i in range(len(points)):
        cell = _cell_of(points[i, 0], low[0], side, shape[0])
        cell = cell * shape[1] + _cell_of(points[i, 1], low[1], side, shape[1])
        cells[i] = cell * shape[2] + _cell_of(points[i, 2], low[2], side, shape[2])
        starts[cells[i] + 1] += 1
    for c in range(len(starts) - 1):
        starts[c + 1] += starts[c]
    order = np.empty(len(points), np.int64)
    filled = starts[:-1].copy()
    for i in range(len(points)):
        order[filled[cells[i]]] = i
        filled[cells[i]] += 1
    return starts, order


@kernel
def _insert(distances: np.ndarray, rows: np.ndarray, distance: float, row: int) -> None:
    """Insert a candidate into the list of the nearest, which is sorted by distance, then row."""
    k = len(distances)
    if distance > distances[k - 1] or (distance == distances[k - 1] and row > rows[k - 1]):
        return
    place = k - 1
    while place > 0 and (
        distances[place - 1] > distance or (distances[place - 1] == distance and rows[place - 1] > row)
    ):
        distances[place], rows[place] = distances[place - 1], rows[place - 1]
        place -= 1
    distances[place], rows[place] = distance, row


@kernel
def _find_nearest(
    points: np.ndarray, order: np.ndarray, starts: np.ndarray, low: np.ndarray, side: float, shape: np.ndarray,
    steps: np.ndarray, least: np.ndarray, first: int, rows: np.ndarray, farthest: np.ndarray,
) -> None:  # fmt: skip
    """Search cells from the nearest outwards until none can hold a nearer point.

    The points are sorted by cell; `order` holds their rows.
    """
    k = rows.shape[1]
    distances, found = np.empty(k), np.empty(k, np.int64)
    place = np.empty(3, np.int64)
    inside = np.empty(3)
    for p in range(first, min(first + BLOCK_ROWS, len(points))):
        if order[p] >= len(rows):
            continue
        x0, x1, x2 = points[p, 0], points[p, 1], points[p, 2]
        for a in range(3):
            place[a] = _cell_of(points[p, a], low[a], side, shape[a])
            inside[a] = points[p, a] - (low[a] + place[a] * side)
        distances[:] = np.inf
        found[:] = len(points)
        whole = False
        for s in range(len(steps)):
            worst = distances[k - 1]
            # The factors prevent rounding from skipping a cell that contains a tie.
            if (least[s] * side) ** 2 * (1 - 1e-9) > worst:
                whole = True
                break
            gap2 = 0.0
            cell, outside = 0, False
            for a in range(3):
                step = steps[s, a]
                gap = step * side - inside[a] if step > 0 else inside[a] - (step + 1) * side if step < 0 else 0.0
                gap2 += gap * gap
                at = place[a] + step
                outside = outside or at < 0 or at >= shape[a]
                cell = cell * shape[a] + at
            if outside or gap2 * (1 - 1e-9) > worst:
                continue
            for q in range(starts[cell], starts[cell + 1]):
                if q != p:
                    d0, d1, d2 = points[q, 0] - x0, points[q, 1] - x1, points[q, 2] - x2
                    _insert(distances, found, d0 * d0 + d1 * d1 + d2 * d2, order[q])
        if not whole and distances[k - 1] > ((_RINGS - 1e-6) * side) ** 2:
            distances[:] = np.inf
            found[:] = len(points)
            for q in range(len(points)):
                if q != p:
                    d0, d1, d2 = points[q, 0] - x0, points[q, 1] - x1, points[q, 2] - x2
                    _insert(distances, found, d0 * d0 + d1 * d1 + d2 * d2, order[q])
        row = order[p]
        farthest[row] = np.sqrt(distances[k - 1])
        for a in range(k):
            rows[row, a] = found[a]
