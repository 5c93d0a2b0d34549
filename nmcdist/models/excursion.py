r"""Two-point coverage of the excursion set of a Gaussian field, from its correlation and back.

Where the field has correlation rho, two points both lie in the set {Z >= mu} with the probability of Eq. (21) of the
CBA paper, with its factor 1 / (2 pi),

.. math:: C = \bar\Phi(\mu)^2 + \frac{1}{2 \pi} \int_0^{\arcsin \rho} \exp\Bigl(-\frac{\mu^2}{1 + \sin t}\Bigr) dt ,

which increases with rho.
"""

import numpy as np
from scipy.special import ndtr, roots_legendre

_HALVINGS = 50
_X, _W = roots_legendre(32)


def coverage_at(mu: float, rho: np.ndarray) -> np.ndarray:
    """Return the two-point coverage of the excursion set where the field has the correlation rho, Eq. (21)."""
    arc = np.arcsin(np.minimum(rho, 1.0))
    angle = arc[:, None] * (_X + 1) / 2
    integral = (_W * np.exp(-(mu**2) / (1 + np.sin(angle)))).sum(axis=1) * arc / 2
    return np.asarray(ndtr(-mu) ** 2 + integral / (2 * np.pi))


def coverage_slope(mu: float, rho: np.ndarray) -> np.ndarray:
    """Return the derivative of :func:`coverage_at` by rho, for rho in (-1, 1)."""
    return np.asarray(np.exp(-(mu**2) / (1 + rho)) / (2 * np.pi * np.sqrt(1 - rho**2)))


def correlation_of(coverage: np.ndarray, mu: float, lowest: float = 0.0) -> np.ndarray:
    """Return rho from two-point coverages of the excursion set, by bisection.

    Parameters
    ----------
    coverage : ndarray of float64, shape (n,)
    mu : float
        Threshold.
    lowest : float
        Lowest rho to look for, above -1.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN outside what rho in [lowest, 1) gives.
    """
    low, high = np.full(len(coverage), lowest), np.ones(len(coverage))
    possible = (coverage >= coverage_at(mu, low)) & (coverage < ndtr(-mu))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = coverage_at(mu, middle) < coverage
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(possible, (low + high) / 2, np.nan)
