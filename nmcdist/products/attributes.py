"""The store that a recipe calls for: its variables and coordinates, what its attributes say, its fingerprint."""

import hashlib
import json
from typing import Any

import numpy as np

import nmcdist
from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import (
    FORMAT_ATTRIBUTE,
    FORMAT_VERSION,
    SAMPLE,
    Coordinate,
    Layout,
    Variable,
    volume_variable,
)
from nmcdist.products.recipe import BaseRecipe, Recipe
from nmcdist.products.volumes import cba


def volume_of(recipe: Recipe) -> Variable:
    """Return how the volumes of a recipe are cut into shards and chunks."""
    attrs = {**cba.VOLUME_ATTRS, "voxel_size_nm": recipe.volume.voxel_size_nm}
    storage = recipe.storage
    return volume_variable(recipe.samples, recipe.volume.shape, storage.chunk, storage.shard, attrs)


def store_layout(recipe: Recipe, bundle: Bundle, *, by_blocks: bool) -> Layout:
    """Return the layout of the store of a recipe.

    Parameters
    ----------
    recipe : Recipe
    bundle : Bundle
    by_blocks : bool
        Whether volumes are made in blocks, and so lack the descriptors that need them whole.
    """
    shape, voxel_size_nm = recipe.volume.shape, recipe.volume.voxel_size_nm
    descriptors, axes = cba.descriptor_variables(
        recipe.samples, shape, voxel_size_nm, recipe.descriptors, by_blocks=by_blocks
    )
    volumes = (volume_of(recipe),) if recipe.storage.volumes else ()
    coordinates = (
        *_sample_coordinates(recipe),
        *cba.parameter_coordinates(recipe, bundle),
        *(_voxel_centres(recipe) if recipe.storage.volumes else ()),
        *axes,
    )
    attrs = store_attrs(recipe, bundle, coordinates, by_blocks=by_blocks)
    if by_blocks:
        attrs["descriptors_left_out"] = list(cba.left_out_by_blocks(shape, voxel_size_nm, recipe.descriptors))
    return Layout(recipe.samples, (*volumes, *descriptors), coordinates, attrs)


def store_attrs(
    recipe: BaseRecipe, bundle: Bundle, coordinates: tuple[Coordinate, ...], *, by_blocks: bool = False
) -> dict[str, Any]:
    """Return what the attributes of a store say: what it is, and all that it was made from."""
    return {
        FORMAT_ATTRIBUTE: FORMAT_VERSION,
        "name": recipe.name,
        "title": recipe.title,
        "version": recipe.version,
        "bundle": _text(bundle.model_dump(by_alias=True, mode="json")),
        "bundle_hash": bundle.content_hash,
        "bundle_title": bundle.title,
        "bundle_calibrated_on": bundle.calibration.data,
        "recipe": _text(recipe.content),
        "recipe_hash": recipe.content_hash,
        "fingerprint": fingerprint(recipe, bundle.content_hash, by_blocks=by_blocks),
        "nmcdist_version": nmcdist.__version__,
        # where xarray looks for them
        "coordinates": " ".join(c.name for c in coordinates if c.dims != (c.name,)),
    }


def _sample_coordinates(recipe: Recipe) -> tuple[Coordinate, ...]:
    samples = np.arange(recipe.samples, dtype=np.int64)
    seeds = np.full(recipe.samples, recipe.seed, dtype=np.uint64)
    about = {
        SAMPLE: (samples, "item, which is also the index of its random streams"),
        "seed": (seeds, "seed of the random streams"),
        "level": (samples // recipe.realisations, "number of the value that the swept parameter takes"),
        "realisation": (samples % recipe.realisations, "number of the realisation at this level"),
    }
    return tuple(
        Coordinate(name, (SAMPLE,), values, {"units": "1", "long_name": text}) for name, (values, text) in about.items()
    )


def _voxel_centres(recipe: Recipe) -> tuple[Coordinate, ...]:
    step, volume = recipe.volume.voxel_size_nm, volume_of(recipe)
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


def _text(content: dict[str, Any]) -> str:
    """Return plain data as JSON text: attributes that other formats take too are text and numbers."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def fingerprint(recipe: BaseRecipe, bundle_hash: str, *, by_blocks: bool = False) -> str:
    """Return the SHA-256 (hex) of what decides the bytes of a store's chunks."""
    content = recipe.content
    for name in ("name", "version", "title", "bundle"):
        del content[name]
    deciding = {
        "format": FORMAT_VERSION,
        "nmcdist": nmcdist.__version__,
        "bundle": bundle_hash,
        "recipe": content,
        "by_blocks": by_blocks,
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
