"""What the fit does not use, of an image and of realisations: curves by plane, and descriptors of the middle."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.graphite import variogram
from nmcdist.calibration.cba.lags import Lags
from nmcdist.calibration.cba.levels import Measured, levels_of

PLANES = {"xy": 0, "xz": 1, "yz": 2}  # the axis (z, y, x) that the vectors of a plane do not have


@dataclass(frozen=True)
class Curves:
    """Curves of a sample.

    Attributes
    ----------
    binder, graphite : ndarray of float64, shape (3, bins)
        C_B(h), and V - C(h) of graphite, in the planes xy, xz and yz; NaN in bins without vectors.
    levels : list of Measured
        Of the middle of the sample, at three voxel sizes.
    """

    binder: np.ndarray
    graphite: np.ndarray
    levels: list[Measured]


def curves_of(counts: Counts, box: np.ndarray, voxel_size_nm: float, radii_nm: np.ndarray) -> Curves:
    """Return the curves of a sample, and the descriptors of a box of its labels, 0 to 2, with cubic voxels."""
    binder, graphite = [], []
    for axis in PLANES.values():
        inside = counts.lags.vectors[:, axis] == 0
        sums = counts.lags.sums(np.where(inside, counts.pairs[:, :2], 0)).sum(axis=0)
        differ, pairs = (part.sum(axis=0) for part in variogram(counts, inside))
        with np.errstate(invalid="ignore"):
            binder.append(sums[0] / sums[1])
            graphite.append(differ / pairs)
    return Curves(np.array(binder), np.array(graphite), levels_of(box, voxel_size_nm, radii_nm))


def lags_by_plane(lags: Lags) -> np.ndarray:
    """Return the mean length in nm of the vectors of each bin that lie in each plane, or of all where none does."""
    out = []
    for axis in PLANES.values():
        inside = (lags.vectors[:, axis] == 0).astype(float)
        inside = np.where(lags.sums(inside)[lags.bin] > 0, inside, 1.0)
        out.append(lags.sums(inside * lags.length_nm) / lags.sums(inside))
    return np.array(out)
