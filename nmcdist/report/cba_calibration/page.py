"""The page of a calibration of the additive: parameters with errors, what is not identified, and the figures."""

from collections.abc import Iterator
from pathlib import Path

from nmcdist.calibration.cba.results import Quantity, Results, read_results
from nmcdist.extras import need
from nmcdist.report.cba_calibration import figures
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
    "pores.png": "Continuous size distribution of the pores (the paper's Figure 6) in the middle of the image, which "
    "the fit does not use, over the envelope of the replicates.",
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
        made += [figures.planes(results, out / "planes.png"), figures.pores(results, out / "pores.png")]
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
        f"{headline(results).capitalize()}."
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
        f"model in the same windows and voxels, counted and fitted again (seed {results.bootstrap['seed']}; "
        f"{results.bootstrap['lost']} lost). Intervals are Student's, of the logarithm but for mu. Subtracted mean "
        f"errors (of the logarithm, but for mu): {moved}; then lambda_X and mu again meet the volume fractions."
    )
