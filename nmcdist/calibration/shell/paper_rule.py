"""The paper's rule for the regions of a watershed ("Preprocessing of nano-CT data").

Small regions (fewer than 10 voxels) and non-spherical ones (sphericity below 0.5) are merged with the neighbour that
shares most faces with them, and neglected if they have none.
"""

import math
from functools import partial
from typing import Any

import numpy as np

from nmcdist.calibration.shell.basins import Basins
from nmcdist.calibration.shell.blocks import EDGE, Box, blocks
from nmcdist.calibration.spread import Spread
from nmcdist.geometry.sphere import icosphere
from nmcdist.geometry.union_find import join, root
from nmcdist.jit import kernel

LEAST_VOXELS, LEAST_SPHERICITY = 10, 0.5
_LEVEL = 5  # icosphere on which the share of each lattice direction is counted
_STEPS = np.array([
    (z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)
], np.int64)  # fmt: skip


def paper_merged(basins: Basins, spacing: tuple[float, float, float], spread: Spread = map) -> np.ndarray:
    """Return the number of the merged region for each basin, from 1; 0 for neglected ones.

    Parameters
    ----------
    basins : Basins
    spacing : tuple of float
        Edges of a voxel over the cube root of its volume.
    spread : callable
        Applies a function to items as `map` does, in order.

    Returns
    -------
    ndarray of int32, shape (n + 1,)
    """
    voxels, count = basins.counts.voxels, len(basins.peaks) - 1
    areas = crofton_areas(basins.labels, count, spacing, spread)
    sphericity = math.pi ** (1 / 3) * (6.0 * voxels) ** (2 / 3) / areas
    neighbours: list[dict[int, int]] = [{} for _ in range(count + 1)]
    faces = basins.touching.faces.sum(axis=1)
    for (one, two), number in zip(basins.touching.pairs.tolist(), faces.tolist(), strict=True):
        if number:
            neighbours[one][two] = neighbours[two][one] = number
    parent = np.arange(count + 1, dtype=np.int32)
    neglected = np.zeros(count + 1, np.bool_)
    neglected[0] = True
    for index in np.argsort(voxels, kind="stable"):
        if voxels[index] >= LEAST_VOXELS and sphericity[index] >= LEAST_SPHERICITY:
            continue
        around = neighbours[int(index) + 1]
        if around:
            join(parent, int(index) + 1, max(sorted(around), key=around.__getitem__))
        else:
            neglected[index + 1] = True
    roots = np.array([root(parent, label) for label in range(count + 1)])
    used = np.unique(roots[~neglected])
    numbers = np.zeros(count + 1, np.int32)
    numbers[used] = np.arange(1, len(used) + 1)
    return np.asarray(np.where(neglected, 0, numbers[roots]).astype(np.int32))


def crofton_areas(
    labels: Any, count: int, spacing: tuple[float, float, float], spread: Spread = map, edge: int = EDGE
) -> np.ndarray:
    """Return the surface areas of regions from the crossings of lines in 13 directions (Cauchy and Crofton).

    A direction weighs as much as the directions of space that lie nearest to it.

    Parameters
    ----------
    labels : array of int32
        Read in boxes.
    count : int
    spacing : tuple of float
    spread : callable
        Applies a function to items as `map` does, in order.
    edge : int
        Of the blocks, in voxels.

    Returns
    -------
    ndarray of float64, shape (count,)
        In the unit of `spacing`, squared.
    """
    vectors = _STEPS * np.asarray(spacing)
    lengths = np.sqrt((vectors**2).sum(axis=1))
    nearest = np.abs(icosphere(_LEVEL)[0] @ (vectors / lengths[:, None]).T).argmax(axis=1)
    shares = np.bincount(nearest, minlength=len(_STEPS)) / len(nearest)
    crossings = np.zeros((count + 1, len(_STEPS)), np.int64)
    for own, found in spread(partial(_crossings, labels), blocks(labels.shape, edge)):
        crossings[own] += found
    return np.asarray((crossings[1:] * (2.0 * shares * np.prod(spacing) / lengths)).sum(axis=1))


def _crossings(labels: Any, core: Box) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of a core and how often lines leave them, by direction; beyond the image all is outside."""
    rim = core.grown(1, labels.shape)
    missing = [(1 - (a - c), 1 - (d - b)) for a, b, c, d in zip(*core, *rim, strict=True)]
    values = np.pad(labels[rim.slices], missing)
    own = np.flatnonzero(np.bincount(values.reshape(-1)))
    local = np.zeros(int(values.max()) + 1, np.int32)
    local[own] = np.arange(len(own))
    found = np.zeros((len(own), len(_STEPS)), np.int64)
    _cross(local[values], _STEPS, found)
    return own, found


@kernel
def _cross(labels: np.ndarray, steps: np.ndarray, found: np.ndarray) -> None:
    """Count the changes of label along each direction, both ways; `labels` has a margin of 1."""
    nz, ny, nx = labels.shape
    for z in range(1, nz - 1):
        for y in range(1, ny - 1):
            for x in range(1, nx - 1):
                one = labels[z, y, x]
                for k in range(len(steps)):
                    a, b, c = steps[k, 0], steps[k, 1], steps[k, 2]
                    found[one, k] += labels[z + a, y + b, x + c] != one
                    found[one, k] += labels[z - a, y - b, x - c] != one
