"""A finished sweep for the report: descriptors in memory, volumes grouped by level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nmcdist.bundle import CbaParameters, load_bundle
from nmcdist.models import theory
from nmcdist.report import published
from nmcdist.report.intervals import Estimate, mean_of

GRAPHITE = "graphite_fraction"
_PAPER = "cba-cathode-2025"
_SHOWN = 3  # largest number of levels in a figure of curves
NEAR_CALIBRATED = 0.02  # relative to V1: the paper's own two values for its calibrated model differ by 0.3 %
_SYMBOLS = {
    "lambda_X_per_nm3": r"$\lambda_X$",
    "lambda_Y_per_nm3": r"$\lambda_Y$",
    "alpha_1": r"$\alpha_1$",
    "alpha_2": r"$\alpha_2$",
    "gamma_per_nm": r"$\gamma$",
    "mu": r"$\mu$",
    "eta_per_nm": r"$\eta$",
    "theta_per_nm": r"$\theta$",
}


@dataclass(frozen=True)
class Sweep:
    """The loaded descriptors of a store, without its volumes.

    Attributes
    ----------
    data : xarray.Dataset
        Every variable but `volume`, in memory.
    voxel_size_nm : float
    name : str
    parameters : mapping of float to CbaParameters
        Parameters of the model at each level.
    swept : str
        The coordinate that distinguishes the levels, `graphite_fraction` unless another was swept.
    is_swept : bool
        Whether the recipe has a sweep.
    by_intensity : bool
        Whether the recipe sets the graphite fractions by the intensity of the germs.
    """

    data: xr.Dataset
    voxel_size_nm: float
    name: str
    parameters: Mapping[float, CbaParameters]
    swept: str = GRAPHITE
    is_swept: bool = True
    by_intensity: bool = False

    @property
    def over_graphite(self) -> bool:
        """Whether the levels are graphite fractions."""
        return self.swept == GRAPHITE

    @property
    def is_published(self) -> bool:
        """Whether the paper's numbers are comparable: same sweep, same model."""
        return self.over_graphite and self.printed is not None

    @property
    def printed(self) -> float | None:
        """The value of the swept parameter in the paper's calibrated model; None if other parameters differ from it."""
        swept, paper = "lambda_X_per_nm3" if self.over_graphite else self.swept, load_bundle(_PAPER).cba()
        others = paper.model_dump(exclude={swept})
        if any(p.model_dump(exclude={swept}) != others for p in self.parameters.values()):
            return None
        return published.CALIBRATED_GRAPHITE if self.over_graphite else float(getattr(paper, swept))

    @property
    def calibrated(self) -> float | None:
        """The level at which the paper quotes single values; None if there is none or they do not apply."""
        near = abs(self.reference / published.CALIBRATED_GRAPHITE - 1) <= NEAR_CALIBRATED
        return self.reference if self.is_published and near else None

    @property
    def reference(self) -> float:
        """The level for single values: the nearest to the paper's calibrated model, else the middle one."""
        if self.printed is None:
            return float(self.levels[(len(self.levels) - 1) // 2])
        return float(self.levels[np.abs(self.levels - self.printed).argmin()])

    @property
    def unit(self) -> str:
        """Unit of the levels."""
        return "1" if self.over_graphite else str(self.data[self.swept].attrs.get("units", "1"))

    @property
    def symbol(self) -> str:
        """Symbol of the swept quantity in mathematical notation."""
        return "$V_1$" if self.over_graphite else _SYMBOLS.get(self.swept, self.swept.replace("_", " "))

    @property
    def label(self) -> str:
        """The label of the levels, for an axis."""
        if self.over_graphite:
            return "volume fraction of graphite $V_1$, measured"
        about = str(self.data[self.swept].attrs.get("long_name", "")).partition(",")[0]
        return " ".join(filter(None, [about, self.symbol])) + unit_suffix(self.unit)

    @property
    def x(self) -> np.ndarray:
        """Level of each sample."""
        return self.data[self.swept].values

    @property
    def positions(self) -> np.ndarray:
        """The position of each volume on the axis of the levels: its measured graphite fraction, else its level."""
        return self.values("volume_fraction", "graphite") if self.over_graphite else self.x

    @property
    def levels(self) -> np.ndarray:
        """Sorted distinct levels."""
        return np.unique(self.x)

    @property
    def shown_levels(self) -> list[float]:
        """Levels of the drawn curves: all if there are up to three, else the lowest, the middle and the highest."""
        levels = self.levels.tolist()
        return levels if len(levels) <= _SHOWN else [levels[0], levels[len(levels) // 2], levels[-1]]

    def level_name(self, level: float) -> str:
        """Return a level as text with its unit and enough digits to distinguish the levels."""
        text = level_texts(self.levels)[int(np.abs(self.levels - level).argmin())]
        return text + ("" if self.unit == "1" else f" {plain_unit(self.unit)}")

    def has(self, name: str) -> bool:
        """Whether the store holds this descriptor."""
        return name in self.data

    def values(self, name: str, phase: str) -> np.ndarray:
        """Return a scalar descriptor of every sample for a phase (or conduction problem)."""
        variable = self.data[name]
        dim = "phase" if "phase" in variable.dims else "conduction"
        return variable.sel({dim: phase}).values

    def by_level(self, values: np.ndarray) -> list[Estimate]:
        """Return the mean of a value over the volumes of each level, with its interval."""
        return [mean_of(values[self.samples_at(level)]) for level in self.levels]

    def samples_at(self, level: float) -> np.ndarray:
        """Return the sample numbers of a level."""
        return np.flatnonzero(self.x == level)

    def graphite_by_theory(self, level: float) -> float:
        """Return the model's volume fraction of graphite at a level."""
        return theory.graphite_fraction(self.parameters[level])


def level_texts(levels: Sequence[float] | np.ndarray) -> list[str]:
    """Return numbers as text with equally many decimals: three significant digits for the smallest."""
    values = np.asarray(levels, dtype=float)
    largest, smallest = np.abs(values).max(), np.abs(values[values != 0]).min() if values.any() else 1.0
    for digits in range(3, 18):
        decimals = max(0, digits - 1 - int(np.floor(np.log10(smallest))))
        tiny = largest >= 1e5 or smallest < 1e-4
        texts = [f"{v:.{digits - 1}e}" if tiny else f"{v:.{decimals}f}" for v in values]
        if len(set(texts)) == len(set(values.tolist())):
            break
    return texts


def plain_unit(unit: str) -> str:
    """Return a unit with raised exponents: nm^-3 as nm⁻³."""
    base, _, power = unit.partition("^")
    return base + power.translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def unit_suffix(unit: str) -> str:
    """Return the unit for the label of an axis; empty for a plain number."""
    return "" if unit == "1" else f" / {plain_unit(unit)}"
