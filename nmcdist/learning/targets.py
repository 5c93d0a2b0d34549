"""The properties that a surrogate predicts, and the scale on which it learns them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nmcdist.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Target:
    """A property of a volume.

    Attributes
    ----------
    name, variable, problem : str
        Name in recipes, variable of the store, and conduction problem.
    is_log : bool
        Whether its decimal logarithm is learned, and the probability that it is positive apart from it: volumes with
        value 0 do not conduct, and have no logarithm.
    about : str
    """

    name: str
    variable: str
    problem: str
    is_log: bool
    about: str

    def values(self, data: "xr.Dataset", by_axis: bool) -> np.ndarray:
        """Return the property of each volume, of shape (n,) as mean over axes, or (n, axes); NaN where unknown.

        Raises
        ------
        InputError
            If the store does not hold it.
        """
        if self.variable not in data or self.problem not in data[self.variable]["conduction"].values:
            raise InputError(f"target {self.name!r}: found no {self.variable}[{self.problem}] in the dataset")
        found = data[self.variable].sel(conduction=self.problem).transpose("sample", "axis").values.astype(float)
        return found if by_axis else np.asarray(found.mean(axis=1))

    def learned(self, values: np.ndarray) -> np.ndarray:
        """Return values on the scale on which they are learned; NaN for those that are not positive, if it is log."""
        if not self.is_log:
            return values
        learned: np.ndarray = np.log10(values, out=np.full(values.shape, np.nan), where=values > 0)
        return learned

    def physical(self, learned: np.ndarray) -> np.ndarray:
        """Return values from the scale on which they are learned."""
        return 10.0**learned if self.is_log else np.maximum(learned, 0.0)


TARGETS = {
    target.name: target
    for target in (
        Target("m_factor_pore", "m_factor", "pore", False, "M-factor of the pores"),
        Target("m_factor_solid", "m_factor", "solid", True, "M-factor of the solid"),
        Target(
            "conductivity_solid", "effective_conductivity", "solid", True,
            "effective conductivity of the solid over that of graphite",
        ),
    )
}  # fmt: skip
