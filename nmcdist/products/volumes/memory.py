"""The memory of a task that makes a volume, in bytes per voxel; this is the only definition."""

from math import prod

from nmcdist.products.memory import PROCESS

DRAW = 2.0  # bytes per voxel: the labels
WRITE = 2.0  # the shard while it is compressed


def task_need(core: tuple[int, ...], window: tuple[int, ...], *, described: float, drawn: float) -> int:
    """Return the bytes that a task needs to draw a window, store its core and describe it.

    A volume is drawn before it is described, so the larger need counts.

    Parameters
    ----------
    core, window : tuple of int
        Stored voxels, and drawn voxels (with the halo that the descriptors of a block need).
    described : float
        Bytes per voxel of the window that describing needs.
    drawn : float
        Bytes that drawing needs besides the voxels; 0 if a store supplies the window.
    """
    making = DRAW * prod(window) + WRITE * prod(core) + drawn
    return PROCESS + int(max(making, described * prod(window)))
