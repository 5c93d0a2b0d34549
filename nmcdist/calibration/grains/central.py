"""Find the sections through the centre of their particle, by how much their grains point to it.

A model of radial grains needs sections through the centre. In other sections the radius of a grain leaves the plane,
most of all near the section's middle, and a preferred direction is less visible. The paper keeps and drops sections
by inspecting their density of angles; here a rule makes this decision.
"""

import math
from collections.abc import Sequence

import numpy as np

from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import ImageError

# A weaker typical preference cannot distinguish sections.
NO_PREFERENCE = 0.05
# A section is dropped if its preference is below this share of the typical one, and by so many standard errors. This
# share is what is left at a third of the radius above the centre.
LEAST_SHARE = 0.6
SURE = 3.0
_QUARTILE = 0.6745  # of the normal law, in standard deviations


def radial_preference(section: Section) -> tuple[float, float]:
    """Return the preference of a section's grains for the direction of the radius, and its standard error.

    It is the mean of (e1 - e2) / (e1 + e2) cos(2 alpha) over the grains, e1 >= e2 being their second moments: 1 for
    needles along the radius, -1 for needles across it, 0 without a preference or where grains are round. A grain
    has weight 1 - |c| / R, with the distance R just beyond the farthest pixel: grains near the centre say most about
    the distance of the plane from it. The standard error treats grains as independent.

    Parameters
    ----------
    section : Section

    Returns
    -------
    tuple of float
        The error is infinite for a single grain.

    Raises
    ------
    ImageError
        If the section has no grain.
    """
    if not (section.labels > 0).any():
        raise ImageError(f"section {section.name!r}: found no grain, expected pixels with positive labels")
    grains = section.describe()
    e1, e2 = (grains.principal_axis_lengths_nm.values**2).T
    # Round grains and one at the very centre have no angle, and prefer nothing.
    preferences = np.nan_to_num((e1 - e2) / (e1 + e2) * np.cos(2.0 * grains.angle_to_radius.values))
    offsets = (np.argwhere(section.mask) - section.centre_px) * section.pixel_size_nm
    farthest = float(np.hypot(*offsets.T).max()) + section.pixel_size_nm
    weights = 1.0 - grains.radius_nm.values / farthest
    weights /= weights.sum()
    mean = float(weights @ preferences)
    n = len(weights)
    if n < 2:
        return mean, math.inf
    return mean, math.sqrt(n / (n - 1) * float((weights**2) @ (preferences - mean) ** 2))


def central_sections(sections: Sequence[Section]) -> tuple[list[Section], list[Section]]:
    """Divide sections into those that seem to pass through the centre, and others.

    A section is dropped if its preference for the radius is less than 0.6 of the typical one, and this by more than
    3 standard errors. The typical one is the upper quartile of the set, less what errors add to that, found again
    without the dropped sections until none is dropped any more: up to three quarters of the sections may be off
    the centre. Where it is below 0.05, or below the sections' standard errors, nothing is dropped: grains without a
    preferred direction do not tell. Where sections prefer the direction across the radius, it is this preference
    that counts.

    Parameters
    ----------
    sections : sequence of Section

    Returns
    -------
    kept, dropped : list of Section
        In the given order.

    Raises
    ------
    ImageError
        If a section has no grain.
    """
    measured = np.array([radial_preference(section) for section in sections]).reshape(-1, 2)
    kept = _kept(*measured.T)
    pairs = list(zip(sections, kept, strict=True))
    return [section for section, keep in pairs if keep], [section for section, keep in pairs if not keep]


def _kept(preferences: np.ndarray, errors: np.ndarray) -> np.ndarray:
    kept = np.ones(len(preferences), dtype=np.bool_)
    while kept.any():
        # Grains across the radius have a negative preference, and lose it in the same way.
        strengths = math.copysign(1.0, float(np.median(preferences[kept]))) * preferences
        error = float(np.median(errors[kept]))
        typical = float(np.quantile(strengths[kept], 0.75)) - _QUARTILE * error
        weak = kept & (strengths < LEAST_SHARE * typical) & (strengths < typical - SURE * errors)
        if typical < max(NO_PREFERENCE, error) or not weak.any():
            break
        kept &= ~weak
    return kept
