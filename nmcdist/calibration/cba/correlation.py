r"""The covariance of the field without its parametric form (Figure 4 of the CBA paper).

The balls are taken out of the measured curve, C_2(h) = C_B(h) exp(lambda_Y (2 v - o(h))), and Eq. (21), with its factor
1 / (2 pi), is inverted for rho(h) by bisection: its right-hand side increases with rho.
"""

import numpy as np

from nmcdist.calibration.cba.binder import BinderFit, drawn_covariance, free_of_pores
from nmcdist.calibration.cba.results import Curve
from nmcdist.models.excursion import correlation_of, coverage_slope

NOISIEST = 0.1  # standard error of rho above which a point is left out


def correlation_curve(fit: BinderFit) -> Curve:
    """Return rho by lag: from the measured curve, of the fit, and standard errors at the fitted mu and large pores.

    Points at which rho cannot be found, or whose standard error is above 0.1, are None.
    """
    at = fit.lag_nm[1:]
    kept = free_of_pores(fit.theta_per_nm, fit.lambda_Y_per_nm3, at)
    rho = correlation_of(fit.measured[1:] / kept, fit.mu)
    error = fit.measured_error[1:] / kept / coverage_slope(fit.mu, rho)
    seen = np.isfinite(rho) & (error <= NOISIEST)
    return Curve(
        at_nm=at.tolist(), measured=[float(v) if ok else None for v, ok in zip(rho, seen, strict=True)],
        fitted=drawn_covariance(fit.eta_per_nm * at).tolist(),
        error=[float(v) if ok else 0.0 for v, ok in zip(error, seen, strict=True)],
    )  # fmt: skip
