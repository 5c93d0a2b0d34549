"""Cubic voxels from those of a stack, whose slices are thicker than its pixels; in whole numbers, so exact."""

import numpy as np

from nmcdist.errors import ImageError, InputError
from nmcdist.images import Image

_CLOSE = 0.01  # by which edges of a cube may differ


def checked_factors(image: Image, cubic_nm: float | None) -> tuple[tuple[int, int, int], float]:
    """Return how many voxels along each axis make a cubic voxel, and its edge in nm.

    Parameters
    ----------
    image : Image
    cubic_nm : float, optional
        By default the longest edge of a voxel.

    Raises
    ------
    InputError
        If no whole number of voxels makes the edge, within 1 %.
    ImageError
        If the stack is smaller than one cubic voxel.
    """
    sizes = image.voxel_size_nm
    edge = max(sizes) if cubic_nm is None else cubic_nm
    factors = [round(edge / size) for size in sizes]
    if any(f < 1 or abs(f * size - edge) > _CLOSE * edge for f, size in zip(factors, sizes, strict=True)):
        raise InputError(
            f"cubic-nm: found {edge:g} nm for voxels of {sizes[0]:g} x {sizes[1]:g} x {sizes[2]:g} nm, expected "
            "a whole multiple of each edge"
        )
    z, y, x = factors
    if any(n < f for n, f in zip(image.shape, factors, strict=True)):
        raise ImageError(f"{image.path}: found shape {image.shape}, smaller than a cubic voxel of {edge:g} nm")
    return (z, y, x), float(edge)


def mean_in_cubes(values: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Return the rounded mean of values in each cube, half up.

    Parameters
    ----------
    values : ndarray of uint8, shape (nz, ny, nx)
        Whole cubes.
    factors : tuple of int
        Voxels of a cube along each axis.

    Returns
    -------
    ndarray of uint8
    """
    (a, p), (b, q), (c, r) = ((n // f, f) for n, f in zip(values.shape, factors, strict=True))
    sums = values.reshape(a, p, b, q, c, r).sum(axis=(1, 3, 5), dtype=np.int64)
    count = p * q * r
    means: np.ndarray = ((2 * sums + count) // (2 * count)).astype(np.uint8)
    return means


def voted_in_cubes(labels: np.ndarray, factors: tuple[int, int]) -> np.ndarray:
    """Return the label on which all labelled pixels of a square agree, else 0; pixels that fill no square are cut off.

    Parameters
    ----------
    labels : ndarray of int, shape (ny, nx)
        0 is not labelled.
    factors : tuple of int
    """
    (b, q), (c, r) = ((n // f, f) for n, f in zip(labels.shape, factors, strict=True))
    parts = labels[: b * q, : c * r].reshape(b, q, c, r)
    high = parts.max(axis=(1, 3))
    low = np.where(parts == 0, high[:, None, :, None], parts).min(axis=(1, 3))
    agreed: np.ndarray = np.where(low == high, high, 0)
    return agreed
