"""Graphite among the solid, by its shape: features of 3D neighbourhoods, a forest, a probability (Sec. 2.3.2).

To the paper's features, those of thin plates are added unless only the paper's are asked for.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from nmcdist.calibration.boxes import Box, tiled, widened
from nmcdist.calibration.fibsem.features import HALO_OF, NAMES_OF, shape_features
from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.forest import TREES, Forest, Trained, train_forest
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError, InputError

GRAPHITE, OTHER = 1, 2  # labels of the scribbles
SMOOTHING_VOXELS = 1.0  # of the probability, over the solid
_TILE = 112  # edge of a tile of a labelled slice


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
    boxes = [((slice(z, z + 1), *tile), labels) for z, labels in scribbles.items()
             for tile in tiled(solid.shape[1:], (_TILE, _TILE))]  # fmt: skip
    parts = list(spread(partial(_labelled, solid, features), boxes))
    values, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return train_forest(values, labels, NAMES_OF[features], seed, trees)


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
