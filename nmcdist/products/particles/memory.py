"""The memory of a task that makes a batch of particles, from measurements on particles of 3 to 15 um."""

from nmcdist.products.memory import PROCESS

RECORD_ROW = 250.0  # bytes per grain of the batch, in columns and again while they are joined
LATTICE_POINT = 12.0  # bytes: labels of the lattice on which a particle is drawn, and the rasteriser
MEASURE = 40.0  # bytes per voxel: labels, runs of equal labels, contacts
SECTION = 60.0  # bytes per pixel: labels, and the lists of boundary and interior pixels
RENDER = 12.0  # bytes per voxel: labels and the cube that is compressed


def particle_task_need(
    *, rows: int, measured_voxels: int, section_pixels: int, stored_voxels: int, evaluated_points: float
) -> int:
    """Return the bytes that a task needs to make a batch of particles.

    Parameters
    ----------
    rows : int
        Grains of the batch.
    measured_voxels, section_pixels, stored_voxels : int
        Numbers for the largest particle.
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
