"""What a file says of the image in it: the order of its axes and the size of its voxels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.images.spacing import Size

STRAYS = "ct"  # channels and times: axes for which programs take the slices of a stack
_STRAIGHT = 1e-4  # of a length: directions are written with a few digits


@dataclass(frozen=True)
class Said:
    """What a file says.

    Attributes
    ----------
    axes : str
        Its axes in order, such as "zyx", or "tyx" if it takes slices for times; "" if it does not say them.
    size : tuple of float or None
        Edges of a voxel in nm along z, y, x; of a planar image, that along z has no meaning.
    is_planar : bool
        Whether the image has two dimensions.
    is_turned : bool
        Whether its axes have other directions in space than z, y, x, such as those of a patient.
    """

    axes: str = ""
    size: Size | None = None
    is_planar: bool = False
    is_turned: bool = False


def is_turned(directions: Any) -> bool:
    """Return whether a matrix of directions, one row for each axis in the order x, y, z, is not that of x, y, z."""
    rows = np.asarray(directions, dtype=float)
    lengths = np.sqrt((rows**2).sum(axis=1))
    return not np.allclose(rows, lengths[:, None] * np.eye(*rows.shape), rtol=0, atol=_STRAIGHT * lengths.max())


def whole_shape(shape: tuple[int, ...], where: Path) -> tuple[int, int, int]:
    """Return a shape in three dimensions: a planar image is one layer of voxels.

    Raises
    ------
    ImageError
        If it has fewer than two dimensions or more than three.
    """
    if len(shape) not in (2, 3):
        raise ImageError(f"{where}: found shape {shape}, expected two or three dimensions")
    first, second, third = map(int, (1, *shape)[-3:])
    return first, second, third
