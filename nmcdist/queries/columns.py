"""The columns of one store, for queries: masks, pages of items and histograms."""

import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.datasets.integrity import checked_manifest
from nmcdist.datasets.layout import SAMPLE
from nmcdist.datasets.store import read_rows, readable_metadata
from nmcdist.errors import QueryError, StoreError
from nmcdist.inputs import local_path
from nmcdist.queries.cache import ColumnFiles, user_cache
from nmcdist.queries.evaluate import holds
from nmcdist.queries.grammar import parsed
from nmcdist.queries.histograms import MOST_BINS, Binned, Histogram
from nmcdist.queries.names import ColumnAbout, columns_of, item_count, resolved
from nmcdist.queries.tree import columns_in
from nmcdist.wording import shown

_WHOLE = 2.0**53  # float64 holds every whole number up to it
_BINNED_BYTES = 256 << 20  # of all columns that are kept in bins: any client may ask for other bins
_BLOCK = 1 << 16  # items at a time, whose intermediate results stay in the processor's cache
_VIRTUAL = "virtual.json"


class Columns:
    """The columns of a finished store, read when a query first names them, and then mapped into memory.

    Several threads may share one object.

    Attributes
    ----------
    about : Mapping of str to ColumnAbout
        Every column by name, in alphabetical order.
    count : int
        Number of items.
    """

    def __init__(self, store: Path, about: Mapping[str, ColumnAbout], count: int, files: ColumnFiles) -> None:
        self.store, self.about, self.count = store, about, count
        self._files = files
        self._variables: dict[str, np.ndarray] = {}
        self._binned: dict[tuple[str, int], Binned] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, store: str | Path, cache: str | Path | None = None, expected_manifest: str | None = None) -> "Columns":
        """Open the columns of a finished store.

        Parameters
        ----------
        store : str or Path
        cache : str or Path, optional
            Folder for the columns; default: that of the user's caches. A folder that cannot be written does no harm.
        expected_manifest : str, optional
            SHA-256 of the manifest, from a catalog.

        Raises
        ------
        StoreError
            If there is no store, it was never finished, its format is unsupported, its metadata is damaged, or its
            manifest is not the expected one.
        """
        store = local_path(store, StoreError)
        if (store / _VIRTUAL).exists():
            raise StoreError(f"{store}: computes its items when they are read, expected a store that holds them")
        about = columns_of(store)
        manifest = checked_manifest(store, expected_manifest)
        folder = (local_path(cache) if cache else user_cache()) / manifest
        return cls(store, about, item_count(store), ColumnFiles(folder))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(self.about)

    def resolve(self, names: Sequence[str]) -> list[str]:
        """Return the full names of columns, each once; QueryError for an unknown one."""
        return list(dict.fromkeys(resolved(name, self.about, "columns") for name in names))

    def named_in(self, where: str) -> list[str]:
        """Return the full names of the columns that a query names, each once; QueryError if it cannot be read."""
        return list(dict.fromkeys(resolved(name, self.about) for name in columns_in(parsed(where))))

    def values(self, name: str) -> np.ndarray:
        """Return a column as read-only float64, exactly the numbers of the store; NaN where it marks them as missing.

        Raises
        ------
        QueryError
            If there is no such column, or it holds whole numbers that float64 does not.
        StoreError
            If the store is damaged.
        """
        about = self.about[resolved(name, self.about)]
        if about.variable not in self._variables:
            self._variables[about.variable] = self._loaded(about.variable)
        column: np.ndarray = self._variables[about.variable][about.place]
        return column

    def mask(self, where: str) -> np.ndarray:
        """Return for each item whether the query holds; all items for a blank query.

        Raises
        ------
        QueryError
            If the query cannot be read, or names an unknown column.
        StoreError
            If the store is damaged.
        """
        condition = parsed(where)
        found = np.ones(self.count, bool)
        if condition is not None:
            columns = {name: self.values(name) for name in columns_in(condition)}
            for start in range(0, self.count, _BLOCK):
                part = slice(start, start + _BLOCK)
                found[part] = holds(condition, {name: values[part] for name, values in columns.items()})
        return found

    def items(self, where: str, after: int | None = None, limit: int | None = None) -> np.ndarray:
        """Return the numbers of the items for which a query holds, in ascending order.

        Parameters
        ----------
        where : str
        after : int, optional
            Only items with a larger number: the last one of the page before.
        limit : int, optional
            Only so many items.

        Raises
        ------
        QueryError, StoreError
            As :meth:`mask`, and for an impossible argument.
        """
        return self.page(self.mask(where), after, limit)

    def page(self, mask: np.ndarray, after: int | None = None, limit: int | None = None) -> np.ndarray:
        """Return a page of the selected items, as :meth:`items`."""
        start = 0 if after is None else min(max(_whole("after", after) + 1, 0), self.count)
        most = self.count if limit is None else _whole("limit", limit)
        if most < 1 and limit is not None:
            raise QueryError(f"limit: found {shown(limit)}, expected 1 or more")
        return np.flatnonzero(mask[start:])[:most] + start

    def histograms(self, where: str, names: Sequence[str], bins: int = 64) -> list[Histogram]:
        """Return the histograms of columns over the items for which a query holds.

        Parameters
        ----------
        where : str
        names : sequence of str
        bins : int
            Bins of one width, at most 200.

        Raises
        ------
        QueryError, StoreError
            As :meth:`mask`, and for an unknown column or an impossible number of bins.
        """
        if not 1 <= _whole("bins", bins) <= MOST_BINS:
            raise QueryError(f"bins: found {shown(bins)}, expected 1 to {MOST_BINS}")
        names, mask = self.resolve(names), self.mask(where)
        return [self._histogram(name, mask, bins) for name in names]

    def binned(self, name: str, bins: int) -> Binned:
        """Return a column as the numbers of its bins, which are kept for the next time.

        Raises
        ------
        QueryError, StoreError
            As :meth:`values`.
        """
        with self._lock:
            found = self._binned.pop((name, bins), None)
        if found is None:
            found = Binned.of(self.values(name), bins)
        with self._lock:
            self._binned[name, bins] = found  # now the last one that was used
            while len(self._binned) * self.count > _BINNED_BYTES and len(self._binned) > 1:
                self._binned.pop(next(iter(self._binned)))
        return found

    def _histogram(self, name: str, mask: np.ndarray, bins: int) -> Histogram:
        binned = self.binned(name, bins)
        counts = binned.counts(mask)
        return Histogram(name, self.about[name].unit, binned.edges, counts[:-1], int(counts[-1]))

    def _loaded(self, variable: str) -> np.ndarray:
        if variable == SAMPLE:
            return np.arange(self.count, dtype=np.float64)[None]
        places = math.prod(readable_metadata(self.store, variable).shape[1:])
        found = self._files.get(variable, (places, self.count))
        if found is None:
            found = self._files.put(variable, self._read(variable, places))
        found.flags.writeable = False
        return found

    def _read(self, variable: str, places: int) -> np.ndarray:
        stored = read_rows(self.store, variable, 0, self.count).reshape(self.count, places).T
        values = np.ascontiguousarray(stored, dtype=np.float64)
        if stored.dtype.kind in "iu" and stored.dtype.itemsize == 8 and np.abs(values).max(initial=0) >= _WHOLE:
            raise QueryError(f"column {variable}: holds whole numbers beyond 2^53, which no query compares exactly")
        missing = readable_metadata(self.store, variable).attributes.get("_FillValue")
        if isinstance(missing, int | float):
            values[values == missing] = np.nan
        return values


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise QueryError(f"{name}: found {shown(value)}, expected a whole number")
    return int(value)
