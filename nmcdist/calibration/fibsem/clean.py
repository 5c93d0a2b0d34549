"""Clean-up of phases after a segmentation (CBA paper, Secs. 2.3.1 and 2.3.2), and cubic voxels."""

import numpy as np

from nmcdist.errors import InputError


def without_islands(phase: np.ndarray, least: int | None = None) -> np.ndarray:
    """Return a phase without its small pieces, connected through faces.

    Parameters
    ----------
    phase : ndarray of bool, shape (nz, ny, nx)
    least : int, optional
        Smallest piece in voxels that stays; without it only the largest piece stays.
    """
    from scipy import ndimage

    pieces, count = ndimage.label(phase)
    if count == 0:
        return phase.copy()
    sizes = np.bincount(pieces.reshape(-1))
    sizes[0] = 0
    stays = sizes >= (sizes.max() if least is None else least)
    stays[0] = False
    return stays[pieces]


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


def coarsened(values: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Return the means of boxes of voxels, as float32; voxels at the far faces that fill no box are cut off.

    Parameters
    ----------
    values : ndarray, shape (nz, ny, nx)
    factors : tuple of int
        Voxels of a box along each axis.

    Raises
    ------
    InputError
        If a box is larger than the image.
    """
    counts = [length // factor for length, factor in zip(values.shape, factors, strict=True)]
    if min(counts) < 1:
        raise InputError(f"factors: found {factors}, expected boxes within the shape {values.shape}")
    cut = values[tuple(slice(0, n * f) for n, f in zip(counts, factors, strict=True))].astype(np.float32)
    (a, p), (b, q), (c, r) = zip(counts, factors, strict=True)
    means: np.ndarray = cut.reshape(a, p, b, q, c, r).mean(axis=(1, 3, 5), dtype=np.float32)
    return means
