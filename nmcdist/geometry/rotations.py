"""Bunge's Euler angles of crystal orientations, and back to quaternions.

A quaternion turns vectors of the crystal's frame into the frame of the particle (active). The angles phi1, Phi, phi2
are those of the same orientation in Bunge's convention: turning the particle's frame by phi1 about its z axis, then by
Phi about the new x axis, then by phi2 about the new z axis gives the crystal's frame (passive, z-x'-z'').
"""

import math

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.errors import InputError

_DEGENERATE = 1e-12


def bunge_euler(quaternions: np.ndarray) -> np.ndarray:
    """Return Bunge's Euler angles of orientations.

    Parameters
    ----------
    quaternions : ndarray, shape (n, 4)
        w, x, y, z, of any length but 0; q and -q are the same orientation.

    Returns
    -------
    ndarray of float64, shape (n, 3)
        phi1 and phi2 in [0, 2 pi), Phi in [0, pi], in radians. Where Phi is 0 or pi, only the sum or the difference of
        phi1 and phi2 is defined, and phi2 is 0.

    Raises
    ------
    InputError
        If the shape is wrong, a value is not finite or a quaternion is 0.

    References
    ----------
    Bunge, Texture Analysis in Materials Science (1982); Rowenhorst et al. (2015), doi:10.1088/0965-0393/23/8/083501.
    """
    w, x, y, z = _unit(quaternions).T
    across, along = np.hypot(x, y), np.hypot(w, z)  # sine and cosine of Phi / 2
    half_sum, half_difference = np.arctan2(z, w), np.arctan2(y, x)
    half_difference = np.where(across < _DEGENERATE, half_sum, half_difference)
    half_sum = np.where(along < _DEGENERATE, half_difference, half_sum)
    return np.column_stack([
        _turn(half_sum + half_difference), 2 * np.arctan2(across, along), _turn(half_sum - half_difference)
    ])  # fmt: skip


def bunge_quaternions(angles: np.ndarray) -> np.ndarray:
    """Return the orientations of Bunge's Euler angles.

    Parameters
    ----------
    angles : ndarray, shape (n, 3)
        phi1, Phi, phi2 in radians.

    Returns
    -------
    ndarray of float64, shape (n, 4)
        Unit quaternions w, x, y, z with w >= 0.

    Raises
    ------
    InputError
        If the shape is wrong or a value is not finite.
    """
    phi1, phi, phi2 = finite_array("angles", angles, ("n", 3)).T
    half_sum, half_difference = (phi1 + phi2) / 2, (phi1 - phi2) / 2
    across, along = np.sin(phi / 2), np.cos(phi / 2)
    found = np.column_stack([
        along * np.cos(half_sum), across * np.cos(half_difference), across * np.sin(half_difference),
        along * np.sin(half_sum),
    ])  # fmt: skip
    return np.where(found[:, :1] < 0, -found, found)


def frame_axes(quaternions: np.ndarray) -> np.ndarray:
    """Return the axes of crystals in the frame of the particle.

    Parameters
    ----------
    quaternions : ndarray, shape (n, 4)
        w, x, y, z, of any length but 0.

    Returns
    -------
    ndarray of float64, shape (n, 3, 3)
        For each orientation, the crystal's x, y and z axis as rows, in components x, y, z.

    Raises
    ------
    InputError
        If the shape is wrong, a value is not finite or a quaternion is 0.
    """
    w, x, y, z = _unit(quaternions).T
    rows = [
        [w * w + x * x - y * y - z * z, 2 * (x * y + w * z), 2 * (x * z - w * y)],
        [2 * (x * y - w * z), w * w - x * x + y * y - z * z, 2 * (y * z + w * x)],
        [2 * (x * z + w * y), 2 * (y * z - w * x), w * w - x * x - y * y + z * z],
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def _unit(quaternions: np.ndarray) -> np.ndarray:
    checked = finite_array("quaternions", quaternions, ("n", 4))
    lengths = np.linalg.norm(checked, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise InputError("quaternions: found 0, 0, 0, 0, expected a quaternion of an orientation")
    return np.asarray(checked / lengths)


def _turn(angle: np.ndarray) -> np.ndarray:
    """Return angles in [0, 2 pi); the remainder of a tiny negative number rounds to 2 pi itself."""
    turn = angle % (2 * math.pi)
    return np.where(turn >= 2 * math.pi, 0.0, turn)
