"""Pairs of voxels by lattice vector, counted 64 at a time: each phase is a row of bits, a shift joins the pair.

A pair has one end in a block and the other anywhere in the box around it, so the counts of the blocks of an image
add up to those of the image. Everything is whole numbers: no rounding.
"""

from collections.abc import Sequence

import numpy as np

from nmcdist.jit import Int, kernel

Cuts = Sequence[tuple[int, int]]  # begin and end of the blocks along an axis, one after the other

_BIT, _ONE, _TWO, _FOUR, _TOP = np.uint64(1), np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
_M1, _M2, _M4 = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
_SUM = np.uint64(0x0101010101010101)
_WORD = 64


def pair_counts(mask: np.ndarray, z: Cuts, y: Cuts, x: tuple[int, int], vectors: np.ndarray) -> np.ndarray:
    """Return how many pairs of voxels at each lattice vector lie in a phase, by the block of their first end.

    Parameters
    ----------
    mask : ndarray of bool, shape (nz, ny, nx)
        The phase in a box, which holds what the vectors reach from the blocks, as far as the image goes.
    z, y : sequence of (int, int)
        The blocks along z and y.
    x : (int, int)
        All blocks along x.
    vectors : ndarray of int64, shape (n, 3)

    Returns
    -------
    ndarray of int64, shape (blocks along z, blocks along y, n)
    """
    reach = int(np.abs(vectors[:, 2]).max())
    before = -(-reach // _WORD) + 1
    width = x[1] - x[0]
    words = 2 * before + -(-width // _WORD) + 1
    bits = _pack(np.ascontiguousarray(mask).view(np.uint8), _WORD * before - x[0], words)
    counts = np.zeros((len(z), len(y), len(vectors)), dtype=np.int64)
    _count(bits, _numbers(z), z[0][0], _numbers(y), y[0][0], width, before, vectors, counts)
    return counts


def all_pairs(shape: Sequence[int], z: Cuts, y: Cuts, x: tuple[int, int], vectors: np.ndarray) -> np.ndarray:
    """Return how many pairs at each lattice vector have the first end in each block and the second in the box."""

    def along(axis: int, cuts: Cuts) -> np.ndarray:
        v, ends = vectors[:, axis], np.array(cuts)[:, :, None]
        return np.asarray(np.clip(np.minimum(ends[:, 1], shape[axis] - v) - np.maximum(ends[:, 0], -v), 0, None))

    return np.asarray(along(0, z)[:, None] * along(1, y)[None] * along(2, [x])[None])


def _numbers(cuts: Cuts) -> np.ndarray:
    return np.repeat(np.arange(len(cuts)), [b - a for a, b in cuts])


@kernel
def _pack(mask: np.ndarray, offset: Int, words: Int) -> np.ndarray:
    """Return rows of bits; voxel x is bit x + offset of its row. Voxels that fall outside are not needed."""
    nz, ny, nx = mask.shape
    bits = np.zeros((nz, ny, words), np.uint64)
    first, last = max(0, -offset), min(nx, 64 * words - offset)
    for z in range(nz):
        for y in range(ny):
            for x in range(first, last):
                at = x + offset
                bits[z, y, at >> 6] |= np.uint64(mask[z, y, x]) << np.uint64(at & 63)
    return bits


@kernel
def _count(
    bits: np.ndarray, z_block: np.ndarray, z_first: Int, y_block: np.ndarray, y_first: Int, width: Int, before: Int,
    vectors: np.ndarray, counts: np.ndarray,
) -> None:  # fmt: skip
    words = (width + 63) // 64
    rest = width & 63
    last = (_BIT << np.uint64(rest)) - _BIT if rest else ~np.uint64(0)
    for v in range(len(vectors)):
        dz, dy, dx = vectors[v, 0], vectors[v, 1], vectors[v, 2]
        step = dx >> 6  # rounds down, also below zero
        low = np.uint64(dx - 64 * step)
        high = np.uint64(63) - low  # the shift by 64 - low in two parts, as a word cannot be shifted by 64
        for z in range(max(z_first, -dz), min(z_first + len(z_block), bits.shape[0] - dz)):
            for y in range(max(y_first, -dy), min(y_first + len(y_block), bits.shape[1] - dy)):
                found = np.uint64(0)
                for k in range(words):
                    i = before + k
                    word = bits[z + dz, y + dy, i + step] >> low
                    word |= (bits[z + dz, y + dy, i + step + 1] << high) << _ONE
                    word &= bits[z, y, i]
                    if k == words - 1:
                        word &= last
                    word = word - ((word >> _ONE) & _M1)
                    word = (word & _M2) + ((word >> _TWO) & _M2)
                    word = (word + (word >> _FOUR)) & _M4
                    found += (word * _SUM) >> _TOP
                counts[z_block[z - z_first], y_block[y - y_first], v] += np.int64(found)
