"""Goals: values that quantities shall have, or quantities that shall be large or small at once."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

FLOOR = 1e-5  # of quantities on a logarithmic scale: 0 has no logarithm, and below this nothing conducts


@dataclass(frozen=True)
class Quantity:
    """A quantity that a goal names, and the scale on which it is learned.

    Attributes
    ----------
    name : str
    is_log : bool
    """

    name: str
    is_log: bool

    def learned(self, values: np.ndarray) -> np.ndarray:
        """Return values on the scale on which they are learned."""
        return np.log10(np.maximum(values, FLOOR)) if self.is_log else np.asarray(values, dtype=float)

    def physical(self, learned: np.ndarray) -> np.ndarray:
        """Return values from the scale on which they are learned."""
        return np.asarray(10.0**learned if self.is_log else learned)

    def mean(self, values: np.ndarray, axis: int = 0) -> np.ndarray:
        """Return the mean on the scale on which values are learned, as a value: the geometric mean of a logarithm."""
        return self.physical(self.learned(values).mean(axis=axis))


@dataclass(frozen=True)
class Target:
    """A value that a quantity shall have.

    Attributes
    ----------
    quantity : Quantity
    value : float
    tolerance : float
        Absolute, or relative to the value where the scale is logarithmic.
    """

    quantity: Quantity
    value: float
    tolerance: float

    @property
    def learned(self) -> float:
        """The value on the scale on which the quantity is learned."""
        return float(self.quantity.learned(np.array(self.value)))

    @property
    def width(self) -> float:
        """The tolerance on that scale."""
        return math.log10(1 + self.tolerance) if self.quantity.is_log else self.tolerance


@dataclass(frozen=True)
class Aim:
    """A quantity that shall be as large, or as small, as others allow."""

    quantity: Quantity
    direction: Literal["maximise", "minimise"]

    @property
    def sign(self) -> float:
        """1 to maximise, -1 to minimise."""
        return 1.0 if self.direction == "maximise" else -1.0


Goal = tuple[Target, ...] | tuple[Aim, ...]


def distance(targets: tuple[Target, ...], learned: np.ndarray, variance: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the mean squared distance from the targets in tolerances.

    Parameters
    ----------
    targets : tuple of Target
    learned : ndarray, shape (..., targets)
    variance : ndarray, shape (..., targets), or float
        Of `learned`: what is uncertain is further away.
    """
    aims, widths = np.array([t.learned for t in targets]), np.array([t.width for t in targets])
    return np.asarray((((learned - aims) ** 2 + variance) / widths**2).mean(axis=-1))


def means(quantities: tuple[Quantity, ...], values: np.ndarray) -> np.ndarray:
    """Return the mean of each quantity over realisations; see :meth:`Quantity.mean`.

    Parameters
    ----------
    quantities : tuple of Quantity
    values : ndarray, shape (..., realisations, quantities)

    Returns
    -------
    ndarray, shape (..., quantities)
    """
    return np.stack([q.mean(values[..., k], axis=-1) for k, q in enumerate(quantities)], axis=-1)


def front(values: np.ndarray) -> np.ndarray:
    """Return which rows no other row beats in every column, larger being better; shape (n,).

    Parameters
    ----------
    values : ndarray, shape (n, aims)
    """
    order = np.lexsort(values.T[::-1])[::-1]
    kept: list[int] = []
    for row in order:
        best = values[kept]
        if not ((best >= values[row]).all(axis=1) & (best > values[row]).any(axis=1)).any():
            kept.append(int(row))
    found = np.zeros(len(values), bool)
    found[kept] = True
    return found
