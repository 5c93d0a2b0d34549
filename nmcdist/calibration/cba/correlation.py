r"""The covariance of the field without its parametric form (Figure 4 of the CBA paper).

The balls are taken out of the measured curve, C_2(h) = C_B(h) exp(lambda_Y (2 v - o(h))), and Eq. (21), with its factor
1 / (2 pi), is inverted for rho(h) by bisection: its right-hand side increases with rho.
"""

import numpy as np
from scipy.stats import norm

from nmcdist.calibration.cba.binder import BinderFit, coverage_at, drawn_covariance, free_of_pores
from nmcdist.calibration.cba.results import Curve

NOISIEST = 0.1  # standard error of rho above which a point is left out
_HALVINGS = 50


def correlation_of(coverage: np.ndarray, mu: float) -> np.ndarray:
    """Return rho from two-point coverages of the excursion set at threshold mu; NaN outside what rho in [0, 1) gives.

    Parameters
    ----------
    coverage : ndarray of float64, shape (n,)
    mu : float
    """
    low, high = np.zeros(len(coverage)), np.ones(len(coverage))
    possible = (coverage >= norm.sf(mu) ** 2) & (coverage < norm.sf(mu))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = coverage_at(mu, middle) < coverage
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(possible, (low + high) / 2, np.nan)


def correlation_curve(fit: BinderFit) -> Curve:
    """Return rho by lag: from the measured curve, of the fit, and standard errors at the fitted mu and large pores.

    Points at which rho cannot be found, or whose standard error is above 0.1, are None.
    """
    at = fit.lag_nm[1:]
    kept = free_of_pores(fit.theta_per_nm, fit.lambda_Y_per_nm3, at)
    rho = correlation_of(fit.measured[1:] / kept, fit.mu)
    slope = np.exp(-(fit.mu**2) / (1 + rho)) / (2 * np.pi * np.sqrt(1 - rho**2))
    error = fit.measured_error[1:] / kept / slope
    seen = np.isfinite(rho) & (error <= NOISIEST)
    return Curve(
        at_nm=at.tolist(), measured=[float(v) if ok else None for v, ok in zip(rho, seen, strict=True)],
        fitted=drawn_covariance(fit.eta_per_nm * at).tolist(),
        error=[float(v) if ok else 0.0 for v, ok in zip(error, seen, strict=True)],
    )  # fmt: skip
