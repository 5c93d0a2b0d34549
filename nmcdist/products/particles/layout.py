"""The store that a recipe of particles calls for: its tables, volumes and statistics."""

import math
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets import statistics
from nmcdist.datasets.layout import (
    ITEMS_PER_FILE,
    ROW,
    SAMPLE,
    Coordinate,
    Layout,
    Shape,
    Variable,
    batch_variable,
    volume_variable,
)
from nmcdist.datasets.particles import ORIENTATION, RECORD_ITEMS, RECORD_ROWS, how_to_read, row_storage
from nmcdist.datasets.statistics import STATISTICS
from nmcdist.descriptors.grains import COLUMNS, PACKING
from nmcdist.descriptors.shell import VARIABLES as SHELL
from nmcdist.products.attributes import store_attrs
from nmcdist.products.particles.recipe import ParticleRecipe, label_name
from nmcdist.products.particles.sizes import CHUNK_ROWS, Sizes

_COLUMN_TYPES = {"neighbours": "int32", "pieces": "int32", "is_surface": "bool"}
_COLUMN_SIZES = {"axis": 3, "principal_axis": 3}


def label_shape(sizes: Sizes, voxel_size_nm: float) -> Shape:
    """Return the voxels of one particle: a cube around the centre that holds the largest of them."""
    half = math.ceil(sizes.largest_nm / voxel_size_nm)
    return (2 * half,) * 3


def particle_layout(recipe: ParticleRecipe, bundle: Bundle, sizes: Sizes) -> Layout:
    """Return the layout of the store of a recipe."""
    totals, axes = statistics.total_variables(recipe.descriptors)
    coordinates = (*_coordinates(recipe), *axes)
    variables = (*_items(recipe), *_rows(recipe, sizes), _statistics(recipe), *_labels(recipe, sizes))
    attrs = store_attrs(recipe, bundle, coordinates) | how_to_read(measured=recipe.descriptors is not None)
    return Layout(recipe.samples, variables, coordinates, attrs, totals)


def _items(recipe: ParticleRecipe) -> list[Variable]:
    described: dict[str, tuple[tuple[str, ...], tuple[int, ...], str, dict[str, Any]]] = {
        name: (dims, shape, dtype, {"units": unit, "long_name": text})
        for name, (dims, shape, dtype, unit, text) in RECORD_ITEMS.items()
    }
    described |= {f"shell_{name}": ((), (), "float64", column.attrs) for name, column in SHELL.items()}
    if recipe.descriptors is not None:
        described |= {name: ((), (), "float64", column.attrs) for name, column in PACKING.items()}
        described |= {
            name: ((), (), "int64", {"units": "1", "long_name": text}) for name, text in PIECES.items()
        }  # fmt: skip
    batch = recipe.particles.batch
    return [
        batch_variable(name, recipe.samples, batch, (SAMPLE, *dims), shape, dtype, {**attrs, ITEMS_PER_FILE: batch})
        for name, (dims, shape, dtype, attrs) in described.items()
    ]


PIECES = {
    "grains_with_pieces": "grains of more than one piece before the smaller ones were given to neighbours",
    "pieces_merged": "pieces given to neighbours",
    "voxels_merged": "voxels of these pieces",
}


def _rows(recipe: ParticleRecipe, sizes: Sizes) -> list[Variable]:
    described: dict[str, tuple[tuple[str, ...], tuple[int, ...], str, dict[str, Any]]] = {
        name: (dims, shape, dtype, {"units": unit, "long_name": text})
        for name, (dims, shape, dtype, unit, text) in (
            RECORD_ROWS | (ORIENTATION if recipe.orientations is not None else {})
        ).items()
    }
    if recipe.descriptors is not None:
        for name, column in COLUMNS.items():
            dims = column.dims[1:]
            shape = tuple(_COLUMN_SIZES[d] for d in dims)
            attrs = {
                **column.attrs,
                "voxel_size_nm": recipe.descriptors.voxel_size_nm,
                "comment": "missing where there is no grain, or it is not kept or holds no voxel",
            }
            described[name] = dims, shape, _COLUMN_TYPES.get(name, "float32"), attrs
    return [_row_variable(recipe, sizes.capacity, name, *described_as) for name, described_as in described.items()]


def _row_variable(
    recipe: ParticleRecipe, capacity: int, name: str, dims: tuple[str, ...], shape: tuple[int, ...], dtype: str,
    attrs: dict[str, Any],
) -> Variable:  # fmt: skip
    fill, decoding = row_storage(name, dtype)
    attrs = {**attrs, **decoding, ITEMS_PER_FILE: recipe.particles.batch}
    length = recipe.batches * capacity
    return batch_variable(name, length, capacity, (ROW, *dims), shape, dtype, attrs, CHUNK_ROWS, fill)


def _statistics(recipe: ParticleRecipe) -> Variable:
    attrs = {
        "long_name": "what each batch adds to the statistics: exact integer sums, floats by their bits",
        ITEMS_PER_FILE: recipe.particles.batch,
    }
    length = statistics.row_length(recipe.descriptors)
    return batch_variable(STATISTICS, recipe.batches, 1, ("batch", "word"), (length,), "int64", attrs)


def _labels(recipe: ParticleRecipe, sizes: Sizes) -> list[Variable]:
    return [
        volume_variable(
            recipe.samples, label_shape(sizes, size), recipe.labels.chunk, recipe.labels.shard,
            {
                "units": "1", "long_name": "grain labels, 0 outside; the particle's centre is that of the array",
                "comment": "-1: not known, as the file is missing",
                "voxel_size_nm": size,
            },
            label_name(size), "int32", -1, tuple(f"{axis}_{size:g}nm" for axis in "zyx"),
        )
        for size in recipe.labels.voxel_sizes_nm
    ]  # fmt: skip


def _coordinates(recipe: ParticleRecipe) -> list[Coordinate]:
    samples = np.arange(recipe.samples, dtype=np.int64)
    text = {"units": "1", "long_name": "item, which is also the index of its random streams"}
    return [
        Coordinate(SAMPLE, (SAMPLE,), samples, text),
        Coordinate("axis", ("axis",), np.array(list("zyx")), {"long_name": "coordinate axis"}),
    ]
