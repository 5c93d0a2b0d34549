"""Graphite plates among the solid of a stack, in boxes: probability, small pieces, closing (CBA paper, Sec. 2.3.2)."""

from functools import partial

import numpy as np

from nmcdist.calibration.boxes import Box, widened
from nmcdist.calibration.fibsem.clean import closed_by_ball
from nmcdist.calibration.fibsem.components import Grid, without_small_pieces
from nmcdist.calibration.fibsem.filters import reach
from nmcdist.calibration.fibsem.forest import Forest
from nmcdist.calibration.fibsem.graphite import box_probability, smoothed_over
from nmcdist.calibration.fibsem.stored import FULL, Grey, Stored
from nmcdist.calibration.stages import Stage, Stages
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE

SMALLEST_NM3 = 4e7  # in the paper 5,000 voxels of 20 nm


def graphite_stage(stages: Stages, solid: Stored, forest: Forest, smoothing: float, grid: Grid, after: str) -> Stage:
    """Return the stage of the probability of graphite, as uint8: 255 is 1; its facts are histograms of the boxes.

    Parameters
    ----------
    stages : Stages
    solid : Stored
    forest : Forest
        Of graphite.
    smoothing : float
        Standard deviation, in voxels, of the Gaussian mean of the probability over the solid; 0 for none.
    grid : Grid
    after : str
        Key of the stage of the forest.
    """
    how = (grid.shape, grid.edges, "uint8", grid.voxel_size_nm)
    raw = stages.boxes("graphite-probability", partial(_probability, solid, forest), *how, after)
    if not smoothing:
        return raw
    work = partial(_smoothed, solid, Grey(raw.path, grid.shape), smoothing)
    return stages.boxes("graphite-smoothed", work, *how, [raw.key, smoothing])


def threshold_of(probability: Stage, threshold: float, quantile: float | None) -> int:
    """Return the stored probability above which a voxel is graphite: a fixed one, or a quantile of all voxels."""
    if quantile is None:
        return int(FULL * threshold)
    below = np.cumsum(np.sum(probability.facts, axis=0))
    return int(np.searchsorted(below, quantile * below[-1]))


def label_stage(
    stages: Stages, solid: Stored, probability: Stage, above: int, closing_nm: float, grid: Grid, after: str
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
    closing_nm : float
        Radius of the ball of a closing; 0 for none.
    grid : Grid
    after : str
        Key of the stage of the solid.
    """
    voxel = grid.voxel_size_nm[0]
    likely, smallest = Stored(probability.path, grid.shape, above), max(1, round(SMALLEST_NM3 / voxel**3))
    kept = without_small_pieces(stages, "graphite", likely, grid, smallest, [probability.key, above])
    work, size = partial(_phases, solid, Stored(kept.path, grid.shape), closing_nm / voxel), grid.voxel_size_nm
    return kept, stages.boxes("labels", work, grid.shape, grid.edges, "uint8", size, [kept.key, after, closing_nm])


def _counted(found: np.ndarray) -> tuple[np.ndarray, list[int]]:
    return found, np.bincount(found.reshape(-1), minlength=FULL + 1).tolist()


def _smoothed(solid: Stored, probability: Grey, sigma: float, box: Box) -> tuple[np.ndarray, list[int]]:
    wide, inner = widened(box, solid.shape, reach(sigma))
    mean = smoothed_over(solid[wide], probability[wide].astype(np.float32), sigma)
    return _counted(np.rint(mean[inner]).astype(np.uint8))


def _probability(solid: Stored, forest: Forest, box: Box) -> tuple[np.ndarray, list[int]]:
    return _counted(np.rint(FULL * box_probability(solid, forest, box)).astype(np.uint8))


def _phases(solid: Stored, graphite: Stored, radius: float, box: Box) -> tuple[np.ndarray, list[int]]:
    rim = 2 * (int(np.ceil(radius)) + 1)  # a closing dilates, then erodes
    wide, inner = widened(box, graphite.shape, rim)
    plates = closed_by_ball(graphite[wide], radius)[inner] if radius else graphite[box]
    found = np.where(solid[box], np.where(plates, GRAPHITE, CARBON_BINDER), PORE).astype(np.uint8)
    return found, np.bincount(found.reshape(-1), minlength=3).tolist()
