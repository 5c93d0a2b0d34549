"""Gaussian filters and their derivatives along the axes of an image, in float32, the same on every machine."""

import math
from collections.abc import Sequence

import numpy as np

from nmcdist.geometry.elementary import exp
from nmcdist.jit import Int, kernel

TRUNCATE = 4.0  # reach of a filter in standard deviations


def reach(sigma: float) -> int:
    """Return how many pixels a filter of a standard deviation reaches to each side."""
    return int(TRUNCATE * sigma + 0.5)


def gaussian_weights(sigma: float, order: int) -> np.ndarray:
    """Return the taps of a Gaussian (order 0), or of its first or second derivative, as of `scipy.ndimage`.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels.
    order : int
        0, 1 or 2.

    Returns
    -------
    ndarray of float32, shape (2 r + 1,)
        For a correlation: the tap of offset -r first.
    """
    x = np.arange(-reach(sigma), reach(sigma) + 1, dtype=np.float64)
    taps = np.array([exp(-0.5 * (step / sigma) ** 2) for step in x])
    taps /= math.fsum(taps)
    if order == 1:
        taps *= x / sigma**2
    elif order == 2:
        taps *= (x * x / sigma**2 - 1) / sigma**2
    return taps.astype(np.float32)


def gaussian(
    array: np.ndarray, sigma: float | Sequence[float], orders: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """Return an image filtered along each axis; beyond its edges it continues as in a mirror.

    Parameters
    ----------
    array : ndarray of float32, shape (ny, nx) or (nz, ny, nx)
    sigma : float or sequence of float
        Standard deviation in pixels, of all axes or of each; an axis with 0 is not filtered.
    orders : sequence of int, optional
        Derivative along each axis; 0 unless given.

    Returns
    -------
    ndarray of float32, shape as of `array`
    """
    sigmas = [sigma] * array.ndim if isinstance(sigma, int | float) else sigma
    orders = np.zeros(array.ndim, int) if orders is None else orders
    for axis, (width, order) in enumerate(zip(sigmas, orders, strict=True)):
        if width > 0:
            array = along(array, axis, gaussian_weights(width, order))
    return array


def along(array: np.ndarray, axis: int, weights: np.ndarray) -> np.ndarray:
    """Return the correlation with an odd number of taps along one axis, continued as in a mirror.

    Parameters
    ----------
    array : ndarray of float32
    axis : int
    weights : ndarray of float32, shape (2 r + 1,)
    """
    source = np.ascontiguousarray(array, np.float32)
    out = np.empty_like(source)
    length = source.shape[axis]
    inner = math.prod(source.shape[axis + 1 :])
    if inner == 1:
        _along_last(source.reshape(-1, length), weights, out.reshape(-1, length))
    else:
        _along_middle(source.reshape(-1, length, inner), weights, out.reshape(-1, length, inner))
    return out


@kernel
def _mirrored(i: Int, n: int) -> Int:
    i %= 2 * n
    return i if i < n else 2 * n - 1 - i


@kernel
def _along_middle(source: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    n, inner, r = source.shape[1], source.shape[2], len(weights) // 2
    for a in range(source.shape[0]):
        for i in range(n):
            for b in range(inner):
                out[a, i, b] = 0.0
            for k in range(len(weights)):
                j, weight = _mirrored(i + k - r, n), weights[k]
                for b in range(inner):
                    out[a, i, b] += weight * source[a, j, b]


@kernel
def _along_last(source: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    n, r = source.shape[1], len(weights) // 2
    line = np.empty(n + 2 * r, np.float32)
    for a in range(source.shape[0]):
        for i in range(n + 2 * r):
            line[i] = source[a, _mirrored(i - r, n)]
        for i in range(n):
            out[a, i] = 0.0
        for k in range(len(weights)):
            weight = weights[k]
            for i in range(n):
                out[a, i] += weight * line[i + k]
