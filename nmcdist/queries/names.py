"""The columns of a store: every number that each of its items has, by a name that a query and a URL can hold.

The number of the item is the column ``sample``. A variable along `sample` alone is a column of the same name. One with
more dimensions, all of them labelled by text (phase, axis, conduction), has a column for each of their labels:
``constrictivity.pore.z``.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmcdist.datasets.layout import SAMPLE, own_dim
from nmcdist.datasets.metadata import ArrayMetadata
from nmcdist.datasets.store import gathered_metadata, read_rows, readable_metadata
from nmcdist.errors import QueryError
from nmcdist.faults import proposal
from nmcdist.queries.grammar import column_name
from nmcdist.wording import shown

PREFIX = "shell_"  # may be left out
MOST_COLUMNS = 1000  # of one variable
_LISTED = 10  # columns in a message
_NUMBER = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NOT_IN_NAMES = re.compile(r"\W", re.ASCII)
_KEYWORDS = ("and", "or", "not", "abs")


@dataclass(frozen=True)
class ColumnAbout:
    """What a column is.

    Attributes
    ----------
    name : str
        With points before labels.
    variable : str
        The variable of the store.
    place : int
        Number of the column among those of its variable.
    unit, long_name : str
    is_whole : bool
        Whether the store holds whole numbers.
    """

    name: str
    variable: str
    place: int
    unit: str
    long_name: str
    is_whole: bool


def columns_of(store: Path) -> dict[str, ColumnAbout]:
    """Return the columns of a finished store by name.

    Raises
    ------
    StoreError
        If there is no store, it was never finished, or its metadata or labels are damaged.
    """
    columns = {SAMPLE: ColumnAbout(SAMPLE, SAMPLE, 0, "1", "number of the item", is_whole=True)}
    contents = gathered_metadata(store)
    labels = _Labels(store, contents)
    for variable, content in sorted(contents.items()):
        if not _is_of_items(content) or not can_be_named(variable):
            continue
        array = readable_metadata(store, variable)
        for place, ends in enumerate(labels.of(array)):
            whole = not content["data_type"].startswith("float")
            about = column_about(variable, place, ends, array.attributes, is_whole=whole)
            columns.setdefault(about.name, about)
    return columns


def item_count(store: Path) -> int:
    """Return the number of items of a finished store; raises as :func:`columns_of`."""
    lengths = (content["shape"][0] for content in gathered_metadata(store).values() if _is_along_items(content))
    return int(next(lengths, 0))


def resolved(name: str, columns: Mapping[str, ColumnAbout], what: str = "query") -> str:
    """Return the full name of a column; a prefix ``shell_`` may be missing.

    Raises
    ------
    QueryError
        With the name that is meant, if one is near.
    """
    name = column_name(name)
    if name in columns:
        return name
    if PREFIX + name in columns:
        return PREFIX + name
    if not columns:
        raise QueryError(f"{what}: no column {shown(name)}; the dataset has no numbers per item")
    below = [known for known in columns if known.startswith(f"{name}.")]
    if below:
        raise QueryError(f"{what}: column {shown(name)}: found no label, expected one of {', '.join(below)}")
    known_names = dict.fromkeys([*columns, *(known.removeprefix(PREFIX) for known in columns)])
    proposed = proposal(name, known_names, _LISTED, "a query without a condition lists all columns")
    raise QueryError(f"{what}: no column {shown(name)}{proposed}")


def can_be_named(variable: str) -> bool:
    """Return whether a query can name a variable."""
    return bool(_NAME.fullmatch(variable)) and variable not in _KEYWORDS


def as_name(label: Any) -> str:
    """Return a label of a dimension as it is in the names of columns."""
    return _NOT_IN_NAMES.sub("_", str(label))


def column_about(
    variable: str, place: int, ends: tuple[str, ...], attributes: Mapping[str, Any], *, is_whole: bool
) -> ColumnAbout:
    """Return what a column is: one of a variable with these attributes, with the labels of its place."""
    unit, long_name = (str(attributes.get(name, "")) for name in ("units", "long_name"))
    text = f"{long_name}: {', '.join(ends)}" if ends else long_name
    return ColumnAbout(".".join([variable, *ends]), variable, place, unit, text, is_whole)


class _Labels:
    """The labels of the dimensions of a store, read once each."""

    def __init__(self, store: Path, contents: Mapping[str, Any]) -> None:
        self._store, self._contents = store, contents
        self._known: dict[str, list[str]] = {}

    def of(self, array: ArrayMetadata) -> Iterator[tuple[str, ...]]:
        """Yield the labels of each column of a variable; none if a dimension has no labels, or there are too many."""
        dims, lengths = [own_dim(dim) for dim in array.dims[1:]], array.shape[1:]
        if math.prod(lengths) > MOST_COLUMNS:
            return
        labels = [self._of_dimension(dim) for dim in dims]
        if [len(names) for names in labels] == list(lengths):
            yield from itertools.product(*labels)

    def _of_dimension(self, dim: str) -> list[str]:
        if dim not in self._known:
            self._known[dim] = self._read(dim)
        return self._known[dim]

    def _read(self, dim: str) -> list[str]:
        content = self._contents.get(dim, {})
        if content.get("data_type") != "string" or [*map(own_dim, content.get("dimension_names", ()))] != [dim]:
            return []
        length = min(readable_metadata(self._store, dim).shape[0], MOST_COLUMNS + 1)
        return [*map(as_name, read_rows(self._store, dim, 0, length))]


def _is_of_items(content: Mapping[str, Any]) -> bool:
    return _is_along_items(content) and bool(_NUMBER.fullmatch(str(content.get("data_type"))))


def _is_along_items(content: Mapping[str, Any]) -> bool:
    return bool(content["dimension_names"][:1] == [SAMPLE])
