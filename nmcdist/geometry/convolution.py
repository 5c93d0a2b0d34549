"""Layers of convolutional nets whose results are the same bits on every machine.

Convolutions are valid: they give only values whose whole neighbourhood is in the image, so windows of an image that
are computed apart agree where they overlap. Each value is a sum in one fixed order, with separate multiplications and
additions in single precision; vectors run along x, over values that do not depend on each other.
"""

import numpy as np

from nmcdist.geometry.elementary import exp
from nmcdist.jit import kernel


def convolved(
    image: np.ndarray, weights: np.ndarray, bias: np.ndarray, *, rectified: bool = True, out: np.ndarray | None = None
) -> np.ndarray:
    """Return a valid convolution (in the sense of nets: a correlation), and negative values as 0 if rectified.

    Parameters
    ----------
    image : ndarray of float32, shape (ci, nz, ny, nx)
    weights : ndarray of float32, shape (co, ci, kz, ky, kx)
        Three along each axis is fastest. A 2D image has nz = kz = 1.
    bias : ndarray of float32, shape (co,)
    rectified : bool
    out : ndarray of float32, optional
        Where the result is put.

    Returns
    -------
    ndarray of float32, shape (co, nz - kz + 1, ny - ky + 1, nx - kx + 1)
    """
    out = _room(out, convolved_shape(image.shape, weights.shape))
    _convolve(np.ascontiguousarray(image), np.ascontiguousarray(weights), bias, rectified, out)
    return out


def convolved_shape(image: tuple[int, ...], weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a valid convolution of an image of one shape with weights of another."""
    return weights[0], *(n - k + 1 for n, k in zip(image[1:], weights[2:], strict=True))


def pooled(
    image: np.ndarray, factors: tuple[int, int, int], *, rim: int = 0, out: np.ndarray | None = None
) -> np.ndarray:  # fmt: skip
    """Return the means over blocks of an image, float32 of shape (c, nz / fz, (ny - 2 rim) / fy, (nx - 2 rim) / fx).

    The factors must divide the shape without its rim along y and x, which is left out. `out` is where the result is
    put.
    """
    wide = [n - 2 * r for n, r in zip(image.shape[1:], (0, rim, rim), strict=True)]
    out = _room(out, (len(image), *(n // f for n, f in zip(wide, factors, strict=True))))
    _pool(np.ascontiguousarray(image), np.array(factors), rim, out)
    return out


def repeated(image: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Return an image in which each voxel is a block."""
    for axis, factor in enumerate(factors, start=1):
        image = image.repeat(factor, axis) if factor > 1 else image
    return image


def added(fine: np.ndarray, coarse: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Return the middle of an image plus one of half its resolution along y and x, whose pixels are repeated.

    Parameters
    ----------
    fine : ndarray of float32, shape (c, nz, 2 ny + 2 rim, 2 nx + 2 rim)
        Its rim is left out.
    coarse : ndarray of float32, shape (c, nz, ny, nx)
    out : ndarray of float32, optional
        Where the result is put.

    Returns
    -------
    ndarray of float32, shape (c, nz, 2 ny, 2 nx)
    """
    c, nz, ny, nx = coarse.shape
    out = _room(out, (c, nz, 2 * ny, 2 * nx))
    _add(np.ascontiguousarray(fine), np.ascontiguousarray(coarse), fine.shape[2] // 2 - ny, out)
    return out


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return probabilities from scores of classes along the first axis, as float32."""
    out = np.empty(scores.shape, "f4")
    _softmax(np.ascontiguousarray(scores).reshape(len(scores), -1), out.reshape(len(scores), -1))
    return out


def _room(out: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.empty(shape, np.float32) if out is None else out


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
                        for o in range(0, co - 3, 4):
                            _add_four(
                                plane[y : y + 3], weights[o : o + 4, i, w],
                                out[o, z, y], out[o + 1, z, y], out[o + 2, z, y], out[o + 3, z, y],
                            )  # fmt: skip
                        for o in range(co - co % 4, co):
                            _add_one(plane[y : y + 3], weights[o, i, w], out[o, z, y])
                    else:
                        for o in range(co):
                            _add_any(plane[y : y + ky], weights[o, i, w], out[o, z, y])
            if rectified:
                for o in range(co):
                    row = out[o, z, y]
                    for x in range(nx):
                        row[x] = max(row[x], np.float32(0.0))


@kernel
def _add_four(
    rows: np.ndarray, weights: np.ndarray, p: np.ndarray, q: np.ndarray, r: np.ndarray, s: np.ndarray
) -> None:  # fmt: skip
    """Add 3 x 3 neighbours of one channel to a row of four channels, which share the loads."""
    a, b, c = rows[0], rows[1], rows[2]
    t, u, v, w = weights[0], weights[1], weights[2], weights[3]
    t0, t1, t2, t3, t4, t5, t6, t7, t8 = (
        t[0, 0], t[0, 1], t[0, 2], t[1, 0], t[1, 1], t[1, 2], t[2, 0], t[2, 1], t[2, 2],
    )  # fmt: skip
    u0, u1, u2, u3, u4, u5, u6, u7, u8 = (
        u[0, 0], u[0, 1], u[0, 2], u[1, 0], u[1, 1], u[1, 2], u[2, 0], u[2, 1], u[2, 2],
    )  # fmt: skip
    v0, v1, v2, v3, v4, v5, v6, v7, v8 = (
        v[0, 0], v[0, 1], v[0, 2], v[1, 0], v[1, 1], v[1, 2], v[2, 0], v[2, 1], v[2, 2],
    )  # fmt: skip
    w0, w1, w2, w3, w4, w5, w6, w7, w8 = (
        w[0, 0], w[0, 1], w[0, 2], w[1, 0], w[1, 1], w[1, 2], w[2, 0], w[2, 1], w[2, 2],
    )  # fmt: skip
    for x in range(len(p)):
        a0, a1, a2, b0, b1, b2, c0, c1, c2 = (
            a[x], a[x + 1], a[x + 2], b[x], b[x + 1], b[x + 2], c[x], c[x + 1], c[x + 2],
        )  # fmt: skip
        p[x] += a0 * t0 + a1 * t1 + a2 * t2 + b0 * t3 + b1 * t4 + b2 * t5 + c0 * t6 + c1 * t7 + c2 * t8
        q[x] += a0 * u0 + a1 * u1 + a2 * u2 + b0 * u3 + b1 * u4 + b2 * u5 + c0 * u6 + c1 * u7 + c2 * u8
        r[x] += a0 * v0 + a1 * v1 + a2 * v2 + b0 * v3 + b1 * v4 + b2 * v5 + c0 * v6 + c1 * v7 + c2 * v8
        s[x] += a0 * w0 + a1 * w1 + a2 * w2 + b0 * w3 + b1 * w4 + b2 * w5 + c0 * w6 + c1 * w7 + c2 * w8


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
def _pool(image: np.ndarray, factors: np.ndarray, rim: int, out: np.ndarray) -> None:
    fz, fy, fx = factors
    share = np.float32(1.0) / np.float32(fz * fy * fx)
    for c in range(out.shape[0]):
        for z in range(out.shape[1]):
            for y in range(out.shape[2]):
                means = out[c, z, y]
                means[:] = np.float32(0.0)
                for w in range(fz):
                    for v in range(fy):
                        row = image[c, z * fz + w, rim + y * fy + v]
                        for u in range(fx):
                            for x in range(len(means)):
                                means[x] += row[rim + x * fx + u]
                for x in range(len(means)):
                    means[x] *= share


@kernel
def _add(fine: np.ndarray, coarse: np.ndarray, rim: int, out: np.ndarray) -> None:
    for c in range(out.shape[0]):
        for z in range(out.shape[1]):
            for y in range(out.shape[2]):
                above, row, sums = fine[c, z, rim + y], coarse[c, z, y // 2], out[c, z, y]
                for x in range(len(row)):
                    sums[2 * x] = above[rim + 2 * x] + row[x]
                    sums[2 * x + 1] = above[rim + 2 * x + 1] + row[x]


@kernel
def _softmax(scores: np.ndarray, out: np.ndarray) -> None:
    parts = np.empty(len(scores))
    for x in range(scores.shape[1]):
        most = scores[0, x]
        for c in range(1, len(scores)):
            most = max(most, scores[c, x])
        total = 0.0
        for c in range(len(scores)):
            parts[c] = exp(np.float64(scores[c, x]) - np.float64(most))
            total += parts[c]
        for c in range(len(scores)):
            out[c, x] = parts[c] / total
