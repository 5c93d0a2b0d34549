"""Euler angles of formats in degrees; some programs write radians there without saying so in the header."""

import math

import numpy as np

from nmcdist.errors import ImageError

# In the unit of the file. In a real map, neighbours within a grain differ by far less than 5 degrees (0.1 rad), and
# neighbouring grains mostly by more than 1 rad. Read as degrees, that would be one crystal with many sharp steps.
_WITHIN, _BETWEEN = 0.1, 1.0
_CALM = 0.25  # least share of points that lie in the same grain as the point before
_STEPS, _GRAINS = 5, 4  # least numbers: fewer could be a few crystals near the axes of the sample
_ROUNDING = 1e-3


def from_degrees(euler: np.ndarray, row: np.ndarray, source: str, notes: list[str]) -> np.ndarray:
    """Return Bunge angles in radians, from a format in degrees.

    Parameters
    ----------
    euler : ndarray, shape (n, 3)
        In the order of the file.
    row : ndarray, shape (n,)
        Equal for points of one row of the map.
    source : str
        File and place, for the error.
    notes : list of str
        Receives the assumption, if all angles could also be radians and the unit makes a difference.

    Raises
    ------
    ImageError
        If the angles look like radians.
    """
    known = np.isfinite(euler).all(axis=1) & (euler != 0).any(axis=1)
    solved = euler[known]
    if len(solved) and _could_be_radians(solved):
        if _are_grains(solved, row[known]):
            raise ImageError(
                f"{source}: found Euler angles from {solved.min():.4g} to {solved.max():.4g}, which look like "
                "radians, expected degrees: multiply them by 180 / pi"
            )
        notes.append(f"no Euler angle is above {solved.max():.4g}: they are read as degrees, the unit of the format")
    return np.asarray(np.radians(euler))


def _could_be_radians(euler: np.ndarray) -> bool:
    most = np.array([2 * math.pi, math.pi, 2 * math.pi]) + _ROUNDING
    return bool((euler >= -_ROUNDING).all() and (euler <= most).all())


def _are_grains(euler: np.ndarray, row: np.ndarray) -> bool:
    """Return whether points, read as radians, form patches of equal orientation, many of them and far apart."""
    steps = np.where(np.diff(row) == 0, np.abs(np.diff(euler, axis=0)).max(axis=1), np.nan)
    calm = np.append(steps < _WITHIN, False) | np.insert(steps < _WITHIN, 0, False)
    grains = len(np.unique(np.round(euler[calm] / _BETWEEN), axis=0))
    return bool(calm.mean() >= _CALM and (steps > _BETWEEN).sum() >= _STEPS and grains >= _GRAINS)
