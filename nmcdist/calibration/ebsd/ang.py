"""Reads .ang, the text format of EDAX, also as EMsoft and others write it."""

import re
from pathlib import Path

import numpy as np

from nmcdist.calibration.ebsd.grid import MICROMETRE_NM, Grid, Points, Where, assemble
from nmcdist.calibration.ebsd.scan import Phase, Scan
from nmcdist.calibration.ebsd.text import Field, Header, check_count, check_index, points_where, read_lines, read_table
from nmcdist.calibration.ebsd.vendors import edax_grid_kind, edax_indexed, edax_phase_numbers, edax_symmetry
from nmcdist.errors import ImageError

_SIZES = ("XSTEP", "YSTEP", "NCOLS_ODD", "NCOLS_EVEN", "NROWS")
_PHASE_FIELDS = ("MaterialName", "Symmetry")
_NEEDED = (3, 4, 6, 7)  # x, y, confidence, phase


def read_ang(path: Path, index: int) -> Scan:
    """Read an .ang file: a header of lines that begin with #, then a point a line, angles in radians."""
    check_index(path, index, 1)
    lines = read_lines(path)
    if not lines[0].startswith("#"):
        raise ImageError(f"{path}: line 1 is {lines[0][:40]!r}, expected a header line that begins with #")
    start = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    header, phases = _read_header(path, lines[:start])
    table = read_table(path, lines, start, 8, _NEEDED)
    where = points_where(path, start)
    grid = _read_grid(header, table, where)
    check_count(path, len(lines), len(table), grid)
    confidence = table[:, 6]
    euler = table[:, :3]
    phase = np.where(edax_indexed(euler, confidence), edax_phase_numbers(table[:, 7], list(phases), where), 0)
    points = Points(euler, phase, (table[:, 3], table[:, 4]), confidence, "confidence index")
    # NanoMegas writes nanometres, everyone else micrometres.
    unit_nm = 1.0 if any("ACOM" in line for line in lines[:start]) else MICROMETRE_NM
    return assemble(path.name, grid, points, tuple(phases.values()), where, unit_nm)


def _read_header(path: Path, lines: list[str]) -> tuple[Header, dict[int, Phase]]:
    """Return the fields and the phases by number; a phase begins with its number or, in old files, its name."""
    header = Header(path)
    crystals: list[tuple[int, Header]] = []
    for number, line in enumerate(lines, 1):
        found = re.match(r"#\s*([\w-]+):?\s*(.*?)\s*$", line)
        if not found:
            continue
        field = Field(f"{path}: line {number}", *found.groups())
        if field.key == "Phase" and field.value.isdecimal():
            crystals.append((field.whole(0), Header(path)))
        elif field.key in _PHASE_FIELDS:
            if not crystals or field.key in crystals[-1][1]:
                crystals.append((len(crystals) + 1, Header(path)))
            crystals[-1][1][field.key] = field
        else:
            header.setdefault(field.key, field)
    if not crystals:
        raise ImageError(f"{path}: header has no line MaterialName, expected at least one phase")
    phases = {}
    for number, fields in sorted(crystals, key=lambda crystal: crystal[0]):
        symmetry = fields["Symmetry"]
        name = fields["MaterialName"].value if "MaterialName" in fields else f"phase {number}"
        phases[number] = Phase(name, edax_symmetry(symmetry.value, symmetry.where))
    return header, phases


def _read_grid(header: Header, table: np.ndarray, where: Where) -> Grid:
    kind = edax_grid_kind(header["GRID"].value, header["GRID"].where)
    if kind == "hexagonal" and not any(key in header for key in _SIZES):
        return _hexagonal_grid(table[:, 3], table[:, 4], where)
    step_x, step_y = (header[key].positive() for key in _SIZES[:2])
    odd, even, rows = (header[key].whole() for key in _SIZES[2:])
    if kind == "square" and odd != even:
        field = header["NCOLS_EVEN"]
        raise ImageError(f"{field.where}: NCOLS_EVEN is {even}, expected {odd}, as NCOLS_ODD, on a square grid")
    return Grid(kind, rows, odd, even, step_y, step_x)


def _hexagonal_grid(x: np.ndarray, y: np.ndarray, where: Where) -> Grid:
    """Find the grid that old files do not give: on a hexagonal one, each row's shift and length can be checked."""
    ends = np.append(np.flatnonzero(np.diff(x) < 0) + 1, len(x))
    lengths = np.diff(ends, prepend=0)
    if len(ends) < 2 or lengths[0] < 2:
        raise ImageError(f"{where(0, 'row 1')} has {lengths[0]} points of {len(x)}, expected two rows of two or more")
    step_x, step_y = float(x[1] - x[0]), float(y[ends[0]] - y[0])
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
