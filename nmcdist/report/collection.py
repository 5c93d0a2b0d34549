"""A finished store of particles for the report: statistics in memory, particles read block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import xarray as xr

from nmcdist.bundle import Bundle
from nmcdist.datasets import statistics as batches
from nmcdist.datasets.layout import SAMPLE
from nmcdist.datasets.statistics import STATISTICS, Measured
from nmcdist.datasets.store import open_store, read_rows
from nmcdist.descriptors.summaries import Histogram
from nmcdist.errors import StoreError
from nmcdist.models.particle import STEPS_PER_SPACING
from nmcdist.report.intervals import Estimate, mean_from_moments, ratio_of
from nmcdist.report.pages import bundle_of

BLOCK = 4096  # particles whose values are in memory at a time
_TABLES = ("particle", "grain", "section")
_PARTS = ("histogram", "outside", "moments", "profile")


@dataclass(frozen=True)
class Column:
    """Statistics of all values of a column.

    Attributes
    ----------
    table : str
        particle, grain or section.
    name, unit : str
    histogram : Histogram
    moments : dict of str to float
        count, missing, minimum, maximum, mean, sd.
    profile : dict of str to ndarray
        The same by distance from the centre; empty for particles.
    """

    table: str
    name: str
    unit: str
    histogram: Histogram
    moments: dict[str, float]
    profile: dict[str, np.ndarray]


@dataclass(frozen=True)
class Collection:
    """A store of particles.

    Attributes
    ----------
    store : Path
    name : str
    count : int
        Number of particles.
    bundle : Bundle
    measured : Measured or None
        How grains and sections were measured; None if they were not.
    statistics : xarray.Dataset
        Statistics of all particles, grains and sections in the store.
    scalars : dict of str to str
        Variables with one number per particle, and their units.
    by_batch : dict of (str, str) to ndarray, shape (batches, 2)
        Table and column -> number and sum of the values per batch; the sections of each cut height are one table.
    """

    store: Path
    name: str
    count: int
    bundle: Bundle
    measured: Measured | None
    statistics: xr.Dataset
    scalars: dict[str, str]
    by_batch: dict[tuple[str, str], np.ndarray]

    @classmethod
    def of(cls, store: Path, name: str, measured: Measured | None) -> Self:
        """Return the collection of a store; StoreError if it is missing, damaged, or does not record its origin."""
        bundle = bundle_of(store)
        data = open_store(store)
        scalars = {
            str(name): str(v.attrs.get("units", "1"))
            for name, v in sorted(data.data_vars.items())
            if v.dims == (SAMPLE,)
        }
        names = [f"{table}_{part}" for table in _TABLES for part in (*_PARTS, "bin_edges")]
        try:
            statistics = data[[name for name in names if name in data]].load()
        except Exception as error:  # codecs raise any type
            raise StoreError(f"{store}: its statistics are damaged ({error})") from None
        by_batch = _by_batch(store, data.sizes["batch"], measured) if STATISTICS in data else {}
        return cls(store, name, int(data.sizes[SAMPLE]), bundle, measured, statistics, scalars, by_batch)

    @property
    def is_measured(self) -> bool:
        """Whether grains and sections were measured, besides the shells."""
        return self.measured is not None

    @property
    def cut_heights(self) -> tuple[float, ...]:
        """Distances of the sections from the centre over the mean radius; empty if not measured."""
        return tuple(self.statistics["cut_height"].values.tolist()) if self.is_measured else ()

    @property
    def grain_quantum_nm3(self) -> float:
        """The unit volume of which all grain volumes are multiples."""
        if self.measured is not None:
            return self.measured.voxel_size_nm**3
        p = self.bundle.particle()
        densest = p.grain_intensity_per_nm3 * max(p.grain_intensity_factors, default=1.0)
        return 1 / (densest * STEPS_PER_SPACING**3)

    @property
    def pixel_nm(self) -> float:
        """Pixel edge of the measured sections."""
        assert self.measured is not None
        return self.measured.pixel_size_nm

    def columns(self, table: str) -> tuple[str, ...]:
        """Return the names of the columns of a table."""
        return tuple(str(name) for name in self.statistics[f"{table}_column"].values)

    def column(self, table: str, name: str, cut: int | None = None) -> Column:
        """Return the statistics of a column; `cut` is the number of the cut height of a section."""
        parts = {
            part: self.statistics[f"{table}_{part}"].sel({f"{table}_column": name})
            for part in _PARTS
            if f"{table}_{part}" in self.statistics
        }
        if cut is not None:
            parts = {part: values.isel(cut_height=cut) for part, values in parts.items()}
        edges = self.statistics[f"{table}_bin_edges"].sel({f"{table}_column": name}).values
        edges = edges[np.isfinite(edges)]
        below, above = parts["outside"].values
        histogram = Histogram(edges, parts["histogram"].values[: len(edges) - 1], below, above)
        kinds = [str(kind) for kind in self.statistics["statistic"].values]
        moments = dict(zip(kinds, parts["moments"].values.tolist(), strict=True))
        profile = {}
        if "profile" in parts:
            radii = self.statistics["profile_radius_nm"].values
            profile = {"radius_nm": radii, **dict(zip(kinds, parts["profile"].values.T, strict=True))}
        return Column(table, name, batches.UNITS[table][name], histogram, moments, profile)

    def mean(self, table: str, name: str, cut: int | None = None) -> Estimate:
        """Return the mean of a column; for grains, with an interval over batches, as grains of a particle correlate."""
        moments = self.column(table, name, cut).moments
        if table == "particle":
            return mean_from_moments(moments)
        own = self.by_batch.get((table if cut is None else batches.section_table(cut), name))
        if own is None or own[:, 0].sum() != moments["count"]:
            return Estimate(moments["mean"], None, 0, 0)
        return ratio_of(own[:, 1], own[:, 0])

    def blocks(self, names: Sequence[str]) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Yield, block by block, the items and their values of some variables."""
        for start in range(0, self.count, BLOCK):
            stop = min(start + BLOCK, self.count)
            yield np.arange(start, stop), {name: read_rows(self.store, name, start, stop) for name in names}


def _by_batch(store: Path, count: int, measured: Measured | None) -> dict[tuple[str, str], np.ndarray]:
    """Return number and sum of the values of each column by batch; empty for a store of another version."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for batch in range(count):
        row = read_rows(store, STATISTICS, batch, batch + 1)[0]
        if len(row) != batches.row_length(measured):
            return {}
        for key, summary in batches.from_row(row, measured).items():
            n = float(summary.moments.count[0])
            found.setdefault(key, []).append((n, n * float(np.nan_to_num(summary.moments.mean[0]))))
    return {key: np.array(rows) for key, rows in found.items()}
