"""Eigenvalues of small symmetric matrices by Jacobi's rotations, which give the same bits on every machine."""

import math

import numpy as np

from nmcdist.jit import kernel

_SWEEPS = 40  # far more than any matrix needs
_NEGLIGIBLE = 2.0**-56


def eigen_symmetric(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of symmetric matrices, largest first, and their unit eigenvectors.

    Parameters
    ----------
    matrices : ndarray of float64, shape (n, k, k)

    Returns
    -------
    values : ndarray of float64, shape (n, k)
    vectors : ndarray of float64, shape (n, k, k)
        Row j belongs to value j; its sign means nothing.

    References
    ----------
    Golub and Van Loan, Matrix Computations (2013), Sec. 8.5.
    """
    rotated = np.array(matrices, dtype=np.float64, order="C")
    values, vectors = np.empty(rotated.shape[:2]), np.empty(rotated.shape)
    _diagonalise(rotated, values, vectors)
    return values, vectors


@kernel
def _diagonalise(matrices: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> None:
    k = matrices.shape[1]
    axes = np.empty((k, k))
    for i in range(len(matrices)):
        m = matrices[i]
        for a in range(k):
            for b in range(k):
                axes[a, b] = 1.0 if a == b else 0.0
        for _ in range(_SWEEPS):
            turned = False
            for p in range(k - 1):
                for q in range(p + 1, k):
                    turned = _turn(m, axes, p, q) or turned
            if not turned:
                break
        for j in range(k):
            largest = 0
            for a in range(1, k):
                if m[a, a] > m[largest, largest]:
                    largest = a
            values[i, j] = m[largest, largest]
            for a in range(k):  # copying a column would take seconds to compile
                vectors[i, j, a] = axes[a, largest]
            m[largest, largest] = -np.inf


@kernel
def _turn(m: np.ndarray, axes: np.ndarray, p: int, q: int) -> bool:
    """Turn axes p and q so that the entry between them vanishes; return whether there was one."""
    entry = m[p, q]
    if abs(entry) <= _NEGLIGIBLE * math.sqrt(abs(m[p, p])) * math.sqrt(abs(m[q, q])):
        return False
    theta = 0.5 * (m[q, q] - m[p, p]) / entry
    t = 1.0 / (abs(theta) + math.sqrt(1.0 + theta * theta))
    if theta < 0.0:
        t = -t
    c = 1.0 / math.sqrt(1.0 + t * t)
    s = c * t
    m[p, p] -= t * entry
    m[q, q] += t * entry
    m[p, q] = m[q, p] = 0.0
    for a in range(len(m)):
        if a != p and a != q:
            along, across = m[a, p], m[a, q]
            m[a, p] = m[p, a] = c * along - s * across
            m[a, q] = m[q, a] = s * along + c * across
        along, across = axes[a, p], axes[a, q]
        axes[a, p] = c * along - s * across
        axes[a, q] = s * along + c * across
    return True
