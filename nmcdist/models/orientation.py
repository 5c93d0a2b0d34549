"""Crystal orientations of grains, an addition to the NMC811 paper's model.

NMC811 is trigonal (R-3m, hexagonal setting). Its c axis follows Watson's law about the radial direction of the
grain, and the turn about the c axis is uniform.
"""

import math
from typing import Any

import numpy as np

from nmcdist.arguments import check_number, finite_array
from nmcdist.geometry.elementary import atan2, exp, sin_cos
from nmcdist.geometry.frames import radial_frames
from nmcdist.jit import kernel
from nmcdist.models import streams
from nmcdist.models.quantiles import dawson, erf, normal_quantile

_STEPS = 60  # most steps of Newton's method
_LARGEST = 1e4  # concentration: c axes within about a degree


def crystal_orientations(seeds_nm: np.ndarray, concentration: float, seed: int, index: int = 0) -> np.ndarray:
    """Draw a crystal orientation for each grain of a particle, an addition to the paper's model.

    The cosine t between c axis and radial direction has density proportional to exp(concentration t^2) on
    [-1, 1]. A grain's orientation depends on its row, not on how many grains follow.

    Parameters
    ----------
    seeds_nm : ndarray, shape (n, 3)
        Seeds of the grains, relative to the particle's centre, ordered z, y, x. A seed at the centre has the radial
        direction (1, 0, 0).
    concentration : float
        Positive for c axes along the radius, negative for across it, 0 for uniform. At most 10^4 in size.
    seed : int
        Seed in [0, 2^64).
    index : int
        Number of the particle in [0, 2^32).

    Returns
    -------
    ndarray of float64, shape (n, 4)
        Unit quaternions (w, x, y, z), w >= 0, in right-handed axes x, y, z. They turn vectors of the crystal's frame
        (a axis along x, c axis along z) into the frame of the particle: v -> q v q*.

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
    uniform = streams.draws(seed, streams.ORIENTATIONS, index).uniform(len(seeds), 3)
    cosine = watson_cosines(uniform[:, 0], concentration)
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    around, twist = (2 * math.pi * uniform[:, k] for k in (1, 2))
    frames = radial_frames(seeds, around)
    axes = cosine[:, None] * frames[:, 0] + sine[:, None] * frames[:, 1]
    turns = np.empty((len(axes), 4))
    _fill_quaternions(axes, twist, turns)
    return turns


def c_axes(orientations: np.ndarray) -> np.ndarray:
    """Return the c axes of orientations from :func:`crystal_orientations`.

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
        Cosines in [-1, 1], which increase with the uniform numbers.

    Raises
    ------
    InputError
        If the concentration is out of range.
    """
    concentration = _check_concentration(concentration)
    signed = 2 * np.asarray(uniform, dtype=np.float64) - 1
    cosine, width = np.array(np.abs(signed)), math.sqrt(abs(concentration))
    # Below this width, the density is flat within rounding.
    if width >= 1e-6 and concentration < 0:
        _invert_erf(cosine.reshape(-1), width)
    elif width >= 1e-6:
        _invert_erfi(cosine.reshape(-1), width)
    return np.asarray(np.copysign(np.minimum(cosine, 1.0), signed))


def _check_concentration(concentration: Any) -> float:
    return check_number("concentration", concentration, -_LARGEST, _LARGEST)


@kernel
def _invert_erf(shares: np.ndarray, width: float) -> None:
    """Replace each share by the solution of erf(width t) = share erf(width)."""
    whole = erf(width)
    for i in range(len(shares)):
        shares[i] = normal_quantile(0.5 * shares[i] * whole) * math.sqrt(0.5) / width


@kernel
def _invert_erfi(shares: np.ndarray, width: float) -> None:
    """Replace each share by the solution of erfi(width t) = share erfi(width), using Newton's method from t = 1.

    erfi is convex, so the steps decrease to the solution without passing it. It is computed as 2 / sqrt(pi) exp(x^2)
    D(x) with Dawson's function D, which keeps all terms finite.
    """
    whole = dawson(width)
    for i in range(len(shares)):
        target, t = max(shares[i], 2.0**-60) * whole, 1.0
        for _ in range(_STEPS):
            before = t
            t -= (dawson(width * t) - target * exp(width * width * (1.0 - t) * (1.0 + t))) / width
            if t == before:
                break
        shares[i] = t


@kernel
def _fill_quaternions(axes: np.ndarray, twists: np.ndarray, turns: np.ndarray) -> None:
    """Write the turn by `twist` about z, followed by that of z to `axis` along a meridian and a parallel."""
    for i in range(len(axes)):
        z, y, x = axes[i, 0], axes[i, 1], axes[i, 2]
        s, c = sin_cos(0.5 * atan2(math.sqrt(x * x + y * y), z))
        azimuth = 0.5 * atan2(y, x)
        sine_sum, cosine_sum = sin_cos(azimuth + 0.5 * twists[i])
        sine_difference, cosine_difference = sin_cos(azimuth - 0.5 * twists[i])
        sign = -1.0 if c * cosine_sum < 0.0 else 1.0
        turns[i, 0], turns[i, 1] = sign * c * cosine_sum, -sign * s * sine_difference
        turns[i, 2], turns[i, 3] = sign * s * cosine_difference, sign * c * sine_sum
