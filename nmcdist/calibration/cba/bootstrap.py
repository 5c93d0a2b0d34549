"""Parametric bootstrap: realisations of the fitted model in the same windows, counted and refitted.

Each replicate gives the error of the fit at a known truth. Their scatter is the standard error, their mean the bias,
which one step takes out (plates are a few voxels thin), and their curves are the envelopes of the adequacy plots.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.calibration.cba.counts import Counts, Spread, count_labels, joined
from nmcdist.calibration.cba.curves import Curves, curves_of
from nmcdist.calibration.cba.fit import coordinates, fit_counts, quantities
from nmcdist.calibration.cba.lags import Lags
from nmcdist.errors import ImageError, InputError
from nmcdist.models.cba import generate_cba

FEWEST = 5


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of a fit.

    Attributes
    ----------
    errors : ndarray of float64, shape (replicates, quantities)
        Fitted less true, in :func:`nmcdist.calibration.cba.fit.coordinates`.
    curves : list of Curves
        Of each replicate.
    lost : int
        Replicates that could not be fitted.
    """

    errors: np.ndarray
    curves: list[Curves]
    lost: int

    @property
    def bias(self) -> np.ndarray:
        """Mean error."""
        return np.asarray(self.errors.mean(axis=0))

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation of one fit, of each quantity."""
        return np.asarray(self.errors.std(axis=0, ddof=1))

    @property
    def standard_error(self) -> np.ndarray:
        """Standard error of a fit from which the mean error was subtracted, which is itself uncertain."""
        return np.asarray(self.sd * np.sqrt(1 + 1 / len(self.errors)))

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
    parameters: CbaParameters, like: Counts, number: int, seed: int, *, radii_nm: np.ndarray, spread: Spread = map
) -> Bootstrap:
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
    radii_nm : ndarray
        Of the pore size distribution.
    spread : callable
        Like the builtin `map`.

    Raises
    ------
    InputError
        If the number is too small, or voxels are not cubes.
    ImageError
        If fewer than five replicates could be fitted.
    """
    if number < FEWEST:
        raise InputError(f"bootstrap: found {number} replicates, expected 0 or at least {FEWEST}")
    if len(set(like.voxel_size_nm)) > 1:
        raise InputError(
            f"bootstrap: found voxels of {like.voxel_size_nm} nm, expected cubes, the only voxels that are drawn"
        )
    job = (parameters, like.shapes, like.voxel_size_nm[0], like.lags, seed, radii_nm)
    found = list(spread(_replicate, [(job, index) for index in range(number)]))
    kept = [each for each in found if each is not None]
    if len(kept) < FEWEST:
        raise ImageError(f"bootstrap: {number - len(kept)} of {number} replicates could not be fitted")
    truth = coordinates(quantities(parameters))
    return Bootstrap(np.array([fit for fit, _ in kept]) - truth, [curves for _, curves in kept], number - len(kept))


Job = tuple[CbaParameters, Sequence[tuple[int, int, int]], float, Lags, int, np.ndarray]


def _replicate(job: tuple[Job, int]) -> tuple[np.ndarray, Curves] | None:
    (parameters, shapes, voxel, lags, seed, radii_nm), index = job
    bundle = Bundle.of("replicate", "Replicate", parameters, licence="none")
    parts = []
    for number, shape in enumerate(shapes):
        labels = generate_cba(bundle, shape, voxel, seed, index * len(shapes) + number)
        parts.append(count_labels(labels, voxel, lags))
        if number == 0:
            middle = labels
    counts = joined(parts)
    curves = curves_of(counts, middle, voxel, radii_nm)
    try:
        fit = fit_counts(counts, parameters.alpha_1, parameters)
    except (ImageError, InputError):
        return None
    return coordinates(quantities(fit.parameters)), curves
