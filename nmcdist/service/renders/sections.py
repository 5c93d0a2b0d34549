"""Sections of items as pictures: planes normal to an axis, coloured, with borders of grains, transparent outside."""

import math

import numpy as np

from nmcdist.errors import InputError
from nmcdist.jit import kernel
from nmcdist.png import png
from nmcdist.service.renders.colours import ANGLES, BORDER, SIZES, TINTS, on_scale, phase_colours, rgb
from nmcdist.service.renders.items import Grid, ParticleView, VolumeView

AXES = ("z", "y", "x")
OF_GRAINS, OF_PHASES = ("grain", "radius", "size"), ("phase",)
_SMOOTH = 256  # pixels: smaller pictures are drawn twice as large and averaged
_LEVEL = 4  # of compression


def colourings(view: ParticleView | VolumeView) -> tuple[str, ...]:
    """Return the names of the colourings of an item."""
    return OF_GRAINS if isinstance(view, ParticleView) else OF_PHASES


def section(view: ParticleView | VolumeView, axis: str, at: float, size: int, colouring: str) -> bytes:
    """Return a section as a PNG file.

    Of the other two axes, the first one runs downwards and the second one to the right.

    Parameters
    ----------
    view : ParticleView or VolumeView
    axis : {"z", "y", "x"}
        Normal to the section.
    at : float
        Place along the axis, from 0 to 1.
    size : int
        Pixels of the longer side.
    colouring : str
        One of :func:`colourings`.

    Raises
    ------
    InputError
        If the item has no such colouring.
    """
    if colouring not in colourings(view):
        raise InputError(f"colouring: found {colouring!r}, expected one of {', '.join(colourings(view))}")
    grid, normal = view.section_grid(), AXES.index(axis)
    shape = picture_shape(grid, normal, size)
    longest = max(n for k, n in enumerate(grid.shape) if k != normal)
    is_smooth = size <= _SMOOTH and (isinstance(view, ParticleView) or longest > size)
    factor = 2 if is_smooth else 1
    index = min(int(at * grid.shape[normal]), grid.shape[normal] - 1)
    labels = view.plane(normal, index, (factor * shape[0], factor * shape[1]))
    picture = _painted(labels, _palette(view, colouring), borders=isinstance(view, ParticleView))
    return png(_halved(picture) if is_smooth else picture, _LEVEL)


def picture_shape(grid: Grid, normal: int, size: int) -> tuple[int, int]:
    """Return the rows and columns of a picture whose longer side has `size` pixels."""
    rows, columns = (n for k, n in enumerate(grid.shape) if k != normal)
    longest = max(rows, columns)
    return max(1, round(size * rows / longest)), max(1, round(size * columns / longest))


def _palette(view: ParticleView | VolumeView, colouring: str) -> np.ndarray:
    """Return the colour of each label: red, green, blue and opacity, uint8."""
    if isinstance(view, VolumeView):
        names = view.volumes.names or {label: str(label) for label in range(256)}
        palette = np.full((256, 4), 255, np.uint8)
        for label, colour in phase_colours(names).items():
            palette[label, :3] = rgb((colour,))[0]
        return palette
    palette = np.full((view.count + 1, 4), 255, np.uint8)
    palette[0] = 0
    if colouring == "grain":
        palette[1:, :3] = rgb(TINTS)[view.tints]
    elif colouring == "radius":
        palette[1:, :3] = on_scale(view.angles_deg / 90.0, ANGLES)
    else:
        palette[1:, :3] = on_scale(size_places(view.diameters_nm), SIZES)
    return palette


def size_places(diameters_nm: np.ndarray) -> np.ndarray:
    """Return the places of grains on the scale of sizes: from the smallest to the largest of the particle."""
    least, most = diameters_nm.min(initial=math.inf), diameters_nm.max(initial=0.0)
    return (diameters_nm - least) / (most - least) if most > least else np.full(len(diameters_nm), 0.5)


def _painted(labels: np.ndarray, palette: np.ndarray, *, borders: bool) -> np.ndarray:
    picture: np.ndarray = palette[labels]
    if borders:
        between = np.zeros(labels.shape, bool)
        between[:, :-1] = labels[:, :-1] != labels[:, 1:]
        between[:-1] |= labels[:-1] != labels[1:]
        between[:, 1:] |= (labels[:, :-1] == 0) & (labels[:, 1:] > 0)
        between[1:] |= (labels[:-1] == 0) & (labels[1:] > 0)
        picture[between & (labels > 0), :3] = BORDER
    return picture


def _halved(picture: np.ndarray) -> np.ndarray:
    """Return a picture of half the size: the mean colour of the opaque ones of each four pixels, and their share."""
    found = np.empty((picture.shape[0] // 2, picture.shape[1] // 2, 4), np.uint8)
    _average_fours(picture, found)
    return found


@kernel
def _average_fours(picture: np.ndarray, found: np.ndarray) -> None:
    total = np.zeros(3, np.int64)
    for row in range(len(found)):
        for column in range(found.shape[1]):
            total[:] = 0
            opaque = 0
            for pixel in range(4):
                colour = picture[2 * row + pixel // 2, 2 * column + pixel % 2]
                if colour[3] > 0:
                    opaque += 1
                    for k in range(3):
                        total[k] += colour[k]
            for k in range(3):
                found[row, column, k] = (total[k] + opaque // 2) // max(opaque, 1)
            found[row, column, 3] = (opaque * 255 + 2) // 4
