"""Reads .ctf, the text format of Oxford's Channel 5, which many others write too."""

from pathlib import Path

import numpy as np

from nmcdist.calibration.ebsd.grid import MICROMETRE_NM, Grid, Points, assemble
from nmcdist.calibration.ebsd.scan import Phase, Scan
from nmcdist.calibration.ebsd.text import Field, Header, check_count, check_index, points_where, read_lines, read_table
from nmcdist.calibration.ebsd.vendors import oxford_symmetry
from nmcdist.errors import ImageError

_COLUMNS = ("Phase", "X", "Y", "Euler1", "Euler2", "Euler3")


def read_ctf(path: Path, index: int) -> Scan:
    """Read a .ctf file: a header, the phases a line each, then a point a line, decimals with point or comma.

    Angles are in degrees, but in radians if the file is a volume of several sections (documentation of DREAM.3D,
    Import Orientation Files to H5EBSD); volumes also have positions of their own, which are not checked.
    """
    lines = read_lines(path)
    if "channel text file" not in lines[0].lower():
        raise ImageError(f"{path}: line 1 is {lines[0][:40]!r}, expected 'Channel Text File'")
    header, start = _read_header(path, lines)
    phases = _read_phases(path, header["Phases"].whole(), lines)
    sections = header["ZCells"].whole() if "ZCells" in header else 1
    check_index(path, index, sections)
    columns, rows = header["XCells"].whole(), header["YCells"].whole()
    grid = Grid("square", rows, columns, columns, header["YStep"].positive(), header["XStep"].positive())
    names = lines[start].split()
    if missing := [name for name in _COLUMNS if name not in names]:
        raise ImageError(f"{path}: line {start + 1} names no column {missing[0]}, expected {' '.join(_COLUMNS)}")
    needed = [names.index(name) for name in _COLUMNS[:3]]
    table = read_table(path, [line.replace(",", ".") for line in lines], start + 1, len(names), needed)
    if table.shape[1] != len(names):
        raise ImageError(f"{path}: line {start + 2} has {table.shape[1]} columns, expected {len(names)}, as named")
    check_count(path, len(lines), len(table), grid, sections)
    first = index * grid.size
    column = dict(zip(names, table[first : first + grid.size].T, strict=False))
    euler = np.stack([column[name] for name in _COLUMNS[3:]], axis=1)
    points = Points(
        euler if sections > 1 else np.radians(euler),
        column["Phase"],
        (column["X"], column["Y"]) if sections == 1 else None,
        column.get("BC", np.full(grid.size, np.nan)),
        "band contrast",
    )
    return assemble(path.name, grid, points, phases, points_where(path, start + 1 + first), MICROMETRE_NM)


def _read_header(path: Path, lines: list[str]) -> tuple[Header, int]:
    """Return the fields of the header and the index of the line that names the columns."""
    header = Header(path)
    for i, line in enumerate(lines):
        words = line.split(None, 1)
        if line.split()[:3] == ["Phase", "X", "Y"]:
            return header, i
        if words:
            value = words[1].strip() if len(words) > 1 else ""
            header.setdefault(words[0], Field(f"{path}: line {i + 1}", words[0], value))
    raise ImageError(f"{path}: there is no line of column names, expected 'Phase X Y ...'")


def _read_phases(path: Path, count: int, lines: list[str]) -> tuple[Phase, ...]:
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["Phases"]) + 1
    phases = []
    for k in range(count):
        parts = lines[start + k].split("\t") if start + k < len(lines) else []
        where = f"{path}: line {start + k + 1}"
        if len(parts) < 4:
            raise ImageError(f"{where} has {len(parts)} fields, expected lattice, name and Laue group of phase {k + 1}")
        phases.append(Phase(parts[2].strip(), oxford_symmetry(parts[3], parts[4] if len(parts) > 4 else 0, where)))
    return tuple(phases)
