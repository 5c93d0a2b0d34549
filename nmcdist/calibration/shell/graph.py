"""The graph of neighbouring regions: the necks between them, and the merging of regions across wide necks."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.shell.counts import Touching
from nmcdist.geometry.union_find import join, root
from nmcdist.jit import kernel


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

    @property
    def ratios(self) -> np.ndarray:
        """Neck ratio of each pair: saddle over smaller peak."""
        return np.asarray(self.saddles / self.peaks[self.pairs].min(axis=1))

    def merged(self, ratio: float) -> np.ndarray:
        """Return the number of the merged region for each region, from 1; 0 for 0.

        Necks are visited from the widest; of equal ones, the pair of the lowest numbers first. Two regions are merged
        if the saddle between them is above `ratio` times the smaller of the peaks that both have by then. Peaks only
        grow, so no neck has to be visited twice.

        Parameters
        ----------
        ratio : float
            1 merges nothing, 0 merges all that touch.

        Returns
        -------
        ndarray of int32, shape (n + 1,)
        """
        order = np.argsort(-self.saddles, kind="stable")
        return np.asarray(
            _merged(self.peaks.copy(), self.pairs[order], self.saddles[order], np.float32(ratio), np.float32(-1))
        )


def without_low(peaks: np.ndarray, touching: Touching, h: float) -> np.ndarray:
    """Return the number of each basin after low ones were joined, as :meth:`RegionGraph.merged`.

    Two basins are joined if the lower peak of both rises less than `h` above the saddle between them.
    """
    order = np.argsort(-touching.saddles, kind="stable")
    return np.asarray(
        _merged(peaks.copy(), touching.pairs[order], touching.saddles[order], np.float32(np.inf), np.float32(h))
    )


@kernel
def _merged(
    peaks: np.ndarray, pairs: np.ndarray, saddles: np.ndarray, ratio: np.float32, h: np.float32
) -> np.ndarray:  # fmt: skip
    parent = np.arange(len(peaks)).astype(np.int32)
    for k in range(len(pairs)):
        one, two = root(parent, pairs[k, 0]), root(parent, pairs[k, 1])
        top = min(peaks[one], peaks[two])
        if one == two or (saddles[k] <= ratio * top and top - saddles[k] >= h):
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
