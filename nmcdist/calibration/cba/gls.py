"""Weighted least squares of statistics whose scatter comes from the blocks of the image itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nmcdist.errors import ImageError

AGREE = 0.1  # of a standard error: how near the solutions from all starts must be


@dataclass(frozen=True)
class Solution:
    """The best of the solutions from several starts.

    Attributes
    ----------
    values : ndarray of float64, shape (p,)
    chi2 : float
        Weighted sum of squared residuals.
    gain : ndarray of float64, shape (p, statistics)
        Change of the values per change of the statistics.
    ends : ndarray of float64, shape (starts, p)
        Where each start ended.
    """

    values: np.ndarray
    chi2: float
    gain: np.ndarray
    ends: np.ndarray


def covariance(influences: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return the covariance of statistics from the influence of each block on them.

    Each statistic also gets an independent error, the share `shrinkage` of its variance: neighbouring lags are alike
    to many digits, and contrasts finer than the model itself would otherwise rule the fit. The factor for the inverse
    of an estimated matrix is that of Hartlap et al. (2007), doi:10.1051/0004-6361:20066170.

    Parameters
    ----------
    influences : ndarray of float64, shape (blocks, statistics)
        They add up to 0.
    shrinkage : float

    Raises
    ------
    ImageError
        If there are too few blocks for the statistics.
    """
    blocks, count = influences.shape
    if blocks < count + 5:
        raise ImageError(
            f"image: found {blocks} blocks, expected at least {count + 5} for {count} statistics: it is too small"
        )
    raw = influences.T @ influences * (blocks / (blocks - 1)) * ((blocks - 1) / (blocks - count - 2))
    return np.asarray((1 - shrinkage) * raw + shrinkage * np.diag(np.diag(raw)))


def solve(
    measured: np.ndarray,
    model: Callable[[np.ndarray], np.ndarray],
    matrix: np.ndarray,
    starts: Sequence[np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
) -> Solution:
    """Fit values by weighted least squares from each start, and keep the best.

    Parameters
    ----------
    measured : ndarray of float64, shape (statistics,)
    model : callable
        Statistics from values.
    matrix : ndarray of float64, shape (statistics, statistics)
        Covariance of the measured statistics.
    starts : sequence of ndarray, shape (p,)
    low, high : ndarray, shape (p,)
        Bounds of the values.
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import least_squares

    root = cholesky(matrix, lower=True)

    def residuals(values: np.ndarray) -> np.ndarray:
        return np.asarray(solve_triangular(root, model(values) - measured, lower=True))

    found = [
        least_squares(residuals, np.clip(start, low + 1e-6, high - 1e-6), bounds=(low, high), diff_step=1e-5,
                      x_scale=0.1, xtol=1e-10, ftol=1e-12)
        for start in starts
    ]  # fmt: skip
    best = min(found, key=lambda each: each.cost)
    gain = np.linalg.pinv(best.jac) @ solve_triangular(root, np.eye(len(measured)), lower=True)
    return Solution(best.x, 2 * float(best.cost), gain, np.array([each.x for each in found]))


def check_agreement(what: str, solution: Solution, errors: np.ndarray, names: Sequence[str]) -> None:
    """Raise ImageError unless all starts ended within a tenth of the standard error of each other."""
    spread = np.ptp(solution.ends, axis=0)
    for name, distance, error in zip(names, spread, errors, strict=True):
        if not distance <= AGREE * error:
            raise ImageError(
                f"fit of the {what}: failed, blind starts end {distance / error:.2g} standard errors apart in {name}, "
                f"expected at most {AGREE:g}: the image does not fix it"
            )
