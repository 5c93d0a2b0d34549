"""From voxels to the phase of the particles: smoothing and Otsu's threshold, or a label."""

from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from nmcdist.errors import ImageError

PAPER_SIGMA = 1.8  # voxels; "Preprocessing of nano-CT data" of the NMC811 paper
_BINS = 256
Side = Literal["bright", "dark"]


def phase_by_threshold(grey: np.ndarray, sigma: float = PAPER_SIGMA, side: Side = "bright") -> tuple[np.ndarray, float]:
    """Return the voxels of the particles in a grey image, and the threshold ("Preprocessing of nano-CT data").

    Parameters
    ----------
    grey : ndarray, shape (nz, ny, nx)
    sigma : float
        Standard deviation of the Gaussian kernel in voxels; 0 smooths nothing.
    side : {"bright", "dark"}
        Whether particles are brighter or darker than the rest.

    Returns
    -------
    phase : ndarray of bool
    threshold : float
        In grey values.
    """
    smooth = np.asarray(grey, np.float32)
    if sigma > 0:
        smooth = gaussian_filter(smooth, sigma)
    threshold = otsu(smooth)
    return (smooth > threshold if side == "bright" else smooth <= threshold), threshold


def phase_of_label(values: np.ndarray, label: float) -> np.ndarray:
    """Return the voxels with one value.

    Raises
    ------
    ImageError
        If no voxel has it.
    """
    phase: np.ndarray = values == label
    if not phase.any():
        found = ", ".join(f"{value:g}" for value in np.unique(values)[:8])
        raise ImageError(f"phase: found no voxel with the value {label:g}; the image holds {found}")
    return phase


def otsu(values: np.ndarray) -> float:
    """Return the threshold that separates grey values into two classes with the largest variance between them.

    Otsu (1979), on a histogram of 256 bins; the threshold is the middle of the last bin of the lower class.

    Raises
    ------
    ImageError
        If all values are equal.
    """
    low, high = float(values.min()), float(values.max())
    if not low < high:
        raise ImageError(f"image: all voxels have the value {low:g}, expected two phases")
    counts, edges = np.histogram(values, _BINS, range=(low, high))
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts).astype(np.float64)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[int(np.nanargmax(np.where(above > 0, between, np.nan)))])
