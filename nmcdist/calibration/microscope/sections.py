"""A virtual FIB-SEM: from a known structure to a stack of grey slices; a pure function of structure, settings, seed.

The structure has cubic voxels of the size of a pixel. A slice shows one of its planes, and through the pores what
lies below; then come charging, the beam's blur, drift, the ramp of brightness, curtains, and noise.
"""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.microscope.noise import counted, smooth_noise
from nmcdist.calibration.microscope.settings import FibSem
from nmcdist.errors import InputError
from nmcdist.geometry.elementary import exp
from nmcdist.jit import kernel
from nmcdist.models import streams

_STREAM = 801  # beyond those of the models
_CHARGING, _CURTAIN, _ELECTRONS, _READ, _STRIPES, _DRIFT = range(6)


@dataclass(frozen=True)
class FibSemPhantom:
    """A virtual stack and what is true of it.

    Attributes
    ----------
    grey : ndarray of uint8, shape (n, ny, nx)
    labels : ndarray of uint8, shape (n, ny, nx)
        The structure in each slice, without drift.
    drift_px : ndarray of float64, shape (n, 2)
        Pixel (y, x) of a slice shows the structure at (y, x) + drift.
    """

    grey: np.ndarray
    labels: np.ndarray
    drift_px: np.ndarray


def needed_shape(shape: tuple[int, int, int], settings: FibSem) -> tuple[int, int, int]:
    """Return the shape of the structure from which a stack of slices of a shape is imaged."""
    n, ny, nx = shape
    rim = 2 * settings.margin_px
    return (n - 1) * settings.pixels_per_slice + settings.depth_px, ny + rim, nx + rim


def fib_sem(labels: np.ndarray, settings: FibSem, seed: int) -> FibSemPhantom:
    """Image a structure.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
        0 is pore. Voxels have the size of a pixel; see :func:`needed_shape`.
    settings : FibSem
    seed : int
        Seed in [0, 2^64).

    Returns
    -------
    FibSemPhantom

    Raises
    ------
    InputError
        If the structure is too small for one slice of a pixel.
    """
    step, depth, rim = settings.pixels_per_slice, settings.depth_px, settings.margin_px
    count = (labels.shape[0] - depth) // step + 1
    if count < 1 or min(labels.shape[1:]) <= 2 * rim:
        least = (depth, 2 * rim + 1, 2 * rim + 1)
        raise InputError(f"labels: found shape {labels.shape}, expected at least {least}")
    drift = drifts_px(count, settings, seed)
    grey = [fib_sem_slice(labels[step * k : step * k + depth], k, drift[k], settings, seed) for k in range(count)]
    return FibSemPhantom(np.stack(grey), labels[: step * count : step, rim:-rim, rim:-rim].copy(), drift)


def drifts_px(count: int, settings: FibSem, seed: int) -> np.ndarray:
    """Return the drift of each slice along y and x: a walk that is drawn back to zero and stays within the margin."""
    steps = settings.drift_px * streams.draws(*_key(seed, 0), _DRIFT).normal(count, 2)
    walk = np.zeros((count, 2))
    for k in range(1, count):
        walk[k] = settings.persistence * walk[k - 1] + steps[k]
    most = max(0, settings.margin_px - 1)
    return np.clip(walk, -most, most)


def fib_sem_slice(
    slab: np.ndarray, number: int, drift_px: np.ndarray, settings: FibSem, seed: int, bits: int = 8
) -> np.ndarray:
    """Image one slice, from the plane of its surface and those below.

    Parameters
    ----------
    slab : ndarray of uint8, shape (depth, ny, nx)
    number : int
        Of the slice in its stack.
    drift_px : ndarray of float64, shape (2,)
    settings : FibSem
    seed : int
    bits : 8, 16 or 32
        Of a grey value; 32 are those of float32.

    Returns
    -------
    ndarray of uint8, uint16 or float32, shape (ny - 2 margin, nx - 2 margin)
    """
    fade = [settings.shine * exp(-(k - 1) / settings.shine_depth_px) for k in range(1, len(slab))]
    grey = np.empty(slab.shape[1:], np.float32)
    _surface(np.ascontiguousarray(slab), np.array([1.0, *fade], np.float32), grey)
    grey = np.float32(settings.pore) + np.float32(settings.contrast) * grey
    pores = gaussian((slab[0] == 0).astype(np.float32), settings.charging_px)
    field = smooth_noise(streams.draws(*_key(seed, number), _CHARGING), grey.shape, settings.charging_px)
    grey = gaussian(grey + np.float32(settings.charging) * pores * field, settings.blur_px)
    grey = _seen(grey, drift_px, settings.margin_px)
    ny, nx = len(grey), len(grey[0])
    own, lasting = (
        smooth_noise(streams.draws(*_key(seed, key), part), (nx,), settings.curtain_px)
        for key, part in ((number, _CURTAIN), (0, _STRIPES))
    )
    curtain = 1 + np.float32(settings.curtain) * (np.float32(0.8) * lasting + np.float32(0.6) * own)
    ramp = (1 - settings.ramp * np.arange(ny) / max(1, ny - 1)).astype(np.float32)
    grey = counted(streams.draws(*_key(seed, number), _ELECTRONS), grey * curtain * ramp[:, None], settings.dose)
    grey += np.float32(settings.read_noise) * streams.draws(*_key(seed, number), _READ).normal32(ny, nx)
    clipped: np.ndarray = np.clip(grey, 0, 1)
    return clipped if bits == 32 else np.rint(np.float32(2**bits - 1) * clipped).astype(f"uint{bits}")


def _key(seed: int, number: int) -> tuple[int, int, int]:
    seed, number = streams.check_key(seed, number)
    return seed, _STREAM, number


@kernel
def _surface(slab: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Write the weight of the depth of the first solid below each pixel, 0 if there is none."""
    for y in range(slab.shape[1]):
        for x in range(slab.shape[2]):
            out[y, x] = 0.0
            for k in range(slab.shape[0]):
                if slab[k, y, x] != 0:
                    out[y, x] = weights[k]
                    break


def _seen(grey: np.ndarray, drift_px: np.ndarray, margin: int) -> np.ndarray:
    """Return the field of view at a drift, linear between pixels."""
    ny, nx = (n - 2 * margin for n in grey.shape)
    whole = np.floor(drift_px)
    y, x = (int(part) + margin for part in whole)
    v, u = (np.float32(part) for part in drift_px - whole)
    rows = (1 - v) * grey[y : y + ny] + v * grey[y + 1 : y + 1 + ny] if v else grey[y : y + ny]
    return (1 - u) * rows[:, x : x + nx] + u * rows[:, x + 1 : x + 1 + nx] if u else rows[:, x : x + nx]
