"""Ways to segment a FIB-SEM stack of the additive, each with the settings that its operator is free to choose.

A method takes a case and yields, for each of its settings, a text that says it, the labels, and the probability of each
class if it gives any; what an operator would choose first comes first. The grids were written down before any of them
was run. Otsu, a fixed threshold and the watershed see pores and solid only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from skimage.filters import sobel, threshold_otsu
from skimage.segmentation import watershed as flooded

from benchmarks.segmentation import scribbled
from nmcdist.calibration.fibsem.cubes import mean_in_cubes
from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.graphite import GRAPHITE as IS_GRAPHITE
from nmcdist.calibration.fibsem.graphite import (
    OTHER,
    SMOOTHING_VOXELS,
    box_probability,
    smoothed_over,
    train_graphite,
)  # fmt: skip
from nmcdist.calibration.fibsem.phases import IS_SOLID, coarse_scribbles, train_phases
from nmcdist.calibration.fibsem.stored import FULL
from nmcdist.calibration.fibsem.tiles import tile_features
from nmcdist.calibration.segmenter.bundles import Segmenter
from nmcdist.calibration.segmenter.normal import Levels, NormalStack
from nmcdist.calibration.segmenter.tiles import box_probabilities, labels_of
from nmcdist.errors import ImageError
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE

FACTORS = (1, 2, 2)  # pixels of a cubic voxel of 20 nm
LABELLED = (4, 12)  # slices with scribbles
TREES, SEED = 50, 1
SMOOTHING_PX = (1.0, 0.0, 2.0)
THRESHOLDS = (0.0, -0.3, -0.15, 0.15, 0.3)  # on the scale of normalised grey values: -1 dark, 1 bright
MARKERS = ((-0.5, 0.5), (-0.8, 0.8), (-0.3, 0.3), (-0.8, 0.5), (-0.5, 0.8), (-0.3, 0.8), (-0.8, 0.3))
PROBABILITIES = (0.4, 0.6)  # from which a pixel is solid, beside the likeliest class
LEVELS_PX = (1.0, 4.0)  # smoothing of slices whose levels are the scale, beside 2


@dataclass(frozen=True, eq=False)
class Case:
    """A phantom as methods see it: registered, without its ramp, on one scale; with its truth."""

    grey: NormalStack
    truth: np.ndarray
    seed: int

    @cached_property
    def values(self) -> np.ndarray:
        """The grey values."""
        return self.grey.read(slice(None))

    def scribbles(self, number: int = 0) -> dict[int, np.ndarray]:
        """Return blobs of the truth over a fifth of two slices."""
        return scribbled(self.truth, LABELLED, 1000 * number + self.seed)


Found = tuple[str, np.ndarray, np.ndarray | None]
Method = Callable[[Case], Iterator[Found]]


def smoothed(values: np.ndarray, by_px: float) -> np.ndarray:
    return np.stack([gaussian(plane, by_px) for plane in values]) if by_px else values


def solid_above(values: np.ndarray, threshold: float) -> np.ndarray:
    return np.where(values > threshold, CARBON_BINDER, PORE).astype(np.uint8)


def otsu(case: Case) -> Iterator[Found]:
    for by_px in SMOOTHING_PX:
        values = smoothed(case.values, by_px)
        yield f"smoothed by {by_px:g} px", solid_above(values, threshold_otsu(values)), None


def fixed(case: Case) -> Iterator[Found]:
    values = smoothed(case.values, SMOOTHING_PX[0])
    for threshold in THRESHOLDS:
        yield f"above {threshold:g}", solid_above(values, threshold), None


def watershed(case: Case) -> Iterator[Found]:
    for by_px in (1.0, 2.0):
        for low, high in MARKERS:
            planes = [_flooded(plane, low, high) for plane in smoothed(case.values, by_px)]
            yield f"markers {low:g}, {high:g}, smoothed by {by_px:g} px", np.stack(planes), None


def _flooded(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return pore and solid flooded from dark and bright markers over the gradient."""
    markers = np.where(plane < low, 1, np.where(plane > high, 2, 0))
    return (flooded(sobel(plane), markers) - 1).astype(np.uint8)


def forest(case: Case) -> Iterator[Found]:
    """Trained on scribbles of the same volume; by default at the unbiased threshold."""
    for number in range(2):
        scribbles = case.scribbles(number)
        phases = train_phases(case.grey, scribbles, PORE + 1, SEED, TREES, map)
        whole = tuple(slice(0, n) for n in case.truth.shape[1:])
        solid = np.stack([
            phases.forest.probabilities(tile_features(case.grey, z, whole))[IS_SOLID - 1]
            for z in range(len(case.truth))
        ])  # fmt: skip
        even = phases.threshold or 0.5
        plates, above = _graphite(solid, even, scribbles)
        shares = np.rint(FULL * np.stack([1 - solid, solid * (1 - plates), solid * plates])).astype(np.uint8)
        for least in (even,) if number else (even, *PROBABILITIES):
            is_solid = np.where(plates >= above, GRAPHITE, CARBON_BINDER)
            labels = np.where(solid > least, is_solid, PORE).astype(np.uint8)
            text = "unbiased threshold" if least == even else f"solid from {least:g}"
            yield text + (", other scribbles" if number else ""), labels, shares


def _graphite(solid: np.ndarray, even: float, scribbles: dict[int, np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the probability that the solid is graphite, and the one from which it is."""
    cubes = mean_in_cubes(np.rint(FULL * solid).astype(np.uint8), FACTORS) > FULL * even
    names = {PORE + 1: OTHER, CARBON_BINDER + 1: OTHER, GRAPHITE + 1: IS_GRAPHITE}
    try:
        trained = train_graphite(cubes, coarse_scribbles(scribbles, names, FACTORS, cubes.shape), SEED, TREES)
    except ImageError:  # no graphite in the scribbles
        return np.zeros(solid.shape, np.float32), 1.0
    raw = box_probability(cubes, trained.forest, tuple(slice(0, n) for n in cubes.shape))
    mean = smoothed_over(cubes, raw, SMOOTHING_VOXELS)
    return mean.repeat(FACTORS[1], 1).repeat(FACTORS[2], 2), 1 - (trained.threshold or 0.5)


def net(segmenter: Segmenter) -> Method:
    """Return the method of a trained net: the likeliest class, other thresholds, another scale of grey values."""

    def method(case: Case) -> Iterator[Found]:
        shares = _shares(segmenter, case.grey)
        yield "likeliest class", labels_of(shares), shares
        for least in PROBABILITIES:
            yield f"solid from {least:g}", thresholded(shares, least), shares
        for by_px in LEVELS_PX:
            moved = _shares(segmenter, replace(case.grey, levels=levels_at(case.grey, by_px)))
            yield f"levels of slices smoothed by {by_px:g} px", labels_of(moved), moved

    return method


def tuned(segmenter: Segmenter) -> Method:
    """Return the method of a net whose last layers learned the scribbles of the forest."""

    def method(case: Case) -> Iterator[Found]:
        from nmcdist.calibration.segmenter.tuning import tuned_weights

        for number in range(2):
            learned = tuned_weights(segmenter.net, case.grey, case.scribbles(number), SEED)
            shares = _shares(segmenter.with_weights({**segmenter.net.weights, **learned}), case.grey)
            yield "other scribbles" if number else "likeliest class", labels_of(shares), shares
            for least in () if number else PROBABILITIES:
                yield f"solid from {least:g}", thresholded(shares, least), shares

    return method


def thresholded(shares: np.ndarray, least: float) -> np.ndarray:
    """Return the labels whose solid has at least a probability; it is graphite where that is likelier than binder."""
    is_solid = np.where(shares[GRAPHITE] >= shares[CARBON_BINDER], GRAPHITE, CARBON_BINDER)
    return np.where(shares[PORE] <= FULL * (1 - least), is_solid, PORE).astype(np.uint8)


def levels_at(grey: NormalStack, by_px: float) -> Levels:
    """Return the levels as quantiles of slices that are smoothed by another width."""
    planes = [gaussian(grey.stack.read(slice(z, z + 1))[0], by_px) for z in range(grey.shape[0])]
    dark, bright = np.mean([np.quantile(plane, (0.1, 0.9)) for plane in planes], axis=0)
    return Levels(float(dark), float(bright))


def _shares(segmenter: Segmenter, grey: NormalStack) -> np.ndarray:
    return box_probabilities(segmenter.net, grey, tuple(slice(0, n) for n in grey.shape))
