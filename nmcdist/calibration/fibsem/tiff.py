"""Writing of stacks as ImageJ TIFF files with their voxel size."""

from pathlib import Path

import numpy as np


def write_stack(path: Path, stack: np.ndarray, voxel_size_nm: tuple[float, float, float] | None) -> None:
    """Write a stack of slices along z, one page each.

    Parameters
    ----------
    path : Path
    stack : ndarray of uint8, uint16 or float32, shape (nz, ny, nx)
    voxel_size_nm : tuple of float or None
        Along z, y, x; None if it is not known.
    """
    import tifffile

    metadata: dict[str, object] = {"axes": "ZYX"}
    resolution = None
    if voxel_size_nm is not None:
        z, y, x = (length / 1000 for length in voxel_size_nm)
        metadata |= {"spacing": z, "unit": "um"}
        resolution = (1 / x, 1 / y)
    tifffile.imwrite(path, np.ascontiguousarray(stack), imagej=True, resolution=resolution, metadata=metadata)
