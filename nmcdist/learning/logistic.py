"""The probability of an event by logistic regression on standardised features, with a ridge penalty."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from nmcdist.arguments import finite_array
from nmcdist.learning.scaling import Scaling

_PENALTY = 1.0  # a standard normal law of each weight before the data
_STEPS = 100


@dataclass(frozen=True)
class Logistic:
    """A fitted probability.

    Attributes
    ----------
    scaling : Scaling
    weights : ndarray of float64, shape (d,)
    intercept : float
    """

    scaling: Scaling
    weights: np.ndarray
    intercept: float

    @classmethod
    def fit(cls, x: np.ndarray, happened: np.ndarray) -> "Logistic":
        """Return the most probable model by Newton's method.

        Where the event always or never happened, the probability is (k + 1/2) / (n + 1) everywhere.

        Parameters
        ----------
        x : array_like, shape (n, d)
        happened : array_like of bool, shape (n,)
        """
        x = finite_array("x", x, ("n", "d"))
        label = finite_array("happened", np.asarray(happened, dtype=float), (len(x),))
        scaling, count = Scaling.of(x), label.sum()
        if count in (0, len(label)):
            return cls(scaling, np.zeros(x.shape[1]), float(logit((count + 0.5) / (len(label) + 1))))
        design = np.column_stack([np.ones(len(x)), scaling.apply(x)])
        penalty = np.full(design.shape[1], _PENALTY)
        penalty[0] = 1e-6
        weights = np.zeros(design.shape[1])

        def loss(at: np.ndarray) -> float:
            score = design @ at
            return float((np.logaddexp(0.0, score) - label * score).sum() + 0.5 * (penalty * at**2).sum())

        for _ in range(_STEPS):
            chance = expit(design @ weights)
            slope = design.T @ (chance - label) + penalty * weights
            curvature = (design.T * (chance * (1 - chance))) @ design + np.diag(penalty)
            step, share = np.linalg.solve(curvature, slope), 1.0
            while share > 1e-6 and loss(weights - share * step) > loss(weights):
                share /= 2
            weights = weights - share * step
            if np.abs(step).max() < 1e-10:
                break
        return cls(scaling, weights[1:], float(weights[0]))

    def probability(self, x: np.ndarray) -> np.ndarray:
        """Return the probability of the event at points, shape (m,)."""
        x = finite_array("x", x, ("m", len(self.weights)))
        return np.asarray(expit(self.intercept + self.scaling.apply(x) @ self.weights))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the model as plain arrays."""
        return {**self.scaling.arrays(), "weights": self.weights, "intercept": np.array([self.intercept])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Logistic":
        """Return the model of :meth:`arrays`; InputError if they do not belong together."""
        scaling = Scaling.from_arrays(arrays)
        weights = finite_array("weights", arrays["weights"], scaling.centre.shape)
        return cls(scaling, weights, float(finite_array("intercept", arrays["intercept"], (1,))[0]))
