"""The store that a particle recipe calls for: its tables, volumes and statistics, and how large they get."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle
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
from nmcdist.datasets.particles import ORIENTATION, RECORD_ITEMS, RECORD_ROWS
from nmcdist.descriptors.grains import COLUMNS, PACKING
from nmcdist.descriptors.shell import VARIABLES as SHELL
from nmcdist.geometry import sphere
from nmcdist.models.particle import ParticleModel
from nmcdist.runs import statistics
from nmcdist.runs.particle_recipe import ParticleRecipe, label_name
from nmcdist.runs.published import store_attrs

STATISTICS = "batch_statistics"
CHUNK_ROWS = 16384
_STORED_MARGIN = 5.2  # spacings beyond the shell that seeds are stored at most, as measured: 2.8 to 5.1
_BLOCK = 4096  # shells drawn at a time
_COLUMN_TYPES = {"neighbours": "int32", "pieces": "int32", "is_surface": "bool"}
_COLUMN_SIZES = {"axis": 3, "principal_axis": 3}


@dataclass(frozen=True)
class Sizes:
    """How large the particles of a recipe can get, worked out from their shells.

    Attributes
    ----------
    radii_nm : ndarray of float64, shape (count,)
        Distance from the centre within which a particle lies.
    most_rows : ndarray of int64, shape (batches,)
        Rows that a batch can need.
    likely_rows : int
        Rows that all batches will take.
    """

    radii_nm: np.ndarray
    most_rows: np.ndarray
    likely_rows: int

    @property
    def capacity(self) -> int:
        """Rows of a file: whole chunks, enough for every batch."""
        return math.ceil(int(self.most_rows.max()) / CHUNK_ROWS) * CHUNK_ROWS


def sizes_of(recipe: ParticleRecipe, bundle: Bundle) -> Sizes:
    """Draw the shells of a recipe, which is quick, to know how large its particles get."""
    model = ParticleModel.from_bundle(bundle)
    largest = np.empty(recipe.samples)
    for start in range(0, recipe.samples, _BLOCK):
        rows, _ = model.shells.draw_many(recipe.seed, range(start, min(start + _BLOCK, recipe.samples)))
        largest[start : start + len(rows)] = sphere.star_bounds_of_many(rows)[:, 1]
    edge, window = model.margins_nm
    spacing = model.grains.widest_spacing_nm
    spare = 2 * spacing
    rows = model.grains.seeds_within(largest + window + spare)
    rows = np.ceil(rows + 10 * np.sqrt(rows))  # ten standard deviations of the Poisson law
    starts = np.arange(0, recipe.samples, recipe.particles.batch)
    likely = int(model.grains.seeds_within(largest + _STORED_MARGIN * spacing).sum())
    return Sizes(largest + edge + spare, np.add.reduceat(rows, starts).astype(np.int64), likely)


def label_shape(sizes: Sizes, voxel_size_nm: float) -> Shape:
    """Return the voxels of one particle: a cube around the centre that holds the largest of them."""
    half = math.ceil(float(sizes.radii_nm.max()) / voxel_size_nm)
    return (2 * half,) * 3


def particle_layout(recipe: ParticleRecipe, bundle: Bundle, sizes: Sizes) -> Layout:
    """Return the layout of the store of a recipe."""
    totals, axes = statistics.total_variables(recipe)
    coordinates = (*_coordinates(recipe), *axes)
    variables = (*_items(recipe), *_rows(recipe, sizes), _statistics(recipe), *_labels(recipe, sizes))
    return Layout(recipe.samples, variables, coordinates, store_attrs(recipe, bundle, coordinates), totals)


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
            attrs = {**column.attrs, "voxel_size_nm": recipe.descriptors.voxel_size_nm}
            described[name] = dims, shape, _COLUMN_TYPES.get(name, "float32"), attrs
    length = recipe.batches * sizes.capacity
    return [
        batch_variable(
            name,
            length,
            sizes.capacity,
            (ROW, *dims),
            shape,
            dtype,
            {**attrs, ITEMS_PER_FILE: recipe.particles.batch},
            CHUNK_ROWS,
        )
        for name, (dims, shape, dtype, attrs) in described.items()
    ]


def _statistics(recipe: ParticleRecipe) -> Variable:
    attrs = {
        "long_name": "what each batch adds to the statistics: exact integer sums, floats by their bits",
        ITEMS_PER_FILE: recipe.particles.batch,
    }
    length = statistics.row_length(recipe)
    return batch_variable(STATISTICS, recipe.batches, 1, ("batch", "word"), (length,), "int64", attrs)


def _labels(recipe: ParticleRecipe, sizes: Sizes) -> list[Variable]:
    return [
        volume_variable(
            recipe.samples, label_shape(sizes, size), recipe.labels.chunk, recipe.labels.shard,
            {
                "units": "1", "long_name": "grain labels, 0 outside; the particle's centre is that of the array",
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
