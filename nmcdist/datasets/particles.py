"""Particles in a store: what of their analytic records is stored, and reading them back.

The grains of all particles stand in tables with the dimension `row`, batch after batch: a batch owns one file of
every column, and what it does not fill of it is marked by particle = -1. In the words of the CF conventions this is
an indexed ragged array, whose index variable is `particle`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.datasets.layout import SAMPLE, UNWRITTEN
from nmcdist.datasets.store import holds, read_attributes, read_origin, read_rows, readable_metadata
from nmcdist.descriptors.grains import COLUMNS
from nmcdist.errors import StoreError
from nmcdist.inputs import local_path
from nmcdist.models.particle import Particle

_POINT = ("axis",)

# dimensions beside the first, their lengths, dtype, units, meaning
RECORD_ROWS: dict[str, tuple[tuple[str, ...], tuple[int, ...], str, str, str]] = {
    "particle": ((), (), "int32", "1", "item that the grain belongs to; -1: no grain"),
    "label": ((), (), "int32", "1", "label of the grain in voxels of its particle; -1: no grain"),
    "seed_nm": (_POINT, (3,), "float32", "nm", "seed point from the centre of the particle"),
    "diagonal": (("frame_axis",), (3,), "float32", "1", "diagonal of D, the radial entry first"),
    "offset_nm2": ((), (), "float32", "nm^2", "additive offset r"),
    "gamma": ((), (), "float32", "rad", "turn of the frame about the radial direction"),
    "kept": ((), (), "bool", "1", "whether the grain's centre of mass lies in the shell; not so where there is none"),
    "lattice_centroid_nm": (_POINT, (3,), "float32", "nm", "centre of mass, by sums over a lattice; kept grains"),
    "lattice_volume_nm3": ((), (), "float32", "nm^3", "volume, by sums over a lattice; kept grains"),
}
ORIENTATION = {
    "orientation": (("quaternion",), (4,), "float32", "1", "crystal orientation (w, x, y, z), not of the paper"),
}
NO_GRAIN = -1

# How rows without a value are stored: the fill value, and attributes by which xarray and others know it.
_INDEX_ROWS: dict[str, tuple[int, dict[str, Any]]] = {
    # integers as which they are used to select: no _FillValue, which would make them floats
    "particle": (NO_GRAIN, {"instance_dimension": SAMPLE, "valid_min": 0}),
    "label": (NO_GRAIN, {"valid_min": 1}),
    # xarray's own mark of a boolean, so that it selects rows, not row 0 and row 1
    "kept": (0, {"dtype": "bool"}),
}
_MEASURED_ROWS = {"i": -1, "b": UNWRITTEN}

_FIRST_ROWS = """first, count = int(ds.first_row[i]), int(ds.rows[i])
table = ds.isel(sample=i, row=slice(first, first + count))
grains = table.isel(row=table.kept.values"""
READ_KEPT = _FIRST_ROWS + ")"
READ_MEASURED = _FIRST_ROWS + " & (table.volume_nm3.values > 0))"

RECORD_ITEMS: dict[str, tuple[tuple[str, ...], tuple[int, ...], str, str, str]] = {
    "shell_coefficients_nm": (("harmonic",), (100,), "float64", "nm", "coefficients of the shell, Y_lm in l^2 + l + m"),
    "shell_rejections": ((), (), "int32", "1", "shells drawn and rejected before this one"),
    "box_nm": (("side", "axis"), (2, 3), "float32", "nm", "lowest and highest coordinates of the particle"),
    "reach_nm": ((), (), "float64", "nm", "distance from the centre that no kept grain exceeds"),
    "first_row": ((), (), "int64", "1", "first of the particle's rows in the tables"),
    "rows": ((), (), "int32", "1", "number of its rows"),
    "kept_grains": ((), (), "int32", "1", "number of grains that make up the particle"),
}


def row_storage(name: str, dtype: str) -> tuple[int | None, dict[str, Any]]:
    """Return the fill value of a column of the tables (None: NaN), and the attributes that say what it means."""
    if name in _INDEX_ROWS:
        return _INDEX_ROWS[name]
    fill = _MEASURED_ROWS.get(np.dtype(dtype).kind)
    return fill, {} if fill is None else {"_FillValue": fill}


def how_to_read(*, measured: bool) -> dict[str, str]:
    """Return attributes of a store that tell how to cut a particle's grains out with xarray alone.

    Parameters
    ----------
    measured : bool
        Whether the grains were measured, as a grain may be kept and hold no voxel.
    """
    return {
        "grains_of_particle_i": READ_MEASURED if measured else READ_KEPT,
        "missing_values": (
            "NaN where xarray decodes them; -1 in particle and label of rows without a grain, for which kept is no. "
            "A chunk whose file is missing reads as missing, too: manifest.json names every file"
        ),
    }


def is_particle_store(path: Path) -> bool:
    """Return whether a store holds particles.

    Raises
    ------
    StoreError
        If there is no store, its metadata is damaged, or its format is another.
    """
    recipe, _ = read_origin(path)
    return "particles" in recipe


def read_particle(store: str | Path, item: int) -> Particle:
    """Read the analytic record of one particle; it renders the very voxels of the particle that was drawn.

    Parameters
    ----------
    store : str or Path
        A finished store of particles.
    item : int

    Raises
    ------
    StoreError
        If there is no such store or item, or its bytes are damaged.
    """
    store = local_path(store, StoreError)
    attributes, (recipe, _) = read_attributes(store), read_origin(store)
    start, stop = _rows_of(store, item)
    one = {name: _read(store, name, item, item + 1, record)[0] for name, record in RECORD_ITEMS.items()}
    rows = {name: _read(store, name, start, stop, record) for name, record in RECORD_ROWS.items()}
    finite = (one["shell_coefficients_nm"], one["box_nm"], one["reach_nm"], rows["seed_nm"], rows["diagonal"])
    if not (rows["particle"] == item).all() or not all(np.isfinite(values).all() for values in finite):
        raise StoreError(f"{store}: the rows of item {item} are incomplete or damaged")
    kept = rows["kept"].astype(bool)
    return Particle(
        seed=int(recipe["seed"]),
        index=item,
        bundle_hash=str(attributes["bundle_hash"]),
        coefficients_nm=one["shell_coefficients_nm"],
        rejections=int(one["shell_rejections"]),
        seeds_nm=rows["seed_nm"],
        diagonals=rows["diagonal"],
        offsets_nm2=rows["offset_nm2"],
        gammas=rows["gamma"],
        kept=kept,
        centroids_nm=rows["lattice_centroid_nm"],
        volumes_nm3=np.where(kept, rows["lattice_volume_nm3"], np.float32(0)),
        box_nm=one["box_nm"],
        reach_nm=float(one["reach_nm"]),
    )


def read_grains(store: str | Path, item: int) -> Any:
    """Read the table of the grains that make up one particle, a row a grain.

    Parameters
    ----------
    store : str or Path
        A finished store of particles.
    item : int

    Returns
    -------
    xarray.Dataset
        The columns of :func:`nmcdist.descriptors.describe_grains` with dimension grain, coordinate label.

    Raises
    ------
    StoreError
        If there is no such store or item, it holds no measured grains, or its bytes are damaged.
    """
    import xarray as xr

    store = local_path(store, StoreError)
    read_origin(store)  # refuses what is no store, or does not record how it was made
    start, stop = _rows_of(store, item)
    if not holds(store, "volume_nm3"):
        raise StoreError(f"{store}: its grains were not measured (it holds no volume_nm3)")
    kept = _read(store, "kept", start, stop, RECORD_ROWS["kept"]).astype(bool)
    kept &= _read(store, "volume_nm3", start, stop, ((), (), "float32")) > 0
    variables = {}
    for name, column in COLUMNS.items():
        values = read_rows(store, name, start, stop)[kept]
        if values.ndim != len(column.dims):
            raise StoreError(f"{store}: {name}: found {values.ndim} axes, expected {len(column.dims)}")
        variables[name] = column.dims, values.astype(bool) if name == "is_surface" else values, column.attrs
    label = _read(store, "label", start, stop, RECORD_ROWS["label"])[kept]
    return xr.Dataset(variables, coords={"label": ("grain", label), "axis": ("axis", list("zyx"))})


def _rows_of(store: Path, item: int) -> tuple[int, int]:
    if not holds(store, "first_row"):
        raise StoreError(f"{store}: holds no particles")
    count = readable_metadata(store, "first_row").shape[0]
    if isinstance(item, bool) or not isinstance(item, int | np.integer) or not 0 <= item < count:
        raise StoreError(f"{store}: item {item} does not exist, expected 0 to {count - 1} ({SAMPLE})")
    start = int(_read(store, "first_row", item, item + 1, RECORD_ITEMS["first_row"])[0])
    return start, start + int(_read(store, "rows", item, item + 1, RECORD_ITEMS["rows"])[0])


def _read(store: Path, name: str, start: int, stop: int, record: Sequence[Any]) -> np.ndarray:
    """Read rows of a variable whose axes and kind of number are those of the record."""
    values, (_, shape, dtype, *_) = read_rows(store, name, start, stop), record
    if values.shape[1:] != shape or (values.dtype.kind == "f") != (np.dtype(dtype).kind == "f"):
        found = f"{values.dtype} with axes {values.shape[1:]} beside the first"
        raise StoreError(f"{store}: {name}: found {found}, expected {dtype} with axes {shape}")
    return values
