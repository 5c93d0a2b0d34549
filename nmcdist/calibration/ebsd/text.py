"""Common parts of text files of EBSD maps: header fields, tables of points, and errors that name the line."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.calibration.ebsd.grid import MICROMETRE_NM, Grid, Where
from nmcdist.errors import ImageError

TEXT_LIMIT = 1 << 30  # bytes; ten million points

_LARGEST = 2**31 - 1
# Numbers as loadtxt accepts them; float() accepts more: 1_000, and digits of other scripts.
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)", re.ASCII | re.IGNORECASE)
# Forms of exponents and of NaN from programs in Fortran and on Windows.
_FORTRAN = re.compile(r"(?<=[\d.])d(?=[+-]?\d)", re.ASCII | re.IGNORECASE)
_NO_NUMBER = re.compile(r"-?1\.#(QNAN|IND|SNAN)0*|-?nan(\(\w+\))?(?=\s|$)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Field:
    """An entry of a header: its place (file and line), its key, and the rest."""

    where: str
    key: str
    value: str

    def whole(self, low: int = 1) -> int:
        """Return the value as a whole number of at least `low`."""
        # int() refuses thousands of digits with an error of its own.
        digits = re.fullmatch(r"0*([0-9]{1,10})", self.value)
        if digits and low <= int(digits[1]) <= _LARGEST:
            return int(digits[1])
        found = repr(self.value[:40])
        raise ImageError(f"{self.where}: {self.key} is {found}, expected a whole number, {low} to {_LARGEST}")

    def positive(self) -> float:
        """Return the value, with a decimal point or comma, as a positive number."""
        try:
            number = float(_with_points(self.value))
        except ValueError:
            number = math.nan
        if not 0 < number * MICROMETRE_NM < math.inf:
            raise ImageError(f"{self.where}: {self.key} is {self.value[:40]!r}, expected a positive number")
        return number


class Header:
    """The fields of a header by key, in any case; errors name missing ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fields: dict[str, Field] = {}

    def __contains__(self, key: str) -> bool:
        return key.casefold() in self._fields

    def __getitem__(self, key: str) -> Field:
        if key not in self:
            raise ImageError(f"{self.path}: header has no {key}, expected a line with it")
        return self._fields[key.casefold()]

    def add(self, field: Field) -> None:
        """Keep a field, unless there is already one with this key."""
        self._fields.setdefault(field.key.casefold(), field)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, without the empty ones at the end.

    The encoding is UTF-8, UTF-16 (with or without a byte order mark) or, failing these, Latin-1.

    Raises
    ------
    ImageError
        If the file is empty, not text, or larger than `TEXT_LIMIT`.
    """
    size = path.stat().st_size
    if size > TEXT_LIMIT:
        raise ImageError(f"{path}: file has {size} bytes, expected at most {TEXT_LIMIT}: save large maps as HDF5")
    lines = re.sub(r"\r*\n|\r", "\n", _decoded(path)).split("\n")
    while lines and not lines[-1].strip(" \t\f\v\x1a"):
        lines.pop()
    if not lines:
        raise ImageError(f"{path}: file is empty, expected an EBSD map")
    return lines


def check_index(path: Path, index: int | None, names: Sequence[str], notes: list[str]) -> int:
    """Return the index of the requested map; without a request, the first, with a note if there are several."""
    choices = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    if index is None:
        if len(names) > 1:
            notes.append(f"the file holds {len(names)} maps ({choices}): the first is read")
        return 0
    if not 0 <= index < len(names):
        raise ImageError(f"{path}: there is no map {index}, expected 0 to {len(names) - 1} ({choices})")
    return index


def points_where(path: Path, start: int) -> Where:
    """Return a function that names a point in errors, for one point per line after `start` lines."""
    return lambda i, what: f"{path}: line {start + 1 + i}: {what}"


def read_table(path: Path, lines: list[str], start: int, columns: int, needed: Sequence[int]) -> np.ndarray:
    """Return the numbers in the lines from `start` on: at least `columns` per line, with finite `needed` ones."""
    rows = lines[start:]
    if not rows:
        raise ImageError(f"{path}: line {len(lines)} is the last, expected points after the header")
    table = _numbers(rows)
    if table is None:
        rows = [_NO_NUMBER.sub("nan", _with_points(row)) for row in rows]
        table = _numbers(rows)
    if table is None or table.shape[1] < columns:
        raise _bad_line(path, rows, start, columns)
    bad = np.argwhere(~np.isfinite(table[:, needed]))
    if len(bad):
        i, k = bad[0][0], needed[bad[0][1]]
        raise ImageError(f"{path}: line {start + 1 + i}: column {k + 1} is {table[i, k]}, expected a finite number")
    return table


def count_fault(path: Path, last: int, found: int, grid: Grid, sections: int = 1) -> ImageError | None:
    """Return the fault in the number of points, which end at line `last`; volumes may have more."""
    size = grid.size * sections
    if found == size or (found > size and sections > 1):
        return None
    of = f"{sections} sections of {grid}" if sections > 1 else f"{grid}"
    line = last if found < size else last - (found - size) + 1
    return ImageError(f"{path}: line {line}: there are {found} points, expected {size} ({of})")


def _decoded(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4096)
        encoding = _encoding(head)
        if encoding is None:
            raise ImageError(f"{path}: contains NUL bytes, expected a text file")
        data = head + file.read()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        if encoding.startswith("utf-16"):
            raise ImageError(f"{path}: is truncated or damaged UTF-16 text, expected whole characters") from None
        text = data.decode("latin-1")
    if "\0" in text:
        raise ImageError(f"{path}: contains NUL characters, expected a text file")
    return text


def _encoding(head: bytes) -> str | None:
    """Return the encoding from the first bytes; None for bytes that are not text."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\0" not in head:
        return "utf-8-sig"
    # In UTF-16, every second byte of mostly ASCII text is zero.
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if not any(head[1 - first :: 2].count(byte) for byte in b"\0") and head[first::2].count(0) * 2 > len(head) - 16:
            return encoding
    return None


def _with_points(text: str) -> str:
    return _FORTRAN.sub("e", text.replace(",", "."))


def _numbers(rows: list[str]) -> np.ndarray | None:
    """Return a table of the numbers, or None if rows differ in length or contain anything else."""
    try:
        table = np.loadtxt(rows, comments=None, ndmin=2)
    except ValueError:
        return None
    return table if len(table) == len(rows) else None


def _bad_line(path: Path, rows: list[str], start: int, columns: int) -> ImageError:
    width = max(len(rows[0].split()), columns)
    for line, row in enumerate(rows, start + 1):
        values = row.split()
        if len(values) != width:
            return ImageError(f"{path}: line {line} has {len(values)} columns, expected {width}")
        for k, value in enumerate(values):
            if not _NUMBER.fullmatch(value):
                return ImageError(f"{path}: line {line}: column {k + 1} is {value[:40]!r}, expected a number")
    return ImageError(f"{path}: line {start + 1}: the points cannot be read as numbers")
