r"""Gaussian random fields whose covariance is a mixture of Gaussians, drawn in any window of space.

The covariance 1 / (1 + (eta h)^2) of the CBA paper is a mixture of Gaussian covariances over scale,

.. math:: \frac{1}{1 + (\eta h)^2} = \int_0^\infty e^{-s} e^{-s \eta^2 h^2} \, ds ,

so the field is a weighted sum of independent fields with covariance exp(-s eta^2 h^2), each a moving average of white
noise with a Gaussian kernel. The kernel is separable and covers few sites of its lattice: eight taps along each axis
suffice for a voxel. Noise depends on the lattice tile and taps on the absolute position, so the field is one function
on space: windows agree bit for bit, and voxels of another size sample the same realisation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmcdist.geometry.elementary import exp
from nmcdist.jit import kernel
from nmcdist.models import streams

# Nine scales s = 4 exp(-k) and their weights: the least-squares fit of the mixture to 1 / (1 + x^2) on x in [0, 200].
# Its error is at most 3.2e-4 everywhere, and that of the curvature at 0 is 0.2 %.
SCALES = 4.0 * np.array([
    1.0, 0.36787944117144233, 0.1353352832366127, 0.049787068367863944, 0.018315638888734179,
    0.006737946999085467, 0.0024787521766663585, 0.00091188196555451621, 0.00033546262790251184,
])  # fmt: skip
WEIGHTS = np.array([0.073714, 0.339348, 0.312755, 0.165090, 0.066672, 0.027403, 0.009062, 0.003128, 0.002828])
WEIGHTS /= math.fsum(WEIGHTS)

TAPS = 8
LATTICE_PER_SIGMA = 1.15  # lattice spacing in kernel standard deviations: leaves a ripple of 1e-3 at most
NOISE_TILE = 32  # lattice sites along each edge of a tile of noise


@dataclass(frozen=True)
class Scale:
    """One scale of the mixture.

    Attributes
    ----------
    number : int
        Index in the mixture, part of the key of its noise.
    amplitude : float
        Square root of the scale's share of the variance.
    sigma_nm : float
        Standard deviation of the smoothing kernel.
    spacing_nm : float
        Spacing of the lattice of white noise.
    """

    number: int
    amplitude: float
    sigma_nm: float
    spacing_nm: float


def mixture(eta_per_nm: float) -> list[Scale]:
    """Return the scales whose sum has covariance 1 / (1 + (eta h)^2)."""
    sigmas = 1.0 / (2.0 * eta_per_nm * np.sqrt(SCALES))
    return [
        Scale(number, float(np.sqrt(weight)), float(sigma), float(LATTICE_PER_SIGMA * sigma))
        for number, (weight, sigma) in enumerate(zip(WEIGHTS, sigmas, strict=True))
    ]


def mixture_of(lengths_nm: Sequence[float], weights: Sequence[float]) -> list[Scale]:
    """Return the scales whose sum has covariance sum_k w_k exp(-(h / l_k)^2).

    Parameters
    ----------
    lengths_nm, weights : sequence of float
        l_k in nm, and w_k > 0 with the sum 1.
    """
    return [
        Scale(number, math.sqrt(weight), length / 2, LATTICE_PER_SIGMA * length / 2)
        for number, (length, weight) in enumerate(zip(lengths_nm, weights, strict=True))
    ]


def taps(scale: Scale, first: int, count: int, voxel_size_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first lattice site and the weights of the noise for each voxel centre along an axis.

    Parameters
    ----------
    scale : Scale
        Scale of the mixture.
    first, count : int
        Absolute index of the first voxel, and number of voxels along the axis.
    voxel_size_nm : float
        Voxel edge in nm; the centre of voxel i lies at (i + 1/2) times it.

    Returns
    -------
    sites : ndarray of int64, shape (count,)
        Lattice site of the first of the eight taps.
    weights : ndarray of float32, shape (count, 8)
        Their squares sum to one, so the variance is the same at every voxel centre.
    """
    position = (np.arange(first, first + count) + 0.5) * (voxel_size_nm / scale.spacing_nm)
    sites = np.floor(position).astype(np.int64) - (TAPS // 2 - 1)
    weights = np.empty((count, TAPS), dtype=np.float32)
    _fill_weights(position, sites, weights)
    return sites, weights


def white_noise(
    seed: int, index: int, scale: int, low: np.ndarray, shape: np.ndarray, stream: int = streams.FIELD
) -> np.ndarray:
    """Return standard normal float32 noise on the lattice sites [low, low + shape)."""
    noise = np.empty(shape, dtype=np.float32)
    high = low + shape
    for tile in streams.tiles_covering(low, high - 1, NOISE_TILE):
        corner = np.array(tile) * NOISE_TILE
        start, stop = np.maximum(corner, low), np.minimum(corner + NOISE_TILE, high)
        draw = streams.draws(seed, stream, index, scale, *tile).normal32(*(NOISE_TILE,) * 3)
        here = tuple(slice(a, b) for a, b in zip(start - low, stop - low, strict=True))
        there = tuple(slice(a, b) for a, b in zip(start - corner, stop - corner, strict=True))
        noise[here] = draw[there]
    return noise


def noise_sites(scales: list[Scale], extent_nm: float) -> float:
    """Return the number of lattice sites of the finest scale's noise along an edge of a window."""
    return extent_nm / min(scale.spacing_nm for scale in scales) + TAPS


def gaussian_field(
    eta_per_nm: float,
    shape: tuple[int, int, int],
    voxel_size_nm: float,
    seed: int,
    index: int = 0,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Draw a window of the standard Gaussian field with covariance 1 / (1 + (eta h)^2) (Eq. (2)).

    The window must be small (:func:`nmcdist.models.cba.generate_cba` works by blocks): besides the result, the noise
    of the finest scale is in memory, with a lattice spacing of 0.29 / eta.

    Parameters
    ----------
    eta_per_nm : float
        Inverse correlation length in 1/nm.
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size_nm : float
        Voxel edge in nm.
    seed, index : int
        Numbers that identify the realisation.
    origin : tuple of int
        Absolute index of the first voxel; may be negative.

    Returns
    -------
    ndarray of float32, shape `shape`
        Field values at the voxel centres: mean 0, variance 1.
    """
    return mixed_field(mixture(eta_per_nm), shape, voxel_size_nm, seed, index, origin)


def mixed_field(
    scales: list[Scale],
    shape: tuple[int, int, int],
    voxel_size_nm: float,
    seed: int,
    index: int,
    origin: tuple[int, int, int],
    stream: int = streams.FIELD,
) -> np.ndarray:
    """Draw a window of the sum of the fields of these scales; `stream` is that of their noise.

    For the other parameters and the result see :func:`gaussian_field`.
    """
    field = np.zeros(shape, dtype=np.float32)
    for scale in scales:
        axes = [taps(scale, o, n, voxel_size_nm) for o, n in zip(origin, shape, strict=True)]
        low = np.array([sites[0] for sites, _ in axes])
        high = np.array([sites[-1] + TAPS for sites, _ in axes])
        noise = white_noise(seed, index, scale.number, low, high - low, stream)
        (z, wz), (y, wy), (x, wx) = ((sites - sites[0], weights) for sites, weights in axes)
        rows = _smooth_rows(noise, x, wx)
        _add_smoothed(field, rows, y, wy, z, wz * np.float32(scale.amplitude))
    return field


@kernel
def _fill_weights(position: np.ndarray, sites: np.ndarray, weights: np.ndarray) -> None:
    row = np.empty(TAPS)
    for i in range(len(position)):
        squares = 0.0
        for t in range(TAPS):
            distance = (position[i] - (sites[i] + t)) * LATTICE_PER_SIGMA
            row[t] = exp(-0.5 * distance * distance)
            squares += row[t] * row[t]
        length = math.sqrt(squares)
        for t in range(TAPS):
            weights[i, t] = row[t] / length


@kernel
def _smooth_rows(noise: np.ndarray, sites: np.ndarray, weights: np.ndarray) -> np.ndarray:
    out = np.empty((noise.shape[0], noise.shape[1], len(sites)), dtype=np.float32)
    for z in range(noise.shape[0]):
        for y in range(noise.shape[1]):
            row = noise[z, y]
            for i in range(len(sites)):
                s = sites[i]
                w = weights[i]
                out[z, y, i] = (
                    ((w[0] * row[s] + w[1] * row[s + 1]) + (w[2] * row[s + 2] + w[3] * row[s + 3]))
                    + ((w[4] * row[s + 4] + w[5] * row[s + 5]) + (w[6] * row[s + 6] + w[7] * row[s + 7]))
                )  # fmt: skip
    return out


@kernel
def _add_smoothed(
    field: np.ndarray, rows: np.ndarray, y_sites: np.ndarray, y_weights: np.ndarray, z_sites: np.ndarray,
    z_weights: np.ndarray,
) -> None:  # fmt: skip
    """Smooth along y into a rotating buffer of eight planes, then along z into the field."""
    planes = np.empty((TAPS, field.shape[1], field.shape[2]), dtype=np.float32)
    filled = 0
    for i in range(field.shape[0]):
        first = z_sites[i]
        for z in range(max(filled, first), first + TAPS):
            _mix_rows(planes[z % TAPS], rows[z], y_sites, y_weights)
        filled = first + TAPS
        w = z_weights[i]
        for j in range(field.shape[1]):
            _add_mix(
                field[i, j],
                planes[first % TAPS, j], planes[(first + 1) % TAPS, j],
                planes[(first + 2) % TAPS, j], planes[(first + 3) % TAPS, j],
                planes[(first + 4) % TAPS, j], planes[(first + 5) % TAPS, j],
                planes[(first + 6) % TAPS, j], planes[(first + 7) % TAPS, j],
                w,
            )  # fmt: skip


@kernel
def _mix_rows(out: np.ndarray, rows: np.ndarray, sites: np.ndarray, weights: np.ndarray) -> None:
    for j in range(out.shape[0]):
        out[j, :] = np.float32(0.0)
        s = sites[j]
        _add_mix(
            out[j],
            rows[s], rows[s + 1], rows[s + 2], rows[s + 3],
            rows[s + 4], rows[s + 5], rows[s + 6], rows[s + 7],
            weights[j],
        )  # fmt: skip


@kernel
def _add_mix(
    out: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, e: np.ndarray, f: np.ndarray,
    g: np.ndarray, h: np.ndarray, w: np.ndarray,
) -> None:  # fmt: skip
    w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
    for i in range(len(out)):
        out[i] += ((w0 * a[i] + w1 * b[i]) + (w2 * c[i] + w3 * d[i])) + (
            (w4 * e[i] + w5 * f[i]) + (w6 * g[i] + w7 * h[i])
        )
