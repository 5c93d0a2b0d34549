"""Closed forms of Boolean models of balls and fibres, and their parameters for a volume fraction and a surface.

Balls and straight fibres with round ends are convex, so Miles' formulas are exact, with the mean volume, surface and
integral of mean curvature of a grain (Steiner's formula): Chiu et al., *Stochastic Geometry and its Applications*
(2013), Sec. 3.1. Results are equal to the last bit on every machine.
"""

import math
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from nmcdist.arguments import check_length, check_number
from nmcdist.bundle import FibreParameters, PackingParameters, Parameters, SphereParameters
from nmcdist.errors import InputError
from nmcdist.faults import fault_lines
from nmcdist.geometry.elementary import log1p
from nmcdist.models.radii import radius_moments
from nmcdist.models.theory import Densities, miles

P = TypeVar("P", bound=Parameters)


def sphere_densities(parameters: SphereParameters) -> Densities:
    """Return the expected densities of the balls, by Miles' formulas."""
    mean, square, cube = radius_moments(parameters)
    return miles(parameters.intensity_per_nm3, 4 / 3 * math.pi * cube, 4 * math.pi * square, 4 * math.pi * mean)


def spheres_for(volume_fraction: float, surface_per_nm: float, radius_spread: float = 0.0) -> SphereParameters:
    """Return the parameters with a volume fraction V and a surface per volume S.

    Miles' formulas give E[R^3] / E[R^2] = 3 (1 - V) (-ln(1 - V)) / S.

    Parameters
    ----------
    volume_fraction : float
        In (0, 1).
    surface_per_nm : float
        In 1/nm.
    radius_spread : float
        Standard deviation of the radius over its mean.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    ratio, covered = _volume_over_surface(volume_fraction, surface_per_nm)
    spread = check_number("radius_spread", radius_spread, 0, 1)
    mean = 3 * ratio / (1 + 2 * spread * spread)
    law = _record(SphereParameters, radius_mean_nm=mean, radius_spread=spread, intensity_per_nm3=1.0)
    intensity = covered / (4 / 3 * math.pi * radius_moments(law)[2])
    return law.model_copy(update={"intensity_per_nm3": intensity})


def fibre_densities(parameters: FibreParameters, sheath: bool = False) -> Densities:
    """Return the expected densities of fibres, where the intensity is `intensity_per_nm3`.

    Mean curvature and Euler number are NaN unless fibres are straight and isotropic. V and S of curved fibres are
    those of a smooth tube that does not touch itself (Weyl's formula). Where fibres touch themselves, both come out
    lower: by 0.5 % at a persistence length of 10 radii and an anisotropy up to 3, and by 2 % at 20 radii in the plane.

    Parameters
    ----------
    parameters : FibreParameters
    sheath : bool
        Whether the sheath counts as part of a fibre.
    """
    length = parameters.length_nm
    mean, square, cube = radius_moments(parameters, parameters.sheath_nm if sheath else 0.0)
    volume, surface = math.pi * (square * length + 4 / 3 * cube), 2 * math.pi * (mean * length + 2 * square)
    found = miles(parameters.intensity_per_nm3, volume, surface, math.pi * (length + 4 * mean))
    if parameters.anisotropy == 1.0 and parameters.persistence_length_nm is None:
        return found
    return replace(found, mean_curvature=math.nan, euler_number=math.nan)


def fibres_for(
    volume_fraction: float, surface_per_nm: float, length_nm: float, radius_spread: float = 0.0, **others: Any
) -> FibreParameters:
    """Return the parameters of fibres with a volume fraction V and a surface per volume S, without sheath.

    The ratio of mean volume and mean surface of a fibre is (1 - V) (-ln(1 - V)) / S, a quadratic equation for the
    mean radius. For long fibres of one radius, the radius is twice this ratio.

    Parameters
    ----------
    volume_fraction : float
        In (0, 1).
    surface_per_nm : float
        In 1/nm.
    length_nm : float
        Length of the axis of a fibre.
    radius_spread : float
        Standard deviation of the radius over its mean.
    **others
        Further fields of :class:`FibreParameters`.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    ratio, covered = _volume_over_surface(volume_fraction, surface_per_nm)
    length, spread = check_length("length_nm", length_nm), check_number("radius_spread", radius_spread, 0, 1)
    square = 1 + spread * spread
    cube = square * (1 + 2 * spread * spread)
    half = 0.5 * (square * length - 4 * ratio * square)
    # The root without cancellation: a m^2 + 2 half m = 2 ratio length.
    mean = 2 * ratio * length / (half + math.sqrt(half * half + 8 / 3 * cube * ratio * length))
    law = _record(
        FibreParameters, radius_mean_nm=mean, radius_spread=spread, length_nm=length, intensity_per_nm3=1.0, **others
    )
    _, square, cube = radius_moments(law)
    intensity = covered / (math.pi * (square * length + 4 / 3 * cube))
    return law.model_copy(update={"intensity_per_nm3": intensity})


def packing_for(volume_fraction: float, surface_per_nm: float, radius_spread: float = 0.0) -> PackingParameters:
    """Return the parameters of hard packed balls with a volume fraction V and a surface per volume S.

    Balls that do not overlap have E[R^3] / E[R^2] = 3 V / S.

    Parameters
    ----------
    volume_fraction : float
        In (0, 1); more than 0.60 cannot be packed.
    surface_per_nm : float
        In 1/nm.
    radius_spread : float
        Standard deviation of the radius over its mean.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    _volume_over_surface(volume_fraction, surface_per_nm)
    spread = check_number("radius_spread", radius_spread, 0, 1)
    mean = 3 * volume_fraction / surface_per_nm / (1 + 2 * spread * spread)
    return _record(PackingParameters, radius_mean_nm=mean, radius_spread=spread, ball_fraction=volume_fraction)


def _record(kind: type[P], **values: Any) -> P:
    """Return a record of parameters, or raise InputError."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise InputError("; ".join(fault_lines(error, kind.__name__, kind))) from None


def _volume_over_surface(volume_fraction: float, surface_per_nm: float) -> tuple[float, float]:
    """Return mean volume over mean surface of the grains of a Boolean model, in nm, and -ln(1 - V).

    Raises
    ------
    InputError
        If the volume fraction V is not in (0, 1), or the surface is not positive.
    """
    fraction = check_number("volume_fraction", volume_fraction, 1e-9, 1 - 1e-9)
    surface = check_number("surface_per_nm", surface_per_nm, 1e-30, 1e30)
    covered = -log1p(-fraction)
    return float((1 - fraction) * covered / surface), float(covered)
