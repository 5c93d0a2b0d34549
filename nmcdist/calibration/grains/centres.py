"""Particle centres given by the user, in place of the centroids of the outlines."""

import csv
import difflib
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import InputError
from nmcdist.inputs import local_path, read_text
from nmcdist.json_text import load_json
from nmcdist.wording import shown
from nmcdist.yaml_text import load_yaml

_UNITS = ("px", "nm")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_COLUMNS = {unit: ["name", f"y_{unit}", f"x_{unit}"] for unit in _UNITS}
_FORM = "name,y_px,x_px or name,y_nm,x_nm as the header of a .csv file"
_MAPPING = "unit (px or nm) and centres (name: [y, x]) in a .json or .yaml file"


@dataclass(frozen=True)
class Centres:
    """Centres by the name of the section's file.

    Attributes
    ----------
    places : dict of str to two floats
        Position along rows and columns from the centre of the first pixel, in `unit`.
    unit : {"px", "nm"}
    source : str
        Name of the file with the centres.
    """

    places: Mapping[str, tuple[float, float]]
    unit: str
    source: str

    def placed(self, *groups: Sequence[Section]) -> tuple[list[list[Section]], list[str]]:
        """Return groups of sections with their centres, and the names of those that keep the centroid.

        Raises
        ------
        InputError
            If a name belongs to no section, or a centre lies outside its image.
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
    mapping of names to ``[y, x]``. Names are those of the files of the sections; y increases with the row number, x
    with the column number, both from the centre of the first pixel.

    Raises
    ------
    InputError
        If the file cannot be read, has another form, contains a name twice, or a coordinate is not a finite number.
    """
    path = local_path(path)
    if path.suffix.lower() == ".csv":
        return _of_table(read_text(path), str(path))
    if path.suffix.lower() not in (".json", ".yaml", ".yml"):
        raise InputError(f"{path}: extension is {path.suffix!r}, expected .csv, .json or .yaml")
    content = load_json(path) if path.suffix.lower() == ".json" else load_yaml(path)
    if set(content) != {"unit", "centres"}:
        raise InputError(f"{path}: found the fields {', '.join(sorted(content)[:9]) or 'none'}, expected {_MAPPING}")
    unit, places = content["unit"], content["centres"]
    if unit not in _UNITS:
        raise InputError(f"{path}: unit: found {shown(unit)}, expected px or nm")
    if not isinstance(places, dict) or not places:
        raise InputError(f"{path}: centres: found {type(places).__name__}, expected names with [y, x]")
    return Centres({name: _place(str(path), name, place) for name, place in places.items()}, unit, str(path))


def _of_table(text: str, source: str) -> Centres:
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{source}: is not a table ({error})") from None
    unit = next((unit for unit, columns in _COLUMNS.items() if rows and rows[0] == columns), None)
    if unit is None:
        raise InputError(f"{source}: found {','.join(rows[0]) if rows else 'nothing'!r}, expected {_FORM}")
    places: dict[str, tuple[float, float]] = {}
    for row in rows[1:]:
        if not row[0] or row[0] in places:
            what = f"{shown(row[0])} is given twice" if row[0] else "found a line without a name"
            raise InputError(f"{source}: {what}, expected one centre per section")
        places[row[0]] = _place(source, row[0], [_number(cell) for cell in row[1:]])
    if not places:
        raise InputError(f"{source}: found no centre, expected one line per section")
    return Centres(places, unit, source)


def _number(cell: str) -> Any:
    """Return the number in a cell, or the cell itself if it is not a number."""
    return float(cell) if _NUMBER.fullmatch(cell) else cell


def _place(source: str, name: str, values: Any) -> tuple[float, float]:
    """Return y and x; refuse text, booleans, NaN and infinities."""
    is_pair = isinstance(values, list) and len(values) == 2
    if not (is_pair and all(type(value) in (int, float) and math.isfinite(value) for value in values)):
        found = f"[{', '.join(map(shown, values[:9]))}]" if isinstance(values, list) else shown(values)
        raise InputError(f"{source}: {shown(name)} has the centre {found}, expected two finite numbers, y and x")
    return float(values[0]), float(values[1])
