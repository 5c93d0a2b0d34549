"""From the points of an EBSD file, in the order of the scan, to a map: what the readers of all formats check."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nmcdist.calibration.ebsd.scan import Phase, Scan
from nmcdist.errors import ImageError

MICROMETRE_NM = 1000.0

# Of a step: more than any rounding of coordinates, less than the half step that tells the grids apart.
_OFF_GRID = 0.25

# Relative: by how much a header may round its steps.
_ROUNDED = 0.01


@dataclass(frozen=True)
class Grid:
    """The grid of a scan: rows of `odd` and `even` columns in turn, those shifted by half a step if hexagonal."""

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

    def cells(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return row and column of the first points of the scan."""
        pair, place = np.divmod(np.arange(count), self.odd + self.even)
        second = place >= self.odd
        return 2 * pair + second, place - self.odd * second

    def __str__(self) -> str:
        columns = str(self.odd) if self.odd == self.even else f"{self.odd} and {self.even}"
        return f"{self.rows} rows of {columns}"


@dataclass(frozen=True)
class Points:
    """What a file says of each point, in the order of the scan.

    `euler` (n, 3) in radians; `phase` is 1 for the first phase, 0 where unindexed; `position` is x and y in
    micrometres, or None where the file gives none; `confidence` is NaN where the file gives none.
    """

    euler: np.ndarray
    phase: np.ndarray
    position: tuple[np.ndarray, np.ndarray] | None
    confidence: np.ndarray
    confidence_name: str


Where = Callable[[int, str], str]
"""Names point i of a file, and what of it, for an error message."""


def assemble(name: str, grid: Grid, points: Points, phases: tuple[Phase, ...], where: Where, unit_nm: float) -> Scan:
    """Check the points against the grid and the phases, and lay them out.

    Raises
    ------
    ImageError
        If a point is off the grid, has no such phase or impossible angles.
    """
    _check_phases(points.phase, phases, where)
    _check_angles(points.euler, points.phase > 0, where)
    if points.position is not None:
        grid = _checked(grid, points.position, where)
    cells = grid.cells(len(points.phase))
    shape = (grid.rows, max(grid.odd, grid.even if grid.rows > 1 else 1))
    euler = np.full((*shape, 3), np.nan)
    phase = np.zeros(shape, dtype=np.int32)
    confidence = np.full(shape, np.nan)
    euler[cells] = np.where(points.phase[:, None] > 0, points.euler, np.nan)
    phase[cells] = points.phase
    confidence[cells] = points.confidence
    step_nm = (grid.step_y * unit_nm, grid.step_x * unit_nm)
    return Scan(name, grid.kind, step_nm, euler, phase, phases, confidence, points.confidence_name)


def _check_phases(phase: np.ndarray, phases: tuple[Phase, ...], where: Where) -> None:
    bad = np.flatnonzero((phase < 0) | (phase > len(phases)) | (phase != np.floor(phase)))
    if len(bad):
        i = bad[0]
        raise ImageError(f"{where(i, 'phase')} is {phase[i]:g}, expected 0 (unindexed) to {len(phases)}")


def _check_angles(euler: np.ndarray, indexed: np.ndarray, where: Where) -> None:
    bad = np.argwhere(~(np.abs(euler) <= 2 * math.pi + 0.01) & indexed[:, None])  # not >: NaN compares false
    if len(bad):
        i, k = bad[0]
        found = f"{euler[i, k]:g} rad ({math.degrees(euler[i, k]):g} degrees)"
        raise ImageError(f"{where(i, f'Euler angle {k + 1}')} is {found}, expected -360 to 360 degrees")


def _checked(grid: Grid, position: tuple[np.ndarray, np.ndarray], where: Where) -> Grid:
    """Compare positions with the grid, up to its origin; return it with their steps where the header rounds its own.

    Over a wide map, the rounding of a step adds up to more than a step. A position that is NaN says nothing.
    """
    grids = grid, _measured(grid, position)
    faults = [_off_grid(candidate, position, where) for candidate in grids]
    best = min(range(2), key=lambda k: faults[k][0])
    count, message = faults[best]
    if count:
        raise ImageError(message)
    return grids[best]


def _measured(grid: Grid, position: tuple[np.ndarray, np.ndarray]) -> Grid:
    """Return the grid with the steps that the extent of the positions gives, where they are nearly the header's."""
    steps = [grid.step_x, grid.step_y]
    for k, (found, cell) in enumerate(zip(position, _cells(grid, len(position[0])), strict=True)):
        known = np.isfinite(found)
        if not known.any():
            continue
        first, last = cell[known].min(), cell[known].max()
        # Medians over the two sides of the map: a single point off the grid must not tilt it.
        begin, end = (np.median(found[known & (cell == side)]) for side in (first, last))
        extent = steps[k] * (last - first)
        if extent and math.isclose(ratio := (end - begin) / extent, 1.0, abs_tol=_ROUNDED):
            steps[k] *= ratio
    return replace(grid, step_x=float(steps[0]), step_y=float(steps[1]))


def _off_grid(grid: Grid, position: tuple[np.ndarray, np.ndarray], where: Where) -> tuple[int, str]:
    """Return how many coordinates are off the grid, and what is wrong with the first."""
    row, column = grid.cells(len(position[0]))
    count, message = 0, ""
    steps = (grid.step_x, grid.step_y)
    for axis, found, cell, step in zip("xy", position, _cells(grid, len(row)), steps, strict=True):
        origin = found - cell * step
        off = origin - origin[np.argmax(np.isfinite(origin))]
        bad = np.flatnonzero(np.abs(off) > _OFF_GRID * step)
        count += len(bad)
        if len(bad) and not message:
            i = bad[0]
            message = (
                f"{where(i, axis)} is {found[i]:g}, expected {found[i] - off[i]:g}, as row {row[i] + 1}, column "
                f"{column[i] + 1} of a {grid.kind} grid of {grid}, step {step:g}"
            )
    return count, message


def _cells(grid: Grid, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the first points of the scan, in steps."""
    row, column = grid.cells(count)
    return column + (row % 2 / 2 if grid.kind == "hexagonal" else 0.0), row
