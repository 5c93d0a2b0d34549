"""Crystal orientations of grains, an addition of this package: the NMC811 paper has none.

NMC811 is trigonal (R-3m, hexagonal setting). Its c axis follows Watson's law about the radial direction of the
grain, and the turn about the c axis is uniform.
"""

import math
from typing import Any

import numpy as np

from nmcdist.errors import InputError
from nmcdist.geometry.frames import finite_array, radial_frames
from nmcdist.models import streams

_STEPS = 60  # Newton's: the same for each grain, so that none depends on the others
_LARGEST = 1e4  # concentration: c axes within about a degree


def crystal_orientations(seeds_nm: np.ndarray, concentration: float, seed: int, index: int = 0) -> np.ndarray:
    """Draw a crystal orientation for each grain of a particle. Outside the paper.

    The cosine t between c axis and radial direction has density proportional to exp(concentration t^2) on
    [-1, 1]. A grain's orientation depends on its row, not on how many grains follow.

    Parameters
    ----------
    seeds_nm : ndarray, shape (n, 3)
        Seeds of the grains from the centre of the particle, ordered z, y, x; a seed at the centre has the
        radial direction (1, 0, 0).
    concentration : float
        Positive: c axes along the radius; negative: across it; 0: uniform. At most 10^4 in size.
    seed : int
        Seed in [0, 2^64).
    index : int
        Number of the particle in [0, 2^32).

    Returns
    -------
    ndarray of float64, shape (n, 4)
        Unit quaternions (w, x, y, z), w >= 0, their vectors in right-handed axes x, y, z. They turn vectors of
        the crystal's frame (a axis along x, c axis along z) into the frame of the particle: v -> q v q*.

    Raises
    ------
    InputError
        If an argument has an impossible value or shape.

    References
    ----------
    Watson (1965), doi:10.1093/biomet/52.1-2.193; Mardia and Jupp, Directional Statistics (2000), Sec. 9.4.2.
    """
    seeds = finite_array("seeds_nm", seeds_nm, ("n", 3))
    concentration = _check_concentration(concentration)
    seed, index = streams.check_key(seed, index)
    uniform = streams.generator(seed, streams.ORIENTATIONS, index).random((len(seeds), 3))
    cosine = watson_cosines(uniform[:, 0], concentration)
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    around, twist = (2 * math.pi * uniform[:, k] for k in (1, 2))
    frames = radial_frames(seeds, around)
    axes = cosine[:, None] * frames[:, 0] + sine[:, None] * frames[:, 1]
    return _quaternions(axes[:, 2], axes[:, 1], axes[:, 0], twist)


def c_axes(orientations: np.ndarray) -> np.ndarray:
    """Return the c axes of orientations as :func:`crystal_orientations` gives them.

    Parameters
    ----------
    orientations : ndarray, shape (n, 4)

    Returns
    -------
    ndarray of float64, shape (n, 3)
        Unit vectors, ordered z, y, x.

    Raises
    ------
    InputError
        If the shape is wrong or a value is not finite.
    """
    w, x, y, z = finite_array("orientations", orientations, ("n", 4)).T
    return np.column_stack([w * w - x * x - y * y + z * z, 2 * (y * z - w * x), 2 * (x * z + w * y)])


def watson_cosines(uniform: np.ndarray, concentration: float) -> np.ndarray:
    """Return cosines with density proportional to exp(concentration t^2) from uniform numbers, by inversion.

    Parameters
    ----------
    uniform : ndarray, in [0, 1)
    concentration : float
        At most 10^4 in size.

    Returns
    -------
    ndarray of float64
        In [-1, 1], growing with the uniform numbers.

    Raises
    ------
    InputError
        If the concentration is not such a number.
    """
    concentration = _check_concentration(concentration)
    signed = 2 * np.asarray(uniform, dtype=np.float64) - 1
    share, width = np.abs(signed), math.sqrt(abs(concentration))
    if width < 1e-6:
        # The density is flat within rounding.
        cosine = share
    elif concentration < 0:
        cosine = _inverse_erf(share, width)
    else:
        cosine = _inverse_erfi(share, width)
    return np.copysign(np.minimum(cosine, 1.0), signed)


def _check_concentration(concentration: Any) -> float:
    if not -_LARGEST <= concentration <= _LARGEST:
        raise InputError(f"concentration: found {concentration}, expected a number from {-_LARGEST:g} to {_LARGEST:g}")
    return float(concentration)


def _inverse_erf(share: np.ndarray, width: float) -> np.ndarray:
    from scipy.special import erf, erfinv

    return erfinv(share * erf(width)) / width


def _inverse_erfi(share: np.ndarray, width: float) -> np.ndarray:
    """Solve erfi(width t) = share erfi(width) by Newton's method from t = 1.

    erfi is convex, so the steps come down to the solution without passing it. It is written as
    2 / sqrt(pi) exp(x^2) D(x) with Dawson's function D, which keeps all terms finite.
    """
    from scipy.special import dawsn

    target = np.maximum(share, 2.0**-60) * dawsn(width)
    cosine = np.ones_like(share)
    for _ in range(_STEPS):
        excess = dawsn(width * cosine) - target * np.exp(width**2 * (1 - cosine) * (1 + cosine))
        cosine -= excess / width
    return cosine


def _quaternions(x: np.ndarray, y: np.ndarray, z: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """Return the turn by `twist` about the z axis, then of the z axis to (x, y, z) along a meridian and a parallel."""
    polar, azimuth = np.arctan2(np.hypot(x, y), z) / 2, np.arctan2(y, x) / 2
    half_sum, half_difference = azimuth + twist / 2, azimuth - twist / 2
    c, s = np.cos(polar), np.sin(polar)
    turns = np.column_stack(
        [c * np.cos(half_sum), -s * np.sin(half_difference), s * np.cos(half_difference), c * np.sin(half_sum)]
    )
    return np.where(turns[:, :1] < 0, -turns, turns)
