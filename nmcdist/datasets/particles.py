"""Particles in a store: storage of their analytic records, and reading.

The grains of all particles are in tables with the dimension `row`, batch after batch. A batch owns one file of each
column and marks unused rows by particle = -1. In the CF conventions, this is an indexed ragged array with the index
variable `particle`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.datasets.layout import SAMPLE, UNWRITTEN
from nmcdist.datasets.store import Rows, holds, read_attributes, read_origin
from nmcdist.descriptors.grains import COLUMNS
from nmcdist.descriptors.quantity import Quantity, by_name
from nmcdist.errors import StoreError
from nmcdist.inputs import local_path
from nmcdist.models.particle import Particle

if TYPE_CHECKING:
    import xarray as xr

LENGTHS = {"axis": 3, "frame_axis": 3, "principal_axis": 3, "quaternion": 4, "side": 2, "harmonic": 100}

_CELL = (
    "the grain is the cell of all points x with the least (x - s)^T M (x - s) - r; s is seed_nm, r is offset_nm2, "
    "M = Q^T D Q, D is diagonal, and Q turns the direction of s to the first axis and then by gamma about it"
)
_LATTICE = "sums over a lattice whose step is a quarter of the mean spacing of the seeds"
_PAPER = "Fuchs et al. (2025), doi:10.1038/s43246-024-00728-5"

RECORD_ROWS = by_name(
    Quantity("particle", (), "1", "item that the grain belongs to; -1: no grain", dtype="int32"),
    Quantity("label", (), "1", "label of the grain in voxels of its particle; -1: no grain", dtype="int32"),
    Quantity("seed_nm", ("axis",), "nm", "seed point from the centre of the particle", dtype="float32",
             source=_PAPER, description=_CELL),
    Quantity("diagonal", ("frame_axis",), "1", "diagonal of D, the radial entry first", dtype="float32",
             source=_PAPER, description=_CELL),
    Quantity("offset_nm2", (), "nm^2", "additive offset r", dtype="float32", source=_PAPER, description=_CELL),
    Quantity("gamma", (), "rad", "turn of the frame about the radial direction", dtype="float32",
             source=f"{_PAPER}, Eq. (12)", description=_CELL),
    Quantity(
        "kept", (), "1", "whether the grain's centre of mass lies in the shell; not so where there is none",
        dtype="bool",
    ),
    Quantity(
        "lattice_centroid_nm", ("axis",), "nm", "centre of mass, by sums over a lattice; kept grains", _LATTICE,
        "elementary geometry", "float32",
    ),
    Quantity(
        "lattice_volume_nm3", (), "nm^3", "volume, by sums over a lattice; kept grains", _LATTICE,
        "elementary geometry", "float32",
    ),
)  # fmt: skip
ORIENTATION = by_name(
    Quantity(
        "orientation",
        ("quaternion",),
        "1",
        "crystal orientation (w, x, y, z), not of the paper",
        dtype="float32",
        description="unit quaternion whose vector has the right-handed components x, y, z; it turns the frame of the "
        "crystal (a along x, c along z) to that of the particle",
    ),
)
NO_GRAIN = -1
_UNIT_TOLERANCE = 1e-5  # of the squared length of a quaternion of float32
GRAIN = "grain"  # dimension of tables of grains; in a store, `row` replaces it

# Storage of rows without a value: the fill value, and the attributes that identify it for xarray and others.
_INDEX_ROWS: dict[str, tuple[int, dict[str, Any]]] = {
    # integers for indexing: no _FillValue, which would make them floats
    "particle": (NO_GRAIN, {"instance_dimension": SAMPLE, "valid_min": 0}),
    "label": (NO_GRAIN, {"valid_min": 1}),
    # xarray's own mark of a boolean, so that it masks rows instead of selecting rows 0 and 1
    "kept": (0, {"dtype": "bool"}),
}
_MEASURED_ROWS = {"i": -1, "b": UNWRITTEN}

_FIRST_ROWS = """first, count = int(ds.first_row[i]), int(ds.rows[i])
table = ds.isel(sample=i, row=slice(first, first + count))
grains = table.isel(row=table.kept.values"""
READ_KEPT = _FIRST_ROWS + ")"
READ_MEASURED = _FIRST_ROWS + " & (table.volume_nm3.values > 0))"
READ_HISTOGRAM = """edges = ds.grain_bin_edges.sel(grain_column="volume_nm3").dropna("grain_edge").values
counts = ds.grain_histogram.sel(grain_column="volume_nm3").values[: len(edges) - 1]
unit = str(ds.grain_column_unit.sel(grain_column="volume_nm3").values)"""
_DIMENSIONS = (
    "sample: particle; row: place in the tables of grains; axis: z, y, x; frame_axis: along the radius, then across "
    "it; principal_axis: longest first; harmonic: l^2 + l + m; ..._column: quantity of a table; ..._bin and ..._edge: "
    "its histogram; profile_bin: distance from the centre; cut_height: planar section; batch and word: internal"
)

RECORD_ITEMS = by_name(
    Quantity(
        "shell_coefficients_nm",
        ("harmonic",),
        "nm",
        "coefficients of the shell, Y_lm in l^2 + l + m",
        source=f"{_PAPER}, Eq. (2)",
        description="the shell's radius in a direction is the sum of coefficient times Y_lm of the direction, with the "
        "real orthonormal spherical harmonics Y_lm, l = 0 to 9, whose polar axis is z",
    ),
    Quantity("shell_rejections", (), "1", "shells drawn and rejected before this one", dtype="int32"),
    Quantity(
        "box_nm",
        ("side", "axis"),
        "nm",
        "lowest and highest coordinates of the particle",
        dtype="float32",
        description="side 0: lowest, side 1: highest; from the centre of the particle",
    ),
    Quantity("reach_nm", (), "nm", "distance from the centre that no kept grain exceeds"),
    Quantity("first_row", (), "1", "first of the particle's rows in the tables", dtype="int64"),
    Quantity("rows", (), "1", "number of the particle's rows in the tables", dtype="int32"),
    Quantity("kept_grains", (), "1", "number of grains that make up the particle", dtype="int32"),
)


def shape_of(quantity: Quantity) -> tuple[int, ...]:
    """Return the lengths of a quantity's dimensions, per item or grain."""
    return tuple(LENGTHS[dim] for dim in quantity.dims if dim != GRAIN)


def row_storage(name: str, dtype: str) -> tuple[int | None, dict[str, Any]]:
    """Return the fill value of a column of the tables (None: NaN), and the attributes that describe it."""
    if name in _INDEX_ROWS:
        return _INDEX_ROWS[name]
    fill = _MEASURED_ROWS.get(np.dtype(dtype).kind)
    return fill, {} if fill is None else {"_FillValue": fill}


def how_to_read(*, measured: bool) -> dict[str, str]:
    """Return attributes of a store that explain how to read it with only xarray, as text and as lines to run.

    Parameters
    ----------
    measured : bool
        Whether the grains were measured; a kept grain may contain no voxel.
    """
    return {
        "grains_of_particle_i": READ_MEASURED if measured else READ_KEPT,
        "histogram_of_grain_volumes": READ_HISTOGRAM,
        "dimensions": _DIMENSIONS,
        "missing_values": (
            "NaN in numbers. Rows without a grain have -1 in particle and label, and False in kept. The values of a "
            "file that is missing are shown as missing, too: manifest.json names every file"
        ),
    }


def read_particle(store: str | Path, item: int) -> Particle:
    """Read the analytic record of one particle, which renders to the same voxels as the drawn particle.

    Parameters
    ----------
    store : str or Path
        A finished store of particles.
    item : int

    Raises
    ------
    StoreError
        If the store or the item does not exist, or its bytes are damaged.
    """
    return Records(local_path(store, StoreError)).particle(item)


class Records:
    """The records of a finished store of particles; what they share is read once.

    Parameters
    ----------
    store : Path

    Raises
    ------
    StoreError
        If there is no such store, or its metadata is damaged.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        attributes, (recipe, _) = read_attributes(store), read_origin(store)
        self._seed, self._bundle_hash = int(recipe["seed"]), str(attributes["bundle_hash"])
        self._rows = Rows(store, keep=True)

    def particle(self, item: int) -> Particle:
        """Read one particle; raises as :func:`read_particle`."""
        _check_item(self.store, item, self._rows)
        one = {name: value[0] for name, value in _read_all(self._rows, RECORD_ITEMS, item, item + 1).items()}
        start = int(one["first_row"])
        rows = _read_all(self._rows, RECORD_ROWS, start, start + int(one["rows"]))
        return particle_of(self.store, item, one, rows, self._seed, self._bundle_hash)

    def orientations(self, item: int) -> dict[int, np.ndarray]:
        """Read the crystal orientations of one particle; as :func:`read_orientations`."""
        return _orientations(self.store, item, self._rows)

    def grains(self, item: int) -> "xr.Dataset":
        """Read the table of the grains of one particle; as :func:`read_grains`."""
        return read_grains(self.store, item)


def particle_of(
    where: Any, item: int, one: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray], seed: int, bundle_hash: str
) -> Particle:  # fmt: skip
    """Return a particle from its record.

    Parameters
    ----------
    where : Path or str
        What holds the record, for messages.
    item : int
    one, rows : Mapping of str to ndarray
        Values of the item, by the names of `RECORD_ITEMS`, and of its grains, by those of `RECORD_ROWS`.
    seed : int
    bundle_hash : str

    Raises
    ------
    StoreError
        If a value is missing.
    """
    finite = (one["shell_coefficients_nm"], one["box_nm"], one["reach_nm"], rows["seed_nm"], rows["diagonal"])
    if not (rows["particle"] == item).all() or not all(np.isfinite(values).all() for values in finite):
        raise StoreError(f"{where}: the rows of item {item} are incomplete or damaged")
    kept = rows["kept"].astype(bool)
    return Particle(
        seed=seed,
        index=item,
        bundle_hash=bundle_hash,
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


def read_grains(store: str | Path, item: int) -> "xr.Dataset":
    """Read the table of the grains of one particle, one row per grain.

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
        If the store or the item does not exist, holds no measured grains, or its bytes are damaged.
    """
    store = local_path(store, StoreError)
    read_origin(store)  # refuses a folder that is not a store, or a store without its origin
    rows = Rows(store)
    start, stop = _rows_of(store, item, rows)
    if not holds(store, "volume_nm3"):
        raise StoreError(f"{store}: its grains were not measured; `nmcdist describe {store}` measures them")
    kept = _read(rows, "kept", start, stop, RECORD_ROWS["kept"]).astype(bool)
    kept &= _read(rows, "volume_nm3", start, stop, COLUMNS["volume_nm3"]) > 0
    variables = {}
    for name, column in COLUMNS.items():
        values = rows.read(name, start, stop)[kept]
        if values.ndim != len(column.dims):
            raise StoreError(f"{store}: {name}: found {values.ndim} axes, expected {len(column.dims)}")
        variables[name] = values.astype(bool) if column.dtype == "bool" else values
    return grains_table(variables, _read(rows, "label", start, stop, RECORD_ROWS["label"])[kept])


def grains_table(columns: Mapping[str, np.ndarray], label: np.ndarray) -> "xr.Dataset":
    """Return the table of the grains of one particle from its columns, named as in `COLUMNS`, and their labels."""
    import xarray as xr

    variables = {name: (COLUMNS[name].dims, values, COLUMNS[name].attrs) for name, values in columns.items()}
    return xr.Dataset(variables, coords={"label": ("grain", label), "axis": ("axis", list("zyx"))})


def read_orientations(store: str | Path, item: int) -> dict[int, np.ndarray]:
    """Read the crystal orientations of the grains of one particle.

    Parameters
    ----------
    store : str or Path
        A finished store of particles.
    item : int

    Returns
    -------
    dict of int to ndarray of float32, shape (4,)
        Unit quaternions (w, x, y, z) by label; empty if the recipe has no `orientations`.

    Raises
    ------
    StoreError
        If the store or the item does not exist, or its bytes are damaged.
    """
    store = local_path(store, StoreError)
    return _orientations(store, item, Rows(store))


def _orientations(store: Path, item: int, rows: Rows) -> dict[int, np.ndarray]:
    start, stop = _rows_of(store, item, rows)
    (name, quantity), *_ = ORIENTATION.items()
    if not holds(store, name):
        return {}
    label = _read(rows, "label", start, stop, RECORD_ROWS["label"])
    turns = _read(rows, name, start, stop, quantity)
    if not np.allclose((turns**2).sum(axis=1), 1, atol=_UNIT_TOLERANCE):
        raise StoreError(f"{store}: {name}: found values of item {item} that are no unit quaternions")
    return dict(zip(label.tolist(), turns, strict=True))


def _check_item(store: Path, item: int, rows: Rows) -> None:
    if not holds(store, "first_row"):
        raise StoreError(f"{store}: holds no particles")
    count = rows.length("first_row")
    if isinstance(item, bool) or not isinstance(item, int | np.integer) or not 0 <= item < count:
        raise StoreError(f"{store}: item {item} does not exist, expected 0 to {count - 1} ({SAMPLE})")


def _rows_of(store: Path, item: int, rows: Rows) -> tuple[int, int]:
    _check_item(store, item, rows)
    start = int(_read(rows, "first_row", item, item + 1, RECORD_ITEMS["first_row"])[0])
    return start, start + int(_read(rows, "rows", item, item + 1, RECORD_ITEMS["rows"])[0])


def _read(rows: Rows, name: str, start: int, stop: int, quantity: Quantity) -> np.ndarray:
    return _read_all(rows, {name: quantity}, start, stop)[name]


def _read_all(rows: Rows, quantities: Mapping[str, Quantity], start: int, stop: int) -> dict[str, np.ndarray]:
    """Read rows of variables, and check that their axes and types match the quantities."""
    found = rows.read_all(quantities, start, stop)
    for name, quantity in quantities.items():
        values, shape, dtype = found[name], shape_of(quantity), np.dtype(quantity.dtype)
        if values.shape[1:] != shape or (values.dtype.kind == "f") != (dtype.kind == "f"):
            what = f"{values.dtype} with axes {values.shape[1:]} beside the first"
            raise StoreError(f"{rows.store}: {name}: found {what}, expected {dtype} with axes {shape}")
    return found
