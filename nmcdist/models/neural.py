"""Neural generator: a net of convolutions that turns white noise into phases, in any window of one endless volume.

The noise is keyed by position and the convolutions are valid, so each voxel is a function of the seed and of its place:
windows agree bit for bit. Coarser levels have voxels twice as long, aligned with voxel 0 of the volume, and are
repeated towards the finer ones.

The idea of training such a net on sections alone: Kench and Cooper, Nat. Mach. Intell. 3 (2021) 299, SliceGAN.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, NeuralParameters, resolved
from nmcdist.bundle.nets import LAYERS, Level, levels_of
from nmcdist.geometry.convolution import convolved, repeated
from nmcdist.jit import kernel
from nmcdist.models import streams
from nmcdist.models.cba import check_window
from nmcdist.models.reconstruction import arrays_of, check_voxel_size
from nmcdist.threads import thread_map

MARGIN = LAYERS  # voxels that the layers of a level take from each side
_BLOCK = 64  # voxels along an edge of a block of work
_TILE = 16  # sites along an edge of a tile of noise

Place = tuple[int, int, int]
Noise = Callable[[int, Place, Place], np.ndarray]


@dataclass(frozen=True, eq=False)
class Net:
    """The layers of a neural generator.

    Attributes
    ----------
    levels : list of Level
        Numbers of channels, the finest level first.
    layers : list of list of (ndarray, ndarray)
        Weights and bias of each convolution, by level.
    out : (ndarray, ndarray)
        Weights and bias that turn channels into scores.
    """

    levels: list[Level]
    layers: list[list[tuple[np.ndarray, np.ndarray]]]
    out: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, bundle: Bundle) -> "Net":
        """Return the net of a bundle; BundleError if it was read without its arrays."""
        arrays = {name: np.asarray(array, dtype=np.float32) for name, array in arrays_of(bundle).items()}
        levels = levels_of({name: array.shape for name, array in arrays.items()})
        layers = [[(arrays[f"weight_{level}_{k}"], arrays[f"bias_{level}_{k}"]) for k in range(LAYERS)]
                  for level in range(len(levels))]  # fmt: skip
        return cls(levels, layers, (arrays["weight_out"], arrays["bias_out"]))

    def scores(self, low: Place, shape: Place, noise: Noise) -> np.ndarray:
        """Return the scores of the phases in a window.

        Parameters
        ----------
        low, shape : tuple of int
            First voxel, and number of voxels.
        noise : callable
            Level, first site and number of sites -> noise, shape (noises, nz, ny, nx).

        Returns
        -------
        ndarray of float32, shape (phases, nz, ny, nx)
        """
        return convolved(self._channels(0, low, shape, noise), *self.out, rectified=False)

    def _channels(self, level: int, low: Place, shape: Place, noise: Noise) -> np.ndarray:
        first, size = widened(low, shape)
        image = noise(level, first, size)
        if level + 1 < len(self.levels):
            start, count = coarser(first, size)
            above = repeated(self._channels(level + 1, start, count, noise), (2, 2, 2))
            cut = tuple(slice(a - 2 * b, a - 2 * b + n) for a, b, n in zip(first, start, size, strict=True))
            image = np.concatenate([image, above[:, *cut]])
        for weights, bias in self.layers[level]:
            image = convolved(image, weights, bias)
        return image


def widened(low: Place, shape: Place) -> tuple[Place, Place]:
    """Return first voxel and shape of what the layers of a level need for a window."""
    (z, y, x), (nz, ny, nx) = low, shape
    more = 2 * MARGIN
    return (z - MARGIN, y - MARGIN, x - MARGIN), (nz + more, ny + more, nx + more)


def coarser(low: Place, shape: Place) -> tuple[Place, Place]:
    """Return first voxel and shape of the coarser level that covers a window."""
    start = [a // 2 for a in low]
    count = [(a + n - 1) // 2 - s + 1 for a, n, s in zip(low, shape, start, strict=True)]
    return (start[0], start[1], start[2]), (count[0], count[1], count[2])


def generate_neural(
    bundle: Bundle | str | Path,
    shape: tuple[int, int, int],
    voxel_size_nm: float,
    seed: int,
    index: int = 0,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Draw a window of a realisation of the neural generator.

    Overlapping windows agree bit for bit.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A bundle of model "neural", with its arrays.
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size_nm : float
        Voxel edge in nm, which must be that of the bundle.
    seed, index : int
        Numbers that identify the realisation.
    origin : tuple of int
        Absolute index (z, y, x) of the window's first voxel; may be negative.

    Returns
    -------
    ndarray of uint8, shape `shape`
        The phase with the highest score, the first of equal ones.

    Raises
    ------
    InputError
        If an argument has an impossible value.
    BundleError
        If the bundle cannot be loaded or is of another model.
    """
    shape, origin, voxel_size_nm = check_window(shape, origin, voxel_size_nm)
    bundle = resolved(bundle)
    check_voxel_size(voxel_size_nm, bundle.parameters_as(NeuralParameters).voxel_size_nm)
    seed, index = streams.check_key(seed, index)
    net = Net.of(bundle)
    volume = np.empty(shape, dtype=np.uint8)

    def noise(level: int, low: Place, size: Place) -> np.ndarray:
        return white_noise(seed, index, level, net.levels[level].noises, low, size)

    def draw(block: tuple[slice, ...]) -> None:
        z, y, x = block
        start = (origin[0] + z.start, origin[1] + y.start, origin[2] + x.start)
        size = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
        _choose(net.scores(start, size, noise), volume[block])

    thread_map(draw, product(*([slice(a, min(a + _BLOCK, n)) for a in range(0, n, _BLOCK)] for n in shape)))
    return volume


def white_noise(seed: int, index: int, level: int, noises: int, low: Place, shape: Place) -> np.ndarray:
    """Return standard normal noise at the sites [low, low + shape) of a level, float32 of shape (noises, *shape)."""
    noise = np.empty((noises, *shape), dtype=np.float32)
    first = np.array(low)
    high = first + np.array(shape)
    for tile in streams.tiles_covering(first, high - 1, _TILE):
        corner = np.array(tile) * _TILE
        start, stop = np.maximum(corner, first), np.minimum(corner + _TILE, high)
        drawn = streams.draws(seed, streams.NEURAL, index, level, *tile).normal32(noises, *(_TILE,) * 3)
        here = tuple(slice(a, b) for a, b in zip(start - first, stop - first, strict=True))
        there = tuple(slice(a, b) for a, b in zip(start - corner, stop - corner, strict=True))
        noise[:, *here] = drawn[:, *there]
    return noise


def reach(bundle: Bundle) -> int:
    """Return the edge in voxels of the largest box of sites that the label of a voxel may depend on."""
    levels = len(levels_of({name: record.shape for name, record in bundle.array_records.items()}))
    widest = 0
    for place in range(2 ** (levels - 1)):  # in the blocks of the coarsest level
        low, shape = (place,) * 3, (1, 1, 1)
        for level in range(levels):
            low, shape = widened(low, shape)
            widest = max(widest, shape[0] << level)
            low, shape = coarser(low, shape)
    return widest


def draw_bytes(shapes: Mapping[str, Sequence[int]], shape: tuple[int, ...], threads: int) -> float:
    """Return the bytes needed to draw a window besides its voxels: the channels of the levels of a block per thread.

    Parameters
    ----------
    shapes : dict of str to sequence of int
        Shapes of the arrays of the bundle.
    shape : tuple of int
        Voxels of the window.
    threads : int
    """
    edges, needed = [min(n, _BLOCK) for n in shape], 0.0
    for level in levels_of(shapes):
        edges = [n + 2 * MARGIN for n in edges]
        # The input twice while it is joined, a tile row of noise, and both layers.
        needed += 4.0 * math.prod(edges) * (2 * level.noises + 3 * level.coarser + sum(level.channels))
        edges = [n // 2 + 1 for n in edges]
    return threads * needed


@kernel
def _choose(scores: np.ndarray, labels: np.ndarray) -> None:
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                best = 0
                for c in range(1, scores.shape[0]):
                    if scores[c, z, y, x] > scores[best, z, y, x]:
                        best = c
                labels[z, y, x] = best
