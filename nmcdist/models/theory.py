"""Closed forms of the expected values of a realisation of the additive phase.

All values are computed from the parameters by quadrature, without sampling. Those stored in datasets, intensity and
fraction of the graphite, are equal to the last bit on every machine. Equation numbers are those of the CBA paper;
Chiu et al., *Stochastic Geometry and its Applications* (2013), give the general forms.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, roots_legendre

from nmcdist.bundle import CbaParameters
from nmcdist.errors import InputError
from nmcdist.geometry.eigen import eigen_symmetric
from nmcdist.geometry.elementary import asin, atanh, exp, log1p
from nmcdist.jit import kernel

_NODES_A, _NODES_C, _NODES_ANGLE, _NODES_ARC = 48, 32, 48, 64


@dataclass(frozen=True)
class Densities:
    """Intrinsic volumes per unit volume.

    Attributes
    ----------
    volume_fraction : float
    surface_area : float
        In 1/nm.
    mean_curvature : float
        Integral of mean curvature, in 1/nm^2.
    euler_number : float
        In 1/nm^3.
    """

    volume_fraction: float
    surface_area: float
    mean_curvature: float
    euler_number: float


@dataclass(frozen=True)
class _Grains:
    """Quadrature nodes over the half-axis law: short and long half-axes in nm, and their probabilities."""

    short: np.ndarray
    long: np.ndarray
    weight: np.ndarray

    def mean(self, values: np.ndarray) -> float:
        return math.fsum((self.weight * values).tolist())


def mean_grain(parameters: CbaParameters) -> tuple[float, float, float]:
    """Return mean volume (nm^3), surface (nm^2) and integral of mean curvature (nm) of a graphite grain.

    Eqs. (14)-(16), with the limits at the sphere.
    """
    return _mean_grain(parameters.alpha_1, parameters.alpha_2, parameters.gamma_per_nm)


@lru_cache(maxsize=4096)  # all levels of a sweep over the intensity have the same grain
def _mean_grain(alpha_1: float, alpha_2: float, gamma_per_nm: float) -> tuple[float, float, float]:
    g = _grains(alpha_1, alpha_2, gamma_per_nm)
    surface, curvature = np.empty(len(g.short)), np.empty(len(g.short))
    _measure_spheroids(g.short, g.long, surface, curvature)
    return g.mean(4 / 3 * np.pi * g.short * g.long**2), g.mean(surface), g.mean(curvature)


def graphite_densities(parameters: CbaParameters) -> Densities:
    """Return Miles' densities of the graphite, Eqs. (10)-(13)."""
    return miles(parameters.lambda_X_per_nm3, *mean_grain(parameters))


def miles(intensity_per_nm3: float, volume_nm3: float, surface_nm2: float, curvature_nm: float) -> Densities:
    """Return Miles' densities of a Boolean model of convex grains, Eqs. (10)-(13).

    Volume fraction and surface hold for any law of the grains' directions, the others for isotropic grains.

    Parameters
    ----------
    intensity_per_nm3 : float
        Intensity of the germs.
    volume_nm3, surface_nm2, curvature_nm : float
        Mean volume, surface and integral of mean curvature of a grain.
    """
    lam, volume, surface, curvature = intensity_per_nm3, volume_nm3, surface_nm2, curvature_nm
    free = exp(-lam * volume)
    return Densities(
        1 - free,
        lam * free * surface,
        lam * free * (curvature - np.pi**2 * lam * surface**2 / 32),
        lam * free * (1 - lam * curvature * surface / (4 * np.pi) + np.pi * lam**2 * surface**3 / 384),
    )


def graphite_fraction(parameters: CbaParameters) -> float:
    """Return V1, the volume fraction of the graphite, Eq. (10)."""
    return graphite_densities(parameters).volume_fraction


def intensity_for_graphite_fraction(parameters: CbaParameters, fraction: float) -> float:
    """Return the intensity lambda_X in nm^-3 at which the graphite has the volume fraction V1, Eq. (10).

    Raises
    ------
    InputError
        If the fraction is not in (0, 1).
    """
    if not 0 < fraction < 1:
        raise InputError(f"graphite fraction: found {fraction}, expected a number in (0, 1)")
    return float(-log1p(-float(fraction)) / mean_grain(parameters)[0])


def excursion_densities(parameters: CbaParameters) -> Densities:
    """Return the densities of the excursion set before the large pores are removed."""
    return gaussian_excursion(parameters.mu, 2 * parameters.eta_per_nm**2)


def gaussian_excursion(mu: float, kappa: float) -> Densities:
    """Return the densities of the set where a standard Gaussian field is at least mu.

    Gaussian kinematic formula; see Eqs. (6.163)-(6.165) of Chiu et al.

    Parameters
    ----------
    mu : float
    kappa : float
        Minus the second derivative of the field's covariance at lag 0, in nm^-2.
    """
    density = np.exp(-(mu**2) / 2)
    return Densities(
        float(ndtr(-mu)),
        2 / np.pi * np.sqrt(kappa) * density,
        kappa * mu * density / np.sqrt(2 * np.pi),
        kappa**1.5 * (mu**2 - 1) * density / (4 * np.pi**2),
    )


def large_pore_fraction(parameters: CbaParameters) -> float:
    """Return V3, the volume fraction of the large pores, Eq. (24)."""
    theta = float(parameters.theta_per_nm)
    return float(1 - exp(-parameters.lambda_Y_per_nm3 * 8 * np.pi / (theta * theta * theta)))


def intensity_for_large_pore_fraction(parameters: CbaParameters, fraction: float) -> float:
    """Return the intensity lambda_Y in nm^-3 at which the large pores have the volume fraction V3, Eq. (24).

    Raises
    ------
    InputError
        If the fraction is not in (0, 1).
    """
    if not 0 < fraction < 1:
        raise InputError(f"large pore fraction: found {fraction}, expected a number in (0, 1)")
    theta = float(parameters.theta_per_nm)
    return float(-log1p(-float(fraction)) * theta * theta * theta / (8 * np.pi))


def large_pore_surface(parameters: CbaParameters) -> float:
    """Return S3, the surface area of the large pores per volume, in 1/nm."""
    free = 1 - large_pore_fraction(parameters)
    return parameters.lambda_Y_per_nm3 * free * 8 * np.pi / parameters.theta_per_nm**2


def volume_fractions(parameters: CbaParameters) -> dict[str, float]:
    """Return the volume fractions of pore, carbon binder, graphite and solid, Eqs. (22)-(23)."""
    v1 = graphite_fraction(parameters)
    carbon = excursion_densities(parameters).volume_fraction * (1 - large_pore_fraction(parameters)) * (1 - v1)
    return {"pore": 1 - v1 - carbon, "carbon_binder": carbon, "graphite": v1, "solid": v1 + carbon}


def solid_surface(parameters: CbaParameters) -> float:
    """Return the surface area of the solid (= of the pore space) per volume, in 1/nm."""
    graphite, excursion = graphite_densities(parameters), excursion_densities(parameters)
    v3, s3 = large_pore_fraction(parameters), large_pore_surface(parameters)
    v_b = excursion.volume_fraction * (1 - v3)
    s_b = excursion.surface_area * (1 - v3) + excursion.volume_fraction * s3
    return graphite.surface_area * (1 - v_b) + (1 - graphite.volume_fraction) * s_b


def covariance(parameters: CbaParameters, lag_nm: np.ndarray) -> np.ndarray:
    """Return rho(h), Eq. (2)."""
    return 1 / (1 + (parameters.eta_per_nm * np.asarray(lag_nm, dtype=float)) ** 2)


def two_point_coverage(parameters: CbaParameters, lag_nm: np.ndarray) -> dict[str, np.ndarray]:
    """Return C(h) of pore, carbon binder, graphite and solid, from the coverages of the three independent parts.

    Parameters
    ----------
    parameters : CbaParameters
    lag_nm : array_like
        Lags h >= 0 in nm.

    Returns
    -------
    dict of str to ndarray
        Probability that two points at distance h both lie in the phase.
    """
    h = np.asarray(lag_nm, dtype=float)
    graphite = graphite_coverage(parameters, h)
    v1, v3 = graphite_fraction(parameters), large_pore_fraction(parameters)
    free_of_graphite = 1 - 2 * v1 + graphite
    free_of_pores = 1 - 2 * v3 + large_pore_coverage(parameters, h)
    binder = excursion_coverage(parameters, h) * free_of_pores
    v_b = excursion_densities(parameters).volume_fraction * (1 - v3)
    pore = free_of_graphite * (1 - 2 * v_b + binder)
    porosity = (1 - v1) * (1 - v_b)
    return {
        "pore": pore,
        "carbon_binder": free_of_graphite * binder,
        "graphite": graphite,
        "solid": 1 - 2 * porosity + pore,
    }


def excursion_coverage(parameters: CbaParameters, lag_nm: np.ndarray) -> np.ndarray:
    """Return the two-point coverage of the excursion set: Eq. (21) with its factor 1 / (2 pi)."""
    x, w = roots_legendre(_NODES_ARC)
    arc = np.arcsin(covariance(parameters, lag_nm))[..., None]
    angle = arc * (x + 1) / 2  # t = sin(angle) removes the square root at the end point from the integrand
    integral = (w * np.exp(-(parameters.mu**2) / (1 + np.sin(angle)))).sum(-1) * arc[..., 0] / 2
    return np.asarray(ndtr(-parameters.mu) ** 2 + integral / (2 * np.pi))


def large_pore_coverage(parameters: CbaParameters, lag_nm: np.ndarray) -> np.ndarray:
    """Return the two-point coverage of the large pores, a Boolean model of balls with radii ~ Exp(theta)."""
    h, theta = np.asarray(lag_nm, dtype=float), parameters.theta_per_nm
    overlap = np.exp(-theta * h / 2) * 8 * np.pi / theta**3 * (1 + theta * h / 4)
    free = 1 - large_pore_fraction(parameters)
    return 1 - 2 * free + free**2 * np.exp(parameters.lambda_Y_per_nm3 * overlap)


def graphite_coverage(parameters: CbaParameters, lag_nm: np.ndarray) -> np.ndarray:
    """Return the two-point coverage of the graphite, a Boolean model of isotropic spheroids.

    A spheroid is a ball under a linear map, so its overlap with a shifted copy is that of two balls.
    """
    h = np.atleast_1d(np.asarray(lag_nm, dtype=float))
    g = _grains(parameters.alpha_1, parameters.alpha_2, parameters.gamma_per_nm)
    x, w = roots_legendre(_NODES_ANGLE)
    # The shift in units of the half-axes varies most near the direction across the plate; u = v^2 resolves it.
    u, w_u = ((x + 1) / 2) ** 2, w * (x + 1) / 2
    stretch = np.sqrt((u / g.short[:, None]) ** 2 + (1 - u**2) / g.long[:, None] ** 2)
    volume = g.weight * 4 / 3 * np.pi * g.short * g.long**2
    overlap = np.empty_like(h)
    for i, lag in enumerate(h):
        t = np.minimum(stretch * lag, 2.0)
        overlap[i] = (volume[:, None] * w_u * (1 - 0.75 * t + t**3 / 16)).sum()
    free = 1 - graphite_fraction(parameters)
    coverage = 1 - 2 * free + free**2 * np.exp(parameters.lambda_X_per_nm3 * overlap)
    return coverage.reshape(np.shape(lag_nm))


def _grains(alpha_1: float, alpha_2: float, gamma_per_nm: float) -> _Grains:
    scale = 1 / gamma_per_nm
    a, wa = _gamma_nodes(alpha_1, _NODES_A)
    c, wc = _gamma_nodes(alpha_2, _NODES_C)
    a, c = np.meshgrid(a * scale, c * scale, indexing="ij")
    weight = np.outer(wa, wc).ravel()
    keep = weight > 1e-18
    return _Grains(np.minimum(a, c).ravel()[keep], np.maximum(a, c).ravel()[keep], weight[keep])


@kernel
def _measure_spheroids(short: np.ndarray, long: np.ndarray, surface: np.ndarray, curvature: np.ndarray) -> None:
    """Write surface and integral of mean curvature of oblate spheroids, Eqs. (15) and (16)."""
    for i in range(len(short)):
        delta = short[i] / long[i]
        e = math.sqrt(max(1.0 - delta * delta, 1e-12))
        surface[i] = 2.0 * math.pi * long[i] * long[i] * (1.0 + delta * delta * atanh(e) / e)
        curvature[i] = 2.0 * math.pi * long[i] * (delta + asin(e) / e)


def _gamma_nodes(shape: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and probabilities to integrate with the gamma law of this shape and rate 1.

    Gauss-Laguerre, from the eigenvalues of the matrix of the polynomials' recurrence (Golub and Welsch 1969).
    """
    k = np.arange(count)
    beside = np.sqrt(k[1:] * (k[1:] + (shape - 1)))
    values, vectors = eigen_symmetric((np.diag(2 * k + shape) + np.diag(beside, 1) + np.diag(beside, -1))[None])
    weights = vectors[0, :, 0] ** 2
    return values[0], weights / math.fsum(weights.tolist())
