"""Where a surrogate applies: near the points that it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from nmcdist.arguments import finite_array
from nmcdist.learning.scaling import Scaling

_MARGIN = 0.1  # of the range of a feature


@dataclass(frozen=True)
class Hull:
    """The points of a training, and how far from the nearest of them a surrogate still applies.

    Attributes
    ----------
    scaling : Scaling
    points : ndarray of float64, shape (n, d)
        Standardised features.
    reach : float
        Largest distance of a training point from the nearest other one.
    """

    scaling: Scaling
    points: np.ndarray
    reach: float

    @classmethod
    def of(cls, x: np.ndarray) -> "Hull":
        """Return the hull of a table of shape (n, d)."""
        scaling = Scaling.of(x)
        points = np.unique(scaling.apply(x), axis=0)
        apart = cKDTree(points).query(points, k=[2])[0] if len(points) > 1 else np.zeros(1)
        return cls(scaling, points, float(apart.max()))

    def outside(self, x: np.ndarray) -> np.ndarray:
        """Return whether points are out of the design, as booleans of shape (m,).

        They are if a feature lies more than a tenth of its range beyond the range, or if no training point is as near
        as `reach`.
        """
        x = self.scaling.apply(finite_array("x", x, ("m", self.points.shape[1])))
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        slack = _MARGIN * (high - low) + 1e-9
        beyond = ((x < low - slack) | (x > high + slack)).any(axis=1)
        return np.asarray(beyond | (cKDTree(self.points).query(x)[0] > self.reach + 1e-9))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the hull as plain arrays."""
        return {**self.scaling.arrays(), "points": self.points, "reach": np.array([self.reach])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Hull":
        """Return the hull of :meth:`arrays`; InputError if they do not belong together."""
        scaling = Scaling.from_arrays(arrays)
        points = finite_array("points", arrays["points"], ("n", len(scaling.centre)))
        return cls(scaling, points, float(finite_array("reach", arrays["reach"], (1,))[0]))
