"""Random streams with keys from their purpose, never from the order of calls.

All random numbers of a realisation belong to tiles of space. The key of a stream consists of seed, stream, index and
tile, so any window can be drawn by itself and agrees with every window that contains it.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from nmcdist.errors import InputError
from nmcdist.models.draws import Stream
from nmcdist.wording import shown

GRAPHITE = 1
LARGE_PORES = 2
FIELD = 3
SHELL = 4
SEEDS = 5
MARKERS = 6
ORIENTATIONS = 7
POINTS = 8  # scrambling of a Sobol sequence
PARTNERS = 9  # realisations that are drawn at several voxel sizes
PROPOSALS = 10  # of a campaign
FIBRES = 11
SPHERES = 12
PACKING = 13
ELECTRODE = 14
ELECTRODE_SHELLS = 15
ELECTRODE_TURNS = 16
LEVEL_CUT = 17
ANNEALING = 18
PATTERNS = 19
NEURAL = 20
REFINEMENT = 21  # labels drawn from the probabilities of a net

_TILE_ZERO = 2**31  # spawn keys are unsigned words: tile coordinates are stored with this offset


def check_key(seed: int, index: int) -> tuple[int, int]:
    """Return seed and index as plain integers, or raise InputError.

    Raises
    ------
    InputError
        If `seed` is not in [0, 2^64) or `index` is not in [0, 2^32).
    """
    for name, value, top in (("seed", seed, 2**64), ("index", index, 2**32)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < top:
            raise InputError(f"{name}: found {shown(value)}, expected an integer in [0, 2^{top.bit_length() - 1})")
    return int(seed), int(index)


def draws(seed: int, stream: int, index: int, *place: int) -> Stream:
    """Return one stream of one item at one place (scale, tile coordinates), with machine-independent laws."""
    return Stream(_key(seed, stream, index, *place))


def generator(seed: int, stream: int, index: int, *place: int) -> np.random.Generator:
    """Return NumPy's generator of a stream, for data outside datasets; its last digits differ between machines."""
    return np.random.Generator(np.random.Philox(_key(seed, stream, index, *place)))


def _key(seed: int, stream: int, index: int, *place: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(entropy=seed, spawn_key=(stream, index, *(part + _TILE_ZERO for part in place)))


def tiles_covering(low: np.ndarray, high: np.ndarray, side: float) -> Iterator[tuple[int, ...]]:
    """Yield the coordinates of the cubic tiles of a given side that meet the box [low, high]."""
    first = np.floor(np.asarray(low) / side).astype(int)
    last = np.floor(np.asarray(high) / side).astype(int)
    return product(*(range(a, b + 1) for a, b in zip(first, last, strict=True)))
