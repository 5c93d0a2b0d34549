"""Graphite among the solid, by its shape: features of 3D neighbourhoods, a forest, a probability (Sec. 2.3.2).

To the paper's features, those of thin plates are added unless only the paper's are asked for.

The paper takes the 85 % quantile of the probability as threshold, which fixes the share of graphite before the image
is seen. Here a probability of 1/2 decides unless the quantile is asked for.
"""

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from nmcdist.calibration.boxes import Box, widened
from nmcdist.calibration.fibsem.clean import closed_by_ball, without_islands
from nmcdist.calibration.fibsem.features import HALO_OF, NAMES_OF, shape_features
from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.forest import TREES, Forest, Trained, train_forest
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError, InputError

GRAPHITE, OTHER = 1, 2  # labels of the scribbles
SMALLEST_VOXELS, CLOSING_VOXELS = 5000, 10.0  # of the paper, for voxels of 20 nm
SMOOTHING_VOXELS = 1.0  # of the probability, over the solid
PAPER_QUANTILE = 0.85
_BOX = 112  # largest edge of a box of work: with its halo and features 0.8 GB


def train_graphite(
    solid: Any, scribbles: Mapping[int, np.ndarray], seed: int, trees: int = TREES, spread: Spread = map,
    features: str = "extended",
) -> Trained:  # fmt: skip
    """Train a forest to tell graphite (1) from the rest (2) on labelled slices.

    Parameters
    ----------
    solid : ndarray of bool, shape (nz, ny, nx)
        Cubic voxels of 20 nm.
    scribbles : mapping of int to ndarray of int, shape (ny, nx)
        Labels of some slices; 0 is not labelled.
    seed : int
    trees : int
    spread : callable
        Applies a function to items as `map` does, in order.
    features : str
        "extended", which looks at solid voxels only, or "paper", where pores belong to the rest.

    Raises
    ------
    ImageError
        If the labels are not 1 and 2.
    InputError
        If there are no such features.
    """
    if features not in NAMES_OF:
        raise InputError(f"features: found {features!r}, expected one of {', '.join(NAMES_OF)}")
    found = sorted({int(v) for labels in scribbles.values() for v in np.unique(labels)} - {0})
    if found != [GRAPHITE, OTHER]:
        raise ImageError(f"scribbles of graphite: found labels {found}, expected 1 (graphite) and 2 (the rest)")
    boxes = [(box, labels) for z, labels in scribbles.items() for box in _boxes((1, *solid.shape[1:]), z)]
    parts = list(spread(partial(_labelled, solid, features), boxes))
    values, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return train_forest(values, labels, NAMES_OF[features], seed, trees)


def graphite_probability(solid: np.ndarray, forest: Forest, spread: Spread = map) -> np.ndarray:
    """Return the probability of graphite of each voxel, box by box, as float32 of the shape of `solid`.

    Without the paper's features alone, pores have 0.
    """
    out = np.empty(solid.shape, np.float32)
    boxes = list(_boxes(solid.shape))
    for box, part in zip(boxes, spread(partial(box_probability, solid, forest), boxes), strict=True):
        out[box] = part
    return out


def graphite_mask(
    solid: np.ndarray, probability: np.ndarray, threshold: float = 0.5, quantile: float | None = None,
    smoothing: float = SMOOTHING_VOXELS, closing: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Return the graphite: solid and probable, without pieces under 5,000 voxels.

    The paper does not smooth, and closes with a ball of :data:`CLOSING_VOXELS`, which adds binder beside the plates.

    Parameters
    ----------
    solid : ndarray of bool, shape (nz, ny, nx)
    probability : ndarray of float32, shape as of `solid`
    threshold : float
        Least probability.
    quantile : float, optional
        Take this quantile of the probability as threshold instead: 0.85 in the paper.
    smoothing : float
        Standard deviation, in voxels, of a Gaussian mean of the probability over the solid; 0 for none.
    closing : float
        Radius in voxels of the ball of a closing; 0 for none.

    Raises
    ------
    InputError
        If the threshold or the quantile is not in (0, 1), or a length is negative.
    """
    for name, value in (("threshold", threshold), ("quantile", 0.5 if quantile is None else quantile)):
        if not 0 < value < 1:
            raise InputError(f"{name}: found {value}, expected a number between 0 and 1")
    for name, value in (("smoothing", smoothing), ("closing", closing)):
        if not 0 <= value < np.inf:
            raise InputError(f"{name}: found {value}, expected a number of voxels, 0 or more")
    probable = smoothed_over(solid, probability, smoothing) if smoothing else probability
    least = threshold if quantile is None else float(np.quantile(probable, quantile))
    if closing:
        found = without_islands(probable > least, SMALLEST_VOXELS)
        return np.asarray(closed_by_ball(found, closing) & solid)
    return without_islands((probable > least) & solid, SMALLEST_VOXELS)


def smoothed_over(solid: np.ndarray, probability: np.ndarray, sigma: float) -> np.ndarray:
    """Return the weighted mean of the probability of the solid about each solid voxel, 0 in pores."""
    inside = solid.astype(np.float32)
    weight = gaussian(inside, sigma)
    return np.divide(gaussian(probability * inside, sigma), weight, out=np.zeros_like(weight), where=solid)


def _labelled(solid: Any, kind: str, item: tuple[Box, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    box, labels = item
    known = labels[box[1:]] > 0
    if kind == "extended":
        known &= solid[box][0]
    return _features(solid, kind, box)[:, 0, known].T, labels[box[1:]][known]


def box_probability(solid: Any, forest: Forest, box: Box) -> np.ndarray:
    """Return the probability of graphite in a box, by the features that the forest was trained on, as float32."""
    kind = next(kind for kind, names in NAMES_OF.items() if names == forest.features)
    which = forest.classes.index(GRAPHITE)
    features = _features(solid, kind, box)
    if kind == "paper":
        return forest.probabilities(features)[which]
    inside = solid[box]
    out = np.zeros(inside.shape, np.float32)
    out[inside] = forest.probabilities(features[:, inside])[which]
    return out


def _features(solid: Any, kind: str, box: Box) -> np.ndarray:
    wide, inside = widened(box, solid.shape, HALO_OF[kind])
    return shape_features(solid[wide], inside, kind)


def _boxes(shape: tuple[int, ...], first: int = 0) -> Iterator[Box]:
    """Return boxes of like size that fill a shape, from a first slice on."""
    edges = [np.linspace(0, length, -(-length // _BOX) + 1).astype(int).tolist() for length in shape]
    for z, y, x in itertools.product(*(itertools.pairwise(each) for each in edges)):
        yield slice(first + z[0], first + z[1]), slice(*y), slice(*x)
