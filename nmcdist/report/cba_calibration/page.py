"""The page of a calibration of the additive: parameters with errors, what is not identified, and the figures."""

from collections.abc import Iterator
from pathlib import Path

from nmcdist.calibration.cba.large_pores import read_picture
from nmcdist.calibration.cba.levels import SCALARS
from nmcdist.calibration.cba.results import Compared, Quantity, Results, read_results
from nmcdist.extras import need
from nmcdist.report.cba_calibration import adequacy, figures, paper
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.tables import markdown

_CAPTIONS = {
    "fits.png": "Two-point coverage of the carbon binder outside graphite, which fixes mu, eta, theta and lambda_Y, "
    "and the variogram of graphite, which with surface and curvature fixes the plates. Below: what the fit leaves. "
    "Values at neighbouring lags scatter together; error bars are single standard errors from the blocks of the image.",
    "ellipses.png": "Joint 95 % regions of pairs of parameters, from the standard errors and correlations of the "
    "bootstrap.",
    "planes.png": "By plane of the image, over the envelope (least to largest) of the replicates. The fit averages "
    "over directions: a plane that leaves its envelope alone shows an anisotropic or a sheared image.",
    "correlation.png": "Covariance of the field of the carbon binder (the paper's Figure 4): from the measured curve, "
    "less the large pores, by inversion of Eq. (21), and the fit. Error bars are single standard errors at the fitted "
    "mu and large pores; they move together, as the share of carbon binder is in all.",
    "sizes.png": "Continuous size distribution of the pores (the paper's Figure 6), which the fit does not use, over "
    "the envelope of the replicates. Coarser voxels come from removing every second voxel along each axis.",
    "coverage.png": "Centred two-point coverage of the solid (the paper's Figure 7) at the same voxel sizes.",
    "slice.png": "A slice of the first image (the paper's Figure A1). Large pores are what balls without carbon binder "
    "cover whose radius is at least twice the fitted mean, 2 / theta.",
    "pores-by-theta.png": "Size distributions of the pores for the paper's grid of theta (its Figure A2), means of "
    "three realisations, and their L1 distances from the image's. Where the distances of single realisations of one "
    "theta differ as much as those between thetas, the grid does not fix theta.",
}


def report_cba_calibration(folder: Path, out: Path) -> Path:
    """Write the report of a calibration.

    Parameters
    ----------
    folder : Path
        Result folder of :func:`nmcdist.calibration.cba.calibrate.calibrate_cba`.
    out : Path
        Folder for the figures and the page.

    Returns
    -------
    Path
        The page ``report.md``.

    Raises
    ------
    StoreError
        If the results are missing or damaged.
    InputError
        If the folder of the report cannot be made.
    MissingPackageError
        If the packages that draw the figures are not installed.
    """
    need("report", "a report")
    results = read_results(Path(folder))
    out = Path(out)
    make_folder(out)
    made = [figures.fits(results, out / "fits.png")]
    if results.correlations is not None:
        made.append(figures.ellipses(results, out / "ellipses.png"))
        made.append(figures.planes(results, out / "planes.png"))
    if results.levels:
        made += [adequacy.sizes(results, out / "sizes.png"), adequacy.coverage(results, out / "coverage.png")]
    if "correlation" in results.curves:
        made.append(adequacy.correlation(results, out / "correlation.png"))
    seen = read_picture(folder)
    if seen is not None:
        made.append(adequacy.picture(seen, out / "slice.png"))
    if results.paper is not None and results.paper.grid:
        made.append(paper.pores(results.paper, out / "pores-by-theta.png"))
    return write_page(out, list(_text(results)), made, _CAPTIONS)


def headline(results: Results) -> str:
    """Return what was found in one line."""
    kept = [name for name, found in results.quantities.items() if not found.identified]
    worst = max(abs(fitted / measured - 1) for measured, fitted in results.fractions.values())
    return (
        f"volume fractions met within {worst:.2%}; not identified, or without error: {', '.join(kept) or 'none'}; "
        f"{len(results.warnings)} warnings"
    )


def _text(results: Results) -> Iterator[str]:
    yield f"# Calibration of the additive: {results.bundle['name']}"
    size = " x ".join(f"{s:g}" for s in results.voxel_size_nm)
    shapes = ", ".join(" x ".join(map(str, shape)) for shape in results.shapes)
    yield (
        f"{len(results.images)} image(s) of {shapes} voxels of {size} nm, {results.volume_um3:.4g} cubic micrometres, "
        f"about {results.plates_in_view:.0f} plates of graphite in view. Bundle sha256 `{results.bundle['sha256']}`. "
        f"{headline(results)[0].upper()}{headline(results)[1:]}."
    )
    if results.warnings:
        yield "## Warnings\n\n" + "\n".join(f"- {warning}" for warning in results.warnings)
    yield "## Parameters"
    yield markdown(
        ["quantity", "value", "unit", "standard error", "95 % interval", "note"],
        (_row(name, found) for name, found in results.quantities.items()),
    )
    yield _about_errors(results)
    yield "## Volume fractions"
    yield markdown(
        ["of", "image", "fitted model", "difference"],
        ([name.replace("_", " "), f"{a:.5f}", f"{b:.5f}", f"{b / a - 1:+.2%}"]
         for name, (a, b) in results.fractions.items()),
    )  # fmt: skip
    if results.levels:
        yield from _adequacy(results)
    yield "## The spread of the plates' thickness"
    yield (
        "Graphite was refitted with half and twice the shape alpha_1 of the law of half-axis a. Where chi2 hardly "
        "changes, the image does not fix alpha_1, and the other numbers hold for the kept value only."
    )
    freedom = results.chi2["graphite"][1]
    rows = [(p.alpha_1, p.chi2, p.lambda_X, p.mean_a, p.mean_c) for p in results.profile]
    yield markdown(
        ["alpha_1", "chi2", "lambda_X / nm^-3", "mean a / nm", "mean c / nm"],
        ([f"{a:.4g}", f"{c:.1f}", f"{x:.3g}", f"{y:.4g}", f"{z:.4g}"] for a, c, x, y, z in rows),
    )
    yield "## The fits"
    yield markdown(
        ["fit", "chi2", "degrees of freedom", "blind starts"],
        ([name, f"{value:.1f}", f"{count}", f"{len(results.starts[name])}, agree within a tenth of a standard error"]
         for name, (value, count) in results.chi2.items()),
    )  # fmt: skip
    yield _about_correlation(results)
    if results.paper is not None:
        yield from paper.text(results, results.paper)
    yield (
        f"CPU time of this process: {results.seconds['labels_to_fit']:.0f} s from labels to fit, "
        f"{results.seconds['all']:.0f} s in all. {freedom} statistics of graphite beyond the parameters."
    )


def _row(name: str, found: Quantity) -> list[str]:
    error, interval = "none", "none"
    if found.standard_error is not None and found.interval is not None:
        error = f"{found.standard_error:.2%}" if found.relative else f"{found.standard_error:.3g}"
        interval = f"{found.interval[0]:.4g} to {found.interval[1]:.4g}"
    return [f"`{name}`", f"{found.value:.4g}", found.unit, error, interval, found.note]


def _windows(results: Results) -> str:
    if not results.windows:
        return "the same windows and voxels"
    shapes = ", ".join(" x ".join(map(str, shape)) for shape in results.windows)
    return (
        f"windows of {shapes} voxels, smaller than the images (standard errors are scaled with volume^-1/2, that of mu "
        "by the variance of the mean of the field, and the part of the mean error that falls with the volume is told "
        "from the rest by a fit of all replicates as one sample; envelopes are those of the smaller windows)"
    )


def _adequacy(results: Results) -> Iterator[str]:
    yield "## Is the model adequate?"
    box = " x ".join(map(str, results.levels[0].shape))
    yield (
        f"Descriptors that the fit does not use, in the middle {box} voxels of the first image and of each replicate, "
        "at the voxel size of the image and with every second voxel removed once and twice (the paper's Figure 5). "
        "Constrictivity and tortuosity are means over three axes. Values of one box go together: one that is denser "
        "than the image moves all of them. "
        + (
            f"A value of the image beyond those of all {results.bootstrap['replicates']} replicates is marked; chance "
            f"does that to {2 / (results.bootstrap['replicates'] + 1):.0%} of values."
            if results.correlations is not None else "Without bootstrap there is nothing to compare with."
        )
    )  # fmt: skip
    yield markdown(
        ["descriptor", "voxel / nm", "image", "replicates: mean (least to largest)", ""],
        (_compared(SCALARS[name], level.voxel_size_nm, level.scalars[name])
         for name in SCALARS for level in results.levels),
    )  # fmt: skip


def _compared(name: str, voxel: float, found: Compared) -> list[str]:
    image = "phase does not join the faces" if found.image is None else f"{found.image:.4g}"
    if found.mean is None or found.low is None or found.high is None:
        return [name, f"{voxel:g}", image, "none", ""]
    beyond = found.image is not None and not found.low <= found.image <= found.high
    between = f"{found.mean:.4g} ({found.low:.4g} to {found.high:.4g})"
    return [name, f"{voxel:g}", image, between, "**beyond**" if beyond else ""]


def _about_correlation(results: Results) -> str:
    curve = results.curves.get("correlation")
    if curve is None:
        return "The covariance of the field was not inverted."
    missing = [f"{at:.0f}" for at, rho in zip(curve.at_nm, curve.measured, strict=True) if rho is None]
    if not missing:
        return "The covariance of the field was found without its parametric form at all lags."
    return (
        f"The covariance of the field was not found without its parametric form at lags of {', '.join(missing)} nm: "
        "Eq. (21) has no solution there, or the standard error is above 0.1."
    )


def _about_errors(results: Results) -> str:
    if results.correlations is None:
        return (
            "Without bootstrap, values are not corrected for the error of thin plates, and those of graphite have no "
            "standard error. Those of the carbon binder come from the scatter between blocks, and that of mu also from "
            "the long correlation of the field."
        )
    moved = ", ".join(f"{name} {value:+.3g}" for name, value in results.bias.items())
    return (
        f"Errors, correlations and correction come from {results.bootstrap['replicates']} realisations of the fitted "
        f"model in {_windows(results)}, counted and fitted again (seed {results.bootstrap['seed']}; "
        f"{results.bootstrap['lost']} lost). Intervals are Student's, of the logarithm but for mu. Subtracted mean "
        f"errors (of the logarithm, but for mu): {moved}; then lambda_X and mu again meet the volume fractions."
    )
