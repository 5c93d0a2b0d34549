"""The intensity of the seeds of grains by distance from the centre, and its Poisson process.

The mass of a ball is the expected number of seeds in it. For any intensity, the masses of the balls through
successive points of a Poisson process grow by independent exponentials of mean 1, so inverting the mass gives the
radii.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nmcdist.jit import kernel


@dataclass(frozen=True)
class IntensityProfile:
    """A positive intensity that is piecewise linear in the distance from the centre.

    It is constant before the first knot and beyond the last. The mass of a ball is a polynomial between knots, so
    radii need only sums, products and quotients, and are the same on every machine.

    Attributes
    ----------
    knots : tuple of float
        Distances from the centre, ascending and >= 0, in nm or another unit of length.
    values : tuple of float
        Positive intensity at each knot, per cube of that unit.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def lowest(self) -> float:
        """The least intensity anywhere."""
        return min(self.values)

    @property
    def highest(self) -> float:
        """The greatest intensity anywhere."""
        return max(self.values)

    def at(self, distance: float | np.ndarray) -> np.ndarray:
        """Return the intensity at distances from the centre."""
        return np.asarray(np.interp(distance, self.knots, self.values))

    def between(self, near: float, far: float) -> tuple[float, float]:
        """Return the least and the greatest intensity at the distances from `near` to `far`."""
        inside = [value for knot, value in zip(self.knots, self.values, strict=True) if near < knot < far]
        values = [*inside, *(float(self.at(r)) for r in (near, far))]
        return min(values), max(values)

    def seeds_within(self, radius: float | np.ndarray) -> np.ndarray:
        """Return the expected number of seeds in balls about the centre: the integral of 4 pi r^2 lambda(r)."""
        radii = np.atleast_1d(np.asarray(radius, dtype=np.float64))
        found = np.empty(radii.shape)
        _masses(*self._pieces, radii, found)
        return found.reshape(np.shape(radius))

    def radii_of(self, masses: np.ndarray) -> np.ndarray:
        """Return the radii of the balls about the centre with these expected numbers of seeds, in the same order."""
        found = np.empty(len(masses))
        _radii(*self._pieces, np.ascontiguousarray(masses, dtype=np.float64), found)
        return found

    @cached_property
    def _pieces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Start of each piece, value at distance 0 and slope of its line, and the mass before it."""
        starts = np.array([0.0, *self.knots])
        slopes = np.zeros(len(starts))
        values = np.array([self.values[0], *self.values])
        slopes[1:-1] = np.diff(self.values) / np.diff(self.knots)
        lines = values - slopes * starts
        before = np.zeros(len(starts))
        for k in range(1, len(starts)):
            last = k - 1
            before[k] = before[last] + _piece_mass(starts[last], lines[last], slopes[last], starts[k])
        return starts, lines, slopes, before


@kernel
def _piece_mass(start: float, value: float, slope: float, end: float) -> float:
    """Return the integral of 4 pi r^2 (value + slope r) from start to end."""
    cubes = end * end * end - start * start * start
    fourths = end * end * end * end - start * start * start * start
    return 4.0 * math.pi * (value * cubes / 3.0 + slope * fourths / 4.0)


@kernel
def _masses(
    starts: np.ndarray, lines: np.ndarray, slopes: np.ndarray, before: np.ndarray, radii: np.ndarray,
    found: np.ndarray,
) -> None:  # fmt: skip
    for i in range(len(radii)):
        k = len(starts) - 1
        while k > 0 and starts[k] > radii[i]:
            k -= 1
        found[i] = before[k] + _piece_mass(starts[k], lines[k], slopes[k], radii[i])


@kernel
def _radii(
    starts: np.ndarray, lines: np.ndarray, slopes: np.ndarray, before: np.ndarray, masses: np.ndarray,
    found: np.ndarray,
) -> None:  # fmt: skip
    """Halve the interval that contains a radius until no floating-point number lies within it.

    All masses of a piece use the same midpoints, so rounding cannot swap two radii.
    """
    for i in range(len(masses)):
        mass, k = masses[i], len(starts) - 1
        while k > 0 and before[k] > mass:
            k -= 1
        low = starts[k]
        if k < len(starts) - 1:
            high = starts[k + 1]
        else:
            high = max(2.0 * low, 1.0)
            while before[k] + _piece_mass(starts[k], lines[k], slopes[k], high) <= mass:
                low, high = high, 2.0 * high
        middle = 0.5 * (low + high)
        while low < middle < high:
            if before[k] + _piece_mass(starts[k], lines[k], slopes[k], middle) <= mass:
                low = middle
            else:
                high = middle
            middle = 0.5 * (low + high)
        found[i] = low
