"""Graphite from volume, surface, mean curvature and variogram: intensity and mean half-axes of the plates.

The volume fraction V fixes the intensity for given half-axes (Miles, Eq. (10) of the CBA paper) and is met exactly.
Surface S and integral of mean curvature K per volume (Eqs. (11) and (12)), and the variogram V - C(h) up to 500 nm,
fix the mean half-axes a and c. Eq. (17) of the paper also uses the Euler number, which creases between plates spoil at
any resolution, and weighs the terms so that V and S rule: its solution depends on the start. The spread of a, the
shape alpha_1, is not fixed by an image of this kind; it is kept at a given value, and refits with others show what
depends on it.
"""

from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import CbaParameters
from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.gls import Solution, check_agreement, covariance, solve
from nmcdist.descriptors.intrinsic import configuration_weights
from nmcdist.models.theory import graphite_coverage, graphite_densities, mean_grain

ALPHA_1 = 10.25  # of the paper
NAMES = ("mean_a_nm", "mean_c_nm")
SHRINKAGE = 1e-2
LONGEST_NM = 500.0  # of the variogram
_LOW, _HIGH = np.log([1.0, 10.0]), np.log([5e3, 1e5])
_SURFACE, _CURVATURE_26 = 1, 3  # rows of the weights; thin plates need the adjacency 26
_NODES = 24


@dataclass(frozen=True)
class GraphiteFit:
    """The fitted plates.

    Attributes
    ----------
    lambda_X_per_nm3, mean_a_nm, mean_c_nm, alpha_1 : float
        `alpha_1` as it was given.
    volume_fraction : float
        Measured, and met.
    lag_nm, measured, fitted : ndarray of float64
        The variogram V - C(h) by lag.
    surface, curvature : tuple of float or None
        Measured and fitted S and K; None if voxels are not cubes.
    solution : Solution
        Of log a and log c.
    freedom : int
    """

    lambda_X_per_nm3: float
    mean_a_nm: float
    mean_c_nm: float
    alpha_1: float
    volume_fraction: float
    lag_nm: np.ndarray
    measured: np.ndarray
    fitted: np.ndarray
    surface: tuple[float, float] | None
    curvature: tuple[float, float] | None
    solution: Solution
    freedom: int


def fit_graphite(counts: Counts, alpha_1: float = ALPHA_1, start: tuple[float, float] | None = None) -> GraphiteFit:
    """Fit the mean half-axes and the intensity.

    Parameters
    ----------
    counts : Counts
    alpha_1 : float
        Shape of the law of the half-axis a.
    start : (float, float), optional
        Mean a and c in nm to start from, for replicates. Default: four blind starts, which must agree.

    Raises
    ------
    ImageError
        If the starts do not agree, or there are too few blocks.
    """
    measured, influences, lag_nm, bins = _statistics(counts)
    intrinsic = len(measured) - 1 - len(lag_nm)  # S and K, or none
    lengths, mean = counts.lags.averages(counts.pairs[:, 3].sum(axis=0))
    mean = mean[bins]
    nodes = np.concatenate([[0.0], np.geomspace(lengths[1], lengths[-1] * 1.001, _NODES)])
    nodes = nodes[nodes <= max(LONGEST_NM * 1.5, nodes[8])]
    share = float(measured[0])

    def statistics(values: np.ndarray, share: float) -> np.ndarray:
        return _model(plates(*_half_axes(values), share, alpha_1), intrinsic, nodes, lengths, mean)

    starts = _blind_starts(measured, lag_nm, intrinsic) if start is None else [np.log(start)]
    at, step = starts[0], 1e-3 * share
    for _ in range(2):
        slope = (statistics(at, share + step) - statistics(at, share - step)) / (2 * step)
        matrix = covariance(influences[:, 1:] - influences[:, :1] * slope, SHRINKAGE)
        solution = solve(measured[1:], lambda v: statistics(v, share), matrix, starts, _LOW, _HIGH)
        at = solution.values
        starts = starts if start is None else [at]
    if start is None:
        errors = np.sqrt(np.diag(solution.gain @ matrix @ solution.gain.T))
        check_agreement("graphite", solution, errors, NAMES)
    fitted = statistics(solution.values, share)
    a, c = _half_axes(solution.values)
    pairs = list(zip(measured[1:].tolist(), fitted.tolist(), strict=True))
    return GraphiteFit(
        plates(a, c, share, alpha_1).lambda_X_per_nm3, a, c, alpha_1, share, lag_nm, measured[1 + intrinsic :],
        fitted[intrinsic:], pairs[0] if intrinsic else None, pairs[1] if intrinsic else None, solution,
        len(fitted) - len(solution.values),
    )  # fmt: skip


def plates(mean_a_nm: float, mean_c_nm: float, share: float, alpha_1: float) -> CbaParameters:
    """Return parameters of graphite with these mean half-axes and this volume fraction; the others are any."""
    gamma = alpha_1 / float(mean_a_nm)
    shape = CbaParameters(
        lambda_X_per_nm3=1e-12, alpha_1=alpha_1, alpha_2=float(mean_c_nm) * gamma, gamma_per_nm=gamma, mu=0.0,
        eta_per_nm=0.01, theta_per_nm=0.01, lambda_Y_per_nm3=1e-9,
    )  # fmt: skip
    return shape.model_copy(update={"lambda_X_per_nm3": float(-np.log1p(-share) / mean_grain(shape)[0])})


def variogram(counts: Counts, vectors: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return, by block and bin of lags, the pairs with one end in graphite, halved, and all pairs.

    Half of the share of the pairs that differ is V - C(h), without the noise of V.

    Parameters
    ----------
    counts : Counts
    vectors : ndarray of bool, optional
        Vectors that count. Default: all.
    """
    kept = counts.pairs if vectors is None else np.where(vectors, counts.pairs, 0)
    sums = counts.lags.sums(kept[:, 1:]).astype(float)
    return (sums[:, 2] - sums[:, 0] - sums[:, 1]) / 2, sums[:, 2]


def _half_axes(values: np.ndarray) -> tuple[float, float]:
    return float(np.exp(values[0])), float(np.exp(values[1]))


def _statistics(counts: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return V, S, K and the variogram; the influence of each block on them; the lags and their bins."""
    differ, pairs = variogram(counts)
    number = np.bincount(counts.lags.bin)
    lag_nm = np.bincount(counts.lags.bin, counts.lags.length_nm) / number
    bins = np.flatnonzero((lag_nm > 0) & (lag_nm <= LONGEST_NM))
    bins = bins if len(bins) >= 3 else np.arange(1, len(lag_nm))
    above = [counts.voxels[:, 2].astype(float)]
    below = [counts.voxels.sum(axis=1).astype(float)]
    edge = counts.voxel_size_nm[0]
    if len(set(counts.voxel_size_nm)) == 1:
        cubes, weights = counts.configurations.sum(axis=1).astype(float), configuration_weights()
        above += [
            counts.configurations @ weights[_SURFACE] / edge,
            counts.configurations @ weights[_CURVATURE_26] / edge**2,
        ]
        below += [cubes, cubes]
    over, under = np.column_stack([*above, differ[:, bins]]), np.column_stack([*below, pairs[:, bins]])
    measured = over.sum(axis=0) / under.sum(axis=0)
    return measured, (over - measured * under) / under.sum(axis=0), lag_nm[bins], bins


def _model(
    parameters: CbaParameters, intrinsic: int, nodes: np.ndarray, lengths: np.ndarray, mean: np.ndarray
) -> np.ndarray:
    """Return S, K if they are measured, and the variogram, interpolated between nodes."""
    from scipy.interpolate import CubicSpline

    densities = graphite_densities(parameters)
    curve = CubicSpline(nodes, densities.volume_fraction - graphite_coverage(parameters, nodes))
    known = np.where(lengths <= nodes[-1], lengths, 0.0)
    return np.concatenate([[densities.surface_area, densities.mean_curvature][:intrinsic], mean @ curve(known)])


def _blind_starts(measured: np.ndarray, lag_nm: np.ndarray, intrinsic: int) -> list[np.ndarray]:
    """Return four starts around the half-axis of thin plates with this surface: V - C(h) is S h / 4 at first."""
    surface = 4 * measured[1 + intrinsic] / lag_nm[0]
    half = 2 * measured[0] / (2 * surface)  # a thin plate has the volume 2 a and the surface 2 per area, and 3/2 less
    return [np.log([a * half, c * half]) for a, c in ((0.7, 8.0), (2.0, 8.0), (0.7, 30.0), (2.0, 30.0))]
