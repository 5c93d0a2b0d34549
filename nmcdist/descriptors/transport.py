"""Effective conductivity of a voxel volume along an axis, and the M-factor that follows from it.

Conductivity stands for any steady transport by a gradient: electrons in the solid, ions in the pores.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from nmcdist.arguments import check_number, check_whole, plain_array
from nmcdist.descriptors.phases import check_axis
from nmcdist.errors import InputError
from nmcdist.geometry import laplace
from nmcdist.wording import shown

SINGLE_PRECISION_CONTRAST = 1e3  # beyond it the leak through poor phases drowns in rounding
LARGEST_CONTRAST = 1e12  # as for double precision
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
        Largest less smallest flux through the planes along the axis, over their mean: the remaining error
        of the solver. That of the effective conductivity is far smaller.
    iterations : int
        Iterations of the solver.
    percolates : bool
        Whether a path of face neighbours that conduct joins the two faces.
    converged : bool
        Whether the demanded flux spread was reached.
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

        With a single conducting phase this is effective over intrinsic conductivity. With several it is
        effective conductivity over the mean conductivity of the voxels that conduct.
        """
        return self.volume_fraction / self.effective_tortuosity if self.percolates else 0.0


def effective_conductivity(labels: np.ndarray, conductivities: Mapping[int, float], axis: int = 0) -> float:
    """Compute the effective conductivity of a volume along an axis.

    Parameters
    ----------
    labels : ndarray of int or bool, shape (nz, ny, nx)
        Phase of each voxel.
    conductivities : mapping of int to float
        Conductivity of each phase, in any unit; phases not named do not conduct.
    axis : {0, 1, 2}
        Direction of the flux.

    Returns
    -------
    float
        In the unit of `conductivities`; 0 if no path of face neighbours joins the two faces.

    Raises
    ------
    InputError
        If the volume is not three-dimensional, empty or not of integers, or a conductivity is negative.

    See Also
    --------
    solve_conduction : the same with what the number rests on, among it whether the solver converged.
    """
    return solve_conduction(labels, conductivities, axis).effective_conductivity


def solve_conduction(
    labels: np.ndarray,
    conductivities: Mapping[int, float],
    axis: int = 0,
    *,
    flux_spread: float = 5e-4,
    max_iterations: int = 200,
) -> Conduction:
    """Solve for steady conduction along an axis: M-factor of Section 3.4 of the CBA paper.

    Finite volumes with one cell a voxel and harmonic face conductances 2 s t / (s + t); potential held at the
    outer faces of the first and last layer of voxels (conductance 2 s to the centre), no flux through the
    other four sides.

    Parameters
    ----------
    labels : ndarray of int or bool, shape (nz, ny, nx)
        Phase of each voxel.
    conductivities : mapping of int to float
        Conductivity of each phase, in any unit; phases not named do not conduct.
    axis : {0, 1, 2}
        Direction of the flux.
    flux_spread : float
        Largest less smallest flux through the planes along the axis that is accepted, over their mean.
    max_iterations : int
        Iterations after which to give up; the result then says that it has not converged.

    Returns
    -------
    Conduction
        The effective conductivity and what it rests on. Its error against an exact solution of the discrete
        equations is of the order of the square of the flux spread: under 1e-5 for phases within a factor 1000.

    Raises
    ------
    InputError
        If the volume is not three-dimensional, empty or not of integers, a conductivity is negative or too
        far below the largest, or another argument is out of its range.
    """
    labels = plain_array("labels", labels, _WORK)
    _check_labels(labels)
    axis, max_iterations = check_axis(axis), check_whole("max_iterations", max_iterations, 1)
    if not 0 < check_number("flux_spread", flux_spread) < math.inf:
        raise InputError(f"flux_spread: found {flux_spread!r}, expected a positive number")
    phases = _conducting(conductivities)
    codes, counts = _encode(np.moveaxis(labels, axis, 0), list(phases))
    values = np.array(list(phases.values()), dtype=float)
    mean = math.fsum((values * counts).tolist()) / labels.size
    fraction = math.fsum(counts.tolist()) / labels.size
    largest = float(values.max(initial=0.0))
    half_resistances = np.append(np.inf, 0.5 * largest / values).astype(_precision(values))
    solution = laplace.solve(codes, half_resistances, flux_spread, max_iterations)
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
    """Return the type of number in which phases of these conductivities can be weighed against each other."""
    wide = values.size > 0 and values.max() > SINGLE_PRECISION_CONTRAST * values.min()
    return np.float64 if wide else np.float32


def _encode(labels: np.ndarray, phases: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the volume with phase n of the list as n + 1 and all else 0, and the voxels of each phase."""
    codes = np.zeros(labels.shape, np.uint8)
    counts = np.zeros(len(phases))
    for number, label in enumerate(phases):
        members = labels == label
        counts[number] = np.count_nonzero(members)
        np.copyto(codes, np.uint8(number + 1), where=members)
    return codes, counts
