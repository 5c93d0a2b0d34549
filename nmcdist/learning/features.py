"""The numbers by which a surrogate knows a volume: names that a bundle can hold, and their values in a dataset."""

import re
from typing import TYPE_CHECKING

import numpy as np

from nmcdist.errors import InputError
from nmcdist.learning.parameters import FINE, GRAPHITE, parameter_values

if TYPE_CHECKING:
    import xarray as xr

SETS = ("parameters", "cheap", "all")
_PHASES = ("pore", "carbon_binder", "graphite")  # what the solid adds up to is known from them, but not its paths
_LAGS_NM = (160.0, 320.0, 640.0, 1280.0)
_CHEAP = ("volume_fraction", "surface_area")
_MORE = ("mean_curvature_6", "euler_number_6")
_PATHS = ("1/geodesic_tortuosity", "constrictivity", "percolates")
# A number per volume, or variable[phase or intervention], or that at a lag; "1/" is 0 where the variable is unknown: a
# path that does not exist is infinitely long.
_NAME = re.compile(r"(?P<inverse>1/)?(?P<variable>\w+)(?:\[(?P<label>\w+)(?:, (?P<lag>[0-9.]+) nm)?\])?")


def feature_names(data: "xr.Dataset", which: str) -> tuple[str, ...]:
    """Return the names of the features of a set that a dataset holds.

    Parameters
    ----------
    data : xarray.Dataset
        A store of volumes.
    which : {"parameters", "cheap", "all"}
        The parameters of the model that are coordinates of the items; volume fractions, surfaces and two-point
        coverages at four lags; these and curvatures, paths, bottlenecks and percolation.
    """
    if which == "parameters":
        return tuple(parameter_names(data))
    rows = _CHEAP if which == "cheap" else _CHEAP + _MORE
    pairs = [(row, phase) for row in rows for phase in _PHASES]
    pairs += [(row, phase) for row in (() if which == "cheap" else _PATHS) for phase in (*_PHASES, "solid")]
    names = [f"{row}[{phase}]" for row, phase in pairs if row.removeprefix("1/") in data]
    if "two_point_coverage" in data:
        last = float(data["lag_nm"][-1])
        names += [f"two_point_coverage[{phase}, {lag:g} nm]" for phase in _PHASES for lag in _LAGS_NM if lag <= last]
    return tuple(names)


def parameter_names(data: "xr.Dataset") -> list[str]:
    """Return the names of the coordinates with one real number per item."""
    return [str(name) for name, c in data.coords.items() if c.dims == ("sample",) and c.dtype.kind == "f"]


def features(data: "xr.Dataset", names: tuple[str, ...], by_axis: bool = False) -> np.ndarray:
    """Return the features of each volume.

    Parameters
    ----------
    data : xarray.Dataset
    names : tuple of str
    by_axis : bool
        Whether each axis of a volume is a row of its own. Otherwise directional features are means over axes.

    Returns
    -------
    ndarray of float64, shape (n, d) or (n axes, d)
        Axes run fastest.

    Raises
    ------
    InputError
        If the dataset lacks a feature, or a value is not finite; the message names it.
    """
    axes = data.sizes.get("axis", 1) if by_axis else 1
    table = np.empty((data.sizes["sample"], axes, len(names)))
    for column, name in enumerate(names):
        values = _values(data, name)
        if "axis" in values.dims:
            found = values.transpose("sample", "axis").values
            table[:, :, column] = found if by_axis else found.mean(axis=1, keepdims=True)
        else:
            table[:, :, column] = np.broadcast_to(values.values, len(table))[:, None]
        wrong = np.flatnonzero(~np.isfinite(table[:, :, column]).all(axis=1))
        if wrong.size:
            raise InputError(f"feature {name!r}: found no finite number for item {wrong[0]}")
    return table.reshape(-1, len(names))


def _values(data: "xr.Dataset", name: str) -> "xr.DataArray":
    import xarray as xr

    parts = _NAME.fullmatch(name)
    if name in (*FINE, *GRAPHITE) and name not in data and (known := parameter_values(data, name)) is not None:
        return xr.DataArray(known, dims=("sample",))
    if parts is None or parts["variable"] not in data:
        raise InputError(f"feature {name!r}: found no such variable in the dataset")
    values = data[parts["variable"]].astype(float)
    try:
        if parts["label"]:
            values = values.sel({"intervention" if "intervention" in values.dims else "phase": parts["label"]})
        if parts["lag"]:
            values = values.interp(lag_nm=float(parts["lag"]))
    except (KeyError, ValueError):
        raise InputError(f"feature {name!r}: found no such value in the dataset") from None
    return (1.0 / values).fillna(0.0) if parts["inverse"] else values
