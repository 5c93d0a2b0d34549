"""What a user should know before a fit is trusted: too few plates, thick voxels, curves that do not fit."""

import math

from nmcdist.bundle import CbaParameters
from nmcdist.calibration.cba.bootstrap import Bootstrap
from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.fit import UNITS, Fit
from nmcdist.calibration.cba.reference import REFERENCE_INTENSITY, REFERENCE_SD, REFERENCE_VOLUME_NM3

FEWEST_PLATES = 30
_POOR = 3.0  # chi2 per degree of freedom above which a curve does not fit


def doubts(final: CbaParameters, counts: Counts, fit: Fit, boot: Bootstrap | None) -> list[str]:
    """Return one line per doubt, with the error to expect."""
    found = []
    number = final.lambda_X_per_nm3 * counts.volume_nm3
    if number < FEWEST_PLATES:
        scale = math.sqrt(REFERENCE_INTENSITY * REFERENCE_VOLUME_NM3 / number)
        errors = ", ".join(f"{name} {REFERENCE_SD[name] * scale:.0%}" for name in ("lambda_X", "mean_a", "mean_c"))
        found.append(
            f"about {number:.0f} plates of graphite in view, expected at least {FEWEST_PLATES}: standard errors of "
            f"about {errors}"
        )
    thickness, voxel = 2 * final.alpha_1 / final.gamma_per_nm, max(counts.voxel_size_nm)
    if voxel > thickness / 4:
        found.append(
            f"voxels of {voxel:g} nm are over a quarter of the mean plate thickness, {thickness:.0f} nm: the curvature "
            "of graphite comes out up to twice too large; "
            + ("the bootstrap corrects the mean error only" if boot else "lambda_X and mean_c are biased")
        )
    if len(set(counts.voxel_size_nm)) > 1:
        found.append("voxels are not cubes: graphite is fitted without surface and curvature, so lambda_X and mean_c "
                     "are hardly fixed")  # fmt: skip
    if fit.binder.misfit:
        found.append(
            f"the carbon binder does not follow the model within its scatter (chi2 {fit.binder.chi2_without:.0f} with "
            f"{fit.binder.freedom} degrees of freedom), as is usual for labels from a segmentation: an error of "
            f"{fit.binder.misfit:.0%} was allowed at each lag, and is part of the standard errors"
        )
    for what, chi2, freedom in (
        ("carbon binder", fit.binder.solution.chi2, fit.binder.freedom),
        ("graphite", fit.graphite.solution.chi2, fit.graphite.freedom),
    ):
        if chi2 > _POOR * freedom:
            found.append(f"the {what} does not follow the model: chi2 {chi2:.0f} with {freedom} degrees of freedom")
    if boot is not None and boot.lost:
        found.append(f"{boot.lost} replicates could not be fitted and are left out: errors are too small")
    if boot is not None:
        large = [n for n, b, s in zip(UNITS, boot.bias, boot.sd, strict=True)
                 if abs(b) > s]  # fmt: skip
        found += [f"the mean error of {name} exceeds its scatter: the correction is large" for name in large]

    return found
