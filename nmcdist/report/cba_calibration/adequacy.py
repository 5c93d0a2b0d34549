"""The figures of the CBA paper that show whether the fit is adequate: 4, 6, 7 and A1."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.cba.large_pores import LARGE_PORE, Picture
from nmcdist.calibration.cba.results import Curve, Results
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE
from nmcdist.report.style import CARBON_BINDER as BINDER_COLOUR
from nmcdist.report.style import GRAPHITE as GRAPHITE_COLOUR
from nmcdist.report.style import PORE as PORE_COLOUR
from nmcdist.report.style import SERIES, SOLID, figure, save

MARKS: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 5}
LEAST_SHARE = 0.002  # smallest drawn share of the pores
_COLOURS = {PORE: "#FFFFFF", CARBON_BINDER: BINDER_COLOUR, GRAPHITE: GRAPHITE_COLOUR, LARGE_PORE: "#9CCBE8"}
_NAMES = {PORE: "pore", CARBON_BINDER: "carbon binder", GRAPHITE: "graphite", LARGE_PORE: "large pore"}


def correlation(results: Results, path: Path) -> Path:
    """Draw the covariance of the field without a form and as fitted (Figure 4), and that of the paper's route."""
    curves = [("image", results.curves["correlation"], BINDER_COLOUR)]
    if results.paper is not None:
        curves.append(("cutout of the paper's route", results.paper.correlation, SERIES[1][0]))
    with figure(1, 1, 7.5, 5) as (drawing, axes):
        panel = axes[0, 0]
        panel.axhline(0, color="black", linewidth=0.8)
        for number, (label, curve, colour) in enumerate(curves):
            at, rho = np.array(curve.at_nm), floats(curve.measured)
            error = np.zeros(len(at)) if curve.error is None else np.array(curve.error)
            every = max(1, len(at) // 25) if curve.error is None else 1
            panel.errorbar(at[::every], rho[::every], error[::every], color=colour, label=f"{label}: Eq. (21) inverted",
                           **(MARKS | {"marker": "os"[number]}))  # fmt: skip
            if curve.fitted is not None:
                panel.plot(at, curve.fitted, color=colour, linewidth=1.4, label=f"{label}: fit",
                           linestyle="-" if number == 0 else "--")  # fmt: skip
        panel.set(xlabel="lag $h$ / nm", ylabel=r"covariance $\rho(h)$ of the field", ylim=(-0.05, 1.03))
        panel.legend()
        return save(drawing, path)


def sizes(results: Results, path: Path) -> Path:
    """Draw the size distributions of the pores at each voxel size over the envelope of the replicates (Figure 6)."""

    def draw(panel: Any, curve: Curve) -> None:
        at, measured = np.array(curve.at_nm), floats(curve.measured)
        panel.plot(at, measured, color=PORE_COLOUR, label="image", **MARKS)
        end = at[measured > LEAST_SHARE].max() if (measured > LEAST_SHARE).any() else at[-1]
        panel.set(xlabel="radius $r$ / nm", xlim=(0, 1.1 * end), ylim=(0, 1.03))

    label = "share of pores covered by\nballs of radius $r$"
    return _by_level(results, [level.pores for level in results.levels], draw, label, path)


def coverage(results: Results, path: Path) -> Path:
    """Draw C(h) - V^2 of the solid at each voxel size over the envelope of the replicates (Figure 7)."""

    def draw(panel: Any, curve: Curve) -> None:
        panel.axhline(0, color="black", linewidth=0.8)
        panel.plot(curve.at_nm, floats(curve.measured), color=SOLID, label="image", **MARKS)
        panel.set_xlabel("lag $h$ / nm")

    return _by_level(results, [level.coverage for level in results.levels], draw, r"$C(h) - V^2$ of the solid", path)


def picture(found: Picture, path: Path) -> Path:
    """Draw a slice with graphite and large pores marked, and the cutout of the paper's route (Figure A1)."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch, Rectangle

    voxel = found.voxel_size_nm * 1e-3
    ny, nx = found.labels.shape
    colours = ListedColormap([_COLOURS[label] for label in sorted(_COLOURS)])
    views = [found.labels]
    if found.cutout is not None:
        y0, y1, x0, x1 = found.cutout
        views.append(found.labels[y0:y1, x0:x1])
    with figure(1, len(views), 1 + 6.5 * len(views), 7) as (drawing, axes):
        for panel, view in zip(axes[0], views, strict=True):
            height, width = (n * voxel for n in view.shape)
            panel.imshow(view, cmap=colours, vmin=-0.5, vmax=len(_COLOURS) - 0.5, extent=(0, width, height, 0),
                         interpolation="none")  # fmt: skip
            panel.grid(visible=False)
            panel.set(xlabel=r"$x$ / $\mathrm{\mu m}$", ylabel=r"$y$ / $\mathrm{\mu m}$")
        if found.cutout is not None:
            axes[0, 0].add_patch(Rectangle((x0 * voxel, y0 * voxel), (x1 - x0) * voxel, (y1 - y0) * voxel, fill=False,
                                           edgecolor="black", linewidth=2.5))  # fmt: skip
            axes[0, 0].set_title(f"{nx} x {ny} voxels", loc="left", fontsize=12)
            axes[0, 1].set_title("cutout of the paper's route", loc="left", fontsize=12)
        patches = [Patch(facecolor=_COLOURS[label], edgecolor="black", label=_NAMES[label]) for label in _COLOURS]
        drawing.legend(handles=patches, loc="outside lower center", ncols=4)
        return save(drawing, path)


def draw_envelope(panel: Any, curve: Curve) -> None:
    """Draw the least to largest value of the replicates, if there are any."""
    if curve.low is not None and curve.high is not None:
        low, high, colour = floats(curve.low), floats(curve.high), SERIES[0][0]
        panel.fill_between(
            curve.at_nm, low, high, color=colour, alpha=0.3, linewidth=0, label="realisations of the fit"
        )


def floats(values: list[float | None]) -> np.ndarray:
    """Return numbers of a record, NaN for None."""
    return np.array([np.nan if value is None else value for value in values])


def _by_level(
    results: Results, curves: list[Curve], draw: Callable[[Any, Curve], None], label: str, path: Path
) -> Path:  # fmt: skip
    with figure(1, len(curves), 1 + 4.3 * len(curves), 4.8) as (drawing, axes):
        for panel, curve, level in zip(axes[0], curves, results.levels, strict=True):
            draw_envelope(panel, curve)
            draw(panel, curve)
            panel.set_title(f"{level.voxel_size_nm:g} nm", loc="left", fontweight="bold")
        axes[0, 0].set_ylabel(label)
        axes[0, 0].legend()
        return save(drawing, path)
