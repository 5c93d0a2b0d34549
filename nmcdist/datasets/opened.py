"""Items of an open dataset, wherever it comes from: a store on disk, over HTTP or computed, or a part of one.

The dataset is the only source: nothing here knows the store, so a selection of a dataset is as good as the whole.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.datasets.layout import FORMAT_ATTRIBUTE, FORMATS_READ, ROW, SAMPLE, VOLUME, own_dim
from nmcdist.datasets.metadata import checked_recipe, strict_json
from nmcdist.datasets.particles import GRAIN, RECORD_ITEMS, RECORD_ROWS, grains_table, particle_of, shape_of
from nmcdist.descriptors.grains import COLUMNS
from nmcdist.errors import InputError, StoreError
from nmcdist.models.particle import Particle
from nmcdist.wording import one_line, shown

if TYPE_CHECKING:
    import xarray as xr

    from nmcdist.descriptors.quantity import Quantity

AXES = ("z", "y", "x")
_HERE = "dataset"
_OF_ROWS = ("particle", "kept", "label")
_OF_ONE_TABLE = ("first_row", "particle", "label")  # variables of one table of all grains, not of one per particle


def check_own(data: "xr.Dataset") -> None:
    """Refuse a dataset that is not of nmcdist, or of a format that this version does not read.

    Raises
    ------
    InputError
    """
    if FORMAT_ATTRIBUTE not in data.attrs:
        raise InputError(
            f"{_HERE}: has no attribute {FORMAT_ATTRIBUTE!r}, expected a dataset of nmcdist with its attributes"
        )
    found = data.attrs[FORMAT_ATTRIBUTE]
    if found not in FORMATS_READ or isinstance(found, bool):
        expected = " or ".join(map(str, FORMATS_READ))
        raise InputError(f"{_HERE}: found store format {shown(found)}, expected {expected}")


def recipe_of(data: "xr.Dataset") -> dict[str, Any]:
    """Return the recipe of a dataset as plain data.

    Raises
    ------
    InputError
        If the dataset is not of nmcdist.
    StoreError
        If its attributes do not hold a recipe.
    """
    check_own(data)
    try:
        recipe = strict_json(data.attrs["recipe"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{_HERE}: attribute 'recipe' does not hold one ({one_line(error)})") from None
    return checked_recipe(recipe, _HERE)


def item_numbers(data: "xr.Dataset", made: Callable[[], int]) -> np.ndarray:
    """Return the numbers of the items, in the order of the dataset.

    Parameters
    ----------
    data : xarray.Dataset
    made : callable
        Returns the number of items of the whole dataset; called if the dataset does not number them.

    Raises
    ------
    InputError
        If it has no items, or holds a part of them without the coordinate that numbers them.
    """
    if SAMPLE in data.coords:
        numbers = np.atleast_1d(data[SAMPLE].values)
        if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
            found = f"values of type {numbers.dtype}"
            raise InputError(f"{_HERE}: coordinate {SAMPLE!r}: found {found}, expected numbers of items")
        return numbers
    if SAMPLE not in data.dims:
        raise InputError(
            f"{_HERE}: has no dimension {SAMPLE!r}, expected the one that counts the items; open the store with "
            "nmcdist to keep the number of a single item"
        )
    count, whole = data.sizes[SAMPLE], made()
    if count != whole:
        raise InputError(
            f"{_HERE}: holds {count} of {whole} items without their numbers, expected a coordinate "
            f"{SAMPLE!r}: assign it before items are selected, or open the store with nmcdist"
        )
    return np.arange(count)


def item_number(item: Any) -> int:
    """Return the number of an item: a whole number, or one in an array without axes.

    Raises
    ------
    InputError
    """
    number = item.item() if getattr(item, "ndim", None) == 0 else item
    if isinstance(number, bool) or not isinstance(number, int):
        raise InputError(f"item: found {shown(number)}, expected the number of one item")
    return number


def place_of(numbers: np.ndarray, item: int) -> int:
    """Return the place of an item among those of a dataset.

    Raises
    ------
    InputError
        If the dataset has no such item, or several.
    """
    places = np.flatnonzero(numbers == item)
    if len(places) > 1:
        raise InputError(f"item {item}: occurs {len(places)} times in the dataset, expected once")
    if not len(places):
        expected = f"expected {_listed(numbers)}" if len(numbers) else "which is empty"
        raise InputError(f"item {item}: is not in the dataset, {expected}")
    return int(places[0])


def at(data: "xr.Dataset", place: int) -> "xr.Dataset":
    """Return the variables of one item; of a dataset of a single item, all."""
    return data.isel({SAMPLE: place}) if SAMPLE in data.dims else data


def only(data: "xr.Dataset", names: Iterable[str]) -> "xr.Dataset":
    """Return a dataset with these variables alone, without the coordinates that xarray would add.

    Raises
    ------
    InputError
        If one is missing.
    """
    import xarray as xr

    names = list(names)
    if missing := [name for name in names if name not in data.variables]:
        raise InputError(f"{_HERE}: holds no variable {missing[0]!r}; it was renamed or dropped, or never there")
    return xr.Dataset({name: data.variables[name] for name in names})


def holds_particles(data: "xr.Dataset") -> bool:
    """Return whether the items of a dataset are particles; raises as :func:`recipe_of`."""
    return "particles" in recipe_of(data)


def particle_in(data: "xr.Dataset", place: int, item: int) -> Particle:
    """Return the particle of an item, which is that of :func:`nmcdist.datasets.read_particle`.

    Parameters
    ----------
    data : xarray.Dataset
    place : int
        Place of the item in the dataset.
    item : int
        Number of the item.

    Raises
    ------
    InputError
        If the dataset is not of nmcdist, or lacks a variable of the record.
    StoreError
        If the record is incomplete or damaged.
    """
    recipe = recipe_of(data)
    is_computed = GRAIN in data.dims
    items, table = (
        {name: quantity for name, quantity in whole.items() if not (is_computed and name in _OF_ONE_TABLE)}
        for whole in (RECORD_ITEMS, RECORD_ROWS)
    )
    one = _loaded(at(only(data, items), place), items)
    count = _whole(one["rows"], item)
    first = 0 if is_computed else _whole(one["first_row"], item)
    along = GRAIN if is_computed else ROW
    rows = _loaded(_table(data, table, place).isel({along: slice(first, first + count)}), table, along)
    if is_computed:
        rows["particle"] = np.full(count, item)
    if len(rows["kept"]) != count:
        raise StoreError(f"{_HERE}: holds {len(rows['kept'])} of {count} grains of item {item}")
    return particle_of(_HERE, item, one, rows, int(recipe["seed"]), str(data.attrs.get("bundle_hash")))


def grains_in(data: "xr.Dataset", place: int, item: int) -> "xr.Dataset":
    """Return the table of the grains of a particle, which is that of :func:`nmcdist.datasets.read_grains`.

    Parameters and errors as of :func:`particle_in`; InputError also if the grains were not measured.
    """
    check_own(data)
    if not set(COLUMNS) <= set(data.variables):
        raise InputError(f"{_HERE}: its grains were not measured; `nmcdist describe STORE` measures those of a store")
    needed = {name: RECORD_ITEMS[name] for name in ("rows", "first_row")}
    one = _loaded(at(only(data, needed), place), needed)
    first, count = _whole(one["first_row"], item), _whole(one["rows"], item)
    table = _table(data, (*_OF_ROWS, *COLUMNS), place).isel({ROW: slice(first, first + count)}).compute()
    measured = table["kept"].values.astype(bool) & (table["volume_nm3"].values > 0)
    if len(measured) != count:
        raise StoreError(f"{_HERE}: holds {len(measured)} of {count} grains of item {item}")
    if not (table["particle"].values == item).all():
        raise StoreError(f"{_HERE}: the rows of item {item} are incomplete or damaged")
    columns = _loaded(table.isel({ROW: measured}), {**COLUMNS, "label": RECORD_ROWS["label"]}, ROW)
    return grains_table({name: columns[name] for name in COLUMNS}, columns["label"])


def stored_phases(data: "xr.Dataset") -> tuple[str, ...]:
    """Return the names of the labels 0, 1, ... of the volumes; empty if the dataset does not say."""
    volume = data.variables.get(VOLUME)
    return () if volume is None else tuple(str(volume.attrs.get("flag_meanings", "")).split())


def volume_in(data: "xr.Dataset", place: int) -> "xr.DataArray":
    """Return the labels of a volume, lazy if the dataset is.

    Raises
    ------
    InputError
        If the dataset is not of nmcdist, holds no volumes with axes z, y, x, or lacks some voxels in between.
    """
    recipe = recipe_of(data)
    only(data, (VOLUME,))
    volume = at(data, place)[VOLUME]
    if sorted(map(str, volume.dims)) != sorted(AXES):
        raise InputError(f"{_HERE}: {VOLUME}: found axes {', '.join(map(str, volume.dims))}, expected z, y, x")
    size = volume.attrs.get("voxel_size_nm") or recipe["volume"]["voxel_size_nm"]  # xarray may drop attributes
    for name in (f"{axis}_nm" for axis in AXES if f"{axis}_nm" in volume.coords):
        steps = np.diff(volume[name].values)
        if not np.allclose(steps, size):
            raise InputError(f"{_HERE}: {name}: found steps of {steps[0]:g} nm, expected the voxels of {size:g} nm")
    return volume.transpose(*AXES).assign_attrs(voxel_size_nm=float(size))


def rendered(particle: Particle, voxel_size_nm: float) -> "xr.DataArray":
    """Return the labels of the grains of a particle, with coordinates from its centre.

    Raises
    ------
    InputError
        If the voxel size is impossible.
    """
    import xarray as xr

    labels = particle.voxelize(voxel_size_nm)
    _, origin = particle.grid(voxel_size_nm)
    coords = {
        f"{axis}_nm": (axis, first + float(voxel_size_nm) * np.arange(length), {"units": "nm"})
        for axis, first, length in zip(AXES, origin, labels.shape, strict=True)
    }
    about = {"long_name": "labels of the grains, 0 outside", "units": "1", "voxel_size_nm": float(voxel_size_nm)}
    return xr.DataArray(labels, dims=AXES, coords=coords, attrs=about, name="labels")


def _table(data: "xr.Dataset", names: Iterable[str], place: int) -> "xr.Dataset":
    """Return columns of the table of grains that holds an item: its own in a virtual store, else that of all."""
    chosen = only(data, names)
    if GRAIN in chosen.dims:
        return at(chosen, place)
    if ROW not in chosen.dims or SAMPLE in chosen.dims:
        found = ", ".join(map(str, chosen.dims))
        raise InputError(f"{_HERE}: tables of grains: found dimensions {found}, expected {ROW} and no {SAMPLE}")
    return chosen


def _loaded(chosen: "xr.Dataset", table: Mapping[str, "Quantity"], first: str | None = None) -> dict[str, np.ndarray]:
    """Return the values of variables, with the types and axes of their quantities."""
    loaded = chosen.compute()
    return {name: _values(loaded.variables[name], name, quantity, first) for name, quantity in table.items()}


def _values(variable: "xr.Variable", name: str, quantity: "Quantity", first: str | None) -> np.ndarray:
    own = [dim for wanted in quantity.dims for dim in variable.dims if own_dim(str(dim)) == wanted != GRAIN]
    dims, shape = [first, *own] if first else own, shape_of(quantity)
    if set(dims) != set(variable.dims) or variable.transpose(*dims).shape[len(dims) - len(own) :] != shape:
        found = ", ".join(f"{dim} ({length})" for dim, length in variable.sizes.items()) or "none"
        expected = ", ".join(d for d in quantity.dims if d != GRAIN) or "none"
        raise InputError(f"{_HERE}: {name}: found axes {found}, expected {expected} beside that of items or grains")
    values = variable.transpose(*dims).values
    # Decoding makes floats of whole numbers that may be missing.
    if np.dtype(quantity.dtype).kind in "iu" and not np.isfinite(values).all():
        raise StoreError(f"{_HERE}: {name}: found missing values, expected whole numbers")
    return np.asarray(values, np.dtype(quantity.dtype))


def _whole(value: np.ndarray, item: int) -> int:
    if int(value) < 0:
        raise StoreError(f"{_HERE}: the rows of item {item} are incomplete or damaged")
    return int(value)


def _listed(numbers: np.ndarray) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    if (np.diff(numbers) == 1).all():
        return f"{numbers[0]} to {numbers[-1]}"
    return f"one of {', '.join(map(str, numbers[:10]))}{', ...' if len(numbers) > 10 else ''}"
