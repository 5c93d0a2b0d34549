"""The two regressions of the M-factor: linear in graphite, Eq. (29), and a power law of morphology, Eq. (28)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import linregress

from nmcdist.report.intervals import FEWEST, jackknife, t_factor

EXPONENTS = ("a", "b", "c")
_START = {"a": 2.0, "b": 0.1, "c": 5.0}
_AT_BOUND = 1e-4
_ALIKE = 1e-4  # least singular value of the normalised columns below which exponents cannot be separated


@dataclass(frozen=True)
class LinearFit:
    """M = slope V1 + intercept, Eq. (29).

    Attributes
    ----------
    slope, intercept : float
    slope_margin, intercept_margin : float or None
        Half the widths of their intervals by Student's t; None if the points do not give any.
    count : int
        Number of fitted points.
    """

    slope: float
    intercept: float
    slope_margin: float | None = None
    intercept_margin: float | None = None
    count: int = 0

    def __call__(self, graphite: np.ndarray) -> np.ndarray:
        """Return M at these graphite fractions."""
        return self.slope * np.asarray(graphite) + self.intercept


@dataclass(frozen=True)
class PowerLaw:
    """M = epsilon^a beta^b / tau^c, Eq. (28).

    Attributes
    ----------
    a, b, c : float
    at_bound : tuple of str
        Names of the exponents at their bound, 0.
    margins : mapping of str to float
        Half the widths of the intervals of the other exponents, by a jackknife over volumes; missing if there is
        none.
    count : int
        Number of fitted volumes.
    """

    a: float
    b: float
    c: float
    at_bound: tuple[str, ...] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    count: int = 0

    def __call__(self, volume_fraction: np.ndarray, constrictivity: np.ndarray, tortuosity: np.ndarray) -> np.ndarray:
        """Return M from volume fraction, constrictivity and mean geodesic tortuosity."""
        return volume_fraction**self.a * constrictivity**self.b / tortuosity**self.c

    def is_determined(self, name: str) -> bool:
        """Return whether an exponent differs from 0, that is, has an interval without 0."""
        return name in self.margins and self.margins[name] < getattr(self, name)


def fit_linear(graphite: np.ndarray, m_factor: np.ndarray) -> LinearFit | None:
    """Fit Eq. (29) by least squares; None if fewer than two different fractions have a value."""
    keep = np.isfinite(graphite) & np.isfinite(m_factor)
    x, y = graphite[keep], m_factor[keep]
    if len(np.unique(x)) < 2:
        return None
    found = linregress(x, y)
    slope, intercept, count = float(found.slope), float(found.intercept), len(x)
    if count < FEWEST or not found.stderr > 1e-9 * abs(slope):
        return LinearFit(slope, intercept, count=count)
    reach = t_factor(count - 2)
    return LinearFit(slope, intercept, reach * float(found.stderr), reach * float(found.intercept_stderr), count)


def fit_power_law(
    volume_fraction: np.ndarray, constrictivity: np.ndarray, tortuosity: np.ndarray, m_factor: np.ndarray
) -> PowerLaw | None:
    """Fit Eq. (28) with non-negative exponents by least squares in M.

    Parameters
    ----------
    volume_fraction, constrictivity, tortuosity, m_factor : ndarray, shape (n,) or (n, k)
        Values of n volumes with k phases each. Phases that do not percolate have no tortuosity and are left out.

    Returns
    -------
    PowerLaw or None
        None if fewer than four volumes remain, or if they do not determine the exponents.
    """
    terms = np.stack([np.reshape(v, (len(v), -1)) for v in (volume_fraction, constrictivity, tortuosity, m_factor)])
    known = np.isfinite(terms).all(axis=0) & (terms > 0).all(axis=0)
    terms, known = terms[:, known.any(axis=1)], known[known.any(axis=1)]
    volumes = terms.shape[1]
    if volumes <= len(EXPONENTS):
        return None

    def estimate(kept: np.ndarray, free: tuple[str, ...]) -> np.ndarray:
        e, b, t, m = (values[kept][known[kept]] for values in terms)
        return _least_squares(e, b, t, m, free)

    free: tuple[str, ...] = EXPONENTS
    everything = np.ones(volumes, dtype=bool)
    if _is_undetermined(terms[:, known]):
        return None
    values = estimate(everything, free)
    while len(free) and (values < _AT_BOUND).any():
        free = tuple(name for name, value in zip(free, values, strict=True) if value >= _AT_BOUND)
        values = estimate(everything, free)
    margins = jackknife(lambda kept: estimate(kept, free), volumes, len(free)) if free else np.empty(0)
    found = dict.fromkeys(EXPONENTS, 0.0) | dict(zip(free, map(float, values), strict=True))
    return PowerLaw(
        **found,
        at_bound=tuple(name for name in EXPONENTS if name not in free),
        margins={name: float(m) for name, m in zip(free, margins, strict=True) if np.isfinite(m)},
        count=volumes,
    )


def _least_squares(e: np.ndarray, b: np.ndarray, t: np.ndarray, m: np.ndarray, free: tuple[str, ...]) -> np.ndarray:
    if not free:
        return np.empty(0)

    def residual(exponents: np.ndarray) -> np.ndarray:
        law = PowerLaw(**dict.fromkeys(EXPONENTS, 0.0) | dict(zip(free, exponents, strict=True)))
        return np.asarray(law(e, b, t) - m)

    start = np.array([_START[name] for name in free])
    return np.asarray(least_squares(residual, start, bounds=(0, np.inf), x_scale=np.maximum(start, 1.0)).x)


def _is_undetermined(terms: np.ndarray) -> bool:
    """Return whether the logarithms of the bases are collinear over all points, or all zero."""
    e, b, t, m = terms
    matrix = np.stack([m * np.log(e), m * np.log(b), m * np.log(t)], axis=1)
    lengths = np.linalg.norm(matrix, axis=0)
    if not (lengths > 0).all():
        return True
    return bool(np.linalg.svd(matrix / lengths, compute_uv=False)[-1] < _ALIKE)
