"""A finished sweep as the report sees it: descriptors in memory, samples grouped by level."""

from dataclasses import dataclass

import numpy as np
import xarray as xr


@dataclass(frozen=True)
class Sweep:
    """Descriptors of a store, loaded, without its volumes.

    Attributes
    ----------
    data : xarray.Dataset
        Every variable but `volume`, in memory.
    voxel_size_nm : float
    name : str
    swept : str
        The coordinate that tells the levels apart, `graphite_fraction` unless something else was swept.
    """

    data: xr.Dataset
    voxel_size_nm: float
    name: str
    swept: str = "graphite_fraction"

    @property
    def over_graphite(self) -> bool:
        """Whether the levels are graphite fractions, so that the published sweep can stand beside."""
        return self.swept == "graphite_fraction"

    @property
    def label(self) -> str:
        """What the levels are, for an axis."""
        if self.over_graphite:
            return "volume fraction of graphite $V_1$"
        units = self.data[self.swept].attrs.get("units", "1")
        return self.swept.replace("_", " ") + ("" if units == "1" else f" / {units}")

    @property
    def x(self) -> np.ndarray:
        """Level of each sample."""
        return self.data[self.swept].values

    @property
    def levels(self) -> np.ndarray:
        """Sorted distinct levels."""
        return np.unique(self.x)

    def has(self, name: str) -> bool:
        """Whether the store holds this descriptor."""
        return name in self.data

    def values(self, name: str, phase: str) -> np.ndarray:
        """Return a scalar descriptor of every sample for a phase (or conduction problem)."""
        variable = self.data[name]
        dim = "phase" if "phase" in variable.dims else "conduction"
        return variable.sel({dim: phase}).values

    def by_level(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean, minimum and maximum of a per-sample value at each level, over what is finite."""
        groups = [values[(self.x == level) & np.isfinite(values)] for level in self.levels]
        empty = np.array([np.nan])
        groups = [g if g.size else empty for g in groups]
        return tuple(np.array([f(g) for g in groups]) for f in (np.mean, np.min, np.max))  # type: ignore[return-value]

    def nearest_level(self, graphite: float) -> float:
        """Return the level of the sample whose graphite fraction is nearest."""
        return float(self.x[np.abs(self.data["graphite_fraction"].values - graphite).argmin()])

    def samples_at(self, level: float) -> np.ndarray:
        """Return the sample numbers of a level."""
        return np.flatnonzero(self.x == level)
