"""Finds the EBSD maps in an HDF5 file, at any depth, and reads one by its vendor's layout."""

import re
from collections.abc import Callable
from pathlib import Path

from nmcdist.calibration.ebsd.hdf5_apex import RECORDS, read_apex
from nmcdist.calibration.ebsd.hdf5_group import Group
from nmcdist.calibration.ebsd.hdf5_layouts import read_bruker, read_edax, read_h5ebsd_hkl, read_orix, read_oxford
from nmcdist.calibration.ebsd.scan import Scan
from nmcdist.calibration.ebsd.text import check_index
from nmcdist.errors import ImageError, NmcdistError
from nmcdist.wording import one_line

_EXPECTED = "expected a map of EDAX or Oxford, Bruker, DREAM.3D (H5EBSD) or orix"

# Known layouts without support: their mark and their name.
_OTHERS = (
    ("DataContainers", "a DREAM.3D pipeline file: export the map as .ang or .ctf"),
    ("DataStructure", "a DREAM.3D pipeline file: export the map as .ang or .ctf"),
)


def read_hdf5(path: Path, index: int | None) -> Scan:
    """Read an HDF5 file of EDAX (OIM, APEX), Oxford (.h5oina), Bruker, DREAM.3D (.h5ebsd) or orix."""
    import h5py  # loads a large library, needed only for such files

    if not h5py.is_hdf5(path):
        raise ImageError(f"{path}: is not an HDF5 file, though its extension says so")
    try:
        with h5py.File(path) as file:
            return _read_file(Group(path, file), index)
    except NmcdistError:
        raise
    except Exception as error:  # damaged bytes raise errors of any type in h5py
        raise ImageError(f"{path}: cannot be read as HDF5, {one_line(error)}") from error


def _read_file(root: Group, index: int | None) -> Scan:
    notes: list[str] = []
    maps: dict[str, Group] = {}
    patterns: dict[str, Group] = {}
    others: list[str] = []
    outside: list[str] = []
    for group in root.walk(outside):
        if _is_map(group):
            maps[group.name] = group
        elif _last(group) == "EBSD" and group.is_group("Data"):
            patterns[group.name] = group
        others += [what for name, what in _OTHERS if group.has(name)]
    # A group without orientations is read only to report what is missing.
    maps = maps or patterns
    if not maps:
        raise ImageError(_nothing(root, others, outside))
    names = sorted(maps, key=_natural)
    chosen = maps[names[check_index(root.path, index, names, notes)]]
    return _reader(chosen)(chosen, notes)


def _is_map(group: Group) -> bool:
    """Return whether a group holds orientations: EBSD, a slice of H5EBSD, or a crystal map of orix."""
    if _last(group) == "EBSD":
        return any(group.has(name) for name in ("Data/Phi1", "Data/phi1", "Data/Euler", RECORDS))
    if _last(group) == "crystal_map":
        return group.is_group("data")
    return any(group.has(f"Data/{name}") for name in ("PhaseData", "Euler1"))


def _nothing(root: Group, others: list[str], outside: list[str]) -> str:
    if outside:
        return f"{outside[0]} is a link to another file, expected data in the file itself"
    return f"{root.path}: is {others[0]}" if others else f"{root.path}: no group holds EBSD/Data, {_EXPECTED}"


def _reader(group: Group) -> Callable[[Group, list[str]], Scan]:
    if _last(group) == "crystal_map":
        return read_orix
    if group.has(RECORDS):
        return read_apex
    if group.has("Header/X Cells"):
        return read_oxford
    if group.has("Header/XCells"):
        return read_h5ebsd_hkl
    if group.has("Header/NCOLS"):
        return read_bruker
    return read_edax


def _last(group: Group) -> str:
    return group.name.rsplit("/", 1)[-1]


def _natural(name: str) -> list[str | int]:
    """Return a key that sorts the numbers within names as numbers: HDF5 lists slice 10 before slice 2."""
    return [int(part[:18]) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
