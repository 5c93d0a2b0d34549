"""Features in units of their own spread."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.errors import InputError


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each feature; a constant feature has 1 as deviation.

    Attributes
    ----------
    centre, spread : ndarray of float64, shape (d,)
    """

    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> "Scaling":
        """Return the scaling of a table of shape (n, d)."""
        spread = x.std(axis=0)
        return cls(x.mean(axis=0), np.where(spread > 1e-12 * np.abs(x).max(axis=0), spread, 1.0))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return the standardised features."""
        return np.asarray((x - self.centre) / self.spread)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the scaling as plain arrays."""
        return {"centre": self.centre, "spread": self.spread}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Scaling":
        """Return the scaling of :meth:`arrays`; InputError if it is none."""
        centre = finite_array("centre", arrays["centre"], ("d",))
        spread = finite_array("spread", arrays["spread"], centre.shape)
        if (spread <= 0).any():
            raise InputError(f"spread: found {spread.min():g}, expected positive numbers")
        return cls(centre, spread)
