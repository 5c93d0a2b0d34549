"""Central sections of newly drawn grains, comparable to measured ones."""

import math
from collections.abc import Sequence

import numpy as np

from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import InputError
from nmcdist.geometry.tessellation import label_lattice
from nmcdist.models import seed_window
from nmcdist.models.grains import GrainModel


def generated_sections(grain_model: GrainModel, like: Sequence[Section], seed: int, start: int = 0) -> list[Section]:
    """Return, for each section, a central section of newly drawn grains in the same outline.

    A whole grain belongs to a generated section if its centre of mass in the infinite plane lies in the measured
    mask, just as a grain belongs to a particle if its centre of mass lies in the shell. So neither section has cut
    grains, and both are unbiased samples of the grains in the plane.

    Parameters
    ----------
    grain_model : GrainModel
    like : sequence of Section
        Sections that supply pixel sizes, centres and masks; missing pixels are part of the mask.
    seed : int
        Must differ from the seed of the truth, if the truth is a model: equal seeds give equal positions.
    start : int
        Index of the first draw.

    Returns
    -------
    list of Section
        Sections without missing pixels, larger than the measured ones by a margin.

    Raises
    ------
    InputError
        If a section has no pixel of a particle, or seed or start is impossible.
    """
    margins_nm = seed_window.first_margins_nm(grain_model)
    return [_generated(grain_model, section, margins_nm, seed, start + k) for k, section in enumerate(like)]


def _generated(
    model: GrainModel, like: Section, margins_nm: tuple[float, float], seed: int, index: int
) -> Section:  # fmt: skip
    """Return one generated section; its margin grows until no grain of it is cut."""
    if not like.mask.any():
        raise InputError(f"section {like.name}: found no pixel of a particle, expected at least one")
    edge_nm, seeds_nm = margins_nm
    step = math.ceil(edge_nm / like.pixel_size_nm)
    margin = step
    while True:
        mask = np.pad(like.mask, margin)
        centre = (like.centre_px[0] + margin, like.centre_px[1] + margin)
        reach = like.pixel_size_nm * (np.hypot(*(np.argwhere(mask) - centre).T).max() + margin)
        labels = _plane(model, mask.shape, like.pixel_size_nm, centre, reach, seeds_nm - edge_nm, seed, index)
        belongs = _belongs(labels, mask)
        if not belongs[_cut_off(labels)].any():
            chosen = (labels >= 0) & belongs[labels]
            numbers = np.where(chosen, labels + 1, 0).astype(np.int32)
            return Section(like.name, numbers, like.pixel_size_nm, centre)
        margin += step


def _plane(
    model: GrainModel, shape: tuple[int, ...], pixel: float, centre: tuple[float, float], reach: float, rim_nm: float,
    seed: int, index: int,
) -> np.ndarray:  # fmt: skip
    """Return the rows of the grains on the plane through the centre, -1 beyond `reach`."""
    steps, origin = pixel * np.eye(3)[1:], np.array([0.0, -pixel * centre[0], -pixel * centre[1]])
    window = reach + rim_nm
    while True:
        grains = model.draw(window, seed, index)
        diagram = grains.diagram()
        labels = label_lattice(*diagram, shape, steps, origin, reach=reach)
        needed = seed_window.needed_nm(labels[None], (0.0, *centre), pixel, diagram, model.law)
        if needed <= window:
            return labels
        window = needed


def _belongs(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return which grains have their centre of mass in the mask, by row."""
    y, x = np.nonzero(labels >= 0)
    rows = labels[y, x]
    count = np.bincount(rows)
    middle = [np.rint(np.bincount(rows, part) / np.maximum(count, 1)).astype(int) for part in (y, x)]
    return np.asarray((count > 0) & mask[middle[0], middle[1]])


def _cut_off(labels: np.ndarray) -> np.ndarray:
    """Return the rows of grains beside pixels without a label, or at the edge of the image."""
    around = np.pad(labels, 1, constant_values=-1)
    open_ = (around[:-2, 1:-1] < 0) | (around[2:, 1:-1] < 0) | (around[1:-1, :-2] < 0) | (around[1:-1, 2:] < 0)
    return np.unique(labels[open_ & (labels >= 0)])
