"""Boxes of voxels: an image is worked on in boxes, each read with what its filters reach."""

from collections.abc import Sequence
from itertools import pairwise, product

Box = tuple[slice, slice, slice]


def tiled(shape: Sequence[int], edges: Sequence[int]) -> list[Box]:
    """Return the boxes with given edges that tile an image, those at the far faces smaller."""
    cuts = [list(pairwise([*range(0, n, edge), n])) for n, edge in zip(shape, edges, strict=True)]
    return [(slice(*z), slice(*y), slice(*x)) for z, y, x in product(*cuts)]


def widened(box: Box, reach: Sequence[int], shape: Sequence[int]) -> tuple[Box, Box]:
    """Return a box with its surroundings in an image, and the place of the box in that."""
    wide = [slice(max(0, b.start - r), min(n, b.stop + r)) for b, r, n in zip(box, reach, shape, strict=True)]
    inner = [slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True)]
    return (wide[0], wide[1], wide[2]), (inner[0], inner[1], inner[2])
