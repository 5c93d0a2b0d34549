"""How much memory a task needs that makes a volume: the one place that knows, in bytes per voxel."""

from math import prod

from nmcdist.products.memory import PROCESS

DRAW = 2.0  # bytes per voxel: the labels
WRITE = 2.0  # the shard while it is compressed


def task_need(core: tuple[int, ...], window: tuple[int, ...], *, described: float, drawn: float) -> int:
    """Return the bytes that a task needs which draws a window, stores its core and describes it.

    A volume is drawn before it is described, so the larger of the two counts.

    Parameters
    ----------
    core, window : tuple of int
        Voxels stored, and voxels drawn (with the halo that descriptors of a block look at).
    described : float
        Bytes per voxel of the window that describing takes.
    drawn : float
        Bytes that drawing takes besides the voxels; 0 where the window is read from a store.
    """
    making = DRAW * prod(window) + WRITE * prod(core) + drawn
    return PROCESS + int(max(making, described * prod(window)))
