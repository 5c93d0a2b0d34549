"""Figures of a comparison of generators: a slice of each, and their curves with bands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmcdist.report.style import SERIES, figure, save

_COLUMNS = 4
_SHADES = ("#ffffff", "#56616B")  # pore, solid
_LEAST_SHARE = 1e-3  # of a size distribution that is worth drawing


class Panel(NamedTuple):
    """Curves of one descriptor.

    Attributes
    ----------
    title, x, y : str
        Title and labels.
    along : ndarray, shape (n,)
    curves : Mapping of str to ndarray, shape (items, n)
        By generator, the reference first.
    """

    title: str
    x: str
    y: str
    along: np.ndarray
    curves: Mapping[str, np.ndarray]


def slices(planes: Mapping[str, np.ndarray], voxel_size_nm: float, path: Path) -> Path:
    """Draw a slice of a volume of each generator, solid dark.

    Parameters
    ----------
    planes : Mapping of str to ndarray of uint8, shape (ny, nx)
        By title.
    voxel_size_nm : float
    path : Path
    """
    from matplotlib.colors import ListedColormap

    columns = min(_COLUMNS, len(planes))
    rows = -(-len(planes) // columns)
    with figure(rows, columns, 3.0 * columns + 0.4, 3.2 * rows + 0.5) as (drawing, axes):
        for panel in axes.flat:
            panel.set_axis_off()
        for number, (panel, (title, plane)) in enumerate(zip(axes.flat, planes.items(), strict=False)):
            extent = np.array([0, plane.shape[1], 0, plane.shape[0]]) * voxel_size_nm / 1000
            panel.imshow(plane, cmap=ListedColormap(_SHADES), vmin=0, vmax=1, extent=extent, origin="lower",
                         interpolation="nearest")  # fmt: skip
            panel.set_axis_on()
            panel.grid(visible=False)
            panel.spines[:].set_visible(True)
            panel.set_title(title, fontsize=13)
            if number % columns == 0:
                panel.set_ylabel("y / µm")
            if number + columns >= len(planes):
                panel.set_xlabel("x / µm")
        return save(drawing, path)


def curves(panels: Sequence[Panel], path: Path) -> Path:
    """Draw mean curves of each generator, with bands of one standard deviation of its volumes to either side."""
    with figure(1, len(panels), 5.2 * len(panels), 5.4) as (drawing, axes):
        for panel, drawn in zip(axes.flat, panels, strict=True):
            most = 0.0
            for number, (name, values) in enumerate(drawn.curves.items()):
                mean = values.mean(axis=0)
                colour, line = _style(number)
                if len(values) > 1:
                    spread = values.std(axis=0, ddof=1)
                    panel.fill_between(drawn.along, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
                panel.plot(drawn.along, mean, color=colour, linestyle=line, linewidth=1.5 if number else 2.6,
                           label=name, zorder=2 if number else 3)  # fmt: skip
                most = max(most, float(drawn.along[np.abs(mean - mean[-1]) > _LEAST_SHARE].max(initial=0.0)))
            panel.set(xlabel=drawn.x, ylabel=drawn.y, xlim=(0, 1.05 * most or None))
            panel.set_title(drawn.title, loc="left", fontweight="bold")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=4)
        return save(drawing, path)


def _style(number: int) -> tuple[str, str]:
    """Return colour and line of a generator: the reference black, then each colour with a line of its own."""
    if number == 0:
        return "#000000", "-"
    colours = [colour for colour, _ in SERIES if colour != "#000000"]
    return colours[(number - 1) % len(colours)], ("-", "--", ":")[(number - 1) // len(colours) % 3]
