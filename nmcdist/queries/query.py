"""Query the items of a dataset by their descriptors, and write what is found as CSV."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from nmcdist.datasets.catalog import Catalog, CatalogEntry, open_catalog
from nmcdist.datasets.files import naming, replacing
from nmcdist.datasets.layout import SAMPLE
from nmcdist.datasets.published import store_in
from nmcdist.datasets.recipes_catalog import RecipeCatalog, RecipeEntry
from nmcdist.errors import CatalogError, InputError
from nmcdist.inputs import local_path
from nmcdist.queries.columns import Columns
from nmcdist.wording import shown

if TYPE_CHECKING:
    import xarray as xr


def query(
    dataset: str | os.PathLike[str],
    where: str = "",
    *,
    limit: int | None = None,
    after: int | None = None,
    columns: str | Sequence[str] | None = None,
    catalog: str | os.PathLike[str] | None = None,
) -> "xr.Dataset":
    """Find the items of a dataset whose descriptors fulfil a condition.

    Parameters
    ----------
    dataset : str or Path
        Name of a dataset in a catalog, or the folder of a finished store or of a release.
    where : str
        For example ``"d_max_nm > 8000 and sphericity > 0.9"``. Columns, numbers, ``+ - * /``, ``abs(...)``,
        ``< <= > >= == !=``, ``and``, ``or``, ``not`` and parentheses, with the precedence of Python. Every comparison
        with a missing value (NaN) is false. Empty, the default: every item.
    limit : int, optional
        Most items to return.
    after : int, optional
        Return only items with a larger number; for the next page, the last item of this one.
    columns : str or sequence of str, optional
        Columns to return, as a list or as text with commas. Default: those that the query names; if it names none,
        all.
    catalog : str or Path, optional
        See :func:`nmcdist.open_catalog`.

    Returns
    -------
    xarray.Dataset
        A variable per column with dimension `sample`, whose coordinate holds the numbers of the items. The attribute
        `matches` is the number of all items for which the condition holds.

    Raises
    ------
    QueryError
        If the query cannot be read, or an argument is impossible or names an unknown column.
    CatalogError
        If the catalog lacks the dataset.
    StoreError
        If the dataset is not a finished store, or damaged.
    """
    import xarray as xr

    found = columns_named(dataset, catalog)
    named = found.named_in(where)
    chosen = found.resolve(_listed(columns)) if columns is not None else named or list(found.names)
    mask = found.mask(where)
    items = found.page(mask, after, limit)
    about = [found.about[name] for name in chosen]
    values = {a.name: (SAMPLE, found.values(a.name)[items], {"units": a.unit, "long_name": a.long_name}) for a in about}
    numbers = SAMPLE, items, {"units": "1", "long_name": "number of the item"}
    attrs = {"dataset": os.fspath(dataset), "where": where, "matches": int(np.count_nonzero(mask))}
    return xr.Dataset({name: one for name, one in values.items() if name != SAMPLE}, {SAMPLE: numbers}, attrs)


def columns_named(dataset: str | os.PathLike[str], catalog: str | os.PathLike[str] | None = None) -> Columns:
    """Return the columns of a dataset, given by its folder or by its name in a catalog.

    A name that the given catalog lists wins over a folder of that name; a path with several parts is always a path.

    Raises
    ------
    CatalogError
        If the catalog lacks the dataset, or lists a recipe whose dataset is not made.
    InputError
        If it is neither a path nor a name.
    StoreError
        If it is not a finished store, or not the one that the catalog records.
    """
    path = local_path(dataset)
    is_path = len(path.parts) != 1 or path.suffix == ".zarr"
    if (catalog is None and (is_path or path.is_dir())) or (is_path and path.exists()):
        return Columns.of(store_in(path))
    listed, name = open_catalog(catalog), os.fspath(dataset)
    if name not in listed and path.is_dir():
        return Columns.of(store_in(path))
    entry = _entry(listed, name, is_default=catalog is None)
    if isinstance(entry, CatalogEntry):
        return Columns.of(entry.store, expected_manifest=entry.metadata.get("manifest_sha256"))
    raise CatalogError(f"{entry.name}: not made; make it with `{entry.metadata['make']}`")


def _entry(listed: Catalog | RecipeCatalog, name: str, *, is_default: bool) -> CatalogEntry | RecipeEntry:
    try:
        return listed[name]
    except CatalogError as error:
        if is_default:
            raise CatalogError(f"{error}; --catalog (catalog= in Python) names another catalog") from None
        raise


def write_csv(data: "xr.Dataset", path: Path) -> None:
    """Write what :func:`query` returned: a line per item, numbers with all their digits, missing ones empty.

    Raises
    ------
    InputError
        If the file exists.
    """
    if os.path.lexists(path):
        raise InputError(f"{path}: exists; name another file")
    with naming(path), replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        write_rows(data, stream)


def write_rows(data: "xr.Dataset", stream: TextIO) -> None:
    """Write the lines of :func:`write_csv` to an open file."""
    names = [SAMPLE, *map(str, data.data_vars)]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*(texts(data[name].values) for name in names), strict=True))


def texts(values: np.ndarray, form: str = "") -> list[str]:
    """Return numbers as text: whole ones without a point, others in a format or else with all digits, NaN empty."""
    return ["" if v != v else str(int(v)) if abs(v) < 2**53 and v == int(v) else f"{v:{form}}" for v in values.tolist()]


def _listed(columns: str | Sequence[str]) -> list[str]:
    if isinstance(columns, str):
        return _split(columns)
    if not isinstance(columns, Sequence) or not all(isinstance(name, str) for name in columns):
        raise InputError(f"columns: found {shown(columns)}, expected names")
    return list(columns)


def _split(text: str) -> list[str]:
    """Return the names in a text with commas; those within brackets separate labels."""
    names, inside = [""], False
    for character in text:
        inside = character == "[" or (inside and character != "]")
        if character == "," and not inside:
            names.append("")
        else:
            names[-1] += character
    return [name.strip() for name in names]
