"""What a segmenter learns from: windows drawn from a model and imaged by a virtual microscope, with their truth.

A window is a function of the recipe and its number alone. Its quality lies between the frozen settings of the
microscope, whose values go together, as a better microscope is better in everything; each value then differs from that
of the quality by a random factor.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.calibration.fibsem.ramp import Ramp, fit_ramp
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.microscope import FIB_SEM, NANO_CT, SETTINGS, FibSem, NanoCt, fib_sem, nano_ct, pack
from nmcdist.calibration.microscope.sections import needed_shape
from nmcdist.calibration.segmenter.normal import NormalStack, fit_levels
from nmcdist.calibration.segmenter.recipe import SegmenterRecipe
from nmcdist.errors import ImageError
from nmcdist.geometry.elementary import exp, log
from nmcdist.images import Image
from nmcdist.images.sources import Slices, Source
from nmcdist.models import streams
from nmcdist.models.cba import PARTS, draw_parts
from nmcdist.models.draws import Stream

_STREAM = 804
_DEEP = 96  # voxels along z of a packing of particles: several of them
_MOST_COUNTED = 600.0  # electrons of a pixel, see :func:`nmcdist.calibration.microscope.noise.counted`


@dataclass(frozen=True)
class Held(Source):
    """An image in memory."""

    values: np.ndarray

    def read(self, box: Slices) -> np.ndarray:
        """Return a box."""
        return self.values[box]


@dataclass(frozen=True, eq=False)
class Window:
    """A window of an image whose truth is known.

    Attributes
    ----------
    grey : NormalStack
        As the net sees it.
    plain : NormalStack
        Before its drift was taken out, as image statistics are measured.
    labels : ndarray of uint8, shape (n, ny, nx)
        The class of each pixel.
    settings : dict
        Of the microscope.
    """

    grey: NormalStack
    plain: NormalStack
    labels: np.ndarray
    settings: dict[str, Any]


def held(values: np.ndarray, voxel_size_nm: tuple[float, float, float]) -> Image:
    """Return an array as an image."""
    nz, ny, nx = values.shape
    return Image(Held(Path("drawn"), (nz, ny, nx), values.dtype, values), (0, 1, 2), voxel_size_nm)


def normal_stack(image: Image, ramp: bool, shifts_px: np.ndarray | None = None) -> tuple[NormalStack, NormalStack]:
    """Return an image as a net sees it, and before its drift is taken out.

    Parameters
    ----------
    image : Image
    ramp : bool
        Whether there is a ramp of brightness.
    shifts_px : ndarray of float64, shape (n, 2), optional
        Drift of each slice.
    """
    loss = Ramp(0.0)
    if ramp:
        try:
            loss = fit_ramp(image)
        except ImageError:  # the dark level of a small window may vanish
            loss = Ramp(0.0)
    plain = CorrectedStack(image, loss)
    levels = fit_levels(plain)
    return NormalStack(CorrectedStack(image, loss, shifts_px), levels), NormalStack(plain, levels)


def drawn_window(recipe: SegmenterRecipe, bundles: Sequence[Bundle], number: int) -> Window:
    """Draw a window of a recipe.

    Parameters
    ----------
    recipe : SegmenterRecipe
    bundles : sequence of Bundle
        Of the structures, in turn.
    number : int

    Raises
    ------
    BundleError
        If a bundle is of another model.
    """
    stream = streams.draws(*_key(recipe, number))
    bundle = bundles[number % len(bundles)]
    draw = _fib_sem if recipe.instrument == "fib-sem" else _nano_ct
    return draw(recipe, bundle, stream, number)


def fib_sem_settings(recipe: SegmenterRecipe, stream: Stream) -> FibSem:
    """Return random settings of a FIB-SEM within the ranges of a recipe."""
    values: dict[str, Any] = _values(recipe, stream, FIB_SEM)
    values["dose"] = min(values["dose"], _MOST_COUNTED / (values["pore"] + values["contrast"]))
    return FibSem(**values)


def nano_ct_settings(recipe: SegmenterRecipe, stream: Stream) -> NanoCt:
    """Return random settings of a nano-CT within the ranges of a recipe."""
    return NanoCt(**_values(recipe, stream, NANO_CT))


def _fib_sem(recipe: SegmenterRecipe, bundle: Bundle, stream: Stream, number: int) -> Window:
    settings, is_registered = fib_sem_settings(recipe, stream), stream.uniform(1)[0] < recipe.imaging.registered
    changes = {name: getattr(bundle.cba(), name) * _between(stream, *ends, logarithmic=True)
               for name, ends in sorted(recipe.varied.items())}  # fmt: skip
    n, edge, rim, step = recipe.slices, recipe.edge, settings.margin_px, settings.pixels_per_slice
    shape = needed_shape((n, edge, edge), settings)
    structure = draw_parts(
        bundle.with_parameters(**changes).cba(), shape, recipe.edge_nm, recipe.seed, number, (0, 0, 0), PARTS
    )
    seen = fib_sem(structure, settings, _seed(stream))
    image = held(seen.grey, (step * recipe.edge_nm, recipe.edge_nm, recipe.edge_nm))
    grey, plain = normal_stack(image, ramp=True, shifts_px=seen.drift_px if is_registered else None)
    labels = seen.labels
    if not is_registered:
        places = rim + np.rint(seen.drift_px).astype(int)
        labels = np.stack([structure[step * k, y : y + edge, x : x + edge] for k, (y, x) in enumerate(places)])
    return Window(grey, plain, labels, asdict(settings))


def _nano_ct(recipe: SegmenterRecipe, bundle: Bundle, stream: Stream, number: int) -> Window:
    settings, share = nano_ct_settings(recipe, stream), _between(stream, *recipe.share)
    shape = (max(_DEEP, recipe.slices), recipe.edge, recipe.edge)
    packing = pack(bundle, shape, recipe.edge_nm, _seed(stream), share)
    first = int(stream.uniform(1)[0] * (shape[0] - recipe.slices + 1))
    part = slice(first, first + recipe.slices)
    image = held(nano_ct(packing.labels, settings, _seed(stream))[part], (recipe.edge_nm,) * 3)
    grey, plain = normal_stack(image, ramp=False)
    return Window(grey, plain, (packing.labels[part] > 0).astype(np.uint8), asdict(settings))


def _values(recipe: SegmenterRecipe, stream: Stream, frozen: Mapping[str, Any]) -> dict[str, Any]:
    quality = _between(stream, *recipe.imaging.quality)
    found = {}
    for name, factor in sorted(recipe.factors.items()):
        known = [log(getattr(frozen[setting], name)) for setting in SETTINGS]
        low = min(len(known) - 2, max(0, math.floor(2 * quality)))
        middle = known[low] + (2 * quality - low) * (known[low + 1] - known[low])
        found[name] = exp(middle + _between(stream, -1, 1) * log(factor))
    for name, ends in sorted(recipe.ranges.items()):
        found[name] = _between(stream, *ends)
    return found


def _between(stream: Stream, low: float, high: float, *, logarithmic: bool = False) -> float:
    at = float(stream.uniform(1)[0])
    return float(exp(log(low) + at * (log(high) - log(low)))) if logarithmic else low + at * (high - low)


def _seed(stream: Stream) -> int:
    return int(stream.uniform(1)[0] * 2**53)


def _key(recipe: SegmenterRecipe, number: int) -> tuple[int, int, int]:
    seed, index = streams.check_key(recipe.seed, number)
    return seed, _STREAM, index
