"""The dependence of the M-factor on resolution, from the same realisations at other voxel sizes."""

from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.descriptors.cba import CONDUCTIONS
from nmcdist.descriptors.transport import solve_conduction
from nmcdist.models.cba import generate_cba


@dataclass(frozen=True)
class Resolution:
    """M-factors of one realisation at one voxel size, mean over the three axes.

    Attributes
    ----------
    item : int
        Number of the volume in its store.
    voxel_size_nm : float
    graphite_fraction : float
        Theoretical volume fraction of graphite.
    m_factor : dict of str to float
        Volume fraction over tau_eff, by conduction problem.
    effective_conductivity : dict of str to float
        Effective conductivity relative to the pore fluid, or to graphite.
    """

    item: int
    voxel_size_nm: float
    graphite_fraction: float
    m_factor: dict[str, float]
    effective_conductivity: dict[str, float]


def resolve(
    bundle: Bundle, graphite_fraction: float, edges_nm: np.ndarray, voxel_size_nm: float, seed: int, item: int,
    stream: int,
) -> Resolution:  # fmt: skip
    """Draw the realisation of an item, by the index of its streams, and solve for its M-factors along the axes."""
    nz, ny, nx = (int(n) for n in np.rint(np.asarray(edges_nm) / voxel_size_nm))
    labels = generate_cba(bundle, (nz, ny, nx), voxel_size_nm, seed=seed, index=stream)
    solved = {
        name: [solve_conduction(labels, conductivities, axis) for axis in range(3)]
        for name, conductivities in CONDUCTIONS.items()
    }
    return Resolution(
        item,
        voxel_size_nm,
        graphite_fraction,
        {name: float(np.mean([s.m_factor for s in three])) for name, three in solved.items()},
        {name: float(np.mean([s.effective_conductivity for s in three])) for name, three in solved.items()},
    )
