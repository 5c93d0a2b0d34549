"""Sections of particles coloured by the crystal direction along their normal, with the colour key."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.geometry.pole_figures import direction_colours, pole_colours
from nmcdist.models.particle import Particle
from nmcdist.report.orientations import painted, place, scale_bar
from nmcdist.report.style import figure, save

_NORMAL = (0.0, 0.0, 1.0)
_PIXELS = 640  # across the widest particle
_HEIGHT, _WIDEST = 3.6, 15.0  # inches: of the row of sections, and of the figure
_KEY = 3.2  # width of the colour key in inches
_KEY_PIXELS = 500
_SECTOR = np.pi / 6
_CORNERS = (
    ("[0001]", (0.0, 0.0), "right"),
    (r"[2\bar{1}\bar{1}0]", (1.0, 0.0), "left"),
    (r"[10\bar{1}0]", (np.cos(_SECTOR), np.sin(_SECTOR)), "left"),
)


def orientation_maps(
    name: str, particles: Sequence[Particle], orientations: Sequence[Mapping[int, np.ndarray]], path: Path
) -> Path:
    """Draw the section through the centre of each particle, normal to z, in colours of the inverse pole figure.

    Parameters
    ----------
    name : str
        Name of the dataset.
    particles : sequence of Particle
        Particles with grains, from left to right.
    orientations : sequence of Mapping of int to ndarray
        For each particle, quaternions by label.
    path : Path
        PNG file to write.
    """
    extents = np.array([2.05 * particle.reach_nm for particle in particles]) / 1000
    middles, tallest = np.cumsum(extents) - extents / 2, extents.max()
    pixel_nm = 1000 * tallest / _PIXELS
    width = min(_HEIGHT * extents.sum() / tallest, _WIDEST - _KEY)
    height = width * tallest / extents.sum()
    with figure(1, 2, width + _KEY, max(height, 2.0) + 0.9) as (drawing, axes):
        panel, key = axes[0]
        panel.get_gridspec().set_width_ratios([width, _KEY])
        for particle, turns, middle in zip(particles, orientations, middles, strict=True):
            labels = particle.section(pixel_nm)
            # Rows run along +y, which points down in a picture: flipped so that y points up.
            place(panel, painted(labels, _colours(labels, turns))[::-1], middle, pixel_nm)
            panel.text(middle, -0.52 * tallest, f"item {particle.index}", ha="center", va="top", fontsize=11)
        panel.set(xlim=(0, extents.sum()), ylim=(-tallest / 2, tallest / 2), aspect="equal")
        panel.set_axis_off()
        scale_bar(panel, 0.0, -0.47 * tallest, extents.sum() / 6, 0.02 * tallest)
        draw_key(key)
        drawing.suptitle(f"{name}: crystal direction normal to the section", fontsize=12)
        return save(drawing, path)


def _colours(labels: np.ndarray, turns: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return one colour per label; labels that are not in the section stay black."""
    known = np.unique(labels[labels > 0])
    colours = np.zeros((int(known.max(initial=0)) + 1, 3))
    colours[known] = pole_colours(np.array([turns[label] for label in known.tolist()]).reshape(-1, 4), _NORMAL)
    return colours


def draw_key(panel: Any) -> None:
    """Draw the triangle of crystal directions in stereographic projection, in their colours."""
    u, v = np.meshgrid(np.linspace(0, 1, _KEY_PIXELS), np.linspace(0, 0.5, _KEY_PIXELS // 2))
    square = u**2 + v**2
    directions = np.stack([2 * u, 2 * v, 1 - square], axis=-1) / (1 + square)[..., None]
    inside = (square <= 1) & (v <= np.tan(_SECTOR) * u)
    colours = np.dstack([direction_colours(directions.reshape(-1, 3)).reshape(directions.shape), inside])
    panel.imshow(colours, origin="lower", extent=(0, 1, 0, 0.5))
    arc = np.linspace(0, _SECTOR, 50)
    panel.plot([0, *np.cos(arc), 0], [0, *np.sin(arc), 0], color="black", linewidth=1.2, clip_on=False)
    for text, (x, y), side in _CORNERS:
        panel.text(x + (0.04 if side == "left" else -0.04), y, f"${text}$", ha=side, va="center", fontsize=12)
    panel.set(xlim=(-0.3, 1.4), ylim=(-0.1, 0.6), aspect="equal")
    panel.set_axis_off()
