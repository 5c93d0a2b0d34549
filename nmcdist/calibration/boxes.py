"""Boxes of voxels: an image is worked on in boxes, each read with what its filters reach."""

from collections.abc import Sequence
from itertools import pairwise, product

Box = tuple[slice, ...]


def tiled(shape: Sequence[int], edges: Sequence[int]) -> list[Box]:
    """Return the boxes with given edges that tile an image, those at the far faces smaller."""
    cuts = [list(pairwise([*range(0, n, edge), n])) for n, edge in zip(shape, edges, strict=True)]
    return [tuple(slice(*ends) for ends in box) for box in product(*cuts)]


def widened(box: Box, shape: Sequence[int], reach: int | Sequence[int]) -> tuple[Box, Box]:
    """Return a box with a rim that stays within a shape, and where the box lies in it."""
    widths = [reach] * len(box) if isinstance(reach, int) else reach
    wide = tuple(
        slice(max(0, part.start - by), min(n, part.stop + by)) for part, n, by in zip(box, shape, widths, strict=True)
    )
    inside = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, wide, strict=True))
    return wide, inside
