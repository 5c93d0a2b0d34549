"""Gaussian filters and their derivatives along the axes of an image, in float32, the same on every machine."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from nmcdist.calibration.boxes import Box, widened
from nmcdist.geometry.elementary import exp
from nmcdist.jit import Int, kernel

Orders = tuple[int, ...]
TRUNCATE = 4.0  # reach of a filter in standard deviations


def reach(sigma: float) -> int:
    """Return how many pixels a filter of a standard deviation reaches to each side."""
    return int(TRUNCATE * sigma + 0.5)


@lru_cache(maxsize=64)
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
        For a correlation: the tap of offset -r first. Read-only.
    """
    x = np.arange(-reach(sigma), reach(sigma) + 1, dtype=np.float64)
    taps = np.array([exp(-0.5 * (step / sigma) ** 2) for step in x])
    taps /= math.fsum(taps)
    if order == 1:
        taps *= x / sigma**2
    elif order == 2:
        taps *= (x * x / sigma**2 - 1) / sigma**2
    weights = taps.astype(np.float32)
    weights.setflags(write=False)
    return weights


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


def derivatives(
    array: np.ndarray, sigma: float, orders: Iterable[Orders], inner: Box | None = None
) -> list[np.ndarray]:
    """Return several derivatives of a smoothed image; passes that they share are made once.

    Parameters
    ----------
    array : ndarray of float32
    sigma : float
        Standard deviation in pixels.
    orders : iterable of tuple of int
        Derivative along each axis, for each result.
    inner : tuple of slice, optional
        The box that is wanted, from a start to a stop along each axis; all unless given. Pixels beyond what the filter
        reaches are not looked at.

    Returns
    -------
    list of ndarray of float32, shape of the box
    """
    box = inner or tuple(slice(0, length) for length in array.shape)
    wide, inside = widened(box, array.shape, reach(sigma))
    made: dict[Orders, np.ndarray] = {(): array[wide]}
    wanted = [tuple(int(order) for order in each) for each in orders]
    for axis, part in enumerate(inside):
        for key in dict.fromkeys(each[: axis + 1] for each in wanted):
            passed = along(made[key[:-1]], axis, gaussian_weights(sigma, key[-1]))
            made[key] = passed[(slice(None),) * axis + (part,)]
    return [np.ascontiguousarray(made[each]) for each in wanted]


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
    n, r = source.shape[1], len(weights) // 2
    for a in range(source.shape[0]):
        for i in range(n):
            row = out[a, i]
            row[:] = 0.0
            for k in range(0, len(weights) - 3, 4):
                p, q = source[a, _mirrored(i + k - r, n)], source[a, _mirrored(i + k + 1 - r, n)]
                s, t = source[a, _mirrored(i + k + 2 - r, n)], source[a, _mirrored(i + k + 3 - r, n)]
                _add_four(row, p, q, s, t, weights[k : k + 4])
            for k in range(len(weights) // 4 * 4, len(weights)):
                _add_one(row, source[a, _mirrored(i + k - r, n)], weights[k])


@kernel
def _along_last(source: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    n, r = source.shape[1], len(weights) // 2
    line = np.empty(n + 2 * r, np.float32)
    for a in range(source.shape[0]):
        row = out[a]
        line[r : r + n] = source[a]
        for i in range(r):
            line[i], line[r + n + i] = source[a, _mirrored(i - r, n)], source[a, _mirrored(n + i, n)]
        row[:] = 0.0
        for k in range(0, len(weights) - 3, 4):
            _add_four(row, line[k:], line[k + 1 :], line[k + 2 :], line[k + 3 :], weights[k : k + 4])
        for k in range(len(weights) // 4 * 4, len(weights)):
            _add_one(row, line[k:], weights[k])


@kernel
def _add_four(row: np.ndarray, p: np.ndarray, q: np.ndarray, s: np.ndarray, t: np.ndarray, weights: np.ndarray) -> None:
    """Add four weighted lines to a row, one after the other: memory is read and written once for all."""
    a, b, c, d = weights[0], weights[1], weights[2], weights[3]
    for i in range(len(row)):
        row[i] = row[i] + a * p[i] + b * q[i] + c * s[i] + d * t[i]


@kernel
def _add_one(row: np.ndarray, line: np.ndarray, weight: np.float32) -> None:
    for i in range(len(row)):
        row[i] += weight * line[i]
