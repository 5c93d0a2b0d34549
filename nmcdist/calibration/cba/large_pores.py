"""Large pores in labels, and the slice on which they are marked (Figure A1 of the CBA paper).

A large pore is what open balls cover that hold no carbon binder and have at least the radius 2 / theta, twice the mean
of the fitted law. Balls as large as that hold 86 % of the volume of the large pores of the model. Graphite counts as
open: it lies over the other phases independently of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.calibration.cba.adequacy import labels_in
from nmcdist.calibration.cba.levels import middle_of
from nmcdist.errors import StoreError
from nmcdist.geometry.balls import cover_by_balls
from nmcdist.geometry.distance import squared_distance
from nmcdist.images import Image
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE

PICTURE = "slice.npz"
LARGE_PORE = 3  # label in a picture
SEEN = 400  # voxels along an edge of what is searched and shown
_RADII = 2.0  # of the mean radius


@dataclass(frozen=True)
class Picture:
    """A slice with large pores marked.

    Attributes
    ----------
    labels : ndarray of uint8, shape (ny, nx)
        0 pore, 1 carbon binder, 2 graphite, 3 large pore.
    voxel_size_nm : float
    cutout : tuple of int or None
        Begin and end along y and x of the cutout of the paper's route.
    """

    labels: np.ndarray
    voxel_size_nm: float
    cutout: tuple[int, int, int, int] | None = None

    def write(self, path: Path) -> None:
        """Write the file."""
        np.savez_compressed(
            path, labels=self.labels, voxel_size_nm=self.voxel_size_nm, cutout=np.array(self.cutout or (), dtype=int)
        )


def read_picture(folder: Path) -> Picture | None:
    """Read the slice of a calibration; None if there is none."""
    path = Path(folder) / PICTURE
    if not path.is_file():
        return None
    try:
        with np.load(path) as found:
            cutout = tuple(found["cutout"].tolist())
            return Picture(found["labels"], float(found["voxel_size_nm"]), cutout or None)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path}: cannot be read ({error}), expected the slice of a calibration") from None


def large_radius(theta_per_nm: float, voxel_size_nm: float) -> int:
    """Return the least radius of a large pore in voxels."""
    return max(1, round(_RADII / theta_per_nm / voxel_size_nm))


def mark_large_pores(labels: np.ndarray, radius: int) -> np.ndarray:
    """Return labels with the pores that balls of a radius in voxels cover as label 3."""
    distance2 = squared_distance(labels != CARBON_BINDER)
    if radius * radius > int(distance2.max()):  # it may not even be a number of their type
        return labels
    least = distance2.dtype.type(radius * radius)
    distance2[distance2 < least] = 0
    np.minimum(distance2, least, out=distance2)  # balls of the least radius cover what larger ones do
    return np.where((cover_by_balls(distance2) > 0) & (labels == PORE), np.uint8(LARGE_PORE), labels)


def middle_slice(image: Image, phases: Mapping[str, int], theta_per_nm: float) -> Picture:
    """Return the middle plane along z of an image with cubic voxels, at most 400 voxels along an edge."""
    radius = large_radius(theta_per_nm, image.voxel_size_nm[0])
    _, y, x = middle_of(image.shape, SEEN)
    plane = image.shape[0] // 2
    # Whether a voxel is covered depends on what lies up to two radii away.
    around = slice(max(0, plane - 2 * radius), min(image.shape[0], plane + 2 * radius + 1))
    marked = mark_large_pores(labels_in(image, (around, y, x), phases), radius)
    return Picture(marked[plane - around.start], image.voxel_size_nm[0])


def shares(labels: np.ndarray) -> tuple[float, float]:
    """Return the shares of graphite and of large pores of marked labels."""
    number = np.bincount(labels.ravel(), minlength=LARGE_PORE + 1)
    return float(number[GRAPHITE] / labels.size), float(number[LARGE_PORE] / labels.size)
