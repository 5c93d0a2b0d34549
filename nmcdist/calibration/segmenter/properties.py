"""What is measured in labels, to compare segmentations by: shares, surfaces, pore size, transport."""

import math
from collections.abc import Sequence

import numpy as np

from nmcdist.descriptors import (
    effective_conductivity,
    intrinsic_volumes,
    pore_size_distribution,
    solve_permeability,
)  # fmt: skip

_FLOW_EDGE = 96  # voxels along an edge of the box in which a fluid flows


def cubic_labels(labels: np.ndarray, factors: tuple[int, int, int], classes: int) -> np.ndarray:
    """Return the class of cubic voxels: the first if at least half of the voxel is, else the most frequent other one.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
        Voxels that fill no cube are cut off.
    factors : tuple of int
        Voxels of a cube along each axis.
    classes : int

    Returns
    -------
    ndarray of uint8
        Of equally frequent classes the later one.
    """
    (a, p), (b, q), (c, r) = ((n // f, f) for n, f in zip(labels.shape, factors, strict=True))
    parts = labels[: a * p, : b * q, : c * r].reshape(a, p, b, q, c, r)
    counts = np.stack([(parts == k).sum(axis=(1, 3, 5)) for k in range(classes)])
    others = classes - 1 - counts[:0:-1].argmax(axis=0)
    found: np.ndarray = np.where(2 * counts[0] >= p * q * r, 0, others).astype(np.uint8)
    return found


def properties(
    labels: np.ndarray, voxel_size_nm: Sequence[float], names: Sequence[str], *, flow: bool = False
) -> dict[str, float]:  # fmt: skip
    """Return properties of labels, by name.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
    voxel_size_nm : sequence of float
        Along z, y, x.
    names : sequence of str
        Of the classes; the first is the pore or background.
    flow : bool
        Whether to compute the size of the pores and, in a box of 96 voxels in the middle, their permeability, which
        takes longer.

    Returns
    -------
    dict of str to float
        Share and surface (1/um) of each class; of the first its M-factor along the longest axis, median radius (nm)
        and permeability (nm^2) along the last axis.
    """
    size = tuple(map(float, voxel_size_nm))
    found = {}
    for number, name in enumerate(names):
        measured = intrinsic_volumes(labels == number, size)
        found[f"share of {name}"] = float(measured.volume_fraction)
        found[f"surface of {name}"] = 1000 * float(measured.surface_area)
    pore, first = labels == 0, names[0]
    axis = max(range(3), key=lambda k: (labels.shape[k] * size[k], k))
    found[f"M-factor of {first}"] = float(effective_conductivity(pore.astype(np.uint8), {1: 1.0}, axis, size))
    if flow:
        found[f"median radius of {first}"] = float(pore_size_distribution(pore, size, [0.0]).r_max_nm)
        box = tuple(slice((n - e) // 2, (n - e) // 2 + e) for n in pore.shape for e in [min(n, _FLOW_EDGE)])
        found[f"permeability of {first}"] = float(solve_permeability(pore[box], size, 2).permeability_nm2)
    return found


def errors_of(found: dict[str, float], true: dict[str, float]) -> dict[str, float | None]:
    """Return the relative error of each property; None where the true one is 0, or one of them has no bound."""
    return {
        name: found[name] / value - 1 if value and math.isfinite(value) and math.isfinite(found[name]) else None
        for name, value in true.items()
    }
