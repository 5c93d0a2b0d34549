"""Parameters of particles and grains of a wanted size and form.

Sizes are scaled, by factors that are the same to the last bit on every machine; the elongation of grains is found by
trials.
"""

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from nmcdist.arguments import check_number
from nmcdist.bundle import Bundle, NetParameters, ParticleParameters, RadialParameters, ShellParameters
from nmcdist.errors import InputError
from nmcdist.geometry.elementary import cbrt, exp
from nmcdist.models.additive_wishes import Value, Wish
from nmcdist.models.grains import intensity_profile
from nmcdist.models.particle_sizes import grain_diameter_nm, median_diameter_nm

MOST_ELONGATED = 4.0  # radial over tangential half-axis: beyond it a particle takes minutes to draw
_SEED = 811
_TOLERANCE = 0.002  # of a mean elongation, below its error from the grains of a trial


def for_median_diameter(bundle: Bundle, median_um: float) -> dict[str, Value]:
    """Return the parameters of shells with this median of the mean diameters, in um.

    All lengths of the shell are scaled by one factor, and the smallest volume by its cube: forms stay the same.

    Raises
    ------
    InputError
        If the diameter is impossible.
    BundleError
        If the bundle has no shells.
    """
    wanted, p = 1000 * check_number("median_diameter_um", median_um, 0.01, 1e6), bundle.parameters_as(ShellParameters)
    factor = wanted / median_diameter_nm(p)
    if not 0 < factor < math.inf:
        raise InputError(
            f"median_diameter_um: found a bundle whose median is {median_diameter_nm(p) / 1000:g} um, expected more "
            "than 0 to scale it"
        )
    return {
        "shell_location_nm": factor * p.shell_location_nm,
        "shell_scale_nm": factor * p.shell_scale_nm,
        "shell_harmonic_scale_nm": tuple(factor * scale for scale in p.shell_harmonic_scale_nm),
        "shell_minimum_volume_nm3": factor * factor * factor * p.shell_minimum_volume_nm3,
    }


def for_grain_diameter(bundle: Bundle, diameter_nm: float) -> dict[str, Value]:
    """Return the parameters of grains whose mean volume is that of a ball of this diameter.

    It is the mean of :func:`nmcdist.models.particle_sizes.grain_diameter_nm`. All lengths of the tessellation are
    scaled by one factor: forms stay the same, but the core without a radial direction and the profile of the
    intensity become larger or smaller with the grains.

    Raises
    ------
    InputError
        If the diameter is impossible, or grains of the bundle's model cannot be scaled.
    BundleError
        If the bundle is not one of particles.
    """
    wanted, p = check_number("grain_diameter_nm", diameter_nm, 1.0, 1e6), bundle.particle()
    factor = _grain_factor(p, wanted)
    changes: dict[str, Value] = {"grain_intensity_per_nm3": p.grain_intensity_per_nm3 / (factor * factor * factor)}
    if p.grain_intensity_knots_nm:
        changes["grain_intensity_knots_nm"] = tuple(factor * knot for knot in p.grain_intensity_knots_nm)
    if isinstance(p, RadialParameters):
        changes["scale_transition_nm"] = factor * p.scale_transition_nm
        changes["offset_range_nm2"] = factor * factor * p.offset_range_nm2
    elif isinstance(p, NetParameters):
        changes["length_unit_nm"] = factor * p.length_unit_nm
    else:
        raise InputError(
            f"grain_diameter_nm: found model {bundle.model!r}, expected model 'particle-radial' or 'particle-net'"
        )
    return changes


def _grain_factor(p: ParticleParameters, wanted_nm: float) -> float:
    """Return the factor of the lengths of the grains."""
    profile = intensity_profile(p)
    if profile is None:
        return wanted_nm / grain_diameter_nm(p)
    # Scaled by g, a ball of radius R holds as many seeds as one of radius R / g before.
    radius = 0.5 * median_diameter_nm(p)
    seeds = (2 * radius / wanted_nm) ** 3
    return float(radius / profile.radii_of(np.array([seeds]))[0])


def for_elongation(bundle: Bundle, elongation: float) -> dict[str, Value]:
    """Return the parameters of grains with this mean elongation, 1 - second / longest axis.

    The ratio of the outer radial to the outer tangential half-axis is changed, from 1 to `MOST_ELONGATED`, with the
    same volume; the core keeps its half-axes. Each trial measures the grains of a few particles of about median size
    on coarse voxels, with the same random numbers: :func:`nmcdist.models.trials.measure_grains`.

    Raises
    ------
    InputError
        If the bundle's model has no half-axes, or the elongation is out of reach; the message gives the range.
    BundleError
        If the bundle is not one of particles.
    """
    from scipy.optimize import brentq

    from nmcdist.models.trials import measure_grains

    wanted, p = check_number("elongation", elongation, 0.0, 1.0), bundle.particle()
    if not isinstance(p, RadialParameters):
        raise InputError(f"elongation: found model {bundle.model!r}, expected model 'particle-radial'")
    product = p.radial_scale_outer * p.tangential_scale_outer**2

    def changes(log_ratio: float) -> dict[str, Value]:
        tangential = cbrt(product / exp(log_ratio))
        return {"radial_scale_outer": exp(log_ratio) * tangential, "tangential_scale_outer": tangential}

    @lru_cache
    def beyond(log_ratio: float) -> float:
        return measure_grains(bundle.with_parameters(**changes(log_ratio)), _SEED).elongation - wanted

    # Long grains take long to draw, so the search begins with round ones.
    ends = [math.log(MOST_ELONGATED) * k / 4 for k in range(5)]
    high = next((end for end in ends if beyond(end) >= 0), None)
    if high is None or beyond(ends[0]) > _TOLERANCE:
        least, most = (wanted + beyond(end) for end in (ends[0], ends[-1]))
        raise InputError(
            f"elongation: found {wanted:g}, expected {least:.3f} to {most:.3f}, the mean elongations of grains whose "
            f"radial half-axis is 1 to {MOST_ELONGATED:g} tangential ones"
        )
    if high == ends[0]:
        return changes(high)
    return changes(brentq(beyond, ends[ends.index(high) - 1], high, xtol=_TOLERANCE))


PARTICLE_WISHES: Mapping[str, Wish] = {
    "median_diameter_um": for_median_diameter,
    "grain_diameter_nm": for_grain_diameter,
    "elongation": for_elongation,
}
