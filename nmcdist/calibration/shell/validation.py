"""Shells drawn from the fitted bundle against measured shells (Figure 10a)."""

from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.descriptors.shell import measure_shells
from nmcdist.geometry import sphere
from nmcdist.models.shell import ShellModel

DESCRIPTORS = ("d_max_nm", "compactness", "aspect_ratio", "sphericity")
_DRAWN = 1200
_LEVEL = 3


@dataclass(frozen=True, eq=False)
class Validation:
    """Descriptors of measured and drawn shells.

    Attributes
    ----------
    measured, drawn : dict of str to ndarray of float64
        Drawn shells as the fit would see them: coefficients over the factors of the correction.
    ks : dict of str to float
        Kolmogorov-Smirnov distance between them, measured shells weighted as in the fit.
    ks_uncorrected : dict of str to float
        The same with the drawn shells as they are.
    ks_independent : dict of str to float
        The same of measured shells with each coefficient shuffled among particles: what independence alone costs.
    critical : float
        Distance that samples of one law exceed in 5 % of cases, with the effective number of measured shells.
    count : int
        Drawn shells.
    rejections : int
        Shells drawn and rejected on the way.
    """

    measured: dict[str, np.ndarray]
    drawn: dict[str, np.ndarray]
    ks: dict[str, float]
    ks_uncorrected: dict[str, float]
    ks_independent: dict[str, float]
    critical: float
    count: int
    rejections: int


def validate(
    bundle: Bundle, coefficients_nm: np.ndarray, weights: np.ndarray, factors: np.ndarray, seed: int
) -> Validation:
    """Draw 1,200 shells and compare them with measured ones; shells without a positive radius are left out."""
    table = sphere.icosphere_harmonics(_LEVEL, sphere.order_of(coefficients_nm))
    kept = _have_radii(coefficients_nm, table)
    rows, rejections = ShellModel.from_bundle(bundle).draw_many(seed, range(_DRAWN))
    degrees = np.repeat(np.arange(len(factors)), 2 * np.arange(len(factors)) + 1)
    measured, plain = measure_shells(coefficients_nm[kept]), measure_shells(rows)
    seen = rows / factors[degrees]
    drawn = measure_shells(seen[_have_radii(seen, table)])
    weights = weights[kept]
    shuffled = measure_shells(_shuffled(coefficients_nm[kept], table, seed))
    effective = weights.sum() ** 2 / (weights**2).sum()
    critical = 1.358 * np.sqrt(1 / effective + 1 / _DRAWN)
    ks, uncorrected, independent = (
        {name: weighted_ks(measured[name], weights, part[name]) for name in DESCRIPTORS}
        for part in (drawn, plain, shuffled)
    )
    shown = [{name: part[name] for name in DESCRIPTORS} for part in (measured, drawn)]
    return Validation(shown[0], shown[1], ks, uncorrected, independent, float(critical), _DRAWN, int(rejections.sum()))


def _have_radii(rows: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return which shells have a positive radius everywhere."""
    return np.asarray((table.T @ rows.T > 0).all(axis=0))


def _shuffled(rows: np.ndarray, table: np.ndarray, seed: int) -> np.ndarray:
    """Return shells with each coefficient of a particle chosen at random, those with a positive radius everywhere."""
    stream = np.random.Generator(np.random.Philox(seed))
    mixed = np.stack([stream.permutation(column) for column in rows.T], axis=1)
    return np.asarray(mixed[_have_radii(mixed, table)])


def weighted_ks(values: np.ndarray, weights: np.ndarray, others: np.ndarray) -> float:
    """Return the largest difference of the distribution functions of a weighted sample and another."""
    order, sorted_others = np.argsort(values), np.sort(others)
    places = np.concatenate([values, others])
    up_to = np.concatenate([[0.0], np.cumsum(weights[order])]) / weights.sum()
    first = up_to[np.searchsorted(values[order], places, side="right")]
    second = np.searchsorted(sorted_others, places, side="right") / len(others)
    return float(np.abs(first - second).max())
