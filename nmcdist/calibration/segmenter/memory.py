"""The memory that the training of a segmenter needs, which is refused before anything is drawn if it is too much."""

import math
from collections.abc import Sequence

from nmcdist.arguments import machine_memory
from nmcdist.bundle import Bundle
from nmcdist.bundle.segmenter import layer_shapes
from nmcdist.calibration.microscope import FIB_SEM
from nmcdist.calibration.microscope.sections import needed_shape
from nmcdist.calibration.segmenter.net import halo_of
from nmcdist.calibration.segmenter.recipe import SegmenterRecipe
from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import RecipeError
from nmcdist.models.cba import draw_bytes

LENET_BATCH = 64  # pixels of a LeNet for each patch of a U-Net
_PER_WEIGHT = 16.0  # bytes: the weight, its gradient, and two moments of the optimiser
# Measured in two steps of nets of two to six resolutions: 37 to 84 bytes, with what does not depend on the batch.
_PER_VALUE = 60.0  # bytes per channel and pixel of a resolution
_PER_PATCH = 240e3  # bytes per pixel that a LeNet classifies
_LESS_IS_LARGER = ("gamma_per_nm", "theta_per_nm")  # rates of half-axes and radii


def step_bytes(recipe: SegmenterRecipe) -> float:
    """Return about how many bytes a step of the training needs."""
    widths, batch = recipe.net_widths, recipe.training.batch
    shapes = layer_shapes(widths, len(recipe.classes), recipe.planes)
    weights = _PER_WEIGHT * math.fsum(map(math.prod, shapes.values()))
    if not widths:
        return weights + _PER_PATCH * LENET_BATCH * batch
    wide = recipe.training.patch + 2 * halo_of(widths)
    values = math.fsum(width * (wide / 2**k) ** 2 for k, width in enumerate(widths))
    return weights + _PER_VALUE * batch * values


def window_bytes(recipe: SegmenterRecipe, bundle: Bundle) -> float:
    """Return about how many bytes it takes to draw a window of the additive whose parameters need most.

    Raises
    ------
    BundleError
        If a parameter is impossible at an end of its range.
    """
    parameters = bundle.cba()
    ends = {name: pair[0] if name in _LESS_IS_LARGER else pair[1] for name, pair in recipe.varied.items()}
    largest = bundle.with_parameters(**{name: getattr(parameters, name) * end for name, end in ends.items()}).cba()
    shape = needed_shape((recipe.slices, recipe.edge, recipe.edge), FIB_SEM["paper-like"])
    return math.prod(shape) + draw_bytes(largest, shape, recipe.edge_nm, 1)


def check_memory(recipe: SegmenterRecipe, bundles: Sequence[Bundle]) -> None:
    """Refuse a training that does not fit into the memory of this machine.

    Raises
    ------
    RecipeError
        The message says what needs it.
    BundleError
        If a parameter is impossible at an end of its range.
    """
    _check("training.batch: a step of the training", "smaller batch, patch or widths", step_bytes(recipe))
    if recipe.instrument == "fib-sem":
        for bundle in bundles:
            what = f"vary, pixel_nm: a window of {bundle.name}"
            _check(what, "fewer germs and larger structures", window_bytes(recipe, bundle))


def _check(what: str, remedy: str, needed: float) -> None:
    if needed > machine_memory():
        size = readable_bytes(int(needed)) if math.isfinite(needed) else "infinitely much"
        raise RecipeError(
            f"{what} needs {size} of memory, expected at most the {readable_bytes(machine_memory())} of this machine: "
            f"{remedy}"
        )
