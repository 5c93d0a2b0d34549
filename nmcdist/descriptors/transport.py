"""Effective conductivity of a voxel volume along an axis, and the M-factor computed from it.

Conductivity means that of any steady transport by a gradient: electrons in the solid, ions in the pores.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from nmcdist.arguments import check_number, check_whole, plain_array
from nmcdist.descriptors.phases import check_axis, check_edges
from nmcdist.errors import InputError
from nmcdist.geometry import laplace
from nmcdist.wording import shown

SINGLE_PRECISION_CONTRAST = 1e3  # beyond it, rounding hides the flux through poor conductors
LARGEST_CONTRAST = 1e12  # the same limit for double precision
ITERATIONS = 200  # at most, for cubes; contrasts of 1e4 in noise take 60
_WORK = 19  # bytes per voxel: the coarser lattices and the vectors of the solver


@dataclass(frozen=True)
class Conduction:
    """Steady conduction between two opposite faces of a volume.

    Attributes
    ----------
    effective_conductivity : float
        Flux times length over area and potential drop, in the unit of the given conductivities; 0 if no path
        of face neighbours joins the two faces.
    flux_spread : float
        Largest minus smallest flux through the planes along the axis, over their mean: the remaining error of the
        solver. The error of the effective conductivity is far smaller.
    iterations : int
        Iterations of the solver.
    percolates : bool
        Whether a path of conducting face neighbours joins the two faces.
    converged : bool
        Whether the requested flux spread was reached.
    mean_conductivity : float
        Mean over all voxels of the volume, with 0 for those that do not conduct.
    volume_fraction : float
        Share of the voxels that conduct, whether or not they are joined to the faces.
    """

    effective_conductivity: float
    flux_spread: float
    iterations: int
    percolates: bool
    converged: bool
    mean_conductivity: float
    volume_fraction: float

    @property
    def effective_tortuosity(self) -> float:
        """Mean over effective conductivity, tau of TauFactor's solvers; NaN if nothing percolates."""
        return self.mean_conductivity / self.effective_conductivity if self.percolates else math.nan

    @property
    def m_factor(self) -> float:
        """Volume fraction over effective tortuosity, Eq. (27) of the CBA paper; 0 if nothing percolates.

        With a single conducting phase, this is the effective over the intrinsic conductivity; with several, the
        effective conductivity over the mean conductivity of the conducting voxels.
        """
        return self.volume_fraction / self.effective_tortuosity if self.percolates else 0.0


def effective_conductivity(
    labels: np.ndarray, conductivities: Mapping[int, float], axis: int = 0,
    voxel_size_nm: float | Sequence[float] = 1.0,
) -> float:  # fmt: skip
    """Compute the effective conductivity of a volume along an axis.

    Parameters
    ----------
    labels : ndarray of int or bool, shape (nz, ny, nx)
        Phase of each voxel.
    conductivities : mapping of int to float
        Conductivity of each phase, in any unit; phases not named do not conduct.
    axis : {0, 1, 2}
        Direction of the flux.
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x; only their ratios count.

    Returns
    -------
    float
        In the unit of `conductivities`; 0 if no path of face neighbours joins the two faces.

    Raises
    ------
    InputError
        If the volume is not three-dimensional, is empty or not of integers, or a conductivity is negative.

    See Also
    --------
    solve_conduction : the same with details of the solution, such as whether the solver converged.
    """
    return solve_conduction(labels, conductivities, axis, voxel_size_nm).effective_conductivity


def solve_conduction(
    labels: np.ndarray,
    conductivities: Mapping[int, float],
    axis: int = 0,
    voxel_size_nm: float | Sequence[float] = 1.0,
    *,
    flux_spread: float = 5e-4,
    max_iterations: int | None = None,
) -> Conduction:
    """Solve for steady conduction along an axis, for the M-factor of Section 3.4 of the CBA paper.

    Finite volumes with one cell per voxel and harmonic face conductances 2 s t / (s + t), times area over distance.
    The potential is fixed at the outer faces of the first and last layer of voxels (conductance 2 s to the centre); no
    flux crosses the other four sides. Voxels twice as long as wide take about twice the iterations of cubes.

    Parameters
    ----------
    labels : ndarray of int or bool, shape (nz, ny, nx)
        Phase of each voxel.
    conductivities : mapping of int to float
        Conductivity of each phase, in any unit; phases not named do not conduct.
    axis : {0, 1, 2}
        Direction of the flux.
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel in nm, or its edges along z, y, x; only their ratios count.
    flux_spread : float
        Largest accepted difference between the fluxes through the planes along the axis, over their mean.
    max_iterations : int, optional
        Iterations after which the solver stops; `converged` is then False. Default: 200, times the longest over the
        shortest edge of a voxel.

    Returns
    -------
    Conduction
        The effective conductivity and details of the solution. Its error against an exact solution of the discrete
        equations is of the order of the square of the flux spread: below 1e-5 for conductivities within a factor of
        1000.

    Raises
    ------
    InputError
        If the volume is not three-dimensional, is empty or not of integers, a conductivity is negative or too far
        below the largest, or another argument is out of range.
    """
    labels = plain_array("labels", labels, _WORK)
    _check_labels(labels)
    axis, edges = check_axis(axis), check_edges(voxel_size_nm)
    if max_iterations is None:
        max_iterations = math.ceil(ITERATIONS * max(edges) / min(edges))
    max_iterations = check_whole("max_iterations", max_iterations, 1)
    if not 0 < check_number("flux_spread", flux_spread) < math.inf:
        raise InputError(f"flux_spread: found {flux_spread!r}, expected a positive number")
    phases = _conducting(conductivities)
    codes, counts = _encode(np.moveaxis(labels, axis, 0), list(phases))
    values = np.array(list(phases.values()), dtype=float)
    mean = math.fsum((values * counts).tolist()) / labels.size
    fraction = math.fsum(counts.tolist()) / labels.size
    largest = float(values.max(initial=0.0))
    half_resistances = np.append(np.inf, 0.5 * largest / values).astype(_precision(values))
    beside = [edge for number, edge in enumerate(edges) if number != axis]
    turned = (edges[axis], beside[0], beside[1])
    solution = laplace.solve(codes, half_resistances, flux_spread, max_iterations, turned)
    if solution is None:
        return Conduction(0.0, 0.0, 0, False, True, mean, fraction)
    length, area = codes.shape[0], codes.shape[1] * codes.shape[2]
    return Conduction(
        effective_conductivity=largest * solution.conductance * length / area,
        flux_spread=solution.flux_spread,
        iterations=solution.iterations,
        percolates=True,
        converged=solution.converged,
        mean_conductivity=mean,
        volume_fraction=fraction,
    )


def _check_labels(labels: np.ndarray) -> None:
    if labels.ndim != 3:
        raise InputError(f"labels: found {labels.ndim} dimensions, expected 3")
    if labels.size == 0:
        raise InputError(f"labels: found shape {labels.shape}, expected at least one voxel along each axis")
    if labels.dtype.kind not in "biu":
        raise InputError(f"labels: found values of type {labels.dtype}, expected integers or booleans")


def _conducting(conductivities: Mapping[int, float]) -> dict[int, float]:
    """Check the conductivities and return those that are not zero."""
    if not isinstance(conductivities, Mapping):
        raise InputError(f"conductivities: found {shown(conductivities)}, expected a number for each phase")
    for label, value in conductivities.items():
        if not isinstance(label, Integral | np.bool_):
            raise InputError(f"conductivities: found phase {label!r}, expected an integer")
        if not isinstance(value, Real) or not (value >= 0 and math.isfinite(value)):
            raise InputError(f"conductivities: found {shown(value)} for phase {label}, expected a finite number >= 0")
    phases = {int(label): float(value) for label, value in conductivities.items() if value > 0}
    if len(phases) > 255:
        raise InputError(f"conductivities: found {len(phases)} conducting phases, expected at most 255")
    if phases and max(phases.values()) > LARGEST_CONTRAST * min(phases.values()):
        raise InputError(
            f"conductivities: found values from {min(phases.values()):g} to {max(phases.values()):g}, "
            f"expected a ratio of at most {LARGEST_CONTRAST:g}"
        )
    return phases


def _precision(values: np.ndarray) -> type[np.floating]:
    """Return the floating-point type that resolves the contrast of these conductivities."""
    wide = values.size > 0 and values.max() > SINGLE_PRECISION_CONTRAST * values.min()
    return np.float64 if wide else np.float32


def _encode(labels: np.ndarray, phases: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the volume with phase n of the list as n + 1 and all others as 0, and the voxels of each phase."""
    codes = np.zeros(labels.shape, np.uint8)
    counts = np.zeros(len(phases))
    for number, label in enumerate(phases):
        members = labels == label
        counts[number] = np.count_nonzero(members)
        np.copyto(codes, np.uint8(number + 1), where=members)
    return codes, counts
