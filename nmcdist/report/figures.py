"""The figures of a sweep: panels of the paper's Figure 8, size distributions, coverage, slices, resolution."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.models import theory
from nmcdist.report import published
from nmcdist.report.fits import LinearFit, PowerLaw
from nmcdist.report.intervals import PERCENT, mean_of
from nmcdist.report.resolution import Resolution
from nmcdist.report.style import CARBON_BINDER, GRAPHITE, PHASE_COLOUR, PHASE_NAME, SERIES, figure, save
from nmcdist.report.sweep import Sweep

PHASES = ("solid", "pore")
_MARKER = {"solid": "o", "pore": "s"}
_CONVENTION = {
    "m_factor": r"$M = \varepsilon/\tau_{\mathrm{eff}}$",
    "effective_conductivity": r"$\sigma_{\mathrm{eff}}/\sigma_{\mathrm{graphite}}$",
}
_STAR: dict[str, Any] = {"marker": "*", "linestyle": "none", "markersize": 15, "markeredgecolor": "black"}
_LONGEST_LAG_NM = 1500.0
_BAR_WIDTHS = (3.0, 11.0)  # width of the bars of constrictivity, in points
_PANEL_WIDTH = 250.0  # least width in points of the levels in a panel of structure and property
_PALE = 0.35  # share of the full colour; opaque, because transparency would mix a third colour
_LEAST_SHARE = 0.002  # smallest drawn share of a size distribution


def structure_property(sweep: Sweep, linear: dict[str, LinearFit | None], power: PowerLaw | None, path: Path) -> Path:
    """Draw volume fraction, constrictivity, tortuosity and M-factor against the swept parameter (Figure 8)."""
    panels = (
        ("volume_fraction", r"volume fraction $\varepsilon$"),
        ("constrictivity_mean", r"constrictivity $\beta$"),
        ("geodesic_tortuosity_mean", r"mean geodesic tortuosity $\tau$"),
        ("m_factor_mean", "M-factor $M$"),
    )
    from matplotlib.ticker import MaxNLocator

    with figure(2, 2, 11, 10) as (drawing, axes):
        for tag, panel, (name, label) in zip("abcd", axes.flat, panels, strict=True):
            panel.set(xlabel=sweep.label, ylabel=label)
            panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            panel.set_title(tag, loc="left", fontweight="bold")
            if not sweep.has(name):
                panel.text(0.5, 0.5, "not in this store", ha="center", transform=panel.transAxes)
                continue
            for phase in PHASES:
                in_steps = name == "constrictivity_mean"
                if in_steps:
                    _draw_steps(panel, sweep, phase)
                _draw_volumes(panel, sweep, sweep.values(name, phase), phase, intervals=not in_steps)
        _draw_theory(axes[0, 0], sweep)
        if sweep.has("m_factor_mean"):
            _draw_fits(axes[1, 1], sweep, linear, power)
        if sweep.is_published:
            _draw_published(axes, sweep)
        handles = {h.get_label(): h for panel in axes.flat for h in _labelled(panel)}
        drawing.legend(handles=list(handles.values()), loc="outside lower center", ncols=3, fontsize=11)
        drawing.suptitle(f"{sweep.name}: voxels of {sweep.voxel_size_nm:g} nm")
        return save(drawing, path)


def size_distributions(sweep: Sweep, path: Path) -> Path:
    """Draw the continuous size distributions of pore and solid (Figure 6) at up to three levels."""
    with figure(1, 2, 11, 5.2) as (drawing, axes):
        for panel, phase in zip(axes.flat, ("pore", "solid"), strict=True):
            curves = sweep.data["pore_size_distribution"].sel(phase=phase)
            radius, drawn = curves["radius_nm"].values, np.nanmax(curves.values, axis=0) > _LEAST_SHARE
            for level, (colour, marker) in zip(sweep.shown_levels, SERIES, strict=False):
                values = curves.values[sweep.samples_at(level)]
                _draw_curve(panel, radius, values, colour, marker=marker, linewidth=1, label=_level(sweep, level))
            end = radius[drawn].max() if drawn.any() else radius[-1]
            panel.set(xlabel="radius $r$ / nm", ylabel="share covered by balls of radius $r$",
                      xlim=(0, 1.05 * max(end, sweep.voxel_size_nm)), ylim=(0, 1.03))  # fmt: skip
            panel.set_title(PHASE_NAME[phase], loc="left", fontweight="bold")
            panel.legend(fontsize=11)
        return save(drawing, path)


def coverage(sweep: Sweep, path: Path) -> Path:
    """Draw the centred two-point coverage of solid and graphite, measured and in closed form (Figure 7)."""
    from matplotlib.lines import Line2D

    with figure(1, 2, 11, 5.2) as (drawing, axes):
        for panel, phase in zip(axes.flat, ("solid", "graphite"), strict=True):
            curves = sweep.data["two_point_coverage"].sel(phase=phase)
            lags = curves["lag_nm"].values
            fine = np.linspace(0, min(lags[-1], _LONGEST_LAG_NM), 200)
            for level, (colour, marker) in zip(sweep.shown_levels, SERIES, strict=False):
                values = curves.values[sweep.samples_at(level)]
                values = values - values[:, :1] ** 2
                _draw_curve(panel, lags, values, colour, marker=marker, linestyle="none", label=_level(sweep, level))
                exact = theory.two_point_coverage(sweep.parameters[level], fine)[phase]
                panel.plot(fine, exact - exact[0] ** 2, color=colour, linewidth=1.5)
            panel.set(xlabel="lag $h$ / nm", ylabel="$C(h) - V^2$", xlim=(-0.01 * fine[-1], fine[-1]))
            panel.set_title(PHASE_NAME[phase], loc="left", fontweight="bold")
            line = Line2D([], [], color="black", linewidth=1.5, label="lines: theory")
            panel.legend(handles=[*panel.get_legend_handles_labels()[0], line], fontsize=11)
        return save(drawing, path)


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
    with figure(rows, columns, max(3.4 * columns, 4.5), 3.7 * rows + 0.5) as (drawing, axes):
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
            panel.set_title(_level(sweep, level, sweep.samples_at(level)[:1]), fontsize=12)
            panel.set(xlabel="x / µm", ylabel="y / µm")
        handles = [Patch(facecolor=c, edgecolor="black", label=n) for c, n in
                   (("white", "pore"), (CARBON_BINDER, "carbon binder"), (GRAPHITE, "graphite"))]  # fmt: skip
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)
        return save(drawing, path)


def resolution(studies: list[Resolution], path: Path, *, is_published: bool) -> Path:
    """Draw the M-factors of the same realisations at several voxel sizes, one line per realisation."""
    sizes = np.unique([s.voxel_size_nm for s in studies])
    with figure(1, 2, 11, 5.2) as (drawing, axes):
        for panel, phase in zip(axes.flat, PHASES, strict=True):
            for name, line in (("m_factor", "-"), ("effective_conductivity", "--")):
                if phase == "pore" and name != "m_factor":
                    continue  # one conducting phase: both conventions give the same number
                for item, (_, marker) in zip(sorted({s.item for s in studies}), SERIES, strict=False):
                    own = sorted((s.voxel_size_nm, getattr(s, name)[phase]) for s in studies if s.item == item)
                    panel.plot(*zip(*own, strict=True), marker=marker, linestyle=line, color=PHASE_COLOUR[phase],
                               label=f"{_CONVENTION[name]}, item {item}")  # fmt: skip
            if is_published:
                panel.axhline(published.M_FACTOR_MODEL[phase], color="black", linestyle=":", label="paper, model")
            panel.set(xlabel="voxel size / nm", ylabel="M-factor $M$", xticks=sizes, xlim=(0, None))
            panel.set_title(PHASE_NAME[phase], loc="left", fontweight="bold")
            panel.set_ylim(0, 1.08 * panel.get_ylim()[1])
            panel.legend(fontsize=11)
        drawing.suptitle(f"the same realisations at other voxel sizes, $V_1$ = {studies[0].graphite_fraction:.4f}")
        return save(drawing, path)


def _draw_volumes(panel: Any, sweep: Sweep, values: np.ndarray, phase: str, *, intervals: bool) -> None:
    """Draw each volume, and the mean of each level with its interval, if any."""
    colour, marker, name = PHASE_COLOUR[phase], _MARKER[phase], PHASE_NAME[phase]
    positions, several = _places(sweep, phase), len(sweep.x) > len(sweep.levels)
    if several:
        panel.plot(positions, values, marker=marker, linestyle="none", markersize=5, markerfacecolor="none",
                   color=colour, alpha=0.7, label=f"{name}, one volume")  # fmt: skip
    means = sweep.by_level(values)
    where = np.array([positions[sweep.samples_at(level)].mean() for level in sweep.levels])
    known = np.array([m.margin is not None and intervals for m in means])
    if known.any():
        panel.errorbar(
            where[known], np.array([m.value for m in means])[known], [m.margin for m in means if m.margin is not None],
            linestyle="none", color=colour, capsize=9, capthick=1.8, zorder=3, label=f"{name}, {PERCENT} interval",
        )  # fmt: skip
    panel.plot(where, [m.value for m in means], marker=marker, linestyle="none", markersize=8, color=colour,
               label=f"{name}, {'mean of a level' if several else 'one volume'}")  # fmt: skip


def _draw_steps(panel: Any, sweep: Sweep, phase: str) -> None:
    """Draw the change of the constrictivity if one of the radii changes by one step of the voxels.

    The bars of the two phases are side by side at any scale, because overlaid bars would mix a third colour.
    """
    from matplotlib.colors import to_rgb
    from matplotlib.lines import Line2D
    from matplotlib.transforms import ScaledTranslation

    red, green, blue = (1 - _PALE * (1 - part) for part in to_rgb(PHASE_COLOUR[phase]))
    width = _bar_width(np.array([sweep.positions[sweep.samples_at(level)].mean() for level in sweep.levels]))
    aside = (width + 1) / 2 / 72 * (1 if phase == "pore" else -1)
    beside = panel.transData + ScaledTranslation(aside, 0, panel.figure.dpi_scale_trans)
    low, high = constrictivity_steps(sweep, phase)
    for level in sweep.levels:
        own = sweep.samples_at(level)
        ends = np.array([low[own].mean(), high[own].mean()])
        if np.isfinite(ends).all():
            at = [sweep.positions[own].mean()] * 2
            # Not by `plot`, which would treat the shift as data while the axis has no range.
            panel.add_artist(
                Line2D(at, ends, color=(red, green, blue), linewidth=width, zorder=1, transform=beside,
                       solid_capstyle="butt", label=f"{PHASE_NAME[phase]}, left open by the voxels")
            )  # fmt: skip
            panel.update_datalim(np.column_stack([at, ends]))


def _bar_width(where: np.ndarray) -> float:
    """Return the width, in points, at which two bars fit between the nearest levels."""
    if len(where) == 1:
        return _BAR_WIDTHS[1]
    gap = np.diff(np.sort(where)).min() / np.ptp(where) if np.ptp(where) else 0.0
    return float(np.clip(_PANEL_WIDTH * gap / 2 - 1, *_BAR_WIDTHS))


def _places(sweep: Sweep, phase: str) -> np.ndarray:
    """Return the positions of volumes; phases are side by side where they would hide each other."""
    shift = 0.0 if sweep.over_graphite else 0.012 * (np.ptp(sweep.levels) or 1.0)
    return sweep.positions + (shift if phase == "pore" else -shift)


def constrictivity_steps(sweep: Sweep, phase: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds on the constrictivity of each volume, mean over axes.

    Squared radii are whole multiples of the squared voxel edge: balls of one radius cover half of the phase, those of
    the next larger radius do not.
    """
    edge2 = sweep.voxel_size_nm**2
    smallest = sweep.data["r_min_nm"].sel(phase=phase).values ** 2 / edge2
    largest = sweep.data["r_max_nm"].sel(phase=phase).values[:, None] ** 2 / edge2
    with np.errstate(divide="ignore", invalid="ignore"):
        return (smallest / (largest + 1)).mean(axis=1), np.minimum((smallest + 1) / largest, 1).mean(axis=1)


def _draw_curve(panel: Any, at: np.ndarray, values: np.ndarray, colour: str, **how: Any) -> None:
    """Draw the mean of curves, with the interval of the mean if there are enough curves."""
    means = [mean_of(column) for column in values.T]
    if any(m.margin is not None for m in means):
        low, high = np.array([m.bounds or (m.value, m.value) for m in means]).T
        panel.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
    panel.plot(at, [m.value for m in means], color=colour, markersize=5, **how)


def _draw_theory(panel: Any, sweep: Sweep) -> None:
    fractions = [theory.volume_fractions(sweep.parameters[level]) for level in sweep.levels]
    how: dict[str, Any] = {"marker": "_", "linestyle": "none", "markersize": 20, "markeredgewidth": 1.8}
    if sweep.over_graphite and len(sweep.levels) > 1:
        how = {"linestyle": "-", "linewidth": 1.2}  # straight in graphite
    at = [sweep.graphite_by_theory(level) for level in sweep.levels] if sweep.over_graphite else sweep.levels
    for phase in PHASES:
        panel.plot(at, [f[phase] for f in fractions], color="black", label="theory (a)", zorder=1, **how)


def _draw_fits(panel: Any, sweep: Sweep, linear: dict[str, LinearFit | None], power: PowerLaw | None) -> None:
    ends = np.array([np.min(sweep.positions), np.max(sweep.positions)])
    for phase in PHASES:
        fit = linear.get(phase)
        if fit:
            panel.plot(ends, fit(ends), color=PHASE_COLOUR[phase], linestyle="--", linewidth=1.5,
                       label=f"linear fit, {PHASE_NAME[phase]}, this run (d)")  # fmt: skip
    if power:
        names = ("volume_fraction", "constrictivity_mean", "geodesic_tortuosity_mean")
        for phase in PHASES:
            estimate = power(*(sweep.values(name, phase) for name in names))
            panel.plot(_places(sweep, phase), estimate, "x", color="black", markersize=6, markeredgewidth=1.2,
                       label="power law, this run (d)")  # fmt: skip


def _draw_published(axes: Any, sweep: Sweep) -> None:
    """Draw the paper's linear fits over its own range, and its values at the calibrated level as stars."""
    fractions, factors = axes[0, 0], axes[1, 1]
    span = np.array([min(published.TABLE_3.values()), max(published.TABLE_3.values())])
    low, high = sweep.positions.min(), sweep.positions.max()
    at = published.CALIBRATED_GRAPHITE
    shown = low <= at <= high or sweep.calibrated is not None
    if sweep.has("m_factor_mean"):
        for phase in PHASES:
            if high > span[0] and low < span[1]:
                factors.plot(span, published.LINEAR[phase](span), color=PHASE_COLOUR[phase], linestyle=":",
                             label=f"linear fit, {PHASE_NAME[phase]}, paper (d)")  # fmt: skip
            if shown:
                factors.plot(at, published.M_FACTOR_MODEL[phase], color=PHASE_COLOUR[phase], **_STAR,
                             label=f"{PHASE_NAME[phase]}, paper: measured (a), model (d)")  # fmt: skip
    if shown:
        porosity = published.POROSITY_MEASURED
        for phase, value in (("pore", porosity), ("solid", 1 - porosity)):
            fractions.plot(at, value, color=PHASE_COLOUR[phase], **_STAR,
                           label=f"{PHASE_NAME[phase]}, paper: measured (a), model (d)")  # fmt: skip


def _labelled(panel: Any) -> list[Any]:
    return list(panel.get_legend_handles_labels()[0])


def _level(sweep: Sweep, level: float, samples: np.ndarray | None = None) -> str:
    """Return a level as a label; for graphite, the measured fraction beside the model's."""
    name = f"{sweep.symbol} = {sweep.level_name(level)}"
    if not sweep.over_graphite:
        return name
    measured = sweep.positions[sweep.samples_at(level) if samples is None else samples].mean()
    return f"{sweep.symbol} = {measured:.3f} (model {level:.3f})"
