"""Marker laws: shape D, offset r and turn gamma of each grain, from seeds and random numbers."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from nmcdist.bundle import Bundle, NetParameters, RadialParameters
from nmcdist.bundle.schema import NET_NEIGHBOURS, NET_OUTPUTS
from nmcdist.errors import BundleError
from nmcdist.geometry.elementary import exp
from nmcdist.geometry.frames import radial_frames
from nmcdist.jit import kernel
from nmcdist.models.quantiles import normal_quantile
from nmcdist.threads import thread_map

_NOISE_CUT = 2.5  # standard deviations; bounded half-axes make the window bounded
_BELOW_CUT = 0.0062096653257761333  # share of the normal law below the cut
BLOCK_ROWS = 4096  # seeds per block of work


class MarkerLaw(Protocol):
    """The interface of a marker law.

    Attributes
    ----------
    neighbours : int
        Number of nearest seeds on which the markers of a seed depend.
    uniforms : int
        Random numbers per seed; the last one is for gamma.
    lowest_diagonal, largest_offset_nm2 : float
        Bounds of the entries of D and of r.
    """

    @property
    def neighbours(self) -> int: ...  # noqa: D102
    @property
    def uniforms(self) -> int: ...  # noqa: D102
    @property
    def lowest_diagonal(self) -> float: ...  # noqa: D102
    @property
    def largest_offset_nm2(self) -> float: ...  # noqa: D102

    def markers(
        self, seeds_nm: np.ndarray, neighbours: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return D (m, 3) with the radial entry first, r in nm^2 (m,) and gamma in [0, pi) (m,) of the first m seeds.

        Parameters
        ----------
        seeds_nm : ndarray of float64, shape (n, 3)
            Positions from the particle's centre.
        neighbours : ndarray of int, shape (m, `neighbours`)
            Rows of the nearest seeds, the nearest first.
        uniforms : ndarray of float64, shape (n, `uniforms`)
            Random numbers of each seed in [0, 1).
        """
        ...


def marker_law(bundle: Bundle) -> MarkerLaw:
    """Return the marker law of a bundle.

    Raises
    ------
    BundleError
        If the bundle has no marker law, or lacks its arrays.
    """
    parameters = bundle.parameters
    if isinstance(parameters, RadialParameters):
        return RadialMarkers(parameters)
    if not isinstance(parameters, NetParameters):
        raise BundleError(
            f"bundle {bundle.name!r}: has no marker law (model {bundle.model!r}), "
            "expected model 'particle-radial' or 'particle-net'"
        )
    if not bundle.arrays:
        raise BundleError(f"bundle {bundle.name!r}: lacks its arrays, expected {sorted(bundle.array_records)}")
    layers = len(bundle.arrays) // 2
    weights = tuple(np.asarray(bundle.arrays[f"weight_{k}"]) for k in range(layers))
    biases = tuple(np.asarray(bundle.arrays[f"bias_{k}"]) for k in range(layers))
    return MarkerNet(parameters, weights, biases)


@dataclass(frozen=True)
class RadialMarkers:
    """An explicit law: half-axes by distance from the centre, with noise in half-axes and offset."""

    parameters: RadialParameters
    neighbours: int = 0
    uniforms: int = 5

    @property
    def lowest_diagonal(self) -> float:
        """Lower bound of the entries of D."""
        p = self.parameters
        longest = max(
            p.radial_scale_inner, p.radial_scale_outer, p.tangential_scale_inner, p.tangential_scale_outer
        )  # fmt: skip
        longest *= exp(_NOISE_CUT * p.scale_noise)
        return float(1.0 / (longest * longest))

    @property
    def largest_offset_nm2(self) -> float:
        """Upper bound of r."""
        return self.parameters.offset_range_nm2

    def markers(
        self, seeds_nm: np.ndarray, neighbours: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return D, r and gamma: D = 1 / a^2, where a is a(rho) times independent log-normal noise per axis."""
        p = self.parameters
        uniforms = uniforms[: len(neighbours)]
        inner = np.array([p.radial_scale_inner, p.tangential_scale_inner, p.tangential_scale_inner])
        outer = np.array([p.radial_scale_outer, p.tangential_scale_outer, p.tangential_scale_outer])
        diagonals = np.empty((len(neighbours), 3))
        _fill_diagonals(seeds_nm, uniforms, inner, outer, p.scale_transition_nm, p.scale_noise, diagonals)
        sizes = uniforms[:, 3] if p.offset_large_share is None else uniforms[:, 3] < p.offset_large_share
        return diagonals, p.offset_range_nm2 * sizes, math.pi * uniforms[:, 4]


@dataclass(frozen=True)
class MarkerNet:
    """Algorithm 1: a fully connected net computes D and r from the nearest seeds in the grain's frame.

    There are optional inputs: the distance |s| from the centre, without which the law cannot depend on it, and then
    the grain's own two noises, without which grains with the same neighbours are equal. Layer k computes `weights[k]`
    (out, in) times its input plus `biases[k]` (out,), in float32.
    """

    parameters: NetParameters
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    neighbours: int = NET_NEIGHBOURS
    uniforms: int = 3

    @property
    def lowest_diagonal(self) -> float:
        """Lower bound of the entries of D."""
        return self.parameters.diagonal_low

    @property
    def largest_offset_nm2(self) -> float:
        """Upper bound of r."""
        return self.parameters.offset_high * (self.parameters.length_unit_nm * self.parameters.length_unit_nm)

    def markers(
        self, seeds_nm: np.ndarray, neighbours: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return D, r and gamma of Algorithm 1."""
        p, count = self.parameters, len(neighbours)
        gammas = math.pi * uniforms[:count, 2]
        noise = uniforms[:, :2].astype(np.float32)
        outputs = np.empty((count, NET_OUTPUTS))
        low = np.array([p.diagonal_low] * 3 + [p.offset_low])
        high = np.array([p.diagonal_high] * 3 + [p.offset_high])
        seeds_nm = np.ascontiguousarray(seeds_nm, dtype=np.float64)

        def fill(first: int) -> None:
            rows = slice(first, min(first + BLOCK_ROWS, count))
            frames = radial_frames(seeds_nm[rows], gammas[rows])
            _run_net(
                seeds_nm, frames, neighbours[rows], noise, 1.0 / p.length_unit_nm, first, *self._packed, low, high,
                outputs[rows],
            )  # fmt: skip

        in_blocks(fill, count)
        return outputs[:, :3], outputs[:, 3] * (p.length_unit_nm * p.length_unit_nm), gammas

    @cached_property
    def _packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Widths of the layers, and one array with the biases and weights (inputs first) of each layer."""
        widths = [self.weights[0].shape[1], *(len(weight) for weight in self.weights)]
        parts = [part for w, b in zip(self.weights, self.biases, strict=True) for part in (b, w.T.ravel())]
        return np.array(widths), np.concatenate(parts).astype(np.float32)


def in_blocks(function: Any, rows: int) -> None:
    """Call a function with the first row of each block of work, on threads if there are several blocks."""
    firsts = range(0, rows, BLOCK_ROWS)
    if len(firsts) == 1:
        function(0)
    else:
        thread_map(function, firsts)


@kernel
def _fill_diagonals(
    seeds: np.ndarray, uniforms: np.ndarray, inner: np.ndarray, outer: np.ndarray, transition: float, sigma: float,
    diagonals: np.ndarray,
) -> None:  # fmt: skip
    for i in range(len(diagonals)):
        rho2 = seeds[i, 0] * seeds[i, 0] + seeds[i, 1] * seeds[i, 1] + seeds[i, 2] * seeds[i, 2]
        share = exp(-rho2 / (transition * transition))
        for k in range(3):
            noise = normal_quantile((1.0 - 2.0 * _BELOW_CUT) * (uniforms[i, k] - 0.5))
            half_axis = (outer[k] + (inner[k] - outer[k]) * share) * exp(sigma * noise)
            diagonals[i, k] = 1.0 / (half_axis * half_axis)


@kernel
def _run_net(
    seeds: np.ndarray, frames: np.ndarray, neighbours: np.ndarray, noise: np.ndarray, inverse_unit: float, first: int,
    widths: np.ndarray, packed: np.ndarray, low: np.ndarray, high: np.ndarray, outputs: np.ndarray,
) -> None:  # fmt: skip
    """Run the net; sums over the inputs are sequential, for all outputs of a layer in parallel, in a fixed order."""
    most = widths[0]
    for width in widths:
        most = max(most, width)
    here, there = np.empty(most, np.float32), np.empty(most, np.float32)
    for i in range(len(outputs)):
        s0, s1, s2 = seeds[first + i, 0], seeds[first + i, 1], seeds[first + i, 2]
        n = 0
        for k in range(neighbours.shape[1]):
            j = neighbours[i, k]
            d0, d1, d2 = seeds[j, 0] - s0, seeds[j, 1] - s1, seeds[j, 2] - s2
            for a in range(3):
                turned = frames[i, a, 0] * d0 + frames[i, a, 1] * d1 + frames[i, a, 2] * d2
                here[n] = np.float32(turned * inverse_unit)
                n += 1
            here[n], here[n + 1] = noise[j, 0], noise[j, 1]
            n += 2
        more = widths[0] - n
        if more % 2 == 1:
            here[n] = np.float32(math.sqrt(s0 * s0 + s1 * s1 + s2 * s2) * inverse_unit)
            n += 1
        if more >= 2:
            here[n], here[n + 1] = noise[first + i, 0], noise[first + i, 1]
        place = 0
        for layer in range(1, len(widths)):
            width, wide = widths[layer - 1], widths[layer]
            for o in range(wide):
                there[o] = packed[place + o]
            place += wide
            for k in range(width):
                x = here[k]
                weights = packed[place : place + wide]
                for o in range(wide):
                    there[o] += x * weights[o]
                place += wide
            if layer < len(widths) - 1:
                for o in range(wide):
                    there[o] = max(there[o], np.float32(0.0))
            here, there = there, here
        for o in range(outputs.shape[1]):
            outputs[i, o] = low[o] + (high[o] - low[o]) / (1.0 + exp(-np.float64(here[o])))
