"""The space of a design: ranges of parameters, as a unit cube, and evenly spread points in it."""

from dataclasses import dataclass

import numpy as np

from nmcdist.geometry.elementary import exp, log
from nmcdist.models import streams

DIGITS = 6  # of a place in the unit cube: another BLAS must not move a proposal


@dataclass(frozen=True)
class Space:
    """Ranges of parameters.

    Attributes
    ----------
    names : tuple of str
    low, high : tuple of float
    logarithmic : tuple of bool
        Whether a range is filled evenly in the logarithm.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    logarithmic: tuple[bool, ...]

    @property
    def dimensions(self) -> int:
        """Number of parameters."""
        return len(self.names)

    def point(self, unit: np.ndarray) -> dict[str, float]:
        """Return the parameters at a place of the unit cube, shape (d,)."""
        ends = zip(self.names, unit.tolist(), self.low, self.high, self.logarithmic, strict=True)
        return {name: between(low, high, u, is_logarithmic=logs) for name, u, low, high, logs in ends}

    def sobol(self, count: int, seed: int) -> np.ndarray:
        """Return evenly spread places of the unit cube, shape (count, d)."""
        return unit_points(self.dimensions, count, seed)


def between(low: float, high: float, share: float, *, is_logarithmic: bool) -> float:
    """Return the number at a share of a range, or of the range of its logarithm."""
    if is_logarithmic:
        return float(exp(log(low) + share * (log(high) - log(low))))
    return low + share * (high - low)


def unit_points(dimensions: int, count: int, seed: int) -> np.ndarray:
    """Return points of a scrambled Sobol sequence in the unit cube, shape (count, dimensions).

    Point k does not depend on `count`. The numbers are binary fractions, the same on every machine.
    """
    from scipy.stats.qmc import Sobol

    key = np.random.SeedSequence(entropy=seed, spawn_key=(streams.POINTS,))
    engine = Sobol(dimensions, scramble=True, bits=30, rng=np.random.Generator(np.random.Philox(key)))
    return np.asarray(engine.random_base2(max(count - 1, 0).bit_length())[:count])
