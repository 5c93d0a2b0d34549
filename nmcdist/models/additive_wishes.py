"""Parameters of the additive with wanted shares and surface, by the closed forms of :mod:`nmcdist.models.theory`."""

from collections.abc import Callable, Mapping

from nmcdist.arguments import check_number
from nmcdist.bundle import Bundle, CbaParameters, ElectrodeParameters
from nmcdist.errors import InputError

Value = float | tuple[float, ...]
Wish = Callable[[Bundle, float], Mapping[str, Value]]


def additive_of(bundle: Bundle) -> CbaParameters:
    """Return the parameters of the additive alone, or of that of an electrode; BundleError if there is none."""
    parameters = bundle.parameters
    return parameters.additive() if isinstance(parameters, ElectrodeParameters) else bundle.cba()


def for_graphite_fraction(bundle: Bundle, fraction: float) -> dict[str, float]:
    """Return the intensity at which the graphite has this volume fraction, Eq. (10) of the CBA paper.

    Raises
    ------
    InputError
        If the fraction is not in (0, 1).
    BundleError
        If the bundle has no additive.
    """
    from nmcdist.models.theory import intensity_for_graphite_fraction

    return {"lambda_X_per_nm3": intensity_for_graphite_fraction(additive_of(bundle), fraction)}


def for_large_pore_fraction(bundle: Bundle, fraction: float) -> dict[str, float]:
    """Return the intensity at which the large pores have this volume fraction, Eq. (24); errors as for graphite."""
    from nmcdist.models.theory import intensity_for_large_pore_fraction

    return {"lambda_Y_per_nm3": intensity_for_large_pore_fraction(additive_of(bundle), fraction)}


def for_solid_fraction(bundle: Bundle, fraction: float) -> dict[str, float]:
    """Return the threshold of the field at which the solid has this volume fraction, Eqs. (22) and (23).

    Raises
    ------
    InputError
        If the fraction is out of reach with the bundle's graphite and large pores; the message gives the range.
    BundleError
        If the bundle has no additive.
    """
    from scipy.stats import norm

    from nmcdist.models.theory import graphite_fraction, large_pore_fraction

    wanted, p = check_number("solid_fraction", fraction, 0.0, 1.0), additive_of(bundle)
    graphite = graphite_fraction(p)
    free = (1 - graphite) * (1 - large_pore_fraction(p))
    if not graphite < wanted < graphite + free:
        raise InputError(
            f"solid_fraction: found {wanted:g}, expected more than the graphite's {graphite:.4g} and less than "
            f"{graphite + free:.4g}, which large pores leave"
        )
    return {"mu": float(norm.isf((wanted - graphite) / free))}


def for_surface(bundle: Bundle, surface_per_um: float) -> dict[str, float]:
    """Return the inverse correlation length of the field at which the solid has this surface per volume, in 1/um.

    The closed form :func:`nmcdist.models.theory.solid_surface` is linear in it, and volume fractions do not change.

    Raises
    ------
    InputError
        If graphite and large pores alone have more surface; the message says how much.
    BundleError
        If the bundle has no additive.
    """
    from nmcdist.models.theory import excursion_densities, graphite_fraction, large_pore_fraction, solid_surface

    wanted, p = 1e-3 * check_number("surface_per_um", surface_per_um, 1e-6, 1e6), additive_of(bundle)
    slope = excursion_densities(p).surface_area * (1 - large_pore_fraction(p)) * (1 - graphite_fraction(p))
    others = solid_surface(p) - slope
    if not wanted > others:
        raise InputError(
            f"surface_per_um: found {surface_per_um:g}, expected more than {1000 * others:.4g}, the surface of "
            "graphite and large pores without that of the field"
        )
    return {"eta_per_nm": p.eta_per_nm * (wanted - others) / slope}


ADDITIVE_WISHES: Mapping[str, Callable[[Bundle, float], dict[str, float]]] = {
    "graphite_fraction": for_graphite_fraction,
    "large_pore_fraction": for_large_pore_fraction,
    "solid_fraction": for_solid_fraction,
    "surface_per_um": for_surface,
}
