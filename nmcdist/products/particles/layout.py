"""The store that a particle recipe calls for: its tables, volumes and statistics, and how large they get."""

import math
from dataclasses import dataclass
from typing import Any, Literal

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
from nmcdist.descriptors.grains import COLUMNS, PACKING
from nmcdist.descriptors.shell import VARIABLES as SHELL
from nmcdist.geometry import sphere
from nmcdist.models.particle import ParticleModel
from nmcdist.products.attributes import store_attrs
from nmcdist.products.particles.recipe import ParticleRecipe, label_name

STATISTICS = "batch_statistics"
CHUNK_ROWS = 16384
_STORED_MARGIN = 5.2  # spacings beyond the shell that seeds are stored at most, as measured: 2.8 to 5.1
_BLOCK = 4096  # shells drawn at a time
ESTIMATED_FROM = 4096  # shells
_MOST_ROWS = 2.0**36  # of a particle: more than any memory holds, and few enough to be counted in 64 bits
_COLUMN_TYPES = {"neighbours": "int32", "pieces": "int32", "is_surface": "bool"}
_COLUMN_SIZES = {"axis": 3, "principal_axis": 3}


Shells = Literal["all", "estimate", "least"]


@dataclass(frozen=True)
class Sizes:
    """How large the particles of a recipe can get, worked out from their shells.

    Attributes
    ----------
    drawn : int
        Shells from which it was worked out: all, or the first ones.
    radii_nm : ndarray of float64, shape (drawn,)
        Distance from the centre within which each of these particles lies.
    largest_nm : float
        Distance within which the largest particle of the recipe lies.
    most_rows : ndarray of int64
        Rows that a batch can need: of each batch, or of the largest.
    likely_rows : int
        Rows that all batches will take.
    """

    drawn: int
    radii_nm: np.ndarray
    largest_nm: float
    most_rows: np.ndarray
    likely_rows: int

    @property
    def capacity(self) -> int:
        """Rows of a file: whole chunks, enough for every batch."""
        return math.ceil(int(self.most_rows.max()) / CHUNK_ROWS) * CHUNK_ROWS


def sizes_of(recipe: ParticleRecipe, bundle: Bundle, shells: Shells = "all") -> Sizes:
    """Work out how large the particles of a recipe get.

    Parameters
    ----------
    recipe : ParticleRecipe
    bundle : Bundle
    shells : {"all", "estimate", "least"}
        "all" draws every shell, as a store's layout needs it: minutes for a million. The others draw the first
        `ESTIMATED_FROM` of them. "estimate" gives the sizes that all stay below with a probability of about 95 %, by
        :meth:`ShellModel.largest_of`; "least" what a run is sure to need.

    Raises
    ------
    BundleError
        If the bundle has no marker law.
    InputError
        If its law gives no shell.
    """
    model = ParticleModel.from_bundle(bundle)
    count = recipe.samples if shells == "all" else min(recipe.samples, ESTIMATED_FROM)
    model.shells.draw_many(recipe.seed, range(min(count, 8)))  # refuses a law that gives no shells at once
    coefficients, bounds = np.empty(count), np.empty((count, 2))
    for start in range(0, count, _BLOCK):
        rows, _ = model.shells.draw_many(recipe.seed, range(start, min(start + _BLOCK, count)))
        coefficients[start : start + len(rows)] = rows[:, 0]
        bounds[start : start + len(rows)] = sphere.star_bounds_of_many(rows)
    edge, _ = model.margins_nm
    spare = 2 * model.grains.widest_spacing_nm
    largest, radii = bounds[:, 1], bounds[:, 1] + edge + spare
    most, likely = _most_rows(model, largest), _likely_rows(model, largest)
    batch = recipe.particles.batch
    if count == recipe.samples:
        rows = np.add.reduceat(most, np.arange(0, count, batch)).astype(np.int64)
        return Sizes(count, radii, float(radii.max()), rows, int(likely.sum()))
    error = 4 * float(likely.std()) / math.sqrt(count)
    if shells == "least":
        rows = np.array([most[:batch].sum()]).astype(np.int64)
        return Sizes(count, radii, float(radii.max()), rows, int(recipe.samples * max(likely.mean() - error, 0.0)))
    longest = model.shells.largest_of(recipe.samples, coefficients, bounds)
    others = min(batch, recipe.samples) - 1
    of_batch = _most_rows(model, np.array([longest])) + others * most.mean() + 4 * math.sqrt(others) * most.std()
    rows = np.ceil(of_batch).astype(np.int64)
    return Sizes(count, radii, longest + edge + spare, rows, int(recipe.samples * (likely.mean() + error)))


def _most_rows(model: ParticleModel, largest_nm: np.ndarray) -> np.ndarray:
    """Return the rows that particles within these shells can need: ten standard deviations of the Poisson law more."""
    _, window = model.margins_nm
    rows = model.grains.seeds_within(largest_nm + window + 2 * model.grains.widest_spacing_nm)
    return np.minimum(np.ceil(rows + 10 * np.sqrt(rows)), _MOST_ROWS)


def _likely_rows(model: ParticleModel, largest_nm: np.ndarray) -> np.ndarray:
    return model.grains.seeds_within(largest_nm + _STORED_MARGIN * model.grains.widest_spacing_nm)


def label_shape(sizes: Sizes, voxel_size_nm: float) -> Shape:
    """Return the voxels of one particle: a cube around the centre that holds the largest of them."""
    half = math.ceil(sizes.largest_nm / voxel_size_nm)
    return (2 * half,) * 3


def particle_layout(recipe: ParticleRecipe, bundle: Bundle, sizes: Sizes) -> Layout:
    """Return the layout of the store of a recipe."""
    totals, axes = statistics.total_variables(recipe)
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
    length = statistics.row_length(recipe)
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
