"""One watershed of the distance map: basins of the deepest places of the phase, each with its peak.

Voxels are flooded from the deepest to the shallowest. A voxel without a flooded neighbour starts a basin; another
joins the neighbour towards which the distance rises most steeply. Where two basins meet, the shallower one is joined
to the other if its peak rises less than h above the meeting place.
"""

from typing import NamedTuple

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.geometry.union_find import root
from nmcdist.jit import Int, kernel

LOW_H = 0.25  # voxels
_NEIGHBOURS = np.array(
    [(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) != (0, 0, 0)]
)


class Basins(NamedTuple):
    """Basins of a distance map.

    Attributes
    ----------
    labels : ndarray of int32, shape (nz, ny, nx)
        1 to n; 0 outside of the phase.
    peaks : ndarray of float32, shape (n + 1,)
        Largest distance in each basin, in voxels; peaks[0] is 0.
    distance : ndarray of float32, shape (nz, ny, nx)
        Distance to the nearest voxel outside, in voxels; beyond the image nothing is outside.
    """

    labels: np.ndarray
    peaks: np.ndarray
    distance: np.ndarray


def find_basins(phase: np.ndarray, spacing: tuple[float, float, float], h: float = LOW_H) -> Basins:
    """Divide a phase into the basins of its distance map.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    spacing : tuple of float
        Edges of a voxel along z, y, x over the cube root of its volume, which is the unit of length here ("voxel").
    h : float
        Basins that rise less than this above the saddle to a deeper one are joined to it.

    Returns
    -------
    Basins

    Raises
    ------
    ImageError
        If the phase is empty or fills the image.
    """
    import edt

    phase = np.ascontiguousarray(phase, np.bool_)
    if not phase.any() or phase.all():
        share = "no voxel" if not phase.any() else "every voxel"
        raise ImageError(f"phase: {share} belongs to the particles, expected two phases")
    distance = edt.edt(phase, anisotropy=spacing, black_border=False, parallel=1)
    padded = np.pad(distance, 1)  # so that every voxel has all its neighbours
    places = np.flatnonzero(padded).astype(np.int64)
    order = places[np.argsort(-padded.reshape(-1)[places], kind="stable")]
    steps = _NEIGHBOURS @ np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    lengths = np.sqrt(((_NEIGHBOURS * np.asarray(spacing)) ** 2).sum(axis=1)).astype(np.float32)
    most = int(np.prod([(n + 1) // 2 for n in phase.shape]))  # no two starts are neighbours
    labels, peaks = np.zeros(padded.size, np.int32), np.zeros(most + 1, np.float32)
    parent = np.arange(most + 1, dtype=np.int32)
    count = _flood(padded.reshape(-1), order, steps, lengths, np.float32(h), labels, peaks, parent)
    kept = _number(order, labels, parent[: count + 1])
    inside = labels.reshape(padded.shape)[1:-1, 1:-1, 1:-1]
    return Basins(np.ascontiguousarray(inside), np.concatenate([[0], peaks[kept]]).astype(np.float32), distance)


@kernel
def _flood(
    distance: np.ndarray, order: np.ndarray, steps: np.ndarray, lengths: np.ndarray, h: np.float32,
    labels: np.ndarray, peaks: np.ndarray, parent: np.ndarray,
) -> Int:  # fmt: skip
    """Label voxels in the given order; return the number of basins that were started."""
    count = 0
    for place in order:
        here, steepest, chosen = distance[place], np.float32(-1.0), 0
        for k in range(len(steps)):
            label = labels[place + steps[k]]
            if label == 0:
                continue
            label = root(parent, label)
            slope = (distance[place + steps[k]] - here) / lengths[k]
            if slope > steepest:
                steepest, chosen = slope, label
        if chosen == 0:
            count += 1
            labels[place], peaks[count] = count, here
            continue
        labels[place] = chosen
        for k in range(len(steps)):
            label = labels[place + steps[k]]
            if label == 0:
                continue
            one, two = root(parent, chosen), root(parent, label)
            if one != two and min(peaks[one], peaks[two]) - here < h:
                # Starts are numbered from the deepest, so the lower root is the deeper one.
                parent[max(one, two)] = min(one, two)
    return count


@kernel
def _number(order: np.ndarray, labels: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Replace labels by the numbers of their roots, 1, 2, ...; return the roots."""
    numbers, kept = np.zeros(len(parent), np.int32), np.empty(len(parent), np.int64)
    count = 0
    for label in range(1, len(parent)):
        if root(parent, label) == label:
            kept[count] = label
            count += 1
            numbers[label] = count
    for place in order:
        labels[place] = numbers[root(parent, labels[place])]
    return kept[:count]
