"""Curves that the fit does not use: by plane of the image, and sizes of pores; of an image and of realisations."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.graphite import variogram
from nmcdist.calibration.cba.lags import Lags
from nmcdist.descriptors.pore_size import pore_size_distribution
from nmcdist.models.cba import PORE

PLANES = {"xy": 0, "xz": 1, "yz": 2}  # the axis (z, y, x) that the vectors of a plane do not have
LARGEST_BOX = 200  # voxels along an edge of the box in which pores are measured


@dataclass(frozen=True)
class Curves:
    """Curves of a sample.

    Attributes
    ----------
    binder, graphite : ndarray of float64, shape (3, bins)
        C_B(h), and V - C(h) of graphite, in the planes xy, xz and yz; NaN in bins without vectors.
    pores : ndarray of float64, shape (radii,)
        Share of the pores covered by balls of at least each radius.
    """

    binder: np.ndarray
    graphite: np.ndarray
    pores: np.ndarray


def curves_of(counts: Counts, labels: np.ndarray, voxel_size_nm: float, radii_nm: np.ndarray) -> Curves:
    """Return the curves; pores are measured in the middle of `labels`, 0 to 2, with cubic voxels."""
    binder, graphite = [], []
    for axis in PLANES.values():
        inside = counts.lags.vectors[:, axis] == 0
        sums = counts.lags.sums(np.where(inside, counts.pairs[:, :2], 0)).sum(axis=0)
        differ, pairs = (part.sum(axis=0) for part in variogram(counts, inside))
        with np.errstate(invalid="ignore"):
            binder.append(sums[0] / sums[1])
            graphite.append(differ / pairs)
    middle = np.ascontiguousarray(labels[middle_of(labels.shape)] == PORE)
    sizes = pore_size_distribution(middle, voxel_size_nm, radii_nm)
    return Curves(np.array(binder), np.array(graphite), np.asarray(sizes.fraction))


def lags_by_plane(lags: Lags) -> np.ndarray:
    """Return the mean length in nm of the vectors of each bin that lie in each plane, or of all where none does."""
    out = []
    for axis in PLANES.values():
        inside = (lags.vectors[:, axis] == 0).astype(float)
        inside = np.where(lags.sums(inside)[lags.bin] > 0, inside, 1.0)
        out.append(lags.sums(inside * lags.length_nm) / lags.sums(inside))
    return np.array(out)


def middle_of(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the middle box of a window, at most 200 voxels along an edge."""
    return tuple(slice((n - min(n, LARGEST_BOX)) // 2, (n + min(n, LARGEST_BOX)) // 2) for n in shape)
