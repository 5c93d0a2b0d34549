"""The part of the report that shows the paper's route beside the fit: its table, its text, and Figure A2."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nmcdist.bundle import CbaParameters
from nmcdist.calibration.cba.fit import quantities
from nmcdist.calibration.cba.results import Paper, Results
from nmcdist.report.cba_calibration.adequacy import LEAST_SHARE, MARKS, floats
from nmcdist.report.style import PORE, figure, save
from nmcdist.report.tables import markdown

_WITH_ALPHA_1 = ("alpha_2", "gamma")  # at given mean half-axes, these are alpha_1 by another name


def pores(paper: Paper, path: Path) -> Path:
    """Draw the pore size distributions of the grid of theta beside that of the image (Figure A2)."""
    import matplotlib as mpl

    at, measured = np.array(paper.pores.at_nm), floats(paper.pores.measured)
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(paper.grid)))
    end = 1.1 * at[measured > LEAST_SHARE].max()
    with figure(1, 2, 13, 5.5) as (drawing, axes):
        left, right = axes[0]
        left.plot(at, measured, color=PORE, label="image", **MARKS)
        for tried, colour in zip(paper.grid, colours, strict=True):
            label = f"$1/\\theta$ = {1 / tried.theta:.0f} nm"
            left.plot(at, tried.pores, "--", color=colour, linewidth=1.3, label=label)
        left.set(xlabel="radius $r$ / nm", ylabel="share of pores covered by balls of radius $r$", xlim=(0, end),
                 ylim=(0, 1.03))  # fmt: skip
        left.legend(fontsize=10)
        means = [1 / tried.theta for tried in paper.grid]
        for k in range(len(paper.grid[0].each_nm)):
            name = "each realisation" if k == 0 else "_"
            right.plot(means, [tried.each_nm[k] for tried in paper.grid], color="0.6", label=name, **MARKS)
        right.plot(means, [tried.distance_nm for tried in paper.grid], color="black", marker="s", label="mean curve")
        right.set(xlabel=r"mean radius $1/\theta$ / nm", ylabel="$L_1$ distance from the image / nm", ylim=(0, None))
        right.legend()
        return save(drawing, path)


def text(results: Results, paper: Paper) -> Iterator[str]:
    """Return the paragraphs about the paper's route."""
    yield "## The route of the paper, for comparison"
    edges = " x ".join(map(str, paper.cutout_shape))
    begin = ", ".join(map(str, paper.cutout_begin))
    yield (
        f"The cutout is the box of {edges} voxels (z, y, x; begins at {begin}) with the least graphite and large pores "
        f"of all boxes with the paper's edges in the middle {' x '.join(map(str, paper.shape))} voxels of the first "
        f"image. It still holds {paper.graphite_left:.1%} of graphite and {paper.large_pores_left:.1%} of large pores. "
        f"Its share of carbon binder outside graphite, {paper.binder_share:.4f}, gives mu (Eq. (19)), and its "
        "covariance eta (Eq. (21), least squares)."
    )
    found = {"mu": paper.mu, "eta": paper.eta}
    if paper.parameters is None:
        yield f"No parameters follow: {paper.note}. No bundle of this route is written."
    else:
        found = quantities(CbaParameters(**paper.parameters)) | {"alpha_1": paper.parameters["alpha_1"]}
        found = {name: value for name, value in found.items() if name not in _WITH_ALPHA_1}
    yield markdown(
        ["quantity", "unit", "paper's route", "fit", "difference in standard errors of the fit"],
        (_row(results, name, value) for name, value in found.items()),
    )
    yield (
        "The paper's route has no standard errors. It rests on the cutout: the mean of the field over a small box "
        "scatters, the choice of the freest box favours much carbon binder, and large pores that are left in it lower "
        "its share. All this goes into mu and eta, and by Eq. (25) into the large pores."
    )
    yield (
        "Graphite by Eq. (17), from four starts of alpha_1. Where objectives are alike but alpha_1 is not, Eq. (17) "
        "does not identify it: where a search ends depends on where it began."
    )
    yield markdown(
        ["alpha_1 at the start", "alpha_1 at the end", "lambda_X / nm^-3", "mean a / nm", "mean c / nm", "Eq. (17)"],
        ([f"{s.start:g}", f"{s.alpha_1:.4g}", f"{s.lambda_X:.3g}", f"{s.mean_a:.4g}", f"{s.mean_c:.4g}",
          f"{s.objective:.3g}"] for s in paper.starts),
    )  # fmt: skip
    if paper.grid:
        yield (
            "Theta from the paper's grid, with lambda_Y by Eq. (25): L1 distance between the size distribution of the "
            f"pores of the image and the mean of {len(paper.grid[0].each_nm)} realisations, and of each."
        )
        yield markdown(
            ["theta / nm^-1", "lambda_Y / nm^-3", "mean curve / nm", "each / nm"],
            ([f"{t.theta:.4f}", f"{t.lambda_Y:.3g}", f"{t.distance_nm:.1f}", ", ".join(f"{d:.1f}" for d in t.each_nm)]
             for t in paper.grid),
        )  # fmt: skip


def _row(results: Results, name: str, value: float) -> list[str]:
    fit = results.quantities[name]
    apart = "no standard error"
    if fit.standard_error:
        distance = np.log(value / fit.value) if fit.relative else value - fit.value
        apart = f"{distance / fit.standard_error:+.1f}"
    return [f"`{name}`", fit.unit, f"{value:.4g}", f"{fit.value:.4g}", apart]
