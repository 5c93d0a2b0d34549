"""Steady conduction through a voxel volume: finite volumes, multigrid-preconditioned conjugate gradients.

Every voxel is one cell. Two cells of conductivities s and t share a face of conductance 2 s t / (s + t). The outer
faces of the first and last layer, half a cell from the centres, are at potential 1 and 0. No current crosses the
other four sides. Only cells on a path between the two electrodes are kept.

Cells are coloured like a chess board. The neighbours of a red cell are black, so its potential follows from theirs,
and conjugate gradients run only on the black cells. This halves the unknowns, and each sweep reads one colour and
writes the other. A colour is stored as an array of shape (nz + 2, ny + 2, ceil(nx / 2) + 2), with cell (z, y, x) at
(z + 1, y + 1, x // 2 + 1); the colour is (z + y + x) mod 2, black is 0. So the neighbours of consecutive cells of a
row are consecutive too, and the margin represents the outside.

The finest level stores 1 / (2 s) of each cell. The conductance of a face is then 1 / (a + b): zero beside a cell that
does not conduct (infinite entry), 2 s at an electrode (zero entry). In units of the conductance along z of a cell of
conductivity 1, a face between cells beside each other along y or x has the conductance w / (a + b), where w is the
square of the edge along z over that along y or x: 1 for cubes.

The preconditioner is a multigrid W-cycle. Each coarse cell consists of 2 x 2 x 2 cells; potentials are passed on
unchanged and residuals are added up. A coarse face has half the conductance of its fine faces together, because the
path is twice as long. This is half the Galerkin operator, so a correction can overshoot, but at most reflect; two
visits to each level keep the cycle positive definite, one visit would not. Smoothing is Gauss-Seidel, black then red
before the correction and red then black after it, which makes the cycle symmetric.

Working vectors are in single precision unless the conductivities are too far apart. The potential and all sums are in
double precision, and so are fluxes and residual, which are recomputed before a solution is accepted. Sums are taken
plane by plane and added in order, and the result of a sweep does not depend on the order of its cells, so results are
the same bit for bit for any number of threads.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.geometry.percolation import percolating_runs
from nmcdist.jit import Int, kernel
from nmcdist.threads import Team, thread_count

COARSEST = 4  # cells along the longest edge of the last level
BOTTOM_SWEEPS = 16  # on that level, before and after: practically exact

_jit = kernel(error_model="numpy")


@dataclass(frozen=True)
class Solution:
    """The solution between electrodes at potential 1 and 0, in units of the conductance along z of one cell.

    Attributes
    ----------
    conductance : float
        Current between the electrodes, from the dissipated power. It is an upper bound on the exact value, and its
        error is quadratic in the error of the potential.
    fluxes : ndarray of float64, shape (nz + 1,)
        Current through each plane between two layers and through both electrodes; all are equal in an exact solution.
    iterations : int
        Conjugate gradient iterations taken.
    converged : bool
        Whether the fluxes agree as closely as requested.
    """

    conductance: float
    fluxes: np.ndarray
    iterations: int
    converged: bool

    @property
    def flux_spread(self) -> float:
        """Largest minus smallest flux, over their mean."""
        return _spread(self.fluxes)


def solve(
    codes: np.ndarray, half_resistances: np.ndarray, flux_spread: float, max_iterations: int,
    edges: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Solution | None:  # fmt: skip
    """Solve for the potential between the first and the last plane of a volume.

    Parameters
    ----------
    codes : ndarray of uint8, shape (nz, ny, nx), C-contiguous
        Phase of each voxel; phase 0 does not conduct.
    half_resistances : ndarray of float32 or float64
        1 / (2 conductivity) of each phase, preferably scaled to values from 1/2 up. Its type is that of the working
        vectors; contrasts beyond 1e3 need float64.
    flux_spread : float
        Largest accepted difference between the fluxes through the planes, over their mean.
    max_iterations : int
        Conjugate gradient iterations after which the solver stops.
    edges : (float, float, float)
        Edges of a voxel along z, y, x; only their ratios count.

    Returns
    -------
    Solution or None
        None if no path of face neighbours joins the two planes.
    """
    resistance = percolating_resistances(codes, half_resistances)
    if resistance is None:
        return None
    nz, ny, nx = codes.shape
    size = thread_count()
    with ThreadPoolExecutor(size) as pool:
        problem = _Problem(resistance, (nz, ny, nx), edges, Team(pool, size))
        power, fluxes = problem.evaluate()
        iterations = 0
        while not (converged := _spread(fluxes) <= flux_spread):
            taken = problem.descend(power, flux_spread, max_iterations - iterations)
            if taken == 0:
                break
            iterations += taken
            power, fluxes = problem.evaluate()
    return Solution(power, fluxes, iterations, converged)


def _spread(fluxes: np.ndarray) -> float:
    mean = abs(_total(fluxes)) / len(fluxes)
    return float(np.ptp(fluxes)) / mean if mean > 0 else np.inf


def _total(parts: np.ndarray) -> float:
    """Return the sum of a few numbers, correctly rounded."""
    return math.fsum(parts.tolist())


@dataclass(frozen=True)
class _Level:
    """A coarse level: conductances of the six faces of each black cell, source and potential of each colour.

    The order of the faces is lower and upper z, lower and upper y, lower and upper x.
    """

    faces: np.ndarray
    source: np.ndarray
    potential: np.ndarray


class _Problem:
    """One solve: the finest level, its working vectors on the black cells, and the coarse levels below it."""

    def __init__(
        self, resistance: np.ndarray, shape: tuple[int, int, int], edges: tuple[float, float, float], team: Team
    ) -> None:  # fmt: skip
        self.team = team
        self.resistance = resistance
        self.across = np.array([(edges[0] / edge) ** 2 for edge in edges[1:]], resistance.dtype)
        self.planes = shape[0]
        self.levels = _coarse_levels(resistance, self.across, shape, team)
        layout = resistance.shape[1:]
        profile = 1.0 - (np.arange(self.planes + 2) - 0.5) / self.planes
        profile[0], profile[-1] = 1.0, 0.0
        self.potential = np.empty(layout)
        self.potential[:] = profile[:, None, None]
        self.residual, self.correction, self.direction, self.image, self.inverse, self.red = (
            np.zeros(layout, resistance.dtype) for _ in range(6)
        )
        self.partial = np.zeros(self.planes)

    def sweep(self, kernel: Callable[..., None], *arguments: Any) -> None:
        """Call a kernel on all planes of the finest level."""
        self.team.sweep(kernel, self.planes, self.resistance.size, *arguments)

    def evaluate(self) -> tuple[float, np.ndarray]:
        """Recompute the residual; return the dissipated power and the flux through each plane."""
        red = np.zeros(self.potential.shape)
        red[0] = 1.0
        flux, power = np.zeros(self.planes + 1), np.zeros(self.planes + 1)
        self.sweep(_eliminate_exactly, self.resistance, self.across, self.potential, red)
        fields = (self.resistance, self.across, self.potential, red, self.residual, self.inverse)
        self.sweep(_evaluate, *fields, flux, power)
        _cross(self.planes + 1, self.resistance, self.potential, red, flux, power)
        return _total(power), flux

    def descend(self, power: float, flux_spread: float, limit: int) -> int:
        """Iterate until the fluxes agree by the recurrences; return the number of iterations."""
        np.multiply(self.residual, self.inverse, out=self.correction)
        self.direction[:] = 0
        before = np.inf
        for iteration in range(limit):
            product = self.precondition()
            self.sweep(_advance, self.direction.dtype.type(product / before), self.correction, self.direction)
            curvature = self.apply()
            if not (product > 0 and curvature > 0):
                return iteration
            before, step = product, product / curvature
            flux = self.update(step)
            power -= step * product
            # Both are required: the spread can be small for a moment while a slow mode still remains.
            if np.ptp(flux) <= 0.9 * flux_spread * power and step * product <= 2e-3 * flux_spread * power:
                return iteration + 1
        return limit

    def precondition(self) -> float:
        """Replace residual times inverse diagonal by the multigrid correction; return its product with the residual.

        The argument equals the result of the first smoothing of the black cells from a zero guess.
        """
        below = self.levels[0]
        self.sweep(_eliminate, self.resistance, self.across, self.correction, self.red)
        fields = (self.resistance, self.across, self.red, below.source, below.potential)
        self.team.sweep(_restrict_finest, below.source.shape[1] - 2, self.resistance.size, *fields)
        _correct(self.levels, 0, self.team)
        self.sweep(_prolong, below.potential, self.correction)
        self.sweep(_eliminate, self.resistance, self.across, self.correction, self.red)
        self.sweep(_smooth, self.resistance, self.across, self.residual, self.red, self.correction, self.partial)
        return _total(self.partial)

    def apply(self) -> float:
        """Apply the operator to the direction; return their product."""
        self.sweep(_eliminate, self.resistance, self.across, self.direction, self.red)
        self.sweep(_apply, self.resistance, self.across, self.direction, self.red, self.image, self.partial)
        return _total(self.partial)

    def update(self, step: float) -> np.ndarray:
        """Take a step along the direction; return the flux through each plane minus that through the first."""
        vectors = (self.direction, self.image, self.inverse, self.potential, self.residual, self.correction)
        self.sweep(_update, step, self.direction.dtype.type(step), *vectors, self.partial)
        return np.concatenate([[0.0], np.cumsum(self.partial)])


# ---- Which cells carry current ------------------------------------------------------------------------------


def percolating_resistances(codes: np.ndarray, half_resistances: np.ndarray) -> np.ndarray | None:
    """Return the half resistances of the voxels on paths of face neighbours from the first plane to the last.

    Parameters
    ----------
    codes : ndarray of uint8, shape (nz, ny, nx)
        Phase of each voxel; phase 0 does not conduct.
    half_resistances : ndarray of float32 or float64
        1 / (2 conductivity) of each phase.

    Returns
    -------
    ndarray of the same type, shape (2, nz + 2, ny + 2, ceil(nx / 2) + 2), or None
        Black and red cells; infinite where no current flows, zero in the electrodes. None if there is no path.
    """
    starts, first, last, carries = percolating_runs(codes)
    if not carries.any():
        return None
    nz, ny, nx = codes.shape
    resistance = np.full((2, nz + 2, ny + 2, (nx + 1) // 2 + 2), np.inf, half_resistances.dtype)
    _lay_out(codes, half_resistances, starts, first, last, carries, resistance)
    return resistance


@_jit
def _lay_out(
    codes: np.ndarray, half_resistances: np.ndarray, starts: np.ndarray, first: np.ndarray, last: np.ndarray,
    carries: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    nz, ny, nx = codes.shape
    for z in range(nz):
        for y in range(ny):
            for run in range(starts[z * ny + y], starts[z * ny + y + 1]):
                if carries[run]:
                    for x in range(first[run], last[run]):
                        out[(z + y + x) & 1, z + 1, y + 1, (x >> 1) + 1] = half_resistances[codes[z, y, x]]
    for y in range(ny):
        for x in range(nx):
            out[(y + x + 1) & 1, 0, y + 1, (x >> 1) + 1] = 0
            out[(nz + y + x) & 1, nz + 1, y + 1, (x >> 1) + 1] = 0


# ---- The finest level --------------------------------------------------------------------------------------


@_jit
def _sum(row: np.ndarray) -> float:
    total = 0.0
    for i in range(row.size):
        total += row[i]
    return total


@_jit
def _gather(
    k: int, j: int, colour: int, u: np.ndarray, own: np.ndarray, other: np.ndarray, across: np.ndarray,
    total: np.ndarray, weight: np.ndarray,
) -> None:  # fmt: skip
    """For each cell of a row, sum conductance times neighbour's potential, and the conductances."""
    one, wy, wx = np.float32(1.0), across[0], across[1]
    shift = (k + j + colour) & 1
    r, r_row, u_row = own[k, j], other[k, j], u[k, j]
    r_down, r_up, r_front, r_back = other[k - 1, j], other[k + 1, j], other[k, j - 1], other[k, j + 1]
    u_down, u_up, u_front, u_back = u[k - 1, j], u[k + 1, j], u[k, j - 1], u[k, j + 1]
    for i in range(1, total.size - 1):
        down, up = one / (r[i] + r_down[i]), one / (r[i] + r_up[i])
        front, back = wy / (r[i] + r_front[i]), wy / (r[i] + r_back[i])
        left, right = wx / (r[i] + r_row[i - 1 + shift]), wx / (r[i] + r_row[i + shift])
        along_z = down * u_down[i] + up * u_up[i]
        along_y = front * u_front[i] + back * u_back[i]
        along_x = left * u_row[i - 1 + shift] + right * u_row[i + shift]
        total[i] = along_z + along_y + along_x
        weight[i] = down + up + front + back + left + right


@_jit
def _eliminate(
    begin: int, end: int, resistance: np.ndarray, across: np.ndarray, black: np.ndarray, red: np.ndarray
) -> None:  # fmt: skip
    total = np.empty(red.shape[2], red.dtype)
    weight = np.empty(red.shape[2], red.dtype)
    for k in range(begin, end):
        for j in range(1, red.shape[1] - 1):
            _gather(k, j, 1, black, resistance[1], resistance[0], across, total, weight)
            out = red[k, j]
            for i in range(1, total.size - 1):
                out[i] = total[i] / weight[i] if weight[i] > 0 else np.float32(0)


@_jit
def _smooth(
    begin: int, end: int, resistance: np.ndarray, across: np.ndarray, residual: np.ndarray, red: np.ndarray,
    correction: np.ndarray, partial: np.ndarray,
) -> None:  # fmt: skip
    total = np.empty(red.shape[2], red.dtype)
    weight = np.empty(red.shape[2], red.dtype)
    product = np.empty(red.shape[2])
    for k in range(begin, end):
        product[:] = 0
        for j in range(1, red.shape[1] - 1):
            _gather(k, j, 0, red, resistance[0], resistance[1], across, total, weight)
            z, r = correction[k, j], residual[k, j]
            for i in range(1, total.size - 1):
                value = (r[i] + total[i]) / weight[i] if weight[i] > 0 else np.float32(0)
                z[i] = value
                product[i] += np.float64(value) * r[i]
        partial[k - 1] = _sum(product)


@_jit
def _apply(
    begin: int, end: int, resistance: np.ndarray, across: np.ndarray, direction: np.ndarray, red: np.ndarray,
    image: np.ndarray, partial: np.ndarray,
) -> None:  # fmt: skip
    total = np.empty(red.shape[2], red.dtype)
    weight = np.empty(red.shape[2], red.dtype)
    product = np.empty(red.shape[2])
    for k in range(begin, end):
        product[:] = 0
        for j in range(1, red.shape[1] - 1):
            _gather(k, j, 0, red, resistance[0], resistance[1], across, total, weight)
            q, p = image[k, j], direction[k, j]
            for i in range(1, total.size - 1):
                value = weight[i] * p[i] - total[i]
                q[i] = value
                product[i] += np.float64(value) * p[i]
        partial[k - 1] = _sum(product)


@_jit
def _advance(begin: int, end: int, factor: float, correction: np.ndarray, direction: np.ndarray) -> None:
    for k in range(begin, end):
        for j in range(1, direction.shape[1] - 1):
            p, z = direction[k, j], correction[k, j]
            for i in range(1, p.size - 1):
                p[i] = z[i] + factor * p[i]


@_jit
def _update(
    begin: int, end: int, step: float, short: float, direction: np.ndarray, image: np.ndarray, inverse: np.ndarray,
    potential: np.ndarray, residual: np.ndarray, correction: np.ndarray, partial: np.ndarray,
) -> None:  # fmt: skip
    inflow = np.empty(direction.shape[2])
    for k in range(begin, end):
        inflow[:] = 0
        for j in range(1, direction.shape[1] - 1):
            u, p, q = potential[k, j], direction[k, j], image[k, j]
            r, z, d = residual[k, j], correction[k, j], inverse[k, j]
            for i in range(1, u.size - 1):
                u[i] += step * p[i]
                value = r[i] - short * q[i]
                r[i] = value
                z[i] = value * d[i]
                inflow[i] += value
        partial[k - 1] = _sum(inflow)


@_jit
def _restrict_finest(
    begin: int, end: int, resistance: np.ndarray, across: np.ndarray, red: np.ndarray, source: np.ndarray,
    below: np.ndarray,
) -> None:  # fmt: skip
    nz, ny, width = red.shape[0] - 2, red.shape[1] - 2, red.shape[2]
    total = np.empty(width, red.dtype)
    weight = np.empty(width, red.dtype)
    row = np.empty(width, red.dtype)
    for kc in range(begin, end):
        for jc in range(1, source.shape[2] - 1):
            row[:] = 0
            for k in range(2 * kc - 1, min(2 * kc, nz) + 1):
                for j in range(2 * jc - 1, min(2 * jc, ny) + 1):
                    _gather(k, j, 0, red, resistance[0], resistance[1], across, total, weight)
                    for i in range(1, width - 1):
                        row[i] += total[i]
            _hand_down(row, kc, jc, source, below)


# ---- Between levels: position i of a row of one colour lies in the coarse cell i - 1 of its row ------------


@_jit
def _hand_down(row: np.ndarray, k: int, j: int, source: np.ndarray, potential: np.ndarray) -> None:
    even, odd = source[(k + j) & 1, k, j], source[(k + j + 1) & 1, k, j]
    for m in range((row.size - 2) // 2):
        even[1 + m] = row[1 + 2 * m]
        odd[1 + m] = row[2 + 2 * m]
    if row.size & 1:
        even[even.size - 2] = row[row.size - 2]
    potential[:, k, j] = 0


@_jit
def _prolong(begin: int, end: int, below: np.ndarray, black: np.ndarray) -> None:
    for k in range(begin, end):
        for j in range(1, black.shape[1] - 1):
            kc, jc = (k + 1) >> 1, (j + 1) >> 1
            even, odd = below[(kc + jc) & 1, kc, jc], below[(kc + jc + 1) & 1, kc, jc]
            out = black[k, j]
            for m in range((out.size - 2) // 2):
                out[1 + 2 * m] += even[1 + m]
                out[2 + 2 * m] += odd[1 + m]
            if out.size & 1:
                out[out.size - 2] += even[even.size - 2]


def _coarse_levels(
    resistance: np.ndarray, across: np.ndarray, shape: tuple[int, int, int], team: Team
) -> list[_Level]:  # fmt: skip
    levels: list[_Level] = []
    nz, ny, nx = shape
    faces = np.zeros((6, 1, 1, 1), resistance.dtype)
    while not levels or max(nz, ny, nx) > COARSEST:
        fine = (resistance, across, faces, not levels, nz, ny)
        nz, ny, nx = (nz + 1) // 2, (ny + 1) // 2, (nx + 1) // 2
        layout = (nz + 2, ny + 2, (nx + 1) // 2 + 2)
        level = _Level(*(np.zeros((n, *layout), faces.dtype) for n in (6, 2, 2)))
        team.sweep(_coarsen, nz + 1, 8 * level.source.size, *fine, nx + 2, level.faces)
        faces = level.faces
        levels.append(level)
    return levels


@_jit
def _add_z(k: int, j: int, resistance: np.ndarray, faces: np.ndarray, finest: bool, row: np.ndarray) -> None:
    one = np.float32(1.0)
    if finest:
        for i in range(1, row.size - 1):
            row[i] += one / (resistance[0, k, j, i] + resistance[1, k - 1, j, i])
            row[i] += one / (resistance[1, k, j, i] + resistance[0, k - 1, j, i])
    else:
        for i in range(1, row.size - 1):
            row[i] += faces[0, k, j, i] + faces[1, k - 1, j, i]


@_jit
def _add_y(
    k: int, j: int, resistance: np.ndarray, w: float, faces: np.ndarray, finest: bool, row: np.ndarray
) -> None:  # fmt: skip
    if finest:
        for i in range(1, row.size - 1):
            row[i] += w / (resistance[0, k, j, i] + resistance[1, k, j - 1, i])
            row[i] += w / (resistance[1, k, j, i] + resistance[0, k, j - 1, i])
    else:
        for i in range(1, row.size - 1):
            row[i] += faces[2, k, j, i] + faces[3, k, j - 1, i]


@_jit
def _add_x(
    k: int, j: int, resistance: np.ndarray, w: float, faces: np.ndarray, finest: bool, row: np.ndarray
) -> None:  # fmt: skip
    colour = (k + j) & 1
    if finest:
        for i in range(1, row.size - 1):
            row[i] += w / (resistance[colour, k, j, i] + resistance[1 - colour, k, j, i - 1])
    else:
        for i in range(1, row.size - 1):
            row[i] += faces[4 + colour, k, j, i - colour]


@_jit
def _store(k: int, j: int, axis: Int, row: np.ndarray, faces: np.ndarray) -> None:
    """Store the lower faces of a row of coarse cells, each with the black cell that it touches."""
    half = np.float32(0.5)
    for i in range(2 if axis == 2 else 1, row.size - 1):
        if (k + j + i) & 1:
            faces[2 * axis, k, j, (i + 1) >> 1] = half * row[i]
        elif axis == 0:
            faces[1, k - 1, j, (i + 1) >> 1] = half * row[i]
        elif axis == 1:
            faces[3, k, j - 1, (i + 1) >> 1] = half * row[i]
        else:
            faces[5, k, j, i >> 1] = half * row[i]


@_jit
def _coarsen(
    begin: int, end: int, resistance: np.ndarray, across: np.ndarray, faces: np.ndarray, finest: bool, nz: int,
    ny: int, width: int, out: np.ndarray,
) -> None:  # fmt: skip
    row = np.empty(width, out.dtype)
    along_z, along_y, along_x = np.int64(0), np.int64(1), np.int64(2)  # typed, so that `_store` is compiled once
    for kc in range(begin, end):
        for jc in range(1, out.shape[2] - 1):
            row[:] = 0
            for j in range(2 * jc - 1, min(2 * jc, ny) + 1):
                _add_z(min(2 * kc - 1, nz + 1), j, resistance, faces, finest, row)
            _store(kc, jc, along_z, row, out)
            if kc == out.shape[1] - 1:
                continue
            row[:] = 0
            for k in range(2 * kc - 1, min(2 * kc, nz) + 1):
                _add_y(k, 2 * jc - 1, resistance, across[0], faces, finest, row)
            _store(kc, jc, along_y, row, out)
            row[:] = 0
            for k in range(2 * kc - 1, min(2 * kc, nz) + 1):
                for j in range(2 * jc - 1, min(2 * jc, ny) + 1):
                    _add_x(k, j, resistance, across[1], faces, finest, row)
            _store(kc, jc, along_x, row, out)


# ---- Coarse levels -----------------------------------------------------------------------------------------


def _correct(levels: list[_Level], depth: int, team: Team) -> None:
    """Visit a level twice: smooth, correct from below, smooth."""
    level = levels[depth]
    fields = (level.faces, level.source, level.potential)
    if depth == len(levels) - 1:
        _solve_coarsest(*fields, BOTTOM_SWEEPS)
        return
    below = levels[depth + 1]
    planes, cells = level.source.shape[1] - 2, level.source.size
    for _ in range(2):
        team.sweep(_relax, planes, cells, *fields, 0)
        team.sweep(_relax, planes, cells, *fields, 1)
        team.sweep(_restrict, below.source.shape[1] - 2, cells, *fields, below.source, below.potential)
        _correct(levels, depth + 1, team)
        team.sweep(_prolong, planes, cells, below.potential, level.potential[0])
        team.sweep(_relax, planes, cells, *fields, 1)
        team.sweep(_relax, planes, cells, *fields, 0)


@_jit
def _gather_stored(
    k: int, j: int, colour: int, u: np.ndarray, faces: np.ndarray, total: np.ndarray, weight: np.ndarray
) -> None:
    """Like `_gather`, from stored conductances; those of a red cell are stored with its black neighbours."""
    shift = (k + j + colour) & 1
    u_row = u[k, j]
    u_down, u_up, u_front, u_back = u[k - 1, j], u[k + 1, j], u[k, j - 1], u[k, j + 1]
    if colour == 0:
        down, up, front, back = faces[0, k, j], faces[1, k, j], faces[2, k, j], faces[3, k, j]
        left, right = faces[4, k, j], faces[5, k, j]
        to_left, to_right = 0, 0
    else:
        down, up, front, back = faces[1, k - 1, j], faces[0, k + 1, j], faces[3, k, j - 1], faces[2, k, j + 1]
        left, right = faces[5, k, j], faces[4, k, j]
        to_left, to_right = shift - 1, shift
    for i in range(1, total.size - 1):
        g_left, g_right = left[i + to_left], right[i + to_right]
        along_z = down[i] * u_down[i] + up[i] * u_up[i]
        along_y = front[i] * u_front[i] + back[i] * u_back[i]
        along_x = g_left * u_row[i - 1 + shift] + g_right * u_row[i + shift]
        total[i] = along_z + along_y + along_x
        weight[i] = down[i] + up[i] + front[i] + back[i] + g_left + g_right


@_jit
def _relax(begin: Int, end: int, faces: np.ndarray, source: np.ndarray, potential: np.ndarray, colour: int) -> None:
    total = np.empty(source.shape[3], source.dtype)
    weight = np.empty(source.shape[3], source.dtype)
    for k in range(begin, end):
        for j in range(1, source.shape[2] - 1):
            _gather_stored(k, j, colour, potential[1 - colour], faces, total, weight)
            u, b = potential[colour, k, j], source[colour, k, j]
            for i in range(1, total.size - 1):
                u[i] = (b[i] + total[i]) / weight[i] if weight[i] > 0 else np.float32(0)


@_jit
def _restrict(
    begin: int, end: int, faces: np.ndarray, source: np.ndarray, potential: np.ndarray, source_below: np.ndarray,
    potential_below: np.ndarray,
) -> None:  # fmt: skip
    nz, ny, width = source.shape[1] - 2, source.shape[2] - 2, source.shape[3]
    total = np.empty(width, source.dtype)
    weight = np.empty(width, source.dtype)
    row = np.empty(width, source.dtype)
    for kc in range(begin, end):
        for jc in range(1, source_below.shape[2] - 1):
            row[:] = 0
            for k in range(2 * kc - 1, min(2 * kc, nz) + 1):
                for j in range(2 * jc - 1, min(2 * jc, ny) + 1):
                    _gather_stored(k, j, 0, potential[1], faces, total, weight)
                    b, u = source[0, k, j], potential[0, k, j]
                    for i in range(1, width - 1):
                        row[i] += b[i] + total[i] - weight[i] * u[i]
            _hand_down(row, kc, jc, source_below, potential_below)


@_jit
def _solve_coarsest(faces: np.ndarray, source: np.ndarray, potential: np.ndarray, sweeps: int) -> None:
    for sweep in range(2 * sweeps):
        colour = sweep & 1 if sweep < sweeps else 1 - (sweep & 1)
        _relax(np.int64(1), source.shape[1] - 1, faces, source, potential, colour)


# ---- Residual, fluxes and power in double precision --------------------------------------------------------


@_jit
def _conductance(a: float, b: float, w: float) -> float:
    return np.float64(w) / (np.float64(a) + np.float64(b))


@_jit
def _eliminate_exactly(
    begin: int, end: int, resistance: np.ndarray, across: np.ndarray, black: np.ndarray, red: np.ndarray
) -> None:  # fmt: skip
    wy, wx = across[0], across[1]
    for k in range(begin, end):
        for j in range(1, red.shape[1] - 1):
            shift = (k + j + 1) & 1
            for i in range(1, red.shape[2] - 1):
                r = resistance[1, k, j, i]
                down = _conductance(r, resistance[0, k - 1, j, i], 1.0)
                up = _conductance(r, resistance[0, k + 1, j, i], 1.0)
                front = _conductance(r, resistance[0, k, j - 1, i], wy)
                back = _conductance(r, resistance[0, k, j + 1, i], wy)
                left = _conductance(r, resistance[0, k, j, i - 1 + shift], wx)
                right = _conductance(r, resistance[0, k, j, i + shift], wx)
                weight = down + up + front + back + left + right
                total = down * black[k - 1, j, i] + up * black[k + 1, j, i]
                total += front * black[k, j - 1, i] + back * black[k, j + 1, i]
                total += left * black[k, j, i - 1 + shift] + right * black[k, j, i + shift]
                red[k, j, i] = total / weight if weight > 0 else 0.0


@_jit
def _cross(
    k: int, resistance: np.ndarray, black: np.ndarray, red: np.ndarray, flux: np.ndarray, power: np.ndarray
) -> None:
    """Sum up flux and power in the faces between layer k and the one before."""
    flux_row = np.zeros(black.shape[2])
    power_row = np.zeros(black.shape[2])
    for j in range(1, black.shape[1] - 1):
        for i in range(1, black.shape[2] - 1):
            to_black = _conductance(resistance[0, k, j, i], resistance[1, k - 1, j, i], 1.0)
            to_red = _conductance(resistance[1, k, j, i], resistance[0, k - 1, j, i], 1.0)
            drop_to_black = red[k - 1, j, i] - black[k, j, i]
            drop_to_red = black[k - 1, j, i] - red[k, j, i]
            flux_row[i] += to_black * drop_to_black + to_red * drop_to_red
            power_row[i] += to_black * drop_to_black**2 + to_red * drop_to_red**2
    flux[k - 1] = _sum(flux_row)
    power[k - 1] = _sum(power_row)


@_jit
def _evaluate(
    begin: int, end: int, resistance: np.ndarray, across: np.ndarray, black: np.ndarray, red: np.ndarray,
    residual: np.ndarray, inverse: np.ndarray, flux: np.ndarray, power: np.ndarray,
) -> None:  # fmt: skip
    wy, wx = across[0], across[1]
    power_row = np.empty(black.shape[2])
    for k in range(begin, end):
        _cross(k, resistance, black, red, flux, power)
        power_row[:] = 0
        for j in range(1, black.shape[1] - 1):
            shift = (k + j) & 1
            for i in range(1, black.shape[2] - 1):
                r, u = resistance[0, k, j, i], black[k, j, i]
                down = _conductance(r, resistance[1, k - 1, j, i], 1.0)
                up = _conductance(r, resistance[1, k + 1, j, i], 1.0)
                front = _conductance(r, resistance[1, k, j - 1, i], wy)
                back = _conductance(r, resistance[1, k, j + 1, i], wy)
                left = _conductance(r, resistance[1, k, j, i - 1 + shift], wx)
                right = _conductance(r, resistance[1, k, j, i + shift], wx)
                from_front, from_back = red[k, j - 1, i] - u, red[k, j + 1, i] - u
                from_left, from_right = red[k, j, i - 1 + shift] - u, red[k, j, i + shift] - u
                along_z = down * (red[k - 1, j, i] - u) + up * (red[k + 1, j, i] - u)
                along_y = front * from_front + back * from_back
                along_x = left * from_left + right * from_right
                residual[k, j, i] = along_z + along_y + along_x
                weight = down + up + front + back + left + right
                inverse[k, j, i] = 1.0 / weight if weight > 0 else 0.0
                power_row[i] += front * from_front**2 + back * from_back**2
                power_row[i] += left * from_left**2 + right * from_right**2
        power[k - 1] += _sum(power_row)
