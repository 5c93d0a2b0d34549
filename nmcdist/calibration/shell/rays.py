"""Star radii of voxel regions, Eq. (1) of the NMC811 paper, and the share of a region that its star point sees.

A ray is followed from voxel to voxel. It ends where it enters a voxel of another label, which is what "the nearest
grid point lies in the particle" means for all points before.

In a grey image, that ray may end half a voxel off. There, a ray that ends at the background is led on to the place
where the smoothed image, linear between voxels, has the level of the threshold.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmcdist.calibration.shell.blocks import Box
from nmcdist.calibration.shell.separate import Separated, Spacing
from nmcdist.calibration.spread import Spread
from nmcdist.jit import Int, kernel

FREE, CONTACT, BORDER = 0, 1, 2  # what a ray meets at its end: background, another region, the border of the image
_GROUP = 32  # regions in a piece of work
_MOST = 2.0  # voxels from the end in voxels to the surface; further away, the end in voxels stays
_STEP = 0.25  # voxels
_RIM = 4  # voxels around a region that its rays may reach
_Item = tuple[int, Box, np.ndarray, np.ndarray]  # label, box, star point, directions


class Stars(NamedTuple):
    """Star-shaped views of regions.

    Attributes
    ----------
    radii : ndarray of float64, shape (n, directions)
        In the unit of `spacing`; 0 where the star point lies outside of the region.
    ends : ndarray of uint8, shape (n, directions)
        FREE, CONTACT or BORDER.
    visible : ndarray of float64, shape (n,)
        Share of the region's voxels that the star point sees.
    """

    radii: np.ndarray
    ends: np.ndarray
    visible: np.ndarray


class Surface(NamedTuple):
    """The surface of the particles in a smoothed grey image, between voxels.

    Attributes
    ----------
    values : array of float32, shape (nz, ny, nx)
        Read in boxes.
    level : float
        Grey value of the surface.
    sign : float
        1.0 for particles brighter than the rest, -1.0 for darker ones.
    """

    values: Any
    level: float
    sign: float


def star_views(
    image: Separated, chosen: np.ndarray, centres: np.ndarray, directions: np.ndarray, spacing: Spacing,
    spread: Spread = map, *, sees: bool = True, surface: Surface | None = None,
) -> Stars:  # fmt: skip
    """Measure star radii of regions around given points; each region is read in its own box.

    Parameters
    ----------
    image : Separated
    chosen : ndarray of int, shape (n,)
        Rows of `image.regions`.
    centres : ndarray of float64, shape (n, 3)
        Star points in voxel indices: the centres of mass, in the paper.
    directions : ndarray of float64, shape (n, directions, 3)
        Unit vectors z, y, x in space, of each region.
    spacing : tuple of float
        Edges of a voxel along z, y, x.
    spread : callable
        Applies a function to items as `map` does, in order.
    sees : bool
        Whether to count the voxels that a star point sees; else their share is 0.
    surface : Surface or None
        Where rays end at the background; None: at the faces of voxels.
    """
    low, high = image.regions.low[chosen].tolist(), image.regions.high[chosen].tolist()
    own = [Box(*(_place(end) for end in ends)).grown(1 if surface is None else _RIM, image.shape)
           for ends in zip(low, high, strict=True)]  # fmt: skip
    items = list(zip((chosen + 1).tolist(), own, centres, directions, strict=True))
    groups = [items[k : k + _GROUP] for k in range(0, len(items), _GROUP)]
    work = partial(_views, image.labels, image.numbers, np.asarray(spacing, np.float64), sees, surface)
    found = list(spread(work, groups))
    if not found:
        empty = np.zeros(directions.shape[:2])
        return Stars(empty, empty.astype(np.uint8), np.zeros(0))
    return Stars(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _views(
    labels: Any, numbers: np.ndarray, spacing: np.ndarray, sees: bool, surface: Surface | None, items: Sequence[_Item]
) -> Stars:
    radii = np.zeros((len(items), len(items[0][3])))
    ends, visible = np.zeros(radii.shape, np.uint8), np.zeros(len(items))
    for k, (label, box, centre, directions) in enumerate(items):
        inside = np.ascontiguousarray(numbers[labels[box.slices]])
        own = centre - np.array(box.low)
        visible[k] = _view(inside, label, own, directions, spacing, sees, radii[k], ends[k])
        if surface is not None:
            values = np.ascontiguousarray(surface.values[box.slices], np.float32)
            _refine(values, surface.level, surface.sign, own, directions, spacing, radii[k], ends[k])
    return Stars(radii, ends, visible)


def _place(numbers: Sequence[int]) -> tuple[int, int, int]:
    z, y, x = numbers
    return z, y, x


@kernel
def _view(
    labels: np.ndarray, label: Int, centre: np.ndarray, directions: np.ndarray, spacing: np.ndarray, sees: bool,
    radii: np.ndarray, ends: np.ndarray,
) -> float:  # fmt: skip
    """Write the radii and ends of one region; return the share of its voxels that the star point sees."""
    step = np.empty(3)
    for k in range(len(directions)):
        for axis in range(3):
            step[axis] = directions[k, axis] / spacing[axis]  # voxel indices per unit of length
        radii[k], ends[k] = _follow(labels, label, centre, step, np.inf)
    seen, total = 0, 0
    if sees:
        for z in range(labels.shape[0]):
            for y in range(labels.shape[1]):
                for x in range(labels.shape[2]):
                    if labels[z, y, x] == label:
                        total += 1
                        step[0], step[1], step[2] = z - centre[0], y - centre[1], x - centre[2]
                        seen += _follow(labels, label, centre, step, 1.0)[0] >= 1.0
    return seen / max(total, 1)


@kernel
def _follow(labels: np.ndarray, label: Int, centre: np.ndarray, step: np.ndarray, furthest: float) -> tuple[float, int]:
    """Return how far the ray centre + t step stays in a label, at most `furthest`, and what it meets."""
    at, way = np.empty(3, np.int64), np.empty(3, np.int64)
    cross, per = np.empty(3), np.empty(3)
    for axis in range(3):
        at[axis] = int(np.floor(centre[axis] + 0.5))
        way[axis] = 1 if step[axis] > 0 else -1
        per[axis] = 1.0 / abs(step[axis]) if step[axis] != 0 else np.inf
        cross[axis] = (0.5 + way[axis] * (at[axis] - centre[axis])) * per[axis] if step[axis] != 0 else np.inf
    t = 0.0
    while True:
        for axis in range(3):
            if at[axis] < 0 or at[axis] >= labels.shape[axis]:
                return t, BORDER
        other = labels[at[0], at[1], at[2]]
        if other != label:
            return t, CONTACT if other > 0 else FREE
        axis = 0
        if cross[1] < cross[axis]:
            axis = 1
        if cross[2] < cross[axis]:
            axis = 2
        t = cross[axis]
        if t >= furthest:
            return furthest, FREE
        at[axis] += way[axis]
        cross[axis] += per[axis]


@kernel
def _refine(
    values: np.ndarray, level: float, sign: float, centre: np.ndarray, directions: np.ndarray, spacing: np.ndarray,
    radii: np.ndarray, ends: np.ndarray,
) -> None:  # fmt: skip
    """Move the radii of one region that end at the background to the nearest place where the image has a level."""
    step = np.empty(3)
    length = _STEP * np.cbrt(spacing[0] * spacing[1] * spacing[2])
    for k in range(len(directions)):
        if ends[k] != FREE or radii[k] <= 0.0:
            continue
        for axis in range(3):
            step[axis] = directions[k, axis] / spacing[axis]
        t = radii[k]
        here = sign * (_between(values, centre, step, t) - level)
        way = length if here > 0.0 else -length
        for _ in range(int(_MOST / _STEP)):
            beyond = t + way
            if beyond <= 0.0:
                break
            there = sign * (_between(values, centre, step, beyond) - level)
            if (there > 0.0) != (here > 0.0):
                radii[k] = t + way * here / (here - there)
                break
            t, here = beyond, there


@kernel
def _between(values: np.ndarray, centre: np.ndarray, step: np.ndarray, t: float) -> float:
    """Return the value at centre + t step, linear between voxels, and that of the nearest place beyond the rim."""
    z, z1, c = _cell(centre[0] + t * step[0], values.shape[0])
    y, y1, b = _cell(centre[1] + t * step[1], values.shape[1])
    x, x1, a = _cell(centre[2] + t * step[2], values.shape[2])
    low = (1 - b) * ((1 - a) * values[z, y, x] + a * values[z, y, x1])
    low += b * ((1 - a) * values[z, y1, x] + a * values[z, y1, x1])
    high = (1 - b) * ((1 - a) * values[z1, y, x] + a * values[z1, y, x1])
    high += b * ((1 - a) * values[z1, y1, x] + a * values[z1, y1, x1])
    return float((1 - c) * low + c * high)


@kernel
def _cell(place: float, count: Int) -> tuple[int, int, float]:
    """Return the voxels on both sides of a place, and how far it is from the first."""
    at = min(max(place, 0.0), float(count - 1))
    low = int(at)
    return low, min(low + 1, count - 1), at - low
