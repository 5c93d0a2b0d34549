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


def survey(image: Image, *, is_scanned: bool = False) -> Survey:
    """Read an image once, plane by plane.

    Parameters
    ----------
    image : Image
    is_scanned : bool
        Whether each plane along z is a scan of its own, so that a blank one between others was lost.

    Raises
    ------
    ImageError
        If a voxel is not a finite number, two neighbouring planes are equal, all voxels are, or a scan was lost.
    """
    digest = hashlib.sha256(f"{image.dtype.str} {image.shape} {image.voxel_size_nm}".encode())
    low, high, found, order = np.inf, -np.inf, np.array([], image.dtype), _Order(image, is_scanned)
    per_slab = max(1, _SLAB_BYTES // max(1, image.dtype.itemsize * image.shape[1] * image.shape[2]))
    for start in range(0, image.shape[0], per_slab):
        slab = image.read(slice(start, start + per_slab))
        if slab.dtype.kind == "f" and not np.isfinite(slab).all():
            z = start + int(np.argmin(np.isfinite(slab).all(axis=(1, 2))))
            raise ImageError(f"{image.path}: plane {z} along z: found values that are not finite numbers")
        if slab.dtype.kind == "f" and abs(slab).max() > _LARGEST:
            raise ImageError(f"{image.path}: found the value {abs(slab).max():g}, expected at most {_LARGEST:g}")
        for number, plane in enumerate(slab, start):
            digest.update(order.checked(number, plane))
        low, high = min(low, float(slab.min())), max(high, float(slab.max()))
        if len(found) <= _MOST_LABELS:
            found = np.union1d(found, np.unique(slab))
    if low == high:
        raise ImageError(f"{image.path}: all voxels have the value {low:g}, expected an image")
    values = tuple(map(float, found)) if len(found) <= _MOST_LABELS else ()
    return Survey(digest.hexdigest(), low, high, values)


@dataclass
class _Order:
    """Planes in their order; `blank` is the first one without contrast after others with it."""

    image: Image
    is_scanned: bool
    before: bytes = b""
    has_begun: bool = False
    blank: int | None = None

    def checked(self, number: int, plane: np.ndarray) -> bytes:
        """Return the bytes of the next plane; refuse it if it is repeated, or planes before it were lost."""
        content = np.ascontiguousarray(plane).tobytes()
        if plane.min() == plane.max():  # planes beside what is imaged may be empty
            if self.has_begun and self.blank is None:
                self.blank = number
        elif content == self.before:
            raise ImageError(f"{self.image.path}: planes {number - 1} and {number} along z are equal: one is repeated")
        elif self.is_scanned and self.blank is not None:
            lost = f"plane {self.blank}" if self.blank == number - 1 else f"planes {self.blank} to {number - 1}"
            raise ImageError(
                f"{self.image.path}: {lost} along z: found one value in the whole plane, expected a scanned slice; "
                "put an interpolated one in its place, or cut the stack there"
            )
        else:
            self.has_begun = True
        self.before = content
        return content
