"""How the two vendors of EBSD systems number symmetries and mark points without a solution."""

import numpy as np

from nmcdist.errors import ImageError

# TSL's symmetry codes, which EDAX still writes. The x axis of the crystal frame is along a.
_TSL_SYMMETRY = {
    43: "O", 23: "T", 62: "D6", 6: "C6", 42: "D4", 4: "C4", 32: "D3x", 3: "C3", 22: "D2", 20: "C2y", 2: "C2z", 1: "C1",
}  # fmt: skip

# HKL's numbers of Laue groups, from 1, which Oxford still writes. The y axis of the crystal frame is along b.
_HKL_LAUE = ("C1", "C2y", "D2", "C4", "D4", "C3", "D3y", "C6", "D6", "T", "O")

# The first space group of each of these Laue groups (International Tables A).
_FIRST_SPACE_GROUPS = (1, 3, 16, 75, 89, 143, 149, 168, 177, 195, 207)
_LAST_SPACE_GROUP = 230

# Trigonal space groups with two-fold axes between the axes of the cell instead of along them (class -31m).
_SPACE_GROUPS_31M = {149, 151, 153, 157, 159, 162, 163}

# Names of point groups and Laue classes, for an x axis of the crystal frame along a. Monoclinic ones are missing,
# because their names do not define the two-fold axis.
_POINT_GROUPS = {
    "O": ("432", "-43m", "m-3m", "m3m"), "T": ("23", "m-3", "m3"), "D6": ("622", "6mm", "-6m2", "-62m", "6/mmm"),
    "C6": ("6", "-6", "6/m"), "D4": ("422", "4mm", "-42m", "-4m2", "4/mmm"), "C4": ("4", "-4", "4/m"),
    "D3x": ("32", "321", "3m", "3m1", "-3m", "-3m1"), "D3y": ("312", "31m", "-31m"), "C3": ("3", "-3"),
    "D2": ("222", "mm2", "mmm"), "C1": ("1", "-1"),
}  # fmt: skip

# EDAX writes 4 pi for each angle of a point without a solution.
_EDAX_NO_ANGLE = 4 * np.pi - 0.01


def edax_symmetry(code: str | int, where: str) -> str:
    """Return the symmetry of a `Phase` from EDAX's code; `where` names file and line for the error."""
    code = str(code)
    if code in (known := {str(number): symbol for number, symbol in _TSL_SYMMETRY.items()}):
        return known[code]
    if symmetry := _named(code):
        return symmetry
    raise ImageError(f"{where}: Symmetry is {code[:40]!r}, expected one of {', '.join(known)}")


def point_group_symmetry(name: str, where: str) -> str:
    """Return the symmetry of a `Phase` from the name of its point group, for an x axis along a."""
    if symmetry := _named(name):
        return symmetry
    known = ", ".join(names[0] for names in _POINT_GROUPS.values())
    raise ImageError(f"{where}: point group is {name[:40]!r}, expected a name such as {known}")


def _named(name: str) -> str | None:
    return next((symmetry for symmetry, names in _POINT_GROUPS.items() if name.lower() in names), None)


def oxford_symmetry(laue: str | int, space_group: str | int, where: str) -> str:
    """Return the symmetry of a `Phase` from Oxford's Laue group and space group (0 if unknown)."""
    number = str(laue).strip()
    symmetry = {str(k): symbol for k, symbol in enumerate(_HKL_LAUE, 1)}.get(number.lstrip("0"))
    if symmetry is None:
        raise ImageError(f"{where}: Laue group is {number[:40]!r}, expected 1 to {len(_HKL_LAUE)}")
    between = str(space_group).strip() in map(str, _SPACE_GROUPS_31M)
    return "D3x" if symmetry == "D3y" and between else symmetry


def space_group_symmetry(number: int, where: str) -> str:
    """Return the symmetry of a `Phase` from its space group, for a y axis of the crystal frame along b."""
    laue = sum(number >= first for first in _FIRST_SPACE_GROUPS)
    if not laue or number > _LAST_SPACE_GROUP:
        raise ImageError(f"{where}: space group is {number}, expected 1 to {_LAST_SPACE_GROUP}")
    return oxford_symmetry(laue, number, where)


def edax_grid_kind(value: str, where: str) -> str:
    """Return "square" or "hexagonal"."""
    kind = {"sqrgrid": "square", "hexgrid": "hexagonal"}.get(value.rstrip("#").strip().lower())
    if kind is None:
        raise ImageError(f"{where}: grid is {value[:40]!r}, expected SqrGrid or HexGrid")
    return kind


def edax_unsolved(euler: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Return the points for which EDAX found no solution: those with angles of 4 pi, or a confidence of -1.

    A fit of 180 degrees alone is no such mark: OIM also writes it for a few points with valid angles and a high
    confidence. Where there is no solution, it always writes 4 pi as well.
    """
    return (euler > _EDAX_NO_ANGLE).all(axis=1) | (confidence < 0)
