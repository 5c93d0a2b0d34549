"""From voxels to the phase of the particles, block by block: smoothing and Otsu's threshold, or a label."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from nmcdist.calibration.shell.blocks import EDGE, Arrays, Box, Readable, blocks, in_memory
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError

PAPER_SIGMA = 1.8  # voxels; "Preprocessing of nano-CT data" of the NMC811 paper
_BINS = 256
_TRUNCATE = 4.0  # reach of the Gaussian kernel in standard deviations, of scipy
Side = Literal["bright", "dark"]


class GreyPhase(NamedTuple):
    """The phase of the particles in a grey image.

    Attributes
    ----------
    phase : array of bool, shape (nz, ny, nx)
    smooth : array of float32, shape (nz, ny, nx)
        The smoothed image.
    threshold : float
        In grey values.
    counts : ndarray of int64, shape (256,)
        Voxels of the smoothed image in bins of equal width.
    low, high : float
        Ends of the first and the last bin.
    """

    phase: Any
    smooth: Any
    threshold: float
    counts: np.ndarray
    low: float
    high: float


def phase_by_threshold(
    grey: Readable, sigma: float = PAPER_SIGMA, side: Side = "bright", *, spread: Spread = map,
    arrays: Arrays = in_memory, edge: int = EDGE,
) -> GreyPhase:  # fmt: skip
    """Find the voxels of the particles in a grey image ("Preprocessing of nano-CT data").

    Parameters
    ----------
    grey : array, shape (nz, ny, nx)
        Read in boxes.
    sigma : float
        Standard deviation of the Gaussian kernel in voxels; 0 smooths nothing.
    side : {"bright", "dark"}
        Whether particles are brighter or darker than the rest.
    spread : callable
        Applies a function to items as `map` does, in order.
    arrays : callable
        Makes the arrays of the smoothed image and of the phase.
    edge : int
        Of the blocks, in voxels.

    Returns
    -------
    GreyPhase

    Raises
    ------
    ImageError
        If all values are equal.
    """
    smooth, cores = arrays("smooth", grey.shape, np.float32), blocks(grey.shape, edge)
    ends = list(spread(partial(_smooth, grey, smooth, sigma), cores))
    return divided(smooth, ends, None, side, spread=spread, arrays=arrays, edge=edge)


def divided(
    smooth: Any, ends: Sequence[tuple[float, float]], threshold: float | None, side: Side = "bright", *,
    spread: Spread = map, arrays: Arrays = in_memory, edge: int = EDGE,
) -> GreyPhase:  # fmt: skip
    """Divide a smoothed image at a threshold.

    Parameters
    ----------
    smooth : array of float32, shape (nz, ny, nx)
        Read in boxes.
    ends : sequence of (float, float)
        Smallest and largest value of each block.
    threshold : float or None
        None: that of Otsu.
    side, spread, arrays, edge
        As of :func:`phase_by_threshold`, with the same errors.
    """
    cores = blocks(smooth.shape, edge)
    low, high = min(least for least, _ in ends), max(most for _, most in ends)
    if not low < high:
        raise ImageError(f"image: all voxels have the value {low:g}, expected two phases")
    counts = np.sum(list(spread(partial(_binned, smooth, low, high), cores)), axis=0)
    threshold = otsu(counts, low, high) if threshold is None else threshold
    phase = arrays("phase", smooth.shape, np.bool_)
    list(spread(partial(_compare, smooth, phase, threshold, side), cores))
    return GreyPhase(phase, smooth, threshold, counts, low, high)


def phase_of_label(
    values: Readable, label: float, *, spread: Spread = map, arrays: Arrays = in_memory, edge: int = EDGE
) -> Any:
    """Return the voxels with one value, an array of bool; ImageError if no voxel has it."""
    phase = arrays("phase", values.shape, np.bool_)
    if not any(list(spread(partial(_select, values, phase, label), blocks(values.shape, edge)))):
        raise ImageError(f"phase: found no voxel with the value {label:g} in the image")
    return phase


def otsu(counts: np.ndarray, low: float, high: float) -> float:
    """Return the threshold that separates grey values into two classes with the largest variance between them.

    Otsu (1979), on a histogram of bins of equal width from `low` to `high`; the threshold is the middle of the last
    bin of the lower class.
    """
    edges = np.linspace(low, high, len(counts) + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts).astype(np.float64)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[int(np.nanargmax(np.where(above > 0, between, np.nan)))])


def _smooth(grey: Readable, smooth: Any, sigma: float, core: Box) -> tuple[float, float]:
    """Write the smoothed image of a core; return its extremes."""
    window = core.grown(int(_TRUNCATE * sigma + 0.5), grey.shape)
    values = np.asarray(grey[window.slices], np.float32)
    if sigma > 0:
        values = gaussian_filter(values, sigma, truncate=_TRUNCATE)
    own = values[core.within(window).slices]
    smooth[core.slices] = own
    return float(own.min()), float(own.max())


def _binned(smooth: Any, low: float, high: float, core: Box) -> np.ndarray:
    return np.histogram(smooth[core.slices], _BINS, range=(low, high))[0]


def _compare(smooth: Any, phase: Any, threshold: float, side: Side, core: Box) -> None:
    values = np.asarray(smooth[core.slices])
    phase[core.slices] = values > threshold if side == "bright" else values <= threshold


def _select(values: Readable, phase: Any, label: float, core: Box) -> bool:
    found = np.asarray(values[core.slices]) == label
    phase[core.slices] = found
    return bool(found.any())
