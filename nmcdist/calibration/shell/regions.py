"""Counts of regions that are merged labels: volume, centre, box, faces, contacts."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.shell.blocks import Place
from nmcdist.calibration.shell.counts import Counts, Touching


@dataclass(frozen=True, eq=False)
class Regions:
    """Counts of regions; row k is label k + 1.

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
        unit of the spacing, squared.
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


def regions_of(
    counts: Counts, touching: Touching, numbers: np.ndarray, shape: Place, spacing: tuple[float, float, float]
) -> Regions:
    """Return the counts of regions.

    Parameters
    ----------
    counts : Counts
    touching : Touching
    numbers : ndarray of int32, shape (n + 1,)
        Region of each label from 0; 0 for the background, to which labels may be given.
    shape : tuple of int
        Of the image.
    spacing : tuple of float
        Edges of a voxel along z, y, x.
    """
    own = counts.merged(numbers)
    dz, dy, dx = spacing
    faces = np.array([dy * dx, dz * dx, dz * dy])
    areas = (touching.faces * faces).sum(axis=1)
    one, two = numbers[touching.pairs].T
    lost = own.outer.astype(np.float64)
    area, contact = (lost * faces).sum(axis=1), np.zeros(len(lost))
    for a, b in ((one, two), (two, one)):
        is_seen = (a > 0) & (a != b)
        np.add.at(area, a[is_seen] - 1, areas[is_seen])
        is_contact = is_seen & (b > 0)
        np.add.at(contact, a[is_contact] - 1, areas[is_contact])
    whole = np.asarray((own.low > 0).all(axis=1) & (own.high < np.array(shape)).all(axis=1))
    centre = own.sums / np.maximum(own.voxels, 1)[:, None]
    return Regions(own.voxels, centre, own.low, own.high, whole, area, contact)
