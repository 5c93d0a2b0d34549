"""Images that are segmented slice by slice: stacks, and single pictures, which need no voxel size."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.images import Image, open_image
from nmcdist.images.decoded import PICTURES
from nmcdist.images.slices import read_slice
from nmcdist.images.sources import reading
from nmcdist.images.tiff import SUFFIXES
from nmcdist.images.truncated import check_tiff
from nmcdist.inputs import local_path


@dataclass(frozen=True)
class Picture:
    """A grey picture of two dimensions, as a stack of one slice.

    Attributes
    ----------
    path : Path
    shape : tuple of int
        One slice, rows, columns.
    dtype : numpy.dtype
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    voxel_size_nm: None = None

    def read(self, z: slice = slice(None), y: slice = slice(None), x: slice = slice(None)) -> np.ndarray:
        """Return a box of pixels, shape (z, y, x); ImageError if the file is damaged."""
        return read_slice(self.path).reshape(self.shape)[z, y, x]


Pixels = Image | Picture


def open_pixels(path: Path, voxel_size_nm: Any = None, axes: str | None = None) -> Pixels:
    """Open a stack as :func:`open_image` does, or a TIFF or PNG file of a single picture.

    Raises
    ------
    ImageError
        As for :func:`open_image`, or if a picture holds no numbers.
    """
    where = local_path(path, ImageError)
    if where.is_file() and where.suffix.lower() in PICTURES:
        plane = read_slice(where)
        return Picture(where, (1, *plane.shape), plane.dtype)
    if where.is_file() and where.suffix.lower() in SUFFIXES:
        import tifffile

        with reading(where):
            check_tiff(where)
        with reading(where), tifffile.TiffFile(where) as file:
            shape = tuple(length for length in file.series[0].shape if length > 1)
            dtype = np.dtype(file.series[0].dtype)
        if len(shape) == 2:
            if dtype.kind not in "uif":
                raise ImageError(f"{where}: found values of type {dtype}, expected numbers")
            return Picture(where, (1, int(shape[0]), int(shape[1])), dtype)
    return open_image(where, voxel_size_nm, axes)
