"""Colours of crystal directions in the inverse pole figure of hexagonal crystals.

The colour key is the usual one of the triangle between [0001], [2-1-10] and [10-10]: red, green and blue at its
corners. It is the key of the Laue class 6/mmm.
"""

import math

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.errors import InputError
from nmcdist.geometry.rotations import frame_axes

_ROUNDED = 12  # decimals: components on an edge of the triangle are 0


def pole_colours(quaternions: np.ndarray, direction: tuple[float, float, float]) -> np.ndarray:
    """Return the colour of each orientation in the inverse pole figure of a direction.

    Parameters
    ----------
    quaternions : ndarray, shape (n, 4)
        w, x, y, z, of any length but 0, which turn the frame of the crystal (a along x, c along z) to that of the
        particle.
    direction : (float, float, float)
        In the frame of the particle, in components x, y, z.

    Returns
    -------
    ndarray of float64, shape (n, 3)
        Red, green and blue, the largest of them 1.

    Raises
    ------
    InputError
        If the shape is wrong, a value is not finite, or a quaternion or the direction is 0.
    """
    along = finite_array("direction", direction, (3,))
    if not along.any():
        raise InputError("direction: found 0, 0, 0, expected a direction")
    return direction_colours(frame_axes(quaternions) @ along)


def direction_colours(directions: np.ndarray) -> np.ndarray:
    """Return the colours of directions in the frame of the crystal.

    Parameters
    ----------
    directions : ndarray, shape (n, 3)
        x, y, z, of any length but 0; a direction has the colour of its opposite and of its images under the symmetry
        of the crystal.

    Returns
    -------
    ndarray of float64, shape (n, 3)
        Cube roots of the components along the corners of the triangle, over the largest.

    Raises
    ------
    InputError
        If the shape is wrong, a value is not finite or a direction is 0.
    """
    checked = finite_array("directions", directions, ("n", 3))
    lengths = np.linalg.norm(checked, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise InputError("directions: found 0, 0, 0, expected a direction")
    x, y, z = np.abs(checked / lengths).T  # mirrors normal to the three axes
    for turn in (120.0, 60.0):  # mirrors at 60 and at 30 degrees to the a axis
        beyond = y > math.tan(math.radians(turn / 2)) * x
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        x, y = np.where(beyond, c * x + s * y, x), np.where(beyond, s * x - c * y, y)
    components = np.round(np.column_stack([z, x - math.sqrt(3) * y, 2 * y]), _ROUNDED)
    roots = np.cbrt(np.maximum(components, 0.0))
    return np.asarray(roots / roots.max(axis=1, keepdims=True))
