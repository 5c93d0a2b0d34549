"""Connected pieces of a phase in an image that is worked on in boxes: small ones are removed, wherever boxes end.

Each box numbers its own pieces; the pairs that touch across a face are joined (union-find); then every box knows the
size of its pieces in the whole image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nmcdist.calibration.boxes import Box, tiled
from nmcdist.calibration.stages import Stage, Stages
from nmcdist.jit import kernel


class Mask(Protocol):
    """A phase that is read in boxes, as bool."""

    def __getitem__(self, box: Box) -> np.ndarray:
        """Return a box."""


@dataclass(frozen=True)
class Grid:
    """The voxels of an image, and the boxes in which it is worked on.

    Attributes
    ----------
    shape : tuple of int
    voxel_size_nm : tuple of float
    edges : tuple of int
        Of a box.
    """

    shape: tuple[int, int, int]
    voxel_size_nm: tuple[float, float, float]
    edges: tuple[int, int, int] = (128, 128, 128)


def without_small_pieces(stages: Stages, name: str, mask: Mask, grid: Grid, least: int | None, after: Any) -> Stage:
    """Return the stage of a phase without its small pieces, which are connected through faces.

    Parameters
    ----------
    stages : Stages
    name : str
        Of the stage; that of its numbered pieces is `name` with "-pieces".
    mask : Mask
        The phase.
    grid : Grid
    least : int or None
        Voxels of the smallest piece that stays; with None only the largest piece stays.
    after : object
        What the mask depends on, see :class:`Stages`.
    """
    how = (grid.shape, grid.edges)
    numbered = stages.boxes(
        f"{name}-pieces", partial(_numbered, mask), *how, "uint32", grid.voxel_size_nm, after
    )  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum([len(sizes) for sizes in numbered.facts])]).astype(np.int64)
    boxes = tiled(*how)
    pairs = [
        pair for found in stages.spread(partial(_touching, numbered.path), _faces(boxes, offsets)) for pair in found
    ]
    sizes = np.array([size for sizes in numbered.facts for size in sizes], np.int64)
    whole = _sizes_of_whole(sizes, np.array(pairs, np.int64).reshape(-1, 2))
    stays = whole >= (whole.max(initial=1) if least is None else least)
    keeps = {_corner(box): stays[offsets[k] : offsets[k + 1]] for k, box in enumerate(boxes)}
    return stages.boxes(
        name, partial(_kept, numbered.path, keeps), *how, "uint8", grid.voxel_size_nm, [numbered.key, least]
    )  # fmt: skip


def _numbered(mask: Mask, box: Box) -> tuple[np.ndarray, list[int]]:
    from scipy import ndimage

    pieces, count = ndimage.label(mask[box])
    return pieces.astype(np.uint32), np.bincount(pieces.reshape(-1), minlength=count + 1)[1:].tolist()


def _corner(box: Box) -> tuple[int, int, int]:
    return box[0].start, box[1].start, box[2].start


def _faces(boxes: Sequence[Box], offsets: np.ndarray) -> Iterator[tuple[Box, int, Box, int]]:
    """Yield the last plane of a box and the first of the next one along each axis, with their offsets."""
    by_corner = {_corner(box): k for k, box in enumerate(boxes)}
    for k, box in enumerate(boxes):
        for axis in range(3):
            corner = tuple(box[a].stop if a == axis else box[a].start for a in range(3))
            if corner in by_corner:
                other = by_corner[corner]
                end, start = slice(box[axis].stop - 1, box[axis].stop), slice(corner[axis], corner[axis] + 1)
                yield _at(box, axis, end), int(offsets[k]), _at(boxes[other], axis, start), int(offsets[other])


def _at(box: Box, axis: int, plane: slice) -> Box:
    z, y, x = (plane if a == axis else box[a] for a in range(3))
    return z, y, x


def _touching(path: Path, face: tuple[Box, int, Box, int]) -> list[tuple[int, int]]:
    """Return the pairs of numbers in the whole image that touch at a face."""
    import zarr

    array = zarr.open_array(path, mode="r")
    one, first, two, second = face
    a, b = np.asarray(array[one]).reshape(-1), np.asarray(array[two]).reshape(-1)
    both = (a > 0) & (b > 0)
    found = np.unique(np.stack([a[both], b[both]]), axis=1).astype(np.int64)
    return [(int(u) - 1 + first, int(v) - 1 + second) for u, v in found.T]


def _sizes_of_whole(sizes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the size of the whole that each piece belongs to."""
    parent = np.arange(len(sizes))
    _join(parent, pairs)
    total = np.zeros(len(sizes), np.int64)
    np.add.at(total, parent, sizes)
    return total[parent]


@kernel
def _join(parent: np.ndarray, pairs: np.ndarray) -> None:
    """Make every piece point to the first piece of its whole."""
    for k in range(len(pairs)):
        a, b = pairs[k]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        parent[max(a, b)] = min(a, b)
    for k in range(len(parent)):
        parent[k] = parent[parent[k]]


def _kept(path: Path, keeps: dict[tuple[int, int, int], np.ndarray], box: Box) -> tuple[np.ndarray, int]:
    import zarr

    pieces = np.asarray(zarr.open_array(path, mode="r")[box])
    kept = np.concatenate([[False], keeps[_corner(box)]])[pieces]
    return kept.astype(np.uint8), int(kept.sum())
