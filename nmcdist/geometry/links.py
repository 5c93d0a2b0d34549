"""Symmetric operators between neighbouring cells, and their multigrid cycle.

The cycle is that of :mod:`nmcdist.geometry.laplace`: coarse cells of 2 x 2 x 2 cells, half of the links together, red
and black Gauss-Seidel, and two visits to each level below the finest.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.geometry.laplace import BOTTOM_SWEEPS, COARSEST
from nmcdist.geometry.staggered import wrap
from nmcdist.jit import Int, kernel
from nmcdist.threads import Team

_jit = kernel(error_model="numpy")


@_jit
def gather(k: int, j: int, u: np.ndarray, links: Any, weights: np.ndarray, half: np.ndarray,
           total: np.ndarray) -> None:  # fmt: skip
    """Sum links times neighbours in a row; without stored links, those between active faces, where others hold 0."""
    own, below, above, before, behind = u[k, j], u[k - 1, j], u[k + 1, j], u[k, j - 1], u[k, j + 1]
    if links is None:
        z, y, x = weights[0], half[k] * weights[1], half[k] * weights[2]
        for i in range(1, own.size - 1):
            beside = y * (before[i] + behind[i]) + x * (own[i - 1] + own[i + 1])
            total[i] = z * (below[i] + above[i]) + beside
    else:
        down, up, side = links[0, k, j], links[0, k + 1, j], links[2, k, j]
        front, back = links[1, k, j], links[1, k, j + 1]
        for i in range(1, own.size - 1):
            along = down[i] * below[i] + up[i] * above[i] + side[i] * own[i - 1] + side[i + 1] * own[i + 1]
            total[i] = along + front[i] * before[i] + back[i] * behind[i]


@_jit
def _relax(begin: Int, end: int, inverse: np.ndarray, links: Any, weights: np.ndarray, half: np.ndarray,
           source: np.ndarray, u: np.ndarray, colour: int) -> None:  # fmt: skip
    total = np.empty(u.shape[2], np.float32)
    for k in range(begin, end):
        for j in range(1, u.shape[1] - 1):
            gather(k, j, u, links, weights, half, total)
            own, b, d = u[k, j], source[k, j], inverse[k, j]
            other = (k + j + colour) & 1
            for i in range(1, own.size - 1):
                own[i] = own[i] if (i & 1) == other else d[i] * (b[i] + total[i])


@_jit
def _start(begin: int, end: int, inverse: np.ndarray, source: np.ndarray, u: np.ndarray) -> None:
    """Relax the first colour of a field of zeros, and clear the other."""
    zero = np.float32(0)
    for k in range(begin, end):
        for j in range(1, u.shape[1] - 1):
            own, b, d = u[k, j], source[k, j], inverse[k, j]
            other = (k + j) & 1
            for i in range(1, own.size - 1):
                own[i] = zero if (i & 1) == other else d[i] * b[i]


@_jit
def _restrict(begin: int, end: int, inverse: np.ndarray, links: Any, weights: np.ndarray, half: np.ndarray,
              source: np.ndarray, u: np.ndarray, below: np.ndarray) -> None:  # fmt: skip
    """Add up the residuals of 2 x 2 x 2 cells."""
    nz, ny, width = u.shape[0] - 2, u.shape[1] - 2, u.shape[2]
    zero, total, row = np.float32(0), np.empty(width, np.float32), np.zeros(width + 1, np.float32)
    for kc in range(begin, end):
        for jc in range(1, below.shape[1] - 1):
            row[:] = 0
            for k in range(2 * kc - 1, min(2 * kc, nz) + 1):
                for j in range(2 * jc - 1, min(2 * jc, ny) + 1):
                    gather(k, j, u, links, weights, half, total)
                    own, b, d = u[k, j], source[k, j], inverse[k, j]
                    for i in range(1, width - 1):
                        row[i] += b[i] + total[i] - own[i] / d[i] if d[i] > 0 else zero
            out = below[kc, jc]
            for m in range(1, out.size - 1):
                out[m] = row[2 * m - 1] + row[2 * m]


@_jit
def _prolong(begin: int, end: int, inverse: np.ndarray, below: np.ndarray, u: np.ndarray) -> None:
    zero, spread = np.float32(0), np.empty(2 * below.shape[2], np.float32)
    for k in range(begin, end):
        for j in range(1, u.shape[1] - 1):
            coarse = below[(k + 1) >> 1, (j + 1) >> 1]
            for m in range(1, coarse.size - 1):
                spread[2 * m - 1] = coarse[m]
                spread[2 * m] = coarse[m]
            own, d = u[k, j], inverse[k, j]
            for i in range(1, own.size - 1):
                own[i] += spread[i] if d[i] > 0 else zero


@_jit
def _solve_coarsest(inverse: np.ndarray, links: Any, weights: np.ndarray, half: np.ndarray, source: np.ndarray,
                    u: np.ndarray, sweeps: int, is_periodic: bool) -> None:  # fmt: skip
    """Relax the colours in turn, and then in the other order."""
    for sweep in range(2 * sweeps):
        colour = sweep & 1 if sweep < sweeps else 1 - (sweep & 1)
        _relax(np.int64(1), u.shape[0] - 1, inverse, links, weights, half, source, u, colour)
        if is_periodic:
            wrap(u)


@dataclass(frozen=True)
class _Level:
    """One level of an operator: reciprocal diagonal, links, and, below the finest level, source and solution."""

    inverse: np.ndarray
    links: np.ndarray | None
    source: np.ndarray
    solution: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(n - 2 for n in self.inverse.shape)


class Operator:
    """A symmetric operator between neighbouring cells, and its multigrid cycle.

    Parameters
    ----------
    diagonal : ndarray of float32, shape (nz + 2, ny + 2, nx + 2)
        Sum of the links of each cell; 0 for those that do not count.
    links : ndarray of float32, shape (3, nz + 2, ny + 2, nx + 2), or None
        Link of each cell to the one before it along each axis. None: `weights` between cells that count.
    weights : ndarray of float32, shape (3,)
    half : ndarray of float32, shape (nz + 2,)
        Factor of the links across the first axis, by plane.
    is_periodic : bool
    team : Team
    """

    def __init__(self, diagonal: np.ndarray, links: np.ndarray | None, weights: np.ndarray, half: np.ndarray,
                 is_periodic: bool, team: Team) -> None:  # fmt: skip
        self.weights, self.half, self.is_periodic, self.team = weights, half, is_periodic, team
        empty = np.empty(0, np.float32)
        self.levels = [_Level(_reciprocal(diagonal, is_periodic), links, empty, empty)]
        fine = _links_between(self.levels[0].inverse, weights, half) if links is None else links
        sinks = diagonal[1:-1, 1:-1, 1:-1] - own_links(fine)
        while max(self.levels[-1].shape) > COARSEST:
            fine, sinks = _coarser(fine, np.maximum(sinks, 0), is_periodic)
            diagonal = np.zeros(fine.shape[1:], np.float32)
            diagonal[1:-1, 1:-1, 1:-1] = sinks + own_links(fine)
            fields = (np.zeros_like(diagonal) for _ in range(2))
            self.levels.append(_Level(_reciprocal(diagonal, is_periodic), fine, *fields))

    def relax(self, depth: int, source: np.ndarray, u: np.ndarray, colour: int) -> None:
        """Set each cell of one colour to what its neighbours demand."""
        level = self.levels[depth]
        self._sweep(_relax, level, level.inverse, level.links, self.weights, self.half, source, u, colour)
        self._wrap(u)

    def cycle(self, source: np.ndarray, u: np.ndarray) -> None:
        """Set a field to the cycle's answer to a source."""
        level = self.levels[0]
        self._sweep(_start, level, level.inverse, source, u)
        self._wrap(u)
        self.relax(0, source, u, 1)
        self._correct(0, source, u)
        self.relax(0, source, u, 1)
        self.relax(0, source, u, 0)

    def _correct(self, depth: int, source: np.ndarray, u: np.ndarray) -> None:
        if depth + 1 == len(self.levels):
            return
        level, below = self.levels[depth], self.levels[depth + 1]
        fields = (level.inverse, level.links, self.weights, self.half, source, u, below.source)
        self.team.sweep(_restrict, below.shape[0], level.inverse.size, *fields)
        below.solution[:] = 0
        if depth + 2 == len(self.levels):
            coarse = (below.inverse, below.links, self.weights, self.half, below.source, below.solution)
            _solve_coarsest(*coarse, BOTTOM_SWEEPS, self.is_periodic)
        else:
            for _ in range(2):
                self.relax(depth + 1, below.source, below.solution, 0)
                self.relax(depth + 1, below.source, below.solution, 1)
                self._correct(depth + 1, below.source, below.solution)
                self.relax(depth + 1, below.source, below.solution, 1)
                self.relax(depth + 1, below.source, below.solution, 0)
        self._sweep(_prolong, level, level.inverse, below.solution, u)
        self._wrap(u)

    def _sweep(self, kernel: Any, level: _Level, *arguments: Any) -> None:
        self.team.sweep(kernel, level.shape[0], level.inverse.size, *arguments)

    def _wrap(self, u: np.ndarray) -> None:
        if self.is_periodic:
            wrap(u)


def _reciprocal(diagonal: np.ndarray, is_periodic: bool) -> np.ndarray:
    inverse = np.divide(np.float32(1), diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    if is_periodic:
        wrap(inverse)
    return inverse


def _links_between(inverse: np.ndarray, weights: np.ndarray, half: np.ndarray) -> np.ndarray:
    links = np.zeros((3, *inverse.shape), np.float32)
    counts = inverse > 0
    links[0, 1:] = weights[0] * (counts[1:] & counts[:-1])
    links[1, :, 1:] = weights[1] * (counts[:, 1:] & counts[:, :-1]) * half[:, None, None]
    links[2, :, :, 1:] = weights[2] * (counts[:, :, 1:] & counts[:, :, :-1]) * half[:, None, None]
    return links


def own_links(links: np.ndarray) -> np.ndarray:
    """Return the sum of the six links of each cell, without the outer layer."""
    z, y, x = links[0, :, 1:-1, 1:-1], links[1, 1:-1, :, 1:-1], links[2, 1:-1, 1:-1, :]
    return np.asarray(z[1:-1] + z[2:] + y[:, 1:-1] + y[:, 2:] + x[:, :, 1:-1] + x[:, :, 2:])


def _coarser(links: np.ndarray, sinks: np.ndarray, is_periodic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the links and sinks of cells of 2 x 2 x 2 cells."""
    below = np.zeros((3, *((n + 1) // 2 + 2 for n in sinks.shape)), np.float32)
    for axis, n in enumerate(sinks.shape):
        planes = np.append(np.arange(1, n + 1, 2), n + 1)  # faces between pairs of layers
        crossing = np.take(links[axis], planes, axis)
        others = [other for other in range(3) if other != axis]
        inner = tuple(slice(None) if k == axis else slice(1, -1) for k in range(3))
        total = _pairs(_pairs(crossing[inner], others[0]), others[1])
        into = tuple(slice(1, None) if k == axis else slice(1, -1) for k in range(3))
        below[axis][into] = np.float32(0.5) * total
    return below, _pairs(_pairs(_pairs(sinks, 0), 1), 2)


def _pairs(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the sums of successive pairs of layers along an axis; the last layer may be alone."""
    moved = np.moveaxis(values, axis, 0)
    result = moved[::2].copy()
    result[: len(moved) // 2] += moved[1::2]
    return np.moveaxis(result, 0, axis)
