"""What coarse evaluations say of fine ones: a line through the pairs of both, on the scale of each quantity.

On a logarithmic scale, values at or below the floor say only that nothing conducts: they have no place on a line. Pairs
with one are left out of the fit, and a coarse value at the floor stays what it is.
"""

import math
from dataclasses import dataclass

import numpy as np

from nmcdist.design.goal import FLOOR, Quantity

FEWEST = 4  # pairs from which a slope is fitted


@dataclass(frozen=True)
class Correction:
    """The line fine = a + b * coarse of a quantity, on the scale on which it is learned.

    Attributes
    ----------
    quantity : Quantity
    pairs, left_out : int
        Pairs of the fit, and pairs at the floor or with a value that is not finite.
    a, b : float
        With fewer than four pairs, or coarse values that do not vary, b is 1; without pairs, a is 0.
    correlation : float
        Of the pairs; NaN with fewer than four, or values that do not vary.
    scatter : float
        Standard deviation of the pairs about the line; NaN with fewer than four.
    """

    quantity: Quantity
    pairs: int
    left_out: int
    a: float
    b: float
    correlation: float
    scatter: float

    @classmethod
    def fit(cls, quantity: Quantity, coarse: np.ndarray, fine: np.ndarray) -> "Correction":
        """Fit the line by least squares.

        Parameters
        ----------
        quantity : Quantity
        coarse, fine : ndarray, shape (pairs,)
            Physical values of the same realisations.
        """
        kept = _is_on_line(quantity, coarse) & _is_on_line(quantity, fine)
        x, y = quantity.learned(coarse[kept]), quantity.learned(fine[kept])
        count, left_out = len(x), len(kept) - len(x)
        if count == 0:
            return cls(quantity, 0, left_out, 0.0, 1.0, math.nan, math.nan)
        dx, dy = x - x.mean(), y - y.mean()
        is_fitted = count >= FEWEST and np.ptp(x) > 0
        b = float((dx * dy).sum() / (dx**2).sum()) if is_fitted else 1.0
        a = float(y.mean() - b * x.mean())
        if count < FEWEST:
            return cls(quantity, count, left_out, a, b, math.nan, math.nan)
        varies = is_fitted and np.ptp(y) > 0
        correlation = float((dx * dy).sum() / np.sqrt((dx**2).sum() * (dy**2).sum())) if varies else math.nan
        scatter = math.sqrt(((dy - b * dx) ** 2).sum() / (count - 2))
        return cls(quantity, count, left_out, a, b, correlation, scatter)

    def fine(self, coarse: np.ndarray) -> np.ndarray:
        """Return the physical values that coarse ones have at the fine voxels."""
        if self.pairs == 0:
            return coarse
        line = self.quantity.physical(self.a + self.b * self.quantity.learned(coarse))
        return np.where(_is_on_line(self.quantity, coarse), line, coarse)


def corrections(quantities: tuple[Quantity, ...], coarse: np.ndarray, fine: np.ndarray) -> tuple[Correction, ...]:
    """Return the correction of each quantity.

    Parameters
    ----------
    quantities : tuple of Quantity
    coarse, fine : ndarray, shape (pairs, quantities)
        Physical values of the same realisations; NaN where a volume failed.
    """
    return tuple(Correction.fit(quantity, coarse[:, k], fine[:, k]) for k, quantity in enumerate(quantities))


def at_fine(lines: tuple[Correction, ...], values: np.ndarray) -> np.ndarray:
    """Return physical values of coarse volumes as they are at the fine voxels, shape (..., quantities)."""
    return np.stack([line.fine(values[..., k]) for k, line in enumerate(lines)], axis=-1)


def _is_on_line(quantity: Quantity, values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return np.asarray(known & (values > FLOOR) if quantity.is_log else known)
