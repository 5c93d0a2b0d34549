"""Grey values on one scale: 0 midway between the dark and the bright level of an image, one unit to each.

The same function serves training and segmentation. Levels are those of smoothed slices, so noise does not widen them,
after the ramp is taken out.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.ramp import SMOOTHED_PX
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError

_SLICES = 64  # spread over the stack, that are looked at
_DARK, _BRIGHT = 0.1, 0.9  # quantiles of a smoothed slice


@dataclass(frozen=True)
class Levels:
    """The dark and the bright level of an image, in its grey values."""

    dark: float
    bright: float

    def normalised(self, grey: np.ndarray) -> np.ndarray:
        """Return grey values of float32 on the scale."""
        scaled: np.ndarray = (grey - np.float32((self.dark + self.bright) / 2)) * np.float32(
            2 / (self.bright - self.dark)
        )
        return scaled


@dataclass(frozen=True, eq=False)
class NormalStack:
    """A stack whose grey values are normalised as they are read.

    Attributes
    ----------
    stack : CorrectedStack
    levels : Levels
    """

    stack: CorrectedStack
    levels: Levels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return self.stack.shape

    def read(self, z: slice, y: slice = slice(None), x: slice = slice(None)) -> np.ndarray:
        """Return a box as float32; ImageError as :meth:`CorrectedStack.read`."""
        return self.levels.normalised(self.stack.read(z, y, x))


def looked_at(count: int) -> list[int]:
    """Return the numbers of up to 64 slices that are spread over a stack."""
    return [k * (count - 1) // max(1, min(count, _SLICES) - 1) for k in range(min(count, _SLICES))]


def fit_levels(stack: CorrectedStack, spread: Spread = map) -> Levels:
    """Return the levels of a stack.

    Raises
    ------
    ImageError
        If slices are of one grey value.
    """
    found = list(spread(partial(_levels, stack), looked_at(stack.shape[0])))
    dark, bright = (math.fsum(each) / len(found) for each in zip(*found, strict=True))
    if not bright - dark > 1e-6 * max(abs(dark), abs(bright)):
        raise ImageError(f"{stack.image.path}: found the levels {dark:g} and {bright:g}, expected an image of contrast")
    return Levels(dark, bright)


def _levels(stack: CorrectedStack, z: int) -> tuple[float, float]:
    values = gaussian(stack.read(slice(z, z + 1))[0], SMOOTHED_PX).reshape(-1)
    places = [int(share * (values.size - 1)) for share in (_DARK, _BRIGHT)]
    ordered = np.partition(values, places)
    return float(ordered[places[0]]), float(ordered[places[1]])
