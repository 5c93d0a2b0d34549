"""Explain a property by intervention: draw the same realisation without one of its parts, and solve again.

Only a generator that knows its parts can do so.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, resolved
from nmcdist.descriptors.transport import solve_conduction
from nmcdist.models import streams
from nmcdist.models.cba import PARTS, PORE, check_window, draw_parts

# Names of the interventions, and the parts that remain.
INTERVENTIONS: dict[str, tuple[str, ...]] = {
    "full": PARTS,
    "without graphite": ("large_pores", "field"),
    "without large pores": ("graphite", "field"),
    "graphite alone": ("graphite",),
}


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
    volume = draw_parts(parameters, shape, voxel_size_nm, *key, origin, parts)
    return float(np.mean([solve_conduction(volume, {PORE: 1.0}, axis).m_factor for axis in axes]))


def intervene(
    bundle: Bundle | str | Path, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, indices: Sequence[int]
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the M-factor of the pores of realisations under each of `INTERVENTIONS`, arrays of shape (n,)."""
    return {
        name: np.array([pore_m_factor(bundle, shape, voxel_size_nm, seed, k, parts) for k in indices])
        for name, parts in INTERVENTIONS.items()
    }
