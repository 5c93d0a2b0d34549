"""The tables of a collection of particles: statistics of every column, profiles, and the run at a glance."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nmcdist.descriptors.summaries import Histogram
from nmcdist.report import published
from nmcdist.report.collection import Collection, Column
from nmcdist.report.comparison import interval_text
from nmcdist.report.intervals import PERCENT, median_bounds
from nmcdist.report.survey import DIAMETER, SHELL, Survey
from nmcdist.report.sweep import plain_unit
from nmcdist.report.tables import write_csv

_SHARES = {"quantile_10": 0.1, "median": 0.5, "quantile_90": 0.9}
_MOMENTS = ("count", "missing", "minimum", "maximum", "mean", "sd")


def write_statistics(collection: Collection, path: Path) -> Path:
    """Write one row per column: moments, and bounds on the quantiles from the bins."""
    quantiles = [f"{name}_{end}" for name in _SHARES for end in ("from", "to")]
    header = ["table", "cut_height", "column", "unit", *_MOMENTS, *quantiles, "below_bins", "above_bins"]
    return write_csv(path, header, (_statistics(cut, column) for cut, column in _columns(collection)))


def write_profiles(collection: Collection, path: Path) -> Path:
    """Write count, mean and standard deviation of every column by distance from the centre."""
    header = ["table", "cut_height", "column", "unit", "radius_nm", "count", "mean", "sd"]
    rows = (
        [column.table, cut, column.name, column.unit, f"{radius:g}", int(count), f"{mean:.8g}", f"{sd:.8g}"]
        for cut, column in _columns(collection)
        if column.profile
        for radius, count, mean, sd in zip(*(column.profile[k] for k in header[4:]), strict=True)
        if count > 0
    )
    return write_csv(path, header, rows)


RUN_HEADER = ["quantity", "unit", "this run", f"{PERCENT} interval", "paper"]


def run_rows(collection: Collection, seen: Survey) -> list[list[str]]:
    """Return a summary of the run: quantity, unit, this run, its interval if any, the paper's value."""
    totals, lowest = seen.totals, collection.column("particle", "sphericity").moments["minimum"]
    rows = [
        ["particles", "", f"{collection.count}", "", ""],
        ["shells drawn and rejected", "", f"{totals['shell_rejections']}", "", ""],
        ["grains kept", "", f"{totals['kept_grains']}", "", ""],
        _median_row("largest diameter d_max", "µm", seen.histograms["d_max_nm"], 1000.0),
        _median_row("mean diameter Z00 / √π", "µm", seen.histograms[DIAMETER], 1000.0),
        *(_median_row(name.replace("_", " "), "", seen.histograms[name]) for name in SHELL[1:]),
        [
            "lowest sphericity",
            "",
            f"{lowest:.4f}",
            "",
            f"its model has none at or below {published.LOWEST_SPHERICITY}",
        ],
    ]
    for name, text in (
        ("grains", "grains with at least one voxel"),
        ("grains_with_pieces", "grains in several pieces, before pieces were given to neighbours"),
        ("pieces_merged", "pieces given to a neighbour"),
        ("voxels_merged", "voxels of these pieces"),
    ):
        if name in totals:
            rows.append([text, "", f"{totals[name]}", "", ""])
    return rows


MEAN_HEADER = ["mean over", "quantity", "unit", "mean", f"{PERCENT} interval", "sd of the grains"]


def mean_rows(collection: Collection) -> list[list[str]]:
    """Return means over all grains, in space and in the sections at each cut height, with intervals by batch."""
    rows = [
        _mean_row(collection, "grain", name, "grains")
        for name in ("equivalent_diameter_nm", "elongation", "angle_to_radius", "neighbours")
        if name in collection.columns("grain")
    ]
    for cut, height in enumerate(collection.cut_heights):
        names = ("area_nm2", "elongation", "angle_to_radius", "chord_length_nm")
        rows += [_mean_row(collection, "section", name, f"sections at {height:g}", cut) for name in names]
    return rows


def _median_row(name: str, unit: str, histogram: Histogram, scale: float = 1.0) -> list[str]:
    if not histogram.total:
        return [f"median {name}", unit, "none", "", ""]
    bounds = median_bounds(histogram)
    interval = "–" if bounds is None else " to ".join(f"{end / scale:.4g}" for end in bounds)
    return [f"median {name}", unit, f"{histogram.quantile(0.5) / scale:.4g}", interval, ""]


def _mean_row(collection: Collection, table: str, name: str, over: str, cut: int | None = None) -> list[str]:
    column, mean = collection.column(table, name, cut), collection.mean(table, name, cut)
    sd = column.moments["sd"]
    text = name.removesuffix("_nm").removesuffix("_nm2").replace("_", " ")
    unit = "" if column.unit == "1" else plain_unit(column.unit)
    value = f"{mean.value:.4g}" if np.isfinite(mean.value) else "none"
    return [over, text, unit, value, interval_text(mean), f"{sd:.3g}" if np.isfinite(sd) else "–"]


def _columns(collection: Collection) -> Iterator[tuple[str, Column]]:
    """Yield every column with its cut height, empty except for sections."""
    for table in ("particle", "grain"):
        for name in collection.columns(table):
            yield "", collection.column(table, name)
    for cut, height in enumerate(collection.cut_heights):
        for name in collection.columns("section"):
            yield f"{height:g}", collection.column("section", name, cut)


def _statistics(cut: str, column: Column) -> list[object]:
    histogram, moments = column.histogram, column.moments
    extremes = moments["minimum"], moments["maximum"]
    ends = [end for share in _SHARES.values() for end in np.clip(histogram.quantile_bounds(share), *extremes)]
    numbers = [f"{x:.10g}" if np.isfinite(x) else "" for x in (*(moments[k] for k in _MOMENTS[2:]), *ends)]
    return [
        column.table, cut, column.name, column.unit, int(moments["count"]), int(moments["missing"]), *numbers,
        int(histogram.below), int(histogram.above),
    ]  # fmt: skip
