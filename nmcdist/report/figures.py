"""The figures of a sweep: the panels of the paper's Figure 8, size distributions, coverage, slices, resolution."""

from pathlib import Path

import numpy as np

from nmcdist.bundle import CbaParameters
from nmcdist.models import theory
from nmcdist.report import published
from nmcdist.report.fits import LinearFit, PowerLaw
from nmcdist.report.resolution import Resolution
from nmcdist.report.style import CARBON_BINDER, GRAPHITE, PHASE_COLOUR, PHASE_NAME, figure
from nmcdist.report.sweep import Sweep

_PHASES = ("solid", "pore")
_CONVENTION = {
    "m_factor": r"$M = \varepsilon/\tau_{\mathrm{eff}}$",
    "effective_conductivity": r"$\sigma_{\mathrm{eff}}/\sigma_{\mathrm{graphite}}$",
}


def structure_property(sweep: Sweep, linear: dict[str, LinearFit | None], power: PowerLaw | None, path: Path) -> Path:
    """Draw volume fraction, constrictivity, tortuosity and M-factor against the graphite fraction (Figure 8)."""
    panels = (
        ("volume_fraction", r"volume fraction $\varepsilon$"),
        ("constrictivity_mean", r"constrictivity $\beta$"),
        ("geodesic_tortuosity_mean", r"mean geodesic tortuosity $\tau$"),
        ("m_factor_mean", "M-factor $M$"),
    )
    with figure(2, 2, 12, 9) as (drawing, axes):
        for tag, panel, (name, label) in zip("abcd", axes.flat, panels, strict=True):
            panel.set(xlabel=sweep.label, ylabel=label)
            panel.set_title(tag, loc="left", fontweight="bold")
            if sweep.has(name):
                for phase in _PHASES:
                    _errorbars(panel, sweep, sweep.values(name, phase), phase)
            else:
                panel.text(0.5, 0.5, "not in this store", ha="center", transform=panel.transAxes)
        if sweep.over_graphite:
            _draw_theory(axes[0, 0], sweep)
        if sweep.over_graphite and sweep.has("m_factor_mean"):
            _draw_fits(axes[1, 1], sweep, linear, power)
        for panel in axes.flat:
            _legend_above(panel)
        drawing.suptitle(f"{sweep.name}: mean, minimum and maximum, voxels of {sweep.voxel_size_nm:g} nm")
        drawing.savefig(path)
    return path


def size_distributions(sweep: Sweep, path: Path) -> Path:
    """Draw the continuous size distributions of pore and solid at every level (Figure 6)."""
    with figure(1, 2, 12, 4.8) as (drawing, axes):
        for panel, phase in zip(axes.flat, ("pore", "solid"), strict=True):
            curves = sweep.data["pore_size_distribution"].sel(phase=phase)
            for level, colour in _level_colours(sweep):
                mean = curves[sweep.samples_at(level)].mean("sample")
                panel.plot(curves["radius_nm"], mean, color=colour, label=f"{level:.4g}")
            end = curves["radius_nm"].values[(curves.max("sample") > 0.002).values].max()
            panel.set(xlabel="radius $r$ / nm", ylabel="share covered by balls of radius $r$", xlim=(0, end * 1.05))
            panel.set_title(PHASE_NAME[phase], loc="left", fontweight="bold")
        axes[0, 1].legend(title=sweep.label, title_fontsize=10, fontsize=10)
        drawing.savefig(path)
    return path


def coverage(sweep: Sweep, parameters: dict[float, CbaParameters], path: Path) -> Path:
    """Draw the centred two-point coverage of the solid, measured and in closed form (Figure 7)."""
    with figure(1, 2, 12, 4.8) as (drawing, axes):
        for panel, phase in zip(axes.flat, ("solid", "graphite"), strict=True):
            curves = sweep.data["two_point_coverage"].sel(phase=phase)
            lags = curves["lag_nm"].values
            for level, colour in _level_colours(sweep):
                mean = curves[sweep.samples_at(level)].mean("sample").values
                panel.plot(lags, mean - mean[0] ** 2, color=colour, label=f"{level:.4g}")
                exact = theory.two_point_coverage(parameters[level], lags)[phase]
                panel.plot(lags, exact - exact[0] ** 2, color=colour, linestyle=":", linewidth=1.4)
            panel.set(xlabel="lag $h$ / nm", ylabel="$C(h) - V^2$", xlim=(0, min(lags[-1], 1500)))
            panel.set_title(f"{PHASE_NAME[phase]} (dotted: theory)", loc="left", fontweight="bold")
        axes[0, 1].legend(title=sweep.label, title_fontsize=10, fontsize=10)
        drawing.savefig(path)
    return path


def slices(sweep: Sweep, planes: dict[float, np.ndarray], path: Path) -> Path:
    """Draw one slice of a volume at every level.

    Parameters
    ----------
    sweep : Sweep
    planes : dict of float to ndarray of uint8
        Level -> labels of a plane.
    path : Path
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    columns = min(4, len(planes))
    rows = -(-len(planes) // columns)
    with figure(rows, columns, 3.4 * columns, 3.7 * rows + 0.5) as (drawing, axes):
        for panel in axes.flat:
            panel.set_axis_off()
        for panel, (level, plane) in zip(axes.flat, planes.items(), strict=False):
            extent = np.array([0, plane.shape[1], 0, plane.shape[0]]) * sweep.voxel_size_nm / 1000
            panel.imshow(
                plane, cmap=ListedColormap(["white", CARBON_BINDER, GRAPHITE]), vmin=0, vmax=2, extent=extent,
                origin="lower", interpolation="nearest",
            )  # fmt: skip
            panel.set_axis_on()
            panel.grid(visible=False)
            panel.spines[:].set_visible(True)
            panel.set_title(f"$V_1$ = {level:.4f}" if sweep.over_graphite else f"{level:.4g}", fontsize=12)
            panel.set(xlabel="x / µm", ylabel="y / µm")
        handles = [Patch(facecolor=c, edgecolor="black", label=n) for c, n in
                   (("white", "pore"), (CARBON_BINDER, "carbon binder"), (GRAPHITE, "graphite"))]  # fmt: skip
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)
        drawing.savefig(path)
    return path


def resolution(studies: list[Resolution], path: Path) -> Path:
    """Draw the M-factors of the same realisations at several voxel sizes, beside the published ones."""
    sizes = np.unique([s.voxel_size_nm for s in studies])
    with figure(1, 2, 12, 4.8) as (drawing, axes):
        for panel, phase in zip(axes.flat, _PHASES, strict=True):
            for name, marker, line in (("m_factor", "o", "-"), ("effective_conductivity", "s", "--")):
                if phase == "pore" and name != "m_factor":
                    continue  # one conducting phase: the two conventions are the same number
                groups = [[getattr(s, name)[phase] for s in studies if s.voxel_size_nm == size] for size in sizes]
                mean = np.array([np.mean(g) for g in groups])
                reach = [[m - min(g) for m, g in zip(mean, groups, strict=True)],
                         [max(g) - m for m, g in zip(mean, groups, strict=True)]]  # fmt: skip
                label = _CONVENTION[name]
                panel.errorbar(sizes, mean, reach, marker=marker, linestyle=line, color=PHASE_COLOUR[phase],
                               capsize=4, label=label)  # fmt: skip
            panel.axhline(published.M_FACTOR_MODEL[phase], color="black", linestyle=":", label="paper, model")
            panel.set(xlabel="voxel size / nm", ylabel="M-factor", xticks=sizes, xlim=(0, None))
            panel.set_title(PHASE_NAME[phase], loc="left", fontweight="bold")
            panel.set_ylim(bottom=0)
            _legend_above(panel)
        drawing.suptitle(f"the same realisations at other voxel sizes, $V_1$ = {studies[0].graphite_fraction:.4f}")
        drawing.savefig(path)
    return path


def _errorbars(panel, sweep: Sweep, values: np.ndarray, phase: str) -> None:
    mean, low, high = sweep.by_level(values)
    panel.errorbar(
        sweep.levels, mean, [mean - low, high - mean], color=PHASE_COLOUR[phase], marker="o", capsize=4,
        label=f"{PHASE_NAME[phase]}, this run",
    )  # fmt: skip


def _legend_above(panel) -> None:
    """Put the legend in a strip that is kept free above the curves."""
    entries = len(panel.get_legend_handles_labels()[1])
    if not entries:
        return
    low, high = panel.get_ylim()
    panel.set_ylim(low, high + (high - low) * (0.05 + 0.075 * -(-entries // 2)))
    panel.legend(fontsize=10, ncols=2, loc="upper center")


def _draw_theory(panel, sweep: Sweep) -> None:
    carbon = sweep.data.attrs["carbon_binder_outside_graphite"]
    span = np.array([sweep.levels[0], sweep.levels[-1]])
    solid = span + (1 - span) * carbon
    for values, phase in ((solid, "solid"), (1 - solid, "pore")):
        panel.plot(span, values, color="black", linestyle=":", label="theory" if phase == "solid" else None)
    panel.plot(
        published.CALIBRATED_GRAPHITE,
        published.POROSITY_MEASURED,
        "k*",
        markersize=12,
        label="paper, measured",
    )
    panel.plot(published.CALIBRATED_GRAPHITE, 1 - published.POROSITY_MEASURED, "k*", markersize=12)


def _draw_fits(panel, sweep: Sweep, linear: dict[str, LinearFit | None], power: PowerLaw | None) -> None:
    span = np.array([sweep.levels[0], sweep.levels[-1]])
    for phase in _PHASES:
        colour, first = PHASE_COLOUR[phase], phase == "solid"
        fit = linear.get(phase)
        if fit:
            panel.plot(span, fit(span), color=colour, linestyle="--", label="linear fit, this run" if first else None)
        if power:
            estimate = power(*(sweep.values(n, phase) for n in
                               ("volume_fraction", "constrictivity_mean", "geodesic_tortuosity_mean")))  # fmt: skip
            panel.plot(sweep.levels, sweep.by_level(estimate)[0], "x", color=colour, markersize=9,
                       label="power law, this run" if first else None)  # fmt: skip
        panel.plot(span, published.LINEAR[phase](span), color="black", linestyle=":",
                   label="linear fit, paper" if first else None)  # fmt: skip
        panel.plot(published.CALIBRATED_GRAPHITE, published.M_FACTOR_MODEL[phase], "k*", markersize=12,
                   label="paper, model" if first else None)  # fmt: skip


def _level_colours(sweep: Sweep):
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0, 0.9, len(sweep.levels)))
    return zip(sweep.levels, shades, strict=True)
