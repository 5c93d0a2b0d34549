"""Coefficients of real spherical harmonics from star radii: least squares after a random rotation.

Directions in which a particle touches another say where the watershed drew a plane, not where the particle ends.
They have weight 0. What then remains free is held by the spread that the particles themselves have in each degree
(ridge regression with prior variances, estimated from the particles by expectation and maximisation).
"""

from typing import NamedTuple

import numpy as np

from nmcdist.geometry.sphere import icosphere, icosphere_harmonics
from nmcdist.jit import kernel

LEVEL = 3  # icosphere with the 642 directions of the paper
NOISE = 0.05  # voxels, standard error of a coefficient of a voxelised shell, nearly the same in all degrees
RADIUS_NOISE = 0.35  # voxels, of one radius: NOISE, as 4 pi / 642 per direction gives it
SURFACE_NOISE = 0.15  # voxels, of one radius of a surface between voxels, which no voxel steps make rough
_MOST = 400  # particles whose spread is the prior


class Series(NamedTuple):
    """Fitted coefficients.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (n, (L + 1)^2)
    residual : ndarray of float64, shape (n,)
        Root mean square of the residuals of the directions with weight.
    """

    coefficients: np.ndarray
    residual: np.ndarray


class FreeSeries(NamedTuple):
    """Coefficients and residuals as of :class:`Series`, and the variance of the coefficients in each degree."""

    coefficients: np.ndarray
    residual: np.ndarray
    variance: np.ndarray


def random_rotations(count: int, seed: int) -> np.ndarray:
    """Return uniformly distributed rotations, shape (count, 3, 3), from unit quaternions."""
    q = np.random.Generator(np.random.Philox(seed)).standard_normal((count, 4))
    q /= np.sqrt((q**2).sum(axis=1, keepdims=True))
    w, a, b, c = q.T
    rows = [
        [1 - 2 * (b * b + c * c), 2 * (a * b - c * w), 2 * (a * c + b * w)],
        [2 * (a * b + c * w), 1 - 2 * (a * a + c * c), 2 * (b * c - a * w)],
        [2 * (a * c - b * w), 2 * (b * c + a * w), 1 - 2 * (a * a + b * b)],
    ]
    return np.ascontiguousarray(np.moveaxis(np.array(rows), 2, 0))


def rotated_directions(rotations: np.ndarray) -> np.ndarray:
    """Return the 642 directions u as R u for each rotation, shape (n, 642, 3); P(R u) is fitted against u."""
    directions, _ = icosphere(LEVEL)
    # Written out, because the order in which BLAS adds depends on the machine.
    return np.stack([(directions[None] * rotations[:, k, None, :]).sum(axis=2) for k in range(3)], axis=2)


def fit_series(radii: np.ndarray, order: int) -> Series:
    """Fit the coefficients by least squares in all directions ("Preprocessing of nano-CT data", Eq. 3)."""
    table = icosphere_harmonics(LEVEL, order)
    solved = np.linalg.lstsq(table.T, radii.T, rcond=None)[0].T
    residual = np.sqrt(((radii - solved @ table) ** 2).mean(axis=1))
    return Series(np.ascontiguousarray(solved), residual)


def fit_free_series(
    radii: np.ndarray, is_free: np.ndarray, order: int, steps: int = 6, variance: np.ndarray | None = None,
    noise: float = RADIUS_NOISE,
) -> FreeSeries:  # fmt: skip
    """Fit the coefficients to free directions only, with the particles' own spread as the prior.

    Parameters
    ----------
    radii : ndarray of float64, shape (n, 642)
        In voxels.
    is_free : ndarray of bool, shape (n, 642)
        False for directions of contact.
    order : int
    steps : int
        Of expectation and maximisation, on at most 400 particles, evenly spread over the given ones.
    variance : ndarray of float64, shape (order + 1,), optional
        First guess of the variance in each degree, such as that of an earlier fit.
    noise : float
        Standard deviation of one radius, in voxels.

    Returns
    -------
    FreeSeries
    """
    table = np.ascontiguousarray(icosphere_harmonics(LEVEL, order))
    degrees = np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)
    if variance is None:
        start = fit_series(radii, order).coefficients
        variance = np.array([max((start[:, degrees == degree] ** 2).mean(), NOISE**2) for degree in range(order + 1)])
    grams, sides = _normal_equations(table, radii, is_free)
    some = np.unique(np.linspace(0, len(radii) - 1, _MOST).round().astype(int))
    for _ in range(steps):
        second = np.zeros(len(degrees))
        prior = np.diag(_precision(variance, degrees, noise))
        for i in some:
            inverse = np.linalg.inv(grams[i] + prior)
            second += (inverse @ sides[i]) ** 2 + noise**2 * np.diag(inverse)
        found = np.bincount(degrees, second) / (len(some) * np.bincount(degrees))
        variance = np.where(np.arange(order + 1) > 0, np.maximum(found, NOISE**2), 1.0)
    grams[:, range(len(degrees)), range(len(degrees))] += _precision(variance, degrees, noise)
    coefficients = np.linalg.solve(grams, sides[:, :, None])[:, :, 0]
    residual = np.array([_residual(row, table, radii[i], is_free[i]) for i, row in enumerate(coefficients)])
    return FreeSeries(coefficients, residual, variance)


def _normal_equations(table: np.ndarray, radii: np.ndarray, is_free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrices and right sides of least squares; directions in contact are taken out of the sums of all."""
    whole = table @ table.T
    grams, sides = np.empty((len(radii), *whole.shape)), np.where(is_free, radii, 0.0) @ table.T
    for gram, free in zip(grams, is_free, strict=True):
        contact = table[:, ~free]
        gram[:] = whole - contact @ contact.T
    return grams, sides


def _precision(variance: np.ndarray, degrees: np.ndarray, noise: float) -> np.ndarray:
    """Return the diagonal of the ridge: noise over the spread of each coefficient, none for the mean radius."""
    return np.asarray(np.where(degrees == 0, 0.0, noise**2 / variance[degrees]))


@kernel
def _residual(row: np.ndarray, table: np.ndarray, radii: np.ndarray, is_free: np.ndarray) -> float:
    total, count = 0.0, 0
    for k in range(len(radii)):
        if is_free[k]:
            value = radii[k]
            for j in range(len(row)):
                value -= row[j] * table[j, k]
            total += value * value
            count += 1
    return float(np.sqrt(total / max(count, 1)))
