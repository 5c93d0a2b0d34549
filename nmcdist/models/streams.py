"""Random streams keyed by what they are for, never by the order of calls.

Everything random in a realisation hangs on a tile of space: its stream is keyed by seed, stream, index
and tile, so any window can be drawn alone and is the same in every window that holds it.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from nmcdist.errors import InputError

GRAPHITE = 1
LARGE_PORES = 2
FIELD = 3
SHELL = 4
SEEDS = 5
MARKERS = 6
ORIENTATIONS = 7

_TILE_ZERO = 2**31  # spawn keys are unsigned words: tile coordinates are stored with this offset


def check_key(seed: int, index: int) -> tuple[int, int]:
    """Return seed and index as plain integers, or raise.

    Raises
    ------
    InputError
        If `seed` is not in [0, 2^64) or `index` is not in [0, 2^32).
    """
    for name, value, top in (("seed", seed, 2**64), ("index", index, 2**32)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < top:
            raise InputError(f"{name}: found {value!r}, expected an integer in [0, 2^{top.bit_length() - 1})")
    return int(seed), int(index)


def generator(seed: int, stream: int, index: int, *place: int) -> np.random.Generator:
    """Return the generator of one stream of one item at one place (scale, tile coordinates)."""
    key = (stream, index, *(part + _TILE_ZERO for part in place))
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy=seed, spawn_key=key)))


def tiles_covering(low: np.ndarray, high: np.ndarray, side: float) -> Iterator[tuple[int, ...]]:
    """Yield the coordinates of the cubic tiles of a given side that meet the box [low, high]."""
    first = np.floor(np.asarray(low) / side).astype(int)
    last = np.floor(np.asarray(high) / side).astype(int)
    return product(*(range(a, b + 1) for a, b in zip(first, last, strict=True)))
