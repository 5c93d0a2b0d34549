"""How much memory a task needs: the one place that knows, in bytes a voxel, measured on real runs."""

import contextlib
import resource
from math import prod
from pathlib import Path

from nmcdist.products.recipe import DescriptorSpec

# Measured as peak resident memory of tasks of 96^3 to 320^3 voxels of 20 and 80 nm, rounded up by a fifth or more.
PROCESS = 400 * 2**20  # interpreter, libraries, compiled kernels
DRAW = 2.0  # bytes a voxel: the labels
WRITE = 2.0  # the shard while it is compressed
DESCRIBE_BLOCK = 20.0  # masks, configurations and spectra of the pair counts, a voxel of the window
DESCRIBE_WHOLE = 25.0  # distance transforms, sorted voxels and path lengths
DESCRIBE_TRANSPORT = 45.0  # the multigrid solver

USABLE = 0.9  # share of a worker's limit that a plan may fill: Dask ends a worker at 95 %


def task_need(
    core: tuple[int, ...],
    window: tuple[int, ...],
    descriptors: DescriptorSpec | None,
    *,
    by_blocks: bool,
    drawn: float,
) -> int:
    """Return the bytes that a task needs which draws a window, stores its core and describes it.

    A volume is drawn before it is described, so the larger of the two counts.

    Parameters
    ----------
    core, window : tuple of int
        Voxels stored, and voxels drawn (with the halo that block-wise descriptors look at).
    descriptors : DescriptorSpec or None
    by_blocks : bool
        Whether the core is only a block of a volume.
    drawn : float
        Bytes that drawing takes besides the voxels; 0 where the window is read from a store.
    """
    making = DRAW * prod(window) + WRITE * prod(core) + drawn
    if descriptors is None:
        describing = 0.0
    elif by_blocks:
        describing = DESCRIBE_BLOCK * prod(window)
    elif descriptors.transport:
        describing = max(DESCRIBE_TRANSPORT, DESCRIBE_WHOLE) * prod(window)
    else:
        describing = DESCRIBE_WHOLE * prod(window)
    return PROCESS + int(max(making, describing))


def reset_peak_memory() -> None:
    """Start the measure of :func:`peak_memory_bytes` anew, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes() -> int:
    """Return the most memory that this process held since the measure was started."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# Measured as above on batches of particles of 3 to 15 um.
RECORD_ROW = 250.0  # bytes a grain of the batch, in columns and once more while they are joined
LATTICE_POINT = 12.0  # labels of the lattice on which a particle is drawn, and what the rasteriser holds
MEASURE = 40.0  # bytes a voxel: labels, runs of equal labels, contacts
SECTION = 60.0  # bytes a pixel: labels, and the lists of boundary and interior pixels
RENDER = 12.0  # bytes a voxel: labels and the cube that is compressed


def particle_task_need(
    *, rows: int, measured_voxels: int, section_pixels: int, stored_voxels: int, evaluated_points: float
) -> int:
    """Return the bytes that a task needs which makes a batch of particles.

    Parameters
    ----------
    rows : int
        Grains of the batch.
    measured_voxels, section_pixels, stored_voxels : int
        Of the largest particle.
    evaluated_points : float
        Points of the lattice on which the largest particle is drawn.
    """
    at_once = max(
        LATTICE_POINT * evaluated_points,
        MEASURE * measured_voxels,
        SECTION * section_pixels,
        RENDER * stored_voxels,
    )
    return PROCESS + int(RECORD_ROW * rows + at_once)
