"""Two-point coverage probability: the probability that two points at a given distance both lie in the phase.

Fourier transforms count the pairs of voxels of all lattice vectors at once. They run one axis at a time and skip what
is zero or not needed: rows of zero padding, lags beyond the longest, and one of the mirror images h and -h. Counts of
blocks with their surroundings add up to those of the volume.
"""

from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from scipy import fft

from nmcdist.arguments import check_number, check_whole, whole_array
from nmcdist.descriptors.directional import directional_coverage
from nmcdist.descriptors.phases import check_axis, check_edges, check_phase
from nmcdist.errors import InputError
from nmcdist.jit import kernel
from nmcdist.threads import thread_map
from nmcdist.wording import shown

SPECTRUM_BYTES = 3 * 10**9  # largest spectra held at once: 600^3 voxels with lags to 150; larger blocks are split
_NUMBER = 16  # bytes of a complex number
Edges = tuple[float, float, float]
PIECE_BYTES = 1 << 21  # bytes that a thread transforms at a time, to stay in its cache


class TwoPointCoverage(NamedTuple):
    """Two-point coverage probability.

    Attributes
    ----------
    lag_nm : ndarray of float64, shape (n,)
        Mean length of the lattice vectors of each bin, as :func:`lag_lengths` gives it.
    coverage : ndarray of float64, shape (n,)
        Probability that both ends lie in the phase; NaN where no pair of voxels was counted.
    """

    lag_nm: np.ndarray
    coverage: np.ndarray


def two_point_coverage(
    phase: np.ndarray, voxel_size_nm: float | Sequence[float], max_lag_nm: float
) -> TwoPointCoverage:  # fmt: skip
    """Return the two-point coverage probability of a phase by lag.

    The estimate is unbiased and not periodic: the number of pairs of voxel centres that both lie in the phase, over
    the number of all pairs, each summed over the lattice vectors whose length rounds to 0, 1, 2, ... times the
    shortest edge of a voxel.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x.
    max_lag_nm : float
        Longest lag in nm, at most the longest edge of the volume. Bins end at the last whole voxel.

    Returns
    -------
    TwoPointCoverage
        The lags depend only on voxel size and longest lag. The first is 0; its coverage is the volume fraction.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.

    References
    ----------
    Gräfensteiner et al. (2025), doi:10.1186/s13362-025-00174-z, Eq. (20); Ohser and Schladitz (2009), Sec. 6.2.3.
    """
    phase, edges = check_phase(phase), check_edges(voxel_size_nm)
    longest = max((n - 1) * edge for n, edge in zip(phase.shape, edges, strict=True))
    if not 0 <= check_number("max_lag_nm", max_lag_nm) <= longest:
        raise InputError(f"max_lag_nm: found {max_lag_nm}, expected a length from 0 to {longest:g} nm in this volume")
    max_lag = int(max_lag_nm / min(edges) + 1e-9)
    core = tuple(slice(0, n) for n in phase.shape)
    return two_point_from_counts(pair_counts(phase, core, max_lag, edges), edges)


def axis_coverage(
    phase: np.ndarray, voxel_size_nm: float | Sequence[float], axis: int, max_lag_nm: float
) -> TwoPointCoverage:  # fmt: skip
    """Return the two-point coverage probability of a phase along an axis, at every multiple of the voxel edge.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x.
    axis : {0, 1, 2}
    max_lag_nm : float
        Longest lag in nm, from one voxel edge to the length of the volume along the axis.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    phase, axis = check_phase(phase), check_axis(axis)
    edge = check_edges(voxel_size_nm)[axis]
    longest = (phase.shape[axis] - 1) * edge
    if not edge <= check_number("max_lag_nm", max_lag_nm) <= longest:
        raise InputError(f"max_lag_nm: found {max_lag_nm}, expected from {edge:g} to {longest:g} nm along this axis")
    lags = int(max_lag_nm / edge + 1e-9)
    step = np.eye(3, dtype=np.int64)[axis]
    return TwoPointCoverage(edge * np.arange(lags + 1), directional_coverage(phase, step[None], lags)[0])


def pair_counts(
    window: np.ndarray, core: tuple[slice, ...], max_lag: int, voxel_size_nm: float | Sequence[float] = 1.0
) -> np.ndarray:  # fmt: skip
    """Return, by lag, how many voxel pairs have one end in a block: pairs in the phase, and all pairs.

    Counts of blocks that tile a volume add up to the counts of the volume if every window includes all voxels of the
    volume up to `max_lag` away from its block.

    Parameters
    ----------
    window : ndarray of bool, shape (nz, ny, nx)
        The phase in a block and around it.
    core : tuple of slice
        Position of the block in the window.
    max_lag : int
        Longest lag in voxels; with three edges, in units of the shortest.
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel, or its edges along z, y, x. Only their ratios count.

    Returns
    -------
    ndarray of int64, shape (2, max_lag + 1)
        Pairs with both ends in the phase, and all pairs, summed over the lattice vectors whose length rounds to the
        lag. Counts are exact: the error of a transform in double precision is far below 1/2 and is rounded away.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    window = check_phase(window, "window")
    max_lag, core = check_whole("max_lag", max_lag, 0), _check_core(core, window.shape)
    return counts_of_pairs(window, core, max_lag, check_edges(voxel_size_nm))


def counts_of_pairs(window: np.ndarray, core: tuple[slice, ...], max_lag: int, edges: Edges) -> np.ndarray:
    """Return the counts of :func:`pair_counts` without checks."""
    edges = _relative(edges)
    # Lags down along the first axis are mirror images of those up, and nothing beyond the longest lag matters.
    steps = _steps(max_lag, edges)
    reach = [
        slice(max(0, c.start - s) if axis else c.start, min(n, c.stop + s))
        for axis, (c, n, s) in enumerate(zip(core, window.shape, steps, strict=True))
    ]
    window = window[tuple(reach)]
    core = tuple(slice(c.start - r.start, c.stop - r.start) for c, r in zip(core, reach, strict=True))
    if _spectrum_bytes(window.shape, core, steps) > SPECTRUM_BYTES:
        longest = int(np.argmax([c.stop - c.start for c in core]))
        middle = (core[longest].start + core[longest].stop) // 2
        if middle > core[longest].start:
            halves = slice(core[longest].start, middle), slice(middle, core[longest].stop)
            parts = [(*core[:longest], half, *core[longest + 1 :]) for half in halves]
            return np.asarray(sum(counts_of_pairs(window, part, max_lag, edges) for part in parts))
    return _count(window, core, max_lag, edges)


def two_point_from_counts(counts: np.ndarray, voxel_size_nm: float | Sequence[float]) -> TwoPointCoverage:
    """Return the two-point coverage probability from the counts of :func:`pair_counts`.

    Parameters
    ----------
    counts : ndarray, shape (2, n)
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x, as for the counts.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    both, pairs = whole_array("counts", counts, (2, "n"))
    edges = check_edges(voxel_size_nm)
    if not len(pairs):
        raise InputError("counts: found none, expected those of one lag or more")
    return coverage_from_counts(both, pairs, edges)


def coverage_from_counts(both: np.ndarray, pairs: np.ndarray, edges: Edges) -> TwoPointCoverage:
    """Return the two-point coverage probability, with the lags of a lattice of these edges in nm."""
    coverage = np.full(len(pairs), np.nan)
    np.divide(both, pairs, out=coverage, where=pairs > 0)
    return TwoPointCoverage(lag_lengths(len(pairs) - 1, edges), coverage)


def _check_core(core: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:
    def fits(part: Any, n: int) -> bool:
        whole = isinstance(part, slice) and isinstance(part.start, Integral) and isinstance(part.stop, Integral)
        return whole and 0 <= part.start < part.stop <= n and part.step in (None, 1)

    if not isinstance(core, tuple | list) or len(core) != 3 or not all(map(fits, core, shape)):
        raise InputError(f"core: found {shown(core)}, expected three slices of a window of shape {shape}")
    return tuple(core)


def lag_lengths(max_lag: int, voxel_size_nm: float | Edges) -> np.ndarray:
    """Return the mean length in nm of the lattice vectors whose length rounds to 0, 1, ..., `max_lag` voxels.

    With three edges, the shortest is the unit. The mean coverage over these vectors is the coverage at this lag up to
    its second derivative. The whole number of voxels would be off by a quarter of a voxel at lag 1 and by 1 / (6 k) at
    lag k.
    """
    edges = voxel_size_nm if isinstance(voxel_size_nm, tuple) else (voxel_size_nm,) * 3
    number, length = _lattice_sums(max_lag, _relative(edges))
    return np.asarray(length / number * min(edges))


def _relative(edges: Edges) -> Edges:
    """Return the edges in units of the shortest."""
    unit = min(edges)
    return edges[0] / unit, edges[1] / unit, edges[2] / unit


def _steps(max_lag: int, edges: Edges) -> list[int]:
    """Return, per axis, the most steps of a lattice vector whose length rounds to the longest lag or less."""
    return [int((max_lag + 0.5) / edge) for edge in edges]


@lru_cache(maxsize=8)
def _lattice_sums(max_lag: int, edges: Edges) -> tuple[np.ndarray, np.ndarray]:
    number, length = _sum_lengths(max_lag, edges)
    return number, length


@kernel
def _sum_lengths(max_lag: int, edges: Edges) -> tuple[np.ndarray, np.ndarray]:
    """Return the number and summed length of the lattice vectors of each bin, adding plane by plane."""
    number, length = np.zeros(max_lag + 1), np.zeros(max_lag + 1)
    for z in range(max_lag + 1):
        plane = np.zeros(max_lag + 1)
        for y in range(max_lag + 1):
            # Coordinates other than 0 also represent their negatives.
            weight = (2.0 if z else 1.0) * (2.0 if y else 1.0)
            for x in range(max_lag + 1):
                a, b, c = z * edges[0], y * edges[1], x * edges[2]
                distance = np.sqrt(a * a + b * b + c * c)
                if distance > max_lag + 1:
                    break
                k = int(np.rint(distance))
                if k <= max_lag:
                    w = 2.0 * weight if x else weight
                    number[k] += w
                    plane[k] += w * distance
        length += plane
    return number, length


def _sizes(shape: tuple[int, ...], core: tuple[slice, ...], steps: list[int]) -> list[int]:
    """Return transform lengths at which no pair within the longest lag wraps around onto another."""
    # One end of a pair lies in the core, the other up to the longest lag away; along the first axis only upwards,
    # from a core that begins with the window.
    lags = _lags(shape, steps)
    spans = [max(n - c.start, c.stop) + lag for n, c, lag in zip(shape, core, lags, strict=True)]
    spans[0] = core[0].stop + lags[0]
    return [int(fft.next_fast_len(span, real=True)) for span in spans]


def _lags(shape: tuple[int, ...], steps: list[int]) -> list[int]:
    """Return the longest lag of a window along each axis."""
    return [min(s, n - 1) for s, n in zip(steps, shape, strict=True)]


def _is_whole(shape: tuple[int, ...], core: tuple[slice, ...]) -> bool:
    return all(c.start == 0 and c.stop == n for c, n in zip(core, shape, strict=True))


def _spectrum_bytes(shape: tuple[int, ...], core: tuple[slice, ...], steps: list[int]) -> int:
    _, rows, columns = _sizes(shape, core, steps)
    planes = shape[0] if _is_whole(shape, core) else shape[0] + core[0].stop
    return planes * rows * (columns // 2 + 1) * _NUMBER


def _count(window: np.ndarray, core: tuple[slice, ...], max_lag: int, edges: Edges) -> np.ndarray:
    """Count pairs with one end in the core and the other in the window; the core begins on its first plane.

    Each transform runs on one thread, in pieces that do not depend on the number of threads, so results do not depend
    on it either.
    """
    steps = _steps(max_lag, edges)
    sizes, lags = _sizes(window.shape, core, steps), _lags(window.shape, steps)
    spectrum = _transform_planes(window, sizes)
    block = None if _is_whole(window.shape, core) else _transform_planes(window[core], sizes)
    step = max(1, PIECE_BYTES // (_NUMBER * sizes[0] * spectrum.shape[2]))
    thread_map(lambda y: _correlate(spectrum, block, slice(y, y + step), sizes[0], lags[0]), range(0, sizes[1], step))
    overlaps = [_overlaps(n, c, lag) for n, c, lag in zip(window.shape, core, lags, strict=True)]
    offsets = core[1].start, core[2].start
    across = np.square(edges[2] * np.arange(-lags[2], lags[2] + 1))

    def count_plane(lag: int) -> np.ndarray:
        rows = np.arange(-lags[1], lags[1] + 1)
        squared = np.square(edges[0] * lag) + np.square(edges[1] * rows)
        near = squared <= (max_lag + 0.5) ** 2  # others round to more than the longest lag
        rows, squared = rows[near], squared[near]
        bins = np.rint(np.sqrt(squared[:, None] + across)).astype(np.int64)
        lines = fft.ifft(spectrum[lag], axis=0, workers=1)[(rows + offsets[0]) % sizes[1]]
        pairs = fft.irfft(lines, sizes[2], axis=1, workers=1)
        counts = np.zeros((2, max_lag + 1), dtype=np.int64)
        _bin_pairs(pairs, lag, rows, lags[2], offsets[1], bins, overlaps[0], overlaps[1], overlaps[2], counts)
        return counts if lag == 0 else 2 * counts  # with the mirror images

    return np.asarray(np.sum(thread_map(count_plane, range(lags[0] + 1)), axis=0))


def _transform_planes(cells: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Return the transform of each plane, padded with zeros to the last two sizes."""
    spectrum = np.empty((cells.shape[0], sizes[1], sizes[2] // 2 + 1), dtype=np.complex128)
    step = max(1, PIECE_BYTES // spectrum[0].nbytes)

    def transform(z: int) -> None:
        rows = fft.rfft(cells[z : z + step].astype(np.float64), sizes[2], axis=2, workers=1)
        spectrum[z : z + step] = fft.fft(rows, sizes[1], axis=1, workers=1)

    thread_map(transform, range(0, cells.shape[0], step))
    return spectrum


def _correlate(spectrum: np.ndarray, block: np.ndarray | None, piece: slice, size: int, max_lag: int) -> None:
    """Replace the planes of the spectrum by the lags along the first axis, for a piece of the second."""
    lines = fft.fft(spectrum[:, piece], size, axis=0, workers=1)
    if block is None:
        # The power spectrum is real, so half of the inverse transform is enough.
        power = lines.real**2 + lines.imag**2
        back = fft.rfft(power, axis=0, workers=1)[: max_lag + 1].conj()
        back.view(np.float64)[:] /= size
        spectrum[: max_lag + 1, piece] = back
    else:
        _multiply_by_conjugate(lines.reshape(-1), fft.fft(block[:, piece], size, axis=0, workers=1).reshape(-1))
        spectrum[: max_lag + 1, piece] = fft.ifft(lines, axis=0, workers=1)[: max_lag + 1]


@kernel
def _multiply_by_conjugate(values: np.ndarray, others: np.ndarray) -> None:
    """Multiply complex numbers in place; in NumPy, rounding of the products depends on the CPU."""
    for i in range(len(values)):
        a, b, c, d = values[i].real, values[i].imag, others[i].real, others[i].imag
        values[i] = complex(a * c + b * d, b * c - a * d)


def _overlaps(extent: int, core: slice, max_lag: int) -> np.ndarray:
    """Return, for each lag along an axis, how many voxels x of the core have x + lag in the window."""
    lag = np.arange(-max_lag, max_lag + 1)
    return np.asarray((np.minimum(core.stop, extent - lag) - np.maximum(core.start, -lag)).clip(0))


@kernel
def _bin_pairs(
    pairs: np.ndarray, lag: int, rows: np.ndarray, max_column: int, offset: int, bins: np.ndarray,
    overlap_0: np.ndarray, overlap_1: np.ndarray, overlap_2: np.ndarray, counts: np.ndarray,
) -> None:  # fmt: skip
    longest = counts.shape[1] - 1
    for i in range(len(rows)):
        plane_pairs = overlap_0[lag + len(overlap_0) // 2] * overlap_1[rows[i] + len(overlap_1) // 2]
        for column in range(-max_column, max_column + 1):
            k = bins[i, column + max_column]
            if k <= longest:
                counts[0, k] += np.int64(np.rint(pairs[i, (column + offset) % pairs.shape[1]]))
                counts[1, k] += plane_pairs * overlap_2[column + max_column]
