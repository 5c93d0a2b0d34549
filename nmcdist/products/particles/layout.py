"""The layout of a store of particles: its tables, volumes and statistics."""

import math
from collections.abc import Sequence
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
from nmcdist.datasets.particles import (
    GRAIN,
    ORIENTATION,
    RECORD_ITEMS,
    RECORD_ROWS,
    how_to_read,
    row_storage,
    shape_of,
)
from nmcdist.datasets.statistics import STATISTICS
from nmcdist.descriptors.grains import COLUMNS, PACKING
from nmcdist.descriptors.quantity import Quantity, by_name
from nmcdist.descriptors.shell import VARIABLES as SHELL
from nmcdist.models.particle_wishes import PARTICLE_WISHES
from nmcdist.products.attributes import store_attrs
from nmcdist.products.particles.recipe import ParticleRecipe, label_name
from nmcdist.products.particles.sizes import CHUNK_ROWS, Sizes
from nmcdist.products.points import by_point, parameter_coordinate

MEDIAN, GRAIN_DIAMETER = "median_diameter_um", "grain_diameter_nm"
DERIVED = {name: PARTICLE_WISHES[name] for name in (MEDIAN, GRAIN_DIAMETER)}  # the same on every machine
_ABOUT_DERIVED = {
    MEDIAN: {"units": "um", "long_name": "median of the mean diameters of the particles, by the law"},
    GRAIN_DIAMETER: {"units": "nm", "long_name": "diameter of the ball of the mean volume of a grain, by the law"},
}


def label_shape(sizes: Sizes, voxel_size_nm: float) -> Shape:
    """Return the shape of a particle's voxels: a cube around the centre that holds the largest particle."""
    return cube_shape(sizes.largest_nm, voxel_size_nm)


def cube_shape(largest_nm: float, voxel_size_nm: float) -> Shape:
    """Return the shape of a cube of voxels around the centre that holds all points within a distance of it."""
    half = math.ceil(largest_nm / voxel_size_nm)
    return (2 * half,) * 3


def is_label_volume(variable: Variable) -> bool:
    """Return whether a variable holds the voxels of particles."""
    return variable.dims[0] == SAMPLE and len(variable.dims) == 4


def particle_layout(recipe: ParticleRecipe, bundle: Bundle, sizes: Sizes, levels: Sequence[Bundle]) -> Layout:
    """Return the layout of the store of a recipe; `levels` are the bundles at the points of its design."""
    totals, axes = statistics.total_variables(recipe.descriptors)
    coordinates = (axis_coordinate(), *axes, *_coordinates_of_points(recipe, levels))
    variables = (
        *_items(recipe),
        *_rows(recipe, sizes),
        _statistics(recipe),
        *label_variables(recipe, sizes.largest_nm),
    )
    about = how_to_read(measured=recipe.descriptors is not None)
    attrs = store_attrs(recipe, bundle, coordinates, summary_of(recipe), about)
    return Layout(recipe.samples, variables, coordinates, attrs, totals)


def summary_of(recipe: ParticleRecipe) -> str:
    """Return what a store of a recipe holds, in a few sentences for its readers."""
    parts = [
        f"{recipe.samples} virtual cathode particles, drawn from a stochastic model. A particle consists of the grains "
        "of a tessellation whose centres of mass lie in its outer shell. Variables along sample have a value per "
        "particle: size and shape of the shell (shell_...), and the record that draws it again. Variables along row "
        "are tables of the grains of all particles, one particle after another.",
    ]
    if recipe.descriptors is not None:
        parts.append(f"Grains were measured on voxels of {recipe.descriptors.voxel_size_nm:g} nm.")
    if sizes := " and ".join(f"{size:g} nm" for size in recipe.labels.voxel_sizes_nm):
        parts.append(f"Voxels of {sizes} hold the labels of the grains (labels_...).")
    if recipe.varied:
        parts.append(
            f"{', '.join(recipe.varied)} are varied over {recipe.points} points (level), with "
            f"{recipe.particles.count} particles each."
        )
    parts.append("Statistics over all particles and grains are in ..._histogram, ..._moments and ..._profile.")
    return " ".join(parts)


def _items(recipe: ParticleRecipe) -> list[Variable]:
    described = RECORD_ITEMS | {f"shell_{name}": quantity for name, quantity in SHELL.items()}
    if recipe.descriptors is not None:
        described |= PACKING | PIECES
    batch = recipe.particles.batch
    return [
        batch_variable(
            name, recipe.samples, batch, (SAMPLE, *about.dims), shape_of(about), about.dtype,
            {**about.attrs, ITEMS_PER_FILE: batch},
        )
        for name, about in described.items()
    ]  # fmt: skip


PIECES = by_name(
    Quantity(
        "grains_with_pieces", (), "1", "grains of more than one piece before the smaller ones were given to neighbours",
        dtype="int64",
    ),
    Quantity("pieces_merged", (), "1", "pieces given to neighbours", dtype="int64"),
    Quantity("voxels_merged", (), "1", "voxels of these pieces", dtype="int64"),
)  # fmt: skip


def _rows(recipe: ParticleRecipe, sizes: Sizes) -> list[Variable]:
    records = RECORD_ROWS | (ORIENTATION if recipe.orientations is not None else {})
    rows = [_row_variable(recipe, sizes.capacity, about, about.dtype, about.attrs) for about in records.values()]
    if recipe.descriptors is not None:
        for about in COLUMNS.values():
            attrs = {
                **about.attrs,
                "voxel_size_nm": recipe.descriptors.voxel_size_nm,
                "comment": "missing where no grain is, or one that is not kept or holds no voxel",
            }
            dtype = "float32" if about.dtype == "float64" else about.dtype
            rows.append(_row_variable(recipe, sizes.capacity, about, dtype, attrs))
    return rows


def _row_variable(
    recipe: ParticleRecipe, capacity: int, about: Quantity, dtype: str, attrs: dict[str, Any]
) -> Variable:  # fmt: skip
    fill, decoding = row_storage(about.name, dtype)
    attrs = {**attrs, **decoding, ITEMS_PER_FILE: recipe.particles.batch}
    length, dims = recipe.batches * capacity, (ROW, *(dim for dim in about.dims if dim != GRAIN))
    return batch_variable(about.name, length, capacity, dims, shape_of(about), dtype, attrs, CHUNK_ROWS, fill)


def _statistics(recipe: ParticleRecipe) -> Variable:
    attrs = {
        "units": "1",
        "long_name": "what each batch adds to the statistics: exact integer sums, floats by their bits",
        "description": "an intermediate result, kept so that parts of a run can be joined; the sums over all batches "
        "are in particle_moments, grain_histogram and the like",
        ITEMS_PER_FILE: recipe.particles.batch,
    }
    length = statistics.row_length(recipe.descriptors)
    return batch_variable(STATISTICS, recipe.batches, 1, ("batch", "word"), (length,), "int64", attrs)


def label_variables(recipe: ParticleRecipe, largest_nm: float) -> list[Variable]:
    """Return the volumes of voxels of a recipe, for particles within a distance from their centres."""
    return [
        volume_variable(
            recipe.samples, cube_shape(largest_nm, size), recipe.labels.chunk, recipe.labels.shard,
            {
                "units": "1", "long_name": "grain labels, 0 outside; the particle's centre is that of the array",
                "description": f"the label of a grain is `label` in the particle's rows of the tables; along each of "
                f"z, y, x the centre of voxel k is (k + 0.5 - n / 2) * {size:g} nm from that of the particle, where n "
                "is the length of the axis",
                "comment": "-1: not known, as the file is missing",
                "voxel_size_nm": size,
            },
            label_name(size), "int32", -1, tuple(f"{axis}_{size:g}nm" for axis in "zyx"),
        )
        for size in recipe.labels.voxel_sizes_nm
    ]  # fmt: skip


def _coordinates_of_points(recipe: ParticleRecipe, levels: Sequence[Bundle]) -> list[Coordinate]:
    """Return the point of each particle, its number there, and the values of the varied parameters."""
    if recipe.design is None:
        return []
    point, number = recipe.items().T
    about = {"level": (point, "number of the point of the design"), "realisation": (number, "number at this point")}
    found = [
        Coordinate(name, (SAMPLE,), values, {"units": "1", "long_name": text}) for name, (values, text) in about.items()
    ]
    for name in recipe.varied:
        if name in DERIVED:
            values = [point[name] for point in recipe.point_values()]
            found.append(by_point(name, values, recipe, _ABOUT_DERIVED[name]))
        else:
            found.append(parameter_coordinate(name, recipe, levels))
    return found


def axis_coordinate() -> Coordinate:
    """Return the coordinate of the components of vectors and points."""
    attrs = {
        "units": "1",
        "long_name": "coordinate axis",
        "description": "component of a vector or a point, ordered z, y, x as the axes of the voxels",
    }
    return Coordinate("axis", ("axis",), np.array(list("zyx")), attrs)
