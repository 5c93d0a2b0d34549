"""Rules of few numbers, beside which every surrogate is shown: regressions of the paper, mixing rules, and bounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.descriptors.cba import CONDUCTIONS
from nmcdist.errors import InputError
from nmcdist.learning.rows import Rows
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE

_SOLID = (*(CONDUCTIONS["solid"][label] for label in (GRAPHITE, CARBON_BINDER)), 0.0)  # and the pores


@dataclass(frozen=True)
class PowerRule:
    """M = factor * epsilon^a * tau^-c, of porosity and mean geodesic tortuosity of the pores."""

    factor: float
    a: float
    c: float

    @classmethod
    def fit(cls, fraction: np.ndarray, inverse_tortuosity: np.ndarray, m_factor: np.ndarray) -> "PowerRule":
        """Return the rule of least squares in the logarithm of M; volumes with M = 0 are left out."""
        terms = np.column_stack([fraction, inverse_tortuosity, m_factor])
        known = np.isfinite(terms).all(axis=1) & (terms > 0).all(axis=1)
        logs = np.log(terms[known])
        design = np.column_stack([np.ones(len(logs)), logs[:, :2]])
        found = np.linalg.lstsq(design, logs[:, 2], rcond=None)[0]
        return cls(float(np.exp(found[0])), float(found[1]), float(found[2]))

    def __call__(self, fraction: np.ndarray, inverse_tortuosity: np.ndarray) -> np.ndarray:
        """Return M; 0 where the inverse tortuosity is 0, as no path exists."""
        return np.asarray(self.factor * fraction**self.a * inverse_tortuosity**self.c)


@dataclass(frozen=True)
class LinearRule:
    """M = intercept + slope * V1, of the volume fraction of graphite."""

    slope: float
    intercept: float

    @classmethod
    def fit(cls, graphite: np.ndarray, m_factor: np.ndarray) -> "LinearRule":
        """Return the rule of least squares."""
        known = np.isfinite(graphite) & np.isfinite(m_factor)
        slope, intercept = np.polynomial.polynomial.polyfit(graphite[known], m_factor[known], 1)[::-1]
        return cls(float(slope), float(intercept))

    def __call__(self, graphite: np.ndarray) -> np.ndarray:
        """Return M."""
        return np.asarray(self.intercept + self.slope * graphite)


# Equations (28) and (29) of Gräfensteiner et al. (2025), doi:10.1186/s13362-025-00174-z, for the pores.
PUBLISHED_POWER = PowerRule(1.0, 2.1939, 5.0152)
PUBLISHED_LINEAR = LinearRule(-1.874, 0.4556)


def bruggeman(fraction: np.ndarray) -> np.ndarray:
    """Return the M-factor of a phase by Bruggeman's rule, fraction^1.5."""
    return np.asarray(np.asarray(fraction, dtype=float) ** 1.5)


def wiener_bounds(fractions: np.ndarray, conductivities: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the conductivity of the phases in series and in parallel: no structure conducts less or more.

    Parameters
    ----------
    fractions : array_like, shape (n, phases)
        They add up to 1 in each row.
    conductivities : array_like, shape (phases,)
    """
    fractions, values = _phases(fractions, conductivities)
    with np.errstate(divide="ignore", invalid="ignore"):
        resistance = np.where(fractions > 0, fractions / values, 0.0).sum(axis=1)
    return np.where(np.isinf(resistance), 0.0, 1.0 / resistance), fractions @ values


def hashin_shtrikman_bounds(fractions: np.ndarray, conductivities: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of isotropic structures: Hashin and Shtrikman (1962), doi:10.1063/1.1728579, in 3D.

    Parameters
    ----------
    fractions : array_like, shape (n, phases)
        They add up to 1 in each row.
    conductivities : array_like, shape (phases,)
    """
    fractions, values = _phases(fractions, conductivities)

    present = np.where(fractions > 0, values, np.nan)
    bounds = []
    for matrix in (np.nanmin(present, axis=1), np.nanmax(present, axis=1)):
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = fractions / (values + 2 * matrix[:, None])
            total = np.where(fractions > 0, terms, 0.0).sum(axis=1)
            bounds.append(np.where(np.isinf(total), 0.0, 1.0 / total - 2 * matrix))
    return bounds[0], bounds[1]


def rules_of(target: str, train: Rows, values: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return the rules for a target by name, those with numbers fitted to training rows.

    Parameters
    ----------
    target : str
    train : Rows
    values : ndarray, shape (n,)
        The target of the rows.

    Returns
    -------
    dict
        Functions of a table of the features `nmcdist.learning.rows.MORPHOLOGY`.
    """
    pore, path, graphite, _, fine, alone = train.morphology.T
    if target == "m_factor_pore":
        rules: dict[str, Callable[[np.ndarray], np.ndarray]] = {"Bruggeman": lambda m: bruggeman(m[:, 0])}
        rules["Hashin-Shtrikman, upper bound"] = lambda m: hashin_shtrikman_bounds(_two(m[:, 0]), (1.0, 0.0))[1]
        rules["Wiener, upper bound"] = lambda m: wiener_bounds(_two(m[:, 0]), (1.0, 0.0))[1]
        if np.isfinite(path).all():
            power = PowerRule.fit(pore, path, values)
            rules["power law, published"] = lambda m: PUBLISHED_POWER(m[:, 0], m[:, 1])
            rules["power law, fitted"] = lambda m: power(m[:, 0], m[:, 1])
        if np.isfinite(graphite).all() and len(np.unique(graphite)) > 1:
            linear = LinearRule.fit(graphite, values)
            rules["linear in graphite, published"] = lambda m: PUBLISHED_LINEAR(m[:, 2])
            rules["linear in graphite, fitted"] = lambda m: linear(m[:, 2])
        if np.isfinite(fine * alone).any():
            rules["product rule, of interventions"] = lambda m: m[:, 4] * m[:, 5]
        return rules if np.isfinite(pore).all() else {}
    if target == "conductivity_solid" and np.isfinite(train.morphology[:, [0, 2, 3]]).all():
        return {
            "Hashin-Shtrikman, upper bound": lambda m: hashin_shtrikman_bounds(m[:, [2, 3, 0]], _SOLID)[1],
            "Wiener, upper bound": lambda m: wiener_bounds(m[:, [2, 3, 0]], _SOLID)[1],
        }
    return {}


def _two(fraction: np.ndarray) -> np.ndarray:
    return np.column_stack([fraction, 1 - fraction])


def _phases(fractions: np.ndarray, conductivities: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    fractions = finite_array("fractions", fractions, ("n", "phases"))
    values = finite_array("conductivities", conductivities, (fractions.shape[1],))
    if (values < 0).any() or (fractions < 0).any() or np.abs(fractions.sum(axis=1) - 1).max() > 1e-6:
        raise InputError("fractions: expected shares from 0 that add up to 1, and conductivities from 0")
    return fractions, values
