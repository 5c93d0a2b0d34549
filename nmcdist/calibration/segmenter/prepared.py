"""A grey stack made ready for a segmenter, in stages: ramp, levels, statistics, and the doubts that they raise."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.stack import CorrectedStack, corrected_stack
from nmcdist.calibration.segmenter.bundles import Segmenter
from nmcdist.calibration.segmenter.normal import Levels, NormalStack, fit_levels
from nmcdist.calibration.segmenter.statistics import NAMES, image_statistics
from nmcdist.calibration.stages import Stages
from nmcdist.images import Image

_CLOSE = 0.1  # by which voxels may differ from those of the training


@dataclass(frozen=True, eq=False)
class Prepared:
    """A stack that is ready.

    Attributes
    ----------
    image : NormalStack
    keys : list of str
        Of the stages that it needs.
    facts : dict
        What they found, which JSON can hold.
    warnings : list of str
        Why the result may not be believed.
    """

    image: NormalStack
    keys: list[str]
    facts: dict[str, Any]
    warnings: list[str]

    @property
    def stack(self) -> CorrectedStack:
        """The stack in its own grey values."""
        return self.image.stack


def prepared(
    image: Image, segmenter: Segmenter, stages: Stages, *, ramp: bool, drift: str | np.ndarray, digest: str
) -> Prepared:
    """Correct and normalise a stack, and judge whether it is like those of the training.

    Parameters
    ----------
    image : Image
    segmenter : Segmenter
    stages : Stages
    ramp : bool
        Whether to take out a ramp of brightness, which only a FIB-SEM has.
    drift : "none", "estimate" or ndarray of float64, shape (nz, 2)
        See :func:`corrected_stack`.
    digest : str
        Of the image.

    Raises
    ------
    ImageError
        If the image cannot be corrected, or has no contrast.
    """
    has_ramp = ramp and segmenter.instrument == "fib-sem"
    stack, keys, facts = corrected_stack(image, stages, has_ramp, drift, digest)
    plain = CorrectedStack(image, stack.ramp)
    first = stages.once("levels", lambda: vars(fit_levels(plain, stages.spread)), keys)
    levels = Levels(*(float(first.facts[0][name]) for name in ("dark", "bright")))
    normal = NormalStack(plain, levels)
    second = stages.once("statistics", lambda: {"values": image_statistics(normal, stages.spread)}, [first.key])
    values = second.facts[0]["values"]
    facts |= {
        "levels": vars(levels), "distance": round(segmenter.reference.distance(values), 3),
        "distance_limit": round(segmenter.reference.limit, 3),
        "statistics": {n: None if np.isnan(v) else round(float(v), 5) for n, v in zip(NAMES, values, strict=True)},
    }  # fmt: skip
    warnings = doubts_of(image, segmenter, values)
    return Prepared(NormalStack(stack, levels), [*keys, first.key], facts, warnings)


def doubts_of(image: Image, segmenter: Segmenter, statistics: np.ndarray) -> list[str]:
    """Return why the labels of an image may not be believed: its statistics, or its voxels."""
    distance = segmenter.reference.distance(statistics)
    return [*_of_distance(distance, segmenter.reference.limit), *_of_voxels(image, segmenter)]


def _of_distance(distance: float, limit: float) -> list[str]:
    if distance <= limit:
        return []
    return [
        f"the image is unlike those of the training: its noise, blur and contrast lie at a distance of {distance:.1f}, "
        f"beyond {limit:.1f}; do not believe the labels without a check by hand"
    ]


def _of_voxels(image: Image, segmenter: Segmenter) -> list[str]:
    expected = (segmenter.slice_nm, segmenter.pixel_nm, segmenter.pixel_nm)
    if all(abs(found / wanted - 1) <= _CLOSE for found, wanted in zip(image.voxel_size_nm, expected, strict=True)):
        return []
    sizes, wanted = (" x ".join(f"{each:g}" for each in three) for three in (image.voxel_size_nm, expected))
    return [f"the image has voxels of {sizes} nm, the training had {wanted} nm; do not believe the labels unchecked"]
