"""Two-point coverage probability by fast Fourier transform, whole or as sums over blocks."""

from typing import NamedTuple

import numba
import numpy as np
from scipy import fft

from nmcdist.descriptors.intrinsic import check_phase
from nmcdist.errors import InputError
from nmcdist.threads import thread_count


class TwoPointCoverage(NamedTuple):
    """Probability that two points at a distance both lie in the phase.

    Attributes
    ----------
    lag_nm : ndarray of float64
        Mean length of the lattice vectors of each bin; the same for all volumes of a voxel size.
    coverage : ndarray of float64
    """

    lag_nm: np.ndarray
    coverage: np.ndarray


def two_point_coverage(phase: np.ndarray, voxel_size_nm: float, max_lag_nm: float) -> TwoPointCoverage:
    """Estimate the two-point coverage probability C(h) of a phase, Eq. (20) of the CBA paper.

    All pairs of voxel centres in the volume count (nothing is periodic); lag vectors are gathered in bins, bin k
    holding those whose length rounds to k voxels.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    voxel_size_nm : float
        Voxel edge in nm.
    max_lag_nm : float
        Largest lag, shorter than the longest edge of the volume.

    Returns
    -------
    TwoPointCoverage

    Raises
    ------
    InputError
        If the array is not three-dimensional and boolean, or a length is impossible.
    """
    phase = check_phase(phase)
    if not 0 < voxel_size_nm < np.inf:
        raise InputError(f"voxel_size_nm: found {voxel_size_nm}, expected a positive number of nanometres")
    longest = (max(phase.shape) - 1) * voxel_size_nm
    if not 0 <= max_lag_nm <= longest:
        raise InputError(f"max_lag_nm: found {max_lag_nm}, expected a length from 0 to {longest:g} nm in this volume")
    lags = int(np.floor(max_lag_nm / voxel_size_nm + 1e-9))
    whole = tuple(slice(0, n) for n in phase.shape)
    return two_point_from_counts(pair_counts(phase, whole, lags), voxel_size_nm)


def pair_counts(window: np.ndarray, core: tuple[slice, ...], lags: int) -> np.ndarray:
    """Count the pairs of voxels, the first in the core, by lag; counts of the blocks of a volume add up.

    Parameters
    ----------
    window : ndarray of bool, shape (nz, ny, nx)
        A block of a volume with a halo of `lags` voxels, less where the volume ends.
    core : tuple of slice
        The block in the window.
    lags : int
        Largest lag in voxels.

    Returns
    -------
    ndarray of float64, shape (2, lags + 1)
        Pairs with both voxels in the phase, and all pairs. Lag vectors stand for their opposites too.
    """
    starts = [c.start for c in core]
    stops = [c.stop for c in core]
    sizes = [
        fft.next_fast_len(max(n, stop + lags, (n + lags - start) if axis else 0), real=axis == 2)
        for axis, (n, start, stop) in enumerate(zip(window.shape, starts, stops, strict=True))
    ]
    spectrum = _spectrum(window, sizes)
    if all(c == slice(0, n) for c, n in zip(core, window.shape, strict=True)):
        np.multiply(spectrum, spectrum.conj(), out=spectrum)
    else:
        block = np.zeros_like(window)
        block[core] = window[core]
        spectrum *= _spectrum(block, sizes).conj()
    hits = _correlation(spectrum, sizes, lags)
    pairs = [
        _overlap(n, start, stop, lags) for n, start, stop in zip(window.shape, starts, stops, strict=True)
    ]
    return _by_lag(hits, *pairs, lags)


def two_point_from_counts(counts: np.ndarray, voxel_size_nm: float) -> TwoPointCoverage:
    """Return the coverage that :func:`pair_counts` stands for; NaN at a lag that no pair of voxels has."""
    hits, pairs = counts
    coverage = np.divide(hits, pairs, out=np.full(len(hits), np.nan), where=pairs > 0)
    return TwoPointCoverage(bin_lags(len(hits) - 1) * voxel_size_nm, coverage)


def bin_lags(lags: int) -> np.ndarray:
    """Return the mean length, in voxels, of the lattice vectors of each bin."""
    return _mean_lengths(lags)


def _spectrum(mask: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Transform axis by axis, each padded only when its turn comes."""
    workers = thread_count()
    spectrum = fft.rfft(mask.astype(np.float32), sizes[2], axis=2, workers=workers)
    spectrum = fft.fft(spectrum, sizes[1], axis=1, workers=workers, overwrite_x=True)
    return fft.fft(spectrum, sizes[0], axis=0, workers=workers, overwrite_x=True)


def _correlation(spectrum: np.ndarray, sizes: list[int], lags: int) -> np.ndarray:
    """Transform back, keeping only lags z in [0, lags], y and x in [-lags, lags] (negative ones at the end)."""
    workers = thread_count()
    rows = np.r_[0 : lags + 1, sizes[1] - lags : sizes[1]]
    part = fft.ifft(spectrum, axis=0, workers=workers, overwrite_x=True)[: lags + 1]
    part = fft.ifft(part, axis=1, workers=workers)[:, rows]
    return fft.irfft(part, sizes[2], axis=2, workers=workers)


def _overlap(n: int, start: int, stop: int, lags: int) -> np.ndarray:
    """Count the voxels of [start, stop) whose shift by 0..lags, -lags..-1 lies in [0, n)."""
    shift = np.r_[0 : lags + 1, -lags:0]
    return np.maximum(np.minimum(stop, n - shift) - np.maximum(start, -shift), 0).astype(np.float64)


@numba.njit(cache=True, nogil=True)
def _by_lag(hits, pairs_z, pairs_y, pairs_x, lags):
    counts = np.zeros((2, lags + 1))
    width = hits.shape[2]
    for z in range(lags + 1):
        weight = 1.0 if z == 0 else 2.0  # a lag and its opposite
        for j in range(2 * lags + 1):
            y = j if j <= lags else j - 2 * lags - 1
            for i in range(2 * lags + 1):
                x = i if i <= lags else i - 2 * lags - 1
                k = int(np.sqrt(z * z + y * y + x * x) + 0.5)
                if k <= lags:
                    found = hits[z, j, x if x >= 0 else width + x]
                    counts[0, k] += weight * np.rint(found)  # the exact value is a whole number
                    counts[1, k] += weight * pairs_z[z] * pairs_y[j] * pairs_x[i]
    return counts


@numba.njit(cache=True, nogil=True)
def _mean_lengths(lags):
    total = np.zeros(lags + 1)
    number = np.zeros(lags + 1)
    for z in range(-lags, lags + 1):
        for y in range(-lags, lags + 1):
            for x in range(-lags, lags + 1):
                length = np.sqrt(z * z + y * y + x * x)
                k = int(length + 0.5)
                if k <= lags:
                    total[k] += length
                    number[k] += 1
    return total / number
