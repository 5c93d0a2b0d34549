"""How blurred the edges of particles are in a smoothed image, and shapes with the blur taken out.

A threshold cuts a blurred particle inside of its true surface, since it is curved: for a standard deviation sigma and
the middle level, by about sigma^2 / R. Forms of high degree fade. Both are known in closed form for a Gaussian blur.
With s = sigma sqrt(2), a ball of radius R has at r the grey value

    g = (erf((R + r) / s) + erf((R - r) / s)) / 2
        - s / (2 r sqrt(pi)) (exp(-(R - r)^2 / s^2) - exp(-(R + r)^2 / s^2)).

If its radius varies a little as Y_lm, the surface of one grey value at r varies as i_l(x) / i_1(x) of that, with
x = R r / sigma^2 and modified spherical Bessel functions: the Gaussian kernel of two points at r and R is a sum of
i_l(x) Y_lm Y_lm, and degree 1 is a shift, which a blur does not change.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import erf, ive

from nmcdist.calibration.shell.blocks import EDGE, Box, blocks
from nmcdist.calibration.shell.phase import GreyPhase, Side
from nmcdist.calibration.spread import Spread

_QUARTERS = 1.3489795  # standard deviations between the levels 1/4 and 3/4 of a blurred plane
_WINDOW = 2  # bins on both sides, over which counts are summed to find a mode
_NARROWEST = 0.1  # voxels, so that nothing is divided by 0
_LEAST = 0.2  # forms that fade more are noise
_TURNS = 50  # of bisection


class Edges(NamedTuple):
    """The edges of particles in a smoothed image.

    Attributes
    ----------
    sigma : float
        Standard deviation of all blur, of the microscope and of the smoothing, in voxels.
    level : float
        Of the threshold: 0 outside, 1 inside.
    contrast : float
        Grey value inside over that outside.
    """

    sigma: float
    level: float
    contrast: float = 1.0


def measured_edges(
    grey: GreyPhase, spacing: tuple[float, float, float], side: Side, spread: Spread = map, edge: int = EDGE
) -> Edges:
    """Measure the blur of edges by their gradients.

    Between the levels 1/4 and 3/4, the mean gradient of a blurred plane is 1 / (2 w), where w = 1.349 sigma is the
    distance between them. Differences over two voxels blur further: by a variance of n_i^2 / 3 voxel^2 for the
    component i along the normal n, which has the weight n_i^2, so by 1/5 on average over directions. The levels of
    the phases are the modes of the grey values on both sides of the threshold.

    Parameters
    ----------
    grey : GreyPhase
    spacing : tuple of float
        Edges of a voxel along z, y, x.
    side : {"bright", "dark"}
        Whether particles are brighter or darker than the rest.
    spread : callable
        Applies a function to items as `map` does, in order.
    edge : int
        Of the blocks, in voxels.
    """
    middles = grey.low + (np.arange(len(grey.counts)) + 0.5) * (grey.high - grey.low) / len(grey.counts)
    is_below = middles < grey.threshold
    below, above = (_mode(np.where(side, grey.counts, 0), middles) for side in (is_below, ~is_below))
    work = partial(_gradients, grey.smooth, below, above, spacing)
    sums = np.sum(list(spread(work, blocks(grey.smooth.shape, edge))), axis=0)
    level = (grey.threshold - below) / (above - below)
    variance = (sums[0] / (2 * _QUARTERS * sums[1])) ** 2 - np.mean(np.square(spacing)) / 5
    sigma = float(np.sqrt(max(variance, _NARROWEST**2)))
    if side == "bright":
        return Edges(sigma, level, above - below)
    return Edges(sigma, 1 - level, below - above)


def between_voxels(edges: Edges, spacing: tuple[float, float, float]) -> Edges:
    """Return the edges of values that are linear between voxels, whose variance is 1/6 voxel^2 larger on average.

    At the share f of the way between two voxels, the variance along it is f (1 - f) voxel^2.
    """
    return edges._replace(sigma=float(np.sqrt(edges.sigma**2 + np.mean(np.square(spacing)) / 6)))


def sharpened(coefficients: np.ndarray, edges: Edges) -> np.ndarray:
    """Return star shapes with the blur taken out: the mean radius exactly, forms to first order.

    Parameters
    ----------
    coefficients : ndarray of float64, shape (n, (L + 1)^2)
        Of the surface where a blurred image has the level of the edges, around the centres of mass, in voxels.
    edges : Edges

    Returns
    -------
    ndarray of float64, shape (n, (L + 1)^2)
        Forms that the blur leaves less than a fifth of are taken as if a fifth were left.
    """
    seen = coefficients[:, 0] / np.sqrt(4 * np.pi)
    order = int(np.sqrt(coefficients.shape[1])) - 1
    degrees = np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)
    found = coefficients / left_by_blur(seen, edges, order)[:, degrees]
    found[:, 0] = true_radii(seen, edges) * np.sqrt(4 * np.pi)
    return np.asarray(found)


def left_by_blur(seen: np.ndarray, edges: Edges, order: int) -> np.ndarray:
    """Return the share of forms that the blur leaves, at least a fifth, for seen radii: shape (n, order + 1)."""
    x = (seen * true_radii(seen, edges) / edges.sigma**2)[:, None]
    left = ive(np.maximum(np.arange(order + 1), 1) + 0.5, x) / ive(1.5, x)
    return np.asarray(np.maximum(left, _LEAST))


def true_radii(seen: np.ndarray, edges: Edges) -> np.ndarray:
    """Return the radii of balls whose blurred images have the level of the edges at given radii."""
    low, high = np.maximum(seen - 5 * edges.sigma, 1e-3 * seen), seen + 5 * edges.sigma
    for _ in range(_TURNS):
        middle = (low + high) / 2
        is_low = blurred_ball(middle, seen, edges.sigma) < edges.level
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return np.asarray((low + high) / 2)


def blurred_ball(radius: np.ndarray, at: np.ndarray, sigma: float) -> np.ndarray:
    """Return the grey value of a blurred ball at a distance from its centre: 0 far outside, 1 deep inside."""
    s = np.sqrt(2.0) * sigma
    rims = np.exp(-(((radius - at) / s) ** 2)) - np.exp(-(((radius + at) / s) ** 2))
    return np.asarray(0.5 * (erf((radius + at) / s) + erf((radius - at) / s)) - s / (2 * np.sqrt(np.pi) * at) * rims)


def _mode(counts: np.ndarray, middles: np.ndarray) -> float:
    """Return the grey value around which most voxels lie."""
    window = np.convolve(counts, np.ones(2 * _WINDOW + 1), mode="same")
    top = int(window.argmax())
    near = slice(max(0, top - _WINDOW), top + _WINDOW + 1)
    return float(np.average(middles[near], weights=counts[near]))


def _gradients(smooth: Any, below: float, above: float, spacing: tuple[float, float, float], core: Box) -> np.ndarray:
    """Return the number of voxels between the levels 1/4 and 3/4 in a core, and the sum of their gradients."""
    rim = core.grown(1, smooth.shape)
    values = (np.asarray(smooth[rim.slices]) - np.float32(below)) / np.float32(above - below)
    own = core.within(rim).slices
    squares = sum((np.gradient(values, axis=axis)[own] / step) ** 2 for axis, step in enumerate(spacing))
    is_between = np.abs(values[own] - 0.5) < 0.25
    return np.array([is_between.sum(), np.sqrt(squares[is_between]).sum(dtype=np.float64)])
