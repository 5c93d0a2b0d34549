"""The tables of a collection of particles: statistics of every column, profiles, and the run at a glance."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nmcdist.report import published
from nmcdist.report.collection import Collection, Column
from nmcdist.report.frames import FrameStudy
from nmcdist.report.survey import DIAMETER, Survey
from nmcdist.report.tables import write_csv

_SHARES = {"quantile_10": 0.1, "median": 0.5, "quantile_90": 0.9}
_MOMENTS = ("count", "missing", "minimum", "maximum", "mean", "sd")


def write_statistics(collection: Collection, path: Path) -> Path:
    """Write a row for each column: moments, and quantiles with the bin that holds the median."""
    header = ["table", "cut_height", "column", "unit", *_MOMENTS, *_SHARES, "median_from", "median_to",
              "below_bins", "above_bins"]  # fmt: skip
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


def write_frames(studies: list[FrameStudy], path: Path) -> Path:
    """Write the numbers of visible grains beside theory and the paper's."""
    header = ["D", "radial frames", "radial, sd", "constant frame", "constant, sd", "theory, constant frame",
              "paper, Figure 6"]  # fmt: skip
    return write_csv(path, header, frame_cells(studies))


def frame_cells(studies: list[FrameStudy]) -> list[list[str]]:
    """Return visible grains by D: with radial frames, with a constant frame, by theory, and in the paper."""
    return [
        [
            " ".join(f"{d:g}" for d in s.diagonal),
            *(f"{x:.4g}" for c in (s.radial, s.constant) for x in (np.mean(c), np.std(c, ddof=1))),
            f"{s.expected:.4g}",
            str(published.VISIBLE_GRAINS[s.diagonal]),
        ]
        for s in studies
    ]


def run_rows(collection: Collection, seen: Survey) -> list[list[str]]:
    """Return the run at a glance: what, this run, and what the paper says of it."""
    totals, sizes = seen.totals, seen.histograms[DIAMETER]
    form = seen.histograms["sphericity"]
    lowest = float(collection.column("particle", "sphericity").moments["minimum"])
    rows = [
        ["particles", f"{collection.count}", ""],
        ["shells drawn and rejected", f"{totals['shell_rejections']}", ""],
        ["grains kept", f"{totals['kept_grains']}", ""],
        ["median d_max / um", f"{seen.median('d_max_nm') / 1000:.3g}", ""],
        ["median mean diameter / um", f"{sizes.quantile(0.5) / 1000:.3g}", ""],
        ["median compactness", f"{seen.median('compactness'):.4f}", ""],
        ["median aspect ratio", f"{seen.median('aspect_ratio'):.4f}", ""],
        ["median sphericity", f"{form.quantile(0.5):.4f}", ""],
        ["lowest sphericity", f"{lowest:.4f}", f"none below {published.LOWEST_SPHERICITY} in the model"],
    ]
    for name, text in (
        ("grains", "grains with a voxel of their own"),
        ("grains_with_pieces", "grains of more than one piece"),
        ("pieces_merged", "pieces given to a neighbour"),
        ("voxels_merged", "voxels of these pieces"),
    ):
        if name in totals:
            rows.append([text, f"{totals[name]}", ""])
    diameter = collection.column("grain", "equivalent_diameter_nm").moments
    rows.append(["mean equivalent diameter of a grain / nm", f"{diameter['mean']:.4g} (sd {diameter['sd']:.3g})", ""])
    return rows


def _columns(collection: Collection) -> Iterator[tuple[str, Column]]:
    """Yield every column with its cut height, which is empty but for sections."""
    for table in ("particle", "grain"):
        for name in collection.columns(table):
            yield "", collection.column(table, name)
    for cut, height in enumerate(collection.cut_heights):
        for name in collection.columns("section"):
            yield f"{height:g}", collection.column("section", name, cut)


def _statistics(cut: str, column: Column) -> list[object]:
    numbers = [column.moments[k] for k in _MOMENTS]
    histogram = column.histogram
    quantiles = [histogram.quantile(share) for share in _SHARES.values()]
    bounds = histogram.quantile_bounds(0.5)
    return [
        column.table, cut, column.name, column.unit, *(int(n) for n in numbers[:2]),
        *(f"{x:.10g}" for x in (*numbers[2:], *quantiles, *bounds)), int(histogram.below), int(histogram.above),
    ]  # fmt: skip
