"""Intervals whose share of hits is calibrated on values that were left out."""

import math

import numpy as np

LEVEL = 0.9


def interval_factor(residuals: np.ndarray, variances: np.ndarray, level: float = LEVEL) -> float:
    """Return the number of predicted standard deviations within which a share of the residuals lies.

    It is the conformal quantile of Lei et al. (2018), doi:10.1080/01621459.2017.1307116: number ceil((n + 1) level) of
    the sorted ratios, at most the last.

    Parameters
    ----------
    residuals, variances : ndarray, shape (n,)
    level : float
    """
    ratios = np.sort(np.abs(residuals) / np.sqrt(np.maximum(variances, 1e-300)))
    return float(ratios[min(len(ratios), math.ceil((len(ratios) + 1) * level)) - 1])


def coverage(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Return the share of known values within their intervals; NaN if no value is known."""
    known = np.isfinite(values) & np.isfinite(low) & np.isfinite(high)
    inside = (values[known] >= low[known]) & (values[known] <= high[known])
    return float(inside.mean()) if known.any() else math.nan
