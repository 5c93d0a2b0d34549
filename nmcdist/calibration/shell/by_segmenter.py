"""The phase of the particles by a segmenter, in place of a threshold, block by block."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.ramp import Ramp
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.fibsem.stored import FULL
from nmcdist.calibration.segmenter.bundles import Segmenter
from nmcdist.calibration.segmenter.labelling import check_instrument
from nmcdist.calibration.segmenter.net import Net
from nmcdist.calibration.segmenter.normal import Levels, NormalStack, fit_levels
from nmcdist.calibration.segmenter.prepared import doubts_of
from nmcdist.calibration.segmenter.statistics import image_statistics
from nmcdist.calibration.segmenter.tiles import box_probabilities
from nmcdist.calibration.shell.blocks import EDGE, Arrays, Box, Readable, blocks, in_memory
from nmcdist.calibration.spread import Spread
from nmcdist.images import Image

_PARTICLE = 1  # class


@dataclass(frozen=True, eq=False)
class Normal:
    """An array of grey values that is normalised as it is read, as :class:`NormalStack` is."""

    values: Readable
    levels: Levels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        return self.values.shape

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Return a box as float32."""
        return self.levels.normalised(np.asarray(self.values[z, y, x], np.float32))


def phase_by_segmenter(
    image: Image, values: Readable, segmenter: Segmenter, *, spread: Spread = map, arrays: Arrays = in_memory
) -> tuple[Any, list[str]]:
    """Return the voxels that are probably particles, an array of bool, and why they may not be believed.

    Parameters
    ----------
    image : Image
    values : array, shape (nz, ny, nx)
        Its voxels, read in boxes.
    segmenter : Segmenter
        Of nano-CT images.
    spread : callable
        Applies a function to items as `map` does, in order.
    arrays : callable
        Makes the array.

    Raises
    ------
    BundleError
        If the segmenter is for other images.
    ImageError
        If the image has no contrast.
    """
    check_instrument(segmenter, "nano-ct")
    plain = CorrectedStack(image, Ramp(0.0))
    levels = fit_levels(plain)
    warnings = doubts_of(image, segmenter, image_statistics(NormalStack(plain, levels)))
    phase = arrays("phase", values.shape, np.bool_)
    list(spread(partial(_mark, segmenter.net, Normal(values, levels), phase), blocks(values.shape, EDGE)))
    return phase, warnings


def _mark(net: Net, image: Normal, phase: Any, core: Box) -> None:
    phase[core.slices] = 2 * box_probabilities(net, image, core.slices)[_PARTICLE].astype(np.int32) > FULL
