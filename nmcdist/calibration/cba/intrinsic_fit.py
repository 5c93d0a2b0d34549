"""Graphite by Eq. (17) of the CBA paper: intrinsic volumes alone, by the method of Nelder and Mead.

Four parameters meet four densities. But the terms of Eq. (17) weigh about 1e-2, 1e-3, 1e-8 and 1e-13, and creases
between plates spoil the last. So solutions that differ much in alpha_1 meet the others equally well: each start ends
near itself.
"""

import math

import numpy as np
from scipy.optimize import minimize

from nmcdist.bundle import CbaParameters
from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.graphite import plates
from nmcdist.calibration.cba.results import PaperStart
from nmcdist.descriptors.intrinsic import intrinsic_volumes_from_counts
from nmcdist.models.theory import graphite_densities

STARTS = (3.0, 10.0, 40.0, 160.0)  # of alpha_1
_SLENDER = 20.0  # c / a of the starts, about that of the paper's plates
_LIMIT = 60.0  # of the logarithms, so that a search cannot overflow


def measured_densities(counts: Counts) -> tuple[float, float, float, float]:
    """Return V, S, K and N per volume of the graphite, by the adjacency 26; cubic voxels."""
    found = intrinsic_volumes_from_counts(counts.configurations.sum(axis=0), counts.voxel_size_nm[0])
    share = float(counts.voxels[:, 2].sum() / counts.voxels.sum())
    return share, found.surface_area, found.mean_curvature_26, found.euler_number_26


def fit_intrinsic(measured: tuple[float, float, float, float], voxel_size_nm: float) -> list[PaperStart]:
    """Minimise Eq. (17) from each start.

    Parameters
    ----------
    measured : tuple of float
        V, S, K and N per volume.
    voxel_size_nm : float
        The length in Eq. (17), there 20 nm.

    Returns
    -------
    list of PaperStart
        Where each start ended, the least objective first.
    """
    units = np.array([1.0, voxel_size_nm, voxel_size_nm**2, voxel_size_nm**3])

    def objective(values: np.ndarray) -> float:
        if np.abs(values).max() > _LIMIT:
            return math.inf
        d = graphite_densities(_parameters(values))
        model = np.array([d.volume_fraction, d.surface_area, d.mean_curvature, d.euler_number])
        return float((((model - measured) * units) ** 2).sum())

    half = measured[0] / measured[1]  # half the thickness of plates without rims
    found = []
    for alpha_1 in STARTS:
        start = plates(half, _SLENDER * half, measured[0], alpha_1)
        at = np.log([start.lambda_X_per_nm3, start.alpha_1, start.alpha_2, start.gamma_per_nm])
        ended = minimize(
            objective, at, method="Nelder-Mead",
            options={"xatol": 1e-4, "fatol": 1e-16, "maxiter": 2000, "initial_simplex": _simplex(at)},
        )  # fmt: skip
        p = _parameters(ended.x)
        found.append(PaperStart(
            start=alpha_1, alpha_1=p.alpha_1, lambda_X=p.lambda_X_per_nm3, mean_a=p.alpha_1 / p.gamma_per_nm,
            mean_c=p.alpha_2 / p.gamma_per_nm, objective=float(ended.fun),
        ))  # fmt: skip
    return sorted(found, key=lambda each: each.objective)


def _simplex(at: np.ndarray) -> np.ndarray:
    """Return the corners of a search that begins with steps of 5 %, as that of the paper."""
    return np.vstack([at, at + 0.05 * np.eye(len(at))])


def _parameters(values: np.ndarray) -> CbaParameters:
    intensity, alpha_1, alpha_2, gamma = (float(v) for v in np.exp(values))
    return CbaParameters(
        lambda_X_per_nm3=intensity, alpha_1=alpha_1, alpha_2=alpha_2, gamma_per_nm=gamma, mu=0.0, eta_per_nm=0.01,
        theta_per_nm=0.01, lambda_Y_per_nm3=1e-9,
    )  # fmt: skip
