"""What an item of the additive phase is: how it is drawn, described and laid out.

The seam between the production machinery, which knows tasks and files, and the model, which knows neither.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.bundle.parameters import unit_of
from nmcdist.datasets.layout import Coordinate, Shape, Variable, descriptor_variable
from nmcdist.errors import BundleError, RecipeError
from nmcdist.faults import proposal
from nmcdist.products.recipe import GRAPHITE_FRACTION, DescriptorSpec, Recipe

MODEL = "cba"

VOLUME_ATTRS = {
    "units": "1",
    "long_name": "phase labels",
    "flag_values": [0, 1, 2],
    "flag_meanings": "pore carbon_binder graphite",
    "comment": "255: not known, as the file is missing",
}


def parameter_changes(recipe: Recipe, bundle: Bundle) -> list[dict[str, float]]:
    """Return, for each level of the sweep, the bundle parameters that it sets.

    Raises
    ------
    RecipeError
        If the swept parameter is unknown or takes an impossible value.
    """
    from nmcdist.models.theory import intensity_for_graphite_fraction

    changes: list[dict[str, float]] = []
    known = [GRAPHITE_FRACTION, *bundle.values]
    if recipe.swept is not None and recipe.swept not in known:
        raise RecipeError(f"sweep.{recipe.swept}: unknown parameter{proposal(recipe.swept, known)}")
    for value in recipe.levels:
        if value is None:
            changes.append({})
        elif recipe.swept == GRAPHITE_FRACTION:
            intensity = intensity_for_graphite_fraction(bundle.cba(), value)
            changes.append({"lambda_X_per_nm3": intensity})
        else:
            changes.append({str(recipe.swept): value})
        try:
            bundle.with_parameters(**changes[-1])
        except BundleError as error:
            raise RecipeError(f"sweep.{recipe.swept}: {error}") from None
    return changes


def draw_bytes(levels: Sequence[CbaParameters], window: Shape, voxel_size_nm: float, threads: int) -> float:
    """Return the most bytes that drawing a window takes at any level, besides its voxels."""
    from nmcdist.models.cba import draw_bytes

    return max(draw_bytes(parameters, window, voxel_size_nm, threads) for parameters in levels)


def level_parameters(recipe: Recipe, bundle: Bundle) -> list[CbaParameters]:
    """Return the parameters at each level of the sweep.

    Raises
    ------
    BundleError, RecipeError
        If the bundle is of another model, or the sweep asks for what it cannot give.
    """
    return [bundle.with_parameters(**c).cba() for c in parameter_changes(recipe, bundle)]


def parameter_coordinates(recipe: Recipe, bundle: Bundle) -> tuple[Coordinate, ...]:
    """Return what is known of every sample beforehand: graphite intensity and fraction, swept parameter."""
    from nmcdist.models.theory import graphite_fraction

    per_level = level_parameters(recipe, bundle)
    names = {"lambda_X_per_nm3"} | ({recipe.swept} if recipe.swept else set()) - {GRAPHITE_FRACTION}
    coordinates = []
    for name in sorted(str(n) for n in names):
        attrs = {"units": unit_of(CbaParameters, name), "long_name": CbaParameters.model_fields[name].description}
        coordinates.append(_by_sample(name, [getattr(p, name) for p in per_level], recipe, attrs))
    attrs = {"units": "1", "long_name": "volume fraction of graphite by theory, V1"}
    fractions = [graphite_fraction(p) for p in per_level]
    return (*coordinates, _by_sample(GRAPHITE_FRACTION, fractions, recipe, attrs))


def draw(
    bundle: Bundle, changes: Mapping[str, float], shape: Shape, voxel_size_nm: float, seed: int, index: int,
    origin: Shape,
) -> np.ndarray:  # fmt: skip
    """Draw a window of one item."""
    from nmcdist.models.cba import generate_cba

    changed = bundle.with_parameters(**changes)
    return generate_cba(changed, shape, voxel_size_nm, seed=seed, index=index, origin=origin)


def descriptor_variables(
    samples: int, shape: Shape, voxel_size_nm: float, options: DescriptorSpec | None, *, by_blocks: bool
) -> tuple[tuple[Variable, ...], tuple[Coordinate, ...]]:
    """Return the descriptor variables of a store and the coordinates that their dimensions have.

    Raises
    ------
    InputError
        If an option is impossible.
    """
    if options is None:
        return (), ()
    empty = _empty(shape, voxel_size_nm, options, by_blocks=by_blocks)
    variables = tuple(
        descriptor_variable(str(name), samples, [str(d) for d in v.dims], v.shape, v.dtype, v.attrs)
        for name, v in empty.data_vars.items()
    )
    coordinates = tuple(
        Coordinate(str(name), tuple(map(str, c.dims)), c.values, dict(c.attrs)) for name, c in empty.coords.items()
    )
    return variables, coordinates


def left_out_by_blocks(shape: Shape, voxel_size_nm: float, options: DescriptorSpec | None) -> tuple[str, ...]:
    """Return the descriptors that need a whole volume in memory."""
    whole, _ = descriptor_variables(1, shape, voxel_size_nm, options, by_blocks=False)
    blocks, _ = descriptor_variables(1, shape, voxel_size_nm, options, by_blocks=True)
    kept = {v.name for v in blocks}
    return tuple(v.name for v in whole if v.name not in kept)


def describe(volume: np.ndarray, voxel_size_nm: float, options: DescriptorSpec) -> dict[str, np.ndarray]:
    """Return every descriptor of a whole volume, by name."""
    from nmcdist.descriptors.cba import describe_cba

    return _values(describe_cba(volume, voxel_size_nm, **_arguments(options)))


def halo(shape: Shape, voxel_size_nm: float, options: DescriptorSpec | None) -> int:
    """Return how many voxels around a block its descriptors look at."""
    from nmcdist.descriptors.cba import halo_voxels

    return 0 if options is None else halo_voxels(_empty(shape, voxel_size_nm, options, by_blocks=True))


def describe_block(
    window: np.ndarray, core: tuple[slice, ...], shape: Shape, voxel_size_nm: float, options: DescriptorSpec
) -> dict[str, np.ndarray]:
    """Return what a block adds to the descriptors of its volume."""
    from nmcdist.descriptors.cba import block_partials

    return block_partials(window, core, _empty(shape, voxel_size_nm, options, by_blocks=True))


def describe_from_blocks(
    partials: Mapping[str, np.ndarray], shape: Shape, voxel_size_nm: float, options: DescriptorSpec
) -> dict[str, np.ndarray]:
    """Return the descriptors of a volume from the sum of what its blocks add."""
    from nmcdist.descriptors.cba import describe_from_partials

    empty = _empty(shape, voxel_size_nm, options, by_blocks=True)
    return _values(describe_from_partials(partials, empty, voxel_size_nm))


def _by_sample(name: str, per_level: list[float], recipe: Recipe, attrs: Any) -> Coordinate:
    return Coordinate(name, ("sample",), np.repeat(np.array(per_level, dtype=float), recipe.realisations), attrs)


def _arguments(options: DescriptorSpec) -> dict[str, Any]:
    return options.model_dump()


def _empty(shape: Shape, voxel_size_nm: float, options: DescriptorSpec, *, by_blocks: bool) -> Any:
    from nmcdist.descriptors.cba import descriptor_layout

    return descriptor_layout(shape, voxel_size_nm, **_arguments(options), blockwise_only=by_blocks)


def _values(dataset: Any) -> dict[str, np.ndarray]:
    return {str(name): np.asarray(variable.values) for name, variable in dataset.data_vars.items()}
