"""The grid of a scan, and maps from the points of a file, with the checks shared by all readers."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.ebsd.scan import Phase, Scan
from nmcdist.errors import ImageError

MICROMETRE_NM = 1000.0

# A map takes some 200 bytes per point while it is read: 6 GiB for these.
MOST_POINTS = 2**25


@dataclass(frozen=True)
class Grid:
    """The grid of a scan: rows of `odd` and `even` columns alternate; if hexagonal, even rows shift by half a step."""

    kind: str
    rows: int
    odd: int
    even: int
    step_y: float
    step_x: float

    @property
    def size(self) -> int:
        """Return the number of points."""
        return (self.rows + 1) // 2 * self.odd + self.rows // 2 * self.even

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows, and of columns in the longest."""
        return self.rows, max(self.odd, self.even if self.rows > 1 else 1)

    def cells(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and columns of the first points of the scan."""
        pair, place = np.divmod(np.arange(count), self.odd + self.even)
        second = place >= self.odd
        return 2 * pair + second, place - self.odd * second

    def checked(self, where: str) -> "Grid":
        """Return the grid, if a map of its size can be read."""
        check_points(self.size, f"{where}: header", f" ({self})")
        return self

    def __str__(self) -> str:
        columns = str(self.odd) if self.odd == self.even else f"{self.odd} and {self.even}"
        return f"{self.rows} rows of {columns}"


def check_points(number: int, where: str, of: str = "") -> None:
    """Check that a map of this many points can be read."""
    if not 0 < number <= MOST_POINTS:
        raise ImageError(f"{where} promises {number} points{of}, expected at most {MOST_POINTS}")


Where = Callable[[int, str], str]
"""Names point i of a file, and what of it, for an error message."""

Cells = tuple[np.ndarray, np.ndarray]
"""Row and column of each point."""


@dataclass(frozen=True)
class Points:
    """The values of each point of a file.

    `euler` (n, 3) in radians; `phase` (n,) is 1 for the first phase, 0 where unindexed; `confidence` (n,) is NaN
    where the file gives none.
    """

    euler: np.ndarray
    phase: np.ndarray
    confidence: np.ndarray
    confidence_name: str


def assemble(
    name: str, grid: Grid, cells: Cells, points: Points, phases: tuple[Phase, ...], where: Where, unit_nm: float,
    notes: list[str],
) -> Scan:  # fmt: skip
    """Return the map of points at these cells of the grid; cells without a point are unindexed.

    Raises
    ------
    ImageError
        If an indexed point has impossible angles.
    """
    _check_angles(points.euler, points.phase > 0, where)
    euler = np.full((*grid.shape, 3), np.nan)
    phase = np.zeros(grid.shape, dtype=np.int32)
    confidence = np.full(grid.shape, np.nan)
    euler[cells] = np.where(points.phase[:, None] > 0, points.euler, np.nan)
    phase[cells] = points.phase
    confidence[cells] = points.confidence
    step_nm = (grid.step_y * unit_nm, grid.step_x * unit_nm)
    return Scan(name, grid.kind, step_nm, euler, phase, phases, confidence, points.confidence_name, tuple(notes))


def _check_angles(euler: np.ndarray, indexed: np.ndarray, where: Where) -> None:
    bad = np.argwhere(~(np.abs(euler) <= 2 * math.pi + 0.01) & indexed[:, None])  # not >: NaN compares false
    if len(bad):
        i, k = bad[0]
        found = f"{euler[i, k]:g} rad ({math.degrees(euler[i, k]):g} degrees)"
        raise ImageError(f"{where(i, f'Euler angle {k + 1}')} is {found}, expected -360 to 360 degrees")
