"""Colours and settings shared by the figures: the colour-blind-safe Okabe-Ito palette."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SOLID, PORE = "#0072B2", "#D55E00"
GRAPHITE, CARBON_BINDER = "#E69F00", "#56616B"
PHASE_COLOUR = {"pore": PORE, "solid": SOLID, "graphite": GRAPHITE, "carbon_binder": CARBON_BINDER}
PHASE_NAME = {"pore": "pore", "solid": "solid", "graphite": "graphite", "carbon_binder": "carbon binder"}
LABELS = ("#1b1b1b", "#8fb4d9", "#f0b429")  # of pictures: pore, carbon binder, graphite; distinct in grey, too
# Colours and markers of curves in one panel: dark enough on white, and distinct without colour.
SERIES = (
    ("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#AA4499", "D"), ("#000000", "v"), ("#7A5C00", "P"),
)  # fmt: skip


@contextmanager
def figure(rows: int, columns: int, width: float, height: float, made: Any = None) -> Iterator[tuple[Any, Any]]:
    """Yield a figure and its axes (always a 2D array) in the shared style, without changing global state.

    `made` is the class of the figure; default: that of matplotlib.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: Any = {
        "font.size": 12,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "savefig.dpi": 130,
        "svg.hashsalt": "nmcdist",
    }
    with mpl.rc_context(settings):
        drawing = (made or Figure)(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing, drawing.subplots(rows, columns, squeeze=False)


def save(drawing: Any, path: Path) -> Path:
    """Write a figure as PNG to a path, and as SVG beside it; call this within :func:`figure`."""
    drawing.savefig(path)
    drawing.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    return path


def grey_scale(plane: np.ndarray) -> dict[str, Any]:
    """Return how a grey picture is shown: from its 1 % to its 99 % quantile."""
    low, high = np.percentile(plane.astype(np.float64), (1, 99))  # truth values have no quantiles
    return {"cmap": "gray", "vmin": low, "vmax": high}
