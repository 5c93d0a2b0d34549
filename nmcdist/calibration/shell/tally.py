"""Numbers kept for each pair of labels, in a table of open addresses: far fewer pairs than voxels."""

import numpy as np

from nmcdist.jit import Int, inlined

FREE = np.int64(-1)


def empty_keys(expected: int) -> np.ndarray:
    """Return a table for at least `expected` pairs, half empty then; its length is a power of two."""
    return np.full(1 << max(10, (2 * expected).bit_length()), FREE, np.int64)


@inlined
def slot(keys: np.ndarray, key: Int) -> Int:
    """Return where a key lies in a table that is not full, or the free place for it."""
    mask = len(keys) - 1
    at = ((key ^ (key >> 17)) * 2654435761 >> 7) & mask
    while keys[at] != key and keys[at] != FREE:
        at = (at + 1) & mask
    return at


def by_pair(keys: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of a table whose keys are first * width + second, sorted, and their places in the table."""
    used = np.flatnonzero(keys != FREE)
    used = used[np.argsort(keys[used])]
    return np.stack([keys[used] // width, keys[used] % width], axis=1), used
