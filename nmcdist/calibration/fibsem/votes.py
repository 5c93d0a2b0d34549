"""How pixels go down the trees of a forest: nodes as words of 64 bits, several pixels at once.

Here `forest` is a :class:`nmcdist.calibration.fibsem.forest.Forest`.
"""

from typing import Any

import numpy as np

from nmcdist.jit import kernel

_PIXELS = 64  # that go through one tree after another: their keys and the tree stay in the fastest memory
_FLIGHT = 8  # pixels that go down a tree together, so that none waits for the memory of another
MOST_FEATURES = 32  # a power of two that the compiler knows: addresses are sums of constants
_FEATURE_BITS = 8  # of a word; the child has 23, the key of the threshold 32


def words_of(forest: Any) -> np.ndarray:
    """Return key of the threshold, child and feature of each node in one word; leaves lead to themselves.

    Then all pixels take as many steps as the tree has levels, without asking whether they are there, and each step
    reads two places of memory.
    """
    is_leaf = forest.feature < 0
    bits = forest.threshold.view(np.int32)
    key = np.where(is_leaf, np.iinfo(np.int32).max, bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) + 2**31
    child = np.where(is_leaf, np.arange(len(is_leaf)), forest.child).astype(np.int64)
    low = (child << _FEATURE_BITS) | np.where(is_leaf, 0, forest.feature)
    words: np.ndarray = (key.astype(np.uint64) << np.uint64(32)) | low.astype(np.uint64)
    return words


def levels_of(forest: Any) -> np.ndarray:
    """Return the number of steps from the root of each tree to its deepest leaf."""
    level = np.zeros(len(forest.feature), np.int32)
    for node in np.flatnonzero(forest.feature >= 0):  # parents come before their children
        level[forest.child[node] : forest.child[node] + 2] = level[node] + 1
    return np.maximum.reduceat(level, forest.roots)


def shares_of_nodes(forest: Any) -> np.ndarray:
    """Return the share of each class in each node of a Forest, shape (c, n); 0 where a node is no leaf."""
    is_leaf = forest.feature < 0
    shares = np.where(is_leaf[:, None], forest.shares[np.where(is_leaf, forest.child, 0)], 0)
    return np.ascontiguousarray(shares.T)


@kernel
def _step(words: np.ndarray, node: np.uint64, keys: np.ndarray, pixel: np.uint64) -> np.uint64:
    """Return the next node of a pixel; all is unsigned, so no index is tested for being negative."""
    word = words[node]
    key = keys[pixel + (word & np.uint64(255))]
    return ((word >> np.uint64(_FEATURE_BITS)) & np.uint64(0x7FFFFF)) + np.uint64(key > (word >> np.uint64(32)))


@kernel
def vote(
    bits: np.ndarray, roots: np.ndarray, levels: np.ndarray, words: np.ndarray, shares: np.ndarray, out: np.ndarray
) -> None:
    """Take the features as the bits of float32; as keys they are unsigned integers in the same order."""
    classes, count = out.shape
    keys = np.zeros(_PIXELS * MOST_FEATURES, np.uint32)  # pixel after pixel
    nodes, sums = np.empty(_PIXELS, np.uint64), np.empty((classes, _PIXELS))
    for start in range(0, count, _PIXELS):
        pixels = min(_PIXELS, count - start)
        for f in range(bits.shape[0]):
            for i in range(pixels):
                bit = bits[f, start + i]
                keys[i * MOST_FEATURES + f] = np.uint32(bit ^ ((bit >> 31) & 0x7FFFFFFF)) ^ np.uint32(0x80000000)
        sums[:] = 0.0
        for t in range(len(roots)):
            for i in range(0, _PIXELS, _FLIGHT):
                pixel = np.uint64(i * MOST_FEATURES)
                a = b = d = e = g = h = k = m = np.uint64(roots[t])
                for _ in range(levels[t]):
                    a = _step(words, a, keys, pixel)
                    b = _step(words, b, keys, pixel + np.uint64(MOST_FEATURES))
                    d = _step(words, d, keys, pixel + np.uint64(2 * MOST_FEATURES))
                    e = _step(words, e, keys, pixel + np.uint64(3 * MOST_FEATURES))
                    g = _step(words, g, keys, pixel + np.uint64(4 * MOST_FEATURES))
                    h = _step(words, h, keys, pixel + np.uint64(5 * MOST_FEATURES))
                    k = _step(words, k, keys, pixel + np.uint64(6 * MOST_FEATURES))
                    m = _step(words, m, keys, pixel + np.uint64(7 * MOST_FEATURES))
                nodes[i], nodes[i + 1], nodes[i + 2], nodes[i + 3] = a, b, d, e
                nodes[i + 4], nodes[i + 5], nodes[i + 6], nodes[i + 7] = g, h, k, m
            for c in range(classes):
                for i in range(_PIXELS):
                    sums[c, i] += shares[c, nodes[i]]
        for c in range(classes):
            for i in range(pixels):
                out[c, start + i] = sums[c, i] / len(roots)
