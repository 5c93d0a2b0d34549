"""One pass over an image before work starts: its digest, and the faults that would spoil a fit."""

import hashlib
from dataclasses import dataclass

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.images.image import Image

_SLAB_BYTES = 64 << 20
_LARGEST = 1e30  # beyond it, products of grey values are not finite in single precision
_MOST_LABELS = 64  # values up to which an image counts as labelled


@dataclass(frozen=True)
class Survey:
    """What an image holds.

    Attributes
    ----------
    sha256 : str
        Of its voxels in the order z, y, x, its type, shape and voxel size.
    low, high : float
    values : tuple of float
        All values, if they are few, as in an image of labels; else empty.
    """

    sha256: str
    low: float
    high: float
    values: tuple[float, ...]


def survey(image: Image) -> Survey:
    """Read an image once, plane by plane.

    Raises
    ------
    ImageError
        If a voxel is not a finite number, two neighbouring planes are equal, or all voxels are.
    """
    digest = hashlib.sha256(f"{image.dtype.str} {image.shape} {image.voxel_size_nm}".encode())
    low, high, found, before = np.inf, -np.inf, np.array([], image.dtype), None
    per_slab = max(1, _SLAB_BYTES // max(1, image.dtype.itemsize * image.shape[1] * image.shape[2]))
    for start in range(0, image.shape[0], per_slab):
        slab = image.read(slice(start, start + per_slab))
        if slab.dtype.kind == "f" and not np.isfinite(slab).all():
            z = start + int(np.argmin(np.isfinite(slab).all(axis=(1, 2))))
            raise ImageError(f"{image.path}: plane {z} along z: found values that are not finite numbers")
        if slab.dtype.kind == "f" and abs(slab).max() > _LARGEST:
            raise ImageError(f"{image.path}: found the value {abs(slab).max():g}, expected at most {_LARGEST:g}")
        for number, plane in enumerate(slab, start):
            content = np.ascontiguousarray(plane).tobytes()
            if content == before and plane.min() != plane.max():  # planes beside what is imaged may be empty
                raise ImageError(f"{image.path}: planes {number - 1} and {number} along z are equal: one is repeated")
            before = content
            digest.update(content)
        low, high = min(low, float(slab.min())), max(high, float(slab.max()))
        if len(found) <= _MOST_LABELS:
            found = np.union1d(found, np.unique(slab))
    if low == high:
        raise ImageError(f"{image.path}: all voxels have the value {low:g}, expected an image")
    values = tuple(map(float, found)) if len(found) <= _MOST_LABELS else ()
    return Survey(digest.hexdigest(), low, high, values)
