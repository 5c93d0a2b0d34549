"""What is counted of every region in one pass: volume, centre, box, faces, contacts."""

from dataclasses import dataclass

import numpy as np

from nmcdist.jit import kernel


@dataclass(frozen=True, eq=False)
class Regions:
    """Counts of labelled regions; row k is label k + 1.

    Attributes
    ----------
    voxels : ndarray of int64, shape (n,)
    centre : ndarray of float64, shape (n, 3)
        Centre of mass in voxel indices along z, y, x.
    low, high : ndarray of int32, shape (n, 3)
        First index and last index + 1 along each axis.
    is_whole : ndarray of bool, shape (n,)
        Whether no voxel lies at the border of the image.
    area, contact_area : ndarray of float64, shape (n,)
        Area of the faces of voxels between the region and anything else, and between it and other regions, in the
        unit of `spacing`, squared.
    """

    voxels: np.ndarray
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_whole: np.ndarray
    area: np.ndarray
    contact_area: np.ndarray

    @property
    def contact_share(self) -> np.ndarray:
        """Share of the faces that touch other regions, 0 to 1."""
        return np.asarray(self.contact_area / np.maximum(self.area, 1e-30))


def count_regions(labels: np.ndarray, count: int, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Regions:
    """Count the regions of an image of labels 1 to `count`; 0 is the background."""
    voxels, sums = np.zeros(count + 1, np.int64), np.zeros((count + 1, 3))
    low, high = np.full((count + 1, 3), np.iinfo(np.int32).max, np.int32), np.zeros((count + 1, 3), np.int32)
    areas = np.zeros((count + 1, 2))
    dz, dy, dx = spacing
    _count(labels, np.array([dy * dx, dz * dx, dz * dy]), voxels, sums, low, high, areas)
    inside = np.asarray((low > 0).all(axis=1) & (high < np.array(labels.shape)).all(axis=1))
    centre = sums / np.maximum(voxels, 1)[:, None]
    return Regions(voxels[1:], centre[1:], low[1:], high[1:], inside[1:], areas[1:, 0], areas[1:, 1])


@kernel
def _count(
    labels: np.ndarray, face: np.ndarray, voxels: np.ndarray, sums: np.ndarray, low: np.ndarray, high: np.ndarray,
    areas: np.ndarray,
) -> None:  # fmt: skip
    shape = labels.shape
    for z in range(shape[0]):
        for y in range(shape[1]):
            for x in range(shape[2]):
                label = labels[z, y, x]
                place = (z, y, x)
                if label > 0:
                    voxels[label] += 1
                for axis in range(3):
                    if label > 0:
                        sums[label, axis] += place[axis]
                        low[label, axis] = min(low[label, axis], place[axis])
                        high[label, axis] = max(high[label, axis], place[axis] + 1)
                    if place[axis] + 1 == shape[axis]:
                        continue
                    other = labels[z + (axis == 0), y + (axis == 1), x + (axis == 2)]
                    if other == label:
                        continue
                    for one, two in ((label, other), (other, label)):
                        if one > 0:
                            areas[one, 0] += face[axis]
                            if two > 0:
                                areas[one, 1] += face[axis]
