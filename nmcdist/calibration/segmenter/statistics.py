"""Statistics of an image that say whether it is like those of the training: noise, blur, contrast, neighbours.

They are measured in blocks of slices of the normalised image, on the details of Haar's wavelets at scales of 1 to 8
pixels: their mean squares along x, y and both (noise at the finest scale, blur in how they grow, curtains in the
difference of x and y), how heavy their tails are, the shape of the histogram of coarse grey values, how much
neighbouring slices differ, how much brighter the dark is above what is bright in the next slice, and how much it varies
(by charging, where a microscope has that). An image has the median of its blocks.

The net's own confidence says nothing of this: it is as sure outside the range of its training as within.
"""

import math
from functools import partial

import numpy as np

from nmcdist.calibration.boxes import tiled
from nmcdist.calibration.segmenter.normal import NormalStack, looked_at
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError
from nmcdist.geometry.elementary import log
from nmcdist.jit import kernel

_LEVELS = 4
_COARSE = 2  # halvings of the grey values whose histogram and neighbours are looked at
_BLOCK = 128
_DARK, _BRIGHT = -0.5, 0.3  # normalised grey values, up to and from which
_FEWEST = 8  # coarse values that a mean needs
NAMES = (
    *(f"log details along {way}, {2**k} px" for k in range(_LEVELS) for way in ("x", "y", "both")),
    *(f"log tails of details, {2**k} px" for k in (1, 2)),
    "skewness of coarse values", "log tails of coarse values", "log variance of the coarsest values",
    "log difference of neighbouring slices", "shine of what lies below", "log variance of dark values",
)  # fmt: skip


def image_statistics(image: NormalStack, spread: Spread = map) -> np.ndarray:
    """Return the statistics of an image: the median over blocks of up to 64 slices.

    Parameters
    ----------
    image : NormalStack
    spread : callable
        Like the builtin `map`; slices are its items.

    Returns
    -------
    ndarray of float64, shape (len(NAMES),)
        What no block has is NaN, as neighbours in an image of one slice.

    Raises
    ------
    ImageError
        If slices are smaller than 16 pixels.
    """
    if min(image.shape[1:]) < 2**_LEVELS:
        raise ImageError(
            f"{image.stack.image.path}: found slices of {image.shape[1]} x {image.shape[2]} pixels, expected at least "
            f"{2**_LEVELS}"
        )
    numbers = looked_at(max(1, image.shape[0] - 1))
    parts = np.concatenate(list(spread(partial(slice_statistics, image), numbers)))
    return np.array([_median(column[~np.isnan(column)]) for column in parts.T])


def slice_statistics(image: NormalStack, z: int) -> np.ndarray:
    """Return the statistics of each whole block of a slice, shape (blocks, len(NAMES))."""
    here = image.read(slice(z, z + 1))[0]
    below = image.read(slice(z + 1, z + 2))[0] if z + 1 < image.shape[0] else None
    edges = [min(_BLOCK, n // 2**_LEVELS * 2**_LEVELS) for n in here.shape]
    boxes = tiled([n // e * e for n, e in zip(here.shape, edges, strict=True)], edges)
    return np.array([block_statistics(here[box], None if below is None else below[box]) for box in boxes])


def block_statistics(block: np.ndarray, below: np.ndarray | None) -> list[float]:
    """Return the statistics of a block of a slice, by :data:`NAMES`; NaN where there is nothing to measure.

    Parameters
    ----------
    block : ndarray of float32, shape (ny, nx)
        Multiples of 16 pixels.
    below : ndarray of float32, shape (ny, nx), or None
        The same block of the next slice.
    """
    found, tails, coarse = [], [], [block]
    for k in range(_LEVELS):
        low, (x, y, both, fourth) = _halved(coarse[-1])
        found += [_log(x), _log(y), _log(both)]
        if k in (1, 2):
            tails.append(_log(2 * fourth / max(1e-30, (x + y) ** 2)))
        coarse.append(low)
    middle = coarse[_COARSE]
    _, variance, third, fourth = _moments(middle)
    deviation = math.sqrt(max(variance, 1e-30))
    shape = [third / deviation**3, _log(fourth / deviation**4), _log(_moments(coarse[-1])[1])]
    if below is None:
        return [*found, *tails, *shape, math.nan, math.nan, math.nan]
    for _ in range(_COARSE):
        below = _halved(below)[0]
    counts, means, squares = _dark(middle, below, np.float32(_DARK), np.float32(_BRIGHT))
    change = _log(_moments((middle - below).astype(np.float32))[1])
    shine = means[1] - means[0] if counts.min() >= _FEWEST else math.nan
    return [*found, *tails, *shape, change, shine, _log(squares[0]) if counts[0] >= _FEWEST else math.nan]


def _halved(image: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    low = np.empty((image.shape[0] // 2, image.shape[1] // 2), np.float32)
    return low, _details(np.ascontiguousarray(image), low)


def _median(values: np.ndarray) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2]) if len(values) else math.nan


def _log(value: float) -> float:
    return float(log(max(value, 1e-12)))


@kernel
def _details(image: np.ndarray, low: np.ndarray) -> tuple[float, float, float, float]:
    """Write the means of squares of four pixels; return mean squares of the details, and mean fourth powers."""
    x = y = both = fourth = 0.0
    for i in range(low.shape[0]):
        for j in range(low.shape[1]):
            a, b = np.float64(image[2 * i, 2 * j]), np.float64(image[2 * i, 2 * j + 1])
            c, d = np.float64(image[2 * i + 1, 2 * j]), np.float64(image[2 * i + 1, 2 * j + 1])
            low[i, j] = (a + b + c + d) / 4
            u, v, w = (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2
            x += u * u
            y += v * v
            both += w * w
            fourth += u * u * u * u + v * v * v * v
    count = low.size
    return x / count, y / count, both / count, fourth / count


@kernel
def _moments(image: np.ndarray) -> tuple[float, float, float, float]:
    """Return the mean, and the second to fourth central moments."""
    mean = 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            mean += np.float64(image[i, j])
    mean /= image.size
    second = third = fourth = 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            by = np.float64(image[i, j]) - mean
            second += by * by
            third += by * by * by
            fourth += by * by * by * by
    return mean, second / image.size, third / image.size, fourth / image.size


@kernel
def _dark(
    here: np.ndarray, below: np.ndarray, dark: np.float32, bright: np.float32
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return counts and means of dark values above dark and above bright ones, and their mean squares about these."""
    counts, means, squares = np.zeros(2), np.zeros(2), np.zeros(2)
    for turn in range(2):
        for i in range(here.shape[0]):
            for j in range(here.shape[1]):
                if here[i, j] <= dark and (below[i, j] <= dark or below[i, j] >= bright):
                    kind = 0 if below[i, j] <= dark else 1
                    value = np.float64(here[i, j])
                    if turn == 0:
                        counts[kind] += 1
                        means[kind] += value
                    else:
                        squares[kind] += (value - means[kind]) * (value - means[kind])
        for kind in range(2):
            if counts[kind] > 0:
                if turn == 0:
                    means[kind] /= counts[kind]
                else:
                    squares[kind] /= counts[kind]
    return counts, means, squares
