"""Sections coloured by the orientation of their grains, with the scales of such pictures."""

from typing import Any

import numpy as np

_UNKNOWN = 0.82  # shade of grains without an orientation, which have few pixels or contain the centre
_BETWEEN = 0.05  # shade of the lines between grains
_LENGTHS = (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.0)


def orientation_picture(labels: np.ndarray, grains: Any, magnified: int = 1) -> np.ndarray:
    """Return a section as RGBA: grains by the angle between longer axis and radius, dark lines between them.

    Parameters
    ----------
    labels : ndarray of int, shape (n, m)
        Grains, 0 or less outside.
    grains : xarray.Dataset
        Result of :func:`nmcdist.descriptors.sections.describe_section` for these labels.
    magnified : int
        Picture pixels per section pixel, so that lines between grains are thin.
    """
    from matplotlib import colormaps

    angle = grains.angle_to_radius.values
    known = np.isfinite(angle)
    colours = np.full((max(int(labels.max()), 0) + 1, 3), _UNKNOWN)
    colours[grains.label.values[known]] = colormaps["cividis"](angle[known] / (np.pi / 2))[:, :3]
    return painted(labels.repeat(magnified, axis=0).repeat(magnified, axis=1), colours)


def painted(labels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return a section as RGBA, transparent outside the grains: their colours by label, dark lines between them."""
    picture = colours[np.maximum(labels, 0)]
    between = np.zeros(labels.shape, dtype=bool)
    between[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    between[:-1] |= labels[:-1] != labels[1:]
    picture[between] = _BETWEEN
    return np.dstack([picture, (labels > 0) | between])


def orientation_bar(drawing: Any, panels: Any, shrink: float) -> None:
    """Draw the scale of :func:`orientation_picture` beside one or several panels."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = drawing.colorbar(ScalarMappable(Normalize(0, np.pi / 2), "cividis"), ax=panels, shrink=shrink, pad=0.01)
    bar.set_label("orientation $α$ / rad")
    bar.set_ticks([0, np.pi / 4, np.pi / 2], labels=["0\nradial", "π/4", "π/2\nacross"])


def place(panel: Any, picture: np.ndarray, middle: float, pixel_nm: float) -> None:
    """Draw a picture at its scale in micrometres, its middle on the axis of x."""
    half_rows, half_columns = (n * pixel_nm / 2000 for n in picture.shape[:2])
    panel.imshow(picture, extent=(middle - half_columns, middle + half_columns, -half_rows, half_rows))


def scale_bar(panel: Any, start: float, height: float, longest: float, gap: float) -> None:
    """Draw a bar of a round length in micrometres, at most `longest`, with its length above."""
    length = next(v for v in _LENGTHS if v <= longest)
    ends = [start, start + length]
    panel.plot(ends, [height, height], color="black", linewidth=4, solid_capstyle="butt", clip_on=False)
    panel.text(start + length / 2, height + gap, f"{length:g} µm", ha="center", va="bottom")
