"""A virtual nano-CT: particles in voxels -> grey values, blurred and with correlated noise, without rings."""

import numpy as np

from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.microscope.noise import smooth_noise
from nmcdist.calibration.microscope.settings import NanoCt
from nmcdist.models import streams

_STREAM = 803


def nano_ct(labels: np.ndarray, settings: NanoCt, seed: int) -> np.ndarray:
    """Image particles; a pure function of its arguments.

    Parameters
    ----------
    labels : ndarray of int, shape (nz, ny, nx)
        0 is outside.
    settings : NanoCt
    seed : int
        Seed in [0, 2^64).

    Returns
    -------
    ndarray of uint16, shape as of `labels`
    """
    seed, _ = streams.check_key(seed, 0)
    solid = gaussian((labels > 0).astype(np.float32), settings.blur_px)
    noise = smooth_noise(streams.draws(seed, _STREAM, 0), labels.shape, settings.noise_px)
    grey = np.float32(settings.background) + np.float32(settings.contrast) * solid + np.float32(settings.noise) * noise
    return np.rint(65535 * np.clip(grey, 0, 1)).astype(np.uint16)
