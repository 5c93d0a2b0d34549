"""The distance map of a phase in blocks. A halo that is too narrow for exact distances is found out and doubled."""

from functools import partial
from typing import Any

import numpy as np

from nmcdist.calibration.shell.blocks import Box, blocks
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError

FIRST_HALO, WIDEST_HALO = 16, 128  # voxels; a block of 128 with the widest halo takes 0.5 GB


def write_distances(phase: Any, distances: Any, spacing: tuple[float, float, float], spread: Spread, edge: int) -> None:
    """Write the distance to the nearest voxel outside of a phase; beyond the image nothing is outside.

    Parameters
    ----------
    phase : array of bool
        Read in boxes.
    distances : array of float32
        Written in boxes; 0 outside of the phase, and in voxels.
    spacing : tuple of float
        Edges of a voxel along z, y, x.
    spread : callable
        Applies a function to items as `map` does, in order.
    edge : int
        Of the blocks, in voxels.

    Raises
    ------
    ImageError
        If the phase is empty or fills the image, or a voxel is further than 128 voxels from its border.
    """
    shares = list(spread(partial(_write, phase, distances, spacing), blocks(phase.shape, edge)))
    if not any(shares):
        raise ImageError("phase: no voxel belongs to the particles, expected two phases")


def _write(phase: Any, distances: Any, spacing: tuple[float, float, float], core: Box) -> bool:
    """Write one core; return whether it holds a voxel of the phase."""
    import edt

    halo = FIRST_HALO
    while True:
        window = core.grown(halo, phase.shape)
        inside = np.ascontiguousarray(phase[window.slices], np.bool_)
        if window.shape == phase.shape and inside.all():
            raise ImageError("phase: every voxel belongs to the particles, expected two phases")
        found = edt.edt(inside, anisotropy=spacing, black_border=False, parallel=1)
        own = found[core.within(window).slices]
        if (own <= _certain(core, window, phase.shape, spacing)).all():
            distances[core.slices] = own
            return bool(own.any())
        if halo >= WIDEST_HALO:
            raise ImageError(
                f"phase: found voxels near {core.low} that lie over {halo} voxels inside, expected smaller particles "
                "or larger voxels"
            )
        halo *= 2


def _certain(core: Box, window: Box, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> np.ndarray:
    """Return the distance of each voxel of a core to the nearest voxel of the image that the window lacks."""
    nearest = []
    for a, b, low, high, n, step in zip(*core, *window, shape, spacing, strict=True):
        at = np.arange(a, b)
        below = (at - low + 1) * step if low > 0 else np.full(len(at), np.inf)
        above = (high - at) * step if high < n else np.full(len(at), np.inf)
        nearest.append(np.minimum(below, above).astype(np.float32))
    z, y, x = nearest
    return np.asarray(np.minimum(np.minimum(z[:, None, None], y[:, None]), x))
