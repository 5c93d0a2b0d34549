"""What the fit does not use, measured at three voxel sizes as in Sec. 3.3 of the CBA paper (Figures 5 to 7).

Coarser voxels come from removing every second voxel along each axis, once and twice. The model is drawn at the centres
of voxels, so a realisation treated in the same way is one that was drawn at coarser voxels.
"""

from dataclasses import dataclass

import numpy as np

from nmcdist.descriptors import intrinsic, paths, pore_size, two_point
from nmcdist.models.cba import PORE

STEPS = (1, 2, 4)
LONGEST_NM = 1000.0  # of the two-point coverage
LARGEST_BOX = 200  # voxels along an edge of the box that is measured
SCALARS = {
    "volume_fraction": "volume fraction of solid",
    "surface": "specific surface of solid / um^-1",
    "constrictivity_solid": "constrictivity of solid",
    "constrictivity_pore": "constrictivity of pores",
    "tortuosity_solid": "geodesic tortuosity of solid",
    "tortuosity_pore": "geodesic tortuosity of pores",
}


@dataclass(frozen=True)
class Measured:
    """Descriptors of a box at one voxel size.

    Attributes
    ----------
    voxel_size_nm : float
    scalars : dict of str to float
        By the names of `SCALARS`; constrictivity and tortuosity are means over three axes, NaN if a phase does not
        join two faces.
    pores : ndarray of float64, shape (radii,)
        Share of the pores covered by balls of at least each radius, Eq. (26).
    lag_nm, coverage : ndarray of float64, shape (lags,)
        C(h) - V^2 of the solid.
    """

    voxel_size_nm: float
    scalars: dict[str, float]
    pores: np.ndarray
    lag_nm: np.ndarray
    coverage: np.ndarray


def middle_of(shape: tuple[int, ...], largest: int = LARGEST_BOX) -> tuple[slice, ...]:
    """Return the middle box of a window, at most `largest` voxels along an edge."""
    return tuple(slice((n - min(n, largest)) // 2, (n + min(n, largest)) // 2) for n in shape)


def levels_of(labels: np.ndarray, voxel_size_nm: float, radii_nm: np.ndarray) -> list[Measured]:
    """Return the descriptors of a box of labels at the voxel size of the box, and at twice and four times that size.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
        0 pore, else solid; cubic voxels. Sizes at which an edge has fewer than eight voxels are left out.
    voxel_size_nm : float
    radii_nm : ndarray of float64, shape (radii,)
    """
    found = []
    for step in STEPS:
        solid = np.ascontiguousarray(labels[::step, ::step, ::step] != PORE)
        if min(solid.shape) >= 8:
            found.append(_measured(solid, step * voxel_size_nm, radii_nm))
    return found


def _measured(solid: np.ndarray, voxel: float, radii_nm: np.ndarray) -> Measured:
    pore = ~solid
    beta_solid, _ = _bottlenecks(solid, voxel, radii_nm)
    beta_pore, sizes = _bottlenecks(pore, voxel, radii_nm)
    curve = two_point.two_point_coverage(solid, voxel, min(LONGEST_NM, voxel * (min(solid.shape) // 2)))
    share = float(curve.coverage[0])
    scalars = {
        "volume_fraction": share,
        "surface": 1e3 * intrinsic.intrinsic_volumes(solid, voxel).surface_area,
        "constrictivity_solid": beta_solid,
        "constrictivity_pore": beta_pore,
        "tortuosity_solid": _mean_path(solid),
        "tortuosity_pore": _mean_path(pore),
    }
    return Measured(voxel, scalars, sizes, curve.lag_nm, curve.coverage - share * share)


def _bottlenecks(phase: np.ndarray, voxel: float, radii_nm: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the constrictivity, mean over the axes, and the size distribution of a phase."""
    distance2 = pore_size.squared_distance(phase)
    sizes = pore_size.pore_size_distribution(phase, voxel, radii_nm, squared_distance=distance2)
    narrow = [pore_size.bottleneck_radius(phase, voxel, axis, distance2) for axis in range(3)]
    return float(pore_size.constrictivity_from_radii(narrow, sizes.r_max_nm).mean()), sizes.fraction


def _mean_path(phase: np.ndarray) -> float:
    return float(np.mean([paths.geodesic_tortuosity(phase, axis) for axis in range(3)]))
