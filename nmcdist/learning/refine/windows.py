"""Refine windows of a volume tile by tile: each tile is read with its rim, so the bytes do not depend on the tiles.

Beyond its faces, a volume is continued by its mirror image.
"""

import itertools
from collections.abc import Callable
from typing import Literal

import numpy as np

from nmcdist.bundle.superres import FACTOR
from nmcdist.learning.refine.labels import drawn, likeliest
from nmcdist.learning.refine.net import Net
from nmcdist.models.fields import TAPS, mixture_of, noise_sites
from nmcdist.threads import thread_map

TILE = 32  # voxels of the volume along an edge
Span = tuple[int, int]
Box = tuple[Span, Span, Span]
How = Literal["likeliest", "drawn"]


def refined(
    net: Net, read: Callable[[Box], np.ndarray], shape: tuple[int, ...], window: Box, how: How, seed: int, index: int,
    tile: int = TILE,
) -> np.ndarray:  # fmt: skip
    """Return the labels of a window of a volume in voxels of half the edge.

    Parameters
    ----------
    net : Net
    read : callable
        Returns the labels 0, 1, ... of a box of the volume, as uint8.
    shape : tuple of int
        Voxels of the volume.
    window : Box
        Voxels of the result, (start, stop) along z, y, x.
    how : {"likeliest", "drawn"}
    seed, index : int
        Key of what is drawn.
    tile : int
        Longest edge in voxels of the volume of what is in memory at a time.

    Returns
    -------
    ndarray of uint8
    """
    z, y, x = ((start // FACTOR, -(-stop // FACTOR)) for start, stop in window)
    coarse = with_rim(read, shape, (z, y, x), net.reach)
    out = np.empty([stop - start for start, stop in window], np.uint8)

    def fill(box: Box) -> None:
        part = tuple(
            slice(a - w, b - w + 2 * net.reach) for (a, b), (w, _) in zip(box, (z, y, x), strict=True)
        )  # fmt: skip
        origin = tuple(FACTOR * a for a, _ in box)
        labels = _labels(net, net.scores(coarse[part]), how, seed, index, (origin[0], origin[1], origin[2]))
        inside, there = [], []
        for (a, b), (start, stop) in zip(box, window, strict=True):
            first, last = max(FACTOR * a, start), min(FACTOR * b, stop)
            inside.append(slice(first - FACTOR * a, last - FACTOR * a))
            there.append(slice(first - start, last - start))
        out[tuple(there)] = labels[tuple(inside)]

    thread_map(fill, _tiles((z, y, x), tile))
    return out


def refined_bytes(net: Net, window: tuple[int, ...], threads: int, tile: int = TILE) -> float:
    """Return the bytes that refining a window needs besides its voxels: the volume with its rim, and tiles.

    Parameters
    ----------
    net : Net
    window : tuple of int
        Voxels of the result along z, y, x.
    threads : int
    tile : int
        As of :func:`refined`.
    """
    coarse = [n / FACTOR + 1 + 2 * net.reach for n in window]
    edges = [min(n, tile + 2 * net.reach) for n in coarse]
    values = 4.0 * net.channels * edges[0] * edges[1] * edges[2]
    fine = FACTOR * min(tile, max(coarse))
    sites = noise_sites(mixture_of([net.correlation_nm], [1.0]), fine * net.fine_voxel_nm) + TAPS
    per_voxel = 4.0 * (2 * len(net.phases) + 2)  # scores, scores in space, the field, labels
    return 2.0 * coarse[0] * coarse[1] * coarse[2] + threads * (values + 8.0 * sites**3 + per_voxel * fine**3)


def with_rim(read: Callable[[Box], np.ndarray], shape: tuple[int, ...], box: Box, rim: int) -> np.ndarray:
    """Return a box of a volume with a rim, in which the volume is mirrored at its faces."""
    places = [_folded(np.arange(start - rim, stop + rim), n) for (start, stop), n in zip(box, shape, strict=True)]
    z, y, x = ((int(at.min()), int(at.max()) + 1) for at in places)
    found = read((z, y, x))
    return np.asarray(found[np.ix_(*(at - low for at, (low, _) in zip(places, (z, y, x), strict=True)))])


def _folded(places: np.ndarray, length: int) -> np.ndarray:
    """Return the voxels that places beyond the faces mirror: -1 is 0, -2 is 1, and so on."""
    places = places % (2 * length)
    return np.asarray(np.minimum(places, 2 * length - 1 - places))


def _labels(net: Net, scores: np.ndarray, how: How, seed: int, index: int, origin: tuple[int, int, int]) -> np.ndarray:
    if how == "likeliest":
        return likeliest(scores)
    return drawn(scores, net.correlation_nm, net.fine_voxel_nm, seed, index, origin)


def _tiles(box: Box, edge: int) -> list[Box]:
    z, y, x = ([(a, min(a + edge, stop)) for a in range(start, stop, edge)] for start, stop in box)
    return list(itertools.product(z, y, x))
