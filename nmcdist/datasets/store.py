"""Open and read stores: Zarr format 3 groups with the layout of :mod:`nmcdist.datasets.layout`."""

import asyncio
import contextlib
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from nmcdist.datasets.files import refuse_special
from nmcdist.datasets.layout import (
    FORMAT_ATTRIBUTE,
    FORMATS_READ,
    SAMPLE,
    VIRTUAL_ATTRIBUTE,
    VOLUME,
    Box,
    own_dim,
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
from nmcdist.plugins import load_entry
from nmcdist.wording import one_line, shown

if TYPE_CHECKING:
    import xarray as xr

MANIFEST = "manifest.json"
MOST_PARTITIONS = 10**5  # of Dask, per variable
UNFINISHED = ".wip"  # ends the name of the folder of a store that a run has begun
OPENERS = "nmcdist.openers"  # entry points: attribute of a store, and the function that opens such stores
_LEAST_ENTRY = 90  # least number of bytes per file in the manifest


class StoreFiles(LocalStore):
    """A store on disk with ordinary files only: links, pipes and devices in place of files are refused.

    Parameters
    ----------
    root : Path
    read_only : bool
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._folders: set[str] = set()  # known not to be links

    async def _open(self, *, mode: Any = None) -> None:
        await super(LocalStore, self)._open()  # without creating the folder, so that a removed folder stays removed

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Buffer | None:
        """Return the bytes of a file, or a range of them; None if it is missing."""
        await asyncio.to_thread(refuse_special, self.root, key, self._folders)
        return await super().get(key, prototype, byte_range)


class _MissingError(StoreError):
    """A chunk has no file."""


def _content(path: Path, part: ByteRequest | None) -> bytes:
    """Return the bytes of a file, or a part of them."""
    with path.open("rb") as file:
        if isinstance(part, SuffixByteRequest):
            file.seek(max(0, file.seek(0, os.SEEK_END) - part.suffix))
        elif isinstance(part, RangeByteRequest):
            file.seek(part.start)
            return file.read(part.end - part.start)
        elif part is not None:
            file.seek(part.offset)
        return file.read()


class _Complete(StoreFiles):
    """A store for reading: a missing chunk file is an error, although Zarr would return the fill value.

    Chunks missing inside a shard still read as the fill value: according to the metadata, they are the ends of
    tables.

    Parameters
    ----------
    root : Path
    read_only : bool
    in_place : bool
        Whether to read files without handing each read to a thread, which takes 40 % of the time for small reads.
    """

    def __init__(self, root: Path, *, read_only: bool = False, in_place: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._in_place = in_place

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Buffer | None:
        read = self._get_in_place(key, prototype, byte_range) if self._in_place else None
        found = read or await super().get(key, prototype, byte_range)
        if found is None and "c" in key.split("/") and not key.endswith("zarr.json"):
            raise _MissingError(f"{self.root / key}: is missing, so its values are unknown")
        return found

    def _get_in_place(self, key: str, prototype: Any, byte_range: Any) -> Buffer | None:
        refuse_special(self.root, key, self._folders)
        try:
            content = _content(self.root / key, byte_range)
        except OSError:
            return None  # the other way says what it means
        return (prototype or default_buffer_prototype()).buffer.from_bytes(content)


def read_rows(store: Path, name: str, start: int, stop: int) -> np.ndarray:
    """Read a part of a variable along its first axis.

    Raises
    ------
    StoreError
        If the variable does not exist, or its bytes are damaged.
    """
    return Rows(store).read(name, start, stop)


class Rows:
    """Reads parts of the variables of a finished store along their first axes; each variable is opened once.

    Parameters
    ----------
    store : Path
    keep : bool
        Whether to keep the chunks of each variable that were read last: of tables whose rows are read one after
        another.
    """

    def __init__(self, store: Path, *, keep: bool = False) -> None:
        self.store = store
        self._keep = keep
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._kept: dict[str, tuple[int, np.ndarray]] = {}  # first row, and the rows from there on

    def length(self, name: str) -> int:
        """Return the length of the first axis of a variable; StoreError if it does not exist."""
        return int(self._array(name).shape[0])

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Read rows of a variable; raises as :func:`read_rows`."""
        return self.read_all([name], start, stop)[name]

    def read_all(self, names: Iterable[str], start: int, stop: int) -> dict[str, np.ndarray]:
        """Read the same rows of several variables by name, at once, which takes half the time of one after another.

        Raises as :func:`read_rows`.
        """
        arrays = {name: self._array(name) for name in names}
        for name, array in arrays.items():
            if not 0 <= start <= stop <= array.shape[0]:
                raise StoreError(
                    f"{self.store}: {name}: has {array.shape[0]} rows, expected rows {start} to {stop - 1} among them"
                )
        kept = {name: self._kept[name] for name in arrays if self._has(name, start, stop)}
        read = {name: array for name, array in arrays.items() if name not in kept}
        parts = [self._part(array, start, stop) for array in read.values()]
        for name, part, values in zip(read, parts, sync(_values_of(list(read.values()), parts)), strict=True):
            if isinstance(values, StoreError):
                raise values
            if isinstance(values, BaseException):  # codecs raise any type: RuntimeError, ValueError, their own
                raise StoreError(f"{self.store}: {name} is damaged ({one_line(values)})") from None
            kept[name] = (part.start, np.asarray(values))
        if not self._keep:
            return {name: kept[name][1] for name in arrays}
        self._kept.update(kept)
        # What is kept stays as it was read, whatever happens to what is returned.
        return {name: rows[start - first : stop - first].copy() for name, (first, rows) in kept.items()}

    def _has(self, name: str, start: int, stop: int) -> bool:
        if name not in self._kept:
            return False
        first, rows = self._kept[name]
        return first <= start and stop <= first + len(rows)

    def _part(self, array: "zarr.Array[Any]", start: int, stop: int) -> slice:
        """Return the rows to read: whole chunks if they are kept, which are decoded whole anyway."""
        if not self._keep or start == stop:
            return slice(start, stop)
        step = array.chunks[0]
        return slice(start // step * step, min(-(-stop // step) * step, array.shape[0]))

    def _array(self, name: str) -> "zarr.Array[Any]":
        if name not in self._arrays:
            self._arrays[name] = _readable(self.store, name, in_place=True)
        return self._arrays[name]


async def _values_of(arrays: "list[zarr.Array[Any]]", parts: list[slice]) -> list[Any]:
    """Return rows of some arrays, and in place of those that cannot be read, what was raised."""
    reads = (array.async_array.getitem(part) for array, part in zip(arrays, parts, strict=True))
    return await asyncio.gather(*reads, return_exceptions=True)


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
    path = local_path(path, StoreError)
    begun = Path(f"{path}{UNFINISHED}")
    if not os.path.lexists(path) and os.path.lexists(begun):
        raise StoreError(f"{path}: is not finished, expected a whole store; nmcdist run RECIPE --resume continues it")
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

    A store that computes its chunks is opened by the function that is registered for it (`OPENERS`).

    Raises
    ------
    StoreError
        As :func:`open_store`.
    """
    import xarray as xr

    read_origin(path)
    if is_virtual(path):
        return load_entry(OPENERS, VIRTUAL_ATTRIBUTE)(path)  # type: ignore[no-any-return]
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
    return with_labels(data.assign_coords({name: values.load() for name, values in data.coords.items()}))


def with_labels(data: "xr.Dataset") -> "xr.Dataset":
    """Give dimensions with a coordinate of their own its name (:meth:`Layout.stored_dims`), to select by its values.

    Items get their numbers, which take no memory, so that a number still names its item in a part of the dataset.
    """
    import pandas as pd

    stored = {str(dim): own_dim(str(dim)) for dim in data.dims}
    data = data.swap_dims({dim: own for dim, own in stored.items() if own != dim and own in data.coords})
    if SAMPLE not in data.dims or SAMPLE in data.coords:
        return data
    about = {"units": "1", "long_name": "number of the item, which is also the index of its random streams"}
    return data.assign_coords({SAMPLE: (SAMPLE, pd.RangeIndex(data.sizes[SAMPLE]), about)})


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
        name: v.chunk({**_own_chunks(v), **{dim: n for dim, n in given.items() if dim in v.dims}})
        for name, v in data.data_vars.items()
    }
    return data.assign(chunked)


def _own_chunks(variable: "xr.DataArray") -> dict[str, int]:
    stored: Mapping[str, int] = variable.encoding["preferred_chunks"]
    return {dim if dim in variable.dims else own_dim(dim): n for dim, n in stored.items()}


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


def _readable(store: Path, name: str, *, in_place: bool = False) -> zarr.Array[Any]:
    """Open an array with checked metadata."""
    refuse_special(store, f"{name}/zarr.json")
    try:
        metadata = checked_array(parsed_json(store / name / "zarr.json"), store / name)
    except FileNotFoundError:
        raise StoreError(f"{store}: holds no variable {name!r}") from None
    if not metadata.shape:
        raise StoreError(f"{store}: {name}: found no axes, expected at least one")
    try:
        files = _Complete(store, read_only=True, in_place=in_place)
        return zarr.open_array(store=files, path=name, mode="r", zarr_format=3)
    except Exception as error:  # codecs raise any type
        raise StoreError(f"{store}: {name}: cannot be opened ({one_line(error)})") from None


def _slices(box: Box) -> tuple[slice, slice, slice]:
    z, y, x = box
    return slice(*z), slice(*y), slice(*x)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence, in a block, the warning that consolidated metadata is no part of Zarr 3."""
    with warnings.catch_warnings():
        # Readers of this package use consolidated metadata; other readers use the plain metadata.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        yield


@contextlib.contextmanager
def readable(*stores: str | Path) -> Iterator[None]:
    """Turn what a damaged chunk raises while it is decoded, in a block, into one error that names the stores.

    Raises
    ------
    StoreError
    """
    try:
        yield
    except RuntimeError as error:
        raise StoreError(
            f"{', '.join(map(str, stores))}: a chunk cannot be decoded ({one_line(error)}); `nmcdist verify` names it"
        ) from error
