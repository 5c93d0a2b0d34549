"""Queries on an open dataset, or a part of one: the same columns and answers as of its store."""

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from nmcdist.datasets.layout import SAMPLE, own_dim
from nmcdist.datasets.opened import only
from nmcdist.errors import InputError, QueryError
from nmcdist.queries.evaluate import holds
from nmcdist.queries.grammar import parsed
from nmcdist.queries.names import MOST_COLUMNS, ColumnAbout, as_name, can_be_named, column_about, resolved
from nmcdist.queries.tree import columns_in

if TYPE_CHECKING:
    import xarray as xr

_WHOLE = 2.0**53  # float64 holds every whole number up to it
_NUMBERS = "iufb"


def columns_of_dataset(data: "xr.Dataset") -> dict[str, ColumnAbout]:
    """Return the columns of a dataset by name, those of :func:`nmcdist.queries.names.columns_of` for its store.

    Raises
    ------
    InputError
        If the dataset has no dimension that counts the items.
    """
    if SAMPLE not in data.dims:
        raise InputError(f"dataset: has no dimension {SAMPLE!r}, expected several items to select from")
    columns = {SAMPLE: ColumnAbout(SAMPLE, SAMPLE, 0, "1", "number of the item", is_whole=True)}
    labels = {str(dim): _labels(data, str(dim)) for dim in data.dims}
    for name, variable in sorted((str(n), v) for n, v in data.variables.items()):
        if SAMPLE not in variable.dims or variable.dtype.kind not in _NUMBERS or not can_be_named(name):
            continue
        others = [labels[str(dim)] for dim in variable.dims if dim != SAMPLE]
        if math.prod(map(len, others)) > MOST_COLUMNS:
            continue
        for place, ends in enumerate(itertools.product(*others)):
            about = column_about(name, place, ends, variable.attrs, is_whole=variable.dtype.kind != "f")
            columns.setdefault(about.name, about)
    return columns


def mask_of(data: "xr.Dataset", numbers: np.ndarray, where: str) -> np.ndarray:
    """Return for each item of a dataset whether a query holds; all items for a blank query.

    Parameters
    ----------
    data : xarray.Dataset
    numbers : ndarray of int
        Numbers of the items.
    where : str
        See :func:`nmcdist.query`.

    Raises
    ------
    QueryError
        If the query cannot be read, names an unknown column, or one with whole numbers beyond 2^53.
    InputError
        If the dataset has no dimension that counts the items.
    """
    about, condition = columns_of_dataset(data), parsed(where)
    found = np.ones(len(numbers), bool)
    if condition is not None:
        named = {name: about[resolved(name, about)] for name in columns_in(condition)}
        values = _read(data, {column.variable for column in named.values()} - {SAMPLE})
        values[SAMPLE] = np.asarray(numbers, np.float64)[:, None]
        found[:] = holds(condition, {name: values[c.variable][:, c.place] for name, c in named.items()})
    return found


def _read(data: "xr.Dataset", variables: set[str]) -> dict[str, np.ndarray]:
    """Return variables as float64, shape (items, columns), NaN where a value is missing."""
    chosen = only(data, sorted(variables)).compute()
    return {name: _numbers(chosen.variables[name], name) for name in variables}


def _numbers(variable: "xr.Variable", name: str) -> np.ndarray:
    values = variable.transpose(SAMPLE, ...).values.reshape(variable.sizes[SAMPLE], -1)
    numbers = values.astype(np.float64)
    stored = np.dtype(variable.encoding.get("dtype", values.dtype))
    if stored.kind in "iu" and stored.itemsize == 8 and np.abs(numbers[~np.isnan(numbers)]).max(initial=0) >= _WHOLE:
        raise QueryError(f"column {name}: holds whole numbers beyond 2^53, which no query compares exactly")
    missing = variable.attrs.get("_FillValue")  # of a dataset that was opened without decoding
    if isinstance(missing, int | float):
        numbers[numbers == missing] = np.nan
    return numbers


def _labels(data: "xr.Dataset", dim: str) -> list[str]:
    """Return the labels of a dimension, as they are in the names of columns; none if they are not text."""
    if dim == SAMPLE:
        return []
    variable = data.variables.get(own_dim(dim))
    if variable is None or variable.dims != (dim,) or variable.dtype.kind not in "UTO" or len(variable) > MOST_COLUMNS:
        return []
    return [*map(as_name, variable.values.tolist())]
