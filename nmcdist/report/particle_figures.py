"""The figures of a collection of particles: the paper's Figures 10 and 11, grains by radius, and sizes."""

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import ParticleParameters
from nmcdist.descriptors.summaries import Histogram
from nmcdist.report import published
from nmcdist.report.collection import Collection, Column
from nmcdist.report.distributions import Quantum, density, joined, on_values, range_of
from nmcdist.report.intervals import PERCENT
from nmcdist.report.style import PORE, SERIES, SOLID, figure, save
from nmcdist.report.survey import DIAMETER, Survey

_FILL, _REFERENCE = SOLID, "black"
_FEW = 200  # largest number of particles drawn as single ticks
_NEIGHBOURS = 2 + 48 * np.pi**2 / 35  # of a Poisson-Voronoi cell, 15.54
_MOST_BINS = 40
_RUG = 0.07  # height of the ticks of particles over that of the panel
FEWEST_PIXELS = 8  # pixels; sizes of smaller sections are too far apart on a logarithmic axis to be drawn
# Numbers of particles, each with the number of joined size bins (1000 per decade) from there on.
_GROUPS = ((2000, 50), (200, 100), (0, 200))
_RADIANS = ([0, np.pi / 8, np.pi / 4, 3 * np.pi / 8, np.pi / 2], ["0", "π/8", "π/4", "3π/8", "π/2"])


def shells(collection: Collection, seen: Survey, path: Path) -> Path:
    """Draw largest diameter, compactness, aspect ratio and sphericity of the shells (Figure 10a)."""
    panels = (
        ("d_max_nm", "largest diameter $d_{max}$ / µm", 1000.0),
        ("compactness", "compactness $γ$", 1.0),
        ("aspect_ratio", "aspect ratio AR (shortest / longest extent)", 1.0),
        ("sphericity", "sphericity $Ψ$", 1.0),
    )
    from matplotlib.ticker import MaxNLocator

    with figure(2, 2, 11, 8.6) as (drawing, axes):
        for tag, panel, (name, label, unit) in zip("abcd", axes.flat, panels, strict=True):
            histogram = seen.histograms[name]
            edges, counts = _few_bins(histogram)
            _bars(panel, edges / unit, density(edges / unit, counts, histogram.total))
            if histogram.total:
                _median(panel, histogram.quantile(0.5) / unit, " µm" if unit > 1 else "")
            if histogram.total <= _FEW:
                middles = (histogram.edges[1:] + histogram.edges[:-1])[histogram.count > 0] / (2 * unit)
                panel.vlines(middles, 0, _RUG, transform=panel.get_xaxis_transform(), color=_REFERENCE, linewidth=1.4,
                             label="one particle each")  # fmt: skip
            panel.set(xlabel=label, ylabel="density / µm⁻¹" if unit > 1 else "density", ylim=(0, None))
            panel.set_title(tag, loc="left", fontweight="bold")
            panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        _lowest_sphericity(axes[1, 1])
        for panel in axes.flat:
            panel.legend(fontsize=11)
        drawing.suptitle(f"{collection.name}: outer shells of {collection.count} particles")
        return save(drawing, path)


def sections(collection: Collection, path: Path) -> Path:
    """Draw size, elongation, orientation and chord lengths of the grains in the central sections (Figure 10b)."""
    cut = _central(collection)
    pixel = collection.pixel_nm
    with figure(2, 2, 11, 8.6) as (drawing, axes):
        area = collection.column("section", "area_nm2", cut)
        _distribution(axes[0, 0], area, "size $A_{cross}$ / µm²", 1e6, Quantum.multiples(pixel**2), a_decade=True)
        axes[0, 0].set_xlim(left=(FEWEST_PIXELS - 0.5) * pixel**2 / 1e6)
        elongation = collection.column("section", "elongation", cut)
        _distribution(axes[0, 1], elongation, "elongation $η = 1 - (e_2/e_1)^{1/2}$")
        _distribution(axes[1, 0], collection.column("section", "angle_to_radius", cut), "orientation $α$ / rad")
        _uniform(axes[1, 0])
        chords = collection.column("section", "chord_length_nm", cut)
        _distribution(axes[1, 1], chords, "chord length $c$ / µm", 1000.0, Quantum.multiples(pixel))
        for tag, panel in zip("abcd", axes.flat, strict=True):
            panel.set_title(tag, loc="left", fontweight="bold")
            panel.legend(fontsize=11)
        height = collection.cut_heights[cut]
        where = "through the centre" if height == 0 else f"at {height:g} of the mean radius"
        grains = int(area.moments["count"])
        drawing.suptitle(f"{collection.name}: {grains} sections of grains {where}, pixels of {pixel:g} nm")
        return save(drawing, path)


def cut_heights(collection: Collection, path: Path) -> Path:
    """Draw the orientation in planar sections at each cut height, and its mean by height (Figure 11)."""
    heights = collection.cut_heights
    columns = [collection.column("section", "angle_to_radius", cut) for cut in range(len(heights))]
    means = [collection.mean("section", "angle_to_radius", cut) for cut in range(len(heights))]
    with figure(1, 2, 11, 5.2) as (drawing, axes):
        left, right = axes[0]
        for height, column, mean, (colour, marker) in zip(heights, columns, means, cycle(SERIES), strict=False):
            edges, counts = _in_groups(column.histogram, 3)
            left.plot((edges[1:] + edges[:-1]) / 2, density(edges, counts, counts.sum()), color=colour, marker=marker,
                      label=f"{height:.2f}", markersize=5, linewidth=1.2)  # fmt: skip
            if mean.margin is not None:
                right.errorbar(height, mean.value, mean.margin, color=colour, capsize=9, capthick=1.8, zorder=1)
            right.plot(height, mean.value, color=colour, marker=marker, markersize=5, zorder=2)
        left.axhline(2 / np.pi, color=_REFERENCE, linestyle=":", label="none preferred, 2/π")
        left.set(xlabel="orientation $α$ / rad", ylabel="density / rad⁻¹", ylim=(0, None), xlim=(0, np.pi / 2))
        left.set_xticks(*_RADIANS)
        left.legend(title="cut height / mean radius", title_fontsize=11, fontsize=11)
        right.axhline(np.pi / 4, color=_REFERENCE, linestyle=":", label="none preferred, π/4 rad")
        if any(mean.margin is not None for mean in means):
            right.errorbar([], [], [], color=_REFERENCE, capsize=9, linestyle="none", label=f"{PERCENT} interval")
        right.set(xlabel="cut height / mean radius", ylabel="mean orientation $α$ / rad", ylim=(0, 1.0),
                  xlim=(-0.05, max(1.0, 1.05 * max(heights))))  # fmt: skip
        right.legend(fontsize=11, loc="lower right")
        drawing.suptitle(f"{collection.name}: orientation of grains in planar sections, by cut height")
        return save(drawing, path)


def grains(collection: Collection, path: Path) -> Path:
    """Draw the descriptors of the grains in space: distributions, and means by radius."""
    shown: list[tuple[str, str, Quantum | None]]
    shown = [("equivalent_diameter_nm", "equivalent diameter / nm", Quantum.diameters(collection.grain_quantum_nm3))]
    if collection.is_measured:
        shown += [
            ("elongation", "elongation", None),
            ("angle_to_radius", "angle to the radius / rad", None),
            ("neighbours", "number of neighbours", None),
        ]
    rows = len(shown)
    with figure(rows, 2, 11, 0.9 + 3.6 * rows) as (drawing, axes):
        for k, (name, label, quantum) in enumerate(shown):
            column = collection.column("grain", name)
            _distribution(axes[k, 0], column, label, quantum=quantum)
            axes[k, 0].set_ylim(top=1.25 * axes[k, 0].get_ylim()[1])
            _profile(axes[k, 1], column, label)
            axes[k, 0].set_title("abcd"[k], loc="left", fontweight="bold")
        if collection.is_measured:
            angle = np.linspace(0, np.pi / 2, 100)
            axes[2, 0].plot(angle, np.sin(angle), color=_REFERENCE, linestyle=":", label="none preferred, sin")
            _hold(axes[2, 0], y=1)
            axes[2, 1].set_ylim(0, 1.9)
            axes[2, 1].axhline(1, color=_REFERENCE, linestyle=":", label="none preferred, 1 rad")
            axes[3, 0].axvline(_NEIGHBOURS, color=_REFERENCE, linestyle=":", label="Poisson-Voronoi, 15.54")
            axes[3, 1].axhline(_NEIGHBOURS, color=_REFERENCE, linestyle=":", label="Poisson-Voronoi, 15.54")
            _hold(axes[3, 0], x=_NEIGHBOURS)
            _hold(axes[3, 1], y=_NEIGHBOURS)
        for k, (left, right) in enumerate(axes):
            left.legend(fontsize=11, loc="upper right", frameon=True, framealpha=0.85, edgecolor="none")
            place = "upper right" if k == 2 else "lower left"
            right.legend(fontsize=11, loc=place, frameon=True, framealpha=0.85, edgecolor="none")
        how = (
            f"voxels of {collection.measured.voxel_size_nm:g} nm"
            if collection.measured is not None
            else "by sums over the lattice"
        )
        number = int(collection.column("grain", "volume_nm3").moments["count"])
        drawing.suptitle(f"{collection.name}: {number} grains, {how}")
        return save(drawing, path)


def sizes(collection: Collection, seen: Survey, path: Path) -> Path:
    """Draw the sizes of the particles, by number and by volume, with the bundle's law of Z00."""
    histogram = seen.histograms[DIAMETER]
    low, high = range_of(histogram.edges, histogram.count, 0.0)
    starts = np.arange(0, len(histogram.count), next(g for n, g in _GROUPS if histogram.total >= n))
    edges = np.append(histogram.edges[starts], histogram.edges[-1])
    law_at = np.geomspace(low / 2, high * 2, 400)
    law = _law(law_at, collection.bundle.particle())
    with figure(1, 1, 9, 5.4) as (drawing, axes):
        panel = axes[0, 0]
        for values, line, colour, weight in (
            (histogram.count, law, SOLID, "number"),
            (seen.volume, _normed(law_at, law * law_at**3), PORE, "volume"),
        ):
            counts = np.add.reduceat(values, starts)
            share = density(edges, counts, counts.sum(), a_decade=True)
            panel.stairs(share, edges / 1000, color=colour, linewidth=1.5, label=f"this run, by {weight}")
            if weight == "number":
                panel.stairs(share, edges / 1000, color=colour, fill=True, alpha=0.3)
            panel.plot(law_at / 1000, line, "--", color=colour, label=f"law of $Z_{{00}}$, by {weight}")
        smallest = np.cbrt(6 * published.SMALLEST_VOLUME_NM3 / np.pi) / 1000
        if smallest > law_at[0] / 1000:
            panel.axvline(smallest, color=_REFERENCE, linestyle=":", label="paper: smaller ones neglected")
        panel.set(xscale="log", xlabel="mean diameter $Z_{00}/√π$ / µm", ylabel="share per decade of diameter",
                  xlim=(law_at[0] / 1000, law_at[-1] / 1000), ylim=(0, None))  # fmt: skip
        _plain_ticks(panel)
        panel.legend(fontsize=11)
        panel.set_title(f"{collection.name}: sizes of {collection.count} particles", fontsize=12)
        return save(drawing, path)


def _distribution(
    panel: Any,
    column: Column,
    label: str,
    unit: float = 1.0,
    quantum: Quantum | None = None,
    *,
    a_decade: bool = False,
) -> None:
    """Draw the histogram of a column as a density, with the median or, if bins are coarse, the mean."""
    histogram = column.histogram
    edges, counts = (histogram.edges, histogram.count) if quantum is None else on_values(histogram, quantum)
    low, high = range_of(edges, counts)
    if column.name != "neighbours":
        edges, counts = joined(edges, counts)
    values = density(edges / unit, counts, histogram.total, a_decade=a_decade)
    _bars(panel, edges / unit, values)
    mean = column.moments["mean"] / unit
    shown = "" if column.unit == "1" else label.rpartition("/ ")[2]
    if histogram.total:
        panel.axvline(mean, color=_FILL, linestyle="--", label=f"mean {_digits(mean)} {shown}".rstrip())
    of = f" / {shown}⁻¹" if shown else ""
    panel.set(xlabel=label, ylabel="share per decade" if a_decade else f"density{of}", ylim=(0, None))
    if column.name == "angle_to_radius":
        panel.set_xlim(0, np.pi / 2)
        panel.set_xticks(*_RADIANS)
    elif a_decade:
        panel.set(xscale="log", xlim=(low / unit, high / unit))
        _plain_ticks(panel)
    else:
        panel.set_xlim(low / unit, high / unit)
    if not histogram.total:
        panel.text(0.5, 0.5, "none in this store", ha="center", transform=panel.transAxes)


def _bars(panel: Any, edges: np.ndarray, values: np.ndarray) -> None:
    """Draw a histogram with distinct bins, which may differ in width."""
    panel.bar(edges[:-1], values, np.diff(edges), align="edge", color=_FILL, alpha=0.55, edgecolor="white",
              linewidth=0.8)  # fmt: skip


def _profile(panel: Any, column: Column, label: str) -> None:
    """Draw mean and standard deviation by distance from the centre, for bins with enough grains."""
    count = column.profile["count"]
    enough = count >= min(30, max(np.nanmax(count), 1))
    radius, mean, sd = (column.profile[k][enough] for k in ("radius_nm", "mean", "sd"))
    sd = np.nan_to_num(sd)
    panel.fill_between(
        radius / 1000, mean - sd, mean + sd, color=_FILL, alpha=0.2, linewidth=0, label="± sd of the grains"
    )
    panel.plot(radius / 1000, mean, color=_FILL, marker="o", markersize=4, label="mean")
    panel.set(xlabel="distance from the centre / µm", ylabel=label, xlim=(0, None), ylim=(0, None))


def _hold(panel: Any, x: float = 0.0, y: float = 0.0) -> None:
    """Extend the axes of a panel to include a line that would otherwise appear only in the legend."""
    panel.set_xlim(right=max(panel.get_xlim()[1], 1.08 * x))
    panel.set_ylim(top=max(panel.get_ylim()[1], 1.08 * y))


def _few_bins(histogram: Histogram) -> tuple[np.ndarray, np.ndarray]:
    """Return equal bins between the extremes, merged from very fine bins, as many as the values can fill."""
    low, high = range_of(histogram.edges, histogram.count, 0.0)
    spare = max(0.0, 0.02 * high - (high - low)) / 2
    low, high = low - spare, high + spare
    bins = int(np.clip(np.sqrt(histogram.total) * 1.5, 6, _MOST_BINS))
    edges = np.linspace(low, high, bins + 1)
    middles = (histogram.edges[1:] + histogram.edges[:-1]) / 2
    return edges, np.histogram(middles, edges, weights=histogram.count)[0]


def _in_groups(histogram: Histogram, group: int) -> tuple[np.ndarray, np.ndarray]:
    starts = np.arange(0, len(histogram.count), group)
    return np.append(histogram.edges[starts], histogram.edges[-1]), np.add.reduceat(histogram.count, starts)


def _mean(column: Column) -> tuple[float, float]:
    return column.moments["mean"], column.moments["sd"] / np.sqrt(max(column.moments["count"], 1))


def _median(panel: Any, value: float, unit: str) -> None:
    panel.axvline(value, color=_FILL, linestyle="--", label=f"median {_digits(value)}{unit}")


def _digits(value: float) -> str:
    """Return a number with three significant digits, including trailing zeros."""
    return f"{value:#.3g}".rstrip(".")


def _lowest_sphericity(panel: Any) -> None:
    """Mark the sphericity below which the paper's model has no particle, or note it if it is outside the axis."""
    lowest, (low, high) = published.LOWEST_SPHERICITY, panel.get_xlim()
    if low < lowest < high:
        panel.axvline(lowest, color=PORE, linestyle=":", label=f"paper's model: none at or below {lowest:g}")
    else:
        panel.plot([], [], linestyle="none", label=f"paper's model: none at or\nbelow {lowest:g} (outside)")


def _uniform(panel: Any) -> None:
    panel.axhline(2 / np.pi, color=_REFERENCE, linestyle=":", label="no direction preferred, 2/π")


def _central(collection: Collection) -> int:
    return int(np.argmin(collection.cut_heights))


def _law(diameter: np.ndarray, parameters: ParticleParameters) -> np.ndarray:
    """Return the density, per decade of diameter, of Z00 / sqrt(pi) with the shifted log-normal law of Z00."""
    z = diameter * np.sqrt(np.pi)
    above = z - parameters.shell_location_nm
    with np.errstate(invalid="ignore", divide="ignore"):
        normal = np.log(above / parameters.shell_scale_nm) / parameters.shell_sigma
        values = np.exp(-(normal**2) / 2) / (np.sqrt(2 * np.pi) * parameters.shell_sigma) * z / above * np.log(10)
    return np.where(above > 0, values, 0.0)


def _normed(at: np.ndarray, values: np.ndarray) -> np.ndarray:
    total = np.trapezoid(values, np.log10(at))
    return values / total if total > 0 else values


def _plain_ticks(panel: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
