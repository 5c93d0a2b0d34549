"""The pieces of a phase: how many there are, which faces they touch, and where two connected parts meet."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from nmcdist.descriptors.contacts import area_between, on_face
from nmcdist.descriptors.planar_contacts import length_between
from nmcdist.measurement.volume import Volume


@dataclass(frozen=True)
class Pieces:
    """The pieces of a phase, of face neighbours.

    Attributes
    ----------
    numbers : ndarray of int32, shape (nz, ny, nx)
        Of the piece of each voxel; 0 outside the phase.
    count : int
    axes : tuple of int
    """

    numbers: np.ndarray
    count: int
    axes: tuple[int, ...]

    @cached_property
    def sizes(self) -> np.ndarray:
        """Voxels of each piece; entry 0 is not one."""
        return np.bincount(self.numbers.ravel(), minlength=self.count + 1)

    @property
    def largest_share(self) -> float:
        """Share of the largest piece; 0 of an empty phase."""
        return float(self.sizes[1:].max(initial=0) / max(self.sizes[1:].sum(), 1))

    def touching(self, axis: int, index: int) -> np.ndarray:
        """Return whether each piece touches a face, by its number."""
        return on_face(self.numbers, self.count, axis, index)

    def shares(self, which: int) -> list[float]:
        """Return, by axis, the share connected to the first face (0), the last (1) or both (2)."""
        total, found = max(int(self.sizes[1:].sum()), 1), []
        for axis in self.axes:
            first, last = self.touching(axis, 0), self.touching(axis, -1)
            found.append(int(self.sizes[(first, last, first & last)[which]].sum()) / total)
        return found


def pieces_of(volume: Volume, name: str) -> Pieces:
    """Return the pieces of a phase."""
    numbers, count = ndimage.label(volume.phases.mask(volume.codes, name))
    return Pieces(numbers, int(count), volume.choices.axes)


def active_areas(volume: Volume, pieces: dict[str, Pieces]) -> Iterator[list[float]]:
    """Yield the active areas of each ordered pair of phases along the axes; see `quantities.ACTIVE_AREA`."""
    for one, two in volume.phases.ordered_pairs:
        found = []
        for axis in volume.choices.axes:
            parts = [pieces[name].touching(axis, face)[pieces[name].numbers] for name, face in ((one, 0), (two, -1))]
            found.append(_boundary(volume, parts[0], parts[1]))
        yield found


def _boundary(volume: Volume, one: np.ndarray, two: np.ndarray) -> float:
    if not volume.is_planar:
        return max(area_between(one, two, volume.edges), 0.0)
    return max(length_between(one[0], two[0], (volume.edges[1], volume.edges[2])), 0.0)
