"""From fitted coefficients to the laws of the outer shell model: Eqs. (5) and (6), with errors and corrections."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nmcdist.bundle.parameters import HARMONIC_DEGREES
from nmcdist.calibration.shell.correction import Correction
from nmcdist.calibration.shell.dependence import distance_correlations, rank_correlations
from nmcdist.calibration.shell.harmonics import NOISE
from nmcdist.calibration.shell.laws import NORMAL_NU, Law, harmonic_laws, ratio_gain, size_laws

SIGNAL_OVER_NOISE = 2.0
UNRESOLVED_NM = 1e-6  # scale of degrees that the voxels do not resolve: the schema wants a positive one


@dataclass(frozen=True)
class Degree:
    """The law of the coefficients of one degree l.

    Attributes
    ----------
    degree : int
    rms_voxels, rms_error_voxels : float
        Weighted root mean square of the fitted coefficients, in voxels, before the correction, and its standard error.
        In a grey image, less that of the noise, 0 if there is nothing else.
    noise_voxels : float
        Standard error of a coefficient, in voxels: of a voxelised shell, or of the median particle of a grey image.
    factor, factor_error : float
        Correction of the scale by the packing, and its standard error, which contains that of the noise.
    is_resolved : bool
        Whether the corrected root mean square is above twice the noise of the voxels, and that of all lower degrees
        from 2 too.
    laws : list of Law
        Of a_lm in nm, before the correction, best first.
    ratio_laws : list of Law
        Of a_lm / a_00, best first.
    ratio_gain : float
        See :func:`nmcdist.calibration.shell.laws.ratio_gain`.
    spearman : float
        Rank correlation of |a_lm| with a_00, mean over m.
    distance_correlation, distance_correlation_shuffled : float
        Of a_lm with a_00, and with shuffled a_00, means over m.
    """

    degree: int
    rms_voxels: float
    rms_error_voxels: float
    noise_voxels: float
    factor: float
    factor_error: float
    is_resolved: bool
    laws: list[Law]
    ratio_laws: list[Law]
    ratio_gain: float
    spearman: float
    distance_correlation: float
    distance_correlation_shuffled: float

    @property
    def nu(self) -> float:
        """Degrees of freedom for the bundle."""
        return min(self.laws[0].values.get("nu", NORMAL_NU), NORMAL_NU) if self.is_resolved else NORMAL_NU

    @property
    def scale_nm(self) -> float:
        """Corrected scale for the bundle."""
        return self.laws[0].values["scale"] * self.factor if self.is_resolved else UNRESOLVED_NM


@dataclass(frozen=True)
class ShellFit:
    """The fitted outer shell model.

    Attributes
    ----------
    size_laws : list of Law
        Of a_00 in nm, before the correction, best first.
    size_factor, size_factor_error : float
        Correction of a_00 by the packing.
    degrees : list of Degree
        l = 1, 2, ..., 9.
    edcc : list of list of float
        Distance correlation of a_00 and a_lm by degree and m (Figure 3a).
    """

    size_laws: list[Law]
    size_factor: float
    size_factor_error: float
    degrees: list[Degree]
    edcc: list[list[float]]

    @property
    def size_law(self) -> Law:
        """The log-normal law with a location, which the model has; the likelihood may prefer another."""
        return next(law for law in self.size_laws if law.family == "log-normal with location")

    @property
    def order(self) -> int:
        """The highest resolved degree, 0 for none."""
        return max((one.degree for one in self.degrees if one.is_resolved), default=0)

    @property
    def resolved(self) -> str:
        """Say up to which degree the image resolves the forms, and what hides the next one."""
        if self.order == HARMONIC_DEGREES:
            return f"all degrees resolved, to l = {self.order}"
        lost = self.degrees[max(self.order, 1)]  # degree 1 is small around a centre of mass, and is no reason
        found = f"resolved up to l = {self.order}" if self.order else "no degree resolved"
        return (
            f"{found} (the spread of l = {lost.degree} is {lost.rms_voxels * lost.factor:.2f} voxel, below twice the "
            f"error of a coefficient that blur, noise and voxels leave, {lost.noise_voxels:.2f})"
        )


def fit_laws(
    coefficients: np.ndarray, weights: np.ndarray, unit_nm: float, fixed: Correction, left: np.ndarray, seed: int
) -> ShellFit:  # fmt: skip
    """Fit the laws of the coefficients.

    Parameters
    ----------
    coefficients : ndarray of float64, shape (n, 100)
        In voxels.
    weights : ndarray of float64, shape (n,)
        Of the particles, with mean 1.
    unit_nm : float
        Edge of a voxel, or of the cube of its volume.
    fixed : Correction
    left : ndarray of float64, shape (n, 10)
        What a blur that was taken out had left of each degree, 0 to 1; noise is larger by its inverse.
    seed : int
        For shuffling.
    """
    size = coefficients[:, 0]
    shuffled = np.random.Generator(np.random.Philox(seed)).permutation(size)
    others = coefficients[:, 1:]
    ranks = rank_correlations(size, np.abs(others))
    edcc, independent = distance_correlations(size, others), distance_correlations(shuffled, others)
    degrees, is_resolved = [], True
    for degree in range(1, HARMONIC_DEGREES + 1):
        columns = slice(degree**2, (degree + 1) ** 2)
        of = slice(degree**2 - 1, (degree + 1) ** 2 - 1)
        values = coefficients[:, columns]
        spread = _spread(values, weights, fixed, left, degree)
        above = spread.rms * fixed.factors[degree] > SIGNAL_OVER_NOISE * spread.noise
        is_resolved = is_resolved and (above or degree == 1)  # degree 1 is small around a centre of mass
        gain, ratio_laws = ratio_gain(values * unit_nm, size * unit_nm, weights)
        noise = None if spread.each is None else spread.each * unit_nm
        degrees.append(Degree(
            degree, spread.rms, spread.error, spread.noise, float(fixed.factors[degree]), spread.factor_error,
            bool(is_resolved and above), harmonic_laws(values * unit_nm, weights, noise), ratio_laws, gain,
            float(ranks[of].mean()), float(edcc[of].mean()), float(independent[of].mean()),
        ))  # fmt: skip
    table = [list(map(float, edcc[one.degree**2 - 1 : (one.degree + 1) ** 2 - 1])) for one in degrees]
    size_factor, size_error = float(fixed.factors[0]), float(fixed.errors[0])
    return ShellFit(size_laws(size * unit_nm, weights), size_factor, size_error, degrees, table)


class _Spread(NamedTuple):
    """Root mean square of a degree and its error, noise of a corrected coefficient, that of each particle's fitted one.

    The error of the factor contains that of the noise.
    """

    rms: float
    error: float
    noise: float
    each: np.ndarray | None
    factor_error: float


def _spread(values: np.ndarray, weights: np.ndarray, fixed: Correction, left: np.ndarray, degree: int) -> _Spread:
    squares = (values**2).mean(axis=1)
    factor, factor_error = float(fixed.factors[degree]), float(fixed.errors[degree])
    median = float(np.median(left[:, degree]))
    each, noise = None, NOISE / median
    if fixed.noise is not None and fixed.noise_errors is not None:
        each, noise = fixed.noise[degree] / left[:, degree], float(fixed.noise[degree]) * abs(factor) / median
        squares = squares - each**2
    mean = float(np.average(squares, weights=weights))
    rms = float(np.sqrt(max(mean, 0.0)))
    of_mean = float(np.sqrt(((weights * (squares - mean)) ** 2).sum()) / weights.sum())
    error = of_mean / (2 * rms) if mean > of_mean else float(np.sqrt(of_mean))  # the latter if there is no signal
    if each is not None and fixed.noise is not None and fixed.noise_errors is not None:
        share = np.average(each**2, weights=weights) / max(mean, of_mean)
        of_noise = share * fixed.noise_errors[degree] / fixed.noise[degree]
        factor_error = float(np.hypot(factor_error, factor * of_noise))
    return _Spread(rms, error, noise, each, factor_error)
