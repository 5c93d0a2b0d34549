"""Explain a property by intervention: draw the same realisation without one of its parts, and solve again.

Only a generator that knows its parts can do so.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, CbaParameters, resolved
from nmcdist.descriptors.cba import CONDUCTIONS
from nmcdist.descriptors.transport import solve_conduction
from nmcdist.models import streams
from nmcdist.models.cba import PARTS, Place, check_window, draw_parts
from nmcdist.models.interventions import INTERVENTIONS

FULL = "full"


def m_factors_of_parts(
    parameters: CbaParameters, shape: Place, voxel_size_nm: float, seed: int, index: int, origin: Place,
    parts: Collection[str], axes: Sequence[int],
) -> np.ndarray:  # fmt: skip
    """Return the M-factors of the pores of a window that is drawn from some of its parts, along axes.

    Parameters
    ----------
    parameters : CbaParameters
    shape, voxel_size_nm, seed, index, origin
        See :func:`nmcdist.models.cba.generate_cba`.
    parts : collection of {"graphite", "large_pores", "field"}
    axes : sequence of int

    Returns
    -------
    ndarray of float64, shape (axes,)
        Without unit; 0 where no path of pores joins the two faces.
    """
    volume = draw_parts(parameters, shape, voxel_size_nm, seed, index, origin, parts)
    return np.array([solve_conduction(volume, CONDUCTIONS["pore"], axis).m_factor for axis in axes])


def pore_m_factor(
    bundle: Bundle | str | Path, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, index: int,
    parts: Collection[str] = PARTS, axes: Sequence[int] = (0, 1, 2),
) -> float:  # fmt: skip
    """Return the M-factor of the pores of a realisation drawn from some of its parts, mean over axes.

    Parameters
    ----------
    bundle : Bundle, str or Path
    shape, voxel_size_nm, seed, index
        See :func:`nmcdist.models.cba.generate_cba`.
    parts : collection of {"graphite", "large_pores", "field"}
    axes : sequence of int

    Raises
    ------
    InputError, BundleError
        As :func:`nmcdist.models.cba.generate_cba`.
    """
    shape, origin, voxel_size_nm = check_window(shape, (0, 0, 0), voxel_size_nm)
    parameters, key = resolved(bundle).cba(), streams.check_key(seed, index)
    return float(np.mean(m_factors_of_parts(parameters, shape, voxel_size_nm, *key, origin, parts, axes)))


def intervene(
    bundle: Bundle | str | Path, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, indices: Sequence[int]
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the M-factor of the pores of realisations, "full" and under each intervention, arrays of shape (n,)."""
    return {
        name: np.array([pore_m_factor(bundle, shape, voxel_size_nm, seed, k, parts) for k in indices])
        for name, parts in {FULL: PARTS, **INTERVENTIONS}.items()
    }
