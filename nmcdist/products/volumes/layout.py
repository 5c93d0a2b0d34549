"""The layout of a store of volumes: the volumes, their descriptors, and the coordinates known in advance."""

from collections.abc import Sequence

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import SAMPLE, Coordinate, Layout, Variable, descriptor_variable, volume_variable
from nmcdist.products.attributes import store_attrs
from nmcdist.products.points import by_point
from nmcdist.products.volumes.model import VolumeModel
from nmcdist.products.volumes.recipe import VolumeRecipe

WINDOW_RATIO = "window_ratio"
READ_SLICE = 'image = ds.volume.isel(sample=i, z=ds.sizes["z"] // 2)  # image.plot(x="x_nm", y="y_nm") draws it'


def volume_of(model: VolumeModel, recipe: VolumeRecipe) -> Variable:
    """Return the variable of a recipe's volumes, with its shards and chunks."""
    attrs = {
        "units": "1",
        "long_name": "phase labels",
        "flag_values": list(range(len(model.phases))),
        "flag_meanings": " ".join(model.phases),
        "comment": "255: not known, as the file is missing",
        "voxel_size_nm": recipe.volume.voxel_size_nm,
    }
    storage = recipe.storage
    return volume_variable(recipe.samples, recipe.volume.shape, storage.chunk, storage.shard, attrs)


def store_layout(
    model: VolumeModel, recipe: VolumeRecipe, bundle: Bundle, levels: Sequence[Bundle], *, by_blocks: bool
) -> Layout:
    """Return the layout of the store of a recipe.

    Parameters
    ----------
    model : VolumeModel
    recipe : VolumeRecipe
    bundle : Bundle
    levels : sequence of Bundle
        The bundle at each point of the sweep or the design.
    by_blocks : bool
        Whether volumes are made in blocks, and so lack the descriptors that need a whole volume.
    """
    descriptors, axes = descriptor_variables(model, recipe, by_blocks=by_blocks)
    volumes = (volume_of(model, recipe),) if recipe.storage.volumes else ()
    coordinates = (
        *_sample_coordinates(recipe),
        *model.coordinates(recipe, levels),
        *_window_ratio(model, recipe, levels),
        *(_voxel_centres(recipe, volumes[0]) if volumes else ()),
        *axes,
    )
    summary = model.summary(recipe)
    attrs = store_attrs(recipe, bundle, coordinates, summary, _reading(recipe), by_blocks=by_blocks)
    if recipe.descriptors is not None and (by_blocks or len(recipe.specs) > 1):
        kept = {v.name for v in descriptors}
        attrs["descriptors_left_out"] = [
            str(name) for name in model.empty(recipe, by_blocks=False).data_vars if name not in kept
        ]
    return Layout(recipe.samples, (*volumes, *descriptors), coordinates, attrs)


def descriptor_variables(
    model: VolumeModel, recipe: VolumeRecipe, *, by_blocks: bool
) -> tuple[tuple[Variable, ...], tuple[Coordinate, ...]]:
    """Return the descriptor variables of a store and the coordinates of their dimensions.

    With fidelities, curves are left out: their lags and radii depend on the voxel size.

    Raises
    ------
    InputError
        If an option has an impossible value.
    """
    if recipe.descriptors is None:
        return (), ()
    empty = model.empty(recipe, by_blocks=by_blocks)
    for fidelity in range(1, len(recipe.specs)):
        other = model.empty(recipe.at_fidelity(fidelity), by_blocks=by_blocks)
        empty = empty.drop_dims([d for d in empty.dims if not empty[d].equals(other[d])])
    variables = tuple(
        descriptor_variable(str(name), recipe.samples, [str(d) for d in v.dims], v.shape, v.dtype, v.attrs)
        for name, v in empty.data_vars.items()
    )
    coordinates = tuple(
        Coordinate(
            str(name),
            tuple(map(str, c.dims)),
            c.values,
            {"units": "1", "long_name": str(name).replace("_", " "), **c.attrs},
        )
        for name, c in empty.coords.items()
    )
    return variables, coordinates


def _window_ratio(model: VolumeModel, recipe: VolumeRecipe, levels: Sequence[Bundle]) -> tuple[Coordinate, ...]:
    """Return how often the largest grains fit into the window, by sample: smaller windows bias transport."""
    edge = min(recipe.volume.shape) * recipe.volume.voxel_size_nm
    diameters = [model.grain_diameter_nm(level) for level in levels]
    known = [diameter for diameter in diameters if diameter is not None]
    if len(known) < len(levels):
        return ()
    attrs = {"units": "1", "long_name": "shortest edge of the window over the mean diameter of the largest grains"}
    return (by_point(WINDOW_RATIO, [edge / diameter for diameter in known], recipe, attrs),)


def _reading(recipe: VolumeRecipe) -> dict[str, str]:
    """Return attributes that show how to read the volumes with xarray alone."""
    if not recipe.storage.volumes:
        return {}
    return {
        "slice_of_item_i": READ_SLICE,
        "missing_values": "255 in volume: not known, as the file is missing; manifest.json names every file",
    }


def _sample_coordinates(recipe: VolumeRecipe) -> tuple[Coordinate, ...]:
    point, realisation, fidelity, partner = recipe.items().T.astype(np.int64)
    seeds = np.full(recipe.samples, recipe.seed, dtype=np.uint64)
    about = {
        "seed": (seeds, "1", "seed of the random streams"),
        "level": (point, "1", f"number of the {recipe.point_name}"),
        "stream": (
            recipe.streams().astype(np.int64),
            "1",
            "index of the random streams, with which an item is drawn again from the seed and its parameters",
        ),
        "realisation": (realisation, "1", f"number of the realisation at this {'point' if recipe.design else 'level'}"),
    }
    if len(recipe.specs) > 1:
        sizes = np.array([spec.voxel_size_nm for spec in recipe.specs])
        about |= {
            "fidelity": (fidelity, "1", "number of the size of the volume; 0 is that of the recipe"),
            "voxel_size_nm": (sizes[fidelity], "nm", "edge of a voxel"),
        }
    if recipe.fidelities:
        about["partner"] = (partner, "1", "sample with the same realisation and the voxels of the recipe")
    return tuple(
        Coordinate(name, (SAMPLE,), values, {"units": units, "long_name": text})
        for name, (values, units, text) in about.items()
    )


def _voxel_centres(recipe: VolumeRecipe, volume: Variable) -> tuple[Coordinate, ...]:
    step = recipe.volume.voxel_size_nm
    return tuple(
        Coordinate(
            f"{axis}_nm",
            (axis,),
            (np.arange(n) + 0.5) * step,
            {"units": "nm", "long_name": f"voxel centre along {axis}"},
            chunk,
        )
        for axis, n, chunk in zip("zyx", recipe.volume.shape, volume.file_shape[1:], strict=True)
    )
