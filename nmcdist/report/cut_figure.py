"""A figure of planar sections through items, for notebooks: grains in tints or by orientation, or phases."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nmcdist.pictures import grain_picture
from nmcdist.report.cuts import Cut
from nmcdist.report.orientations import orientation_bar, orientation_picture
from nmcdist.report.style import PHASE_COLOUR, PHASE_NAME, SERIES, figure

_COLUMNS = 4
_PIXELS = 1024  # of a section that is drawn, at most
_EDGES = (5.0, 3.4)  # inches: a single panel, one of several
_WHITE, _NMC = "#FFFFFF", "#7FA7C9"
_DPI = 100
_SLIMMEST, _NARROWEST = 1.5, 5.0  # height of a panel over the width of a square one; inches of a figure
_MARGIN = 0.04  # around particles, of the width


class NotebookFigure(Figure):
    """A figure that a notebook shows, whether or not pyplot has been imported."""

    def _repr_png_(self) -> bytes:
        from PIL import Image

        drawn, stream = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=_DPI)
        with Image.open(drawn) as picture:  # a palette halves what a notebook stores of it
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(stream, "png", optimize=True)
        return stream.getvalue()


def draw_cuts(cuts: Sequence[Cut], phases: Sequence[str] = (), *, by_orientation: bool = False) -> NotebookFigure:
    """Return a figure with a panel for each section, all at one scale.

    Parameters
    ----------
    cuts : sequence of Cut
    phases : sequence of str
        Names of the labels 0, 1, ...; none: labels are grains, and 0 is outside.
    by_orientation : bool
        Whether grains are coloured by the angle between their longer axis and the radius.
    """
    columns = min(_COLUMNS, len(cuts))
    rows, edge = math.ceil(len(cuts) / columns), _EDGES[len(cuts) > 1]
    left, right, bottom, top = _limits(cuts, is_cropped=not phases)
    slimness = (top - bottom) / (right - left)
    height = edge * min(slimness, _SLIMMEST)
    width, below = max(_NARROWEST, height / slimness * columns) + by_orientation, 0.4 if phases else 0.0
    with figure(rows, columns, width, (height + 0.2) * rows + below + 0.1, NotebookFigure) as (drawing, panels):
        for panel in panels.flat[len(cuts) :]:
            panel.set_axis_off()
        for place, (panel, cut) in enumerate(zip(panels.flat, cuts, strict=False)):
            picture = _picture(cut, phases, by_orientation=by_orientation)
            panel.imshow(picture, extent=cut.extent_um, origin="lower")
            panel.grid(visible=False)
            panel.spines[:].set_visible(True)
            panel.set_title(cut.title, fontsize=12)
            panel.set(xlim=(left, right), ylim=(bottom, top), xlabel=f"{cut.axes[1]} / µm")
            if place % columns == 0:
                panel.set_ylabel(f"{cut.axes[0]} / µm")
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        if phases:
            _legend(drawing, phases)
        if by_orientation:
            orientation_bar(drawing, list(panels.flat), 0.8)
        drawing.draw_without_rendering()  # ticks and labels take the style of the figure when they are first made
    shown: NotebookFigure = drawing
    return shown


def _limits(cuts: Sequence[Cut], *, is_cropped: bool) -> tuple[float, float, float, float]:
    """Return the ends of all panels in micrometres: left, right, lower, upper."""
    ends = np.array([cut.extent_um if not is_cropped else cut.filled_um for cut in cuts])
    left, bottom = ends[:, [0, 2]].min(axis=0)
    right, top = ends[:, [1, 3]].max(axis=0)
    margin = _MARGIN * max(right - left, top - bottom) if is_cropped else 0.0
    return left - margin, right + margin, bottom - margin, top + margin


def _picture(cut: Cut, phases: Sequence[str], *, by_orientation: bool) -> np.ndarray:
    labels = cut.labels[tuple(slice(None, None, -(-n // _PIXELS)) for n in cut.labels.shape)]
    if phases:
        from matplotlib.colors import to_rgb

        colours = np.array([to_rgb(colour) for colour in phase_colours(phases)])
        return np.asarray(colours[np.minimum(labels, len(phases) - 1)])
    if not by_orientation:
        return grain_picture(labels)
    from nmcdist.descriptors.sections import describe_section

    return orientation_picture(labels, describe_section(labels, cut.pixel_nm))


def phase_colours(phases: Sequence[str]) -> list[str]:
    """Return a colour for each phase: white pores, known phases as in reports, others from the series of curves."""
    others = iter([colour for colour, _ in SERIES] * len(phases))
    known: dict[str, Any] = {**PHASE_COLOUR, "pore": _WHITE, "nmc": _NMC}
    return [known.get(phase) or next(others) for phase in phases]


def _legend(drawing: Any, phases: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=colour, edgecolor="black", label=PHASE_NAME.get(phase, phase.replace("_", " ")))
        for phase, colour in zip(phases, phase_colours(phases), strict=True)
    ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), fontsize=11)
