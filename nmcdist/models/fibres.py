"""A Boolean model of fibres: Poisson germs that carry straight or curved fibres with round ends, anywhere in space.

A direction is a uniform one whose component along z is divided by the anisotropy: the law of Schladitz et al. (2006),
doi:10.1016/j.commatsci.2006.01.018, isotropic at 1 and in the plane across z in the limit. A curved fibre is a chain
of segments whose directions, before that division, turn by one angle about uniform axes: the freely rotating chain
(Flory, *Statistical Mechanics of Chain Molecules*, 1969), in which directions at a distance s along the fibre have
the mean cosine exp(-s / persistence length). All segments of a chain have the same law of directions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, FibreParameters, resolved
from nmcdist.geometry.elementary import exp, sin_cos
from nmcdist.geometry.frames import lengths
from nmcdist.jit import kernel
from nmcdist.models import boolean, streams
from nmcdist.models.capsules import paint_capsules
from nmcdist.models.cba import check_window
from nmcdist.models.radii import draw_radii, largest_radius
from nmcdist.threads import thread_map

PORE, FIBRE, SHEATH = 0, 1, 2
STEPS = 8.0  # segments per persistence length, at least: they turn by 28 degrees at most
_SLAB = 32  # planes of voxels that a thread paints at a time
_TILE_BYTES = 400.0


@dataclass(frozen=True)
class Segments:
    """Segments of fibres: capsules, in absolute coordinates.

    Attributes
    ----------
    start_nm, end_nm : ndarray of float64, shape (n, 3)
        Ends of the axes, ordered z, y, x.
    radius_nm : ndarray of float64, shape (n,)
        Radii without sheath.
    """

    start_nm: np.ndarray
    end_nm: np.ndarray
    radius_nm: np.ndarray

    def near(self, low: np.ndarray, high: np.ndarray, more_nm: float) -> "Segments":
        """Return those that may meet the box [low, high] if their radii are larger by a length."""
        middle, half = 0.5 * (self.start_nm + self.end_nm), 0.5 * lengths(self.end_nm - self.start_nm)
        gap = lengths(np.maximum(np.maximum(low - middle, middle - high), 0.0))
        keep = gap <= (half + self.radius_nm + more_nm) * (1 + 1e-9)
        return Segments(self.start_nm[keep], self.end_nm[keep], self.radius_nm[keep])


def generate_fibres(
    bundle: Bundle | str | Path,
    shape: tuple[int, int, int],
    voxel_size_nm: float,
    seed: int,
    index: int = 0,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Draw a window of a realisation of a Boolean model of fibres.

    `seed` and `index` determine one infinite realisation: overlapping windows agree bit for bit, and another voxel
    size samples the same structure at other points.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A bundle of model "fibres", a built-in name, or the path of a bundle.
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size_nm : float
        Voxel edge in nm.
    seed : int
        Seed in [0, 2^64).
    index : int
        Number of the realisation in [0, 2^32).
    origin : tuple of int
        Absolute index (z, y, x) of the window's first voxel; may be negative.

    Returns
    -------
    ndarray of uint8, shape `shape`
        0 pore, 1 fibre, 2 sheath, where no fibre is.

    Raises
    ------
    InputError
        If an argument has an impossible value.
    BundleError
        If the bundle cannot be loaded or is of another model.
    """
    shape, origin, voxel_size_nm = check_window(shape, origin, voxel_size_nm)
    parameters = resolved(bundle).parameters_as(FibreParameters)
    seed, index = streams.check_key(seed, index)
    low = (np.array(origin) + 0.5) * voxel_size_nm
    found = segments(parameters, low, low + (np.array(shape) - 1) * voxel_size_nm, seed, index)
    labels = np.zeros(shape, dtype=np.uint8)

    def fill(start: int) -> None:
        part, first = labels[start : start + _SLAB], (origin[0] + start, origin[1], origin[2])
        if parameters.sheath_nm:
            radii = found.radius_nm + parameters.sheath_nm
            paint_capsules(part, found.start_nm, found.end_nm, radii, SHEATH, voxel_size_nm, first)
        paint_capsules(part, found.start_nm, found.end_nm, found.radius_nm, FIBRE, voxel_size_nm, first)

    thread_map(fill, range(0, shape[0], _SLAB))
    return labels


def segments(
    parameters: FibreParameters, low_nm: np.ndarray, high_nm: np.ndarray, seed: int, index: int
) -> Segments:  # fmt: skip
    """Draw the segments of fibres that may reach the box [low, high], with their sheath."""
    drawn = list(_near_segments(parameters, low_nm, high_nm, seed, index))
    start, end = (np.concatenate([np.empty((0, 3)), *(getattr(s, name) for s in drawn)]) for name in _ENDS)
    return Segments(start, end, np.concatenate([np.empty(0), *(s.radius_nm for s in drawn)]))


def draw_bytes(parameters: FibreParameters, shape: tuple[int, ...], voxel_size_nm: float) -> float:
    """Return the bytes needed to draw a window besides its voxels: segments near it, and those of one tile."""
    extent, radius = np.array(shape) * voxel_size_nm, largest_radius(parameters) + parameters.sheath_nm
    count = _segment_count(parameters)
    tile = _tile_nm(parameters)
    _, tiles = boolean.germs_in_tiles(0.0, extent, _reach_nm(parameters), tile)
    near = parameters.intensity_per_nm3 * count * float(np.prod(extent + parameters.length_nm / count + 2 * radius))
    here = parameters.intensity_per_nm3 * tile**3 * count
    return 150.0 * near + 250.0 * here + _TILE_BYTES * tiles


_ENDS = ("start_nm", "end_nm")


def _near_segments(
    parameters: FibreParameters, low: np.ndarray, high: np.ndarray, seed: int, index: int
) -> Iterator[Segments]:  # fmt: skip
    side, reach, count = _tile_nm(parameters), _reach_nm(parameters), _segment_count(parameters)
    step = parameters.length_nm / count
    cosine = exp(-step / parameters.persistence_length_nm) if parameters.persistence_length_nm else 1.0
    mean = parameters.intensity_per_nm3 * side * side * side
    knots, factors = np.array(parameters.profile_knots_nm), np.array(parameters.profile_factors)
    for tile in streams.tiles_covering(low - reach, high + reach, side):
        # A branch for each mark: the fibres of a lower intensity are the first of those of a higher one.
        own = streams.draws(seed, streams.FIBRES, index, *tile)
        n = own.arrivals(mean)
        germs = (np.array(tile) + own.branch(1).uniform(n, 3)) * side
        radii = draw_radii(parameters, own.branch(2), n)
        directions = own.branch(3).normal(n, 3)
        directions /= lengths(directions)[:, None]
        turns = 2 * math.pi * own.branch(4).uniform(n, count - 1)
        if len(knots):
            keep = np.empty(n, np.bool_)
            _thin(germs, own.branch(5).uniform(n), knots, factors, keep)
            germs, radii, directions, turns = germs[keep], radii[keep], directions[keep], turns[keep]
        start, end = np.empty((len(germs), count, 3)), np.empty((len(germs), count, 3))
        _chain(germs, directions, turns, cosine, 1 / parameters.anisotropy, step, start, end)
        drawn = Segments(start.reshape(-1, 3), end.reshape(-1, 3), np.repeat(radii, count))
        yield drawn.near(low, high, parameters.sheath_nm)


def _segment_count(parameters: FibreParameters) -> int:
    """Return the number of segments of a fibre: 1, or an even number, so that its middle is an end of two."""
    if parameters.persistence_length_nm is None:
        return 1
    return 2 * math.ceil(0.5 * STEPS * parameters.length_nm / parameters.persistence_length_nm)


def _reach_nm(parameters: FibreParameters) -> float:
    return (0.5 * parameters.length_nm + largest_radius(parameters) + parameters.sheath_nm) * (1 + 1e-9)


def _tile_nm(parameters: FibreParameters) -> float:
    return 0.5 * parameters.length_nm + 8.0 * (parameters.radius_mean_nm + parameters.sheath_nm)


@kernel
def _thin(germs: np.ndarray, uniform: np.ndarray, knots: np.ndarray, factors: np.ndarray, keep: np.ndarray) -> None:
    """Keep each germ with the probability that the profile has at its z."""
    last = len(knots) - 1
    for i in range(len(germs)):
        z = germs[i, 0]
        k = np.searchsorted(knots, z)
        if k == 0 or k > last:
            factor = factors[min(k, last)]
        else:
            share = (z - knots[k - 1]) / (knots[k] - knots[k - 1])
            factor = factors[k - 1] * (1.0 - share) + factors[k] * share
        keep[i] = uniform[i] < factor


@kernel
def _chain(
    germs: np.ndarray, directions: np.ndarray, turns: np.ndarray, cosine: float, flatten: float, step: float,
    start: np.ndarray, end: np.ndarray,
) -> None:  # fmt: skip
    """Lay the segments of each fibre one after the other, and move its middle to its germ."""
    sine, count = math.sqrt(max(0.0, 1.0 - cosine * cosine)), start.shape[1]
    middle = np.empty(3)
    for i in range(len(germs)):
        z, y, x = directions[i, 0], directions[i, 1], directions[i, 2]
        pz, py, px = 0.0, 0.0, 0.0
        for k in range(count):
            if k > 0:
                z, y, x = _turned(z, y, x, turns[i, k - 1], cosine, sine)
            flat = flatten * z
            scale = step / math.sqrt(flat * flat + y * y + x * x)
            start[i, k, 0], start[i, k, 1], start[i, k, 2] = pz, py, px
            pz, py, px = pz + scale * flat, py + scale * y, px + scale * x
            end[i, k, 0], end[i, k, 1], end[i, k, 2] = pz, py, px
        for a in range(3):
            middle[a] = 0.5 * end[i, 0, a] if count == 1 else start[i, count // 2, a]
        for k in range(count):
            for a in range(3):
                start[i, k, a] = start[i, k, a] - middle[a] + germs[i, a]
                end[i, k, a] = end[i, k, a] - middle[a] + germs[i, a]


@kernel
def _turned(z: float, y: float, x: float, turn: float, cosine: float, sine: float) -> tuple[float, float, float]:
    """Return a unit vector at a given angle from one, in the direction `turn` about it."""
    # Two vectors across it, by the formula of Duff et al. (2017), J. Comput. Graph. Techn. 6(1).
    sign = 1.0 if z >= 0.0 else -1.0
    a = -1.0 / (sign + z)
    b = x * y * a
    s, c = sin_cos(turn)
    across_x = c * (1.0 + sign * x * x * a) + s * b
    across_y = c * sign * b + s * (sign + y * y * a)
    across_z = -(c * sign * x + s * y)
    z, y, x = cosine * z + sine * across_z, cosine * y + sine * across_y, cosine * x + sine * across_x
    length = math.sqrt(z * z + y * y + x * x)
    return z / length, y / length, x / length
