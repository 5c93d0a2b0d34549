"""Sections prepared for a training: missing pixels are filled from fitted tessellations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nmcdist.calibration.grains.results import Fits, SectionFit
from nmcdist.calibration.grains.sections import Section
from nmcdist.calibration.grains.tessellation_fit import MISSING, Fit, fit_tessellation
from nmcdist.calibration.grains.windows import Measured
from nmcdist.errors import ImageError, InputError


@dataclass(frozen=True, eq=False)
class Prepared:
    """Sections with the tessellations fitted to them.

    Attributes
    ----------
    sections : tuple of Section
        Sections with missing pixels filled from the fit.
    fits : tuple of Fit
    pixel_size_nm : float
    grain_width_px : float
        Square root of the mean area of a grain.
    """

    sections: tuple[Section, ...]
    fits: tuple[Fit, ...]
    pixel_size_nm: float
    grain_width_px: float

    @classmethod
    def of(cls, sections: Sequence[Section]) -> "Prepared":
        """Fit a tessellation to each section.

        Raises
        ------
        ImageError
            If there is no section, a section has no grain, or the pixel sizes differ.
        """
        if not sections:
            raise ImageError("sections: found none, expected at least one")
        sizes = {section.pixel_size_nm for section in sections}
        if len(sizes) > 1:
            raise ImageError(f"sections: found pixels of {sorted(sizes)} nm, expected one size")
        fits = tuple(fit_tessellation(s.labels, s.pixel_size_nm, s.centre_px) for s in sections)
        whole = tuple(filled(s, fit) for s, fit in zip(sections, fits, strict=True))
        pixels, grains = sum(int(s.mask.sum()) for s in whole), sum(len(fit.grains) for fit in fits)
        return cls(whole, fits, sizes.pop(), math.sqrt(pixels / grains))

    def measured(self) -> Measured:
        """Return the sections from which windows are cut, at least one grain width below the surface."""
        return Measured.of(self.sections, [fit.tessellation for fit in self.fits], self.grain_width_px)

    def summary(self) -> Fits:
        """Return the quality of the fits."""
        of_sections = [
            SectionFit(
                name=section.name, grains=len(fit.grains), pixels=int(section.mask.sum()), matched=fit.matched,
                boundary_distance_nm=fit.boundary_distance_nm, area_error=fit.area_error, lost_grains=fit.lost_grains,
            )
            for section, fit in zip(self.sections, self.fits, strict=True)
        ]  # fmt: skip
        return Fits(
            sections=of_sections,
            matched=float(np.mean([fit.matched for fit in self.fits])),
            seconds=float(np.sum([fit.seconds for fit in self.fits])),
        )


def filled(section: Section, fit: Fit) -> Section:
    """Return a section whose missing pixels are filled from a tessellation fitted to it.

    Raises
    ------
    InputError
        If the tessellation and the section have different grains.
    """
    labels = section.labels
    grains = np.unique(labels[labels > 0])
    if not np.array_equal(grains, fit.grains):
        raise InputError(f"fit: found {len(fit.grains)} grains, expected the {len(grains)} of section {section.name}")
    shape = (labels.shape[0], labels.shape[1])
    fitted = fit.grains[fit.tessellation.labels(shape, section.pixel_size_nm, section.centre_px) - 1]
    return replace(section, labels=np.where(labels == MISSING, fitted, labels).astype(np.int32))
