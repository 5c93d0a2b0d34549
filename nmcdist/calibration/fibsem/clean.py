"""Closings of phases after a segmentation (CBA paper, Secs. 2.3.1 and 2.3.2)."""

import numpy as np


def closed_by_ball(phase: np.ndarray, radius: float) -> np.ndarray:
    """Return the morphological closing of a phase with a ball; beyond the window nothing is known, so nothing erodes.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    radius : float
        In voxels.
    """
    import edt

    if not phase.any():
        return phase.copy()
    rim = int(np.ceil(radius)) + 1
    padded = np.pad(phase, rim)
    grown = edt.edtsq(~padded) <= radius * radius
    inside = tuple(slice(rim, -rim) for _ in range(3))
    if grown.all():
        return grown[inside]
    return (edt.edtsq(grown) > radius * radius)[inside]


def closed_by_box(phase: np.ndarray) -> np.ndarray:
    """Return the closing with a box of one voxel to each side, as of the additives in Sec. 2.3.1."""
    from scipy import ndimage

    box = np.ones((3, 3, 3), bool)
    return ndimage.binary_erosion(ndimage.binary_dilation(phase, box), box, border_value=1)
