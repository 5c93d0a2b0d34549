"""Level-cut Gaussian field: the solid is where a stationary Gaussian field is at least a threshold.

The covariance is a mixture of Gaussians with free lengths and weights (:mod:`nmcdist.models.fields`), so the medium is
endless, and can be fitted to the two-point coverage of any isotropic two-phase medium.
"""

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.special import ndtr, ndtri

from nmcdist.arguments import finite_array
from nmcdist.bundle import Bundle, LevelCutParameters, resolved
from nmcdist.errors import InputError
from nmcdist.models import fields, streams
from nmcdist.models.cba import check_window
from nmcdist.models.excursion import correlation_of, coverage_at, coverage_slope
from nmcdist.models.theory import Densities, gaussian_excursion
from nmcdist.threads import thread_map

LOWEST_CORRELATION = -0.2172  # the minimum of sin(x) / x: no isotropic correlation in space is below it
_SITES = 200  # lattice sites of the finest noise along an edge of a block of work
_LARGEST_BLOCK = 128  # voxels
_GRID = 1.25  # ratio of the lengths that a fit chooses from
_STEEPEST = 0.999  # correlation above which all errors weigh the same: the slope of the coverage is infinite at 1


@dataclass(frozen=True)
class LevelCutFit:
    """A level-cut field fitted to a curve.

    Attributes
    ----------
    parameters : LevelCutParameters
    lag_nm, measured, correlation : ndarray of float64, shape (n,)
        The curve, and the correlation of the field that gives it exactly.
    fitted : ndarray of float64, shape (n,)
        Coverage of the fitted model.
    """

    parameters: LevelCutParameters
    lag_nm: np.ndarray
    measured: np.ndarray
    correlation: np.ndarray
    fitted: np.ndarray

    @property
    def error(self) -> float:
        """Largest difference between the fitted and the measured coverage."""
        return float(np.abs(self.fitted - self.measured).max())


def generate_level_cut(
    bundle: Bundle | str | Path,
    shape: tuple[int, int, int],
    voxel_size_nm: float,
    seed: int,
    index: int = 0,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Draw a window of a realisation of the level-cut field.

    Overlapping windows agree bit for bit, and another voxel size samples the same structure at other points.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A bundle of model "level-cut".
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size_nm : float
        Voxel edge in nm. If it is far above the shortest length of the covariance, drawing takes long.
    seed, index : int
        Numbers that identify the realisation.
    origin : tuple of int
        Absolute index (z, y, x) of the window's first voxel; may be negative.

    Returns
    -------
    ndarray of uint8, shape `shape`
        0 pore, 1 solid.

    Raises
    ------
    InputError
        If an argument has an impossible value.
    BundleError
        If the bundle cannot be loaded or is of another model.
    """
    shape, origin, voxel_size_nm = check_window(shape, origin, voxel_size_nm)
    parameters = resolved(bundle).parameters_as(LevelCutParameters)
    seed, index = streams.check_key(seed, index)
    scales = fields.mixture_of(parameters.scales_nm, parameters.weights)
    volume = np.empty(shape, dtype=np.uint8)

    def draw(block: tuple[slice, ...]) -> None:
        z, y, x = block
        start = (origin[0] + z.start, origin[1] + y.start, origin[2] + x.start)
        size = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
        field = fields.mixed_field(scales, size, voxel_size_nm, seed, index, start, streams.LEVEL_CUT)
        volume[block] = field >= np.float32(parameters.threshold)

    side = _block_side(scales, voxel_size_nm)
    thread_map(draw, product(*([slice(a, min(a + side, n)) for a in range(0, n, side)] for n in shape)))
    return volume


def draw_bytes(parameters: LevelCutParameters, shape: tuple[int, ...], voxel_size_nm: float, threads: int) -> float:
    """Return the bytes needed to draw a window besides its voxels: noise, rows and field of a block per thread."""
    scales = fields.mixture_of(parameters.scales_nm, parameters.weights)
    side = _block_side(scales, voxel_size_nm)
    block = [min(n, side) for n in shape]
    sites = [fields.noise_sites(scales, n * voxel_size_nm) for n in block]
    noise = 4.0 * sites[0] * sites[1] * (sites[2] + block[2])
    return threads * (noise + 4.0 * math.prod(block) + 4.0 * fields.NOISE_TILE**3)


def level_cut_densities(parameters: LevelCutParameters) -> Densities:
    """Return volume fraction, surface and curvatures of the solid per volume."""
    weights, lengths = np.array(parameters.weights), np.array(parameters.scales_nm)
    return gaussian_excursion(parameters.threshold, float((2 * weights / lengths**2).sum()))


def level_cut_coverage(parameters: LevelCutParameters, lag_nm: np.ndarray) -> np.ndarray:
    """Return the two-point coverage of the solid at lags in nm (:mod:`nmcdist.models.excursion`)."""
    rho = _gaussians(np.asarray(lag_nm, dtype=float), np.array(parameters.scales_nm)) @ np.array(parameters.weights)
    return coverage_at(parameters.threshold, rho)


def fit_level_cut(coverage: np.ndarray, lag_nm: np.ndarray) -> LevelCutFit:
    """Fit a level-cut field to a measured two-point coverage.

    The threshold gives the volume fraction. The bivariate normal integral is inverted for the correlation at each lag;
    non-negative least squares choose the mixture, with weights such that the errors are those of the coverage.

    Parameters
    ----------
    coverage : array_like of float, shape (n,)
        Probability that two points both lie in the solid; the first is the volume fraction.
    lag_nm : array_like of float, shape (n,)
        Lags in nm, ascending from 0.

    Returns
    -------
    LevelCutFit

    Raises
    ------
    InputError
        If the curve is not one of a Gaussian field: the correlation at some lag would be 1, or less than any
        correlation in space can be; or an argument has an impossible value.

    References
    ----------
    Quiblier, J. Colloid Interface Sci. 98 (1984) 84: the inversion.
    """
    measured, lag = finite_array("coverage", coverage, ("n",)), finite_array("lag_nm", lag_nm, ("n",))
    if len(lag) != len(measured) or len(lag) < 3 or lag[0] != 0 or (np.diff(lag) <= 0).any():
        raise InputError("lag_nm: expected ascending lags from 0, one per coverage, three or more")
    if not 0 < measured[0] < 1:
        raise InputError(f"coverage: found {measured[0]:g} at lag 0, expected a volume fraction between 0 and 1")
    mu = -float(ndtri(measured[0]))
    rho = np.concatenate([[1.0], _correlations(measured[1:], lag[1:], mu)])
    lengths = np.geomspace(lag[1] / 2, lag[-1], 2 + int(math.log(2 * lag[-1] / lag[1]) / math.log(_GRID)))
    slope = coverage_slope(mu, np.minimum(rho[1:], _STEEPEST))
    rows = np.vstack([slope[:, None] * _gaussians(lag[1:], lengths), np.full(len(lengths), 1e3 * slope.max())])
    weights, _ = nnls(rows, np.append(slope * rho[1:], 1e3 * slope.max()))
    kept = weights > 1e-6
    weights = weights[kept] / math.fsum(weights[kept])
    parameters = LevelCutParameters(
        threshold=mu, scales_nm=tuple(lengths[kept].tolist()), weights=tuple(weights.tolist())
    )  # fmt: skip
    return LevelCutFit(parameters, lag, measured, rho, level_cut_coverage(parameters, lag))


def _correlations(coverage: np.ndarray, lag: np.ndarray, mu: float) -> np.ndarray:
    rho = correlation_of(coverage, mu, LOWEST_CORRELATION)
    wrong = np.flatnonzero(np.isnan(rho))
    if wrong.size:
        k = wrong[0]
        floor = float(coverage_at(mu, np.array([LOWEST_CORRELATION]))[0])
        raise InputError(
            f"coverage: found {coverage[k]:g} at {lag[k]:g} nm, expected {floor:g} to {ndtr(-mu):g}: a Gaussian "
            "field with this volume fraction reaches no other"
        )
    return rho


def _gaussians(lag: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-((lag[:, None] / lengths) ** 2)))


def _block_side(scales: list[fields.Scale], voxel_size_nm: float) -> int:
    finest = min(scale.spacing_nm for scale in scales)
    return int(np.clip(_SITES * finest / voxel_size_nm, 4, _LARGEST_BLOCK))
