"""The windows in which replicates are drawn: those of the images, or parts of them if they are large.

A replicate is drawn, counted and measured in one process of 2 GB, whatever the size of the images. Its errors are
those of a smaller sample then, and are scaled: see :func:`nmcdist.calibration.cba.plan.error_in`.
"""

import math
from collections.abc import Sequence

from nmcdist.errors import InputError

Shape = tuple[int, int, int]

LARGEST = 400**3  # voxels of a window
MOST = 8 * LARGEST  # voxels of all windows of a replicate
ENOUGH_NM3 = 8000.0**3  # volume of the windows that are parts of images: that of the reference


def windows(shapes: Sequence[Shape], voxel_size_nm: float, reach: Sequence[int]) -> tuple[Shape, ...]:
    """Return the windows of a replicate.

    Windows of at most 400^3 voxels stay as they are, up to eight times that number in all. Larger ones are cut, their
    longest edges first, and as many parts are taken as hold (8 um)^3.

    Parameters
    ----------
    shapes : sequence of (int, int, int)
        Of the images.
    voxel_size_nm : float
        Edge of a voxel.
    reach : sequence of int
        Voxels that the lattice vectors reach along z, y, x.

    Raises
    ------
    InputError
        If a window is too small for the lattice vectors.
    """
    found: list[Shape] = []
    enough = ENOUGH_NM3 / voxel_size_nm**3
    for shape in shapes:
        part = _within(shape)
        if any(n < 2 * r for n, r in zip(part, reach, strict=True)):
            raise InputError(
                f"bootstrap: found lags of {max(reach)} voxels, expected at most half of the edges of a window of "
                f"{' x '.join(map(str, part))} voxels: a smaller --max-lag-nm, or --bootstrap 0"
            )
        for number in range(math.prod(shape) // math.prod(part)):
            drawn = sum(map(math.prod, found))
            if drawn + math.prod(part) > MOST or (number and drawn >= enough):
                break
            found.append(part)
    return tuple(found)


def _within(shape: Shape) -> Shape:
    """Return the largest box of at most 400^3 voxels whose cut edges are equal and longer than the others."""
    if math.prod(shape) <= LARGEST:
        return shape
    kept = 1.0
    for number, edge in enumerate(sorted(shape)):
        longest = (LARGEST / kept) ** (1 / (3 - number))
        if edge > longest:
            break
        kept *= edge
    z, y, x = (min(n, math.floor(longest + 1e-9)) for n in shape)
    return z, y, x
