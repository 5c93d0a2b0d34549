"""Chords of a phase along an axis: runs of its voxels between voxels of other phases."""

from collections.abc import Sequence

import numpy as np

from nmcdist.descriptors.phases import check_axis, check_edges, check_phase
from nmcdist.geometry.growing import grown
from nmcdist.jit import kernel


def phase_chord_lengths(
    phase: np.ndarray, voxel_size_nm: float | Sequence[float], axis: int = 0
) -> np.ndarray:  # fmt: skip
    """Return the lengths of all chords of a phase along an axis, in nm.

    Chords that end at a face of the volume are left out, because their full length is unknown. That happens more often
    to long ones: of those with m voxels, n - m - 1 of n places along the axis are left, so weights 1 / (n - m - 1)
    give means without bias.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x.
    axis : {0, 1, 2}

    Returns
    -------
    ndarray of float64
        Number of voxels times their edge along the axis, line by line.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    phase, axis = check_phase(phase), check_axis(axis)
    edge = check_edges(voxel_size_nm)[axis]
    return np.asarray(edge * runs_within(np.moveaxis(phase, axis, 2)))


@kernel
def runs_within(cells: np.ndarray) -> np.ndarray:
    """Return the lengths in cells of the runs of equal cells, not 0, along the last axis, without those at an end."""
    planes, rows, columns = cells.shape
    found, chords = np.empty(1024, np.int64), 0
    for z in range(planes):
        for y in range(rows):
            found = grown(found, chords + columns)
            begin = -1  # a run from the edge is no complete chord
            for x in range(1, columns):
                if cells[z, y, x] != cells[z, y, x - 1]:
                    if begin >= 0 and cells[z, y, x - 1] != 0:
                        found[chords] = x - begin
                        chords += 1
                    begin = x
    return found[:chords].copy()
