"""Graphite plates among the solid of a stack, in boxes: probability, small pieces, closing (CBA paper, Sec. 2.3.2)."""

from functools import partial

import numpy as np

from nmcdist.calibration.boxes import Box, widened
from nmcdist.calibration.fibsem.clean import closed_by_ball
from nmcdist.calibration.fibsem.components import Grid, without_small_pieces
from nmcdist.calibration.fibsem.forest import Forest
from nmcdist.calibration.fibsem.graphite import box_probability
from nmcdist.calibration.fibsem.stored import FULL, Stored
from nmcdist.calibration.stages import Stage, Stages
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE

SMALLEST_NM3, CLOSING_NM = 4e7, 200.0  # in the paper 5,000 voxels, and a ball of ten voxels of 20 nm


def graphite_stage(stages: Stages, solid: Stored, forest: Forest, grid: Grid, after: str) -> Stage:
    """Return the stage of the probability of graphite, as uint8: 255 is 1; its facts are histograms of the boxes."""
    work = partial(_probability, solid, forest)
    return stages.boxes("graphite-probability", work, grid.shape, grid.edges, "uint8", grid.voxel_size_nm, after)


def threshold_of(probability: Stage, threshold: float, quantile: float | None) -> int:
    """Return the stored probability above which a voxel is graphite: a fixed one, or a quantile of all voxels."""
    if quantile is None:
        return int(FULL * threshold)
    below = np.cumsum(np.sum(probability.facts, axis=0))
    return int(np.searchsorted(below, quantile * below[-1]))


def label_stage(
    stages: Stages, solid: Stored, probability: Stage, above: int, grid: Grid, after: str
) -> tuple[Stage, Stage]:
    """Return the stages of graphite without small pieces, and of the phases; the facts of that are counts of voxels.

    Parameters
    ----------
    stages : Stages
    solid : Stored
    probability : Stage
        Of graphite.
    above : int
        Stored probability above which a voxel is graphite.
    grid : Grid
    after : str
        Key of the stage of the solid.
    """
    voxel = grid.voxel_size_nm[0]
    likely, smallest = Stored(probability.path, grid.shape, above), max(1, round(SMALLEST_NM3 / voxel**3))
    kept = without_small_pieces(stages, "graphite", likely, grid, smallest, [probability.key, above])
    work, size = partial(_phases, solid, Stored(kept.path, grid.shape), CLOSING_NM / voxel), grid.voxel_size_nm
    return kept, stages.boxes("labels", work, grid.shape, grid.edges, "uint8", size, [kept.key, after, CLOSING_NM])


def _probability(solid: Stored, forest: Forest, box: Box) -> tuple[np.ndarray, list[int]]:
    found = np.rint(FULL * box_probability(solid, forest, box)).astype(np.uint8)
    return found, np.bincount(found.reshape(-1), minlength=FULL + 1).tolist()


def _phases(solid: Stored, graphite: Stored, radius: float, box: Box) -> tuple[np.ndarray, list[int]]:
    reach = 2 * (int(np.ceil(radius)) + 1)  # a closing dilates, then erodes
    wide, inner = widened(box, (reach,) * 3, graphite.shape)
    plates = closed_by_ball(graphite[wide], radius)[inner]
    found = np.where(solid[box], np.where(plates, GRAPHITE, CARBON_BINDER), PORE).astype(np.uint8)
    return found, np.bincount(found.reshape(-1), minlength=3).tolist()
