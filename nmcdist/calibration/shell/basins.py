"""One watershed of the distance map: basins of the deepest places of the phase, each with its peak.

A voxel follows the neighbour towards which the distance rises most steeply, until it reaches a peak. Of equal
distances, the voxel that comes first in the image counts as the deeper one. Blocks need no stitching: each follows its
voxels through a halo up to the peak, which gives the basin its name, its place in the image. A halo that is left by a
path is doubled.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmcdist.calibration.shell.blocks import EDGE, Arrays, Box, Place, blocks, in_memory, renumber
from nmcdist.calibration.shell.counts import Counts, Touching, counted, joined, summed
from nmcdist.calibration.shell.distance import write_distances
from nmcdist.calibration.shell.graph import without_low
from nmcdist.calibration.shell.keeper import once
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError
from nmcdist.jit import Int, kernel

LOW_H = 0.25  # voxels
FIRST_HALO, WIDEST_HALO = 32, 128  # voxels; a block of 128 with the widest halo takes 0.9 GB
_NEIGHBOURS = np.array(
    [(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) != (0, 0, 0)]
)
_UNKNOWN = np.float32(-1.0)


class Basins(NamedTuple):
    """Basins of a distance map.

    Attributes
    ----------
    labels : array of int32, shape (nz, ny, nx)
        1 to n, from the highest peak to the lowest; 0 outside of the phase. Read in boxes.
    peaks : ndarray of float32, shape (n + 1,)
        Largest distance in each basin to the nearest voxel outside of the phase, in voxels; beyond the image nothing
        is outside. peaks[0] is 0.
    counts : Counts
    touching : Touching
        Pairs of neighbours, with the largest distance on the border between them.
    """

    labels: Any
    peaks: np.ndarray
    counts: Counts
    touching: Touching


class _Block(NamedTuple):
    """What a block found; its labels 1, 2, ... stand for the places of peaks in the image, `names`."""

    names: np.ndarray
    peaks: np.ndarray
    counts: Counts
    touching: Touching

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> "_Block":
        """Return a block from its arrays one after the other."""
        names, peaks, *others = arrays
        count = len(Counts._fields)
        return cls(names, peaks, Counts(*others[:count]), Touching(*others[count:]))


def find_basins(
    phase: Any, spacing: tuple[float, float, float], h: float = LOW_H, *, spread: Spread = map,
    arrays: Arrays = in_memory, edge: int = EDGE,
) -> Basins:  # fmt: skip
    """Divide a phase into the basins of its distance map.

    Parameters
    ----------
    phase : array of bool, shape (nz, ny, nx)
        Read in boxes.
    spacing : tuple of float
        Edges of a voxel along z, y, x over the cube root of its volume, which is the unit of length here ("voxel").
    h : float
        Basins that rise less than this above the saddle to a deeper one are joined to it.
    spread : callable
        Applies a function to items as `map` does, in order.
    arrays : callable
        Makes the arrays of the distances and of the labels.
    edge : int
        Of the blocks, in voxels.

    Returns
    -------
    Basins

    Raises
    ------
    ImageError
        If the phase is empty or fills the image, or holds a particle that the widest halo does not hold.
    """
    shape, cores = phase.shape, blocks(phase.shape, edge)
    distances = arrays("distances", shape, np.float32)
    write_distances(phase, distances, spacing, spread, edge)
    own = arrays("divided", shape, np.int32)
    found = list(spread(partial(_divided, distances, own, spacing), cores))
    graph = once(spread, "graph", partial(_joined, h), found)
    numbers = np.split(graph["numbers"], np.cumsum([len(names) + 1 for names, *_ in found])[:-1])
    labels = arrays("basins", shape, np.int32)
    list(spread(partial(renumber, own, labels), zip(cores, numbers, strict=True)))
    counts, touching = ([graph[name] for name in kind._fields] for kind in (Counts, Touching))
    return Basins(labels, graph["peaks"], Counts(*counts), Touching(*touching))


def _joined(h: float, parts: Sequence[Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the peaks, counts and pairs of the basins, and the numbers of the labels of each block, by name."""
    found = [_Block.of(part) for part in parts]
    names, first = np.unique(np.concatenate([one.names for one in found]), return_index=True)
    heights = np.concatenate([one.peaks for one in found])[first]
    order = np.lexsort((names, -heights))
    rank = np.empty(len(names), np.int32)
    rank[order] = np.arange(1, len(names) + 1, dtype=np.int32)
    numbers = [np.append(np.int32(0), rank[np.searchsorted(names, one.names)]) for one in found]
    counts = summed([one.counts for one in found], numbers, len(names))
    touching = joined([one.touching for one in found], numbers)
    peaks = np.append(np.float32(0), heights[order])
    merged = without_low(peaks, touching, h)
    deepest = np.unique(merged, return_index=True)[1]
    tables = {"peaks": peaks[deepest], "numbers": merged[np.concatenate(numbers)]}
    return tables | counts.merged(merged)._asdict() | touching.merged(merged)._asdict()


def _divided(distances: Any, labels: Any, spacing: tuple[float, float, float], core: Box) -> tuple[np.ndarray, ...]:
    """Write the labels of a core, numbers of this block, and return the arrays of a :class:`_Block`."""
    shape = labels.shape
    rim, halo = core.grown(1, shape), FIRST_HALO
    while True:
        window = core.grown(halo, shape)
        near = rim.within(window)
        distance = _with_margin(distances[window.slices], window, shape)
        owners, starts = _followed(distance, near, spacing)
        if starts is not None:
            break
        if halo >= WIDEST_HALO:
            raise ImageError(
                f"phase: the way from a voxel near {core.low} to the middle of its particle leads over {halo} voxels "
                "away, expected smaller particles or larger voxels"
            )
        halo *= 2
    corner = np.array(window.low) - 1
    z, y, x = (part + first for part, first in zip(np.unravel_index(starts, distance.shape), corner, strict=True))
    names = (z.astype(np.int64) * shape[1] + y) * shape[2] + x
    box = tuple(slice(a + 1, b + 1) for a, b in zip(near.low, near.high, strict=True))
    counts, touching = counted(owners[box], core.within(rim), core, len(names), distance[box])
    labels[core.slices] = owners[box][core.within(rim).slices]
    return names, distance.reshape(-1)[starts], *counts, *touching


def _with_margin(distances: np.ndarray, window: Box, shape: Place) -> np.ndarray:
    """Return distances with a margin of one voxel: 0 beyond the image, unknown beyond the window."""
    padded = np.zeros(tuple(n + 2 for n in window.shape), np.float32)
    for axis, (low, high, n) in enumerate(zip(window.low, window.high, shape, strict=True)):
        for is_open, end in ((low > 0, 0), (high < n, -1)):
            if is_open:
                np.moveaxis(padded, axis, 0)[end] = _UNKNOWN
    padded[1:-1, 1:-1, 1:-1] = distances
    return padded


def _followed(
    distance: np.ndarray, near: Box, spacing: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return numbers of basins, also beyond the box, and the places of their peaks; None if a path is lost."""
    steps = _NEIGHBOURS @ np.array([distance.shape[1] * distance.shape[2], distance.shape[2], 1])
    lengths = np.sqrt(((_NEIGHBOURS * np.asarray(spacing)) ** 2).sum(axis=1)).astype(np.float32)
    owners = np.zeros(distance.shape, np.int32)
    starts = _follow(distance.reshape(-1), owners.reshape(-1), np.array(distance.shape), np.array(near) + 1, steps,
                     lengths)  # fmt: skip
    return owners, starts


@kernel
def _follow(
    distance: np.ndarray, owners: np.ndarray, shape: np.ndarray, corners: np.ndarray, steps: np.ndarray,
    lengths: np.ndarray,
) -> np.ndarray | None:  # fmt: skip
    """Enter basins of the voxels between two corners; return the places of the peaks; None if a path is lost."""
    trail = np.empty(len(distance), np.int64)
    peaks = np.empty(len(distance) // 4 + 1, np.int64)
    count = 0
    for z in range(corners[0, 0], corners[1, 0]):
        for y in range(corners[0, 1], corners[1, 1]):
            for x in range(corners[0, 2], corners[1, 2]):
                place, walked = (z * shape[1] + y) * shape[2] + x, 0
                if distance[place] == 0.0:
                    continue
                while owners[place] == 0:
                    following = _steepest(distance, place, steps, lengths)
                    if following < 0:
                        return None
                    trail[walked] = place
                    walked += 1
                    if following == place:
                        peaks[count] = place
                        count += 1
                        owners[place] = count
                    place = following
                owner = owners[place]
                for k in range(walked):
                    owners[trail[k]] = owner
    return peaks[:count].copy()


@kernel
def _steepest(distance: np.ndarray, place: int, steps: np.ndarray, lengths: np.ndarray) -> Int:
    """Return the deeper neighbour in the direction of steepest rise, or the voxel itself; -1 if it is not known."""
    here, rise, chosen = distance[place], np.float32(-1.0), place
    if here < 0.0:
        return -1
    for k in range(len(steps)):
        other = distance[place + steps[k]]
        if other < 0.0:
            return -1
        if other > here or (other == here and steps[k] < 0):
            slope = (other - here) / lengths[k]
            if slope > rise:
                rise, chosen = slope, place + steps[k]
    return chosen
