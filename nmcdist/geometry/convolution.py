"""Layers of convolutional nets whose results are the same bits on every machine.

Convolutions are valid: they give only values whose whole neighbourhood is in the image, so windows of an image that
are computed apart agree where they overlap. Each value is a sum in one fixed order, with separate multiplications and
additions in single precision; vectors run along x, over values that do not depend on each other.
"""

import numpy as np

from nmcdist.geometry.elementary import exp
from nmcdist.jit import kernel


def convolved(image: np.ndarray, weights: np.ndarray, bias: np.ndarray, *, rectified: bool = True) -> np.ndarray:
    """Return a valid convolution (in the sense of nets: a correlation), and negative values as 0 if rectified.

    Parameters
    ----------
    image : ndarray of float32, shape (ci, nz, ny, nx)
    weights : ndarray of float32, shape (co, ci, kz, ky, kx)
        Three along each axis is fastest. A 2D image has nz = kz = 1.
    bias : ndarray of float32, shape (co,)
    rectified : bool

    Returns
    -------
    ndarray of float32, shape (co, nz - kz + 1, ny - ky + 1, nx - kx + 1)
    """
    out = np.empty((len(weights), *(n - k + 1 for n, k in zip(image.shape[1:], weights.shape[2:], strict=True))), "f4")
    _convolve(np.ascontiguousarray(image), np.ascontiguousarray(weights), bias, rectified, out)
    return out


def pooled(image: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Return the means over blocks of an image, float32 of shape (c, nz / fz, ny / fy, nx / fx).

    The factors must divide the shape.
    """
    out = np.empty((len(image), *(n // f for n, f in zip(image.shape[1:], factors, strict=True))), "f4")
    _pool(np.ascontiguousarray(image), np.array(factors), out)
    return out


def repeated(image: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Return an image in which each voxel is a block."""
    for axis, factor in enumerate(factors, start=1):
        image = image.repeat(factor, axis) if factor > 1 else image
    return image


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return probabilities from scores of classes along the first axis, as float32."""
    out = np.empty(scores.shape, "f4")
    _softmax(np.ascontiguousarray(scores).reshape(len(scores), -1), out.reshape(len(scores), -1))
    return out


@kernel
def _convolve(image: np.ndarray, weights: np.ndarray, bias: np.ndarray, rectified: bool, out: np.ndarray) -> None:
    co, ci, kz, ky, kx = weights.shape
    _, nz, ny, nx = out.shape
    for z in range(nz):
        for y in range(ny):
            for o in range(co):
                out[o, z, y] = bias[o]
            for i in range(ci):
                for w in range(kz):
                    plane = image[i, z + w]
                    if ky == 3 and kx == 3:
                        for o in range(0, co - 1, 2):
                            _add_two(plane[y : y + 3], weights[o : o + 2, i, w], out[o, z, y], out[o + 1, z, y])
                        if co % 2:
                            _add_one(plane[y : y + 3], weights[co - 1, i, w], out[co - 1, z, y])
                    else:
                        for o in range(co):
                            _add_any(plane[y : y + ky], weights[o, i, w], out[o, z, y])
            if rectified:
                for o in range(co):
                    row = out[o, z, y]
                    for x in range(nx):
                        row[x] = max(row[x], np.float32(0.0))


@kernel
def _add_two(rows: np.ndarray, weights: np.ndarray, p: np.ndarray, q: np.ndarray) -> None:
    """Add 3 x 3 neighbours of one channel to a row of two channels, which halves the loads."""
    a, b, c = rows[0], rows[1], rows[2]
    u, v = weights[0], weights[1]
    u0, u1, u2, u3, u4, u5, u6, u7, u8 = (
        u[0, 0], u[0, 1], u[0, 2], u[1, 0], u[1, 1], u[1, 2], u[2, 0], u[2, 1], u[2, 2],
    )  # fmt: skip
    v0, v1, v2, v3, v4, v5, v6, v7, v8 = (
        v[0, 0], v[0, 1], v[0, 2], v[1, 0], v[1, 1], v[1, 2], v[2, 0], v[2, 1], v[2, 2],
    )  # fmt: skip
    for x in range(len(p)):
        a0, a1, a2, b0, b1, b2, c0, c1, c2 = (
            a[x], a[x + 1], a[x + 2], b[x], b[x + 1], b[x + 2], c[x], c[x + 1], c[x + 2],
        )  # fmt: skip
        p[x] += a0 * u0 + a1 * u1 + a2 * u2 + b0 * u3 + b1 * u4 + b2 * u5 + c0 * u6 + c1 * u7 + c2 * u8
        q[x] += a0 * v0 + a1 * v1 + a2 * v2 + b0 * v3 + b1 * v4 + b2 * v5 + c0 * v6 + c1 * v7 + c2 * v8


@kernel
def _add_one(rows: np.ndarray, u: np.ndarray, p: np.ndarray) -> None:
    a, b, c = rows[0], rows[1], rows[2]
    for x in range(len(p)):
        p[x] += (
            a[x] * u[0, 0] + a[x + 1] * u[0, 1] + a[x + 2] * u[0, 2]
            + b[x] * u[1, 0] + b[x + 1] * u[1, 1] + b[x + 2] * u[1, 2]
            + c[x] * u[2, 0] + c[x + 1] * u[2, 1] + c[x + 2] * u[2, 2]
        )  # fmt: skip


@kernel
def _add_any(rows: np.ndarray, weights: np.ndarray, p: np.ndarray) -> None:
    for j in range(weights.shape[0]):
        row = rows[j]
        for i in range(weights.shape[1]):
            weight = weights[j, i]
            for x in range(len(p)):
                p[x] += row[x + i] * weight


@kernel
def _pool(image: np.ndarray, factors: np.ndarray, out: np.ndarray) -> None:
    fz, fy, fx = factors
    share = np.float32(1.0) / np.float32(fz * fy * fx)
    for c in range(out.shape[0]):
        for z in range(out.shape[1]):
            for y in range(out.shape[2]):
                for x in range(out.shape[3]):
                    total = np.float32(0.0)
                    for w in range(fz):
                        for v in range(fy):
                            for u in range(fx):
                                total += image[c, z * fz + w, y * fy + v, x * fx + u]
                    out[c, z, y, x] = total * share


@kernel
def _softmax(scores: np.ndarray, out: np.ndarray) -> None:
    for x in range(scores.shape[1]):
        most = scores[:, x].max()
        total = 0.0
        for c in range(len(scores)):
            total += exp(np.float64(scores[c, x]) - np.float64(most))
        for c in range(len(scores)):
            out[c, x] = exp(np.float64(scores[c, x]) - np.float64(most)) / total
