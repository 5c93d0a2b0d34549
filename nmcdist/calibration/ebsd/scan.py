"""An EBSD map in memory: orientations on a grid, and the phases with their rotational symmetries."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial.transform import Rotation

from nmcdist.errors import InputError

# Proper rotation groups by Schoenflies symbol: the rotations of the Laue classes m-3m, m-3, 6/mmm, ... Where the
# choice of axes matters, a letter at the end names the Cartesian axis of a two-fold axis: z is along the crystal's c,
# but x is along its a for EDAX, and y is along its b for Oxford (Britton et al., Mater. Charact. 117, 2016).
_SCIPY_GROUPS = {
    "O": ("O", 0.0), "T": ("T", 0.0), "D6": ("D6", 0.0), "C6": ("C6", 0.0),
    "D4": ("D4", 0.0), "C4": ("C4", 0.0), "D3x": ("D3", 0.0), "D3y": ("D3", 30.0), "C3": ("C3", 0.0),
    "D2": ("D2", 0.0), "C2z": ("C2", 0.0), "C1": ("C1", 0.0),
}  # fmt: skip


@dataclass(frozen=True)
class Phase:
    """A crystal of an EBSD map: its name, and the rotations that map it onto itself as in `symmetry_rotations`."""

    name: str
    symmetry: str


@dataclass(frozen=True, eq=False)
class Scan:
    """An EBSD map, row by row as it was scanned.

    On a hexagonal grid, every second row, beginning with the second, is shifted by half a step to the right and may
    be one point shorter. Its last column is then an unindexed placeholder.

    Attributes
    ----------
    name : str
    grid : {"square", "hexagonal"}
    step_nm : (float, float)
        Distance of the rows and of the columns.
    euler : ndarray of float64, shape (rows, columns, 3)
        Bunge angles phi1, Phi, phi2 (radians): the rotation Z(phi1) X(Phi) Z(phi2) takes crystal axes to the axes
        of the map. NaN where unindexed.
    phase : ndarray of int32, shape (rows, columns)
        1 is the first of `phases`; 0 is unindexed.
    phases : tuple of Phase
    confidence : ndarray of float64, shape (rows, columns)
        Larger is more certain; NaN if the map has none.
    confidence_name : str
        Kind of confidence: "confidence index" (EDAX) or "band contrast" (Oxford).
    notes : tuple of str
        Assumptions where the file is incomplete, one line each.
    """

    name: str
    grid: str
    step_nm: tuple[float, float]
    euler: np.ndarray = field(repr=False)
    phase: np.ndarray = field(repr=False)
    phases: tuple[Phase, ...]
    confidence: np.ndarray = field(repr=False)
    confidence_name: str
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and of columns."""
        return self.phase.shape[0], self.phase.shape[1]

    @property
    def indexed(self) -> np.ndarray:
        """Return where there is an orientation: bool, shape (rows, columns)."""
        return self.phase > 0

    def filtered(self, min_confidence: float) -> "Scan":
        """Return the map without the points whose confidence is below `min_confidence`.

        Raises
        ------
        InputError
            If `min_confidence` is not finite, or the map has no confidence.
        """
        if not math.isfinite(min_confidence):
            raise InputError(f"min_confidence is {min_confidence}, expected a finite number")
        if np.isnan(self.confidence[self.indexed]).any():
            raise InputError(f"min_confidence is {min_confidence}, but {self.name} has no {self.confidence_name}")
        dropped = ~(self.confidence >= min_confidence)
        euler = np.where(dropped[..., None], np.nan, self.euler)
        return replace(self, euler=euler, phase=np.where(dropped, 0, self.phase).astype(np.int32))

    def quaternions(self) -> np.ndarray:
        """Return the orientations as unit quaternions w, x, y, z: float64, shape (rows, columns, 4); NaN if none."""
        phi1, Phi, phi2 = np.moveaxis(self.euler / 2, -1, 0)
        plus, minus = phi1 + phi2, phi1 - phi2
        parts = [np.cos(Phi) * np.cos(plus), np.sin(Phi) * np.cos(minus)]
        return np.stack([*parts, np.sin(Phi) * np.sin(minus), np.cos(Phi) * np.sin(plus)], axis=-1)


def symmetry_rotations(symmetry: str) -> np.ndarray:
    """Return the proper rotations of a crystal as unit quaternions w, x, y, z.

    Parameters
    ----------
    symmetry : str
        O, T, D6, C6, D4, C4, D3x, D3y, C3, D2, C2y, C2z or C1: Schoenflies' symbol of the rotations of the Laue
        class, and the Cartesian axis of a two-fold axis where it matters.

    Returns
    -------
    ndarray of float64, shape (number of rotations, 4)
    """
    if symmetry == "C2y":
        return np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    group, turn = _SCIPY_GROUPS[symmetry]
    about_z = Rotation.from_euler("z", turn, degrees=True)
    return np.asarray((about_z * Rotation.create_group(group) * about_z.inv()).as_quat(scalar_first=True))
