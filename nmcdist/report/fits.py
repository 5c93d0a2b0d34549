"""The two regressions of the M-factor: linear in graphite, Eq. (29), and a power law of morphology, Eq. (28)."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares


@dataclass(frozen=True)
class LinearFit:
    """M = slope V1 + intercept, Eq. (29)."""

    slope: float
    intercept: float

    def __call__(self, graphite: np.ndarray) -> np.ndarray:
        """Return M at these graphite fractions."""
        return self.slope * np.asarray(graphite) + self.intercept


@dataclass(frozen=True)
class PowerLaw:
    """M = epsilon^a beta^b / tau^c, Eq. (28)."""

    a: float
    b: float
    c: float

    def __call__(self, volume_fraction: np.ndarray, constrictivity: np.ndarray, tortuosity: np.ndarray) -> np.ndarray:
        """Return M from volume fraction, constrictivity and mean geodesic tortuosity."""
        return volume_fraction**self.a * constrictivity**self.b / tortuosity**self.c


def fit_linear(graphite: np.ndarray, m_factor: np.ndarray) -> LinearFit | None:
    """Fit Eq. (29) by least squares; None where fewer than two levels have a value."""
    keep = np.isfinite(graphite) & np.isfinite(m_factor)
    if len(np.unique(graphite[keep])) < 2:
        return None
    slope, intercept = np.polyfit(graphite[keep], m_factor[keep], 1)
    return LinearFit(float(slope), float(intercept))


def fit_power_law(
    volume_fraction: np.ndarray, constrictivity: np.ndarray, tortuosity: np.ndarray, m_factor: np.ndarray
) -> PowerLaw | None:
    """Fit Eq. (28) by least squares in M with non-negative exponents.

    Samples that do not percolate have no tortuosity and are left out; None where fewer than three remain.
    """
    keep = np.isfinite(tortuosity) & (m_factor > 0) & (constrictivity > 0)
    if keep.sum() < 3:
        return None
    e, b, t, m = (values[keep] for values in (volume_fraction, constrictivity, tortuosity, m_factor))

    def residual(exponents: np.ndarray) -> np.ndarray:
        return PowerLaw(*exponents)(e, b, t) - m

    return PowerLaw(*map(float, least_squares(residual, (2.0, 0.1, 5.0), bounds=(0, np.inf)).x))
