"""Boolean models: Poisson germs, drawn by tiles of space, and grains, painted into a window.

Germs are drawn tile by tile, each tile from separate streams. A window collects every germ whose grain may reach it,
so germs are not thinned at the faces, and all windows see the same grains. The germs of a lower intensity are the first
of those of a higher one, with the same marks: what a realisation covers grows with the intensity.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from nmcdist.bundle import CbaParameters
from nmcdist.errors import InputError
from nmcdist.geometry.elementary import log
from nmcdist.geometry.frames import lengths
from nmcdist.jit import Int, kernel
from nmcdist.models import streams
from nmcdist.models.draws import Stream
from nmcdist.threads import thread_map

SPHEROID_TILE_NM, BALL_TILE_NM = 4000.0, 2000.0
_SLAB = 32  # planes of voxels that a thread paints at a time
_POSITIONS, _MARKS = 1, 2  # branches of the stream of a tile
_MOST_GERMS = 1e9  # in a tile: more do not fit in memory
TAIL = 1e-12  # sizes are clipped at this share of the tail of their law, so that the reach of a grain is bounded

Marks = Callable[[int], Stream]  # number of a mark -> the stream of its values, one per germ of a tile


@dataclass(frozen=True)
class Spheroids:
    """Spheroidal grains at their germs.

    Attributes
    ----------
    centre_nm : ndarray of float64, shape (n, 3)
        Positions of the germs, ordered z, y, x.
    axis : ndarray of float64, shape (n, 3)
        Unit vector of the axis of revolution.
    short_nm, long_nm : ndarray of float64, shape (n,)
        Half-axis along the axis of revolution, and the two half-axes across it.
    """

    centre_nm: np.ndarray
    axis: np.ndarray
    short_nm: np.ndarray
    long_nm: np.ndarray

    @classmethod
    def balls(cls, centre_nm: np.ndarray, radius_nm: np.ndarray) -> "Spheroids":
        """Return balls as spheroids."""
        return cls(centre_nm, np.tile([1.0, 0.0, 0.0], (len(centre_nm), 1)), radius_nm, radius_nm)

    def near(self, low: np.ndarray, high: np.ndarray) -> "Spheroids":
        """Return the grains whose bounding ball meets the box [low, high]."""
        gap = np.maximum(np.maximum(low - self.centre_nm, self.centre_nm - high), 0.0)
        keep = lengths(gap) <= np.maximum(self.short_nm, self.long_nm)
        return Spheroids(self.centre_nm[keep], self.axis[keep], self.short_nm[keep], self.long_nm[keep])


def oblate_spheroids(
    parameters: CbaParameters, low_nm: np.ndarray, high_nm: np.ndarray, seed: int, index: int,
    tile_nm: float = SPHEROID_TILE_NM,
) -> Spheroids:  # fmt: skip
    """Draw the graphite grains of Eq. (1) that may reach the box [low, high].

    Half-axes are a ~ Gamma(alpha_1, gamma) and c ~ Gamma(alpha_2, gamma). The smaller one is along the axis of
    revolution, the larger one is used for both others. Orientations are uniform on the sphere.
    """
    scale = 1.0 / parameters.gamma_per_nm
    cap_a, cap_c = (gamma_bound(shape) * scale for shape in (parameters.alpha_1, parameters.alpha_2))

    def grains(marks: Marks, n: int) -> np.ndarray:
        a = np.minimum(scale * marks(0).gamma(parameters.alpha_1, n), cap_a)
        c = np.minimum(scale * marks(1).gamma(parameters.alpha_2, n), cap_c)
        direction = marks(2).normal(n, 3)
        direction /= lengths(direction)[:, None]
        return np.column_stack([direction, np.minimum(a, c), np.maximum(a, c)])

    table = marked_germs(
        parameters.lambda_X_per_nm3, grains, 5, max(cap_a, cap_c), low_nm, high_nm,
        seed, streams.GRAPHITE, index, tile_nm,
    )  # fmt: skip
    return Spheroids(table[:, :3], table[:, 3:6], table[:, 6], table[:, 7]).near(low_nm, high_nm)


def balls(
    parameters: CbaParameters, low_nm: np.ndarray, high_nm: np.ndarray, seed: int, index: int,
    tile_nm: float = BALL_TILE_NM,
) -> Spheroids:  # fmt: skip
    """Draw the large pores of Eq. (3), balls with radii ~ Exp(theta) that may reach the box [low, high]."""
    mean = 1.0 / parameters.theta_per_nm
    cap = -log(TAIL) * mean

    def grains(marks: Marks, n: int) -> np.ndarray:
        return np.minimum(mean * marks(0).exponential(n), cap)[:, None]

    table = marked_germs(
        parameters.lambda_Y_per_nm3, grains, 1, cap, low_nm, high_nm,
        seed, streams.LARGE_PORES, index, tile_nm,
    )  # fmt: skip
    return Spheroids.balls(table[:, :3], table[:, 3]).near(low_nm, high_nm)


def expected_germs(parameters: CbaParameters, extent_nm: np.ndarray) -> tuple[float, float]:
    """Return the mean number of germs of both types for a window, and the number of its tiles.

    Parameters
    ----------
    parameters : CbaParameters
    extent_nm : ndarray of float64, shape (3,)
        Edges of the window.
    """
    axis = max(gamma_bound(parameters.alpha_1), gamma_bound(parameters.alpha_2)) / parameters.gamma_per_nm
    kinds = (
        (parameters.lambda_X_per_nm3, axis, SPHEROID_TILE_NM),
        (parameters.lambda_Y_per_nm3, -log(TAIL) / parameters.theta_per_nm, BALL_TILE_NM),
    )
    germs = tiles = 0.0
    for intensity, reach_nm, tile_nm in kinds:
        more = germs_in_tiles(intensity, extent_nm, reach_nm, tile_nm)
        germs, tiles = germs + more[0], tiles + more[1]
    return germs, tiles


def germs_in_tiles(intensity: float, extent_nm: np.ndarray, reach_nm: float, tile_nm: float) -> tuple[float, float]:
    """Return the mean number of germs that are drawn for a window, and the number of their tiles, at most."""
    # An edge meets at most two more tiles than fit on it.
    tiles = float(np.prod(np.floor((extent_nm + 2 * reach_nm) / tile_nm) + 2))
    return intensity * tile_nm**3 * tiles, tiles


def paint(mask: np.ndarray, grains: Spheroids, label: int, voxel_size_nm: float, origin: tuple[int, int, int]) -> None:
    """Set `mask` to `label` at every voxel centre that lies in a grain.

    Parameters
    ----------
    mask : ndarray of uint8, shape (nz, ny, nx)
        The window, changed in place.
    grains : Spheroids
        Grains in absolute coordinates.
    label : int
        Value to set.
    voxel_size_nm : float
        Voxel edge in nm.
    origin : tuple of int
        Absolute index of the window's first voxel.
    """
    _paint(
        mask, grains.centre_nm, grains.axis, grains.short_nm, grains.long_nm,
        np.uint8(label), float(voxel_size_nm), np.array(origin, dtype=np.int64),
    )  # fmt: skip


def paint_slabs(
    labels: np.ndarray, grains: Spheroids, label: int, voxel_size_nm: float, origin: tuple[int, int, int]
) -> None:
    """Paint like :func:`paint`, slab by slab on all threads."""

    def fill(start: int) -> None:
        part, first = labels[start : start + _SLAB], (origin[0] + start, origin[1], origin[2])
        low = (np.array(first) + 0.5) * voxel_size_nm
        near = grains.near(low, low + (np.array(part.shape) - 1) * voxel_size_nm)
        paint(part, near, label, voxel_size_nm, first)

    thread_map(fill, range(0, len(labels), _SLAB))


def marked_germs(
    intensity: float,
    grains: Callable[[Marks, int], np.ndarray],
    marks: int,
    reach_nm: float,
    low_nm: np.ndarray,
    high_nm: np.ndarray,
    seed: int,
    stream: int,
    index: int,
    tile_nm: float,
) -> np.ndarray:
    """Draw the germs of all tiles within a reach of the box [low, high], with the marks of their grains.

    Parameters
    ----------
    intensity : float
        In nm^-3.
    grains : callable
        Draws the marks of n germs from the streams of their marks, shape (n, marks).
    marks : int
    reach_nm : float
        Largest distance between a germ and a point of its grain.
    low_nm, high_nm : ndarray of float64, shape (3,)
    seed, stream, index : int
        Key of the streams.
    tile_nm : float
        Edge of the tiles.

    Returns
    -------
    ndarray of float64, shape (germs, 3 + marks)
        Position z, y, x, and the marks.
    """
    rows, mean = [np.empty((0, 3 + marks))], intensity * tile_nm * tile_nm * tile_nm
    if mean > _MOST_GERMS:
        raise InputError(
            f"intensity: found {intensity:g} nm^-3, which is {mean:.2g} germs in a cube of {tile_nm:g} nm, expected at "
            f"most {_MOST_GERMS:.0e} (are lengths in nm and intensities in nm^-3?)"
        )
    for tile in streams.tiles_covering(low_nm - reach_nm, high_nm + reach_nm, tile_nm):
        own = streams.draws(seed, stream, index, *tile)
        n = own.arrivals(mean)
        if n:
            germs = (np.array(tile) + own.branch(_POSITIONS).uniform(n, 3)) * tile_nm
            rows.append(np.column_stack([germs, grains(partial(_mark, own), n)]))
    return np.concatenate(rows)


def _mark(own: Stream, mark: int) -> Stream:
    return own.branch(_MARKS + mark)


@lru_cache(maxsize=4096)
def gamma_bound(shape: float) -> float:
    """Return a size exceeded by at most the share TAIL of a gamma law of rate 1, by Chernoff's bound."""
    low, high = shape, shape + 60.0 + 20.0 * math.sqrt(shape)
    for _ in range(200):
        x = 0.5 * (low + high)
        low, high = (x, high) if x - shape - shape * log(x / shape) < -log(TAIL) else (low, x)
    return float(high)


@kernel
def _paint(
    mask: np.ndarray, centre: np.ndarray, axis: np.ndarray, short: np.ndarray, long: np.ndarray, label: Int,
    voxel: float, origin: np.ndarray,
) -> None:  # fmt: skip
    """Find the run of voxel centres inside the quadric in each row of voxels.

    Everything is computed from absolute indices, so that a voxel's result does not depend on the window.
    """
    nz, ny, nx = mask.shape
    for g in range(len(short)):
        inv_long = 1.0 / (long[g] * long[g])
        k = 1.0 / (short[g] * short[g]) - inv_long
        nz_, ny_, nx_ = axis[g, 0], axis[g, 1], axis[g, 2]
        reach = max(short[g], long[g])
        z0 = max(origin[0], int(np.floor((centre[g, 0] - reach) / voxel - 0.5)))
        z1 = min(origin[0] + nz, int(np.ceil((centre[g, 0] + reach) / voxel - 0.5)) + 1)
        y0 = max(origin[1], int(np.floor((centre[g, 1] - reach) / voxel - 0.5)))
        y1 = min(origin[1] + ny, int(np.ceil((centre[g, 1] + reach) / voxel - 0.5)) + 1)
        a = inv_long + k * nx_ * nx_
        for iz in range(z0, z1):
            dz = (iz + 0.5) * voxel - centre[g, 0]
            for iy in range(y0, y1):
                dy = (iy + 0.5) * voxel - centre[g, 1]
                dot = nz_ * dz + ny_ * dy
                b = k * nx_ * dot
                c = (dz * dz + dy * dy) * inv_long + k * dot * dot - 1.0
                root = b * b - a * c
                if root < 0.0:
                    continue
                half = np.sqrt(root)
                x_low = centre[g, 2] + (-b - half) / a
                x_high = centre[g, 2] + (-b + half) / a
                x0 = max(origin[2], int(np.ceil(x_low / voxel - 0.5)))
                x1 = min(origin[2] + nx - 1, int(np.floor(x_high / voxel - 0.5)))
                for ix in range(x0, x1 + 1):
                    mask[iz - origin[0], iy - origin[1], ix - origin[2]] = label
