"""Features of a stack in tiles of its slices: a slice may be too large for the features of all its pixels at once."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from nmcdist.calibration.boxes import Box, tiled, widened
from nmcdist.calibration.fibsem.features import SCALES_PX, slice_features
from nmcdist.calibration.fibsem.filters import reach
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.spread import Spread

TILE_PX = 1024
_HALO = reach(max(SCALES_PX)) + reach(max(SCALES_PX) / 2)  # the structure tensor smooths what was smoothed


def tiles_of(shape: tuple[int, int, int]) -> list[Box]:
    """Return the tiles of a slice, along y and x."""
    return tiled(shape[1:], (TILE_PX, TILE_PX))


def tile_features(stack: CorrectedStack, z: int, tile: Box) -> np.ndarray:
    """Return the features of a part of a slice, float32 of shape (28, ny, nx)."""
    wide, inside = widened(tile, stack.shape[1:], _HALO)
    return slice_features(stack.read(slice(z, z + 1), *wide)[0])[(slice(None), *inside)]


def examples(
    stack: CorrectedStack, scribbles: Mapping[int, np.ndarray], spread: Spread = map
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of labelled pixels, shape (n, 28), and their labels.

    Parameters
    ----------
    stack : CorrectedStack
    scribbles : mapping of int to ndarray of int, shape (ny, nx)
        Labels of some slices; 0 is not labelled.
    spread : callable
        Like the builtin `map`; tiles with labels are its items.
    """
    jobs = [(z, tile, labels[tile]) for z, labels in sorted(scribbles.items()) for tile in tiles_of(stack.shape)
            if labels[tile].any()]  # fmt: skip
    features, labels = (np.concatenate(part) for part in zip(*spread(partial(_examples, stack), jobs), strict=True))
    return features, labels


def _examples(stack: CorrectedStack, job: tuple[int, Box, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    z, tile, labels = job
    known = labels > 0
    return tile_features(stack, z, tile)[:, known].T, labels[known]
