"""The choices of a calibration of shells."""

import math
from dataclasses import dataclass
from typing import Literal

from nmcdist.calibration.shell.basins import LOW_H
from nmcdist.calibration.shell.phase import PAPER_SIGMA, Side
from nmcdist.calibration.shell.stars import Contacts
from nmcdist.errors import InputError

Merging = Literal["neck", "paper"]
ORDER = 9


@dataclass(frozen=True)
class ShellSettings:
    """The choices of a calibration of shells.

    Attributes
    ----------
    phase : float or None
        Value of the particles in an image of phases.
    is_labelled : bool
        Whether each particle has its own label; 0 is the background. Without this and without a phase, the image is
        grey.
    sigma : float
        Smoothing of a grey image, in voxels.
    side : {"bright", "dark"}
        Whether particles are brighter or darker in a grey image.
    h : float
        Of the watershed, in voxels.
    merging : {"neck", "paper"}
        Rule that merges regions.
    neck_ratio : float or None
        Ratio above which regions are merged. None: chosen by a packing of known shapes.
    contacts : {"mask", "keep"}
        Whether directions of contact are left out of the fits, and the law is corrected by the packing.
    least_voxels : int
        Smaller particles are left out.
    seed : int
        Of the random rotations and of the drawn shells.
    """

    phase: float | None = None
    is_labelled: bool = False
    sigma: float = PAPER_SIGMA
    side: Side = "bright"
    h: float = LOW_H
    merging: Merging = "neck"
    neck_ratio: float | None = None
    contacts: Contacts = "mask"
    least_voxels: int = 200
    seed: int = 1

    def __post_init__(self) -> None:
        if self.is_labelled and self.phase is not None:
            raise InputError("phase: an image of labelled particles has no phase, expected one of the two")
        for name, low, high in (("sigma", 0.0, 100.0), ("h", 0.0, 100.0), ("neck_ratio", 0.0, 1.0)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"{name}: found {value:g}, expected a number from {low:g} to {high:g}")
        if self.phase is not None and not math.isfinite(self.phase):
            raise InputError(f"phase: found {self.phase}, expected a value of the image")
        if self.merging == "paper" and self.neck_ratio is not None:
            raise InputError("neck_ratio: the paper's rule has none, expected merging by necks")
        if self.least_voxels < 10:
            raise InputError(f"least_voxels: found {self.least_voxels}, expected at least 10, as in the paper")
