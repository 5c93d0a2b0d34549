"""Statistics of a particle run: one row of integers per batch, and the totals."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Protocol

import numpy as np

from nmcdist.datasets.layout import Coordinate, Variable
from nmcdist.descriptors import grains, sections, shell
from nmcdist.descriptors.summaries import (
    GRAIN_EDGES,
    PARTICLE_EDGES,
    RADIUS_EDGES_NM,
    SECTION_EDGES,
    ColumnSummary,
    Moments,
    merge_all,
    summarize,
)

Key = tuple[str, str]  # table and column; the sections at each cut height are a separate table
Summaries = dict[Key, ColumnSummary]

STATISTICS = "batch_statistics"  # variable with one row per batch
MOMENTS = ("count", "missing", "minimum", "maximum", "mean", "sd")
UNITS = {
    "particle": {name: column.unit for name, column in (grains.PACKING | shell.VARIABLES).items()},
    "grain": {name: column.unit for name, column in grains.COLUMNS.items()},
    "section": {"chord_length_nm": "nm"} | {name: column.unit for name, column in sections.COLUMNS.items()},
}

_OF_COLUMN = "unit of the column"
_HOW = {
    "histogram": "bin k of a column counts the values from edge k to edge k + 1 of its row of {kind}_bin_edges",
    "outside": "place 0: below the first edge; place 1: above the last",
    "moments": "one row of statistics per column",
    "profile": "one row of statistics per column and bin of profile_radius_nm",
}
_LATTICE_COLUMNS = ("volume_nm3", "equivalent_diameter_nm", "radius_nm")
_SHELL_COLUMNS = ("d_max_nm", "compactness", "aspect_ratio", "sphericity", "volume_nm3", "area_nm2", "grains")


class Measured(Protocol):
    """How grains and sections were measured; None instead if only shells were measured."""

    @property
    def voxel_size_nm(self) -> float:
        """Voxel edge on which grains were measured."""

    @property
    def pixel_size_nm(self) -> float:
        """Pixel edge of the sections."""

    @property
    def cut_heights(self) -> tuple[float, ...]:
        """Distances of the sections from the centre over the mean radius."""


def tables_of(measured: Measured | None) -> dict[str, dict[str, np.ndarray]]:
    """Return the tables with statistics in a store, each with the bin edges of its columns."""
    if measured is None:
        return {
            "particle": {name: PARTICLE_EDGES[name] for name in _SHELL_COLUMNS},
            "grain": {name: GRAIN_EDGES[name] for name in _LATTICE_COLUMNS},
        }
    sections = {section_table(k): SECTION_EDGES for k in range(len(measured.cut_heights))}
    return {"particle": PARTICLE_EDGES, "grain": GRAIN_EDGES, **sections}


def section_table(cut: int) -> str:
    """Return the name of the table of the sections at one of the cut heights."""
    return f"section-{cut}"


def nothing(measured: Measured | None) -> Summaries:
    """Return the statistics of no particles."""
    none = np.empty(0)
    return {
        (table, column): ColumnSummary.of(none, edges, None if table == "particle" else none)
        for table, columns in tables_of(measured).items()
        for column, edges in columns.items()
    }


def add_table(
    summaries: Summaries, table: str, columns: Mapping[str, Any], radius_nm: np.ndarray | None = None
) -> None:
    """Add the summarised columns of a table."""
    edges = {column: before.histogram.edges for (own, column), before in summaries.items() if own == table}
    for column, new in summarize(columns, edges, radius_nm).items():
        summaries[table, column] = summaries[table, column].merge(new)


def as_row(summaries: Summaries) -> np.ndarray:
    """Return statistics as one row of int64, floats by their bits."""
    parts = (summary.to_arrays() for summary in summaries.values())
    return np.concatenate([np.ravel(arrays[name]).view(np.int64) for arrays in parts for name in _sums(arrays)])


def row_length(measured: Measured | None) -> int:
    """Return the length of the row from :func:`as_row`."""
    return len(as_row(nothing(measured)))


def from_row(row: np.ndarray, measured: Measured | None) -> Summaries:
    """Return the statistics in a row from :func:`as_row`."""
    start, read = 0, {}
    for key, empty in nothing(measured).items():
        arrays = empty.to_arrays()
        for name in _sums(arrays):
            part = row[start : start + np.size(arrays[name])]
            start += len(part)
            arrays[name] = part.view(np.asarray(arrays[name]).dtype).reshape(np.shape(arrays[name]))
        read[key] = ColumnSummary.from_arrays(arrays)
    return read


def merged(rows: Iterable[np.ndarray], measured: Measured | None) -> Summaries:
    """Return the merged statistics of all batches, which are read one by one."""
    return merge_all(chain([nothing(measured)], (from_row(row, measured) for row in rows)))


def total_variables(measured: Measured | None) -> tuple[tuple[Variable, ...], tuple[Coordinate, ...]]:
    """Return the variables of the published statistics of a run, with their coordinates."""
    variables, coordinates = [], [
        Coordinate("statistic", ("statistic",), np.array(MOMENTS), {
            "units": "1", "long_name": "statistic of a column",
            "description": "count: values; missing: items or grains without a value; sd: standard deviation with "
            "divisor count - 1",
        }),
        Coordinate("profile_radius_nm", ("profile_bin",), (RADIUS_EDGES_NM[1:] + RADIUS_EDGES_NM[:-1]) / 2,
                   {"units": "nm", "long_name": "distance from the centre, middle of the bin"}),
    ]  # fmt: skip
    for kind, (tables, columns) in _kinds(measured).items():
        dims: tuple[str, ...] = (f"{kind}_column",)
        lead: tuple[int, ...] = (len(columns),)
        if kind == "section":
            dims, lead = ("cut_height", *dims), (len(tables), *lead)
        bins = max(len(e) for e in columns.values()) - 1
        what = {"particle": "particles", "grain": "grains", "section": "grains in planar sections"}[kind]
        for name, (more, sizes, dtype, units, about) in {
            "histogram": ((f"{kind}_bin",), (bins,), "int64", "1", "number in each bin, the rest of the row is 0"),
            "outside": (("outside",), (2,), "int64", "1", "number below and above the bins"),
            "moments": (("statistic",), (len(MOMENTS),), "float64", _OF_COLUMN, "exact sums, correctly rounded"),
            "profile": (("profile_bin", "statistic"), (len(RADIUS_EDGES_NM) - 1, len(MOMENTS)), "float64", _OF_COLUMN,
                        "the same by distance from the centre"),
        }.items():  # fmt: skip
            if (kind, name) == ("particle", "profile"):
                continue
            attrs = {"long_name": f"{name} of the columns of all {what}: {about}", "units": units}
            attrs["description"] = _HOW[name].format(kind=kind)
            if units == _OF_COLUMN:
                attrs["comment"] = f"units are in {kind}_column_unit; count and missing are plain numbers"
            shape, fill = (*lead, *sizes), -1 if dtype == "int64" else float("nan")
            variables.append(
                Variable(f"{kind}_{name}", (*dims, *more), shape, shape, None, dtype, fill, attrs)
            )  # fmt: skip
        coordinates.append(
            Coordinate(
                f"{kind}_column",
                (f"{kind}_column",),
                np.array(list(columns)),
                {"units": "1", "long_name": f"measured quantity of {what}"},
            )
        )
        coordinates.append(
            Coordinate(f"{kind}_bin_edges", (f"{kind}_column", f"{kind}_edge"), _padded(list(columns.values())),
                       {
                           "units": _OF_COLUMN,
                           "long_name": f"edges of the bins of {kind}_histogram, NaN where there are no more",
                           "comment": f"units are in {kind}_column_unit",
                       })
        )  # fmt: skip
        units_of = np.array([UNITS[kind][name] for name in columns])
        about_units = {"units": "1", "long_name": f"unit of each {kind}_column, as text"}
        coordinates.append(Coordinate(f"{kind}_column_unit", (f"{kind}_column",), units_of, about_units))
    if measured is not None:
        heights = np.array(measured.cut_heights)
        about_heights = {
            "units": "1",
            "long_name": "distance of the plane from the centre over the shell's mean radius",
        }
        coordinates.append(Coordinate("cut_height", ("cut_height",), heights, about_heights))
    return tuple(variables), tuple(coordinates)


def totals(summaries: Summaries, measured: Measured | None) -> dict[str, np.ndarray]:
    """Return the values of :func:`total_variables`."""
    values: dict[str, np.ndarray] = {}
    for kind, (tables, columns) in _kinds(measured).items():
        bins = max(len(e) for e in columns.values()) - 1
        per_table = [[summaries[table, column] for column in columns] for table in tables]
        parts = {
            "histogram": [[_filled(s.histogram.count, bins) for s in row] for row in per_table],
            "outside": [[[s.histogram.below, s.histogram.above] for s in row] for row in per_table],
            "moments": [[_moments(s.moments)[0] for s in row] for row in per_table],
        }
        if kind != "particle":
            parts["profile"] = [[_moments(s.profile) for s in row] for row in per_table]
        for name, part in parts.items():
            array = np.array(part)
            values[f"{kind}_{name}"] = array if kind == "section" else array[0]
    return values


def _kinds(measured: Measured | None) -> dict[str, tuple[list[str], dict[str, np.ndarray]]]:
    """Return the tables of each kind, and their common columns."""
    kinds: dict[str, tuple[list[str], dict[str, np.ndarray]]] = {}
    for table, columns in tables_of(measured).items():
        kinds.setdefault(table.partition("-")[0], ([], columns))[0].append(table)
    return kinds


def _sums(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the arrays of a summary that depend on the data: all but the bin edges."""
    return [name for name in arrays if not name.endswith("/edges")]


def _moments(moments: Moments) -> np.ndarray:
    """Return statistics by group, shape (groups, 6); extremes of empty groups are NaN."""
    columns = [np.asarray(getattr(moments, name), dtype=np.float64) for name in MOMENTS]
    table = np.stack(columns, axis=1)
    table[~np.isfinite(table)] = np.nan
    return table


def _filled(counts: np.ndarray, bins: int) -> np.ndarray:
    return np.concatenate([counts, np.zeros(bins - len(counts), dtype=np.int64)])


def _padded(edges: list[np.ndarray]) -> np.ndarray:
    table = np.full((len(edges), max(map(len, edges))), np.nan)
    for row, own in zip(table, edges, strict=True):
        row[: len(own)] = own
    return table
