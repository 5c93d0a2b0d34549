"""Star shapes around their centres of mass.

There, the coefficients of degree 1 are no free parameters: the centre of mass lies at the star point if the integral of
P^4 u is 0, which makes them sums of products of neighbouring degrees over the mean radius. They are small, so a star
point that is off by a tenth of a voxel spoils them; hence shapes are expanded again around the exact centre.
"""

import numpy as np

from nmcdist.calibration.shell.harmonics import LEVEL, fit_series
from nmcdist.geometry import sphere

_TURNS = 30  # of the search for radii around another star point; each shrinks the error by |centre| / radius
_ENOUGH = 1e-9  # relative


def about_centre_of_mass(coefficients: np.ndarray) -> np.ndarray:
    """Return the coefficients of star shapes around their centres of mass.

    Parameters
    ----------
    coefficients : ndarray of float64, shape (n, (L + 1)^2)
        Shapes whose radius is not positive everywhere are returned as they are.

    Returns
    -------
    ndarray of float64, shape (n, (L + 1)^2)
    """
    moved = np.array(coefficients, np.float64)
    chosen = np.flatnonzero(sphere.star_bounds_of_many(moved)[:, 0] > 0)
    order, directions = sphere.order_of(moved), sphere.icosphere(LEVEL)[0]
    centres = sphere.star_moments(moved[chosen]).centre_nm
    radii = np.empty((len(chosen), len(directions)))
    for row, centre, own in zip(moved[chosen], centres, radii, strict=True):
        own[:] = sphere.star_radii(row, directions)
        for _ in range(_TURNS):
            points = centre + own[:, None] * directions
            ratio = sphere.star_radii(row, points) / np.sqrt((points**2).sum(axis=1))
            own *= ratio
            if np.abs(ratio - 1).max() < _ENOUGH:
                break
    if len(chosen):
        moved[chosen] = fit_series(radii, order).coefficients
    return moved
