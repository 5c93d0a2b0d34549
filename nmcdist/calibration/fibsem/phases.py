"""Pore and solid of a grey stack, slice by slice, in cubic voxels (CBA paper, Sec. 2.3.1)."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from nmcdist.calibration.boxes import Box, widened
from nmcdist.calibration.fibsem.clean import closed_by_box
from nmcdist.calibration.fibsem.components import Grid, without_small_pieces
from nmcdist.calibration.fibsem.cubes import mean_in_cubes, voted_in_cubes
from nmcdist.calibration.fibsem.features import NAMES
from nmcdist.calibration.fibsem.forest import Forest, Trained, train_forest
from nmcdist.calibration.fibsem.scribbles import Scribbles
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.fibsem.stored import FULL, Stored
from nmcdist.calibration.fibsem.tiles import examples, tile_features
from nmcdist.calibration.spread import Spread
from nmcdist.calibration.stages import Stage, Stages

IS_PORE, IS_SOLID = 1, 2  # classes of the forest
_SLICES, _EDGE = 16, 512  # of a piece of work, in cubic voxels


def train_phases(
    stack: CorrectedStack, scribbles: Scribbles, pore: int, seed: int, trees: int, spread: Spread = map
) -> Trained:
    """Train the forest of pore (1) and solid (2).

    Parameters
    ----------
    stack : CorrectedStack
    scribbles : dict of int to ndarray of int, shape (ny, nx)
    pore : int
        Label of the pores; all others but 0 are solid.
    seed : int
    trees : int
    spread : callable
        Like the builtin `map`.
    """
    features, labels = examples(stack, scribbles, spread)
    return train_forest(features, np.where(labels == pore, IS_PORE, IS_SOLID), NAMES, seed, trees)


def solid_probability(
    stages: Stages, stack: CorrectedStack, forest: Forest, factors: tuple[int, int, int], grid: Grid, after: str
) -> Stage:
    """Return the stage of the probability of solid in cubic voxels, as uint8: 255 is 1."""
    edges = (_SLICES, _EDGE, _EDGE)
    work = partial(_solid, stack, forest, factors)
    return stages.boxes("solid", work, grid.shape, edges, "uint8", grid.voxel_size_nm, after)


def cleaned(stages: Stages, solid: Stored, grid: Grid, after: str) -> Stage:
    """Return the stage of the solid closed by a voxel, and without all but its largest piece, as in the paper."""
    work = partial(_closed, solid)
    closed = stages.boxes("solid-closed", work, grid.shape, grid.edges, "uint8", grid.voxel_size_nm, after)
    return without_small_pieces(stages, "solid-clean", Stored(closed.path, grid.shape), grid, None, closed.key)


def _solid(stack: CorrectedStack, forest: Forest, factors: tuple[int, int, int], box: Box) -> tuple[np.ndarray, None]:
    z, y, x = (slice(part.start * f, part.stop * f) for part, f in zip(box, factors, strict=True))
    fine = np.empty((z.stop - z.start, y.stop - y.start, x.stop - x.start), np.uint8)
    for k in range(len(fine)):
        fine[k] = np.rint(FULL * forest.probabilities(tile_features(stack, z.start + k, (y, x)))[IS_SOLID - 1])
    return mean_in_cubes(fine, factors), None


def _closed(solid: Stored, box: Box) -> tuple[np.ndarray, None]:
    wide, inner = widened(box, solid.shape, 2)
    return closed_by_box(solid[wide])[inner].astype(np.uint8), None


def coarse_scribbles(
    scribbles: Scribbles, names: Mapping[int, int], factors: tuple[int, int, int], shape: tuple[int, int, int]
) -> Scribbles:
    """Return scribbles in planes of cubic voxels, with other labels.

    Parameters
    ----------
    scribbles : dict of int to ndarray of int
    names : mapping of int to int
        The new label of each label.
    factors, shape : tuple of int
        Voxels of the stack in a cubic one, and cubic voxels along each axis.
    """
    found: Scribbles = {}
    for z, labels in sorted(scribbles.items()):
        k, renamed = z // factors[0], np.zeros(labels.shape, np.int32)
        for old, new in names.items():
            renamed[labels == old] = new
        if k < shape[0]:
            voted = voted_in_cubes(renamed, factors[1:])
            found[k] = np.where(found[k] > 0, found[k], voted) if k in found else voted
    return found
