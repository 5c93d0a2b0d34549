"""Write and open stores: Zarr format 3 groups with the layout of :mod:`nmcdist.datasets.layout`."""

import asyncio
import contextlib
import hashlib
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from nmcdist.datasets.files import FileRecord, refuse_special
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.layout import (
    FORMAT_ATTRIBUTE,
    FORMATS_READ,
    SAMPLE,
    VIRTUAL_ATTRIBUTE,
    VOLUME,
    Box,
    Layout,
    Variable,
)
from nmcdist.datasets.metadata import (
    ArrayMetadata,
    arrays_of,
    checked_array,
    checked_attributes,
    checked_bundle,
    checked_recipe,
    parsed_json,
    strict_json,
)
from nmcdist.datasets.published import store_in
from nmcdist.errors import StoreError
from nmcdist.inputs import existing_folder, local_path
from nmcdist.wording import one_line, shown

if TYPE_CHECKING:
    import xarray as xr

MANIFEST = "manifest.json"
MOST_PARTITIONS = 10**5  # of Dask, per variable
_VIRTUAL = "nmcdist.virtual.opening"  # imported by name: what computes stores is built upon this module
_LEAST_ENTRY = 90  # least number of bytes per file in the manifest
_LEVEL = 3  # of Zstandard: label volumes grow by 1 % at level 1 and shrink by 8 % at level 5, for 4 times the time


class Written(dict[str, FileRecord]):
    """Records of a store's files, computed from the written bytes instead of bytes read back."""


class _Files(LocalStore):
    """A store on disk with ordinary files only: links, pipes and devices in place of files are refused."""

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._folders: set[str] = set()  # known not to be links

    async def _open(self, *, mode: Any = None) -> None:
        await super(LocalStore, self)._open()  # without creating the folder, so that a removed folder stays removed

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Buffer | None:
        await asyncio.to_thread(refuse_special, self.root, key, self._folders)
        return await super().get(key, prototype, byte_range)


class _MissingError(StoreError):
    """A chunk has no file."""


class _Complete(_Files):
    """A store for reading: a missing chunk file is an error, although Zarr would return the fill value.

    Chunks missing inside a shard still read as the fill value: according to the metadata, they are the ends of
    tables.
    """

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Buffer | None:
        found = await super().get(key, prototype, byte_range)
        if found is None and "c" in key.split("/") and not key.endswith("zarr.json"):
            raise _MissingError(f"{self.root / key}: is missing, so its values are unknown")
        return found


class _Recorder(_Files):
    """A store, or one of its arrays, for writing without following links; written bytes are hashed."""

    def __init__(self, store: Folder, array: str = "", written: Written | None = None) -> None:
        super().__init__(store.path / array)
        self._store, self._prefix, self._written = store, f"{array}/" if array else "", written

    async def set(self, key: str, value: Buffer) -> None:
        view, name = memoryview(value.as_buffer_like()), self._prefix + key
        record = FileRecord(hashlib.sha256(view).hexdigest(), view.nbytes)
        await asyncio.to_thread(self._store.write, name, view)
        if self._written is not None:
            self._written[name] = record

    async def delete_dir(self, prefix: str) -> None:
        await asyncio.to_thread(self._store.remove_tree, self._prefix + prefix)


def create_store(path: Path | Folder, layout: Layout) -> None:
    """Write the metadata of a store; existing chunks stay untouched."""
    store = Folder.of(path)
    store.path.mkdir(parents=True, exist_ok=True)
    for name in sorted(layout.nodes):
        store.remove(name)
    group = zarr.create_group(store=_Recorder(store), zarr_format=3, attributes=dict(layout.attrs))
    for variable in (*layout.variables, *layout.totals):
        _create_array(group, variable)


def write_coordinates(path: Path, layout: Layout, *, compact: bool = False) -> None:
    """Write the coordinates of a store.

    Parameters
    ----------
    path : Path
    layout : Layout
    compact : bool
        Whether to compress numbers with Blosc, whose shuffled bits make the numbers of a million items 2 kB instead of
        1.4 MB.
    """
    group = zarr.open_group(store=_Recorder(Folder(path)), mode="r+", zarr_format=3)
    with _always_write(), quiet():
        for c in layout.coordinates:
            text = c.values.dtype.kind in "UTO"
            array = group.create_array(
                c.name,
                shape=c.values.shape,
                chunks=(c.chunk,) if c.chunk else c.values.shape,
                dtype="string" if text else c.values.dtype,
                compressors=_shuffled() if compact and not text else _codec(),
                fill_value="" if text else _no_value(c.values.dtype),
                dimension_names=c.dims,
                attributes=dict(c.attrs),
                overwrite=True,
            )
            array[...] = c.values.astype(object) if text else c.values


def consolidate(path: Path) -> None:
    """Collect the metadata of all arrays in that of the group, so that opening a store reads one file."""
    with quiet(), zarr.config.set({"json_indent": None}):  # every reader over HTTP loads it, and half would be blanks
        zarr.consolidate_metadata(_Recorder(Folder(path)), zarr_format=3)


def write_block(store: Path | Folder, variable: Variable, sample: int, box: Box, labels: np.ndarray) -> Written:
    """Write a block of whole shards of one volume; its files must be removed first."""
    array, written = _writable(store, variable)
    with _always_write():
        array[(sample, *_slices(box))] = labels
    return written


def write_descriptors(
    store: Path | Folder, variables: Sequence[Variable], sample: int, values: Mapping[str, np.ndarray]
) -> Written:
    """Write the descriptors of one sample.

    Raises
    ------
    StoreError
        If the values do not match the names and shapes of the layout.
    """
    names = {v.name for v in variables}
    if names != set(values):
        differing = sorted(names ^ set(values))
        raise StoreError(f"{Folder.of(store).path}: descriptors differ from the layout in {differing}")
    records = Written()
    with _always_write():
        for variable in variables:
            value = np.asarray(values[variable.name])
            if value.shape != variable.shape[1:]:
                where = f"{Folder.of(store).path}: {variable.name}"
                raise StoreError(f"{where}: found shape {value.shape}, expected {variable.shape[1:]}")
            array, written = _writable(store, variable)
            array[sample] = value.astype(variable.dtype)
            records |= written
    return records


def write_rows(store: Path | Folder, variable: Variable, place: int, values: np.ndarray) -> Written:
    """Write a batch's part of a variable; its file must be removed first.

    Parameters
    ----------
    store : Path or Folder
    variable : Variable
    place : int
        Number of the file along the first axis.
    values : ndarray
        At most as long along the first axis as a file; the rest of the file stays unwritten.

    Raises
    ------
    StoreError
        If there are too many values, or they have another shape.
    """
    most = variable.file_shape[0]
    if len(values) > most or values.shape[1:] != variable.shape[1:]:
        expected = (f"at most {most}", *map(str, variable.shape[1:]))
        where = f"{Folder.of(store).path}: {variable.name}"
        raise StoreError(f"{where}: found shape {values.shape}, expected ({', '.join(expected)})")
    array, written = _writable(store, variable)
    with _always_write():
        array[place * most : place * most + len(values)] = values.astype(variable.dtype)
    return written


def write_total(store: Path | Folder, variable: Variable, values: np.ndarray) -> Written:
    """Write a variable of the whole run."""
    array, written = _writable(store, variable)
    with _always_write():
        array[...] = values.astype(variable.dtype)
    return written


def read_rows(store: Path, name: str, start: int, stop: int) -> np.ndarray:
    """Read a part of a variable along its first axis.

    Raises
    ------
    StoreError
        If the variable does not exist, or its bytes are damaged.
    """
    array = _readable(store, name)
    if not 0 <= start <= stop <= array.shape[0]:
        raise StoreError(f"{store}: {name}: has {array.shape[0]} rows, expected rows {start} to {stop - 1} among them")
    try:
        return np.asarray(array[start:stop])
    except StoreError:
        raise
    except Exception as error:  # codecs raise any type: RuntimeError, ValueError, their own
        raise StoreError(f"{store}: {name} is damaged ({one_line(error)})") from None


def remove_files(store: Path | Folder, files: Sequence[str]) -> None:
    """Remove chunks before rewriting them, because Zarr reads the old chunks first and may fail."""
    for name in files:
        Folder.of(store).remove(name)


def limit_threads(count: int) -> None:
    """Set the number of Zarr's compression threads in this process, which only works before the first write."""
    zarr.config.set({"threading.max_workers": count})


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a store of a format that this version reads.

    Raises
    ------
    StoreError
        If there is no store, its metadata is damaged, or its format is unsupported.
    """
    attributes: dict[str, Any] = _read_group(path)["attributes"]
    checked_attributes(attributes, path)
    return attributes


def _read_group(path: Path) -> dict[str, Any]:
    """Return the metadata of a store of a format that this version reads; StoreError if there is none."""
    path = existing_folder(path, StoreError, "no such store")
    metadata = path / "zarr.json"
    try:
        group: dict[str, Any] = parsed_json(metadata)
    except FileNotFoundError:
        raise StoreError(f"{path}: not a store (it has no zarr.json)") from None
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{metadata}: cannot be read ({error.strerror})") from None
    attributes = group.get("attributes") if isinstance(group, dict) else None
    if not isinstance(attributes, dict) or FORMAT_ATTRIBUTE not in attributes:
        raise StoreError(f"{path}: not a store of nmcdist (attribute {FORMAT_ATTRIBUTE!r} is missing)")
    found = attributes[FORMAT_ATTRIBUTE]
    if found not in FORMATS_READ or isinstance(found, bool):
        raise StoreError(f"{path}: found store format {shown(found)}, expected {' or '.join(map(str, FORMATS_READ))}")
    if group.get("node_type") != "group" or group.get("zarr_format") != 3:
        raise StoreError(f"{metadata}: found no metadata of a group of Zarr 3")
    return group


def read_origin(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the recipe and the bundle from which a store was made, as plain data.

    Raises
    ------
    StoreError
        As :func:`read_attributes`, or if they cannot be read, or the bundle does not match its hash.
    """
    attributes = read_attributes(path)
    try:
        recipe, bundle = strict_json(attributes["recipe"]), strict_json(attributes["bundle"])
    except ValueError as error:
        raise StoreError(f"{path}: its attributes do not say how it was made ({one_line(error)})") from None
    return checked_recipe(recipe, path), checked_bundle(bundle, attributes["bundle_hash"], path)


def open_store(path: str | os.PathLike[str]) -> "xr.Dataset":
    """Open a finished store lazily.

    Parameters
    ----------
    path : str or Path
        Folder of the store, or of a release with it.

    Returns
    -------
    xarray.Dataset
        Lazy variables with Dask chunks along the shards of the volumes; coordinates are in memory. Reading a chunk
        without a file raises StoreError.

    Raises
    ------
    StoreError
        If there is no store, its metadata is damaged, or its format is unsupported.
    """
    path = store_in(local_path(path, StoreError))
    return open_lazily(path, dask_chunks(path))


def is_virtual(path: Path) -> bool:
    """Return whether a store computes its chunks; raises as :func:`read_attributes`."""
    return VIRTUAL_ATTRIBUTE in read_attributes(path)


def dask_chunks(path: Path) -> dict[str, int]:
    """Return Dask chunks that read each shard of volumes and tables once; other axes keep their chunks.

    A virtual store has none: :func:`in_chunks` decides when it is opened.

    Raises
    ------
    StoreError
        If the store was never finished, its metadata requires more files than it can hold, or the metadata of an
        array is not an ordinary file.
    """
    group = _read_group(path)
    arrays = arrays_of(group, path)
    if VIRTUAL_ATTRIBUTE in group["attributes"]:
        return {}
    for file in (MANIFEST, *(f"{name}/zarr.json" for name in arrays)):
        refuse_special(path, file)
    try:
        most = (path / MANIFEST).lstat().st_size // _LEAST_ENTRY
    except FileNotFoundError:
        raise StoreError(f"{path}: has no {MANIFEST}, so it was never finished") from None
    for name, array in arrays.items():
        if array.file_count > most:
            raise StoreError(f"{path}: {name}: its shape needs {array.file_count} files, found at most {most}")
    sharded = [array for _, array in sorted(arrays.items()) if array.is_sharded]
    return {n: s for array in sharded for n, s in zip(array.dims, array.file_shape, strict=True) if n != SAMPLE}


def open_lazily(path: Path, chunks: Mapping[str, int]) -> "xr.Dataset":
    """Return a finished store as a lazy xarray.Dataset; coordinates are loaded, because they are small.

    A virtual store is opened by :func:`nmcdist.open_virtual`.

    Raises
    ------
    StoreError
        As :func:`open_store`.
    """
    import xarray as xr

    read_origin(path)
    if is_virtual(path):
        return import_module(_VIRTUAL).open_virtual(path)  # type: ignore[no-any-return]
    dask_chunks(path)  # refuses metadata that requires more files than there are
    files = _Complete(path, read_only=True)
    with quiet():
        try:
            return with_coordinates(xr.open_zarr(files, consolidated=True, zarr_format=3, chunks=dict(chunks)))
        except StoreError:
            raise
        except Exception as error:  # codecs and xarray raise any type
            raise StoreError(f"{path}: cannot be opened ({one_line(error)})") from None


def with_coordinates(data: "xr.Dataset") -> "xr.Dataset":
    """Load the coordinates, because lazy ones cannot be used to group or select."""
    return data.assign_coords({name: values.load() for name, values in data.coords.items()})


def in_chunks(data: "xr.Dataset", chunks: Mapping[str, int] | None = None) -> "xr.Dataset":
    """Put the variables of a dataset that was opened without Dask into Dask chunks.

    Parameters
    ----------
    data : xarray.Dataset
    chunks : Mapping, optional
        Dask chunks by dimension; other dimensions have the chunks of the store. Without it the dataset is unchanged if
        Dask could not handle the chunks of the store: it visits each before it computes anything, which takes a second
        for a million.
    """
    if chunks is None and any(_partitions(v) > MOST_PARTITIONS for v in data.variables.values()):
        return data
    given = chunks or {}
    chunked = {
        name: v.chunk({**v.encoding["preferred_chunks"], **{dim: n for dim, n in given.items() if dim in v.dims}})
        for name, v in data.data_vars.items()
    }
    return data.assign(chunked)


def _partitions(variable: "xr.Variable") -> int:
    chunks = variable.encoding.get("chunks", variable.shape)
    return math.prod(-(-n // c) for n, c in zip(variable.shape, chunks, strict=True))


def read_block(store: Path, sample: int, box: Box | None = None) -> np.ndarray:
    """Read the labels of one volume, or of a box of it.

    Raises
    ------
    StoreError
        If the volume does not exist, was never written, or its bytes are damaged.
    """
    if not holds(store, VOLUME):
        raise StoreError(f"{store}: holds no volumes")
    array = _readable(store, VOLUME)
    if array.ndim != 4 or array.dtype != np.uint8:
        found = f"{array.ndim} axes of {array.dtype}"
        raise StoreError(f"{store}: {VOLUME}: found {found}, expected sample, z, y, x of uint8")
    if not 0 <= sample < array.shape[0]:
        raise StoreError(f"{store}: item {sample} does not exist, expected 0 to {array.shape[0] - 1}")
    region = _slices(box) if box else (slice(None), slice(None), slice(None))
    try:
        labels = np.asarray(array[(sample, *region)])
    except _MissingError:
        raise StoreError(f"{store}: the volume of item {sample} is incomplete") from None
    except StoreError:
        raise
    except Exception as error:  # codecs raise any type: RuntimeError, ValueError, their own
        raise StoreError(f"{store}: the volume of item {sample} is damaged ({one_line(error)})") from None
    if labels.size and labels.max() == array.fill_value:
        raise StoreError(f"{store}: the volume of item {sample} is incomplete")
    return labels


def holds(store: Path, name: str) -> bool:
    """Return whether a store has a variable; StoreError if its metadata is not an ordinary file."""
    refuse_special(store, f"{name}/zarr.json")
    return (store / name / "zarr.json").exists()


def readable_metadata(store: Path, name: str) -> ArrayMetadata:
    """Return the metadata of a readable array.

    Raises
    ------
    StoreError
        If the array does not exist, or this version cannot read its metadata.
    """
    _readable(store, name)
    return checked_array(parsed_json(store / name / "zarr.json"), store / name)


def unreadable(store: Path, name: str) -> str:
    """Return why the first value of an array cannot be read, for example wrong metadata of chunks; empty if it can."""
    array = _readable(store, name)
    try:
        array[tuple(slice(0, 1) for _ in array.shape)]
    except Exception as error:  # codecs raise any type
        return one_line(error)
    return ""


def gathered_metadata(store: Path) -> dict[str, Any]:
    """Return the metadata of every array from that of the group; StoreError if it is missing there."""
    group = _read_group(store)
    arrays_of(group, store)
    gathered: dict[str, Any] = group["consolidated_metadata"]["metadata"]
    return gathered


def _readable(store: Path, name: str) -> zarr.Array[Any]:
    """Open an array with checked metadata."""
    refuse_special(store, f"{name}/zarr.json")
    try:
        metadata = checked_array(parsed_json(store / name / "zarr.json"), store / name)
    except FileNotFoundError:
        raise StoreError(f"{store}: holds no variable {name!r}") from None
    if not metadata.shape:
        raise StoreError(f"{store}: {name}: found no axes, expected at least one")
    try:
        return zarr.open_array(store=_Complete(store, read_only=True), path=name, mode="r", zarr_format=3)
    except Exception as error:  # codecs raise any type
        raise StoreError(f"{store}: {name}: cannot be opened ({one_line(error)})") from None


def _writable(store: Path | Folder, variable: Variable) -> tuple[zarr.Array[Any], Written]:
    folder, written = Folder.of(store), Written()
    folder.check()
    recorder = _Recorder(folder, variable.name, written)
    return zarr.open_array(store=recorder, mode="r+", zarr_format=3), written


def _create_array(group: zarr.Group, variable: Variable) -> None:
    with quiet():
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


def _shuffled() -> BloscCodec:
    return BloscCodec(cname="zstd", clevel=9, shuffle="bitshuffle")


def _no_value(dtype: np.dtype) -> Any:
    return float("nan") if dtype.kind == "f" else 0


def _always_write() -> Any:
    """Also write chunks with only the fill value, because a missing file must mean "not made"."""
    return zarr.config.set({"array.write_empty_chunks": True})


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence, in a block, the warning that consolidated metadata is no part of Zarr 3."""
    with warnings.catch_warnings():
        # Readers of this package use consolidated metadata; other readers use the plain metadata.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        yield
