"""Counts of an image of labels, block by block: voxels, pairs by lattice vector, configurations of graphite.

Everything that is fitted is a ratio of sums of these whole numbers over the blocks, so an image is read in boxes and
never needs to be whole in memory, and the blocks say how much the sums scatter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from nmcdist.calibration.boxes import Box, widened
from nmcdist.calibration.cba.bits import all_pairs, pair_counts
from nmcdist.calibration.cba.lags import LONGEST_NM, Lags, lattice_lags
from nmcdist.calibration.spread import Spread
from nmcdist.descriptors.intrinsic import counts_of_block
from nmcdist.errors import ImageError
from nmcdist.images import Image
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE
from nmcdist.wording import shown

PHASE_LABELS = {"pore": PORE, "carbon_binder": CARBON_BINDER, "graphite": GRAPHITE}
BLOCK_NM = 1000.0  # of a block along z and y; along x it is as long as the piece that is read
_LARGEST_CORE = 200  # voxels along an edge of the piece that is read at a time, without its surroundings
_UNKNOWN = 255
PIECE_BYTES = 600_000_000  # of a piece with its surroundings


@dataclass(frozen=True)
class Counts:
    """Counts of the blocks of one image or of several.

    Attributes
    ----------
    lags : Lags
    voxel_size_nm : tuple of float
    shapes : tuple of tuple of int
        Voxels of each image.
    voxels : ndarray of int64, shape (blocks, 3)
        Voxels of pore, carbon binder and graphite.
    pairs : ndarray of int64, shape (blocks, 4, vectors)
        Pairs with both ends in the carbon binder; both outside graphite; both in graphite; and all pairs.
    configurations : ndarray of int64, shape (blocks, 256)
        Configurations of 2x2x2 voxels of the graphite.
    """

    lags: Lags
    voxel_size_nm: tuple[float, float, float]
    shapes: tuple[tuple[int, int, int], ...]
    voxels: np.ndarray
    pairs: np.ndarray
    configurations: np.ndarray

    @property
    def volume_nm3(self) -> float:
        """Volume of all images."""
        return float(self.voxels.sum() * np.prod(self.voxel_size_nm))

    @property
    def block_nm(self) -> tuple[float, float, float]:
        """Mean edges of a block along z, y, x, if blocks are cubes in z and y."""
        size, along = self.voxel_size_nm, _LARGEST_CORE * self.voxel_size_nm[2]
        x = float(np.mean([min(along, n * size[2] / 2) for _, _, n in self.shapes]))
        area = self.volume_nm3 / len(self.voxels) / x
        return area**0.5, area**0.5, x

    @property
    def edges_nm(self) -> list[tuple[float, float, float]]:
        """Edges of each image along z, y, x."""
        size = self.voxel_size_nm
        return [(z * size[0], y * size[1], x * size[2]) for z, y, x in self.shapes]


def count_images(
    images: Sequence[Image],
    phases: Mapping[str, int] = PHASE_LABELS,
    longest_nm: float = LONGEST_NM,
    spread: Spread = map,
) -> Counts:
    """Count the blocks of images of labels with the same voxels, as one sample.

    Parameters
    ----------
    images : sequence of Image
    phases : mapping of str to int
        Value in the images of "pore", "carbon_binder" and "graphite".
    longest_nm : float
        Longest lag.
    spread : callable
        Like the builtin `map`: applies a function to items, and yields results in order.

    Raises
    ------
    ImageError
        If the voxels differ, an image holds other values, is too small, or lacks a phase altogether.
    """
    size = images[0].voxel_size_nm
    for image in images:
        if image.voxel_size_nm != size:
            raise ImageError(
                f"{image.path}: found voxels of {shown(image.voxel_size_nm)} nm, expected {shown(size)} nm as in "
                f"{images[0].path}"
            )
    z, y, x = (min(image.shape[axis] for image in images) for axis in range(3))
    lags = lattice_lags(size, (z, y, x), longest_nm)
    values = tuple(phases[name] for name in PHASE_LABELS)
    jobs = [(image, values, core, lags) for image in images for core in _cores(image.shape)]
    found = list(spread(_count_core, jobs))
    counts = Counts(lags, size, tuple(image.shape for image in images), *map(np.concatenate, zip(*found, strict=True)))
    _check_phases(images, counts)
    return counts


def pieces_of(images: Sequence[Image]) -> int:
    """Return the number of pieces in which images are counted."""
    return sum(len(_cores(image.shape)) for image in images)


def count_labels(labels: np.ndarray, voxel_size_nm: float, lags: Lags) -> Counts:
    """Count a realisation of the model, labels 0, 1 and 2, at the lattice vectors of another count."""
    size = (float(voxel_size_nm),) * 3
    shape: tuple[int, int, int] = labels.shape
    found = [_count_box(labels, core, lags, size) for core in _cores(shape)]
    return Counts(lags, size, (shape,), *map(np.concatenate, zip(*found, strict=True)))


def joined(parts: Sequence[Counts]) -> Counts:
    """Return the counts of several samples with the same lattice vectors as one."""
    blocks = ([getattr(part, name) for part in parts] for name in ("voxels", "pairs", "configurations"))
    shapes = tuple(shape for part in parts for shape in part.shapes)
    return Counts(parts[0].lags, parts[0].voxel_size_nm, shapes, *map(np.concatenate, blocks))


Counted = tuple[np.ndarray, np.ndarray, np.ndarray]  # voxels, pairs, configurations, by block


def _cores(shape: Sequence[int]) -> list[Box]:
    """Return the pieces that are read at a time; they tile an image, at least two along each axis."""
    cuts = []
    for n in shape:
        ends = np.linspace(0, n, max(2, -(-n // _LARGEST_CORE)) + 1).round().astype(int).tolist()
        cuts.append([slice(a, b) for a, b in pairwise(ends)])
    return [(z, y, x) for z, y, x in product(*cuts)]


def _cut(core: slice, edge_nm: float) -> list[tuple[int, int]]:
    """Return the begins and ends of blocks of about 1 um in a core."""
    n = core.stop - core.start
    number = min(max(1, round(n * edge_nm / BLOCK_NM)), n)
    return list(pairwise(np.linspace(core.start, core.stop, number + 1).round().astype(int).tolist()))


def _count_core(job: tuple[Image, tuple[int, ...], Box, Lags]) -> Counted:
    image, values, core, lags = job
    box, inside = widened(core, image.shape, lags.reach)
    labels = image.read(*box)
    phase = np.full(labels.shape, _UNKNOWN, dtype=np.uint8)
    for number, value in enumerate(values):
        phase[labels == value] = number
    if (phase == _UNKNOWN).any():
        wrong = labels[phase == _UNKNOWN][0]
        raise ImageError(
            f"{image.path}: found the value {wrong:g}, expected {values[0]}, {values[1]} and {values[2]} for pore, "
            "carbon binder and graphite (--phases)"
        )
    return _counted(phase, inside, lags, image.voxel_size_nm)


def _count_box(labels: np.ndarray, core: Box, lags: Lags, size: tuple[float, float, float]) -> Counted:
    box, inside = widened(core, labels.shape, lags.reach)
    return _counted(labels[box], inside, lags, size)


def _counted(labels: np.ndarray, core: Box, lags: Lags, size: tuple[float, float, float]) -> Counted:
    z, y, x = _cut(core[0], size[0]), _cut(core[1], size[1]), (core[2].start, core[2].stop)
    graphite = labels == GRAPHITE
    masks = (labels == CARBON_BINDER, ~graphite, graphite)
    pairs = [pair_counts(mask, z, y, x, lags.vectors) for mask in masks]
    pairs.append(all_pairs(labels.shape, z, y, x, lags.vectors))
    voxels, configurations = [], []
    for (z0, z1), (y0, y1) in product(z, y):
        voxels.append(np.bincount(labels[z0:z1, y0:y1, slice(*x)].ravel(), minlength=3))
        configurations.append(counts_of_block(graphite[z0 : z1 + 1, y0 : y1 + 1, x[0] : x[1] + 1]))
    by_block = np.stack(pairs, axis=2).reshape(-1, len(pairs), len(lags.vectors))
    return np.array(voxels, dtype=np.int64), by_block, np.array(configurations, dtype=np.int64)


def _check_phases(images: Sequence[Image], counts: Counts) -> None:
    totals = dict(zip(PHASE_LABELS, counts.voxels.sum(axis=0).tolist(), strict=True))
    where = images[0].path if len(images) == 1 else f"{len(images)} images"
    present = [name for name, number in totals.items() if number]
    if len(present) == 1:
        raise ImageError(f"{where}: found one phase, {present[0]}, expected pore, carbon_binder and graphite")
    for name, number in totals.items():
        if not number:
            raise ImageError(f"{where}: found no voxel of {name}, expected pore, carbon_binder and graphite")
