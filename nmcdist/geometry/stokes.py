"""Slow flow through the pores of a voxel volume: Stokes' equations on a staggered grid, solved by MINRES.

Pressures sit at the centres of fluid voxels, velocities at the faces between two of them, each component at the faces
across its axis (Harlow and Welch, Phys. Fluids 8 (1965) 2182). A velocity has the links of a finite volume around its
face: to the next faces along its own axis, and beside it. Velocity is zero on walls. A wall beside a face is half a
voxel away; its link has the weight 6 n / (3 n - 2) in place of 2, where n is the number of faces between the two walls,
so that the mean flow in a slit is exact for any n. Beside the edge of a wall lies a face at rest, one voxel away.

The system [A G; G' 0] of velocities and pressures is symmetric and indefinite. MINRES (Paige and Saunders, SIAM J.
Numer. Anal. 12 (1975) 617) is preconditioned in two blocks: for velocities, one multigrid W-cycle for each component;
for pressures, 1/2 plus one W-cycle of the operator G' diag(phi) G, where A phi = 1, so that phi is the flow that a unit
force drives locally.

Vectors are in single precision, sums in double precision, plane by plane and added in order: results are the same bit
for bit for any number of threads.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.geometry import stokes_kernels as kernels
from nmcdist.geometry.links import Operator, own_links
from nmcdist.geometry.staggered import FLUID, links_of_faces, padded_cells, wrap
from nmcdist.threads import Team, thread_count

BOUNDARIES = ("open", "periodic", "walls")
_LOCAL_STEPS = 3  # of the flow that a unit force drives locally
_MASS = 0.5  # share of the pressure itself in its preconditioner
_EVERY = 4  # iterations between two looks at the fluxes


@dataclass(frozen=True)
class Flow:
    """Flow along the first axis under a unit pressure gradient and viscosity 1, in the units of the edges.

    Attributes
    ----------
    mean_velocity : float
        Over the whole volume, solid included: the permeability.
    fluxes : ndarray of float64, shape (nz,)
        Mean velocity in each plane of faces; all are equal in an exact solution.
    iterations : int
    converged : bool
        Whether the fluxes agree as closely as requested.
    """

    mean_velocity: float
    fluxes: np.ndarray
    iterations: int
    converged: bool

    @property
    def flux_spread(self) -> float:
        """Largest minus smallest flux, over their mean."""
        mean = abs(float(self.fluxes.mean()))
        return float(np.ptp(self.fluxes)) / mean if mean > 0 else math.inf


def solve(
    fluid: np.ndarray, edges: tuple[float, float, float], boundary: str, flux_spread: float, max_iterations: int
) -> Flow:  # fmt: skip
    """Solve for the flow along the first axis.

    Parameters
    ----------
    fluid : ndarray of bool, shape (nz, ny, nx)
        Voxels that fluid fills; some of them join the first and the last plane.
    edges : tuple of float
        Edges of a voxel along the axes.
    boundary : {"open", "periodic", "walls"}
        "open": pressure is given, and tangential velocity zero, at the first and the last plane; no friction at the
        other four sides. "walls": the same with walls at the four sides. "periodic": in all directions.
    flux_spread : float
        Largest accepted difference between the fluxes through the planes, over their mean.
    max_iterations : int
    """
    size = thread_count()
    with ThreadPoolExecutor(size) as pool:
        problem = _Problem(fluid, edges, boundary, Team(pool, size))
        return problem.run(flux_spread, max_iterations)


class _Problem:
    """Velocities along z, y, x and pressures: fields in this order."""

    def __init__(self, fluid: np.ndarray, edges: tuple[float, float, float], boundary: str, team: Team) -> None:
        self.team, self.shape, self.edges = team, fluid.shape, edges
        self.is_periodic = boundary == "periodic"
        self.cells = padded_cells(fluid, boundary)
        self.steps = np.array([1 / edge for edge in edges], np.float32)
        weights = np.array([1 / edge**2 for edge in edges], np.float32)
        nz, ny, nx = fluid.shape
        planes = nz + (not self.is_periodic)
        ones = np.ones(planes + 2, np.float32)
        self.half = ones.copy()
        if not self.is_periodic:
            self.half[[1, planes]] = 0.5
        self.velocities, conductances = [], np.zeros((3, nz + 2, ny + 2, nx + 2), np.float32)
        for axis in range(3):
            own = (planes if axis == 0 else nz, ny, nx)
            half = self.half if axis == 0 else ones[: nz + 2]
            diagonal = links_of_faces(self.cells, axis, own, weights, half, self.is_periodic)
            operator = Operator(diagonal, None, weights, half, self.is_periodic, team)
            self.velocities.append(operator)
            local = self._local_flow(operator, half)
            conductances[axis][: local.shape[0]] = weights[axis] * local[: nz + 2]
        self.pressure = self._pressure_operator(conductances, weights, ones[: nz + 2])
        self.partial = np.zeros(planes)

    def _local_flow(self, operator: Operator, half: np.ndarray) -> np.ndarray:
        """Return phi, the flow that a unit force drives without pressures."""
        inverse = operator.levels[0].inverse
        force = np.where(inverse > 0, half[:, None, None], np.float32(0)).astype(np.float32)
        phi, change, residual = np.zeros_like(force), np.zeros_like(force), force.copy()
        for _ in range(_LOCAL_STEPS):
            operator.cycle(residual, change)
            phi += change
            fields = (inverse, operator.weights, half, force, phi, residual)
            self.team.sweep(kernels.residual, inverse.shape[0] - 2, inverse.size, *fields)
        return np.maximum(phi, 0)

    def _pressure_operator(self, links: np.ndarray, weights: np.ndarray, ones: np.ndarray) -> Operator:
        if self.is_periodic:
            for each in links:
                wrap(each)
        diagonal = np.zeros(links.shape[1:], np.float32)
        inner = (slice(1, -1),) * 3
        diagonal[inner] = np.where(self.cells[inner] == FLUID, own_links(links), 0)
        return Operator(diagonal, links, weights, ones, self.is_periodic, self.team)

    def sweep(self, kernel: Any, field: int, *arguments: Any) -> None:
        """Call a kernel on all planes of a field."""
        planes = self.velocities[0].levels[0].shape[0] if field == 0 else self.shape[0]
        self.team.sweep(kernel, planes, self.cells.size, *arguments)

    def fields(self) -> list[np.ndarray]:
        """Return fields of zeros."""
        return [np.zeros_like(o.levels[0].inverse) for o in (*self.velocities, self.pressure)]

    def apply(self, z: list[np.ndarray], image: list[np.ndarray]) -> float:
        """Apply the system; return the product of argument and image."""
        if self.is_periodic:
            for field in z:
                wrap(field)
        total = 0.0
        for axis, operator in enumerate(self.velocities):
            inverse = operator.levels[0].inverse
            links = (inverse, operator.weights, operator.half, self.steps[axis])
            self.sweep(kernels.gradient, axis, axis, *links, z[axis], z[3], image[axis], self.partial)
            total += self._sum(axis)
        self.sweep(kernels.divergence, 3, self.cells, self.steps, *z, image[3], self.partial)
        return total + self._sum(3)

    def precondition(self, v: list[np.ndarray], z: list[np.ndarray]) -> float:
        """Set z to the preconditioned v; return their product."""
        total = 0.0
        for field, operator in enumerate((*self.velocities, self.pressure)):
            operator.cycle(v[field], z[field])
            if field == 3:
                self.sweep(kernels.add, 3, _MASS, v[3], z[3])
            self.sweep(kernels.product, field, v[field], z[field], self.partial)
            total += self._sum(field)
        return total

    def _sum(self, field: int) -> float:
        planes = self.partial if field == 0 else self.partial[: self.shape[0]]
        return math.fsum(planes.tolist())

    def fluxes(self, x: list[np.ndarray]) -> np.ndarray:
        """Return the mean velocity in each plane of faces."""
        self.sweep(kernels.flux, 0, x[0], self.partial)
        return self.partial / (self.shape[1] * self.shape[2])

    def run(self, flux_spread: float, max_iterations: int) -> Flow:
        """Iterate by MINRES; the names are those of Elman, Silvester and Wathen (2014), Algorithm 4.1."""
        v, old, image, z, w, w_old, x = (self.fields() for _ in range(7))
        force = self.velocities[0].levels[0].inverse > 0
        v[0][:] = np.where(force, self.half[:, None, None], 0)
        gamma = math.sqrt(self.precondition(v, z))
        eta, gamma_old, sine, sine_old, cosine, cosine_old = gamma, 1.0, 0.0, 0.0, 1.0, 1.0
        before, iteration, fluxes = math.inf, 0, np.zeros(1)
        while iteration < max_iterations:
            iteration += 1
            delta = self.apply(z, image) / gamma**2  # z is gamma times that of the book
            for k in range(4):
                factors = (1 / gamma, v[k], -delta / gamma, old[k], -gamma / gamma_old)
                self.sweep(kernels.combine, k, image[k], *factors, old[k])
            alpha = cosine * delta - cosine_old * sine * gamma
            beta, rest = sine * delta + cosine_old * cosine * gamma, sine_old * gamma
            product = self.precondition(old, image)  # the next z, in a field that is free now
            gamma_next = math.sqrt(max(product, 0.0))
            scale = math.hypot(alpha, gamma_next)
            cosine_old, cosine = cosine, alpha / scale
            sine_old, sine = sine, gamma_next / scale
            for k in range(4):
                factors = (1 / (gamma * scale), w_old[k], -rest / scale, w[k], -beta / scale)
                self.sweep(kernels.combine, k, z[k], *factors, w_old[k])
                self.sweep(kernels.add, k, cosine * eta, w_old[k], x[k])
            eta *= -sine
            v, old, z, image, w, w_old = old, v, image, z, w_old, w
            gamma_old, gamma = gamma, gamma_next
            if iteration % _EVERY == 0 or gamma == 0 or iteration == max_iterations:
                fluxes = self.fluxes(x)
                mean = float(fluxes.mean())
                if np.ptp(fluxes) <= flux_spread * mean and abs(mean - before) <= flux_spread * mean:
                    return Flow(mean, fluxes.copy(), iteration, True)
                before = mean
                if gamma == 0:
                    break
        return Flow(float(fluxes.mean()), fluxes.copy(), iteration, False)
