"""Code that opens what a page shows: with plain xarray, and with nmcdist."""

from typing import Any

import numpy as np

from nmcdist.datasets.layout import SAMPLE
from nmcdist.datasets.store import readable_metadata
from nmcdist.queries.columns import Columns
from nmcdist.service.catalogs import store_path
from nmcdist.service.shelf import Item

_TABLE = ("first_row", "rows", "kept", "volume_nm3")  # of the grains of all particles


def has_pictures(item: Item) -> bool:
    """Return whether the items of a release are particles or volumes, of which the service draws sections."""
    return any(variable.name in ("kept", "volume") for variable in item.release.variables)


def opening(item: Item, columns: Columns | None) -> dict[str, Any]:
    """Return what a script needs to write such code: how Python opens the store, and how it reads each column."""
    return {
        "store": store_path(item),
        "chunks": ", chunks=None" if item.release.virtual else "",  # of which Dask would make too many
        "columns": {name: _values(columns, name) for name in columns.names} if columns else {},
    }


def dataset_codes(item: Item, base: str) -> dict[str, str]:
    """Return the code that opens a release, by the way to read it."""
    open_zarr = _open(item, base)
    return {"xarray": f"import xarray\n\n{open_zarr}\n", "nmcdist": f"import nmcdist\nimport xarray\n\n{open_zarr}\n"}


def item_codes(item: Item, number: int, base: str) -> dict[str, str]:
    """Return the code that opens one item of a release, by the way to read it."""
    names = {variable.name for variable in item.release.variables}
    lines = ["import xarray", "", _open(item, base), f"item = data.isel(sample={number})"]
    if names.issuperset(_TABLE):
        lines += [
            'first, count = int(item["first_row"]), int(item["rows"])',
            "table = item.isel(row=slice(first, first + count))",
            'grains = table.isel(row=table["kept"].values & (table["volume_nm3"].values > 0))',
        ]
    elif "volume" in names:
        lines += ['labels = item["volume"].values']
    own = ["import nmcdist", "import xarray", "", _open(item, base), f"item = data.isel(sample={number})"]
    if has_pictures(item):
        what = "particle" if "kept" in names else "volume"
        own[-1] = f"{what} = data.nmc.{what}({number})"
    return {"xarray": "\n".join(lines) + "\n", "nmcdist": "\n".join(own) + "\n"}


def _open(item: Item, base: str) -> str:
    chunks = ", chunks=None" if item.release.virtual else ""
    return f'data = xarray.open_zarr("{base}{store_path(item)}"{chunks})'


def _values(columns: Columns, name: str) -> str:
    """Return how Python reads a column: as float64, since that is what queries compare."""
    about = columns.about[name]
    if about.variable == SAMPLE:
        return 'numpy.arange(data.sizes["sample"], dtype=float)'
    lengths = readable_metadata(columns.store, about.variable).shape[1:]
    place = "".join(f", {k}" for k in np.unravel_index(about.place, lengths)) if lengths else ""
    return f'data["{about.variable}"]{f"[:{place}]" if place else ""}.values.astype(float)'
