"""The route of the CBA paper, Sec. 3.2, for comparison: a cutout, Eqs. (17) to (21) and (25), and a grid of theta."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.calibration.cba.adequacy import labels_in, plain
from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.cutout import freest_box
from nmcdist.calibration.cba.intrinsic_fit import fit_intrinsic, measured_densities
from nmcdist.calibration.cba.large_pores import LARGE_PORE, SEEN, Picture, large_radius, mark_large_pores, shares
from nmcdist.calibration.cba.levels import middle_of
from nmcdist.calibration.cba.results import Curve, Paper, PaperStart, PaperTheta
from nmcdist.calibration.spread import Spread
from nmcdist.descriptors.pore_size import pore_size_distribution
from nmcdist.descriptors.two_point import two_point_coverage
from nmcdist.images import Image
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE, generate_cba
from nmcdist.models.excursion import correlation_of

THETAS = tuple(1 / mean for mean in (80.0, 85.0, 90.0, 95.0, 100.0, 105.0, 110.0))  # per nm; printed with four digits
REALISATIONS = 3
_LONGEST_NM = 600.0  # of rho: a quarter of the shortest edge of the paper's cutout


@dataclass(frozen=True)
class _Excursion:
    """Eqs. (18) to (21) in the cutout."""

    share: float
    mu: float
    eta_per_nm: float
    correlation: Curve


def fit_as_paper(
    image: Image, counts: Counts, phases: Mapping[str, int], theta_per_nm: float, radii_nm: np.ndarray, seed: int,
    spread: Spread = map,
) -> tuple[Paper, Picture]:  # fmt: skip
    """Fit as the paper does, in the middle of an image (at most 400 voxels along an edge), graphite by all counts.

    Parameters
    ----------
    image : Image
        With cubic voxels.
    counts : Counts
    phases : mapping of str to int
    theta_per_nm : float
        Of another fit: says which pores are large, when the cutout is chosen.
    radii_nm : ndarray of float64, shape (radii,)
        Of the pore size distributions.
    seed : int
        Of the realisations.
    spread : callable
        Like the builtin `map`.

    Returns
    -------
    Paper
        Without parameters if the cutout holds less carbon binder than the image: Eq. (25) has no solution then.
    Picture
        The plane through the middle of the cutout.

    """
    voxel = image.voxel_size_nm[0]
    seen = middle_of(image.shape, SEEN)
    marked = mark_large_pores(labels_in(image, seen, phases), large_radius(theta_per_nm, voxel))
    box = freest_box(marked, voxel)
    graphite, large = shares(marked[box])
    excursion = _excursion(marked[box], voxel)
    starts = fit_intrinsic(measured_densities(counts), voxel)
    z = (box[0].start + box[0].stop) // 2
    picture = Picture(marked[z], voxel, (box[1].start, box[1].stop, box[2].start, box[2].stop))
    shape = (marked.shape[0], marked.shape[1], marked.shape[2])
    pore = (marked == PORE) | (marked == LARGE_PORE)
    measured = pore_size_distribution(pore, voxel, radii_nm).fraction
    del marked, pore
    outside = _binder_outside_graphite(counts)
    grid, found, note = [], None, ""
    if excursion.share > outside:
        candidates = [_parameters(starts[0], excursion, theta, outside / excursion.share) for theta in THETAS]
        jobs = [(each, shape, voxel, seed, k, radii_nm) for each in candidates for k in range(REALISATIONS)]
        curves = np.array(list(spread(_pores, jobs))).reshape(len(THETAS), REALISATIONS, -1)
        grid = [_theta(each, own, measured, radii_nm) for each, own in zip(candidates, curves, strict=True)]
        found = candidates[min(range(len(grid)), key=lambda k: grid[k].distance_nm)].model_dump()
    else:
        note = (
            f"the cutout holds a share of carbon binder of {excursion.share:.4f} outside graphite, the image "
            f"{outside:.4f}: Eq. (25) leaves no large pores"
        )
    begins = [a.start + b.start for a, b in zip(seen, box, strict=True)]
    edges = [b.stop - b.start for b in box]
    return Paper(
        parameters=found, note=note, cutout_begin=(begins[0], begins[1], begins[2]),
        cutout_shape=(edges[0], edges[1], edges[2]), graphite_left=graphite, large_pores_left=large,
        binder_share=excursion.share, mu=excursion.mu, eta=excursion.eta_per_nm, correlation=excursion.correlation,
        starts=starts, grid=grid, pores=Curve(at_nm=radii_nm.tolist(), measured=plain(measured)), shape=shape,
    ), picture  # fmt: skip


def _excursion(labels: np.ndarray, voxel: float) -> _Excursion:
    """Return threshold and rate of the covariance, by least squares to rho(h), from what is outside graphite."""
    longest = min(_LONGEST_NM, voxel * (min(labels.shape) // 4))
    binder = two_point_coverage(labels == CARBON_BINDER, voxel, longest)
    curve = binder.coverage / two_point_coverage(labels != GRAPHITE, voxel, longest).coverage
    mu = -float(ndtri(curve[0]))
    at, rho = binder.lag_nm[1:], correlation_of(curve[1:], mu)
    seen = np.isfinite(rho)

    def squares(log_eta: float) -> float:
        return float(((rho[seen] - 1 / (1 + (math.exp(log_eta) * at[seen]) ** 2)) ** 2).sum())

    eta = math.exp(minimize_scalar(squares, bounds=(math.log(1e-5), 0.0), method="bounded").x)
    fitted = 1 / (1 + (eta * at) ** 2)
    return _Excursion(
        float(curve[0]), mu, eta, Curve(at_nm=at.tolist(), measured=plain(rho), fitted=fitted.tolist())
    )  # fmt: skip


def _binder_outside_graphite(counts: Counts) -> float:
    pore, binder, _ = (float(n) for n in counts.voxels.sum(axis=0))
    return binder / (pore + binder)


def _parameters(start: PaperStart, excursion: _Excursion, theta: float, free: float) -> CbaParameters:
    gamma = start.alpha_1 / start.mean_a
    return CbaParameters(
        lambda_X_per_nm3=start.lambda_X, alpha_1=start.alpha_1, alpha_2=start.mean_c * gamma, gamma_per_nm=gamma,
        mu=excursion.mu, eta_per_nm=excursion.eta_per_nm, theta_per_nm=theta,
        lambda_Y_per_nm3=-(theta**3) / (8 * math.pi) * math.log(free),
    )  # fmt: skip


def _pores(job: tuple[CbaParameters, tuple[int, int, int], float, int, int, np.ndarray]) -> np.ndarray:
    """Return the size distribution of the pores of a realisation; the noise is the same for each theta."""
    parameters, shape, voxel, seed, index, radii_nm = job
    bundle = Bundle.of("candidate", "Candidate", parameters, licence="none")
    labels = generate_cba(bundle, shape, voxel, seed, index)
    return pore_size_distribution(labels == PORE, voxel, radii_nm).fraction


def _theta(parameters: CbaParameters, curves: np.ndarray, measured: np.ndarray, radii_nm: np.ndarray) -> PaperTheta:
    step = float(radii_nm[1] - radii_nm[0])
    mean = curves.mean(axis=0)
    return PaperTheta(
        theta=parameters.theta_per_nm, lambda_Y=parameters.lambda_Y_per_nm3,
        distance_nm=float(np.abs(mean - measured).sum() * step),
        each_nm=[float(np.abs(curve - measured).sum() * step) for curve in curves], pores=mean.tolist(),
    )  # fmt: skip
