"""Shortest paths through a phase from face to face."""

import numpy as np

from nmcdist.arguments import check_one_of
from nmcdist.descriptors.phases import check_axis, check_phase
from nmcdist.geometry.paths import joins_faces, mean_path_length


def geodesic_tortuosity(phase: np.ndarray, axis: int = 0) -> float:
    """Return the mean geodesic tortuosity of a phase along an axis.

    Shortest paths lead over the 26 neighbours (steps 1, sqrt(2), sqrt(3)) from each voxel of the phase on the face at
    index 0 to the opposite face. Voxels without a path do not count. The mean length is divided by the distance
    between the outermost voxel centres, n - 1.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    axis : int
        0, 1 or 2 for z, y or x.

    Returns
    -------
    float
        At least 1 (1 for a single layer); NaN if the phase does not join the faces.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.

    References
    ----------
    Gräfensteiner et al. (2025), doi:10.1186/s13362-025-00174-z, Sec. 3.3; Neumann et al., Scand. J. Stat. 46
    (2019) 848.
    """
    phase, axis = check_phase(phase, work=5), check_axis(axis)
    layers = phase.shape[axis]
    length = mean_path_length(phase, axis)
    return length / (layers - 1) if layers > 1 else length + 1


def percolates(phase: np.ndarray, axis: int = 0, connectivity: int = 26) -> bool:
    """Return whether a phase joins the two faces of an axis.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    axis : int
        0, 1 or 2 for z, y or x.
    connectivity : {26, 6}
        26 neighbours, as in :func:`geodesic_tortuosity`, or 6 across voxel faces, as in conduction.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    connectivity = check_one_of("connectivity", connectivity, (6, 26))
    return bool(joins_faces(check_phase(phase, work=1), check_axis(axis), connectivity))
