"""What every descriptor of a phase checks first."""

from typing import Any

import numpy as np

from nmcdist.errors import InputError


def check_phase(phase: Any) -> np.ndarray:
    """Return the phase as an array; refuse what is not a three-dimensional, non-empty boolean array."""
    phase = np.asarray(phase)
    if phase.ndim != 3 or phase.size == 0:
        raise InputError(f"phase: found shape {phase.shape}, expected three dimensions, none of them empty")
    if phase.dtype != np.bool_:
        raise InputError(f"phase: found dtype {phase.dtype}, expected bool")
    return phase


def check_length(name: str, value: float) -> float:
    """Return a length in nm; refuse what is not finite and positive."""
    if not 0 < value < np.inf:
        raise InputError(f"{name}: found {value}, expected a positive number of nanometres")
    return float(value)


def check_axis(axis: int) -> int:
    """Return an axis; refuse what is not 0, 1 or 2."""
    if axis not in (0, 1, 2):
        raise InputError(f"axis: found {axis}, expected 0, 1 or 2")
    return int(axis)
