"""Writing of stacks as TIFF files with their voxel size: of ImageJ, or of OME if they are too large for that."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

_MOST_BYTES = 2 << 30  # of a file of ImageJ, whose pages have offsets of 32 bits


def write_stack(path: Path, stack: np.ndarray, voxel_size_nm: tuple[float, float, float] | None) -> None:
    """Write a stack of slices along z, one page each.

    Parameters
    ----------
    path : Path
    stack : ndarray of uint8, uint16 or float32, shape (nz, ny, nx)
    voxel_size_nm : tuple of float or None
        Along z, y, x; None if it is not known.
    """
    write_planes(path, np.ascontiguousarray(stack), stack.shape, stack.dtype, voxel_size_nm)


def write_planes(
    path: Path, planes: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype[Any],
    voxel_size_nm: tuple[float, float, float] | None,
) -> None:  # fmt: skip
    """Write the slices of a stack as they come.

    Parameters
    ----------
    path : Path
    planes : iterable of ndarray, shape (ny, nx)
    shape : tuple of int
        Of the stack.
    dtype : numpy.dtype
    voxel_size_nm : tuple of float or None
        Along z, y, x; None if it is not known.
    """
    import tifffile

    large = int(np.prod(shape)) * dtype.itemsize > _MOST_BYTES
    metadata: dict[str, object] = {"axes": "ZYX"}
    resolution = None
    if voxel_size_nm is not None and large:
        for axis, length in zip("ZYX", voxel_size_nm, strict=True):
            metadata |= {f"PhysicalSize{axis}": float(length), f"PhysicalSize{axis}Unit": "nm"}
    elif voxel_size_nm is not None:
        z, y, x = (length / 1000 for length in voxel_size_nm)
        metadata |= {"spacing": z, "unit": "um"}
        resolution = (1 / x, 1 / y)
    tifffile.imwrite(
        path, iter(planes), shape=shape, dtype=dtype, imagej=not large, ome=large, bigtiff=large,
        resolution=resolution, metadata=metadata,
    )  # fmt: skip
