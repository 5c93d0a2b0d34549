"""What text files of EBSD maps share: header fields, tables of points, and errors that name the line."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.calibration.ebsd.grid import Grid, Where
from nmcdist.errors import ImageError

_LARGEST = 2**31 - 1
# What loadtxt takes for a number; float() takes more: 1_000, and the digits of other scripts.
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Field:
    """An entry of a header: where it stands (file and line), its key, and the rest."""

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
            number = float(self.value.replace(",", "."))
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            raise ImageError(f"{self.where}: {self.key} is {self.value[:40]!r}, expected a positive number")
        return number


class Header(dict[str, Field]):
    """The fields of a header by key; one that is missing is named in the error."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def __missing__(self, key: str) -> Field:
        raise ImageError(f"{self.path}: header has no {key}, expected a line with it")


def one_line(error: Exception) -> str:
    """Return what an error of another library says, on one line."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file in UTF-8 or, failing that, Latin-1, without the empty ones at the end."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ImageError(f"{path}: file is empty, expected an EBSD map")
    return lines


def check_index(path: Path, index: int, count: int) -> None:
    """Check that a file of `count` maps has the one that is asked for."""
    if not 0 <= index < count:
        raise ImageError(f"{path}: there is no map {index}, expected 0 to {count - 1}")


def points_where(path: Path, start: int) -> Where:
    """Return how to name a point in an error, where points stand a line each after `start` lines."""
    return lambda i, what: f"{path}: line {start + 1 + i}: {what}"


def read_table(path: Path, lines: list[str], start: int, columns: int, needed: Sequence[int]) -> np.ndarray:
    """Return the numbers of the lines from `start` on: at least `columns` in each, those `needed` finite."""
    rows = lines[start:]
    if not rows:
        raise ImageError(f"{path}: line {len(lines)} is the last, expected points after the header")
    try:
        table = np.loadtxt(rows, comments=None, ndmin=2)
    except ValueError:
        table = np.empty((0, 0))
    if table.shape[0] != len(rows) or table.shape[1] < columns:
        raise _bad_line(path, rows, start, columns)
    bad = np.argwhere(~np.isfinite(table[:, needed]))
    if len(bad):
        i, k = bad[0][0], needed[bad[0][1]]
        raise ImageError(f"{path}: line {start + 1 + i}: column {k + 1} is {table[i, k]}, expected a finite number")
    return table


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


def check_count(path: Path, last: int, found: int, grid: Grid, sections: int = 1) -> None:
    """Check the number of points, which end at line `last`; volumes may have some more than whole sections."""
    size = grid.size * sections
    if found < size or (found > size and sections == 1):
        of = f"{sections} sections of {grid}" if sections > 1 else f"{grid}"
        line = last if found < size else last - (found - size) + 1
        raise ImageError(f"{path}: line {line}: there are {found} points, expected {size} ({of})")
