"""Write and open stores: Zarr format 3 groups that are laid out as :mod:`nmcdist.datasets.layout` says."""

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from nmcdist.datasets.files import FileRecord
from nmcdist.datasets.layout import (
    FORMAT_ATTRIBUTE,
    FORMAT_VERSION,
    SAMPLE,
    VOLUME,
    Box,
    Layout,
    Variable,
)
from nmcdist.errors import StoreError

_LEVEL = 3  # of Zstandard: label volumes grow by 1 % at level 1 and shrink by 8 % at level 5, for 4 times the time


class Written(dict[str, FileRecord]):
    """Records of the files of a store, taken from the bytes that were handed to the disk, not from those read back."""


class _Recorder(LocalStore):
    """One array of a store on disk; what is written to it is hashed on its way."""

    def __init__(self, store: Path, array: str, written: Written) -> None:
        super().__init__(store / array)
        self._array, self._written = array, written

    async def set(self, key: str, value: Buffer) -> None:
        view = memoryview(value.as_buffer_like())
        record = FileRecord(hashlib.sha256(view).hexdigest(), view.nbytes)
        await super().set(key, value)
        self._written[f"{self._array}/{key}"] = record


def create_store(path: Path, layout: Layout) -> None:
    """Write the metadata of a store; chunks that are there already stay untouched."""
    for name in sorted(layout.nodes):
        (path / name).unlink(missing_ok=True)
    group = zarr.create_group(store=path, zarr_format=3, attributes=dict(layout.attrs))
    for variable in (*layout.variables, *layout.totals):
        _create_array(group, variable)


def write_coordinates(path: Path, layout: Layout) -> None:
    """Write the coordinates of a store."""
    group = zarr.open_group(store=path, mode="r+", zarr_format=3)
    with _always_write(), _quiet():
        for c in layout.coordinates:
            text = c.values.dtype.kind in "UTO"
            array = group.create_array(
                c.name,
                shape=c.values.shape,
                chunks=(c.chunk,) if c.chunk else c.values.shape,
                dtype="string" if text else c.values.dtype,
                compressors=_codec(),
                fill_value="" if text else _no_value(c.values.dtype),
                dimension_names=c.dims,
                attributes=dict(c.attrs),
                overwrite=True,
            )
            array[...] = c.values.astype(object) if text else c.values


def consolidate(path: Path) -> None:
    """Gather the metadata of every array in that of the group, so that opening reads one file."""
    with _quiet():
        zarr.consolidate_metadata(path, zarr_format=3)


def write_block(store: Path, variable: Variable, sample: int, box: Box, labels: np.ndarray) -> Written:
    """Write a block of whole shards of one volume; its files must have been removed before."""
    array, written = _writable(store, variable)
    with _always_write():
        array[(sample, *_slices(box))] = labels
    return written


def write_descriptors(
    store: Path, variables: Sequence[Variable], sample: int, values: Mapping[str, np.ndarray]
) -> Written:
    """Write the descriptors of one sample.

    Raises
    ------
    StoreError
        If the values are not those that the layout names, or have another shape.
    """
    names = {v.name for v in variables}
    if names != set(values):
        differing = sorted(names ^ set(values))
        raise StoreError(f"{store}: descriptors differ from the layout in {differing}")
    records = Written()
    with _always_write():
        for variable in variables:
            value = np.asarray(values[variable.name])
            if value.shape != variable.shape[1:]:
                raise StoreError(f"{store}: {variable.name}: found shape {value.shape}, expected {variable.shape[1:]}")
            array, written = _writable(store, variable)
            array[sample] = value.astype(variable.dtype)
            records |= written
    return records


def write_rows(store: Path, variable: Variable, place: int, values: np.ndarray) -> Written:
    """Write what a batch owns of a variable; its file must have been removed before.

    Parameters
    ----------
    store : Path
    variable : Variable
    place : int
        Number of the file along the first axis.
    values : ndarray
        No longer along the first axis than a file; what is missing stays unwritten.

    Raises
    ------
    StoreError
        If the values are too many or have another shape.
    """
    most = variable.file_shape[0]
    if len(values) > most or values.shape[1:] != variable.shape[1:]:
        expected = (f"at most {most}", *map(str, variable.shape[1:]))
        raise StoreError(f"{store}: {variable.name}: found shape {values.shape}, expected ({', '.join(expected)})")
    array, written = _writable(store, variable)
    with _always_write():
        array[place * most : place * most + len(values)] = values.astype(variable.dtype)
    return written


def write_total(store: Path, variable: Variable, values: np.ndarray) -> Written:
    """Write a variable that belongs to the run as a whole."""
    array, written = _writable(store, variable)
    with _always_write():
        array[...] = values.astype(variable.dtype)
    return written


def read_rows(store: Path, name: str, start: int, stop: int) -> np.ndarray:
    """Read a part of a variable along its first axis.

    Raises
    ------
    StoreError
        If there is no such variable, or its bytes are damaged.
    """
    if not (store / name / "zarr.json").exists():
        raise StoreError(f"{store}: holds no variable {name!r}")
    try:
        return np.asarray(zarr.open_array(store=store / name, mode="r", zarr_format=3)[start:stop])
    except Exception as error:  # codecs raise what they like: RuntimeError, ValueError, their own
        raise StoreError(f"{store}: {name} is damaged ({error})") from None


def remove_files(store: Path, files: Sequence[str]) -> None:
    """Remove chunks before they are written anew: Zarr reads back what it overwrites, and may fail on it."""
    for name in files:
        (store / name).unlink(missing_ok=True)


def limit_threads(count: int) -> None:
    """Let Zarr compress with so many threads in this process; it heeds that before its first write only."""
    zarr.config.set({"threading.max_workers": count})


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a store of a format that this version reads.

    Raises
    ------
    StoreError
        If there is no store, its metadata is damaged, or its format is another.
    """
    metadata = path / "zarr.json"
    if not path.is_dir():
        raise StoreError(f"{path}: no such store")
    try:
        attributes = json.loads(metadata.read_text(encoding="utf-8"))["attributes"]
    except FileNotFoundError:
        raise StoreError(f"{path}: not a store (it has no zarr.json)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{metadata}: damaged metadata ({error})") from None
    if not isinstance(attributes, dict) or FORMAT_ATTRIBUTE not in attributes:
        raise StoreError(f"{path}: not a store of nmcdist (attribute {FORMAT_ATTRIBUTE!r} is missing)")
    found = attributes[FORMAT_ATTRIBUTE]
    if found != FORMAT_VERSION:
        raise StoreError(f"{path}: found store format {found!r}, expected {FORMAT_VERSION}")
    return attributes


def read_origin(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the recipe and the bundle that a store was made from, as plain data.

    Raises
    ------
    StoreError
        As :func:`read_attributes`; or if they cannot be read.
    """
    attributes = read_attributes(path)
    try:
        return json.loads(attributes["recipe"]), json.loads(attributes["bundle"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: its attributes do not say how it was made ({error})") from None


def open_store(path: str | os.PathLike[str]) -> Any:
    """Open a finished store lazily.

    Parameters
    ----------
    path : str or Path
        Folder of the store.

    Returns
    -------
    xarray.Dataset
        Dask-backed, chunked along the shards of the volumes.

    Raises
    ------
    StoreError
        If there is no store, its metadata is damaged, or its format is another.
    """
    import xarray as xr

    path = Path(path)
    read_attributes(path)
    with _quiet():
        try:
            return xr.open_zarr(path, consolidated=True, zarr_format=3, chunks=dask_chunks(path))
        except (ValueError, KeyError, OSError) as error:
            raise StoreError(f"{path}: cannot be opened ({error})") from None


def dask_chunks(path: Path) -> dict[str, int]:
    """Return the Dask chunks that read every shard of volumes and of tables once; other axes keep their chunks."""
    chunks: dict[str, int] = {}
    for metadata in sorted(path.glob("*/zarr.json")):
        array = zarr.open_array(store=metadata.parent, mode="r", zarr_format=3)
        names = getattr(array.metadata, "dimension_names", None) or ()
        if array.shards:
            chunks |= {str(n): s for n, s in zip(names, array.shards, strict=True) if n != SAMPLE}
    return chunks


def open_lazily(path: Path, chunks: Mapping[str, int]) -> Any:
    """Return a store as a lazy xarray.Dataset; coordinates of the samples are loaded."""
    import xarray as xr

    return with_coordinates(xr.open_dataset(path, engine="zarr", chunks=dict(chunks), consolidated=True))


def with_coordinates(data: Any) -> Any:
    """Load the coordinates of the samples, by which nobody could group or select while they are lazy."""
    return data.assign_coords({n: c.load() for n, c in data.coords.items() if c.dims == (SAMPLE,)})


def read_block(store: Path, sample: int, box: Box | None = None) -> np.ndarray:
    """Read the labels of one volume, or of a box of it.

    Raises
    ------
    StoreError
        If there is no such volume, it was never written, or its bytes are damaged.
    """
    if not (store / VOLUME / "zarr.json").exists():
        raise StoreError(f"{store}: holds no volumes")
    array = zarr.open_array(store=store / VOLUME, mode="r", zarr_format=3)
    if not 0 <= sample < array.shape[0]:
        raise StoreError(f"{store}: item {sample} does not exist, expected 0 to {array.shape[0] - 1}")
    region = _slices(box) if box else (slice(None), slice(None), slice(None))
    try:
        labels = np.asarray(array[(sample, *region)])
    except Exception as error:  # codecs raise what they like: RuntimeError, ValueError, their own
        raise StoreError(f"{store}: the volume of item {sample} is damaged ({error})") from None
    if labels.size and labels.max() == array.fill_value:
        raise StoreError(f"{store}: the volume of item {sample} is incomplete")
    return labels


def _writable(store: Path, variable: Variable) -> tuple[zarr.Array, Written]:
    written = Written()
    return zarr.open_array(store=_Recorder(store, variable.name, written), mode="r+", zarr_format=3), written


def _create_array(group: zarr.Group, variable: Variable) -> None:
    with _quiet():
        group.create_array(
            variable.name,
            shape=variable.shape,
            chunks=variable.chunks,
            shards=variable.shards,
            dtype=variable.dtype,
            compressors=_codec(),
            fill_value=variable.fill_value,
            dimension_names=variable.dims,
            attributes=dict(variable.attrs),
        )


def _slices(box: Box) -> tuple[slice, slice, slice]:
    z, y, x = box
    return slice(*z), slice(*y), slice(*x)


def _codec() -> ZstdCodec:
    return ZstdCodec(level=_LEVEL, checksum=True)


def _no_value(dtype: np.dtype) -> Any:
    return float("nan") if dtype.kind == "f" else 0


def _always_write() -> Any:
    """Write chunks that hold nothing but the fill value too: a file that is missing must mean "not made"."""
    return zarr.config.set({"array.write_empty_chunks": True})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # Every reader of this package's stores knows consolidated metadata; strangers read the plain ones.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        yield
