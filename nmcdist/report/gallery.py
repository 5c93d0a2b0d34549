"""The gallery: cut particles side by side at one scale, above their sections coloured by orientation."""

from pathlib import Path

import numpy as np

from nmcdist.descriptors.sections import describe_section
from nmcdist.models.particle import Particle
from nmcdist.report.orientations import orientation_bar, orientation_picture, place, scale_bar
from nmcdist.report.raycast import draw_view, view_particle
from nmcdist.report.style import figure, save

_WIDTH = 1800.0  # total width of all particles in pixels
_WIDEST = 640.0  # greatest width of one particle
_OVERSAMPLING = 2
_ROW = 5.5  # greatest height of a particle in inches
_TINTS = 64


def gallery(name: str, particles: list[Particle], path: Path) -> Path:
    """Draw cut particles, and below each its section through the centre.

    Parameters
    ----------
    name : str
        Name of the dataset.
    particles : list of Particle
        Particles with grains, from left to right.
    path : Path
        PNG file to write.
    """
    extents = np.array([2.05 * particle.reach_nm for particle in particles])
    pixel = max(extents.sum() / _WIDTH, extents.max() / _WIDEST)
    middles = (np.cumsum(extents) - extents / 2) / 1000
    total, tallest = extents.sum() / 1000, extents.max() / 1000
    width = min(15.0, _ROW * total / tallest)
    with figure(2, 1, width, 2 * 0.93 * width * tallest / total + 1.2) as (drawing, axes):
        open_, flat = axes[:, 0]
        for particle, middle in zip(particles, middles, strict=True):
            view = view_particle(particle, pixel / _OVERSAMPLING)
            place(open_, draw_view(view, _tints(len(particle.kept)), _OVERSAMPLING), middle, pixel)
            fine = pixel / _OVERSAMPLING
            section = particle.section(fine)
            # Columns run along +x and rows along +y, which points down in a picture: flipped so that y points up.
            place(flat, orientation_picture(section, describe_section(section, fine))[::-1], middle, fine)
            flat.text(middle, -tallest / 2, f"item {particle.index}\n{int(particle.kept.sum())} grains", ha="center",
                      va="top", fontsize=11)  # fmt: skip
        for panel in (open_, flat):
            panel.set(xlim=(0, total), ylim=(-tallest / 2, tallest / 2), aspect="equal")
            panel.set_axis_off()
        open_.set_title(f"{name}: particles cut open; tints only distinguish grains", fontsize=12)
        flat.set_title("sections through the centre, coloured by orientation", fontsize=12)
        scale_bar(open_, 0.01 * total, -0.46 * tallest, total / 6, 0.03 * tallest)
        orientation_bar(drawing, flat, 0.7)
        return save(drawing, path)


def _tints(rows: int) -> np.ndarray:
    """Return one colour per label: tints of one scale with distinct lightness, in arbitrary order."""
    from matplotlib import colormaps

    scale = colormaps["YlGnBu"](np.linspace(0.08, 0.72, _TINTS))[:, :3]
    # Multiples of the golden section are far apart for consecutive labels.
    place = np.floor(np.arange(rows + 1) * 0.6180339887498949 % 1 * _TINTS).astype(int)
    return np.asarray(scale[place])
