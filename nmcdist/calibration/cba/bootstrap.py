"""Parametric bootstrap: realisations of the fitted model in the same windows, counted and refitted.

Each replicate gives the error of the fit at a known truth. Their scatter is the standard error, their mean the bias,
which one step takes out (plates are a few voxels thin), and their curves are the envelopes of the adequacy plots.

Large images are not drawn whole. Standard errors from smaller windows are scaled to the volume of the images. The mean
error has a part that voxels and blocks make at any volume, and a part that falls with the volume, as errors that enter
squared do. The fit of all replicates as one sample tells them apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.calibration.cba.counts import Counts, count_labels, joined
from nmcdist.calibration.cba.curves import Curves, curves_of
from nmcdist.calibration.cba.fit import UNITS, coordinates, fit_counts, quantities
from nmcdist.calibration.cba.lags import Lags
from nmcdist.calibration.cba.levels import SCALARS, Measured, middle_of
from nmcdist.calibration.cba.plan import Known, error_in
from nmcdist.calibration.cba.windows import Shape, windows
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError, InputError
from nmcdist.models.cba import generate_cba

FEWEST = 5


@dataclass(frozen=True)
class Larger:
    """What turns errors in windows into those of larger images.

    Attributes
    ----------
    share : float
        Volume of a replicate over that of the images.
    scale : ndarray of float64, shape (quantities,)
        Standard error of a fit of the images over that of a replicate.
    pooled : ndarray of float64, shape (quantities,)
        Error of the fit of all replicates as one sample.
    """

    share: float
    scale: np.ndarray
    pooled: np.ndarray


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of a fit.

    Attributes
    ----------
    errors : ndarray of float64, shape (replicates, quantities)
        Fitted less true, in :func:`nmcdist.calibration.cba.fit.coordinates`.
    curves : list of Curves
        Of each replicate, if they were measured.
    lost : int
        Replicates that could not be fitted.
    windows : tuple of (int, int, int)
        Voxels of each replicate.
    larger : Larger or None
        None if windows are those of the images.
    """

    errors: np.ndarray
    curves: list[Curves]
    lost: int
    windows: tuple[Shape, ...] = ()
    larger: Larger | None = None

    @property
    def bias(self) -> np.ndarray:
        """Mean error of a fit of the images: b + c / volume, from replicates and all replicates as one sample."""
        mean, count = np.asarray(self.errors.mean(axis=0)), len(self.errors)
        if self.larger is None:
            return mean
        towards = (self.larger.share - 1 / count) / (1 - 1 / count)
        return np.asarray(self.larger.pooled + (mean - self.larger.pooled) * towards)

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation of one fit of the images, of each quantity."""
        spread = np.asarray(self.errors.std(axis=0, ddof=1))
        return spread if self.larger is None else np.asarray(spread * self.larger.scale)

    @property
    def standard_error(self) -> np.ndarray:
        """Standard error of a fit from which the mean error was subtracted, which is itself uncertain."""
        return np.asarray(np.hypot(self.sd, self.errors.std(axis=0, ddof=1) / np.sqrt(len(self.errors))))

    @property
    def correlation(self) -> np.ndarray:
        """Correlations between the quantities."""
        return np.asarray(np.corrcoef(self.errors.T))

    @property
    def factor(self) -> float:
        """Half-width of a 95 % interval in standard errors, by Student's t."""
        from scipy.stats import t

        return float(t.ppf(0.975, len(self.errors) - 1))


def bootstrap(
    parameters: CbaParameters, like: Counts, number: int, seed: int, *, radii_nm: np.ndarray | None,
    misfit: float = 0.0, spread: Spread = map,
) -> Bootstrap:  # fmt: skip
    """Draw, count and refit replicates.

    Parameters
    ----------
    parameters : CbaParameters
        The fitted ones.
    like : Counts
        Of the sample: gives windows, voxels and lattice vectors.
    number : int
        Replicates.
    seed : int
    radii_nm : ndarray or None
        Of the pore size distribution; None leaves out curves.
    misfit : float
        Of the fit whose errors are wanted, see :func:`nmcdist.calibration.cba.binder.fit_binder`.
    spread : callable
        Like the builtin `map`.

    Raises
    ------
    InputError
        If the number is too small, voxels are not cubes, or lags are too long for a window.
    ImageError
        If fewer than five replicates could be fitted.
    """
    if number < FEWEST:
        raise InputError(f"bootstrap: found {number} replicates, expected 0 or at least {FEWEST}")
    if len(set(like.voxel_size_nm)) > 1:
        raise InputError(
            f"bootstrap: found voxels of {like.voxel_size_nm} nm, expected cubes, the only voxels that are drawn"
        )
    voxel = like.voxel_size_nm[0]
    drawn = windows(like.shapes, voxel, like.lags.reach)
    is_whole = drawn == tuple(like.shapes)
    job = _Job(parameters, drawn, voxel, like.lags, seed, radii_nm, misfit, not is_whole)
    found = spread(_replicate, [(job, index) for index in range(number)])
    kept = [_Replicate.of(arrays, job, like) for arrays in found if len(arrays) > 0]
    if len(kept) < FEWEST:
        raise ImageError(f"bootstrap: {number - len(kept)} of {number} replicates could not be fitted")
    truth = coordinates(quantities(parameters))
    errors = np.array([each.fit for each in kept]) - truth
    larger = None
    if not is_whole:
        all_counts = joined([each.counts for each in kept if each.counts])
        pooled = fit_counts(all_counts, parameters.alpha_1, parameters, misfit)
        larger = _larger(errors, coordinates(quantities(pooled.parameters)) - truth, drawn, like, parameters)
    curves = [each.curves for each in kept if each.curves is not None]
    return Bootstrap(errors, curves, number - len(kept), drawn, larger)


def _larger(
    errors: np.ndarray, pooled: np.ndarray, drawn: Sequence[Shape], like: Counts, parameters: CbaParameters
) -> Larger:
    voxel = like.voxel_size_nm[0]
    edges = [(z * voxel, y * voxel, x * voxel) for z, y, x in drawn]
    known = Known(dict.fromkeys(UNITS, 1.0), edges, parameters.eta_per_nm, "replicates")
    scale = np.array([error_in(name, like.edges_nm, known) for name in UNITS])
    volume = sum(float(np.prod(edge)) for edge in edges)
    return Larger(volume / sum(float(np.prod(edge)) for edge in like.edges_nm), scale, pooled)


@dataclass(frozen=True)
class _Job:
    parameters: CbaParameters
    windows: tuple[Shape, ...]
    voxel_nm: float
    lags: Lags
    seed: int
    radii_nm: np.ndarray | None
    misfit: float
    keep: bool  # the counts


@dataclass(frozen=True)
class _Replicate:
    fit: np.ndarray
    curves: Curves | None
    counts: Counts | None

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All numbers, which a stage can keep."""
        counts, curves = self.counts, self.curves
        of_counts = [] if counts is None else [counts.voxels, counts.pairs, counts.configurations]
        of_curves = [] if curves is None else [curves.binder, curves.graphite]
        for level in [] if curves is None else curves.levels:
            values = [level.voxel_size_nm, *(level.scalars[name] for name in SCALARS)]
            of_curves += [np.array(values), level.pores, level.lag_nm, level.coverage]
        return self.fit, *of_counts, *of_curves

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray], job: "_Job", like: Counts) -> "_Replicate":
        """Return a replicate from its arrays."""
        fit, *rest = arrays
        counts = curves = None
        if job.keep:
            of_counts, rest = rest[:3], rest[3:]
            counts = Counts(job.lags, like.voxel_size_nm, job.windows, *of_counts)
        if job.radii_nm is not None:
            binder, graphite, *others = rest
            levels = [others[k : k + 4] for k in range(0, len(others), 4)]
            curves = Curves(binder, graphite, [
                Measured(float(values[0]), dict(zip(SCALARS, values[1:].tolist(), strict=True)), *more)
                for values, *more in levels
            ])  # fmt: skip
        return cls(fit, curves, counts)


def _replicate(item: tuple[_Job, int]) -> tuple[np.ndarray, ...]:
    """Return the arrays of a replicate; none if it could not be fitted."""
    job, index = item
    bundle = Bundle.of("replicate", "Replicate", job.parameters, licence="none")
    parts, box = [], None
    for number, shape in enumerate(job.windows):
        labels = generate_cba(bundle, shape, job.voxel_nm, job.seed, index * len(job.windows) + number)
        parts.append(count_labels(labels, job.voxel_nm, job.lags))
        box = labels[middle_of(shape)].copy() if number == 0 else box
        del labels
    counts = joined(parts)
    try:
        fit = fit_counts(counts, job.parameters.alpha_1, job.parameters, job.misfit)
    except (ImageError, InputError):
        return ()
    curves = None
    if job.radii_nm is not None and box is not None:
        curves = curves_of(counts, box, job.voxel_nm, job.radii_nm)
    return _Replicate(coordinates(quantities(fit.parameters)), curves, counts if job.keep else None).arrays
