"""Packings of known shapes for a grey image: seen through its blur and noise, separated, and measured like it.

They serve twice. Edges that are measured on one again tell how far curvature and noise falsify the measured blur. And
known shapes, beside those fitted to them, tell what the fit leaves of each degree and what noise it adds.
"""

from typing import NamedTuple

import numpy as np

from nmcdist.calibration.shell.blocks import Arrays
from nmcdist.calibration.shell.blur import Edges, between_voxels, measured_edges, sharpened
from nmcdist.calibration.shell.choose import Packing, known_shapes
from nmcdist.calibration.shell.correction import Correction, grey_correction
from nmcdist.calibration.shell.imaging import Noise, imaged
from nmcdist.calibration.shell.keeper import within
from nmcdist.calibration.shell.laws import NORMAL_NU, harmonic_laws
from nmcdist.calibration.shell.packing import best_matches, overlap, packed
from nmcdist.calibration.shell.rays import Surface
from nmcdist.calibration.shell.results import SeparatedImage
from nmcdist.calibration.shell.separate import Ratio, Separated, Watershed
from nmcdist.calibration.shell.settings import ORDER, ShellSettings
from nmcdist.geometry import sphere

_NARROWEST = 0.1  # voxels
_TRIALS = 20  # of drawing a shape with a positive radius; then it is a ball


class _Image(NamedTuple):
    """What is known of a grey image of particles."""

    watershed: Watershed
    ratio: Ratio
    surface: Surface
    edges: Edges
    noise: Noise | None


class _Seen(NamedTuple):
    """A packing, the surface that its image shows, and the edges that are measured on that image."""

    packing: Packing
    surface: Surface
    edges: Edges


def corrected_edges(image: SeparatedImage, settings: ShellSettings, arrays: Arrays) -> Edges | None:
    """Return the edges of a grey image less what measuring adds: a packing with known edges tells.

    Parameters
    ----------
    image : SeparatedImage
    settings : ShellSettings
    arrays : callable
        Makes the arrays of the packing.

    Returns
    -------
    Edges or None
        As they are for the fit of the paper, which leaves the blur in; None for an image that is not grey.
    """
    known = _known(image)
    if known is None or settings.contacts == "keep":
        return image.edges
    measured, again = known.edges, _seen(known, None, settings, settings.seed, arrays).edges
    variance = 2 * measured.sigma**2 - again.sigma**2
    sigma = float(np.sqrt(max(variance, _NARROWEST**2)))
    return measured._replace(sigma=sigma, level=2 * measured.level - again.level)


def grey_corrections(
    image: SeparatedImage, rows: np.ndarray, weights: np.ndarray, left: np.ndarray, settings: ShellSettings,
    arrays: Arrays,
) -> tuple[Correction, Correction]:  # fmt: skip
    """Return the correction by a packing of drawn shapes, and that by another, which judges it.

    Shapes fitted to the image would not do as known ones: blur hides forms of high degree of small particles more than
    those of large ones, and what the fit adds to a shape, it would add again. So the shapes of the packing have the
    sizes of the image's particles and coefficients drawn from the fitted laws. A first packing, of the laws before any
    correction, gives a first correction, with which the laws of the two packings that count are fitted.

    Parameters
    ----------
    image : SeparatedImage
        Of a grey image.
    rows : ndarray of float64, shape (n, 100)
        Coefficients of its particles without blur, in voxels.
    weights : ndarray of float64, shape (n,)
        Of the particles.
    left : ndarray of float64, shape (n, 10)
        What the blur had left of each degree.
    settings : ShellSettings
    arrays : callable
        Makes the arrays of the packings.
    """
    known = _known(image)
    assert known is not None
    edges = between_voxels(known.edges, known.watershed.spacing)

    def of(laws: list[tuple[float, float]], seed: int) -> Correction:
        seen = _seen(known, laws, settings, seed, arrays)
        return grey_correction(
            seen.packing, seen.surface, edges, known.watershed.spacing, ORDER, settings.least_voxels,
            known.watershed.spread,
        )  # fmt: skip

    first = of(_laws(rows, weights, left, None), settings.seed)
    laws = _laws(rows, weights, left, first)
    return of(laws, settings.seed + 1), of(laws, settings.seed + 2)


def _known(image: SeparatedImage) -> _Image | None:
    water, choice = image.watershed, image.choice
    if water is None or choice is None or image.surface is None or image.edges is None:
        return None
    return _Image(water, choice.ratio, image.surface, image.edges, image.noise)


def _laws(
    rows: np.ndarray, weights: np.ndarray, left: np.ndarray, fixed: Correction | None
) -> list[tuple[float, float]]:
    """Return scale and degrees of freedom of each degree from 2, corrected and without noise if these are known."""
    found = []
    for degree in range(2, ORDER + 1):
        values = rows[:, degree**2 : (degree + 1) ** 2]
        noise = None if fixed is None or fixed.noise is None else fixed.noise[degree] / left[:, degree]
        law = harmonic_laws(values, weights, noise)[0].values
        scale = law["scale"] * (1.0 if fixed is None else float(fixed.factors[degree]))
        found.append((scale, law.get("nu", NORMAL_NU)))
    return found


def _seen(
    known: _Image, laws: list[tuple[float, float]] | None, settings: ShellSettings, seed: int, arrays: Arrays
) -> _Seen:
    """Pack shapes in the places of the regions, image them, and separate what the image shows."""
    water, spacing = known.watershed, known.watershed.spacing
    spread, own = within(water.spread, arrays, "seen")
    regions = water.separated(known.ratio)
    shapes = _clear_shapes(known, regions, laws, settings.least_voxels, seed)
    centres = regions.regions.centre
    labels = packed(regions.shape, shapes, centres, spacing, spread=spread, arrays=own)
    grey = imaged(labels, known.edges, known.noise, seed, spread=spread, arrays=own)
    found = Watershed.of(grey.phase, spacing, settings.h, spread=spread, arrays=own).separated(known.ratio)
    true = Separated.of(labels, len(shapes), spacing, spread)
    shared = overlap(labels, found.labels, spread).joined(found.numbers)
    iou, match = best_matches(shared, true.regions.voxels, found.regions.voxels)
    surface = Surface(grey.smooth, known.edges.level, 1.0)
    edges = measured_edges(grey, spacing, "bright", spread)
    return _Seen(Packing(shapes, centres, true, found, match, iou), surface, edges)


def _clear_shapes(
    known: _Image, regions: Separated, laws: list[tuple[float, float]] | None, least_voxels: int, seed: int
) -> np.ndarray:
    """Return star shapes of all regions without blur, shape (n, 100), in voxels: drawn, or fitted and turned."""
    water = known.watershed
    blurred = known_shapes(regions, water.spacing, least_voxels, seed, water.spread, known.surface)
    shapes = sharpened(blurred, between_voxels(known.edges, water.spacing))
    if laws is not None:
        return _drawn(shapes, laws, seed)
    is_lost = sphere.star_bounds_of_many(shapes)[:, 0] <= 0
    shapes[is_lost] = blurred[is_lost]
    return np.asarray(shapes)


def _drawn(shapes: np.ndarray, laws: list[tuple[float, float]], seed: int) -> np.ndarray:
    """Return shapes of the same sizes with coefficients drawn from laws of each degree; balls remain balls."""
    stream = np.random.Generator(np.random.Philox(seed))
    drawn = np.zeros(shapes.shape)
    drawn[:, 0] = shapes[:, 0]
    missing = np.flatnonzero((shapes[:, 1:] != 0).any(axis=1))
    for _ in range(_TRIALS):
        for degree, (scale, nu) in enumerate(laws, 2):
            size = len(missing), 2 * degree + 1
            values = stream.standard_normal(size) if nu >= NORMAL_NU else stream.standard_t(nu, size)
            drawn[missing, degree**2 : (degree + 1) ** 2] = scale * values
        missing = missing[sphere.star_bounds_of_many(drawn[missing])[:, 0] <= 0] if len(missing) else missing
    drawn[missing, 1:] = 0.0
    return drawn
