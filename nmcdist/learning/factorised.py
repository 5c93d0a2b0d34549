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
    def fit(
        cls, fine: np.ndarray, without_graphite: np.ndarray, graphite: np.ndarray, graphite_alone: np.ndarray
    ) -> "Factorised":
        """Return the rule learned from two experiments, which need not have a point in common.

        Parameters
        ----------
        fine : array_like, shape (n, d)
            Parameters of the field and the large pores.
        without_graphite : array_like, shape (n,)
            M-factors of the pores; see :func:`nmcdist.learning.intervention.pore_m_factor`.
        graphite : array_like, shape (m, e)
            Parameters of the graphite.
        graphite_alone : array_like, shape (m,)

        Raises
        ------
        InputError
            If shapes are impossible, or an M-factor is not positive: there is no logarithm of a blocked pore space.
        """
        return cls(
            GaussianProcess.fit(fine, _log("without_graphite", without_graphite)),
            GaussianProcess.fit(graphite, _log("graphite_alone", graphite_alone)),
        )

    def predict(self, fine: np.ndarray, graphite: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the median of M at points, and the variance of its natural logarithm, each of shape (k,).

        The variance is that of the expected logarithm, without the scatter between realisations.
        """
        logs, variance = self.fine.predict(fine)
        more, other = self.graphite.predict(graphite)
        return np.exp(logs + more), variance + other

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


def _log(name: str, values: np.ndarray) -> np.ndarray:
    values = finite_array(name, values, ("n",))
    if (values <= 0).any():
        raise InputError(f"{name}: found {values.min():g}, expected positive M-factors")
    return np.asarray(np.log(values))
