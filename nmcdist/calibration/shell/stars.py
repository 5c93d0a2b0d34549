"""Star shapes of regions: rays from the star point, and coefficients, with contacts masked or kept."""

from typing import Literal, NamedTuple

import numpy as np

from nmcdist.calibration.shell.centring import about_centre_of_mass
from nmcdist.calibration.shell.harmonics import (
    RADIUS_NOISE,
    SURFACE_NOISE,
    FreeSeries,
    Series,
    fit_free_series,
    fit_series,
    rotated_directions,
)
from nmcdist.calibration.shell.keeper import recorded
from nmcdist.calibration.shell.rays import CONTACT, FREE, Surface, star_views
from nmcdist.calibration.shell.separate import Separated, Spacing
from nmcdist.calibration.spread import Spread
from nmcdist.geometry import sphere

Contacts = Literal["mask", "keep"]
_FIRST_STEPS, _STEPS = 2, 6  # of expectation and maximisation


class Shapes(NamedTuple):
    """Star shapes of chosen regions, in the unit of `spacing`.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (n, (L + 1)^2)
        NaN where the region holds not its star point.
    residual : ndarray of float64, shape (n,)
        Root mean square of the fitted directions.
    is_star : ndarray of bool, shape (n,)
        Whether the star point lies in the region.
    visible : ndarray of float64, shape (n,)
        Share of the region's voxels that the star point sees.
    contact_share, free_share : ndarray of float64, shape (n,)
        Share of the directions that end at another region, and at the background.
    """

    coefficients: np.ndarray
    residual: np.ndarray
    is_star: np.ndarray
    visible: np.ndarray
    contact_share: np.ndarray
    free_share: np.ndarray


def ball_coefficient(voxels: np.ndarray) -> np.ndarray:
    """Return a_00 of balls of given volumes, in voxels."""
    return np.asarray(np.sqrt(4 * np.pi) * np.cbrt(3 * np.asarray(voxels) / (4 * np.pi)))


def fit_shapes(
    image: Separated, chosen: np.ndarray, rotations: np.ndarray, spacing: Spacing, order: int,
    contacts: Contacts = "mask", *, is_centred: bool = False, spread: Spread = map, sees: bool = True,
    surface: Surface | None = None,
) -> Shapes:  # fmt: skip
    """Fit star shapes to regions, P(R u) against u, around their centres of mass.

    Parameters
    ----------
    image : Separated
    chosen : ndarray of int, shape (n,)
        Rows of `image.regions`.
    rotations : ndarray of float64, shape (n, 3, 3)
    spacing : tuple of float
    order : int
    contacts : {"mask", "keep"}
        Whether directions that end at another region have weight 0, or all directions weight 1, as in the paper.
    is_centred : bool
        Whether to move the star point to the centre of mass of the shape that was fitted with masked contacts, and
        to fit again. The region alone is cut at its contacts, which moves its centre of mass. At last the fitted
        shape is expanded around its exact centre of mass.
    spread : callable
        Applies a function to items as `map` does, in order.
    sees : bool
        Whether to count the voxels that the star points see; else their share is 0.
    surface : Surface or None
        Of a grey image, where rays end at the background; None: at the faces of voxels.

    Returns
    -------
    Shapes
    """
    ways, centres = rotated_directions(rotations), image.regions.centre[chosen]
    variance, noise = None, RADIUS_NOISE if surface is None else SURFACE_NOISE
    if is_centred and contacts == "mask" and len(chosen):
        kept = recorded(spread, "stars")
        views = star_views(image, chosen, centres, ways, spacing, kept, sees=False, surface=surface)
        is_star = np.asarray((views.radii > 0).all(axis=1))
        first = fit_free_series(views.radii[is_star], views.ends[is_star] == FREE, order, _FIRST_STEPS, noise=noise)
        middles, variance = sphere.star_moments(first.coefficients).centre_nm, first.variance
        centres = centres.copy()
        centres[is_star] += (rotations[is_star] * middles[:, None, :]).sum(axis=2) / spacing
    views = star_views(image, chosen, centres, ways, spacing, recorded(spread, "stars"), sees=sees, surface=surface)
    is_star = np.asarray((views.radii > 0).all(axis=1))
    coefficients = np.full((len(chosen), (order + 1) ** 2), np.nan)
    residual = np.full(len(chosen), np.nan)
    if is_star.any():
        radii, is_free = views.radii[is_star], views.ends[is_star] == FREE
        fit: Series | FreeSeries = (
            fit_series(radii, order) if contacts == "keep"
            else fit_free_series(radii, is_free, order, _STEPS, variance, noise)
        )  # fmt: skip
        rows = about_centre_of_mass(fit.coefficients) if is_centred and contacts == "mask" else fit.coefficients
        coefficients[is_star], residual[is_star] = rows, fit.residual
    shares = ((views.ends == end).mean(axis=1) for end in (CONTACT, FREE))
    return Shapes(coefficients, residual, is_star, views.visible, *shares)
