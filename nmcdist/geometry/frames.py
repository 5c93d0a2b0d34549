"""Radial frames of grains: rotations that turn the direction from the particle's centre to the first axis."""

import math

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.errors import InputError
from nmcdist.geometry.elementary import sin_cos
from nmcdist.jit import kernel


def radial_frames(seeds: np.ndarray, gammas: np.ndarray) -> np.ndarray:
    """Return the rotations Q = R(e1, gamma) R(s~ + e1, pi), s~ = s / |s|, which turn s~ to e1 (Eq. 12).

    Where Eq. 12 is undefined: s = 0 counts as pointing along e1 = (1, 0, 0), and the half turn from s~ = -e1 to e1 is
    about (0, 1, 0).

    Parameters
    ----------
    seeds : ndarray of float64, shape (n, 3)
        From the particle's centre, in any unit.
    gammas : ndarray of float64, shape (n,)
        Turn about the first axis in radians.

    Returns
    -------
    ndarray of float64, shape (n, 3, 3)
        The first row of each is s~.

    Raises
    ------
    InputError
        If a shape does not fit or a value is not finite.
    """
    seeds = finite_array("seeds", seeds, ("n", 3))
    gammas = finite_array("gammas", gammas, (len(seeds),))
    frames = np.empty((len(seeds), 3, 3))
    _fill_frames(seeds, gammas, frames)
    return frames


def radial_matrices(seeds: np.ndarray, diagonals: np.ndarray, gammas: np.ndarray) -> np.ndarray:
    """Return the matrices M = Q^T diag(D) Q of grains with the radial frames Q of Eq. 12.

    Parameters
    ----------
    seeds : ndarray of float64, shape (n, 3)
        From the particle's centre, in any unit.
    diagonals : ndarray of float64, shape (n, 3)
        D, positive, the radial entry first.
    gammas : ndarray of float64, shape (n,)
        Turn about the first axis in radians.

    Returns
    -------
    ndarray of float64, shape (n, 3, 3)
        Exactly symmetric.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not finite or an entry of D is not positive.
    """
    frames = radial_frames(seeds, gammas)
    diagonals = finite_array("diagonals", diagonals, (len(frames), 3))
    if not (diagonals > 0).all():
        raise InputError(f"diagonals: found {diagonals.min():g}, expected positive numbers")
    _turn_diagonals(diagonals, frames)
    return frames


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the Euclidean length of each row, float64, summed from the first entry to the last."""
    squares = np.zeros(len(vectors))
    for column in np.asarray(vectors, dtype=np.float64).T:
        squares += column * column
    return np.sqrt(squares)


@kernel
def _fill_frames(seeds: np.ndarray, gammas: np.ndarray, frames: np.ndarray) -> None:
    for i in range(len(seeds)):
        s0, s1, s2 = _direction(seeds[i, 0], seeds[i, 1], seeds[i, 2])
        # The half turn is 2 w w^T / |w|^2 - 1 about w = s~ + e1, whose second and third entries are s1 and s2.
        if s0 >= 0:
            p = 1 / (1 + s0)
            a, b = s1, s2
        else:
            # 1 + s0 would cancel; it equals (s1^2 + s2^2) / (1 - s0).
            p = 1 - s0
            across = math.sqrt(s1 * s1 + s2 * s2)
            a, b = (s1 / across, s2 / across) if across > 0 else (1.0, 0.0)
        h11, h12, h22 = p * a * a - 1, p * a * b, p * b * b - 1
        sine, cosine = sin_cos(gammas[i])
        frames[i, 0, 0], frames[i, 0, 1], frames[i, 0, 2] = s0, s1, s2
        frames[i, 1, 0] = cosine * s1 - sine * s2
        frames[i, 1, 1] = cosine * h11 - sine * h12
        frames[i, 1, 2] = cosine * h12 - sine * h22
        frames[i, 2, 0] = sine * s1 + cosine * s2
        frames[i, 2, 1] = sine * h11 + cosine * h12
        frames[i, 2, 2] = sine * h12 + cosine * h22


@kernel
def _direction(s0: float, s1: float, s2: float) -> tuple[float, float, float]:
    largest = max(abs(s0), abs(s1), abs(s2))
    if largest == 0:
        return 1.0, 0.0, 0.0
    # Scaled first, because squares of very long or short vectors exceed the range of floats.
    s0, s1, s2 = s0 / largest, s1 / largest, s2 / largest
    length = math.sqrt(s0 * s0 + s1 * s1 + s2 * s2)
    return s0 / length, s1 / length, s2 / length


@kernel
def _turn_diagonals(diagonals: np.ndarray, frames: np.ndarray) -> None:
    """Replace each frame Q by Q^T diag(D) Q."""
    for i in range(len(frames)):
        q = frames[i].copy()
        for a in range(3):
            for b in range(a, 3):
                entry = 0.0
                for k in range(3):
                    entry += diagonals[i, k] * (q[k, a] * q[k, b])
                frames[i, a, b] = entry
                frames[i, b, a] = entry
