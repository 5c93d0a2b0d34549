"""Reads .ctf, the text format of Oxford's Channel 5, which many other programs write too."""

from pathlib import Path

import numpy as np

from nmcdist.calibration.ebsd.angles import from_degrees
from nmcdist.calibration.ebsd.grid import MICROMETRE_NM, Cells, Grid, Points, Where, assemble
from nmcdist.calibration.ebsd.indexing import Signs, number_phases, oxford_numbering
from nmcdist.calibration.ebsd.layout import grid_of_positions, lay_out
from nmcdist.calibration.ebsd.scan import Phase, Scan
from nmcdist.calibration.ebsd.text import (
    Field,
    Header,
    check_index,
    count_fault,
    points_where,
    read_lines,
    read_table,
)
from nmcdist.calibration.ebsd.vendors import oxford_symmetry
from nmcdist.errors import ImageError

_COLUMNS = ("Phase", "X", "Y", "Euler1", "Euler2", "Euler3")
_SIZES = ("XCells", "YCells", "XStep", "YStep")

Table = dict[str, np.ndarray]
"""Columns by name, in lower case."""


def read_ctf(path: Path, index: int | None) -> Scan:
    """Read a .ctf file: a header, one phase per line, then one point per line, decimals with point or comma.

    Angles are in degrees, or in radians if the file is a volume of several sections (documentation of DREAM.3D,
    Import Orientation Files to H5EBSD). Positions in volumes follow other rules and are not checked.
    """
    notes: list[str] = []
    lines = read_lines(path)
    if "channel text file" not in lines[0].lower():
        raise ImageError(f"{path}: line 1 is {lines[0][:40]!r}, expected 'Channel Text File'")
    header, start = _read_header(path, lines)
    phases = _read_phases(path, header["Phases"].whole(), lines)
    sections = header["ZCells"].whole() if "ZCells" in header else 1
    index = check_index(path, index, [f"section {k + 1}" for k in range(min(sections, len(lines)))], notes)
    table = _read_table(path, lines, start)
    where = points_where(path, start + 1)
    grid, first, cells = _place(path, header, table, len(lines), sections, index, where, notes)
    part = {name: values[first : first + len(cells[0])] for name, values in table.items()}
    points = _points(part, sections, phases, lambda i, what: where(first + i, what), notes)
    return assemble(
        path.name, grid, cells, points, phases, lambda i, what: where(first + i, what), MICROMETRE_NM, notes
    )


def _place(
    path: Path, header: Header, table: Table, last: int, sections: int, index: int, where: Where, notes: list[str]
) -> tuple[Grid, int, Cells]:
    """Return the grid of one section, the index of its first point, and the cells of its points."""
    position = table["x"], table["y"]
    count = len(position[0])
    if sections == 1 and not any(key in header for key in _SIZES):
        grid = grid_of_positions("square", position, where).checked(str(path))
        notes.append(f"the header gives no sizes: {grid} and the steps are taken from the positions")
    else:
        columns, rows = header["XCells"].whole(), header["YCells"].whole()
        grid = Grid("square", rows, columns, columns, header["YStep"].positive(), header["XStep"].positive())
        grid.checked(str(path))
    fault = count_fault(path, last, count, grid, sections)
    if sections == 1:
        grid, cells = lay_out(grid, count, position, where, notes, fault)
        return grid, 0, cells
    if fault is not None:
        raise fault
    return grid, index * grid.size, grid.cells(grid.size)


def _points(table: Table, sections: int, phases: tuple[Phase, ...], where: Where, notes: list[str]) -> Points:
    euler = np.stack([table[name.lower()] for name in _COLUMNS[3:]], axis=1)
    euler = euler if sections > 1 else from_degrees(euler, table["y"], where(0, "Euler angles"), notes)
    nothing = np.full(len(euler), np.nan)
    signs = Signs(euler, np.zeros(len(euler), dtype=bool), table.get("mad", nothing), nothing)
    phase = number_phases(table["phase"], oxford_numbering(phases), signs, where, notes)
    return Points(euler, phase, table.get("bc", nothing), "band contrast")


def _read_table(path: Path, lines: list[str], start: int) -> Table:
    """Return the columns named in line `start`."""
    names = lines[start].split()
    lower = [name.lower() for name in names]
    if missing := [name for name in _COLUMNS if name.lower() not in lower]:
        raise ImageError(f"{path}: line {start + 1} names no column {missing[0]}, expected {' '.join(_COLUMNS)}")
    table = read_table(path, lines, start + 1, len(names), [lower.index(name) for name in ("x", "y")])
    if table.shape[1] != len(names):
        raise ImageError(f"{path}: line {start + 2} has {table.shape[1]} columns, expected {len(names)}, as named")
    return dict(zip(lower, table.T, strict=True))


def _read_header(path: Path, lines: list[str]) -> tuple[Header, int]:
    """Return the fields of the header and the index of the line that names the columns."""
    header = Header(path)
    for i, line in enumerate(lines):
        words = line.split(None, 1)
        if [word.lower() for word in line.split()[:3]] == ["phase", "x", "y"]:
            return header, i
        if words:
            value = words[1].strip() if len(words) > 1 else ""
            header.add(Field(f"{path}: line {i + 1}", words[0], value))
    raise ImageError(f"{path}: there is no line of column names, expected 'Phase X Y ...'")


def _read_phases(path: Path, count: int, lines: list[str]) -> tuple[Phase, ...]:
    start = next(i for i, line in enumerate(lines) if line.casefold().split()[:1] == ["phases"]) + 1
    phases = []
    for k in range(count):
        parts = lines[start + k].split("\t") if start + k < len(lines) else []
        where = f"{path}: line {start + k + 1}"
        if len(parts) < 4:
            raise ImageError(f"{where} has {len(parts)} fields, expected lattice, name and Laue group of phase {k + 1}")
        phases.append(Phase(parts[2].strip(), oxford_symmetry(parts[3], parts[4] if len(parts) > 4 else 0, where)))
    return tuple(phases)
