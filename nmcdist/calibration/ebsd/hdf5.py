"""Reads HDF5 files of EBSD maps: those of EDAX, and .h5oina of Oxford."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.calibration.ebsd.grid import MICROMETRE_NM, Grid, Points, Where, assemble
from nmcdist.calibration.ebsd.scan import Phase, Scan
from nmcdist.calibration.ebsd.text import Field, check_index, one_line
from nmcdist.calibration.ebsd.vendors import (
    edax_grid_kind,
    edax_indexed,
    edax_phase_numbers,
    edax_symmetry,
    oxford_symmetry,
)
from nmcdist.errors import ImageError, NmcdistError

if TYPE_CHECKING:
    import h5py

# EDAX puts points outside the map at x = y = -1111111.
_NOWHERE = -1111110.0


class Group:
    """A group of an HDF5 file whose missing or misshapen datasets are named in the error."""

    def __init__(self, path: Path, node: "h5py.Group") -> None:
        self.path, self.node = path, node

    def where(self, name: str = "") -> str:
        """Name the file and the dataset, or the group."""
        return f"{self.path}: {self.node.name}/{name}".replace(": /", ": ").rstrip("/")

    def array(self, name: str, *shape: int) -> np.ndarray:
        """Return a dataset as numbers of this shape."""
        found = np.asarray(self._dataset(name)[()])
        if found.size != math.prod(shape) or found.dtype.kind not in "iufb":
            raise ImageError(f"{self.where(name)} has shape {found.shape}, expected {shape} numbers")
        return found.reshape(shape).astype(np.float64)

    def optional(self, name: str, size: int) -> np.ndarray:
        """Return a dataset as an array of numbers, or of NaN if there is none."""
        return self.array(name, size) if name in self.node else np.full(size, np.nan)

    def count(self, name: str) -> int:
        """Return the number of entries of a dataset."""
        return int(self._dataset(name).size)

    def whole(self, name: str) -> int:
        """Return a positive whole number."""
        return Field(self.where(name), name, f"{self.array(name, 1)[0]:.0f}").whole()

    def positive(self, name: str) -> float:
        """Return a positive number."""
        return Field(self.where(name), name, str(self.array(name, 1)[0])).positive()

    def text(self, name: str) -> str:
        """Return a text of one entry."""
        values = np.ravel(self._dataset(name)[()])
        if len(values) != 1:
            raise ImageError(f"{self.where(name)} has {len(values)} entries, expected 1")
        value: Any = values[0]
        return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip("\0 ")

    def groups(self, name: str) -> dict[int, "Group"]:
        """Return the numbered groups inside a group, in order."""
        if not hasattr(self.node.get(name), "items"):
            raise ImageError(f"{self.where(name)} is missing")
        nodes = [
            (int(key), node) for key, node in self.node[name].items() if key.isdecimal() and hasattr(node, "items")
        ]
        numbered = {key: Group(self.path, node) for key, node in nodes}
        if not numbered:
            raise ImageError(f"{self.where(name)} holds no phase, expected 1")
        return dict(sorted(numbered.items()))

    def _dataset(self, name: str) -> "h5py.Dataset":
        # The size of a dataset without even an empty array is None.
        if name not in self.node or getattr(self.node[name], "size", None) is None:
            raise ImageError(f"{self.where(name)} is missing")
        return self.node[name]


def read_hdf5(path: Path, index: int) -> Scan:
    """Read an HDF5 file of EDAX (OIM, APEX) or of Oxford (.h5oina), which its groups tell apart."""
    import h5py  # loads a library of its own: only where there is such a file

    if not h5py.is_hdf5(path):
        raise ImageError(f"{path}: is not an HDF5 file, which its extension says")
    try:
        return _read_file(path, index)
    except NmcdistError:
        raise
    except Exception as error:  # damaged bytes lead h5py into errors of every kind
        raise ImageError(f"{path}: cannot be read as HDF5, {one_line(error)}") from error


def _read_file(path: Path, index: int) -> Scan:
    import h5py

    with h5py.File(path) as file:
        names = [name for name, group in file.items() if isinstance(group, h5py.Group) and "EBSD/Data" in group]
        names.sort(key=_natural)
        if not names:
            raise ImageError(f"{path}: no group holds EBSD/Data, expected a map of EDAX or Oxford")
        check_index(path, index, len(names))
        group = Group(path, file[names[index]]["EBSD"])
        return _read_oxford(group) if "Header/X Cells" in group.node else _read_edax(group)


def _natural(name: str) -> list[str | int]:
    """Return a key that sorts the numbers within names as numbers: HDF5 lists slice 10 before slice 2."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _read_oxford(group: Group) -> Scan:
    columns, rows = group.whole("Header/X Cells"), group.whole("Header/Y Cells")
    step_x, step_y = group.positive("Header/X Step"), group.positive("Header/Y Step")
    grid = Grid("square", rows, columns, columns, step_y, step_x)
    phases: list[Phase] = []
    for number, node in group.groups("Header/Phases").items():
        if number != len(phases) + 1:
            raise ImageError(f"{node.where()} is phase {number}, expected {len(phases) + 1}")
        space_group = f"{node.array('Space Group', 1)[0]:.0f}" if "Space Group" in node.node else "0"
        laue = f"{node.array('Laue Group', 1)[0]:.0f}"
        phases.append(Phase(node.text("Phase Name"), oxford_symmetry(laue, space_group, node.where("Laue Group"))))
    points = Points(
        group.array("Data/Euler", grid.size, 3),
        group.array("Data/Phase", grid.size),
        _positions(group, grid, "Data/X", "Data/Y"),
        group.optional("Data/Band Contrast", grid.size),
        "band contrast",
    )
    return assemble(group.path.name, grid, points, tuple(phases), _entry(group), MICROMETRE_NM)


def _read_edax(group: Group) -> Scan:
    size = group.count("Data/Phi1")
    grid = _edax_grid(group, size)
    phases = {
        number: Phase(
            node.text("MaterialName"), edax_symmetry(f"{node.array('Symmetry', 1)[0]:.0f}", node.where("Symmetry"))
        )
        for number, node in group.groups("Header/Phase").items()
    }
    euler = np.stack([group.array(f"Data/{name}", size) for name in ("Phi1", "Phi", "Phi2")], axis=1)
    confidence = group.optional("Data/CI", size)
    indexed = edax_indexed(euler, confidence)
    if "Data/Valid" in group.node:
        indexed &= group.array("Data/Valid", size) == 0
    numbers = edax_phase_numbers(group.array("Data/Phase", size), list(phases), _entry(group))
    points = Points(
        euler,
        np.where(indexed, numbers, 0),
        _positions(group, grid, "Data/X Position", "Data/Y Position"),
        confidence,
        "confidence index",
    )
    return assemble(group.path.name, grid, points, tuple(phases.values()), _entry(group), MICROMETRE_NM)


def _edax_grid(group: Group, size: int) -> Grid:
    columns, rows = group.whole("Header/nColumns"), group.whole("Header/nRows")
    kind = edax_grid_kind(group.text("Header/Grid Type"), group.where("Header/Grid Type"))
    step_x, step_y = group.positive("Header/Step X"), group.positive("Header/Step Y")
    grid = Grid(kind, rows, columns, columns, step_y, step_x)
    if kind == "hexagonal" and size != grid.size:
        grid = replace(grid, even=columns - 1)
    if size != grid.size:
        raise ImageError(f"{group.where('Data/Phi1')} has {size} entries, expected {grid.size} ({grid})")
    return grid


def _positions(group: Group, grid: Grid, x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions; NaN where EDAX, which marks points outside the map by -1111111, or Oxford has none."""
    at_x, at_y = (group.optional(name, grid.size) for name in (x, y))
    return np.where(at_x > _NOWHERE, at_x, np.nan), np.where(at_y > _NOWHERE, at_y, np.nan)


def _entry(group: Group) -> Where:
    return lambda i, what: f"{group.where('Data')}: {what} of point {i + 1}"
