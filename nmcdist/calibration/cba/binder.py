r"""Carbon binder and large pores from one curve: threshold, correlation length, radius and number of large pores.

Graphite is independent of the rest, so the pairs of voxels that both lie in the carbon binder, over the pairs that
both lie outside graphite, estimate the two-point coverage of the excursion set less the large pores,

.. math:: C_B(h) = C_2(h) \, \exp(-\lambda_Y (2 v - o(h))), \quad v = 8 \pi / \theta^3, \quad
          o(h) = v \, e^{-\theta h / 2} (1 + \theta h / 4),

where C_2 is that of the excursion set, Eq. (21) of the CBA paper with its factor 1 / (2 pi), and o(h) the mean overlap
of a ball of radius ~ Exp(theta) with its copy at h. No cutout free of large pores is needed, and no simulation.

Labels that come from a segmentation follow this within about 1 % only, while the curves of a cube are a thousand times
as precise. So where chi2 is far too large, an error of that size is allowed at each lag: phantoms of the virtual
FIB-SEM, segmented, differ from their truth by 0.3 to 2 %.

C_2 uses the covariance that is drawn (:mod:`nmcdist.models.fields`), within 3.2e-4 of 1 / (1 + (eta h)^2). The
difference matters: the curves of one 8 um cube are so precise that the exact form shifts lambda_Y by a third.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri
from scipy.stats import norm

from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.gls import Solution, check_agreement, covariance, solve
from nmcdist.models.excursion import coverage_at
from nmcdist.models.fields import SCALES, WEIGHTS

NAMES = ("eta_per_nm", "theta_per_nm", "large pores")
SHRINKAGE = 1e-4
MISFIT = 0.01  # of labels that do not follow the model within their scatter
_POOR = 5.0  # chi2 per degree of freedom that only faults of the labels explain
_LOW, _HIGH = np.log([1e-5, 1e-5, 1e-3]), np.log([1.0, 1.0, 3.0])  # eta, theta in 1/nm, and lambda_Y v


@dataclass(frozen=True)
class BinderFit:
    """The fitted curve.

    Attributes
    ----------
    mu, eta_per_nm, theta_per_nm, lambda_Y_per_nm3 : float
    errors : dict of str to float
        Standard errors from the blocks: of mu, and of the logarithms of the others.
    lag_nm, measured, fitted, measured_error : ndarray of float64, shape (bins,)
        C_B by lag, and standard errors of the measured values.
    solution : Solution
        Of log eta, log theta and log(lambda_Y v).
    freedom : int
        Statistics less parameters.
    misfit : float
        Relative error of the curve that was allowed at each lag beside its scatter.
    chi2_without : float
        Of the fit without it.
    misfit_errors : dict of str to float
        The parts of `errors` that come from it.
    """

    mu: float
    eta_per_nm: float
    theta_per_nm: float
    lambda_Y_per_nm3: float
    errors: dict[str, float]
    lag_nm: np.ndarray
    measured: np.ndarray
    fitted: np.ndarray
    measured_error: np.ndarray
    solution: Solution
    freedom: int
    misfit: float
    chi2_without: float
    misfit_errors: dict[str, float]


def binder_coverage(mu: float, eta: float, theta: float, lambda_y: float, lag_nm: np.ndarray) -> np.ndarray:
    """Return C_B(h); rates in 1/nm, intensity in 1/nm^3."""
    return np.asarray(excursion_coverage(mu, eta, lag_nm) * free_of_pores(theta, lambda_y, lag_nm))


def free_of_pores(theta: float, lambda_y: float, lag_nm: np.ndarray) -> np.ndarray:
    """Return the probability that two points at each lag both lie outside the large pores."""
    volume = 8 * np.pi / theta**3
    overlap = volume * np.exp(-theta * lag_nm / 2) * (1 + theta * lag_nm / 4)
    return np.asarray(np.exp(-lambda_y * (2 * volume - overlap)))


def excursion_coverage(mu: float, eta: float, lag_nm: np.ndarray) -> np.ndarray:
    """Return the two-point coverage of the excursion set of the field as it is drawn, Eq. (21)."""
    return coverage_at(mu, drawn_covariance(eta * np.asarray(lag_nm, dtype=float)))


def drawn_covariance(distance: np.ndarray) -> np.ndarray:
    """Return the covariance of the field as it is drawn, at distances in units of 1 / eta."""
    return np.asarray((WEIGHTS * np.exp(-SCALES * np.asarray(distance)[..., None] ** 2)).sum(axis=-1))


def fit_binder(
    counts: Counts, start: tuple[float, float, float] | None = None, misfit: float | None = None
) -> BinderFit:
    """Fit C_B; its value at lag 0, the share of carbon binder outside graphite, is met exactly.

    Parameters
    ----------
    counts : Counts
    start : (float, float, float), optional
        eta, theta and lambda_Y to start from, for replicates. Default: four blind starts, which must agree.
    misfit : float, optional
        Relative error of the curve to allow at each lag. Default: none, or 1 % if chi2 is too large without it.

    Raises
    ------
    ImageError
        If the starts do not agree, or there are too few blocks.
    """
    if misfit is not None:
        return _fitted(counts, start, misfit, math.nan)
    exact = _fitted(counts, start, 0.0, math.nan, check=False)
    chi2, freedom = exact.solution.chi2, exact.freedom
    if chi2 > _POOR * freedom:
        return _fitted(counts, start, MISFIT, chi2)
    _check(exact, start)
    return replace(exact, chi2_without=chi2)


def _fitted(
    counts: Counts, start: tuple[float, float, float] | None, misfit: float, chi2_without: float, check: bool = True
) -> BinderFit:
    measured, influences = binder_statistics(counts)
    lengths, mean = counts.lags.averages(counts.pairs[:, 1].sum(axis=0))
    share = float(measured[0])

    def curve(values: np.ndarray, share: float) -> np.ndarray:
        return np.asarray(mean @ binder_coverage(*_parameters(values, share), lengths))

    starts = _blind_starts(measured, mean @ lengths) if start is None else [_values(*start)]
    high = np.array([*_HIGH[:2], np.log(-np.log(share * 1.01))])
    step = 1e-4 * share
    # A block that holds more binder moves the whole curve; what remains of its influence is the scatter of the rest.
    slope = (curve(starts[0], share + step) - curve(starts[0], share - step))[1:] / (2 * step)
    for _ in range(2):
        rest = influences[:, 1:] - influences[:, :1] * slope
        matrix = covariance(rest, SHRINKAGE) + np.diag((misfit * measured[1:]) ** 2)
        solution = solve(measured[1:], lambda v: curve(v, share)[1:], matrix, starts, _LOW, high)
        slope = (curve(solution.values, share + step) - curve(solution.values, share - step))[1:] / (2 * step)
    mu, eta, theta, lambda_y = _parameters(solution.values, share)
    scatter = _errors(solution, rest @ solution.gain.T, influences[:, 0], share, counts, eta)
    of_misfit = _misfit_errors(solution, misfit, measured, share)
    errors = {name: math.hypot(error, of_misfit[name]) for name, error in scatter.items()}
    found = BinderFit(
        mu, eta, theta, lambda_y, errors, mean @ lengths, measured, curve(solution.values, share),
        np.sqrt((influences**2).sum(axis=0)), solution, len(measured) - 1 - len(solution.values), misfit,
        chi2_without, of_misfit,
    )  # fmt: skip
    if check:
        _check(found, start)
    return found


def _check(found: BinderFit, start: tuple[float, float, float] | None) -> None:
    if start is None:
        check_agreement("carbon binder", found.solution, np.array([found.errors[name] for name in NAMES]), NAMES)


def binder_statistics(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Return C_B by bin of lags, and the influence of each block on it."""
    sums = counts.lags.sums(counts.pairs[:, :2]).astype(float)
    both, free = sums[:, 0], sums[:, 1]
    measured = both.sum(axis=0) / free.sum(axis=0)
    return measured, (both - measured * free) / free.sum(axis=0)


def mean_variance(eta: float, edges_nm: list[tuple[float, float, float]]) -> float:
    """Return the variance of the mean of the field over boxes that are independent of each other.

    The covariance falls with the square of the distance only, so this mean, which the image cannot tell from the
    threshold, is the largest part of the error of mu.
    """
    volumes = np.array([np.prod(edges) for edges in edges_nm])
    variances = [float(np.sum(WEIGHTS * np.prod([_mean_of_gauss(eta * e) for e in edges], axis=0)))
                 for edges in edges_nm]  # fmt: skip
    return float((volumes**2 * variances).sum() / volumes.sum() ** 2)


def _mean_of_gauss(edge: float) -> np.ndarray:
    """Return the mean of exp(-s (x - y)^2) over x and y in [0, edge], for every scale s of the mixture."""
    from scipy.special import erf

    k = np.sqrt(SCALES) * edge
    return np.asarray(np.sqrt(np.pi) / k * erf(k) - (1 - np.exp(-(k**2))) / k**2)


def _parameters(values: np.ndarray, share: float) -> tuple[float, float, float, float]:
    eta, theta, pores = (float(v) for v in np.exp(values))
    mu = -float(ndtri(min(share * np.exp(pores), 1 - 1e-12)))
    return mu, eta, theta, pores * theta**3 / (8 * np.pi)


def _values(eta: float, theta: float, lambda_y: float) -> np.ndarray:
    return np.log([eta, theta, lambda_y * 8 * np.pi / theta**3])


def _blind_starts(measured: np.ndarray, lag_nm: np.ndarray) -> list[np.ndarray]:
    """Return four starts around the lag at which the curve has fallen half-way."""
    half = float(lag_nm[np.argmin(np.abs(measured - (measured[0] + measured[-1]) / 2))])
    return [np.log([eta / half, theta / half, pores])
            for eta, theta, pores in ((0.6, 0.3, 0.1), (1.6, 0.3, 0.4), (0.6, 1.0, 0.4), (1.6, 1.0, 0.1))]  # fmt: skip


def _errors(
    solution: Solution, by_block: np.ndarray, share_by_block: np.ndarray, share: float, counts: Counts, eta: float
) -> dict[str, float]:
    """Return standard errors from the influence of each block, and of what is longer than a block on mu."""
    pores = np.exp(solution.values[2])
    at = share * np.exp(pores)
    mu_by_block = -(np.exp(pores) * share_by_block + at * pores * by_block[:, 2]) / norm.pdf(ndtri(at))
    lambda_by_block = by_block[:, 2] + 3 * by_block[:, 1]
    scale = len(by_block) / (len(by_block) - 1)
    spread = [float(np.sqrt(scale * (part**2).sum())) for part in (*by_block.T, lambda_by_block)]
    within = scale * float((mu_by_block**2).sum())
    return {
        "mu": float(np.sqrt(max(within, 0.0) + _beyond_blocks(counts, eta))),
        "eta_per_nm": spread[0],
        "theta_per_nm": spread[1],
        "large pores": spread[2],
        "lambda_Y_per_nm3": spread[3],
    }


def _misfit_errors(solution: Solution, misfit: float, measured: np.ndarray, share: float) -> dict[str, float]:
    """Return the errors that a relative error of the curve makes; at lag 0 it moves mu alone."""
    eta, theta, pores = solution.gain * (misfit * measured[1:])
    free = float(np.exp(solution.values[2]))
    at = share * free
    slope = float(norm.pdf(ndtri(at)))
    of_mu = math.hypot(at * misfit, at * math.log(free) * float(np.linalg.norm(pores))) / slope
    return {
        "mu": of_mu, "eta_per_nm": float(np.linalg.norm(eta)), "theta_per_nm": float(np.linalg.norm(theta)),
        "large pores": float(np.linalg.norm(pores)), "lambda_Y_per_nm3": float(np.linalg.norm(pores + 3 * theta)),
    }  # fmt: skip


def _beyond_blocks(counts: Counts, eta: float) -> float:
    """Return the variance of the mean of the field that the scatter between blocks does not show."""
    block = [float(edge) for edge in counts.block_nm]
    of_one, of_all = mean_variance(eta, [(block[0], block[1], block[2])]), mean_variance(eta, counts.edges_nm)
    return max(0.0, of_all - (of_one - of_all) / len(counts.voxels))
