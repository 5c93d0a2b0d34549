"""The cells of a file's points in the grid: by the order of the scan or, failing that, by their positions."""

import math
from dataclasses import replace

import numpy as np

from nmcdist.calibration.ebsd.grid import Cells, Grid, Where
from nmcdist.errors import ImageError

# In steps: more than any rounding of coordinates, less than the half step between the two kinds of grid.
_OFF_GRID = 0.25

# Relative: the largest rounding of steps in a header.
_ROUNDED = 0.01

_DIGITS = 6  # most decimal places of positions

Position = tuple[np.ndarray, np.ndarray]
"""x and y of each point, in the unit of the grid's steps."""


def lay_out(
    grid: Grid, count: int, position: Position | None, where: Where, notes: list[str], fault: ImageError | None = None
) -> tuple[Grid, Cells]:
    """Return the grid of a map, with steps from its positions, and the cell of each point.

    A file may end early: after a whole row, or within the last one. On square grids, points may come in any order,
    some may be missing, and the header may swap rows and columns, if the positions show it.

    Parameters
    ----------
    grid : Grid
        Grid from the header.
    count : int
        Number of points.
    position : (ndarray, ndarray), optional
        NaN positions are ignored.
    where : Where
    notes : list of str
        Receives one line per assumption.
    fault : ImageError, optional
        Fault in the number of points, raised if nothing explains it.

    Raises
    ------
    ImageError
        If a point is off the grid, or the number of points is wrong.
    """
    ended = grid if fault is None else _ended_early(grid, count)
    message = ""
    if ended is not None:
        message, ended = ("", ended) if position is None else _checked(ended, position, where)
        if not message:
            if fault is not None:
                notes.append(_early_note(grid, count))
            return ended, ended.cells(count)
    placed = None if position is None else _by_position(grid, position, notes)
    if placed is None:
        raise fault or ImageError(message)
    return placed


def grid_of_positions(kind: str, position: Position, where: Where) -> Grid:
    """Find the grid if the header does not give it; every row must be whole."""
    return _hexagonal_grid(*position, where) if kind == "hexagonal" else _square_grid(*position, where)


def _ended_early(grid: Grid, count: int) -> Grid | None:
    """Return the grid of the points, if they end after a whole row or within the last row, else None."""
    whole, rest = _whole_rows(grid, count)
    if count > grid.size or not whole:
        return None
    if not rest:
        return replace(grid, rows=whole)
    return grid if whole == grid.rows - 1 else None


def _whole_rows(grid: Grid, count: int) -> tuple[int, int]:
    pairs, rest = divmod(count, grid.odd + grid.even)
    return (2 * pairs + 1, rest - grid.odd) if rest >= grid.odd else (2 * pairs, rest)


def _early_note(grid: Grid, count: int) -> str:
    whole, rest = _whole_rows(grid, count)
    if rest:
        return f"the file ends after {rest} points of the last row, {whole + 1}: the others count as unindexed"
    return f"the file ends after row {whole}, its header promises {grid.rows}: the map is read with {whole} rows"


def _checked(grid: Grid, position: Position, where: Where) -> tuple[str, Grid]:
    """Compare positions with the grid, up to its origin; return a fault, and the grid with the best steps.

    In a wide map, the rounding of a step in the header adds up to more than a step.
    """
    grids = grid, _measured(grid, position)
    faults = [_off_grid(candidate, position, where) for candidate in grids]
    best = min(range(2), key=lambda k: faults[k][0])
    return faults[best][1], grids[best]


def _measured(grid: Grid, position: Position) -> Grid:
    """Return the grid with steps from the extent of the positions, where they are close to the header's."""
    steps = [grid.step_x, grid.step_y]
    for k, (found, cell) in enumerate(zip(position, _in_steps(grid, len(position[0])), strict=True)):
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


def _off_grid(grid: Grid, position: Position, where: Where) -> tuple[int, str]:
    """Return the number of coordinates off the grid, and the fault of the first."""
    row, column = grid.cells(len(position[0]))
    count, message = 0, ""
    steps = (grid.step_x, grid.step_y)
    for axis, found, cell, step in zip("xy", position, _in_steps(grid, len(row)), steps, strict=True):
        origin = found - cell * step
        off = origin - origin[np.argmax(np.isfinite(origin))]
        bad = np.flatnonzero(np.abs(off) > _tolerance(found, step))
        count += len(bad)
        if len(bad) and not message:
            i = bad[0]
            message = (
                f"{where(i, axis)} is {found[i]:g}, expected {found[i] - off[i]:g}, as row {row[i] + 1}, column "
                f"{column[i] + 1} of a {grid.kind} grid of {grid}, step {step:g}"
            )
    return count, message


def _tolerance(found: np.ndarray, step: float) -> float:
    """Return the tolerance of positions: larger if their last digit is coarser than half a step."""
    known = found[np.isfinite(found)]
    for digits in range(_DIGITS):
        quantum = 10.0**-digits
        if 2 * quantum < step:
            break
        if quantum <= step and np.allclose(known / quantum, np.rint(known / quantum), rtol=0, atol=1e-3):
            return min(0.51 * quantum, 0.45 * step)
    return _OFF_GRID * step


def _in_steps(grid: Grid, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the first points of the scan, in steps."""
    row, column = grid.cells(count)
    return column + (row % 2 / 2 if grid.kind == "hexagonal" else 0.0), row


def _by_position(grid: Grid, position: Position, notes: list[str]) -> tuple[Grid, Cells] | None:
    """Return the grid and the cell of each point from positions only, or None if these do not determine them."""
    count = len(position[0])
    if grid.kind != "square" or count > grid.size or not np.isfinite(position).all():
        return None
    for candidate in (grid, replace(grid, rows=grid.odd, odd=grid.rows, even=grid.rows)):
        placed = _placed(candidate, position)
        if placed is None:
            continue
        if candidate.shape != grid.shape:
            notes.append(f"the header swaps rows and columns: the map is read as {candidate}")
        flat = np.ravel_multi_index(placed[1], candidate.shape)
        if (np.diff(flat) < 0).any():
            notes.append("the points are not in row order: each is placed by its position")
        if count < grid.size:
            notes.append(f"{grid.size - count} points of the grid are not in the file: they count as unindexed")
        return placed
    return None


def _placed(grid: Grid, position: Position) -> tuple[Grid, Cells] | None:
    """Return the measured grid and each point's cell, if points fill at least half of it and reach all its sides."""
    cells, steps = [], []
    for found, step, number in zip(position, (grid.step_x, grid.step_y), (grid.odd, grid.rows), strict=True):
        extent = float(found.max()) - float(found.min())
        if number > 1 and math.isclose(extent, step * (number - 1), rel_tol=_ROUNDED):
            step = extent / (number - 1)
        if abs(extent / step - (number - 1)) > _OFF_GRID:
            return None
        exact = (found - found.min()) / step
        cell = np.rint(exact).astype(np.int64)
        if (np.abs(exact - cell) > _tolerance(found, step) / step).any():
            return None
        cells.append(cell)
        steps.append(step)
    column, row = cells
    count = len(row)
    if 2 * count < grid.size or len(np.unique(row * grid.odd + column)) < count:
        return None
    return replace(grid, step_x=steps[0], step_y=steps[1]), (row, column)


def _square_grid(x: np.ndarray, y: np.ndarray, where: Where) -> Grid:
    (columns, step_x), (rows, step_y) = _levels(x), _levels(y)
    step_x, step_y = step_x or step_y, step_y or step_x
    if not 0 < step_x < math.inf or not 0 < step_y < math.inf:
        found = f"steps {step_x:g} and {step_y:g}"
        raise ImageError(f"{where(0, 'x and y')} and the other {len(x) - 1} positions make {found}, expected a grid")
    if rows * columns != len(x):
        found = f"{len(x)} points at {columns} values of x and {rows} of y"
        raise ImageError(f"{where(len(x) - 1, 'the last point')} makes {found}, expected {rows * columns} on a grid")
    return Grid("square", rows, columns, columns, step_y, step_x)


def _levels(values: np.ndarray) -> tuple[int, float]:
    """Return the number of different values, up to rounding, and their mean distance; 0 for a single value."""
    found = np.unique(values)
    gaps = np.diff(found)
    if not len(gaps):
        return 1, 0.0
    count = 1 + int((gaps > gaps.max() / 2).sum())
    return count, (float(found[-1]) - float(found[0])) / (count - 1)


def _hexagonal_grid(x: np.ndarray, y: np.ndarray, where: Where) -> Grid:
    ends = np.append(np.flatnonzero(np.diff(x) < 0) + 1, len(x))
    lengths = np.diff(ends, prepend=0)
    if len(ends) < 2 or lengths[0] < 2:
        raise ImageError(f"{where(0, 'row 1')} has {lengths[0]} points of {len(x)}, expected two rows of two or more")
    step_x, step_y = float(x[1] - x[0]), float(y[ends[0]] - y[0])
    if step_x <= 0:
        raise ImageError(f"{where(1, 'x')} is {x[1]:g}, expected more than {x[0]:g}, that of the point before")
    if step_y <= 0:
        raise ImageError(f"{where(int(ends[0]), 'y')} is {y[ends[0]]:g}, expected more than {y[0]:g}: row 2 begins")
    if abs(lengths[1] - lengths[0]) > 1:
        wanted = f"{lengths[0] - 1} to {lengths[0] + 1}"
        raise ImageError(f"{where(ends[1] - 1, 'row 2')} ends after {lengths[1]} points, expected {wanted}")
    expected = np.where(np.arange(len(ends)) % 2, lengths[1], lengths[0])
    if (bad := np.flatnonzero(lengths != expected)).size:
        k = bad[0]
        raise ImageError(f"{where(ends[k] - 1, f'row {k + 1}')} ends after {lengths[k]} points, expected {expected[k]}")
    return Grid("hexagonal", len(ends), int(lengths[0]), int(lengths[1]), step_y, step_x)
