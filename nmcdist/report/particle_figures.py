"""The figures of a collection of particles: the paper's Figures 6, 10 and 11, grains by radius, and sizes."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import ParticleParameters
from nmcdist.descriptors.summaries import Histogram
from nmcdist.report import published
from nmcdist.report.collection import Collection, Column
from nmcdist.report.distributions import Quantum, density, joined, on_values, range_of
from nmcdist.report.frames import FrameStudy
from nmcdist.report.style import CARBON_BINDER, GRAPHITE, PORE, SOLID, figure
from nmcdist.report.survey import DIAMETER, Survey

_FILL, _REFERENCE = SOLID, "black"
_FEW = 200  # particles up to which each is drawn as a tick
_NEIGHBOURS = 2 + 48 * np.pi**2 / 35  # of a Poisson-Voronoi cell, 15.54
_MOST_BINS = 40
# Particles from which so many of the fine bins of sizes, 1000 a decade, are joined.
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
    with figure(2, 2, 12, 8.4) as (drawing, axes):
        for tag, panel, (name, label, unit) in zip("abcd", axes.flat, panels, strict=True):
            histogram = seen.histograms[name]
            edges, counts = _few_bins(histogram)
            panel.stairs(
                density(edges / unit, counts, histogram.total), edges / unit, fill=True, color=_FILL, alpha=0.55
            )
            _median(panel, histogram.quantile(0.5) / unit)
            if histogram.total <= _FEW:
                middles = (histogram.edges[1:] + histogram.edges[:-1])[histogram.count > 0] / (2 * unit)
                panel.plot(middles, np.zeros(len(middles)), "|", color=_REFERENCE, markersize=14, clip_on=False)
            panel.set(xlabel=label, ylabel="density / µm⁻¹" if unit > 1 else "density", ylim=(0, None))
            panel.set_title(tag, loc="left", fontweight="bold")
        axes[1, 1].axvspan(0.5, published.LOWEST_SPHERICITY, color=PORE, alpha=0.15, linewidth=0)
        axes[1, 1].axvline(
            published.LOWEST_SPHERICITY, color=PORE, linestyle=":", label="paper: none below, in the model"
        )
        axes[1, 1].set_xlim(0.55, 1.01)
        for panel in axes.flat:
            panel.legend(fontsize=10)
        drawing.suptitle(f"{collection.recipe['name']}: outer shells of {collection.count} particles")
        drawing.savefig(path)
    return path


def sections(collection: Collection, path: Path) -> Path:
    """Draw size, elongation, orientation and chord lengths of the grains in the central sections (Figure 10b)."""
    cut = _central(collection)
    pixel = collection.pixel_nm
    with figure(2, 2, 12, 8.4) as (drawing, axes):
        area = collection.column("section", "area_nm2", cut)
        _distribution(axes[0, 0], area, "size $A_{cross}$ / µm²", 1e6, Quantum.multiples(pixel**2), a_decade=True)
        elongation = collection.column("section", "elongation", cut)
        _distribution(axes[0, 1], elongation, "elongation $η = 1 - (e_2/e_1)^{1/2}$")
        _distribution(axes[1, 0], collection.column("section", "angle_to_radius", cut), "orientation $α$ / rad")
        _uniform(axes[1, 0])
        chords = collection.column("section", "chord_length_nm", cut)
        _distribution(axes[1, 1], chords, "chord length $c$ / µm", 1000.0, Quantum.multiples(pixel))
        for tag, panel in zip("abcd", axes.flat, strict=True):
            panel.set_title(tag, loc="left", fontweight="bold")
            panel.legend(fontsize=10)
        height = collection.cut_heights[cut]
        where = "through the centre" if height == 0 else f"at {height:g} of the mean radius"
        grains = int(area.moments["count"])
        drawing.suptitle(
            f"{collection.recipe['name']}: {grains} grains in planar sections {where}, pixels of {pixel:g} nm"
        )
        drawing.savefig(path)
    return path


def cut_heights(collection: Collection, path: Path) -> Path:
    """Draw the orientation in planar sections at each cut height, and its mean against the height (Figure 11)."""
    from matplotlib import colormaps

    heights = collection.cut_heights
    columns = [collection.column("section", "angle_to_radius", cut) for cut in range(len(heights))]
    shades = colormaps["viridis"](np.linspace(0, 0.85, len(heights)))
    with figure(1, 2, 12, 4.8) as (drawing, axes):
        curves, means = axes[0]
        for height, column, shade in zip(heights, columns, shades, strict=True):
            edges, counts = _in_groups(column.histogram, 3)
            middles = (edges[1:] + edges[:-1]) / 2
            curves.plot(middles, density(edges, counts, counts.sum()), color=shade, label=f"{height:g}", marker="o",
                        markersize=4)  # fmt: skip
            mean, error = _mean(column)
            means.errorbar(height, mean, error, color=shade, marker="o", markersize=9, capsize=5)
        curves.axhline(2 / np.pi, color=_REFERENCE, linestyle=":", label="uniform, 2/π")
        curves.set(xlabel="orientation $α$ / rad", ylabel="density / rad⁻¹", ylim=(0, None), xlim=(0, np.pi / 2))
        curves.set_xticks(*_RADIANS)
        curves.legend(title="cut height / mean radius", title_fontsize=10, fontsize=10)
        means.plot(heights, [_mean(column)[0] for column in columns], color=CARBON_BINDER, linewidth=1, zorder=0)
        means.axhline(np.pi / 4, color=_REFERENCE, linestyle=":", label="uniform, π/4")
        means.set(
            xlabel="cut height / mean radius",
            ylabel="mean orientation $α$ / rad (± standard error)",
            ylim=(0, 0.9),
            xlim=(-0.05, 1),
        )
        means.legend(fontsize=10)
        drawing.suptitle(f"{collection.recipe['name']}: orientation of grains in planar sections, by cut height")
        drawing.savefig(path)
    return path


def grains(collection: Collection, path: Path) -> Path:
    """Draw what is known of the grains in space: how it is distributed, and how it changes with the radius."""
    shown: list[tuple[str, str, Quantum | None]]
    shown = [("equivalent_diameter_nm", "equivalent diameter / nm", Quantum.diameters(collection.grain_quantum_nm3))]
    if collection.is_measured:
        shown += [
            ("elongation", "elongation (1 - second / longest axis)", None),
            ("angle_to_radius", "angle to the radius / rad", None),
            ("neighbours", "neighbours", None),
        ]
    with figure(2, len(shown), 2.5 + 4.1 * len(shown), 8.2) as (drawing, axes):
        for k, (name, label, quantum) in enumerate(shown):
            column = collection.column("grain", name)
            _distribution(axes[0, k], column, label, quantum=quantum)
            axes[0, k].set_ylim(top=1.2 * axes[0, k].get_ylim()[1])
            _profile(axes[1, k], column, label)
            axes[0, k].set_title("abcd"[k], loc="left", fontweight="bold")
        if collection.is_measured:
            angle = np.linspace(0, np.pi / 2, 100)
            axes[0, 2].plot(angle, np.sin(angle), color=_REFERENCE, linestyle=":", label="no direction preferred, sin")
            axes[1, 2].set_ylim(0, 1.7)
            axes[1, 2].axhline(1, color=_REFERENCE, linestyle=":", label="no direction preferred, 1 rad")
            axes[0, 3].axvline(_NEIGHBOURS, color=_REFERENCE, linestyle=":", label="Poisson-Voronoi, 15.54")
            axes[1, 3].axhline(_NEIGHBOURS, color=_REFERENCE, linestyle=":", label="Poisson-Voronoi, 15.54")
        for k, panel in enumerate(axes.flat):
            low = k >= len(shown) and panel.get_ylabel() != "angle to the radius / rad"
            panel.legend(fontsize=10, loc="lower left" if low else "upper right", frameon=True, framealpha=0.85,
                         edgecolor="none")  # fmt: skip
        how = (
            f"voxels of {collection.recipe['descriptors']['voxel_size_nm']:g} nm"
            if collection.is_measured
            else "by sums over the lattice"
        )
        number = int(collection.column("grain", "volume_nm3").moments["count"])
        drawing.suptitle(f"{collection.recipe['name']}: {number} grains, {how}")
        drawing.savefig(path)
    return path


def sizes(collection: Collection, seen: Survey, path: Path) -> Path:
    """Draw the sizes of the particles, by number and by volume, with the bundle's law of Z00."""
    histogram = seen.histograms[DIAMETER]
    low, high = range_of(histogram.edges, histogram.count, 0.0)
    starts = np.arange(0, len(histogram.count), next(g for n, g in _GROUPS if histogram.total >= n))
    edges = np.append(histogram.edges[starts], histogram.edges[-1])
    law_at = np.geomspace(low / 2, high * 2, 400)
    law = _law(law_at, collection.bundle.parameters)
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
        panel.legend(fontsize=10)
        panel.set_title(f"{collection.recipe['name']}: sizes of {collection.count} particles", fontsize=12)
        drawing.savefig(path)
    return path


def frames(studies: list[FrameStudy], path: Path) -> Path:
    """Draw planes with radial frames for each D, and visible grains beside theory and the paper (Figure 6)."""
    from matplotlib.colors import ListedColormap

    with figure(1, 4, 16, 4.9) as (drawing, axes):
        for tag, panel, study in zip("abc", axes.flat, studies, strict=False):
            panel.imshow(_boundaries(study.picture), cmap=ListedColormap(["#E8EDF2", "black"]), interpolation="nearest",
                         extent=(-128, 128, -128, 128))  # fmt: skip
            panel.grid(visible=False)
            panel.spines[:].set_visible(True)
            panel.set(xlabel="pixel", ylabel="pixel", xticks=(-128, 0, 128), yticks=(-128, 0, 128))
            panel.set_title(f"{tag}   D = {_name(study)}: {study.radial[0]} grains", fontsize=12)
        panel = axes[0, 3]
        places = np.arange(len(studies))
        series: tuple[tuple[str, list[float], str, str], ...] = (
            ("ours, radial frames", [float(np.mean(s.radial)) for s in studies], SOLID, "o"),
            ("ours, constant frame", [float(np.mean(s.constant)) for s in studies], GRAPHITE, "s"),
            ("theory, constant frame", [s.expected for s in studies], _REFERENCE, "_"),
            ("paper, Figure 6", [float(published.VISIBLE_GRAINS[s.diagonal]) for s in studies], PORE, "*"),
        )
        for shift, (label, values, colour, marker) in zip((-0.15, 0.0, 0.0, 0.15), series, strict=True):
            ratios = np.array(values) / values[1]
            size = 26 if marker == "_" else 10
            panel.plot(places + shift, ratios, marker, color=colour, markersize=size, markeredgewidth=2, label=label)
        panel.set(xticks=places, xticklabels=[_name(s) for s in studies], xlabel="diagonal of D", ylim=(0.7, 1.75),
                  ylabel="visible grains over those of D = (1, 1, 1)", xlim=(-0.5, 2.5))  # fmt: skip
        panel.set_title("d", loc="left", fontweight="bold")
        panel.legend(fontsize=10, loc="upper right")
        drawing.savefig(path)
    return path


def _distribution(
    panel: Any,
    column: Column,
    label: str,
    unit: float = 1.0,
    quantum: Quantum | None = None,
    *,
    a_decade: bool = False,
) -> None:
    """Draw the histogram of a column as a density, with its median or, where bins are coarse, its mean."""
    histogram = column.histogram
    edges, counts = (histogram.edges, histogram.count) if quantum is None else on_values(histogram, quantum)
    low, high = range_of(edges, counts)
    if column.name != "neighbours":
        edges, counts = joined(edges, counts)
    values = density(edges / unit, counts, histogram.total, a_decade=a_decade)
    panel.stairs(values, edges / unit, fill=True, color=_FILL, alpha=0.55)
    mean = column.moments["mean"] / unit
    panel.axvline(mean, color=_FILL, linestyle="--", label=f"mean {mean:.3g}")
    of = "" if column.unit == "1" else f" / {label.rpartition('/ ')[2]}⁻¹"
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


def _profile(panel: Any, column: Column, label: str) -> None:
    """Draw mean and standard deviation by distance from the centre, where there are enough grains."""
    count = column.profile["count"]
    enough = count >= min(30, max(np.nanmax(count), 1))
    radius, mean, sd = (column.profile[k][enough] for k in ("radius_nm", "mean", "sd"))
    sd = np.nan_to_num(sd)
    panel.fill_between(
        radius / 1000, mean - sd, mean + sd, color=_FILL, alpha=0.2, linewidth=0, label="± standard deviation"
    )
    panel.plot(radius / 1000, mean, color=_FILL, marker="o", markersize=4, label="mean")
    panel.set(xlabel="distance from the centre / µm", ylabel=label, xlim=(0, None), ylim=(0, None))


def _few_bins(histogram: Histogram) -> tuple[np.ndarray, np.ndarray]:
    """Return equal bins between the extremes, as many as the values can fill, from very fine ones."""
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


def _median(panel: Any, value: float) -> None:
    panel.axvline(value, color=_FILL, linestyle="--", label=f"median {value:.3g}")


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


def _boundaries(labels: np.ndarray) -> np.ndarray:
    """Mark the pixels whose right or lower neighbour belongs to another grain."""
    marked = np.zeros(labels.shape, dtype=np.uint8)
    marked[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    marked[:-1] |= labels[:-1] != labels[1:]
    return marked


def _name(study: FrameStudy) -> str:
    return "(" + ", ".join(f"{d:g}" for d in study.diagonal) + ")"


def _plain_ticks(panel: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
