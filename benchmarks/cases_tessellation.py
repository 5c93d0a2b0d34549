"""The case of the grains: a GBPD of 4,000 radial grains on the grid of the volume, ours and PyAPD's.

The grains come from numpy alone, so that both sides make the same ones in their own environments.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PYAPD = str(Path(__file__).parents[1] / ".venv-pyapd" / "bin" / "python")
GRAINS = 4000
INTENSITY_PER_NM3 = 1.44e-8


def _radial_grains(n: int) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], float]:
    """Return seeds, matrices and offsets of n grains in a cube about the particle's centre, and the cube's edge."""
    rng = np.random.default_rng(1)
    edge = float((n / INTENSITY_PER_NM3) ** (1 / 3))
    seeds = (rng.random((n, 3)) - 0.5) * edge
    along = seeds / np.linalg.norm(seeds, axis=1, keepdims=True)
    across = np.cross(along, rng.standard_normal((n, 3)))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    frames = np.stack([along, across, np.cross(along, across)], axis=1)
    matrices = np.einsum("nki,nk,nkj->nij", frames, rng.uniform(1, 10, (n, 3)), frames)
    return (seeds, matrices, rng.uniform(0, 50 * 2500, n)), edge


def ours_grains(volume: np.ndarray) -> Callable[[], Any]:
    from nmcdist.geometry.tessellation import rasterize_gbpd

    grains, edge = _radial_grains(GRAINS)
    spacing = edge / len(volume)
    origin = [0.5 * (spacing - edge)] * 3
    rasterize_gbpd(*grains, (8, 8, 8), spacing, origin)
    return lambda: _voxels(rasterize_gbpd(*grains, volume.shape, spacing, origin))


def pyapd_grains(volume: np.ndarray) -> Callable[[], Any]:
    import torch
    from PyAPD.apds import apd_system

    grains, edge = _radial_grains(GRAINS)
    x, m, r = (torch.tensor(part) for part in grains)

    def system(pixels: tuple[int, ...]) -> Any:
        # In its own float32; domain and seeds in its unit cube, as it is meant to be used.
        domain = torch.tensor([[0.0, 1.0]] * 3)
        return apd_system(domain, x / edge + 0.5, m, r / edge**2, pixel_params=pixels, device="cpu")

    system((8, 8, 8)).assemble_apd()  # compiles its formula
    return lambda: _voxels(system(volume.shape).assemble_apd().numpy())


def _voxels(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.reshape(-1), minlength=GRAINS)
