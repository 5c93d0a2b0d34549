"""The product rule of scales: M(full) = M(without graphite) * M(graphite alone), for the pores.

Graphite plates are micrometres across, the carbon binder and the large pores a tenth of that. Each factor is learned
from an experiment of its own: the fine one in small windows, where it scatters little, the other in wide, coarse ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.errors import InputError
from nmcdist.learning.gp import GaussianProcess


@dataclass(frozen=True)
class Experiment:
    """The M-factors of the pores under one intervention.

    Attributes
    ----------
    name : str
        Of the intervention.
    x : ndarray of float64, shape (n, d)
        Parameters of the parts that remain.
    m : ndarray of float64, shape (n,)
        NaN where not solved.
    """

    name: str
    x: np.ndarray
    m: np.ndarray

    @property
    def learnable(self) -> "Experiment":
        """The volumes whose M-factor has a logarithm: known, and not blocked."""
        kept = np.isfinite(self.m) & (self.m > 0)
        return Experiment(self.name, self.x[kept], self.m[kept])

    @property
    def blocked(self) -> int:
        """Number of volumes whose pores do not conduct, and so have no logarithm."""
        return int((self.m == 0).sum())

    def joined(self, other: "Experiment") -> "Experiment":
        """Return both as one experiment."""
        return Experiment(self.name, np.concatenate([self.x, other.x]), np.concatenate([self.m, other.m]))


@dataclass(frozen=True)
class Factorised:
    """Gaussian processes of the logarithms of the two factors.

    Attributes
    ----------
    fine, graphite : GaussianProcess
        Of M without graphite, and of M with graphite alone, each as a function of its own parameters.
    """

    fine: GaussianProcess
    graphite: GaussianProcess

    @classmethod
    def fit(cls, fine: Experiment, graphite: Experiment, *, like: "Factorised | None" = None) -> "Factorised":
        """Return the rule learned from two experiments, which need not have a point in common.

        Parameters
        ----------
        fine, graphite : Experiment
            Without graphite, as a function of the parameters of the field and the large pores; and of graphite alone.
        like : Factorised, optional
            Start from its hyperparameters alone; see :meth:`nmcdist.learning.gp.GaussianProcess.fit`.

        Raises
        ------
        InputError
            If shapes are impossible, an M-factor is not positive, since a blocked pore space has no logarithm, or there
            are too few or too many values.
        """
        return cls(
            GaussianProcess.fit(fine.x, _log(fine), like=None if like is None else like.fine),
            GaussianProcess.fit(graphite.x, _log(graphite), like=None if like is None else like.graphite),
        )

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the median of M at points, and the variance of a new value, each of shape (m,).

        The variance is that of the logarithm times the square of the median: of both processes, and of the scatter
        between realisations in both experiments.

        Parameters
        ----------
        x : array_like, shape (m, d)
            Parameters of the fine factor, then those of the graphite.
        """
        x = finite_array("x", x, ("m", self.fine.x.shape[1] + self.graphite.x.shape[1]))
        split = self.fine.x.shape[1]
        logs, variance = self.fine.predict(x[:, :split])
        more, other = self.graphite.predict(x[:, split:])
        median = np.exp(logs + more)
        return median, median**2 * (variance + other + self.fine.noise + self.graphite.noise)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the rule as plain arrays."""
        parts = {"fine": self.fine, "graphite": self.graphite}
        return {f"{name}.{key}": array for name, part in parts.items() for key, array in part.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Factorised":
        """Return the rule of :meth:`arrays`."""
        fine, graphite = (
            GaussianProcess.from_arrays({
                key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")
            })
            for name in ("fine", "graphite")
        )  # fmt: skip
        return cls(fine, graphite)


def _log(experiment: Experiment) -> np.ndarray:
    values = finite_array(experiment.name, experiment.m, ("n",))
    if (values <= 0).any():
        raise InputError(f"{experiment.name}: found {values.min():g}, expected positive M-factors")
    return np.asarray(np.log(values))
