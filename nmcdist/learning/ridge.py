"""Linear regression with a ridge penalty, chosen by the error of values left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.errors import InputError
from nmcdist.learning.scaling import Scaling

_PENALTIES = 10.0 ** np.arange(-6, 3.01, 0.5)  # per value, for standardised features


@dataclass(frozen=True)
class Ridge:
    """A fitted linear model of standardised features.

    Attributes
    ----------
    scaling : Scaling
    weights : ndarray of float64, shape (d,)
    intercept, penalty : float
    residuals : ndarray of float64, shape (n,)
        Of each value from its prediction without it.
    """

    scaling: Scaling
    weights: np.ndarray
    intercept: float
    penalty: float
    residuals: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray) -> "Ridge":
        """Return the model whose penalty has the least mean square of the residuals left out.

        Parameters
        ----------
        x : array_like, shape (n, d)
        y : array_like, shape (n,)

        Raises
        ------
        InputError
            If shapes or values are impossible, or there are fewer than 3 values.
        """
        x = finite_array("x", x, ("n", "d"))
        y = finite_array("y", y, (len(x),))
        if len(y) < 3:
            raise InputError(f"y: found {len(y)} values, expected at least 3")
        scaling = Scaling.of(x)
        left, values, right = np.linalg.svd(scaling.apply(x), full_matrices=False)
        along, away = left.T @ (y - y.mean()), y - y.mean()
        best = None
        for penalty in _PENALTIES * len(y):
            shrunk = values**2 / (values**2 + penalty)
            leverage = 1 / len(y) + (left**2) @ shrunk
            # A value that determines its own prediction has no residual without it.
            residuals = (away - left @ (shrunk * along)) / np.maximum(1 - leverage, 1e-6)
            error = float((residuals**2).mean())
            if best is None or error < best[0]:
                best = error, float(penalty), residuals
        assert best is not None
        weights = right.T @ (values / (values**2 + best[1]) * along)
        return cls(scaling, weights, float(y.mean()), best[1], best[2])

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions, and the mean square of the residuals as variance, each of shape (m,)."""
        x = finite_array("x", x, ("m", len(self.weights)))
        mean = self.intercept + self.scaling.apply(x) @ self.weights
        return mean, np.full(len(mean), float((self.residuals**2).mean()))

    @cached_property
    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Residual of each value from its prediction without it, and its variance."""
        return self.residuals, np.full(len(self.residuals), float((self.residuals**2).mean()))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the model as plain arrays."""
        return {
            **self.scaling.arrays(),
            "weights": self.weights,
            "residuals": self.residuals,
            "scalars": np.array([self.intercept, self.penalty]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Ridge":
        """Return the model of :meth:`arrays`; InputError if they do not belong together."""
        scaling = Scaling.from_arrays(arrays)
        weights = finite_array("weights", arrays["weights"], scaling.centre.shape)
        intercept, penalty = finite_array("scalars", arrays["scalars"], (2,)).tolist()
        return cls(scaling, weights, intercept, penalty, finite_array("residuals", arrays["residuals"], ("n",)))
