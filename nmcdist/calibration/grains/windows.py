"""Square windows of planar sections: cut from measured ones, and seeds around windows to be generated.

Training compares windows cut in the same way from measured sections and from generated grains. A discriminator needs
all windows in one frame (Eqs. 14 to 16): windows of fitted sections are rotated so that their centre, at a distance p
from the particle's, lies on the first axis. If grains are described one by one, relative to their own direction from
the centre, windows are cut from the measured pixels without rotation, because a rotated grid would change small
grains.

The plane is that of the first two axes. Lengths are in pixels, and positions are relative to the particle's centre.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from nmcdist.bundle.schema import NET_NEIGHBOURS
from nmcdist.calibration.grains.sections import Section
from nmcdist.calibration.grains.tessellation_fit import Tessellation2D
from nmcdist.errors import ImageError
from nmcdist.geometry.frames import radial_frames
from nmcdist.jit import inlined, kernel
from nmcdist.models.intensity import IntensityProfile

TILE = 8  # pixels along an edge of a tile that shares a list of grains
LISTED = 24  # grains of lowest cost at the middle of a tile, the candidates for its pixels
REACH = 1.7  # mean spacings from the window within which seeds can have a share in it
RIM = 1.6  # further mean spacings, which contain the neighbours of these seeds
ENTRIES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))  # entries of a symmetric matrix in the order of storage
_COUNTED, _CUT = np.uint8(1), np.uint8(2)
_TRIES = 200  # tried positions of a window before its section counts as too small

_jit = kernel(error_model="numpy")


@dataclass(frozen=True, eq=False)
class Places:
    """The positions of windows, and their counted pixels.

    Attributes
    ----------
    centres : ndarray of float64, shape (b, 2)
        Centres of the windows.
    counted : ndarray of bool, shape (b, n, n)
        Whether pixels are far enough inside the measured particle.
    """

    centres: np.ndarray
    counted: np.ndarray

    def __len__(self) -> int:
        return len(self.centres)

    def __getitem__(self, rows: np.ndarray | slice) -> "Places":
        return Places(self.centres[rows], self.counted[rows])

    @property
    def size(self) -> int:
        """Pixels along an edge of a window."""
        return int(self.counted.shape[1])


@dataclass(frozen=True, eq=False)
class Seeds:
    """The seeds around each window of a batch, one window after the other.

    Attributes
    ----------
    near : ndarray of float64, shape (n, 3)
        Seeds that can have a share in their window.
    starts : ndarray of int64, shape (b + 1,)
        Row of the first seed of each window.
    inputs : ndarray of float32, shape (n, 63)
        Inputs of the net for each seed: displacements of the nearest seeds in the grain's frame and their noises
        (Algorithm 1), the distance from the centre, and the grain's own noises.
    frames : ndarray of float64, shape (n, 3, 3)
        Q of Eq. (12).
    """

    near: np.ndarray
    starts: np.ndarray
    inputs: np.ndarray
    frames: np.ndarray


def seeds_around(places: Places, intensity: float | IntensityProfile, generator: np.random.Generator) -> Seeds:
    """Draw the Poisson seeds around windows, with the inputs of the net.

    If the intensity varies, seeds are drawn with its greatest value around a window, then thinned.

    Parameters
    ----------
    places : Places
    intensity : float or IntensityProfile
        Seeds per cubed pixel.
    generator : numpy.random.Generator
    """
    near, everything, neighbours, own, starts, known = [], [], [], [], [0], 0
    for centre in places.centres:
        middle, half = np.array([*centre, 0.0]), np.array([places.size / 2, places.size / 2, 0.0])
        lowest, highest = _intensities(intensity, centre, places.size)
        spacing = lowest ** (-1 / 3)
        reach, rim = REACH * spacing, (REACH + RIM) * spacing
        extent = 2 * (half + rim)
        count = max(int(generator.poisson(highest * extent.prod())), NET_NEIGHBOURS + 1)
        offsets = extent * (generator.random((count, 3)) - 0.5)
        if isinstance(intensity, IntensityProfile):
            offsets = offsets[_thinned(intensity, highest, middle + offsets, generator)]
            count = len(offsets)
        inside = (np.abs(offsets) <= half + reach).all(axis=1)
        points = middle + np.concatenate([offsets[inside], offsets[~inside]])
        m = int(inside.sum())
        rows = (
            cKDTree(points).query(points[:m], NET_NEIGHBOURS + 1)[1][:, 1:] if m else np.empty((0, NET_NEIGHBOURS), int)
        )
        near.append(points[:m])
        everything.append(points)
        neighbours.append(rows + known)
        own.append(known + np.arange(m))
        starts.append(starts[-1] + m)
        known += count
    first = np.concatenate(near)
    itself, nearest = np.concatenate(own), np.concatenate(neighbours)
    frames, inputs = net_inputs(first, np.concatenate(everything), itself, nearest, generator)
    return Seeds(first, np.array(starts), inputs, frames)


def _intensities(intensity: float | IntensityProfile, centre: np.ndarray, size: int) -> tuple[float, float]:
    """Return the least and the greatest intensity around a window."""
    if not isinstance(intensity, IntensityProfile):
        return intensity, intensity
    away = math.hypot(*centre)
    beyond = size / math.sqrt(2) + (REACH + RIM) * intensity.lowest ** (-1 / 3)
    return intensity.between(max(away - beyond, 0.0), away + beyond)


def _thinned(
    intensity: IntensityProfile, highest: float, points: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return which points of a process with the highest intensity are kept by thinning; at least 13."""
    share = np.minimum(intensity.at(np.sqrt((points**2).sum(axis=1))) / highest, 1.0)
    stays = generator.random(len(points)) < share
    if stays.sum() <= NET_NEIGHBOURS:
        stays[: NET_NEIGHBOURS + 1] = True
    return stays


def net_inputs(
    seeds: np.ndarray, everything: np.ndarray, own: np.ndarray, neighbours: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return frames and inputs of Algorithm 1, with turns and noises drawn.

    Parameters
    ----------
    seeds : ndarray of float64, shape (n, 3)
    everything : ndarray of float64, shape (m, 3)
        All seeds that have noise.
    own : ndarray of int, shape (n,)
        Rows of the seeds themselves in `everything`.
    neighbours : ndarray of int, shape (n, 12)
        Rows of the nearest seeds in `everything`, the nearest first.
    generator : numpy.random.Generator

    Returns
    -------
    frames : ndarray of float64, shape (n, 3, 3)
    inputs : ndarray of float32, shape (n, 63)
    """
    frames = radial_frames(seeds, math.pi * generator.random(len(seeds)))
    noise = generator.random((len(everything), 2))
    turned = np.einsum("nab,nkb->nka", frames, everything[neighbours] - seeds[:, None])
    heard = np.concatenate([turned, noise[neighbours]], axis=2).reshape(len(seeds), -1)
    distance = np.sqrt((seeds**2).sum(axis=1, keepdims=True))
    return frames, np.concatenate([heard, distance, noise[own]], axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Measured:
    """Fitted sections from which windows are cut.

    Attributes
    ----------
    labels : sequence of ndarray of int
        Grains of the sections, without missing pixels.
    tessellations : sequence of Tessellation2D
    pixel_size_nm : float
    depths : sequence of ndarray of float64
        Distance from the outside for each pixel of a section.
    centres_px : sequence of tuple of float
    margin : float
        Depth from which pixels count: the surface consists of whole grains, unlike in generated windows.
    """

    labels: Sequence[np.ndarray]
    tessellations: Sequence[Tessellation2D]
    pixel_size_nm: float
    depths: Sequence[np.ndarray]
    centres_px: Sequence[tuple[float, float]]
    margin: float

    @classmethod
    def of(cls, sections: Sequence[Section], tessellations: Sequence[Tessellation2D], margin: float) -> "Measured":
        """Return the measured data of sections and the tessellations fitted to them."""
        depths = [ndimage.distance_transform_edt(np.pad(s.mask, 1))[1:-1, 1:-1] for s in sections]
        centres = [s.centre_px for s in sections]
        return cls([s.labels for s in sections], tessellations, sections[0].pixel_size_nm, depths, centres, margin)

    def windows(self, count: int, size: int, generator: np.random.Generator) -> tuple[Places, np.ndarray]:
        """Cut windows from the pixels of sections at random positions, which are all equally likely.

        The middle pixel of a window is counted; others may not be.

        Parameters
        ----------
        count, size : int
        generator : numpy.random.Generator

        Returns
        -------
        places : Places
        labels : ndarray of int64, shape (count, size, size)
            Grains, each in one window only; 0 outside.

        Raises
        ------
        ImageError
            If no section has room for a window.
        """
        centres, counted = np.empty((count, 2)), np.empty((count, size, size), bool)
        found, known = np.zeros((count, size, size), np.int64), 0
        room = [np.argwhere(depth > self.margin) for depth in self.depths]
        ends = np.cumsum([len(places) for places in room])
        if not ends[-1]:
            raise self._no_room(size)
        for k, place in enumerate(generator.integers(ends[-1], size=count)):
            section = int(np.searchsorted(ends, place, side="right"))
            first = room[section][place - ends[section]] - size // 2
            rows, columns = np.meshgrid(*(n + np.arange(size) for n in first), indexing="ij")
            centres[k] = first + (size - 1) / 2 - self.centres_px[section]
            counted[k] = _at(self.depths[section], rows, columns) > self.margin
            labels = _at(self.labels[section], rows, columns).astype(np.int64)
            found[k] = np.where(labels > 0, labels + known, 0)
            known = max(known, int(found[k].max()))
        return Places(centres, counted), found

    def digest(self) -> str:
        """Return the SHA-256 (hex) of pixels, centres and pixel size, which identifies the sections."""
        whole = hashlib.sha256(repr((self.pixel_size_nm, self.margin, self.centres_px)).encode())
        for labels in self.labels:
            whole.update(repr(labels.shape).encode() + np.ascontiguousarray(labels, "<i4").tobytes())
        return whole.hexdigest()

    def _no_room(self, size: int) -> ImageError:
        return ImageError(
            f"sections: found none with room for a window of {size} pixels, {self.margin:.0f} pixels from the outside"
        )

    def turned_windows(
        self, count: int, size: int, generator: np.random.Generator, augmentation: float = 0.0
    ) -> tuple[Places, Seeds, np.ndarray, np.ndarray]:
        """Cut windows from the fitted sections, rotated so that their centres lie on the first axis (T2D).

        All pixels of a window are counted.

        Parameters
        ----------
        count, size : int
        generator : numpy.random.Generator
        augmentation : float
            Largest share by which D and r of the tessellation are changed for each window.

        Returns
        -------
        places : Places
        seeds : Seeds
            Without inputs and frames.
        matrices : ndarray of float64, shape (n, 6)
        offsets : ndarray of float64, shape (n,)

        Raises
        ------
        ImageError
            If no section has room for a window.
        """
        distances, parts = np.empty(count), []
        for k in range(count):
            section, angle, distances[k] = self._place(size, generator)
            tessellation = self.tessellations[section]
            if augmentation:
                tessellation = tessellation.augmented(augmentation, generator)
            parts.append(_turned(tessellation, angle, self.pixel_size_nm))
        starts = np.concatenate([[0], np.cumsum([len(p[0]) for p in parts])])
        points, matrices, offsets = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        places = Places(np.column_stack([distances, 0 * distances]), np.ones((count, size, size), bool))
        return places, Seeds(points, starts, np.empty((0, 0), np.float32), np.empty((0, 3, 3))), matrices, offsets

    def _place(self, size: int, generator: np.random.Generator) -> tuple[int, float, float]:
        for _ in range(_TRIES):
            section = int(generator.integers(len(self.depths)))
            angle = 2 * math.pi * generator.random()
            p = generator.random() * math.hypot(*self.depths[section].shape) / 2  # may be beyond the particle
            if (_sampled(self.depths[section], self.centres_px[section], angle, p, size) > self.margin).all():
                return section, angle, p
        raise self._no_room(size)


def _sampled(depth: np.ndarray, centre: tuple[float, float], angle: float, p: float, size: int) -> np.ndarray:
    """Return the depths at the pixels of a window, 0 beyond the image."""
    along = p + np.arange(size) - (size - 1) / 2
    across = np.arange(size) - (size - 1) / 2
    cosine, sine = math.cos(angle), math.sin(angle)
    rows = np.rint(centre[0] + cosine * along[:, None] - sine * across).astype(int)
    columns = np.rint(centre[1] + sine * along[:, None] + cosine * across).astype(int)
    return _at(depth, rows, columns)


def _at(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the values at pixels, 0 beyond the image."""
    inside = (rows >= 0) & (rows < image.shape[0]) & (columns >= 0) & (columns < image.shape[1])
    found = np.zeros(rows.shape, image.dtype)
    found[inside] = image[rows[inside], columns[inside]]
    return found


def _turned(tessellation: Tessellation2D, angle: float, pixel_size_nm: float) -> tuple[np.ndarray, ...]:
    """Return seeds in the plane, matrices and offsets in pixels, rotated by minus the angle."""
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    seeds = np.zeros((len(tessellation.seeds_nm), 3))
    seeds[:, :2] = tessellation.seeds_nm @ turn.T / pixel_size_nm
    turned = turn @ tessellation.matrices() @ turn.T
    matrices = np.zeros((len(seeds), 6))
    for column, (a, b) in enumerate(ENTRIES):
        if b < 2:
            matrices[:, column] = turned[:, a, b]
    return seeds, matrices, tessellation.offsets_nm2 / pixel_size_nm**2


def ranked(places: Places, seeds: Seeds, matrices: np.ndarray, offsets: np.ndarray, count: int = 4) -> np.ndarray:
    """Return, for each pixel, the grains of lowest cost, the lowest first.

    Parameters
    ----------
    places : Places
    seeds : Seeds
    matrices : ndarray of float64, shape (n, 6)
    offsets : ndarray of float64, shape (n,)
    count : int
        Grains per pixel.

    Returns
    -------
    ndarray of int64, shape (b, n * n, count)
        Rows of the grains.
    """
    found = np.empty((len(places), places.size**2, count), np.int64)
    _rank(seeds.near, matrices, offsets, seeds.starts, places.centres, places.size, found)
    return found


def complete_grains(labels: np.ndarray, counted: np.ndarray, grains: int) -> tuple[np.ndarray, int]:
    """Return which grains lie entirely in the counted pixels of a window, and how many have a share in them.

    Parameters
    ----------
    labels : ndarray of int64, shape (b, n, n)
        Row of the grain of each pixel; each grain is in one window only.
    counted : ndarray of bool, shape (b, n, n)
    grains : int

    Returns
    -------
    complete : ndarray of bool, shape (grains,)
    visible : int
    """
    state = np.zeros(grains, np.uint8)
    _mark(labels, counted, state)
    return state == _COUNTED, int((state & _COUNTED > 0).sum())


@inlined
def _cost(seeds: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, i: int, x: float, y: float) -> float:
    d0, d1, d2 = x - seeds[i, 0], y - seeds[i, 1], -seeds[i, 2]
    m = matrices[i]
    square = m[0] * d0 * d0 + m[1] * d1 * d1 + m[2] * d2 * d2
    return square + 2.0 * (m[3] * d0 * d1 + m[4] * d0 * d2 + m[5] * d1 * d2) - offsets[i]


@inlined
def _push(costs: np.ndarray, rows: np.ndarray, cost: float, row: int) -> None:
    """Insert a grain into the list of those of lowest cost."""
    place = len(costs) - 1
    if cost < costs[place]:
        while place > 0 and costs[place - 1] > cost:
            costs[place], rows[place] = costs[place - 1], rows[place - 1]
            place -= 1
        costs[place], rows[place] = cost, row


@_jit
def _rank(
    seeds: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, starts: np.ndarray, centres: np.ndarray, size: int,
    found: np.ndarray,
) -> None:  # fmt: skip
    listed, list_costs = np.empty(LISTED, np.int64), np.empty(LISTED)
    costs = np.empty(found.shape[2])
    middle = (size - 1) / 2.0
    for b in range(len(centres)):
        first, last = starts[b], starts[b + 1]
        for top in range(0, size, TILE):
            for left in range(0, size, TILE):
                bottom, right = min(top + TILE, size), min(left + TILE, size)
                list_costs[:] = np.inf
                listed[:] = first
                x = centres[b, 0] + (top + bottom - 1) / 2.0 - middle
                y = centres[b, 1] + (left + right - 1) / 2.0 - middle
                for i in range(first, last):
                    _push(list_costs, listed, _cost(seeds, matrices, offsets, i, x, y), i)
                for r in range(top, bottom):
                    for c in range(left, right):
                        rows = found[b, r * size + c]
                        costs[:] = np.inf
                        rows[:] = first
                        x, y = centres[b, 0] + r - middle, centres[b, 1] + c - middle
                        for k in range(min(LISTED, last - first)):
                            _push(costs, rows, _cost(seeds, matrices, offsets, listed[k], x, y), listed[k])


@_jit
def _mark(labels: np.ndarray, counted: np.ndarray, state: np.ndarray) -> None:
    size = labels.shape[1]
    for b in range(len(labels)):
        for r in range(size):
            for c in range(size):
                i = labels[b, r, c]
                if not counted[b, r, c]:
                    state[i] |= _CUT
                    continue
                rim = r == 0 or c == 0 or r == size - 1 or c == size - 1
                rim = rim or not (
                    counted[b, r - 1, c] and counted[b, r + 1, c] and counted[b, r, c - 1] and counted[b, r, c + 1]
                )
                state[i] |= _COUNTED | _CUT if rim else _COUNTED
