"""Norms of vectors and eigenvalues of symmetric tensors at every pixel, in float32."""

import math
from collections.abc import Sequence

import numpy as np

from nmcdist.geometry.elementary import acos, sin_cos
from nmcdist.jit import kernel


def norm(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the length of vectors from arrays of their components, all of one shape, as float32."""
    out: np.ndarray = np.sqrt(sum(part * part for part in parts))
    return out


def eigenvalues(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the eigenvalues of symmetric 2 x 2 or 3 x 3 tensors, largest first.

    Parameters
    ----------
    parts : sequence of ndarray of float32
        Entries (0, 0), (0, 1), (1, 1); or (0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2).

    Returns
    -------
    list of ndarray of float32
        Two or three.
    """
    shape = parts[0].shape
    flat = tuple(np.ascontiguousarray(part, np.float32).reshape(-1) for part in parts)
    out = np.empty((2 if len(flat) == 3 else 3, flat[0].size), np.float32)
    if len(flat) == 3:
        _two(flat[0], flat[1], flat[2], out)
    else:
        _three(flat, out)
    return [values.reshape(shape) for values in out]


@kernel
def _two(a: np.ndarray, b: np.ndarray, c: np.ndarray, out: np.ndarray) -> None:
    half = np.float32(0.5)
    for i in range(len(a)):
        mean, difference = half * (a[i] + c[i]), half * (a[i] - c[i])
        root = math.sqrt(difference * difference + b[i] * b[i])
        out[0, i], out[1, i] = mean + root, mean - root


@kernel
def _three(parts: tuple[np.ndarray, ...], out: np.ndarray) -> None:
    """Solve the characteristic equation by the cosine of a third of an angle (Smith, Commun. ACM 4 (1961) 168)."""
    xx, xy, xz, yy, yz, zz = parts
    for i in range(len(xx)):
        a, b, c = np.float64(xx[i]), np.float64(yy[i]), np.float64(zz[i])
        u, v, w = np.float64(xy[i]), np.float64(xz[i]), np.float64(yz[i])
        mean = (a + b + c) / 3.0
        a, b, c = a - mean, b - mean, c - mean
        spread = math.sqrt((a * a + b * b + c * c + 2.0 * (u * u + v * v + w * w)) / 6.0)
        if spread == 0.0:
            out[0, i] = out[1, i] = out[2, i] = mean
            continue
        a, b, c, u, v, w = a / spread, b / spread, c / spread, u / spread, v / spread, w / spread
        half = 0.5 * (a * (b * c - w * w) - u * (u * c - w * v) + v * (u * w - b * v))
        sine, cosine = sin_cos(acos(min(1.0, max(-1.0, half))) / 3.0)
        high, low = 2.0 * cosine, -cosine - math.sqrt(3.0) * sine
        out[0, i] = mean + spread * high
        out[1, i] = mean - spread * (high + low)
        out[2, i] = mean + spread * low
