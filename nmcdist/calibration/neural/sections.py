"""Sections of the training: windows of label images of three planes."""

from dataclasses import dataclass

import numpy as np

from nmcdist.errors import InputError

FEWEST_PIXELS = 40  # along an edge of a section: the critic sees patches of 38


@dataclass(frozen=True, eq=False)
class Sections:
    """Label images normal to each axis, whose rows and columns follow the order z, y, x.

    Attributes
    ----------
    planes : tuple of three lists of ndarray of uint8
        Sections normal to z, y and x.
    phases : int
        Number of phases: labels are below.
    """

    planes: tuple[list[np.ndarray], ...]
    phases: int

    @classmethod
    def of_volumes(cls, volumes: list[np.ndarray], where: str = "sections") -> "Sections":
        """Return all sections of some volumes of labels along each axis; `where` is their name in messages.

        Raises
        ------
        InputError
            If there is one phase only, a phase below the last has no voxel, or an edge is too short.
        """
        planes: tuple[list[np.ndarray], ...] = tuple([] for _ in range(3))
        for volume in volumes:
            if min(volume.shape) < FEWEST_PIXELS:
                raise InputError(
                    f"{where}: found {volume.shape} voxels, expected at least {FEWEST_PIXELS} along each axis"
                )
            for axis in range(3):
                planes[axis].extend(np.moveaxis(volume, axis, 0))
        found = {int(label) for volume in volumes for label in np.unique(volume)}
        phases = 1 + max(found)
        if phases < 2:
            raise InputError(f"{where}: found one phase, expected two or more")
        if absent := set(range(phases)) - found:
            raise InputError(
                f"{where}: found no voxel of phase {min(absent)}, expected some of each phase from 0 to {phases - 1}"
            )
        return cls(planes, phases)

    @property
    def shortest(self) -> int:
        """The shortest edge of a section."""
        return int(min(edge for plane in self.planes for section in plane for edge in section.shape))

    def windows(self, axis: int, count: int, edge: int, random: np.random.Generator) -> np.ndarray:
        """Return random square windows of the sections normal to an axis, uint8 of shape (count, edge, edge)."""
        plane = self.planes[axis]
        found = np.empty((count, edge, edge), np.uint8)
        for each, number in zip(found, random.integers(len(plane), size=count), strict=True):
            section = plane[number]
            y, x = (int(random.integers(n - edge + 1)) for n in section.shape)
            each[:] = section[y : y + edge, x : x + edge]
        return found

    def turned_windows(self, count: int, edge: int, random: np.random.Generator) -> np.ndarray:
        """Return random square windows of the sections of all planes, turned and mirrored at random."""
        planes = random.integers(len(self.planes), size=count)
        found = np.empty((count, edge, edge), np.uint8)
        for axis in range(len(self.planes)):
            found[planes == axis] = self.windows(axis, int((planes == axis).sum()), edge, random)
        for each, turns, is_mirrored in zip(
            found, random.integers(4, size=count), random.integers(2, size=count), strict=True
        ):
            each[:] = np.rot90(each.T if is_mirrored else each, turns)
        return found
