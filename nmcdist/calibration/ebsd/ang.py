"""Reads .ang, the text format of EDAX, including the variants of EMsoft, MTEX, orix, NanoMEGAS and others."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from nmcdist.calibration.ebsd.grid import MICROMETRE_NM, Grid, Points, Where, assemble
from nmcdist.calibration.ebsd.indexing import Signs, edax_numbering, number_phases
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
from nmcdist.calibration.ebsd.vendors import edax_grid_kind, edax_symmetry, edax_unsolved
from nmcdist.errors import ImageError

_SIZES = ("XSTEP", "YSTEP", "NCOLS_ODD", "NCOLS_EVEN", "NROWS")
_PHASE_FIELDS = ("materialname", "symmetry")

# EDAX's columns, and their names in headers, without case, blanks and signs.
_COLUMNS = {"phi1": 0, "phi": 1, "phi2": 2, "x": 3, "y": 4, "iq": 5, "ci": 6, "phase": 7}
_SYNONYMS = {
    "imagequality": "iq", "confidenceindex": "ci", "phaseindex": "phase", "phaseid": "phase",
    "euler1": "phi1", "euler2": "phi", "euler3": "phi2", "xposition": "x", "yposition": "y",
}  # fmt: skip
_OPTIONAL = ("iq", "ci")

# NanoMEGAS writes positions of a TEM in nanometres, and no sizes or steps.
_TEM = re.compile(r"\bACOM\b|NanoMEGAS|# *TEM data", re.IGNORECASE)
_TEM_WITHOUT_SIZES = re.compile(r"\bASTAR\b", re.IGNORECASE)

_UNITS_NM = {
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometre": 1.0,
    "um": 1e3,
    "micron": 1e3,
    "micrometer": 1e3,
    "micrometre": 1e3,
}
_UNIT_KEYS = ("UNIT", "UNITS", "SCANUNIT", "SCAN_UNIT", "STEP_UNIT")


def read_ang(path: Path, index: int | None) -> Scan:
    """Read an .ang file: a header of lines that begin with #, then one point per line, angles in radians."""
    notes: list[str] = []
    check_index(path, index, [path.stem], notes)
    lines = _first_point_apart(read_lines(path))
    if not lines[0].lstrip().startswith("#"):
        raise ImageError(f"{path}: line 1 is {lines[0][:40]!r}, expected a header line that begins with #")
    start = next((i for i, line in enumerate(lines) if line.strip() and line.lstrip()[0] != "#"), len(lines))
    header, phases = _read_header(path, lines[:start])
    columns = _columns(header, notes)
    width = max(columns.values()) + 1
    table = read_table(path, lines, start, width, [columns["x"], columns["y"]])
    where = points_where(path, start)
    position = table[:, columns["x"]], table[:, columns["y"]]
    tem = _is_tem(header, lines[:start])
    unit_nm = _unit_nm(header, columns, tem, notes)
    grid = _read_grid(header, position, tem, where, notes).checked(str(path))
    fault = count_fault(path, len(lines), len(table), grid)
    grid, cells = lay_out(grid, len(table), position, where, notes, fault)
    points = _points(table, columns, header, phases, where, notes)
    return assemble(path.name, grid, cells, points, tuple(phases.values()), where, unit_nm, notes)


def _points(
    table: np.ndarray, columns: dict[str, int], header: Header, phases: dict[int, Phase], where: Where, notes: list[str]
) -> Points:
    euler = table[:, [columns[name] for name in ("phi1", "phi", "phi2")]]
    if _column_unit(header, columns["phi1"]).startswith("deg"):
        euler = np.radians(euler)
    nothing = np.full(len(table), np.nan)
    confidence, quality = (table[:, columns[name]] if name in columns else nothing for name in ("ci", "iq"))
    signs = Signs(euler, edax_unsolved(euler, confidence), confidence, quality)
    ids = table[:, _phase_column(table, columns["phase"], phases, "COLUMN_HEADERS" in header, notes)]
    phase = number_phases(ids, edax_numbering(phases), signs, where, notes)
    return Points(euler, phase, confidence, "confidence index")


def _first_point_apart(lines: list[str]) -> list[str]:
    """Return the lines, the first point on a separate one: NanoMEGAS ends its header with # instead of a new line."""
    for i, line in enumerate(lines):
        if not line.startswith("#"):
            break
        if found := re.match(r"(#\s*GRID:\s*\w+#)\s*([-+.\d].*)", line):
            return [*lines[:i], *found.groups(), *lines[i + 1 :]]
    return lines


def _read_header(path: Path, lines: list[str]) -> tuple[Header, dict[int, Phase]]:
    """Return the fields and the phases by number; a phase begins with its number or, in old files, its name."""
    header = Header(path)
    crystals: list[tuple[int, Header]] = []
    for number, line in enumerate(lines, 1):
        found = re.match(r"\s*#\s*([\w-]+):?\s*(.*?)\s*$", line)
        if not found:
            continue
        field = Field(f"{path}: line {number}", *found.groups())
        key = field.key.casefold()
        if key == "phase" and field.value.isdecimal():
            crystals.append((field.whole(0), Header(path)))
            if [k for k, _ in crystals].count(crystals[-1][0]) > 1:
                raise ImageError(f"{field.where}: phase {crystals[-1][0]} is given twice, expected each once")
        elif key in _PHASE_FIELDS:
            if not crystals or key in crystals[-1][1]:
                crystals.append((1 + max((k for k, _ in crystals), default=0), Header(path)))
            crystals[-1][1].add(field)
        elif key == "column" and field.value.casefold().startswith("names:"):
            header.add(Field(field.where, "COLUMN_HEADERS", field.value[6:]))
        elif key != "column_notes":
            header.add(field)
        elif field.value.count(",") > 1:
            header.add(Field(field.where, "COLUMN_HEADERS", field.value))
    if not crystals:
        raise ImageError(f"{path}: header has no line MaterialName, expected at least one phase")
    phases = {}
    for number, fields in sorted(crystals, key=lambda crystal: crystal[0]):
        symmetry = fields["Symmetry"]
        name = fields["MaterialName"].value if "MaterialName" in fields else f"phase {number}"
        phases[number] = Phase(name, edax_symmetry(symmetry.value, symmetry.where))
    return header, phases


def _columns(header: Header, notes: list[str]) -> dict[str, int]:
    """Return the index of each column, by the names in the header if they are known."""
    if "COLUMN_HEADERS" not in header:
        return _COLUMNS
    names = [re.sub(r"[^a-z0-9]", "", name.casefold()) for name in header["COLUMN_HEADERS"].value.split(",")]
    names = [_SYNONYMS.get(name, name) for name in names]
    if all(name in names for name in _COLUMNS if name not in _OPTIONAL):
        return {name: names.index(name) for name in _COLUMNS if name in names}
    # Wrong columns are noticed, because positions are compared with the grid.
    notes.append("the header's column names are unknown: columns are read in EDAX's order")
    return _COLUMNS


def _column_unit(header: Header, column: int) -> str:
    units = header["COLUMN_UNITS"].value.split(",") if "COLUMN_UNITS" in header else []
    return units[column].strip().casefold() if column < len(units) else ""


def _is_tem(header: Header, lines: list[str]) -> bool:
    sized = any(key in header for key in _SIZES)
    return any(_TEM.search(line) or (not sized and _TEM_WITHOUT_SIZES.search(line)) for line in lines)


def _unit_nm(header: Header, columns: dict[str, int], tem: bool, notes: list[str]) -> float:
    """Return the unit of positions and steps, from the header or, failing that, from its program."""
    stated = [(header[key].where, header[key].value) for key in _UNIT_KEYS if key in header and header[key].value]
    if unit := _column_unit(header, columns["x"]):
        stated.append((header["COLUMN_UNITS"].where, unit))
    if "XSTEP" in header and (unit := _number_and_unit(header["XSTEP"])[1]):
        stated.append((header["XSTEP"].where, unit))
    if stated:
        units = {_known_unit_nm(where, unit) for where, unit in stated}
        if len(units) > 1:
            raise ImageError(
                f"{stated[-1][0]}: unit is {stated[-1][1][:40]!r}, expected {stated[0][1][:40]!r} as before"
            )
        return units.pop()
    if tem:
        notes.append("positions and steps are read as nanometres, because the header is from a TEM (ACOM, ASTAR)")
    return 1.0 if tem else MICROMETRE_NM


def _known_unit_nm(where: str, unit: str) -> float:
    name = unit.strip(" []()").casefold().replace("\u03bc", "u").replace("\u00b5", "u")
    for spelling in (name, name.removesuffix("s")):
        if spelling in _UNITS_NM:
            return _UNITS_NM[spelling]
    raise ImageError(f"{where}: unit is {unit[:40]!r}, expected um or nm")


def _number_and_unit(field: Field) -> tuple[Field, str]:
    """Return the number in a field, and the unit after it."""
    number, _, unit = field.value.partition(" ")
    return replace(field, value=number), unit.strip()


def _phase_column(table: np.ndarray, usual: int, phases: dict[int, Phase], named: bool, notes: list[str]) -> int:
    """Return the column of the phase: in some old files, the fit is in its place and the phase after it.

    A column of mostly whole numbers is the phase's; its other cells are refused later, with their lines.
    """
    given = table[~np.isnan(table[:, usual]), usual]
    if named or 2 * np.count_nonzero(given != np.floor(given)) <= len(given):
        return usual
    later = [k for k in range(usual + 1, table.shape[1]) if np.isin(table[:, k], [0, *phases]).all()]
    if len(later) != 1:
        return usual
    notes.append(f"column {usual + 1} holds no phase numbers: column {later[0] + 1} is read as the phase")
    return later[0]


def _read_grid(
    header: Header, position: tuple[np.ndarray, np.ndarray], tem: bool, where: Where, notes: list[str]
) -> Grid:
    kind = edax_grid_kind(header["GRID"].value, header["GRID"].where)
    if (kind == "hexagonal" or tem) and not any(key in header for key in _SIZES):
        grid = grid_of_positions(kind, position, where)
        if tem:
            notes.append(f"the header gives no sizes: {grid} and the steps are taken from the positions")
        return grid
    step_x, step_y = (_number_and_unit(header[key])[0].positive() for key in _SIZES[:2])
    odd, even, rows = (header[key].whole() for key in _SIZES[2:])
    most = 1 if kind == "hexagonal" else 0
    if abs(odd - even) > most:
        field = header["NCOLS_EVEN"]
        wanted = f"{odd - 1} to {odd + 1}, as NCOLS_ODD is {odd}" if most else f"{odd}, as NCOLS_ODD"
        raise ImageError(f"{field.where}: NCOLS_EVEN is {even}, expected {wanted}, on a {kind} grid")
    return Grid(kind, rows, odd, even, step_y, step_x)
