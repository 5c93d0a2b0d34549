"""Checks shared by the descriptors of a phase."""

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
