"""What every descriptor of a phase checks first."""

from typing import Any

import numpy as np

from nmcdist.arguments import check_one_of, plain_array
from nmcdist.errors import InputError


def check_phase(phase: Any, name: str = "phase", work: int = 0) -> np.ndarray:
    """Return the phase as an array; refuse what is not a three-dimensional, non-empty boolean array.

    `work` is the bytes per voxel that the caller computes with, at the least.
    """
    phase = plain_array(name, phase, work)
    if phase.ndim != 3 or phase.size == 0:
        raise InputError(f"{name}: found shape {phase.shape}, expected three dimensions, none of them empty")
    if phase.dtype != np.bool_:
        raise InputError(f"{name}: found dtype {phase.dtype}, expected bool")
    return phase


def check_axis(axis: Any) -> int:
    """Return an axis; refuse what is not 0, 1 or 2."""
    return int(check_one_of("axis", axis, (0, 1, 2)))
