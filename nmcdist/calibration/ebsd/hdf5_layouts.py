"""HDF5 layouts of EBSD maps: EDAX and EMsoft, Oxford, Bruker, DREAM.3D (H5EBSD) and orix."""

from dataclasses import replace

import numpy as np

from nmcdist.calibration.ebsd.angles import from_degrees
from nmcdist.calibration.ebsd.grid import MICROMETRE_NM, Grid, Points, Where, assemble, check_points
from nmcdist.calibration.ebsd.hdf5_group import Group
from nmcdist.calibration.ebsd.indexing import Numbering, Signs, edax_numbering, number_phases, oxford_numbering
from nmcdist.calibration.ebsd.layout import Position, grid_of_positions, lay_out
from nmcdist.calibration.ebsd.scan import Phase, Scan
from nmcdist.calibration.ebsd.vendors import (
    edax_grid_kind,
    edax_symmetry,
    edax_unsolved,
    oxford_symmetry,
    point_group_symmetry,
    space_group_symmetry,
)
from nmcdist.errors import ImageError

# EDAX gives points outside the map x = y = -1111111.
_NOWHERE = -1111110.0

_UNITS_NM = {"um": 1000.0, "nm": 1.0}  # units of positions in orix


def read_oxford(group: Group, notes: list[str]) -> Scan:
    """Read a map from Oxford's .h5oina, with angles in radians."""
    columns, rows = group.whole("Header/X Cells"), group.whole("Header/Y Cells")
    step_x, step_y = group.positive("Header/X Step"), group.positive("Header/Y Step")
    grid = Grid("square", rows, columns, columns, step_y, step_x).checked(group.where())
    phases = _oxford_phases(group, "Space Group", "Laue Group", "Phase Name")
    euler = group.array("Data/Euler", grid.size, 3)
    position = group.optional("Data/X", grid.size), group.optional("Data/Y", grid.size)
    scores = group.optional("Data/Mean Angular Deviation", grid.size), group.optional("Data/Band Contrast", grid.size)
    return _oxford_scan(group, grid, euler, position, scores, phases, notes)


def read_h5ebsd_hkl(group: Group, notes: list[str]) -> Scan:
    """Read a slice of H5EBSD imported from a .ctf file, with angles in degrees."""
    columns, rows = group.whole("Header/XCells"), group.whole("Header/YCells")
    step_x, step_y = group.positive("Header/XStep"), group.positive("Header/YStep")
    grid = Grid("square", rows, columns, columns, step_y, step_x).checked(group.where())
    phases = _oxford_phases(group, "SpaceGroup", "LaueGroup", "PhaseName")
    angles = np.stack([group.array(f"Data/Euler{k}", grid.size) for k in (1, 2, 3)], axis=1)
    euler = from_degrees(angles, np.arange(grid.size) // columns, group.where("Data/Euler1"), notes)
    position = group.optional("Data/X", grid.size), group.optional("Data/Y", grid.size)
    scores = group.optional("Data/MAD", grid.size), group.optional("Data/BC", grid.size)
    return _oxford_scan(group, grid, euler, position, scores, phases, notes)


def read_bruker(group: Group, notes: list[str]) -> Scan:
    """Read a map from Bruker's ESPRIT: angles in degrees, points in any order, at pixels of the electron image.

    The crystal frame has z along c and y along b, like Oxford's (MTEX, interfaces/hdf5_config).
    """
    columns, rows = group.whole("Header/NCOLS"), group.whole("Header/NROWS")
    step_x, step_y = group.positive("Header/XSTEP"), group.positive("Header/YSTEP")
    grid = Grid("square", rows, columns, columns, step_y, step_x).checked(group.where())
    size = _size(group, "Data/phi1", grid)
    phases = tuple(_bruker_phase(node) for node in _consecutive(group.numbered("Header/Phases")))
    angles = np.stack([group.array(f"Data/{name}", size) for name in ("phi1", "PHI", "phi2")], axis=1)
    position = _bruker_pixels(group, "X", size) * step_x, _bruker_pixels(group, "Y", size) * step_y
    euler = from_degrees(angles, position[1], group.where("Data/phi1"), notes)
    scores = group.optional("Data/MAD", size), group.optional("Data/RadonQuality", size)
    return _oxford_scan(group, grid, euler, position, scores, phases, notes, "Radon quality")


def read_edax(group: Group, notes: list[str]) -> Scan:
    """Read a map from EDAX or EMsoft, or a slice of H5EBSD imported from an .ang file, with angles in radians."""
    size = group.count("Data/Phi1")
    grid = _edax_grid(group, size)
    phases = {
        number: edax_phase(node)
        for number, node in group.numbered(group.first("Header/Phase", "Header/Phases")).items()
    }
    euler = np.stack([group.array(f"Data/{name}", size) for name in ("Phi1", "Phi", "Phi2")], axis=1)
    confidence = group.optional(group.first("Data/CI", "Data/Confidence Index"), size)
    unsolved = edax_unsolved(euler, confidence)
    if group.has("Data/Valid"):
        unsolved |= _edax_invalid(group, size, notes)
    ids = group.array(group.first("Data/Phase", "Data/PhaseData"), size)
    position = _edax_position(group, size, notes)
    where = _entry(group)
    signs = Signs(euler, unsolved, confidence, group.optional(group.first("Data/IQ", "Data/Image Quality"), size))
    phase = number_phases(ids, edax_numbering(phases), signs, where, notes)
    grid, cells = lay_out(grid, size, position, where, notes)
    points = Points(euler, phase, confidence, "confidence index")
    return assemble(group.path.name, grid, cells, points, tuple(phases.values()), where, MICROMETRE_NM, notes)


def read_orix(group: Group, notes: list[str]) -> Scan:
    """Read a map from orix or kikuchipy: angles in radians, crystal frame with x along a (orix, Crystal geometry)."""
    size = group.count("data/phase_id")
    check_points(size, group.where("data/phase_id"))
    unit = group.text("header/scan_unit")
    if unit not in _UNITS_NM:
        raise ImageError(f"{group.where('header/scan_unit')} is {unit[:40]!r}, expected {' or '.join(_UNITS_NM)}")
    phases = {number: _orix_phase(node) for number, node in group.numbered("header/phases").items()}
    position = group.array("data/x", size), group.array("data/y", size)
    # If a point has several solutions, the first is the best.
    each = group.count("data/phi1") // size
    check_points(size * each, group.where("data/phi1"))
    euler = np.stack([group.array(f"data/{name}", size, each)[:, 0] for name in ("phi1", "Phi", "phi2")], axis=1)
    unsolved = group.array("data/is_in_data", size) == 0 if group.has("data/is_in_data") else np.zeros(size, dtype=bool)
    nothing, where = np.full(size, np.nan), _entry(group, "data")
    numbering = Numbering(phases, False, f"-1 (unindexed) or one of {', '.join(map(str, phases))}")
    ids = group.array("data/phase_id", size)
    phase = number_phases(ids, numbering, Signs(euler, unsolved, nothing, nothing), where, notes)
    grid, cells = lay_out(grid_of_positions("square", position, where), size, position, where, notes)
    points = Points(euler, phase, nothing, "confidence index")
    return assemble(group.path.name, grid, cells, points, tuple(phases.values()), where, _UNITS_NM[unit], notes)


def _oxford_scan(
    group: Group, grid: Grid, euler: np.ndarray, position: Position, scores: tuple[np.ndarray, np.ndarray],
    phases: tuple[Phase, ...], notes: list[str], confidence_name: str = "band contrast",
) -> Scan:  # fmt: skip
    """Return the map; `scores` are the angular deviation and the confidence."""
    size, where = len(euler), _entry(group)
    signs = Signs(euler, np.zeros(size, dtype=bool), scores[0], np.full(size, np.nan))
    phase = number_phases(group.array("Data/Phase", size), oxford_numbering(phases), signs, where, notes)
    grid, cells = lay_out(grid, size, position, where, notes)
    points = Points(euler, phase, scores[1], confidence_name)
    return assemble(group.path.name, grid, cells, points, phases, where, MICROMETRE_NM, notes)


def _oxford_phases(group: Group, space: str, laue: str, name: str) -> tuple[Phase, ...]:
    phases = []
    for node in _consecutive(group.numbered("Header/Phases")):
        space_group = f"{node.array(space, 1)[0]:.0f}" if node.has(space) else "0"
        symmetry = oxford_symmetry(f"{node.array(laue, 1)[0]:.0f}", space_group, node.where(laue))
        phases.append(Phase(node.text(name), symmetry))
    return tuple(phases)


def _bruker_pixels(group: Group, axis: str, size: int) -> np.ndarray:
    """Return the position of each point along an axis in steps: a map may use only every second pixel of the image."""
    scan = Group(group.path, group.node.parent)
    for holder, name in ((group, f"SEM/SEM I{axis}"), (scan, f"SEM/SEM I{axis}"), (group, f"Data/{axis} BEAM")):
        if holder.has(name):
            pixels = holder.array(name, size)
            stride = np.diff(np.unique(pixels)).min(initial=np.inf)
            return pixels / stride if 1 < stride < np.inf else pixels
    return np.full(size, np.nan)


def _bruker_phase(node: Group) -> Phase:
    return Phase(node.text("Name"), space_group_symmetry(node.whole("IT"), node.where("IT")))


def edax_phase(node: Group) -> Phase:
    """Return a phase from EDAX's header."""
    code = node.first("Symmetry", "LGsymID")
    symmetry = edax_symmetry(f"{node.array(code, 1)[0]:.0f}", node.where(code))
    return Phase(node.text(node.first("MaterialName", "Material Name")), symmetry)


def _edax_invalid(group: Group, size: int, notes: list[str]) -> np.ndarray:
    """Return where EDAX marks points as invalid; its mark is 0 for valid points."""
    invalid = group.array("Data/Valid", size) != 0
    if invalid.all():
        notes.append("dataset Valid marks every point as invalid: it is ignored")
    return np.asarray(invalid & ~invalid.all())


def _orix_phase(node: Group) -> Phase:
    space_group = node.text("space_group") if node.has("space_group") else "None"
    if space_group.isdecimal():
        symmetry = space_group_symmetry(int(space_group[:4]), node.where("space_group"))
        symmetry = {"D3x": "D3y", "D3y": "D3x"}.get(symmetry, symmetry)  # x along a instead of y along b
    else:
        symmetry = point_group_symmetry(node.text("point_group"), node.where("point_group"))
    return Phase(node.text("name"), symmetry)


def _consecutive(numbered: dict[int, Group]) -> list[Group]:
    for wanted, (number, node) in enumerate(numbered.items(), 1):
        if number != wanted:
            raise ImageError(f"{node.where()} is phase {number}, expected {wanted}")
    return list(numbered.values())


def _edax_grid(group: Group, size: int) -> Grid:
    columns = group.whole(group.first("Header/nColumns", "Header/NCOLS_ODD"))
    rows = group.whole(group.first("Header/nRows", "Header/NROWS"))
    name = group.first("Header/Grid Type", "Header/GRID")
    kind = edax_grid_kind(group.text(name), group.where(name))
    step_x = group.positive(group.first("Header/Step X", "Header/XSTEP"))
    step_y = group.positive(group.first("Header/Step Y", "Header/YSTEP"))
    grid = Grid(kind, rows, columns, columns, step_y, step_x)
    if kind == "hexagonal" and size != grid.size:
        grid = replace(grid, even=columns - 1)
    if size != grid.size:
        raise ImageError(f"{group.where('Data/Phi1')} has {size} entries, expected {grid.size} ({grid})")
    return grid.checked(group.where())


def _size(group: Group, name: str, grid: Grid) -> int:
    """Return the number of points; a map of a part of the image has fewer than its grid."""
    size = group.count(name)
    if size > grid.size:
        raise ImageError(f"{group.where(name)} has {size} entries, expected {grid.size} ({grid})")
    return size


def _edax_position(group: Group, size: int, notes: list[str]) -> Position:
    """Return the positions; NaN at EDAX's points outside the map, marked by -1111111."""
    x, y = (group.optional(f"Data/{axis} Position", size) for axis in "XY")
    root = Group(group.path, group.node.file)
    if root.has("Manufacturer") and root.text("Manufacturer").startswith("EM"):
        # EMsoft writes wrong positions (documentation of orix, emsoft_h5ebsd).
        notes.append("the file comes from EMsoft: its Y Position is ignored")
        y = np.full(size, np.nan)
    return np.where(x > _NOWHERE, x, np.nan), np.where(y > _NOWHERE, y, np.nan)


def _entry(group: Group, data: str = "Data") -> Where:
    return lambda i, what: f"{group.where(data)}: {what} of point {i + 1}"
