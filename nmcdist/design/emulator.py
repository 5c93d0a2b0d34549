"""Emulators: what evaluations say about every point of a space, with their uncertainty."""

from dataclasses import dataclass

import numpy as np

from nmcdist.design.goal import Quantity
from nmcdist.learning.gp import GaussianProcess

FEWEST = 4  # evaluations


@dataclass(frozen=True)
class Emulator:
    """One Gaussian process a quantity, on the unit cube.

    Attributes
    ----------
    quantities : tuple of Quantity
    processes : tuple of GaussianProcess
    """

    quantities: tuple[Quantity, ...]
    processes: tuple[GaussianProcess, ...]

    @classmethod
    def fit(cls, quantities: tuple[Quantity, ...], places: np.ndarray, results: np.ndarray) -> "Emulator":
        """Fit the processes to evaluations.

        Parameters
        ----------
        quantities : tuple of Quantity
        places : ndarray, shape (n, d)
            In the unit cube.
        results : ndarray, shape (n, quantities)
            Rows with a value that is not finite are left out.

        Raises
        ------
        InputError
            If fewer than two rows are left.
        """
        known = np.isfinite(results).all(axis=1)
        return cls(quantities, tuple(
            GaussianProcess.fit(places[known], quantity.learned(results[known, k]))
            for k, quantity in enumerate(quantities)
        ))  # fmt: skip

    def predict(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of the learned quantities at places, each of shape (m, quantities)."""
        both = [process.predict(places) for process in self.processes]
        return np.column_stack([mean for mean, _ in both]), np.column_stack([variance for _, variance in both])

    def sample(self, places: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Return one draw of the learned quantities at places, shape (m, quantities).

        Parameters
        ----------
        places : ndarray, shape (m, d)
        normals : ndarray, shape (quantities, m)
            Independent standard normal numbers.
        """
        drawn = [p.sample(places, row[None])[0] for p, row in zip(self.processes, normals, strict=True)]
        return np.column_stack(drawn)

    @property
    def noise(self) -> np.ndarray:
        """Standard deviation of one evaluation about the process, by quantity, on the learned scale."""
        return np.sqrt([process.noise for process in self.processes])
