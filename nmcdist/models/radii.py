"""The law of radii of fibres and balls: a gamma law of given mean and relative spread, or one radius."""

import numpy as np

from nmcdist.bundle.bodies import RadiusParameters
from nmcdist.models.boolean import gamma_bound
from nmcdist.models.draws import Stream


def draw_radii(law: RadiusParameters, draws: Stream, count: int) -> np.ndarray:
    """Draw radii in nm, float64, shape (count,), none of which exceeds :func:`largest_radius`."""
    if not law.radius_spread:
        return np.full(count, law.radius_mean_nm)
    variance = law.radius_spread * law.radius_spread
    return np.minimum(law.radius_mean_nm * variance * draws.gamma(1.0 / variance, count), largest_radius(law))


def largest_radius(law: RadiusParameters) -> float:
    """Return the radius at which the law is cut, which a share of 1e-12 of the law exceeds at most."""
    variance = law.radius_spread * law.radius_spread
    return law.radius_mean_nm * (variance * gamma_bound(1.0 / variance) if variance else 1.0)


def radius_moments(law: RadiusParameters, more_nm: float = 0.0) -> tuple[float, float, float]:
    """Return the means of R + t, its square and its cube, for radii R and a length t."""
    mean, variance, t = law.radius_mean_nm, law.radius_spread * law.radius_spread, more_nm
    square = mean * mean * (1 + variance)
    cube = mean * square * (1 + 2 * variance)
    return mean + t, square + t * (2 * mean + t), cube + t * (3 * square + t * (3 * mean + t))
