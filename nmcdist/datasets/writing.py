"""Write stores: the metadata of a layout, the chunks of tasks, and the coordinates.

A chunk that is a file is encoded here, because opening an array costs Zarr more than the chunk; the bytes are those
that Zarr writes. Zarr itself writes shards, coordinates and all metadata.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs.zstd import Zstd
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.core.buffer import Buffer

from nmcdist.datasets.files import FileRecord
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import EMPTY, GROUP
from nmcdist.datasets.layout import Box, Layout, Variable
from nmcdist.datasets.store import StoreFiles, quiet
from nmcdist.errors import StoreError

_LEVEL = 3  # of Zstandard: label volumes grow by 1 % at level 1 and shrink by 8 % at level 5, for 4 times the time


class Written(dict[str, FileRecord]):
    """Records of a store's files, computed from the written bytes instead of bytes read back."""


class _Recorder(StoreFiles):
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
        _create_array(group, variable, layout.stored_dims(variable.dims))


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
                dimension_names=layout.stored_dims(c.dims),
                attributes=dict(c.attrs),
                overwrite=True,
            )
            array[...] = c.values.astype(object) if text else c.values


def consolidate(path: Path) -> None:
    """Collect the metadata of all arrays in that of the group, so that opening a store reads one file."""
    folder = Folder(path)
    with quiet():
        zarr.consolidate_metadata(_Recorder(folder), zarr_format=3)
    content = json.loads(folder.read(GROUP))
    for array in content["consolidated_metadata"]["metadata"].values():
        array.pop(EMPTY)
    # Every reader over HTTP loads it, and half of Zarr's own text is blanks.
    folder.write(GROUP, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def write_block(store: Path | Folder, variable: Variable, sample: int, box: Box, labels: np.ndarray) -> Written:
    """Write a block of whole files of one volume; its files must be removed first."""
    return _write(store, variable, (sample, *(start for start, _ in box)), labels[None])


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
    for variable in variables:
        value = np.asarray(values[variable.name])
        if value.shape != variable.shape[1:]:
            where = f"{Folder.of(store).path}: {variable.name}"
            raise StoreError(f"{where}: found shape {value.shape}, expected {variable.shape[1:]}")
        records |= _write(store, variable, (sample, *(0,) * value.ndim), value[None])
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
    return _write(store, variable, (place * most, *(0,) * (values.ndim - 1)), values)


def write_total(store: Path | Folder, variable: Variable, values: np.ndarray) -> Written:
    """Write a variable of the whole run."""
    return _write(store, variable, (0,) * values.ndim, values)


def remove_files(store: Path | Folder, files: Sequence[str]) -> None:
    """Remove chunks before rewriting them, because Zarr reads the old chunks first and may fail."""
    for name in files:
        Folder.of(store).remove(name)


def limit_threads(count: int) -> None:
    """Set the number of Zarr's compression threads in this process, which only works before the first write."""
    zarr.config.set({"threading.max_workers": count})


def _write(store: Path | Folder, variable: Variable, corner: tuple[int, ...], values: np.ndarray) -> Written:
    """Write values into whole files, the first of which begins at a corner; the rest of the last ones is fill."""
    folder, values = Folder.of(store), np.asarray(values, dtype=variable.dtype)
    folder.check()
    if variable.shards is not None:
        return _write_shards(folder, variable, corner, values)
    written, sizes = Written(), variable.chunks
    for place in np.ndindex(*(-(-n // size) for n, size in zip(values.shape, sizes, strict=True))):
        chunk = values[tuple(slice(k * size, (k + 1) * size) for k, size in zip(place, sizes, strict=True))]
        name = variable.file([first // size + k for first, k, size in zip(corner, place, sizes, strict=True)])
        content = _encoded(chunk, variable)
        folder.write(name, content)
        written[name] = FileRecord(hashlib.sha256(content).hexdigest(), len(content))
    return written


def _encoded(chunk: np.ndarray, variable: Variable) -> bytes:
    """Return the bytes of a chunk, of which the end may be missing along each axis."""
    if chunk.shape != variable.chunks:
        whole = np.full(variable.chunks, variable.fill_value, chunk.dtype)
        whole[tuple(slice(n) for n in chunk.shape)] = chunk
        chunk = whole
    little = np.ascontiguousarray(chunk, chunk.dtype.newbyteorder("<"))
    return bytes(Zstd(level=_LEVEL, checksum=True).encode(little))


def _write_shards(folder: Folder, variable: Variable, corner: tuple[int, ...], values: np.ndarray) -> Written:
    written = Written()
    array = zarr.open_array(store=_Recorder(folder, variable.name, written), mode="r+", zarr_format=3)
    with _always_write():
        array[tuple(slice(first, first + n) for first, n in zip(corner, values.shape, strict=True))] = values
    return written


def _create_array(group: zarr.Group, variable: Variable, dims: tuple[str, ...]) -> None:
    with quiet():
        group.create_array(
            variable.name,
            shape=variable.shape,
            chunks=variable.chunks,
            shards=variable.shards,
            dtype=variable.dtype,
            compressors=_codec(),
            fill_value=variable.fill_value,
            dimension_names=dims,
            attributes=dict(variable.attrs),
        )


def _codec() -> ZstdCodec:
    return ZstdCodec(level=_LEVEL, checksum=True)


def _shuffled() -> BloscCodec:
    return BloscCodec(cname="zstd", clevel=9, shuffle="bitshuffle")


def _no_value(dtype: np.dtype) -> Any:
    return float("nan") if dtype.kind == "f" else 0


def _always_write() -> Any:
    """Also write chunks with only the fill value, because a missing file must mean "not made"."""
    return zarr.config.set({"array.write_empty_chunks": True})
