"""The layout of a store: its variables, their chunks and shards, and the owner of each file.

A layout is plain data. It depends only on the recipe, never on the cluster, so the same recipe gives the same files
on a laptop and on forty workers.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FORMAT_VERSION = 2
FORMATS_READ = (1, 2)
FORMAT_ATTRIBUTE = "nmcdist_format"
VIRTUAL_ATTRIBUTE = "nmcdist_virtual"  # of a store whose chunks are computed when they are read
SAMPLE = "sample"
ROW = "row"  # dimension of the tables with the grains of all particles, batch after batch
VOLUME = "volume"
ITEMS_PER_FILE = "items_per_file"  # attribute of variables owned by batches of items
_NUMBERS = "_index"
UNWRITTEN = 255  # not a label, so a missing shard never reads as pore

Shape = tuple[int, int, int]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Variable:
    """One Zarr array; each task writes its own chunks along the first dimension, `sample`.

    Attributes
    ----------
    name : str
    dims : tuple of str
    shape : tuple of int
    chunks : tuple of int
        Shape of the values that are compressed together.
    shards : tuple of int or None
        Shape of one file, if it contains more than one chunk.
    dtype : str
    fill_value : float, int
        Value of unwritten data: NaN, or marked as missing by attributes.
    attrs : Mapping
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    dtype: str
    fill_value: Any
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Shape of one file."""
        return self.shards or self.chunks

    def files(self, place: int | None = None) -> Iterator[str]:
        """Yield the paths (relative to the store) of the files at one index along the first axis, or of all files."""
        counts = [math.ceil(n / c) for n, c in zip(self.shape, self.file_shape, strict=True)]
        ranges = [range(n) for n in counts]
        if place is not None:
            ranges[0] = range(place, place + 1)
        for index in itertools.product(*ranges):
            yield self.file(index)

    def file(self, index: Sequence[int]) -> str:
        """Return the path of the file at this index of the grid of files."""
        return "/".join([self.name, "c", *map(str, index)])


@dataclass(frozen=True)
class Coordinate:
    """One small array, written once when all tasks are done."""

    name: str
    dims: tuple[str, ...]
    values: np.ndarray
    attrs: Mapping[str, Any] = field(default_factory=dict)
    chunk: int | None = None  # along its only dimension, to match the Dask chunks there


@dataclass(frozen=True)
class Layout:
    """A whole store: variables, coordinates and the attributes of the group; totals are written at the end."""

    samples: int
    variables: tuple[Variable, ...]
    coordinates: tuple[Coordinate, ...]
    attrs: Mapping[str, Any]
    totals: tuple[Variable, ...] = ()

    @property
    def file_count(self) -> int:
        """Number of files of the finished store, including its manifest."""
        arrays = (*self.variables, *self.totals)
        chunks = sum(math.prod(map(math.ceil, np.divide(v.shape, v.file_shape))) for v in arrays)
        chunks += sum(math.ceil(c.values.size / (c.chunk or max(c.values.size, 1))) for c in self.coordinates)
        return int(chunks) + len(self.nodes) + 1

    def variable(self, name: str) -> Variable | None:
        """Return the variable of this name, or None."""
        return next((v for v in self.variables if v.name == name), None)

    @property
    def descriptors(self) -> tuple[Variable, ...]:
        """Every variable but the volumes."""
        return tuple(v for v in self.variables if v.name != VOLUME)

    def stored_dims(self, dims: Sequence[str]) -> tuple[str, ...]:
        """Return the names on disk of dimensions: of one with a coordinate of its name, except `sample`, another name.

        xarray reads a coordinate with the name of its dimension when it opens a store, by a request for each.
        """
        own = {c.name for c in self.coordinates if c.dims == (c.name,)} - {SAMPLE}
        return tuple(dim + _NUMBERS if dim in own else dim for dim in dims)

    @property
    def nodes(self) -> set[str]:
        """Paths of the metadata files of the group and of every array."""
        names = [v.name for v in (*self.variables, *self.totals)] + [c.name for c in self.coordinates]
        return {"zarr.json", *(f"{name}/zarr.json" for name in names)}

    @property
    def late_nodes(self) -> set[str]:
        """Paths of the metadata files of the coordinates, which are written at the end."""
        return {f"{c.name}/zarr.json" for c in self.coordinates}


def own_dim(stored: str) -> str:
    """Return the name of a dimension from that on disk (:meth:`Layout.stored_dims`): that of its coordinate, if any."""
    return stored.removesuffix(_NUMBERS)


def volume_variable(
    samples: int, shape: Shape, chunk: int, shard: int | None, attrs: Mapping[str, Any],
    name: str = VOLUME, dtype: str = "uint8", fill_value: int = UNWRITTEN, axes: Sequence[str] = ("z", "y", "x"),
) -> Variable:  # fmt: skip
    """Lay out the label volumes in shards of whole chunks, no longer than `shard` voxels.

    Parameters
    ----------
    samples : int
    shape : tuple of int
        Voxels of one volume along z, y, x.
    chunk : int
        Edge of a chunk in voxels; along a shorter axis, chunks have the length of the axis.
    shard : int or None
        Longest edge of a shard in voxels, at least `chunk`; None if each chunk is a file.
    attrs : Mapping
    name, dtype : str
    fill_value : int
        An unused label.
    axes : sequence of str
        Names of the dimensions z, y, x.
    """
    chunks = tuple(min(chunk, n) for n in shape)
    shards = None if shard is None else (1, *(_equal_parts(n, c, shard) for n, c in zip(shape, chunks, strict=True)))
    return Variable(name, (SAMPLE, *axes), (samples, *shape), (1, *chunks), shards, dtype, fill_value, attrs)


def descriptor_variable(
    name: str, samples: int, dims: Sequence[str], shape: Sequence[int], dtype: Any, attrs: Mapping[str, Any]
) -> Variable:
    """Lay out one descriptor: one chunk per sample, so that a task owns its files."""
    stored, fill, extra = _storage_of(np.dtype(dtype))
    shape = tuple(int(n) for n in shape)
    return Variable(
        name, (SAMPLE, *dims), (samples, *shape), (1, *shape), None, stored, fill, {**attrs, **extra}
    )  # fmt: skip


def batch_variable(
    name: str, length: int, per_file: int, dims: Sequence[str], shape: Sequence[int], dtype: Any,
    attrs: Mapping[str, Any], chunk: int | None = None, fill_value: int | None = None,
) -> Variable:  # fmt: skip
    """Lay out a variable of batches: each batch owns one file, with `per_file` entries along the first axis.

    Parameters
    ----------
    name : str
    length : int
        Length of the first axis.
    per_file : int
        Entries of the first axis per file.
    dims : sequence of str
        Names of all axes, including the first.
    shape : sequence of int
        Shape of the other axes.
    dtype : dtype
    attrs : Mapping
    chunk : int, optional
        Entries of the first axis that are compressed together, a divisor of `per_file`. Default: a whole file.
    fill_value : int, optional
        Value of entries that no batch fills. Default: an unused number for integers, else NaN.
    """
    stored, fill, extra = _storage_of(np.dtype(dtype))
    fill = fill if fill_value is None else fill_value
    chunks = (chunk or per_file, *shape)
    shards = (per_file, *shape) if chunk else None
    return Variable(name, tuple(dims), (length, *shape), chunks, shards, stored, fill, {**attrs, **extra})


def boxes_of(shape: Shape, block: Shape) -> list[Box]:
    """Cut a volume into blocks of one shape, in C order; the last block along an axis may be shorter."""
    z, y, x = ([(a, min(a + b, n)) for a in range(0, n, b)] for n, b in zip(shape, block, strict=True))
    return list(itertools.product(z, y, x))


def files_in_box(volume: Variable, sample: int, box: Box) -> list[str]:
    """Return the files of one sample's shards in a box of whole shards."""
    ranges = [range(a // s, math.ceil(b / s)) for (a, b), s in zip(box, volume.file_shape[1:], strict=True)]
    return [volume.file((sample, *index)) for index in itertools.product(*ranges)]


def _equal_parts(length: int, chunk: int, longest: int) -> int:
    chunks = math.ceil(length / chunk)
    at_most = max(1, longest // chunk)
    parts = math.ceil(chunks / at_most)
    return math.ceil(chunks / parts) * chunk


def _storage_of(dtype: np.dtype) -> tuple[str, Any, dict[str, Any]]:
    """Return dtype on disk, fill value and attributes, with a fill value that is never data."""
    if dtype.kind == "b":
        return "uint8", UNWRITTEN, {"flag_values": [0, 1], "flag_meanings": "no yes"}
    if dtype.kind == "u":
        return dtype.name, int(np.iinfo(dtype).max), {}
    if dtype.kind == "i":
        return dtype.name, int(np.iinfo(dtype).min), {}
    return dtype.name, float("nan"), {}
