"""Reads Oxford's pair of .cpr and .crc: a text header, and binary records."""

import re
from pathlib import Path

import numpy as np

from nmcdist.calibration.ebsd.grid import MICROMETRE_NM, Grid, Points, assemble
from nmcdist.calibration.ebsd.indexing import Signs, number_phases, oxford_numbering
from nmcdist.calibration.ebsd.layout import lay_out
from nmcdist.calibration.ebsd.scan import Phase, Scan
from nmcdist.calibration.ebsd.text import Field, Header, check_index, read_lines
from nmcdist.calibration.ebsd.vendors import oxford_symmetry
from nmcdist.errors import ImageError

# The fields of a .crc record, by their numbers in the .cpr; other fields have four bytes.
_CRC_FIELDS = {
    3: ("phi1", "<f4"), 4: ("Phi", "<f4"), 5: ("phi2", "<f4"), 6: ("MAD", "<f4"),
    7: ("BC", "u1"), 8: ("BS", "u1"), 9: ("unknown", "u1"), 10: ("bands", "u1"), 11: ("error", "u1"),
}  # fmt: skip


def read_crc(path: Path, index: int | None) -> Scan:
    """Read a .crc file, with records of phase, angles in radians and more, by the header in the .cpr beside it."""
    notes: list[str] = []
    check_index(path, index, [path.stem], notes)
    header = _read_cpr(_sibling(path, ".cpr"))
    data = _sibling(path, ".crc")
    columns, rows = header["Job.xCells"].whole(), header["Job.yCells"].whole()
    step_x, step_y = header["Job.GridDistX"].positive(), header["Job.GridDistY"].positive()
    grid = Grid("square", rows, columns, columns, step_y, step_x).checked(str(header.path))
    records, fault = _read_records(data, _crc_record(header), grid, header.path.name)
    phases = tuple(_cpr_phase(header, k + 1) for k in range(header["Phases.Count"].whole()))

    def where(i: int, what: str) -> str:
        return f"{data}: record {i + 1}: {what}"

    grid, cells = lay_out(grid, len(records), None, where, notes, fault)
    euler = np.stack([records[name] for name in ("phi1", "Phi", "phi2")], axis=1).astype(np.float64)
    nothing = np.full(len(records), np.nan)
    misfit, contrast = (_column(records, name, nothing) for name in ("MAD", "BC"))
    signs = Signs(euler, np.zeros(len(records), dtype=bool), misfit, nothing)
    phase = number_phases(records["phase"].astype(np.float64), oxford_numbering(phases), signs, where, notes)
    points = Points(euler, phase, contrast, "band contrast")
    return assemble(path.name, grid, cells, points, phases, where, MICROMETRE_NM, notes)


def _read_records(path: Path, record: np.dtype, grid: Grid, header: str) -> tuple[np.ndarray, ImageError | None]:
    """Return the memory-mapped records of a file, and the fault if their number is wrong."""
    found, size = path.stat().st_size, grid.size * record.itemsize
    fault = ImageError(
        f"{path}: file has {found} bytes, expected {size} ({grid}, {record.itemsize} bytes each, by {header})"
    )
    if not found or found > size or found % record.itemsize:
        raise fault
    return np.memmap(path, record, "r"), fault if found < size else None


def _column(records: np.ndarray, name: str, nothing: np.ndarray) -> np.ndarray:
    return records[name].astype(np.float64) if name in (records.dtype.names or ()) else nothing


def _sibling(path: Path, suffix: str) -> Path:
    """Return the file of the same name with this extension, in upper or lower case."""
    for candidate in (path.with_suffix(suffix), path.with_suffix(suffix.upper())):
        if candidate.is_file():
            return candidate
    raise ImageError(f"{path}: there is no {path.with_suffix(suffix).name} beside it, expected the pair .cpr and .crc")


def _read_cpr(path: Path) -> Header:
    """Return the entries of a .cpr file by section and key."""
    header, section = Header(path), ""
    for number, line in enumerate(read_lines(path), 1):
        if found := re.match(r"\[(.*)\]", line.strip()):
            section = found[1]
        elif "=" in line:
            key, value = line.split("=", 1)
            name = f"{section}.{key.strip()}"
            header.add(Field(f"{path}: line {number}", name, value.strip()))
    return header


def _crc_record(header: Header) -> np.dtype:
    fields = [("phase", "u1")]
    for k in range(header["Fields.Count"].whole()):
        number = header[f"Fields.Field{k + 1}"].whole()
        fields.append(_CRC_FIELDS.get(number, (f"field {number}", "<f4")))
    names = [name for name, _ in fields]
    where = header["Fields.Count"].where
    if twice := {name for name in names if names.count(name) > 1}:
        raise ImageError(f"{where}: Fields name {twice.pop()} twice, expected each once")
    if missing := {"phi1", "Phi", "phi2"} - set(names):
        raise ImageError(f"{where}: Fields have no {min(missing)}, expected the fields 3, 4 and 5")
    return np.dtype(fields)


def _cpr_phase(header: Header, number: int) -> Phase:
    laue = header[f"Phase{number}.LaueGroup"]
    space_group = header[key].value if (key := f"Phase{number}.SpaceGroup") in header else 0
    return Phase(header[f"Phase{number}.StructureName"].value, oxford_symmetry(laue.value, space_group, laue.where))
