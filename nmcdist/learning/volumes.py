"""Volumes as coarse phase fractions, which a net sees."""

from collections.abc import Iterable

import numpy as np

from nmcdist.errors import InputError

MOST_CELLS = 32  # along an edge
CHANNELS = (1, 2)  # labels of carbon black with binder and of graphite; the pores are the rest


def phase_fractions(volume: np.ndarray) -> np.ndarray:
    """Return the shares of the phases in cubic cells of voxels, as few to a cell as make at most 32 cells.

    Parameters
    ----------
    volume : ndarray of uint8, shape (nz, ny, nx)
        Labels of the additive phase. Voxels that fill no cell are left out.

    Returns
    -------
    ndarray of float32, shape (2, mz, my, mx)
    """
    factor = -(-max(volume.shape) // MOST_CELLS)
    cells = [n // factor for n in volume.shape]
    if min(cells) < 4:
        raise InputError(f"volume: found shape {volume.shape}, expected edges that are more alike")
    cut = volume[tuple(slice(0, m * factor) for m in cells)]
    blocks = cut.reshape(cells[0], factor, cells[1], factor, cells[2], factor)
    return np.stack([(blocks == label).mean(axis=(1, 3, 5), dtype=np.float32) for label in CHANNELS])


def along_axes(volumes: Iterable[np.ndarray]) -> np.ndarray:
    """Return the fractions of volumes three times each: seen along z, along y and along x.

    Parameters
    ----------
    volumes : iterable of ndarray of uint8, shape (n, n, n)
        All of one shape, with equal edges.

    Returns
    -------
    ndarray of float32, shape (3 volumes, 2, m, m, m)
        The first axis of space is the one that is seen along.
    """
    seen = []
    for volume in volumes:
        fractions = phase_fractions(np.asarray(volume))
        if len(set(fractions.shape[1:])) > 1:
            raise InputError(f"volume: found shape {volume.shape}, expected three equal edges")
        seen += [fractions, fractions.transpose(0, 2, 1, 3), fractions.transpose(0, 3, 1, 2)]
    return np.stack(seen)


def summary(fractions: np.ndarray) -> np.ndarray:
    """Return a few numbers of each item, by which the hull of a net is known: means, spreads, neighbours.

    Parameters
    ----------
    fractions : ndarray of float32, shape (n, 2, mz, my, mx)

    Returns
    -------
    ndarray of float64, shape (n, 6)
    """
    whole = fractions.astype(float)
    mean = whole.mean(axis=(2, 3, 4))
    away = whole - mean[:, :, None, None, None]
    beside = (away[:, :, 1:] * away[:, :, :-1]).mean(axis=(2, 3, 4))
    return np.column_stack([mean, away.std(axis=(2, 3, 4)), beside])
