"""The quantities of :func:`nmcdist.descriptors.labelled.describe`: one row each, with the function that measures it.

The function of a row takes a :class:`PhaseSums`, a :class:`PhaseVolume` or a :class:`Current`, depending on the
table. These compute shared intermediate results once, when the first row needs them.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nmcdist.descriptors import intrinsic, paths, pore_size, two_point
from nmcdist.descriptors.quantity import OHSER, Quantity
from nmcdist.descriptors.transport import Conduction, solve_conduction
from nmcdist.threads import thread_map

VoxelSize = float | tuple[float, float, float]
_SOLVER = "finite volumes on voxels, harmonic face conductances, Dirichlet faces, multigrid-preconditioned CG"
_CONFIGURATIONS = "weights on 2x2x2 voxel configurations, 13 directions"
_BY_6 = "6-adjacency of the phase: nearer where grains overlap, wrong for plates under 6 voxels"
_BY_26 = "26-adjacency of the phase: right for plates from 3 voxels on, low where grains overlap"
_BALLS = "exact unions of digital balls on the Euclidean distance transform"
_PAPER = "Gräfensteiner et al. (2025), doi:10.1186/s13362-025-00174-z"


@dataclass(frozen=True)
class PhaseSums:
    """Sums over the blocks of a volume, for one phase.

    Attributes
    ----------
    inside, total : int
        Voxels of the phase and of the volume.
    configurations : ndarray of int64, shape (256,)
    pairs : ndarray of int64, shape (2, lags)
    voxel_size_nm : float or (float, float, float)
    """

    inside: int
    total: int
    configurations: np.ndarray
    pairs: np.ndarray
    voxel_size_nm: VoxelSize

    @cached_property
    def densities(self) -> intrinsic.IntrinsicVolumes:
        """Intrinsic volumes per volume."""
        return intrinsic.intrinsic_volumes_from_counts(self.configurations, self.voxel_size_nm)

    @cached_property
    def coverage(self) -> np.ndarray:
        """Two-point coverage probability at each lag."""
        return two_point.two_point_from_counts(self.pairs, self.voxel_size_nm).coverage


@dataclass(frozen=True)
class PhaseVolume:
    """A phase in a whole volume.

    Attributes
    ----------
    mask : ndarray of bool, shape (nz, ny, nx)
    voxel_size_nm : float or (float, float, float)
    axes : tuple of int
        Axes of the directional quantities, in this order.
    radii_nm : ndarray of float64, shape (radii,)
    """

    mask: np.ndarray
    voxel_size_nm: VoxelSize
    axes: tuple[int, ...]
    radii_nm: np.ndarray

    @cached_property
    def distance2(self) -> np.ndarray:
        """Squared distance of each voxel of the phase from the nearest one outside."""
        return pore_size.squared_distance(self.mask, self.voxel_size_nm)

    @cached_property
    def sizes(self) -> pore_size.PoreSizeDistribution:
        """Continuous size distribution at `radii_nm`."""
        return pore_size.pore_size_distribution(
            self.mask, self.voxel_size_nm, radii_nm=self.radii_nm, squared_distance=self.distance2
        )

    @cached_property
    def r_min_nm(self) -> np.ndarray:
        """Bottleneck radius along each axis."""
        return np.array(
            [pore_size.bottleneck_radius(self.mask, self.voxel_size_nm, axis, self.distance2) for axis in self.axes]
        )

    @cached_property
    def constrictivity(self) -> np.ndarray:
        """Constrictivity along each axis."""
        return pore_size.constrictivity_from_radii(self.r_min_nm, self.sizes.r_max_nm)

    @cached_property
    def tortuosity(self) -> np.ndarray:
        """Mean geodesic tortuosity along each axis, NaN where the phase does not percolate."""
        return np.array(
            thread_map(lambda axis: paths.geodesic_tortuosity(self.mask, axis, self.voxel_size_nm), self.axes)
        )

    @property
    def percolates(self) -> np.ndarray:
        """Whether the phase joins the two faces of each axis."""
        return np.asarray(~np.isnan(self.tortuosity))


@dataclass(frozen=True)
class Current:
    """Conduction through a whole volume.

    Attributes
    ----------
    volume : ndarray of uint8, shape (nz, ny, nx)
    conductivities : dict of int to float
        Conductivity of each label; other labels do not conduct.
    axes : tuple of int
        Axes along which the problem is solved.
    voxel_size_nm : float or (float, float, float)
        Only the ratios of the edges count.
    """

    volume: np.ndarray
    conductivities: dict[int, float]
    axes: tuple[int, ...]
    voxel_size_nm: VoxelSize = 1.0

    @cached_property
    def solved(self) -> list[Conduction]:
        """Solution along each axis."""
        return [solve_conduction(self.volume, self.conductivities, axis, self.voxel_size_nm) for axis in self.axes]

    def along_axes(self, name: str) -> np.ndarray:
        """Return an attribute of the solution along each axis."""
        return np.array([getattr(each, name) for each in self.solved])


def mean(values: np.ndarray) -> float:
    """Return the mean of a few numbers, NaN of none."""
    return math.fsum(values.tolist()) / len(values) if len(values) else math.nan


OF_SUMS: tuple[Quantity, ...] = (
    Quantity(
        "volume_fraction", ("phase",), "1", "volume fraction", "share of voxel centres", f"{_PAPER}, Eq. (6)",
        measure=lambda phase: phase.inside / phase.total,
    ),
    Quantity(
        "surface_area", ("phase",), "nm^-1", "surface area per volume", _CONFIGURATIONS, f"{_PAPER}, Eq. (7); {OHSER}",
        measure=lambda phase: phase.densities.surface_area,
    ),
    Quantity(
        "mean_curvature_6", ("phase",), "nm^-2", f"integral of mean curvature per volume, {_BY_6}", _CONFIGURATIONS,
        f"{_PAPER}, Eq. (8); {OHSER}", measure=lambda phase: phase.densities.mean_curvature_6,
    ),
    Quantity(
        "mean_curvature_26", ("phase",), "nm^-2", f"integral of mean curvature per volume, {_BY_26}", _CONFIGURATIONS,
        f"{_PAPER}, Eq. (8); {OHSER}", measure=lambda phase: phase.densities.mean_curvature_26,
    ),
    Quantity(
        "euler_number_6", ("phase",), "nm^-3", f"Euler number per volume, {_BY_6}", _CONFIGURATIONS,
        f"{_PAPER}, Eq. (9); {OHSER}", measure=lambda phase: phase.densities.euler_number_6,
    ),
    Quantity(
        "euler_number_26", ("phase",), "nm^-3", f"Euler number per volume, {_BY_26}", _CONFIGURATIONS,
        f"{_PAPER}, Eq. (9); {OHSER}", measure=lambda phase: phase.densities.euler_number_26,
    ),
    Quantity(
        "two_point_coverage", ("phase", "lag_nm"), "1", "two-point coverage probability",
        "pair counts over all lattice vectors of a lag, by FFT, not periodic", f"{_PAPER}, Eq. (20)",
        measure=lambda phase: phase.coverage,
        description="probability that two points at this distance both lie in the phase; the volume fraction at 0",
    ),
)  # fmt: skip

OF_PHASES: tuple[Quantity, ...] = (
    Quantity(
        "pore_size_distribution", ("phase", "radius_nm"), "1",
        "continuous size distribution: share covered by balls of a radius", _BALLS, f"{_PAPER}, Eq. (26)",
        measure=lambda phase: phase.sizes.fraction,
        description="share of the phase that balls of this radius cover which lie wholly in the phase",
    ),
    Quantity(
        "r_max_nm", ("phase",), "nm", "radius of the balls that cover half of the phase", _BALLS, f"{_PAPER}, Sec. 3.3",
        measure=lambda phase: phase.sizes.r_max_nm,
    ),
    Quantity(
        "r_min_nm", ("phase", "axis"), "nm", "radius of the balls that reach half of the phase from the first face",
        f"{_BALLS}, intruding along widest paths", f"{_PAPER}, Sec. 3.3", measure=lambda phase: phase.r_min_nm,
    ),
    Quantity(
        "constrictivity", ("phase", "axis"), "1", "constrictivity r_min^2 / r_max^2", _BALLS, f"{_PAPER}, Sec. 3.3",
        measure=lambda phase: phase.constrictivity, description="1: no bottlenecks; near 0: narrow ones",
    ),
    Quantity(
        "constrictivity_mean", ("phase",), "1", "constrictivity, mean over axes", "mean over axes",
        f"{_PAPER}, Sec. 3.3", measure=lambda phase: mean(phase.constrictivity),
    ),
    Quantity(
        "geodesic_tortuosity", ("phase", "axis"), "1", "mean geodesic tortuosity",
        "shortest paths over 26 neighbours, from face to face", f"{_PAPER}, Sec. 3.3",
        measure=lambda phase: phase.tortuosity,
        description="mean length of the shortest paths through the phase over the straight distance; NaN where the "
        "phase does not join the two faces",
    ),
    Quantity(
        "geodesic_tortuosity_mean", ("phase",), "1", "mean geodesic tortuosity, mean over percolating axes",
        "mean over axes", f"{_PAPER}, Sec. 3.3", measure=lambda phase: mean(phase.tortuosity[phase.percolates]),
    ),
    Quantity(
        "percolates", ("phase", "axis"), "1", "1 if the phase joins the two faces of the axis, else 0", "26 neighbours",
        f"{_PAPER}, Sec. 3.3", "int8", measure=lambda phase: phase.percolates,
    ),
)  # fmt: skip

OF_CONDUCTION: tuple[Quantity, ...] = (
    Quantity(
        "effective_conductivity", ("conduction", "axis"), "1",
        "effective conductivity", _SOLVER,
        f"{_PAPER}, Eq. (27)", measure=lambda current: current.along_axes("effective_conductivity"),
    ),
    Quantity(
        "tau_eff", ("conduction", "axis"), "1",
        "effective tortuosity: mean conductivity of the domain over the effective one", _SOLVER, "TauFactor; " + _PAPER,
        measure=lambda current: current.along_axes("effective_tortuosity"),
    ),
    Quantity(
        "m_factor", ("conduction", "axis"), "1", "M-factor, volume fraction over tau_eff", _SOLVER,
        f"{_PAPER}, Eq. (27)", measure=lambda current: current.along_axes("m_factor"),
        description="effective over intrinsic conductivity of the conducting phase; 0 where nothing conducts",
    ),
    Quantity(
        "m_factor_mean", ("conduction",), "1", "M-factor, mean over axes", "mean over axes", f"{_PAPER}, Eq. (27)",
        measure=lambda current: mean(current.along_axes("m_factor")),
    ),
    Quantity(
        "flux_spread", ("conduction", "axis"), "1", "(max - min) / mean of the flux through the planes across the axis",
        _SOLVER, "numerical diagnostic", measure=lambda current: current.along_axes("flux_spread"),
    ),
    Quantity(
        "conducts", ("conduction", "axis"), "1", "1 if the conducting voxels join the two faces of the axis, else 0",
        "6 neighbours", "numerical diagnostic", "int8", measure=lambda current: current.along_axes("percolates"),
    ),
)  # fmt: skip


def quantities(
    *, blockwise_only: bool = False, transport: bool = True, reference: str = "the conducting phase"
) -> dict[str, Quantity]:
    """Return the measured rows by name: all, or only those of volumes in blocks, or without conduction.

    `reference` is what the effective conductivity is relative to, in words.
    """
    whole = () if blockwise_only else (*OF_PHASES, *(OF_CONDUCTION if transport else ()))
    rows = {row.name: row for row in (*OF_SUMS, *whole)}
    if "effective_conductivity" in rows:
        relative = rows["effective_conductivity"]
        rows[relative.name] = replace(relative, long_name=f"{relative.long_name} relative to {reference}")
    return rows
