"""The tables of a sweep: scalars by volume and by level, curves by level, M-factors by voxel size."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from nmcdist.report.intervals import mean_of
from nmcdist.report.resolution import Resolution
from nmcdist.report.sweep import Sweep

_SCALARS = (
    "volume_fraction", "surface_area", "mean_curvature", "mean_curvature_6", "mean_curvature_26", "euler_number",
    "euler_number_6", "euler_number_26", "r_max_nm", "constrictivity_mean", "geodesic_tortuosity_mean",
    "m_factor_mean",
)  # fmt: skip
_CURVES = {"two_point_coverage": "lag_nm", "pore_size_distribution": "radius_nm"}


def write_samples(data: xr.Dataset, path: Path) -> Path:
    """Write all scalar descriptors as CSV, one row per volume; units are in the header if the name lacks them."""
    columns: dict[str, np.ndarray] = {"sample": np.arange(data.sizes["sample"])}
    for name, coordinate in data.coords.items():
        if coordinate.dims == ("sample",) and name != "sample":
            columns[str(name)] = coordinate.values
    for name, variable in data.data_vars.items():
        if "lag_nm" in variable.dims or "radius_nm" in variable.dims or variable.dims[0] != "sample":
            continue
        flat = variable.stack(column=variable.dims[1:]) if variable.ndim > 1 else variable.expand_dims("column", -1)
        labels = flat["column"].values if variable.ndim > 1 else [""]
        for i, label in enumerate(labels):
            suffix = "_".join(label) if isinstance(label, tuple) else str(label)
            column = with_unit(f"{name}_{suffix}".rstrip("_"), variable.attrs.get("units", "1"))
            columns[column] = flat.values[:, i]
    return write_csv(path, list(columns), zip(*columns.values(), strict=True))


def write_levels(sweep: Sweep, path: Path) -> Path:
    """Write mean, interval and extremes of the scalar descriptors at every level, as CSV."""
    rows = []
    for name in filter(sweep.has, _SCALARS):
        dim = next(d for d in sweep.data[name].dims if d != "sample")
        unit = sweep.data[name].attrs.get("units", "1")
        for phase in sweep.data[dim].values:
            values = sweep.values(name, phase)
            for level in sweep.levels:
                rows.append([name, phase, unit, f"{level:.8g}", *_summary(values[sweep.samples_at(level)])])
    return write_csv(path, ["descriptor", "phase", "unit", with_unit(sweep.swept, sweep.unit), *_SUMMARY], rows)


def write_curves(sweep: Sweep, path: Path) -> Path:
    """Write the mean curves of every phase at every level, with intervals and extremes, as CSV."""
    rows = []
    for name, along in _CURVES.items():
        if not sweep.has(name):
            continue
        for phase in sweep.data["phase"].values:
            curves = sweep.data[name].sel(phase=phase).values
            for level in sweep.levels:
                own = curves[sweep.samples_at(level)].T
                rows += [
                    [name, phase, f"{level:.8g}", f"{at:.8g}", *_summary(values)]
                    for at, values in zip(sweep.data[along].values, own, strict=True)
                ]
    header = ["curve", "phase", with_unit(sweep.swept, sweep.unit), "lag_or_radius_nm", *_SUMMARY]
    return write_csv(path, header, rows)


def write_resolution(studies: Sequence[Resolution], path: Path) -> Path:
    """Write the M-factors at several voxel sizes as CSV."""
    header = ["item", "voxel_size_nm", "graphite_fraction", "m_factor_pore", "m_factor_solid",
              "sigma_eff_over_sigma_graphite"]  # fmt: skip
    return write_csv(
        path,
        header,
        (
            [s.item, s.voxel_size_nm, f"{s.graphite_fraction:.6g}", f"{s.m_factor['pore']:.6g}",
             f"{s.m_factor['solid']:.6g}", f"{s.effective_conductivity['solid']:.6g}"]
            for s in studies
        ),
    )  # fmt: skip


def with_unit(name: str, unit: str) -> str:
    """Return the name of a column with its unit, unless it is a plain number or the name contains the unit."""
    return name if unit in ("1", "") or "_nm" in name else f"{name} [{unit}]"


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a table as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


_SUMMARY = ("n", "mean", "interval_low", "interval_high", "minimum", "maximum")


def _summary(values: np.ndarray) -> list[str]:
    """Return number, mean, interval and extremes of the finite values; empty if there are none."""
    estimate, known = mean_of(values), values[np.isfinite(values)]
    numbers = [estimate.value, *(estimate.bounds or (np.nan, np.nan)), *((known.min(), known.max()) if known.size
               else (np.nan, np.nan))]  # fmt: skip
    return [str(estimate.count), *(f"{x:.8g}" if np.isfinite(x) else "" for x in numbers)]
