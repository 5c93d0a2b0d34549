"""Parts of an image of labelled particles: voxels of one label that are connected by faces, block by block."""

from functools import partial
from typing import Any

import numpy as np

from nmcdist.calibration.shell.blocks import EDGE, Arrays, Box, Readable, blocks, in_memory, renumber
from nmcdist.calibration.spread import Spread
from nmcdist.geometry.union_find import join, root
from nmcdist.jit import kernel


def occupied(
    labels: Readable, *, spread: Spread = map, arrays: Arrays = in_memory, edge: int = EDGE
) -> tuple[Any, int] | None:
    """Return where labels are above 0, an array of bool, and in how many voxels; None if a value is no label."""
    phase = arrays("phase", labels.shape, np.bool_)
    found = list(spread(partial(_occupy, labels, phase), blocks(labels.shape, edge)))
    return (phase, sum(count for count, _ in found)) if all(sound for _, sound in found) else None


def connected_parts(
    labels: Readable, *, spread: Spread = map, arrays: Arrays = in_memory, edge: int = EDGE
) -> tuple[Any, int]:
    """Return an array of the numbers of the parts, in the order of their first voxels, and how many there are.

    Parameters
    ----------
    labels : array, shape (nz, ny, nx)
        0 is the background. Read in boxes.
    spread : callable
        Applies a function to items as `map` does, in order.
    arrays : callable
        Makes the arrays.
    edge : int
        Of the blocks, in voxels.
    """
    cores = blocks(labels.shape, edge)
    own = arrays("divided", labels.shape, np.int32)
    firsts = [first for (first,) in spread(partial(_divide, labels, own), cores)]
    offsets = np.cumsum([0, *map(len, firsts)])
    number_of: dict[tuple[int, ...], int] = {core.low: number for number, core in enumerate(cores)}
    parent = np.arange(offsets[-1])
    for number, (core, found) in enumerate(zip(cores, spread(partial(_meet, labels, own), cores), strict=True)):
        for axis, pairs in enumerate(found):
            if len(pairs):
                before = number_of[(*core.low[:axis], core.low[axis] - edge, *core.low[axis + 1 :])]
                _join(parent, pairs + np.array([offsets[before], offsets[number]]) - 1)
    roots = _roots(parent)
    of_root = np.full(len(parent), np.iinfo(np.int64).max)
    np.minimum.at(of_root, roots, np.concatenate(firsts))
    order, place = np.unique(of_root[roots], return_inverse=True)
    numbers = np.split((place + 1).astype(np.int32), offsets[1:-1])
    parts = arrays("parts", labels.shape, np.int32)
    of_blocks = [np.append(np.int32(0), of) for of in numbers]
    list(spread(partial(renumber, own, parts), zip(cores, of_blocks, strict=True)))
    return parts, len(order)


def _occupy(labels: Readable, phase: Any, core: Box) -> tuple[int, bool]:
    values = np.asarray(labels[core.slices])
    phase[core.slices] = values > 0
    return int((values > 0).sum()), bool((values == np.floor(values)).all() and (values >= 0).all())


def _divide(labels: Readable, own: Any, core: Box) -> tuple[np.ndarray]:
    """Write the parts of a core; return the place of the first voxel of each in the image."""
    values = np.ascontiguousarray(labels[core.slices])
    parts = np.empty(values.shape, np.int32)
    _connect(values, np.arange(values.size, dtype=np.int32), parts)
    own[core.slices] = parts
    found, at = np.unique(parts, return_index=True)
    inside = np.unravel_index(at[found > 0], parts.shape)
    z, y, x = (place.astype(np.int64) + low for place, low in zip(inside, core.low, strict=True))
    return ((z * labels.shape[1] + y) * labels.shape[2] + x,)


def _meet(labels: Readable, own: Any, core: Box) -> list[np.ndarray]:
    """Return the parts of the block before along each axis, and those of a core, that are one across the face."""
    found = []
    for axis, low in enumerate(core.low):
        if low == 0:
            found.append(np.zeros((0, 2), np.int64))
            continue
        box = core.across(axis).slices
        values, parts = (np.moveaxis(np.asarray(array[box]), axis, 0) for array in (labels, own))
        same = (values[0] == values[1]) & (values[0] > 0)
        found.append(np.unique(parts[:, same].T.astype(np.int64), axis=0))
    return found


@kernel
def _join(parent: np.ndarray, pairs: np.ndarray) -> None:
    for k in range(len(pairs)):
        join(parent, pairs[k, 0], pairs[k, 1])


@kernel
def _roots(parent: np.ndarray) -> np.ndarray:
    found = np.empty_like(parent)
    for k in range(len(parent)):
        found[k] = root(parent, k)
    return found


@kernel
def _connect(labels: np.ndarray, parent: np.ndarray, parts: np.ndarray) -> None:
    nz, ny, nx = labels.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                label, here = labels[z, y, x], (z * ny + y) * nx + x
                if label == 0:
                    continue
                if z and labels[z - 1, y, x] == label:
                    join(parent, here, here - ny * nx)
                if y and labels[z, y - 1, x] == label:
                    join(parent, here, here - nx)
                if x and labels[z, y, x - 1] == label:
                    join(parent, here, here - 1)
    count = 0
    flat, out = labels.reshape(-1), parts.reshape(-1)
    for here in range(len(flat)):
        if flat[here] == 0:
            out[here] = 0
        elif parent[here] == here:
            count += 1
            out[here] = count
        else:
            out[here] = out[root(parent, here)]  # the root comes first, so it has its number
