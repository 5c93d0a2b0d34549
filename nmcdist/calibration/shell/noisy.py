"""Densities of coefficients that are the sum of a normal or Student variable and normal noise of known variance.

Student's law is a normal law whose variance is s^2 / g, where g has a gamma law of shape and rate nu / 2. With noise of
variance n^2, the density at x is thus the mean over g of a normal density of variance s^2 / g + n^2. In y = log g the
integrand falls off faster than exponentially on one side and exponentially on the other, so the trapezoidal rule
converges exponentially.
"""

import numpy as np
from scipy.special import gammaln

from nmcdist.geometry.elementary import exp, log
from nmcdist.jit import kernel

_NODES = 48


def normal_density(scale: float, values: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the logarithm of the density of a normal variable with noise.

    Parameters
    ----------
    scale : float
        Standard deviation without noise.
    values : ndarray of float64, shape (n, k)
    noise : ndarray of float64, shape (n,)
        Standard deviation of the noise of each row.
    """
    variance = scale**2 + noise[:, None] ** 2
    return np.asarray(-0.5 * (values**2 / variance + np.log(2 * np.pi * variance)))


def student_density(scale: float, nu: float, values: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the logarithm of the density of `scale` times Student's T with noise; arguments as of `normal_density`."""
    half = nu / 2
    low, high = 14 / (half + 0.5) + 10 / np.sqrt(half + 1), np.log1p(6 / np.sqrt(half) + 15 / half)
    y = np.linspace(-low, high, _NODES)
    weights = (y[1] - y[0]) * np.exp(half * (np.log(half) + y - np.exp(y)) - gammaln(half)) / np.sqrt(2 * np.pi)
    out = np.empty(values.shape)
    _mixture(np.ascontiguousarray(values), noise**2, scale**2 * np.exp(-y), weights, out)
    return out


@kernel
def _mixture(
    values: np.ndarray, noise: np.ndarray, variances: np.ndarray, weights: np.ndarray, out: np.ndarray
) -> None:
    slopes, own = np.empty(len(weights)), np.empty(len(weights))
    for i in range(values.shape[0]):
        for j in range(len(weights)):
            variance = variances[j] + noise[i]
            slopes[j], own[j] = -0.5 / variance, weights[j] / np.sqrt(variance)
        for k in range(values.shape[1]):
            square, total = values[i, k] ** 2, 0.0
            for j in range(len(weights)):
                total += own[j] * exp(max(slopes[j] * square, -700.0))
            out[i, k] = log(total)
