"""Figures of a campaign: how it went, what is reachable, which parameters the targets fix, and the answers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmcdist.report.style import SERIES, figure, save

_FIRST, _LATER, _ANSWER = SERIES[0][0], SERIES[1][0], SERIES[2][0]
_SHADES = ("#ffffff", "#56616B", "#E69F00")  # pore, carbon binder, graphite


def history(
    labels: Sequence[str], results: np.ndarray, initial: int, wanted: Sequence[float | None], path: Path
) -> Path:
    """Draw each quantity by the number of its evaluation, with the wanted value.

    Parameters
    ----------
    labels : sequence of str
    results : ndarray, shape (evaluations, quantities)
    initial : int
        Evaluations of the first design.
    wanted : sequence of float or None
    path : Path
    """
    numbers = np.arange(len(results))
    with figure(len(labels), 1, 7.5, 2.6 * len(labels) + 0.4) as (drawing, axes):
        for panel, label, values, value in zip(axes[:, 0], labels, results.T, wanted, strict=True):
            panel.plot(numbers[:initial], values[:initial], "o", ms=4, color=_FIRST, label="first design")
            panel.plot(numbers[initial:], values[initial:], "s", ms=4, color=_LATER, label="proposals")
            if value is not None:
                panel.axhline(value, color="black", linestyle="--", linewidth=1.2, label="wanted")
            panel.set_ylabel(label)
        axes[0, 0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes[-1, 0].set_xlabel("evaluation")
        return save(drawing, path)


def reached(
    labels: Sequence[str], results: np.ndarray, predicted: np.ndarray, confirmed: np.ndarray, error: np.ndarray,
    wanted: Sequence[float | None], path: Path,
) -> Path:  # fmt: skip
    """Draw the first two quantities against each other: evaluations, answers predicted and confirmed, and the target.

    Parameters
    ----------
    labels : sequence of str
    results, predicted, confirmed, error : ndarray, shape (n, quantities)
        Bars are two standard errors to either side.
    wanted : sequence of float or None
    path : Path
    """
    with figure(1, 1, 6.8, 5.0) as (drawing, axes):
        panel = axes[0, 0]
        panel.plot(results[:, 0], results[:, 1], "o", ms=4, alpha=0.5, color=_FIRST, label="evaluations")
        panel.plot(predicted[:, 0], predicted[:, 1], "x", ms=9, color=_LATER, label="answers, predicted")
        panel.errorbar(confirmed[:, 0], confirmed[:, 1], 2 * error[:, 1], 2 * error[:, 0], "D", ms=6, color=_ANSWER,
                       label="answers, confirmed")  # fmt: skip
        if wanted[0] is not None and wanted[1] is not None:
            panel.plot([wanted[0]], [wanted[1]], "*", ms=16, color="black", label="wanted")
        panel.set(xlabel=labels[0], ylabel=labels[1])
        panel.legend()
        return save(drawing, path)


def corner(names: Sequence[str], sample: np.ndarray, low: np.ndarray, high: np.ndarray, path: Path) -> Path:
    """Draw the sample of parameters that meet the targets, each against each, over their whole ranges.

    Parameters
    ----------
    names : sequence of str
    sample : ndarray, shape (n, d)
    low, high : ndarray, shape (d,)
    path : Path
    """
    count = len(names)
    with figure(count, count, 2.4 * count + 0.6, 2.4 * count + 0.6) as (drawing, axes):
        for row, column in np.ndindex(count, count):
            panel = axes[row, column]
            if column > row:
                panel.set_axis_off()
                continue
            if row == column:
                panel.hist(sample[:, row], bins=24, range=(low[row], high[row]), color=_FIRST)
                panel.set_yticks([])
            else:
                panel.plot(sample[:, column], sample[:, row], ".", ms=2, alpha=0.4, color=_FIRST)
                panel.set_ylim(low[row], high[row])
            panel.set_xlim(low[column], high[column])
            if row == count - 1:
                panel.set_xlabel(names[column], fontsize=10)
            if column == 0 and row:
                panel.set_ylabel(names[row], fontsize=10)
        return save(drawing, path)


def gallery(slices: Sequence[np.ndarray], titles: Sequence[str], path: Path) -> Path:
    """Draw a slice through a volume of each answer; labels 0 pore, 1 carbon binder, 2 graphite."""
    from matplotlib.colors import ListedColormap

    columns = min(4, len(slices))
    rows = -(-len(slices) // columns)
    with figure(rows, columns, 3.3 * columns, 3.6 * rows) as (drawing, axes):
        for panel in axes.flat:
            panel.set_axis_off()
        for panel, labels, title in zip(axes.flat, slices, titles, strict=False):
            panel.imshow(labels, cmap=ListedColormap(_SHADES), vmin=0, vmax=2, interpolation="nearest", origin="lower")
            panel.set_title(title, fontsize=10)
        return save(drawing, path)
