"""The figures of a calibration: sections side by side, the paper's Figures 2d and 10b, and the training curves.

Grains of measured and generated sections are described here, in the same way.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.grains.results import Epoch, FittedLaw
from nmcdist.calibration.grains.samples import section_samples
from nmcdist.calibration.grains.sections import Section, angle_density
from nmcdist.report.distributions import density
from nmcdist.report.orientations import orientation_bar, orientation_picture, scale_bar
from nmcdist.report.style import CARBON_BINDER, GRAPHITE, PORE, SOLID, figure

DESCRIPTORS = {
    "area_nm2": "size $A_{cross}$",
    "elongation": "elongation $η$",
    "angle_to_radius": "orientation $α$",
    "chord_length_nm": "chord length $c$",
}

_MEASURED, _GENERATED, _REFERENCE, _DROPPED = SOLID, PORE, "black", "#9AA3AB"
_PAIRS = 4
_MAGNIFIED = 4  # picture pixels per section pixel, so that lines between grains are thin
_ROW = 4.2  # greatest height of a section in inches
_NAME = 26  # longest shown name of a section
_RADIANS = ([0, np.pi / 8, np.pi / 4, 3 * np.pi / 8, np.pi / 2], ["0", "π/8", "π/4", "3π/8", "π/2"])
_FEWEST_BINS, _MOST_BINS = 8, 40
_TAIL = 1e-3  # share of the largest values that are beyond the axis
_HEADROOM = 1.3  # room for the legend above a histogram
_FEW = 60  # epochs up to which each is drawn as a dot
_STEEP = 30.0  # least ratio of losses for a logarithmic scale


def sections(measured: Sequence[Section], generated: Sequence[Section], path: Path) -> Path:
    """Draw measured sections above generated ones at one scale, with grains coloured by orientation.

    Parameters
    ----------
    measured, generated : sequence of Section
        Pairs of sections of the same particles; up to four are shown, from the smallest to the largest.
    path : Path
        PNG file to write.
    """
    chosen = _of_sizes(measured)
    pairs = [(measured[k], generated[k]) for k in chosen]
    extents = np.array([1.06 * max(_extent_um(section) for section in pair) for pair in pairs])
    middles, total, tallest = np.cumsum(extents) - extents / 2, extents.sum(), extents.max()
    width = float(np.clip(_ROW * total / tallest, 4.0, 14.0))
    with figure(2, 1, width + 1.6, 2 * width * tallest / total + 1.5) as (drawing, axes):
        for row, panel in enumerate(axes[:, 0]):
            for pair, middle in zip(pairs, middles, strict=True):
                _place(panel, pair[row], middle, with_name=row == 0)
            panel.set(xlim=(0, total), ylim=(-tallest / 2, tallest / 2), aspect="equal")
            panel.set_axis_off()
        _title(axes[0, 0], "measured")
        _title(axes[1, 0], "generated")
        scale_bar(axes[1, 0], 0.0, -0.49 * tallest, tallest / 4, 0.015 * tallest)
        orientation_bar(drawing, list(axes[:, 0]), 0.5)
        drawing.savefig(path)
    return path


def descriptors(
    measured: Sequence[Section], generated: Sequence[Section], ks: Mapping[str, tuple[float, float]], path: Path
) -> Path:
    """Draw size, elongation, orientation and chord lengths of the grains in sections (Figure 10b).

    Parameters
    ----------
    measured, generated : sequence of Section
    ks : dict of str to two floats
        Kolmogorov-Smirnov distance and noise floor by descriptor, printed in the panels.
    path : Path
        PNG file to write.
    """
    truth, found = section_samples(measured), section_samples(generated)
    pixel = measured[0].pixel_size_nm
    panels = (
        ("area_nm2", "size $A_{cross}$ / µm²", 1e6, pixel**2),
        ("elongation", "elongation $η = 1 - (e_2/e_1)^{1/2}$", 1.0, None),
        ("angle_to_radius", "orientation $α$ / rad", 1.0, None),
        ("chord_length_nm", "chord length $c$ / µm", 1e3, pixel),
    )
    with figure(2, 2, 12, 8.8) as (drawing, axes):
        for tag, panel, (name, label, unit, quantum) in zip("abcd", axes.flat, panels, strict=True):
            a_decade = name == "area_nm2"
            samples = [values[~np.isnan(values)] for values in (truth[name], found[name])]
            edges = _edges(name, np.concatenate(samples), len(samples[0]), quantum)
            shares = [density(edges, np.histogram(v, edges)[0], len(v), a_decade=a_decade) for v in samples]
            if not a_decade:
                shares = [share * unit for share in shares]
            panel.stairs(shares[0], edges / unit, fill=True, color=_MEASURED, alpha=0.45,
                         label=f"measured ({len(samples[0])})")  # fmt: skip
            panel.stairs(shares[1], edges / unit, color=_GENERATED, linewidth=2, label=f"generated ({len(samples[1])})")
            of = "" if " / " not in label else f" / {label.rpartition('/ ')[2]}⁻¹"
            panel.set(xlabel=label, ylabel="share per decade" if a_decade else f"density{of}", ylim=(0, None),
                      xlim=(edges[0] / unit, edges[-1] / unit))  # fmt: skip
            if a_decade:
                panel.set_xscale("log")
                _plain_ticks(panel)
            if name == "angle_to_radius":
                panel.axhline(2 / np.pi, color=_REFERENCE, linestyle=":", label="no direction preferred, 2/π")
                panel.set_xticks(*_RADIANS)
            _legend(panel, ks.get(name), "upper left" if a_decade else "upper right")
            panel.set_title(tag, loc="left", fontweight="bold")
        drawing.suptitle(f"Grains of {len(measured)} measured and {len(generated)} generated sections")
        drawing.savefig(path)
    return path


def orientations(
    measured: Sequence[Section], dropped: Sequence[Section], generated: Sequence[Section], path: Path
) -> Path:
    """Draw the density of orientations of each section (Figure 2d), measured and generated."""
    at = np.linspace(0, np.pi / 2, 181)
    with figure(1, 2, 12, 4.8) as (drawing, axes):
        left, right = axes[0]
        groups = (
            (left, dropped, "dropped", _DROPPED, "--"),
            (left, measured, "measured", _REFERENCE, "-"),
            (right, generated, "generated", _GENERATED, "-"),
        )
        tops = [0.0]
        for panel, group, name, colour, line in groups:
            curves = [angle_density(angles, at) for angles in map(_angles, group) if len(angles)]
            label: str | None = f"{name} ({len(curves)})"
            for curve in curves:
                panel.plot(at, curve, line, color=colour, linewidth=1.2, alpha=0.8, label=label)
                tops.append(float(curve.max()))
                label = None
        for tag, panel in zip("ab", (left, right), strict=True):
            panel.axhline(2 / np.pi, color=SOLID, linestyle=":", label="no direction preferred, 2/π")
            panel.set(xlabel="orientation $α$ / rad", ylabel="density / rad⁻¹", xlim=(0, np.pi / 2),
                      ylim=(0, 1.05 * max(*tops, 1.0)))  # fmt: skip
            panel.set_xticks(*_RADIANS)
            panel.legend(fontsize=10, loc="upper right")
            panel.set_title(tag, loc="left", fontweight="bold")
        drawing.savefig(path)
    return path


def intensity(laws: Sequence[FittedLaw], taken: str, path: Path) -> Path:
    """Draw the fitted laws of the seeds' intensity, and their grains per area by distance.

    Parameters
    ----------
    laws : sequence of FittedLaw
    taken : str
        Name of the chosen law.
    path : Path
        PNG file to write.
    """
    with figure(1, 2, 12, 4.8) as (drawing, axes):
        left, right = axes[0]
        reach = max([row.to_nm for law in laws for row in law.counts] + [1.0]) / 1000
        # Side by side, so that they do not hide each other's errors.
        for law, colour, marker, aside in zip(laws, (PORE, GRAPHITE), "os", (-0.05, 0.05), strict=False):
            label = law.law + (" (taken)" if law.law == taken else "")
            rows = [row for row in law.counts if row.ratio is not None]
            at = [(row.from_nm + row.to_nm) / 2000 + aside for row in rows]
            # Unknown errors are not drawn.
            errors = [row.error or 0.0 for row in rows]
            left.errorbar(at, [row.ratio for row in rows], errors, fmt=marker, color=colour, capsize=4, label=label)
            places = np.linspace(0, reach, 200)
            values = np.interp(places, np.array(law.knots_nm) / 1000, 1e9 * np.array(law.per_nm3))
            right.plot(places, values, color=colour, label=label)
        left.axhline(1.0, color=_REFERENCE, linestyle=":", label="as many as measured")
        left.set(ylabel="grains per area, generated / measured")
        right.set(ylabel="seeds / µm⁻³", ylim=(0, None))
        for tag, panel in zip("ab", (left, right), strict=True):
            panel.set(xlabel="distance from the centre / µm", xlim=(0, reach))
            panel.legend(fontsize=10)
            panel.set_title(tag, loc="left", fontweight="bold")
        drawing.savefig(path)
    return path


def training(epochs: Sequence[Epoch], chosen: int, target: float | None, pixel_size_nm: float, path: Path) -> Path:
    """Draw loss, visible grains, intensity, and the distances of the assessed states, by epoch.

    Parameters
    ----------
    epochs : sequence of Epoch
    chosen : int
        Epoch of the bundle's state.
    target : float or None
        Visible grains per pixel in measured windows, if known.
    pixel_size_nm : float
        Edge of the pixels in the counts of grains and seeds.
    path : Path
        PNG file to write.
    """
    at = [e.epoch for e in epochs]
    pixel_um = pixel_size_nm / 1000
    with figure(2, 2, 12, 8.2) as (drawing, axes):
        _losses(axes[0, 0], epochs)
        visible = np.array([e.visible for e in epochs]) / pixel_um**2
        axes[0, 1].plot(at, visible, "o-", color=_GENERATED, markersize=_marker(epochs), label="generated")
        if target is not None:
            axes[0, 1].axhline(target / pixel_um**2, color=_MEASURED, linestyle="--", label="measured")
        axes[0, 1].set_ylabel("visible grains / µm⁻²")
        intensity = np.array([e.intensity for e in epochs]) / pixel_um**3
        axes[1, 0].plot(at, intensity, "o-", color=_GENERATED, markersize=_marker(epochs))
        axes[1, 0].set_ylabel("intensity of the seeds / µm⁻³")
        _assessments(axes[1, 1], {e.epoch: e.distances for e in epochs if e.distances})
        for tag, panel in zip("abcd", axes.flat, strict=True):
            panel.axvline(chosen, color=_REFERENCE, linestyle=":", linewidth=1.4, label=f"chosen ({chosen})")
            panel.set_xlabel("epoch")
            panel.set_xlim(0, max(at) + 0.5)
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.set_title(tag, loc="left", fontweight="bold", x=-0.1)
            # Above the panel, because curves may be anywhere in it.
            panel.legend(fontsize=10, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2,
                         columnspacing=1.2, handlelength=1.8)  # fmt: skip
        drawing.savefig(path)
    return path


def _losses(panel: Any, epochs: Sequence[Epoch]) -> None:
    at = [e.epoch for e in epochs]
    series = [("loss", "generator", _GENERATED)]
    if epochs[0].discriminator_loss is not None:
        series.append(("discriminator_loss", "discriminator", CARBON_BINDER))
    values = np.array([[getattr(e, name) for e in epochs] for name, _, _ in series])
    for row, (_, label, colour) in zip(values, series, strict=True):
        panel.plot(at, row, "o-", color=colour, markersize=_marker(epochs), label=label)
    if values.min() > 0 and values.max() > _STEEP * values.min():
        panel.set_yscale("log")
        _plain_ticks(panel, "y")
    panel.set_ylabel("loss, mean of the epoch")


def _marker(epochs: Sequence[Epoch]) -> float:
    return 4.0 if len(epochs) <= _FEW else 0.0


def _assessments(panel: Any, assessed: Mapping[int, Mapping[str, float]]) -> None:
    at = list(assessed)
    for (name, label), colour, marker in zip(
        DESCRIPTORS.items(), (SOLID, PORE, GRAPHITE, CARBON_BINDER), "os^D", strict=True
    ):
        values = [of.get(name, np.nan) for of in assessed.values()]
        panel.plot(at, values, marker + "-", color=colour, markersize=4.5, linewidth=1.3, label=label)
    means = [float(np.mean(list(of.values()))) for of in assessed.values()]
    panel.plot(at, means, "--", color=_REFERENCE, label="mean")
    panel.set(ylabel="Kolmogorov-Smirnov distance", ylim=(0, None))


def _of_sizes(measured: Sequence[Section]) -> list[int]:
    """Return the indices of a few sections at quantiles of size, smallest first."""
    order = np.argsort([int(section.mask.sum()) for section in measured], kind="stable")
    return [int(k) for k in order[np.linspace(0, len(order) - 1, min(_PAIRS, len(order))).round().astype(int)]]


def _extent_um(section: Section) -> float:
    """Return the edge of the square around the particle's centre that contains all grains."""
    away = np.abs(np.argwhere(section.mask) - section.centre_px).max() + 0.5
    return float(2 * away * section.pixel_size_nm / 1000)


def _place(panel: Any, section: Section, middle: float, *, with_name: bool) -> None:
    picture = orientation_picture(section.labels, section.describe(), _MAGNIFIED)
    edge = section.pixel_size_nm / 1000
    rows, columns = section.labels.shape
    y, x = section.centre_px
    # Rows run along +y, which points down in the image: flipped so that y points up.
    sides = (middle - (x + 0.5) * edge, middle + (columns - x - 0.5) * edge)
    panel.imshow(picture[::-1], extent=(*sides, -(y + 0.5) * edge, (rows - y - 0.5) * edge))
    lowest = (np.flatnonzero(section.mask.any(axis=1))[0] - y - 0.5) * edge
    grains = f"{len(np.unique(section.labels[section.labels > 0]))} grains"
    name = section.name if len(section.name) <= _NAME else section.name[: _NAME - 1] + "…"
    text = f"{name}\n{grains}" if with_name else grains
    panel.annotate(text, (middle, lowest), (0, -5), textcoords="offset points", ha="center", va="top", fontsize=10)


def _title(panel: Any, text: str) -> None:
    panel.set_title(text, fontsize=13, loc="left", fontweight="bold")


def _angles(section: Section) -> np.ndarray:
    angles = section.describe().angle_to_radius.values
    return np.asarray(angles[~np.isnan(angles)])


def _edges(name: str, values: np.ndarray, count: int, quantum: float | None) -> np.ndarray:
    """Return edges of bins with enough of `count` values; half-way between values if these are multiples."""
    bins = int(np.clip(np.sqrt(count) / 1.5, _FEWEST_BINS, _MOST_BINS))
    if name == "angle_to_radius":
        return np.linspace(0, np.pi / 2, bins + 1)
    if quantum is None:
        return np.linspace(0, max(float(values.max()), 1e-3), bins + 1)
    if name == "area_nm2":
        edges = np.geomspace(quantum, float(values.max()) + quantum, bins + 1)
        return np.unique(np.rint(edges / quantum)) * quantum - 0.5 * quantum
    most = int(np.ceil(np.quantile(values, 1 - _TAIL) / quantum))
    step = max(round(most / bins), 1)
    return (np.arange(1, most + step + 1, step) - 0.5) * quantum


def _legend(panel: Any, ks: tuple[float, float] | None, place: str) -> None:
    """Write the distances above the legend, and the legend above the curves."""
    title = None if ks is None else f"KS {ks[0]:.3f}, noise floor {ks[1]:.3f}"
    panel.set_ylim(top=_HEADROOM * panel.get_ylim()[1])
    panel.legend(fontsize=10, title=title, title_fontsize=11, alignment="left", loc=place)


def _plain_ticks(panel: Any, along: str = "x") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = getattr(panel, f"{along}axis")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
