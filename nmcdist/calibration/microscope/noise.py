"""Noise of the virtual microscopes: smooth fields, and counted electrons."""

import math

import numpy as np

from nmcdist.calibration.fibsem.filters import gaussian, gaussian_weights
from nmcdist.geometry.elementary import exp
from nmcdist.jit import kernel
from nmcdist.models.draws import Stream


def smooth_noise(stream: Stream, shape: tuple[int, ...], sigma_px: float) -> np.ndarray:
    """Return a Gaussian field of mean 0 and variance 1 (more within reach of the edges), smoothed along each axis.

    Parameters
    ----------
    stream : Stream
    shape : tuple of int
    sigma_px : float

    Returns
    -------
    ndarray of float32
    """
    taps = gaussian_weights(sigma_px, 0).astype(np.float64)
    gain = math.fsum(taps * taps) ** (-0.5 * len(shape))
    return gaussian(stream.normal32(*shape), sigma_px) * np.float32(gain)


def counted(stream: Stream, grey: np.ndarray, dose: float) -> np.ndarray:
    """Return grey values as counted electrons: Poisson's law of mean `dose` times grey, over the dose.

    Parameters
    ----------
    stream : Stream
    grey : ndarray of float32
        Negative values count as 0; dose times grey must be below 700.
    dose : float

    Returns
    -------
    ndarray of float32
    """
    out = np.empty(grey.shape, np.float32)
    _count(np.ascontiguousarray(grey).reshape(-1), stream.uniform(grey.size), dose, out.reshape(-1))
    return out


@kernel
def _count(grey: np.ndarray, uniform: np.ndarray, dose: float, out: np.ndarray) -> None:
    """Invert the distribution function, one uniform number per pixel."""
    for i in range(len(grey)):
        mean, rest = dose * max(0.0, np.float64(grey[i])), uniform[i]
        share, k = exp(-mean), 0
        while rest >= share and k < 4000:
            rest -= share
            k += 1
            share *= mean / k
        out[i] = k / dose
