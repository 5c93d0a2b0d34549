"""Kernels of the solver of :mod:`nmcdist.geometry.stokes`: rows of its system, and sums of fields.

Rows of voxels are taken as arrays of their own, so that their loops are vectorised. Products are added up in double
precision, plane by plane.
"""

import numpy as np

from nmcdist.geometry.links import gather
from nmcdist.jit import kernel

_jit = kernel(error_model="numpy")


@_jit
def gradient(
    begin: int, end: int, axis: int, inverse: np.ndarray, weights: np.ndarray, half: np.ndarray, step: float,
    u: np.ndarray, p: np.ndarray, out: np.ndarray, partial: np.ndarray,
) -> None:  # fmt: skip
    """Apply the first row of the system to one component, and add up its product with it."""
    zero, width, shift = np.float32(0), u.shape[2], int(axis == 2)
    total, product = np.empty(width, np.float32), np.empty(width)
    for k in range(begin, end):
        product[:] = 0
        for j in range(1, u.shape[1] - 1):
            gather(k, j, u, None, weights, half, total)
            own, d, image, here = u[k, j], inverse[k, j], out[k, j], p[k, j]
            before = p[k - (axis == 0), j - (axis == 1)]
            for i in range(1, width - 1):
                drop = step * (here[i] - before[i - shift])
                value = own[i] / d[i] - total[i] + drop if d[i] > 0 else zero
                image[i] = value
                product[i] += np.float64(own[i]) * value
        partial[k - 1] = _sum(product)


@_jit
def divergence(
    begin: int, end: int, cells: np.ndarray, steps: np.ndarray, w: np.ndarray, v: np.ndarray, u: np.ndarray,
    p: np.ndarray, out: np.ndarray, partial: np.ndarray,
) -> None:  # fmt: skip
    """Apply the second row of the system, and add up its product with the pressure."""
    zero, width, z, y, x = np.float32(0), p.shape[2], steps[0], steps[1], steps[2]
    product = np.empty(width)
    for k in range(begin, end):
        product[:] = 0
        for j in range(1, p.shape[1] - 1):
            own, image, kinds = p[k, j], out[k, j], cells[k, j]
            down, up, front, back, side = w[k, j], w[k + 1, j], v[k, j], v[k, j + 1], u[k, j]
            for i in range(1, width - 1):
                beside = y * (front[i] - back[i]) + x * (side[i] - side[i + 1])
                value = z * (down[i] - up[i]) + beside if kinds[i] == 1 else zero
                image[i] = value
                product[i] += np.float64(own[i]) * value
        partial[k - 1] = _sum(product)


@_jit
def _sum(row: np.ndarray) -> float:
    total = 0.0
    for i in range(1, row.size - 1):
        total += row[i]
    return total


@_jit
def product(begin: int, end: int, a: np.ndarray, b: np.ndarray, partial: np.ndarray) -> None:
    """Multiply two fields, and add up."""
    total = np.empty(a.shape[2])
    for k in range(begin, end):
        total[:] = 0
        for j in range(1, a.shape[1] - 1):
            p, q = a[k, j], b[k, j]
            for i in range(1, p.size - 1):
                total[i] += np.float64(p[i]) * np.float64(q[i])
        partial[k - 1] = _sum(total)


@_jit
def combine(
    begin: int, end: int, a: np.ndarray, x: float, b: np.ndarray, y: float, c: np.ndarray, z: float, out: np.ndarray
) -> None:  # fmt: skip
    """Set a field to x a + y b + z c."""
    p, q, r = np.float32(x), np.float32(y), np.float32(z)
    for k in range(begin, end):
        for j in range(1, a.shape[1] - 1):
            first, second, third, result = a[k, j], b[k, j], c[k, j], out[k, j]
            for i in range(1, result.size - 1):
                result[i] = p * first[i] + q * second[i] + r * third[i]


@_jit
def add(begin: int, end: int, x: float, a: np.ndarray, out: np.ndarray) -> None:
    """Add x a to a field."""
    p = np.float32(x)
    for k in range(begin, end):
        for j in range(1, a.shape[1] - 1):
            more, result = a[k, j], out[k, j]
            for i in range(1, result.size - 1):
                result[i] += p * more[i]


@_jit
def flux(begin: int, end: int, w: np.ndarray, partial: np.ndarray) -> None:
    """Add up a field."""
    for k in range(begin, end):
        total = 0.0
        for j in range(1, w.shape[1] - 1):
            for i in range(1, w.shape[2] - 1):
                total += w[k, j, i]
        partial[k - 1] = total


@_jit
def residual(
    begin: int, end: int, inverse: np.ndarray, weights: np.ndarray, half: np.ndarray, source: np.ndarray,
    u: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Set a field to the source minus the operator of a velocity times u."""
    total, zero = np.empty(u.shape[2], np.float32), np.float32(0)
    for k in range(begin, end):
        for j in range(1, u.shape[1] - 1):
            gather(k, j, u, None, weights, half, total)
            own, b, d, result = u[k, j], source[k, j], inverse[k, j], out[k, j]
            for i in range(1, own.size - 1):
                result[i] = b[i] + total[i] - own[i] / d[i] if d[i] > 0 else zero
