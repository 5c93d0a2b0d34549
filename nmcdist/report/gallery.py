"""The gallery: particles cut open, side by side at one scale, above their sections coloured by orientation."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.descriptors.sections import describe_section
from nmcdist.models.particle import Particle
from nmcdist.report.raycast import draw_view, view_particle
from nmcdist.report.style import figure

_WIDTH = 1800.0  # pixels of all particles together
_WIDEST = 640.0  # of one particle
_OVERSAMPLING = 2
_ROW = 5.5  # inches that the largest particle is high at most
_UNKNOWN = (0.82, 0.82, 0.82)  # grains without an orientation: of a few pixels, or around the centre
_TINTS = 64


def gallery(name: str, particles: list[Particle], path: Path) -> Path:
    """Draw particles cut open, and below each its section through the centre.

    Parameters
    ----------
    name : str
        Of the dataset.
    particles : list of Particle
        With grains, from left to right.
    path : Path
        PNG file to write.
    """
    extents = np.array([2.05 * particle.reach_nm for particle in particles])
    pixel = max(extents.sum() / _WIDTH, extents.max() / _WIDEST)
    middles = (np.cumsum(extents) - extents / 2) / 1000
    total, tallest = extents.sum() / 1000, extents.max() / 1000
    width = min(15.0, _ROW * total / tallest)
    with figure(2, 1, width, 2 * width * tallest / total + 1.6) as (drawing, axes):
        open_, flat = axes[:, 0]
        for particle, middle in zip(particles, middles, strict=True):
            view = view_particle(particle, pixel / _OVERSAMPLING)
            _place(open_, draw_view(view, _tints(len(particle.kept)), _OVERSAMPLING), middle, pixel)
            section = particle.section(pixel / _OVERSAMPLING)
            _place(flat, _section_picture(section, pixel / _OVERSAMPLING), middle, pixel / _OVERSAMPLING)
            flat.text(middle, -tallest / 2, f"item {particle.index}\n{int(particle.kept.sum())} grains", ha="center",
                      va="top", fontsize=11)  # fmt: skip
        for panel in (open_, flat):
            panel.set(xlim=(0, total), ylim=(-tallest / 2, tallest / 2), aspect="equal")
            panel.set_axis_off()
        open_.set_title(f"{name}: particles cut open, colours tell grains apart", fontsize=12)
        flat.set_title("sections through the centre, grains by orientation", fontsize=12)
        _scale_bar(open_, total, tallest)
        _colour_bar(drawing, flat)
        drawing.savefig(path)
    return path


def _place(panel: Any, picture: np.ndarray, middle: float, pixel_nm: float) -> None:
    half_rows, half_columns = (n * pixel_nm / 2000 for n in picture.shape[:2])
    panel.imshow(picture, extent=(middle - half_columns, middle + half_columns, -half_rows, half_rows))


def _tints(rows: int) -> np.ndarray:
    """Return a colour for each label: tints of one scale, apart in lightness, in an order without meaning."""
    from matplotlib import colormaps

    scale = colormaps["YlGnBu"](np.linspace(0.08, 0.72, _TINTS))[:, :3]
    # Multiples of the golden section are far apart for labels that follow each other.
    place = np.floor(np.arange(rows + 1) * 0.6180339887498949 % 1 * _TINTS).astype(int)
    return scale[place]


def _section_picture(labels: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return the section as RGBA, grains by the angle between their longer axis and the radius, dark between them."""
    from matplotlib import colormaps

    section = describe_section(labels, pixel_nm)
    colours = np.ones((int(labels.max()) + 1, 3)) * _UNKNOWN
    angle = section.angle_to_radius.values
    known = np.isfinite(angle)
    colours[section.label.values[known]] = colormaps["cividis"](angle[known] / (np.pi / 2))[:, :3]
    picture = colours[labels]
    between = np.zeros(labels.shape, dtype=bool)
    between[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    between[:-1] |= labels[:-1] != labels[1:]
    picture[between] = 0.05
    # Columns of a section run along +x, its rows along +y, downwards in a picture: turned so that y points up.
    return np.dstack([picture, (labels > 0) | between])[::-1]


def _scale_bar(panel: Any, total: float, tallest: float) -> None:
    length = next(v for v in (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.0) if v <= total / 6)
    start, height = 0.01 * total, -0.46 * tallest
    panel.plot([start, start + length], [height, height], color="black", linewidth=4, solid_capstyle="butt")
    panel.text(start + length / 2, height + 0.03 * tallest, f"{length:g} µm", ha="center", va="bottom")


def _colour_bar(drawing: Any, panel: Any) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = drawing.colorbar(ScalarMappable(Normalize(0, np.pi / 2), "cividis"), ax=panel, shrink=0.7, pad=0.01)
    bar.set_label("orientation $α$ / rad")
    bar.set_ticks([0, np.pi / 4, np.pi / 2], labels=["0\nradial", "π/4", "π/2\nacross"])
