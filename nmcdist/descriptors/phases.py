"""Checks shared by the descriptors of a phase."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from nmcdist.arguments import check_one_of, plain_array
from nmcdist.errors import InputError


def check_phase(phase: Any, name: str = "phase", work: int = 0) -> np.ndarray:
    """Return the phase as an array; refuse anything but a three-dimensional, non-empty boolean array.

    `work` is the least number of bytes per voxel that the caller needs for its computation.
    """
    found = plain_array(name, phase, work)
    if found.ndim != 3 or found.size == 0:
        raise InputError(f"{name}: found shape {found.shape}, expected three dimensions, none of them empty")
    if found.dtype != np.bool_:
        raise InputError(f"{name}: found dtype {found.dtype}, expected bool")
    return found


def check_axis(axis: Any) -> int:
    """Return an axis; refuse anything but 0, 1 or 2."""
    return int(check_one_of("axis", axis, (0, 1, 2)))


def check_edges(voxel_size_nm: Any) -> tuple[float, float, float]:
    """Return the edges of a voxel along z, y, x; refuse anything but one or three positive numbers."""
    edges = voxel_size_nm if isinstance(voxel_size_nm, Sequence | np.ndarray) else (voxel_size_nm,) * 3
    if len(edges) != 3 or not all(isinstance(e, Real) and 0 < e < math.inf for e in edges):
        raise InputError(f"voxel_size_nm: found {voxel_size_nm!r}, expected one positive number, or three for z, y, x")
    return float(edges[0]), float(edges[1]), float(edges[2])
