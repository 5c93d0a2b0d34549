"""A packing of known shapes seen as the image was seen: blurred, noisy, smoothed, and divided at the same level.

The noise is that of the smoothed image, as a share of the contrast: a normal field with the correlation
exp(-d^2 / (4 sigma_n^2)), which white noise has after a Gaussian of sigma_n.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from nmcdist.calibration.shell.blocks import EDGE, Arrays, Box, blocks, in_memory
from nmcdist.calibration.shell.blur import Edges
from nmcdist.calibration.shell.phase import GreyPhase, divided
from nmcdist.calibration.spread import Spread

_DEEP = 3.5  # standard deviations of the blur: beyond, grey values vary by noise only
_FEWEST = 2000  # voxels
_TRUNCATE = 4.0
_WIDEST = 20.0  # voxels


class Noise(NamedTuple):
    """The noise of a smoothed image.

    Attributes
    ----------
    deviation : float
        Standard deviation over the contrast.
    sigma : float
        Of the Gaussian that gives white noise its correlation, in voxels.
    """

    deviation: float
    sigma: float


def measured_noise(grey: GreyPhase, edges: Edges, spread: Spread = map, edge: int = EDGE) -> Noise | None:
    """Measure the noise far from edges; None if fewer than 2,000 voxels lie 3.5 standard deviations of blur away.

    Half a difference over two voxels has the variance v (1 - exp(-1 / sigma_n^2)) / 2 of that of the field, v.

    Parameters
    ----------
    grey : GreyPhase
    edges : Edges
    spread : callable
        Applies a function to items as `map` does, in order.
    edge : int
        Of the blocks, in voxels.
    """
    found = spread(partial(_deep, grey.phase, grey.smooth, edges.sigma), blocks(grey.phase.shape, edge))
    sums = np.sum(list(found), axis=0)
    kept = sums[sums[:, 0] >= _FEWEST]
    if len(kept) == 0:
        return None
    count = kept[:, 0].sum()
    variance = float((kept[:, 2] - kept[:, 1] ** 2 / kept[:, 0]).sum() / count)
    slope = float(kept[:, 3].sum() / count)
    correlation = min(max(1 - 2 * slope / variance, 1e-3), math.exp(-1 / _WIDEST**2)) if variance > 0 else 0.5
    return Noise(math.sqrt(max(variance, 0.0)) / abs(edges.contrast), math.sqrt(-1 / math.log(correlation)))


def imaged(
    labels: Any, edges: Edges, noise: Noise | None, seed: int, *, spread: Spread = map, arrays: Arrays = in_memory,
    edge: int = EDGE,
) -> GreyPhase:  # fmt: skip
    """Return the smoothed image of particles, 0 outside and 1 inside, and the phase that it shows.

    Parameters
    ----------
    labels : array of int32
        0 outside; read in boxes.
    edges : Edges
    noise : Noise or None
    seed : int
    spread : callable
        Applies a function to items as `map` does, in order.
    arrays : callable
        Makes the arrays of the image, of the phase and of the noise.
    edge : int
        Of the blocks, in voxels.
    """
    cores, white = blocks(labels.shape, edge), None
    if noise is not None:
        white = arrays("white", labels.shape, np.float32)
        list(spread(partial(_draw, white, seed), enumerate(cores)))
    smooth = arrays("smooth", labels.shape, np.float32)
    ends = list(spread(partial(_see, labels, white, smooth, edges, noise), cores))
    return divided(smooth, ends, edges.level, spread=spread, arrays=arrays, edge=edge)


def _deep(phase: Any, smooth: Any, sigma: float, core: Box) -> np.ndarray:
    """Return number, sum, sum of squares and squared slopes of deep voxels, outside (row 0) and inside (row 1)."""
    import edt

    reach = math.ceil(_DEEP * sigma)
    window = core.grown(reach + 1, phase.shape)
    inside = np.ascontiguousarray(phase[window.slices], np.bool_)
    rim = core.grown(1, phase.shape)
    values = np.asarray(smooth[rim.slices], np.float64)
    own, place = core.within(rim).slices, core.within(window).slices
    slopes = np.mean([np.gradient(values, axis=axis)[own] ** 2 for axis in range(3)], axis=0)
    found, middle = np.zeros((2, 4)), np.zeros(core.shape, np.bool_)
    # Near the border, where smoothing meets its mirror image, noise is larger.
    middle[tuple(slice(max(0, reach - a), n - reach - a) for a, n in zip(core.low, phase.shape, strict=True))] = True
    for row, side in enumerate((~inside, inside)):
        deep = middle & side[place] & (edt.edt(side, black_border=False, parallel=1)[place] > _DEEP * sigma)
        chosen = values[own][deep]
        found[row] = deep.sum(), chosen.sum(), (chosen**2).sum(), slopes[deep].sum()
    return found


def _draw(white: Any, seed: int, item: tuple[int, Box]) -> None:
    number, core = item
    stream = np.random.Generator(np.random.Philox(key=[seed, number]))
    white[core.slices] = stream.standard_normal(core.shape, np.float32)


def _see(labels: Any, white: Any, smooth: Any, edges: Edges, noise: Noise | None, core: Box) -> tuple[float, float]:
    values = _filtered(labels, edges.sigma, core, is_phase=True)
    if noise is not None:
        gain = (4 * math.pi * noise.sigma**2) ** 0.75  # white noise keeps the variance 1 / (4 pi sigma^2)^(3/2)
        values = values + np.float32(gain * noise.deviation) * _filtered(white, noise.sigma, core, is_phase=False)
    smooth[core.slices] = values
    return float(values.min()), float(values.max())


def _filtered(array: Any, sigma: float, core: Box, *, is_phase: bool) -> np.ndarray:
    window = core.grown(int(_TRUNCATE * sigma + 0.5), array.shape)
    values = np.asarray(array[window.slices])
    values = np.asarray(values > 0, np.float32) if is_phase else values
    return np.asarray(gaussian_filter(values, sigma, truncate=_TRUNCATE)[core.within(window).slices])
