"""Graphite among the solid, by its coarse shape: the paper's features, a forest, a probability (Sec. 2.3.2).

The paper takes the 85 % quantile of the probability as threshold, which fixes the share of graphite before the image
is seen. Here a probability of 1/2 decides unless the quantile is asked for.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.clean import closed_by_ball, without_islands
from nmcdist.calibration.fibsem.features import SHAPE_HALO, SHAPE_NAMES, shape_features
from nmcdist.calibration.fibsem.forest import TREES, Forest, Trained, train_forest
from nmcdist.errors import ImageError, InputError

GRAPHITE, OTHER = 1, 2  # labels of the scribbles
SMALLEST_VOXELS, CLOSING_VOXELS = 5000, 10.0  # of the paper, for voxels of 20 nm
PAPER_QUANTILE = 0.85
_BOX = 96  # edge of a box of work: with its halo and features 0.8 GB
Spread = Callable[[Callable[..., Any], Iterable[Any]], Iterator[Any]]
Box = tuple[slice, slice, slice]


def train_graphite(
    solid: Any, scribbles: Mapping[int, np.ndarray], seed: int, trees: int = TREES, spread: Spread = map
) -> Trained:
    """Train a forest to tell graphite (1) from the rest (2), pores too, on labelled slices.

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

    Raises
    ------
    ImageError
        If the labels are not 1 and 2.
    """
    found = sorted({int(v) for labels in scribbles.values() for v in np.unique(labels)} - {0})
    if found != [GRAPHITE, OTHER]:
        raise ImageError(f"scribbles of graphite: found labels {found}, expected 1 (graphite) and 2 (the rest)")
    boxes = [(box, labels) for z, labels in scribbles.items() for box in _boxes((1, *solid.shape[1:]), z)]
    parts = list(spread(partial(_labelled, solid), boxes))
    features, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return train_forest(features, labels, SHAPE_NAMES, seed, trees)


def graphite_probability(solid: np.ndarray, forest: Forest, spread: Spread = map) -> np.ndarray:
    """Return the probability of graphite of each voxel, box by box, as float32 of the shape of `solid`."""
    out = np.empty(solid.shape, np.float32)
    boxes = list(_boxes(solid.shape))
    for box, part in zip(boxes, spread(partial(_probability, solid, forest), boxes), strict=True):
        out[box] = part
    return out


def graphite_mask(
    solid: np.ndarray, probability: np.ndarray, threshold: float = 0.5, quantile: float | None = None
) -> np.ndarray:
    """Return the graphite: probable, without pieces under 5,000 voxels, closed with a ball of 10 voxels, and solid.

    Parameters
    ----------
    solid : ndarray of bool, shape (nz, ny, nx)
    probability : ndarray of float32, shape as of `solid`
    threshold : float
        Least probability.
    quantile : float, optional
        Take this quantile of the probability as threshold instead: 0.85 in the paper.

    Raises
    ------
    InputError
        If the threshold or the quantile is not in (0, 1).
    """
    for name, value in (("threshold", threshold), ("quantile", 0.5 if quantile is None else quantile)):
        if not 0 < value < 1:
            raise InputError(f"{name}: found {value}, expected a number between 0 and 1")
    least = threshold if quantile is None else float(np.quantile(probability, quantile))
    found = without_islands(probability > least, SMALLEST_VOXELS)
    mask: np.ndarray = closed_by_ball(found, CLOSING_VOXELS) & solid
    return mask


def _labelled(solid: Any, item: tuple[Box, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    box, labels = item
    labels = labels[box[1:]]
    return _features(solid, box)[:, 0, labels > 0].T, labels[labels > 0]


def _probability(solid: np.ndarray, forest: Forest, box: Box) -> np.ndarray:
    return forest.probabilities(_features(solid, box))[forest.classes.index(GRAPHITE)]


def _features(solid: Any, box: Box) -> np.ndarray:
    """Return the features of a box, from the box and what its filters reach."""
    wide = tuple(slice(max(0, part.start - SHAPE_HALO), part.stop + SHAPE_HALO) for part in box)
    inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, wide, strict=True))
    return shape_features(solid[wide])[(slice(None), *inner)]


def _boxes(shape: tuple[int, ...], first: int = 0) -> Iterator[Box]:
    starts = (range(0, length, _BOX) for length in shape)
    for z, y, x in itertools.product(*starts):
        yield (
            slice(first + z, first + min(z + _BOX, shape[0])),
            slice(y, min(y + _BOX, shape[1])),
            slice(x, min(x + _BOX, shape[2])),
        )
