"""Find the sections through the centre of their particle, by the degree to which their grains point to it.

A model of radial grains needs sections through the centre. In other sections, the radius of a grain leaves the plane,
most of all near the middle, and a preferred direction is less visible. The paper selects sections by inspecting their
density of angles; this module selects them by a rule.
"""

import math
from collections.abc import Sequence

import numpy as np

from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import ImageError

# A weaker typical preference is too small to distinguish sections.
NO_PREFERENCE = 0.05
# A section is dropped if its preference is below this share of the typical one, by this many standard errors. This
# share remains at a third of the radius above the centre.
LEAST_SHARE = 0.6
SURE = 3.0
_QUARTILE = 0.6745  # of the normal law, in standard deviations


def radial_preference(section: Section) -> tuple[float, float]:
    """Return the preference of a section's grains for the direction of the radius, and its standard error.

    It is the mean of (e1 - e2) / (e1 + e2) cos(2 alpha) over the grains with second moments e1 >= e2: 1 for needles
    along the radius, -1 for needles across it, 0 without a preference or for round grains. The weight of a grain is 1
    - |c| / R, where R is just beyond the farthest pixel, because grains near the centre depend most on the distance
    of the plane from it. The standard error treats grains as independent.

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
    # Round grains, and one exactly at the centre, have no angle and no preference.
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

    A section is dropped if its preference for the radius is less than 0.6 of the typical one, by more than 3 standard
    errors. The typical preference is the upper quartile of the set, minus the contribution of errors. It is computed
    again without the dropped sections until no further section is dropped, so up to three quarters of the sections
    may be off the centre. If it is below 0.05, or below the sections' standard errors, no section is dropped, because
    such grains give no evidence. If grains prefer the direction across the radius, this preference is used.

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
