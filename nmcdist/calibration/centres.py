"""Centres of particles that the user knows, in place of the centroids of their outlines."""

import csv
import difflib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from nmcdist.calibration.sections import Section
from nmcdist.errors import InputError
from nmcdist.inputs import read_text

_UNITS = ("px", "nm")
_COLUMNS = {unit: ["name", f"y_{unit}", f"x_{unit}"] for unit in _UNITS}
_FORM = "name,y_px,x_px or name,y_nm,x_nm as the header of a .csv file"
_MAPPING = "unit (px or nm) and centres (name: [y, x]) in a .json or .yaml file"


@dataclass(frozen=True)
class Centres:
    """Centres by the name of the section's file.

    Attributes
    ----------
    places : dict of str to two floats
        Along rows and along columns, from the centre of the first pixel, in `unit`.
    unit : {"px", "nm"}
    source : str
        The file.
    """

    places: Mapping[str, tuple[float, float]]
    unit: str
    source: str

    def placed(self, *groups: Sequence[Section]) -> tuple[list[list[Section]], list[str]]:
        """Return groups of sections with their centres, and the names of those that keep the centroid.

        Raises
        ------
        InputError
            If a name is of no section, or a centre lies outside of its image.
        """
        names = {section.name for group in groups for section in group}
        for name in self.places:
            if name not in names:
                close = difflib.get_close_matches(name, sorted(names), n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise InputError(f"{self.source}: names {name!r}, expected the file of a section{hint}")
        kept = [section.name for group in groups for section in group if section.name not in self.places]
        return [[self._moved(section) for section in group] for group in groups], kept

    def _moved(self, section: Section) -> Section:
        if section.name not in self.places:
            return section
        scale = section.pixel_size_nm if self.unit == "nm" else 1.0
        y, x = (value / scale for value in self.places[section.name])
        rows, columns = section.labels.shape
        if not (-0.5 <= y <= rows - 0.5 and -0.5 <= x <= columns - 0.5):
            raise InputError(
                f"{self.source}: the centre of {section.name!r} is at row {y:g}, column {x:g}, expected a place in its "
                f"{rows} x {columns} pixels"
            )
        return replace(section, centre_px=(y, x))


def read_centres(path: str | Path) -> Centres:
    """Read centres from a .csv, .json or .yaml file.

    A .csv file has the header ``name,y_px,x_px`` or ``name,y_nm,x_nm``; the others have ``unit`` and ``centres``, a
    mapping of names to ``[y, x]``. Names are those of the files of the sections; y runs along the rows' number, x along
    that of the columns, both from the centre of the first pixel.

    Raises
    ------
    InputError
        If the file cannot be read, is not of this form, gives a name twice, or a place is no finite number.
    """
    path = Path(path)
    text = read_text(path)
    if path.suffix.lower() == ".csv":
        return _of_table(text, str(path))
    if path.suffix.lower() not in (".json", ".yaml", ".yml"):
        raise InputError(f"{path}: extension is {path.suffix!r}, expected .csv, .json or .yaml")
    try:
        content = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be parsed ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or set(content) != {"unit", "centres"}:
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path}: found {found}, expected {_MAPPING}")
    unit, places = content["unit"], content["centres"]
    if unit not in _UNITS:
        raise InputError(f"{path}: unit: found {unit!r}, expected px or nm")
    if not isinstance(places, dict) or not places:
        raise InputError(f"{path}: centres: found {type(places).__name__}, expected names with [y, x]")
    return Centres({str(name): _place(str(path), str(name), place) for name, place in places.items()}, unit, str(path))


def _of_table(text: str, source: str) -> Centres:
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(map(str.strip, row))]
    unit = next((unit for unit, columns in _COLUMNS.items() if rows and rows[0] == columns), None)
    if unit is None:
        raise InputError(f"{source}: found {','.join(rows[0]) if rows else 'nothing'!r}, expected {_FORM}")
    places: dict[str, tuple[float, float]] = {}
    for row in rows[1:]:
        if row[0] in places:
            raise InputError(f"{source}: {row[0]!r} is given twice, expected one centre per section")
        places[row[0]] = _place(source, row[0], row[1:])
    if not places:
        raise InputError(f"{source}: found no centre, expected one line per section")
    return Centres(places, unit, source)


def _place(source: str, name: str, values: Any) -> tuple[float, float]:
    numbers: list[float] = []
    if isinstance(values, list) and len(values) == 2:
        for value in values:
            try:
                numbers.append(math.nan if isinstance(value, bool) else float(value))
            except (TypeError, ValueError, OverflowError):
                break
    if len(numbers) != 2 or not all(map(math.isfinite, numbers)):
        raise InputError(f"{source}: {name!r} has the centre {values!r}, expected two finite numbers, y and x")
    return numbers[0], numbers[1]
