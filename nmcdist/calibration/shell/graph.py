"""The graph of neighbouring regions: the necks between them, and the merging of regions across wide necks."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.shell.basins import Basins
from nmcdist.geometry.union_find import join, root
from nmcdist.jit import Int, kernel

_HALF = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1),
                  (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1),
                  (1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1)])  # fmt: skip


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Regions and the necks between neighbours.

    Attributes
    ----------
    peaks : ndarray of float32, shape (n + 1,)
        Largest distance in each region, in voxels; entry 0 is the background.
    pairs : ndarray of int32, shape (m, 2)
        Neighbours, the lower number first.
    saddles : ndarray of float32, shape (m,)
        Largest distance on the border between them.
    """

    peaks: np.ndarray
    pairs: np.ndarray
    saddles: np.ndarray

    @classmethod
    def of(cls, basins: Basins) -> "RegionGraph":
        """Return the graph of basins that touch at a face, an edge or a corner of voxels."""
        steps = _HALF.astype(np.int64)
        count = _pairs(basins.labels, basins.distance, steps, np.empty((0, 2), np.int32), np.empty(0, np.float32))
        pairs, heights = np.empty((count, 2), np.int32), np.empty(count, np.float32)
        _pairs(basins.labels, basins.distance, steps, pairs, heights)
        order = np.lexsort((-heights, pairs[:, 1], pairs[:, 0]))
        pairs, heights = pairs[order], heights[order]
        first = np.ones(len(pairs), np.bool_)
        first[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
        return cls(basins.peaks, pairs[first], heights[first])

    @property
    def ratios(self) -> np.ndarray:
        """Neck ratio of each pair: saddle over smaller peak."""
        return np.asarray(self.saddles / self.peaks[self.pairs].min(axis=1))

    def merged(self, ratio: float) -> np.ndarray:
        """Return the number of the merged region for each region, from 1; 0 for 0.

        Necks are visited from the widest. Two regions are merged if the saddle between them is above `ratio` times
        the smaller of the peaks that both have by then. Peaks only grow, so no neck has to be visited twice.

        Parameters
        ----------
        ratio : float
            1 merges nothing, 0 merges all that touch.

        Returns
        -------
        ndarray of int32, shape (n + 1,)
        """
        order = np.argsort(-self.saddles, kind="stable")
        return np.asarray(_merged(self.peaks.copy(), self.pairs[order], self.saddles[order], np.float32(ratio)))


def touching(labels: np.ndarray, label_count: int) -> dict[int, dict[int, int]]:
    """Return the number of voxel faces that each region shares with each of its neighbours."""
    faces: dict[int, dict[int, int]] = {label: {} for label in range(1, label_count + 1)}
    flat = np.zeros(labels.shape, np.float32)
    steps = _HALF[:3].astype(np.int64)
    count = _pairs(labels, flat, steps, np.empty((0, 2), np.int32), np.empty(0, np.float32))
    pairs = np.empty((count, 2), np.int32)
    _pairs(labels, flat, steps, pairs, np.empty(count, np.float32))
    found, numbers = np.unique(pairs, axis=0, return_counts=True)
    for (one, two), number in zip(found.tolist(), numbers.tolist(), strict=True):
        faces[one][two] = faces[two][one] = number
    return faces


@kernel
def _pairs(labels: np.ndarray, distance: np.ndarray, steps: np.ndarray, pairs: np.ndarray, heights: np.ndarray) -> Int:
    """Write the labels and the lower distance of neighbouring voxels in two regions; only count without room."""
    nz, ny, nx = labels.shape
    count = 0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                one = labels[z, y, x]
                if one == 0:
                    continue
                for k in range(len(steps)):
                    a, b, c = z + steps[k, 0], y + steps[k, 1], x + steps[k, 2]
                    if not (0 <= a < nz and 0 <= b < ny and 0 <= c < nx):
                        continue
                    two = labels[a, b, c]
                    if two == 0 or two == one:
                        continue
                    if len(pairs):
                        pairs[count, 0], pairs[count, 1] = min(one, two), max(one, two)
                        heights[count] = min(distance[z, y, x], distance[a, b, c])
                    count += 1
    return count


@kernel
def _merged(peaks: np.ndarray, pairs: np.ndarray, saddles: np.ndarray, ratio: np.float32) -> np.ndarray:
    parent = np.arange(len(peaks)).astype(np.int32)
    for k in range(len(pairs)):
        one, two = root(parent, pairs[k, 0]), root(parent, pairs[k, 1])
        if one == two or saddles[k] <= ratio * min(peaks[one], peaks[two]):
            continue
        join(parent, one, two)
        peaks[min(one, two)] = max(peaks[one], peaks[two])
    numbers = np.zeros(len(peaks), np.int32)
    count = 0
    for label in range(1, len(peaks)):
        first = root(parent, label)
        if first == label:
            count += 1
            numbers[label] = count
        else:
            numbers[label] = numbers[first]
    return numbers
