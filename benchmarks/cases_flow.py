"""Permeability of an array of spheres, ours and a lattice Boltzmann solver's, over the published value.

The peer's inlet and outlet cost a part of the pressure, so there are three periods along the flow, and its gradient is
that of the middle one. It runs until velocities change by 1 % in 500 steps, which settles its answer to 0.1 %.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

POROMICS = str(Path(__file__).parents[1] / ".venv-poromics" / "bin" / "python")
PERIOD, PERIODS = 32, 3
SOLID, DRAG = 0.343, 15.4  # of simple cubic spheres: Zick and Homsy, J. Fluid Mech. 115 (1982) 13
RADIUS = (3 * SOLID / (4 * math.pi)) ** (1 / 3) * PERIOD
PUBLISHED = PERIOD**3 / (6 * math.pi * RADIUS * DRAG)
CHANGE = 1e-2
FLUX_SPREAD = 1e-3


def spheres() -> np.ndarray:
    """Return 1 in spheres, 0 around them."""
    at = np.arange(PERIOD) - (PERIOD - 1) / 2
    inside = at[:, None, None] ** 2 + at[:, None] ** 2 + at**2 <= RADIUS**2
    return np.tile(inside.astype(np.uint8), (PERIODS, 1, 1))


def ours_permeability(volume: np.ndarray) -> Callable[[], Any]:
    from nmcdist.descriptors import solve_permeability

    pore = volume == 0
    solve_permeability(pore[:, :8].copy(), 1.0)
    return lambda: np.array([solve_permeability(pore, 1.0, flux_spread=FLUX_SPREAD).permeability_nm2 / PUBLISHED])


def poromics_permeability(volume: np.ndarray) -> Callable[[], Any]:
    import taichi
    from loguru import logger
    from poromics._lbm import _taichi_helpers
    from poromics.simulation import TransientFlow

    logger.remove()
    taichi.init(arch=taichi.cpu, cpu_max_num_threads=1, log_level=taichi.ERROR)
    _taichi_helpers._ti = taichi  # else it looks for a GPU first
    flow = TransientFlow(volume == 0, axis=0, nu=1.0, voxel_size=1.0)
    flow.step()  # compiles

    def run() -> np.ndarray:
        flow.run(tol=CHANGE)
        # In its units, viscosity is 1/6 and pressure a third of density.
        density = flow._solver.get_density()
        first, last = (density[z][volume[z] == 0].mean() for z in (PERIOD, 2 * PERIOD))
        velocity = flow._solver.get_velocity()[..., 0].mean()
        return np.array([velocity / 6 / ((first - last) / 3 / PERIOD) / PUBLISHED])

    return run
