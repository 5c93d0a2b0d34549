"""Sums over a volume or over its blocks, from which volumes, surfaces, coverage and interfaces follow.

The sums of blocks add up to those of the volume, so a volume of any size is measured block by block.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nmcdist.descriptors import two_point
from nmcdist.descriptors.cba_quantities import PhaseSums
from nmcdist.descriptors.contacts import triple_cell_counts, triple_length_from_counts
from nmcdist.descriptors.intrinsic import counts_of_block, intrinsic_volumes_from_counts
from nmcdist.geometry.box_lattice import Edges
from nmcdist.measurement.phases import Phases
from nmcdist.threads import thread_map

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Wanted:
    """What is summed: the phases, and the curves and contacts that are wanted.

    Attributes
    ----------
    phases : Phases
    edges : (float, float, float)
        Of a voxel, in nm.
    lags : int or None
        Longest lag in shortest edges; None for no pairs.
    contacts : bool
        Whether interfaces and triple lines are wanted.
    """

    phases: Phases
    edges: Edges
    lags: int | None
    contacts: bool

    def reach(self) -> tuple[int, ...]:
        """Return the voxels around a block, along each axis, that its sums need."""
        return tuple(max(1, math.ceil((self.lags or 0) * min(self.edges) / edge)) for edge in self.edges)


def sums_of(wanted: Wanted, window: np.ndarray, core: Box) -> dict[str, np.ndarray]:
    """Return the sums of a block.

    Parameters
    ----------
    wanted : Wanted
    window : ndarray of uint8
        Codes of the block and of the voxels around it that :meth:`Wanted.reach` asks for, as far as there are any.
    core : tuple of slice
        Position of the block in the window.

    Returns
    -------
    dict of str to ndarray of int64
        "voxels" (phase, 2), "configurations" (phase, 256), "cubes" (), and, if wanted, "pairs" (phase, 2, lag),
        "unions" (pair, 256) and "triples" (triple, 13).
    """
    phases, names = wanted.phases, list(wanted.phases.codes)
    inner = window[core]
    upper = window[tuple(slice(c.start, min(c.stop + 1, n)) for c, n in zip(core, window.shape, strict=True))]
    found = {
        "voxels": np.array([[np.count_nonzero(phases.mask(inner, name)), inner.size] for name in names]),
        "configurations": np.array([counts_of_block(phases.mask(upper, name)) for name in names]),
        "cubes": np.array(math.prod(n - 1 for n in upper.shape)),
    }
    if wanted.lags is not None:
        pairs = [
            two_point.counts_of_pairs(phases.mask(window, name), core, wanted.lags, wanted.edges) for name in names
        ]
        found["pairs"] = np.array(pairs)
    if wanted.contacts:
        unions = thread_map(lambda pair: counts_of_block(phases.mask(upper, *pair)), phases.pairs)
        found["unions"] = np.array(unions, np.int64).reshape(-1, 256)
        found["triples"] = np.array([_triple_cells(phases, upper, each) for each in phases.triples]).reshape(-1, 13)
    return found


def _triple_cells(phases: Phases, window: np.ndarray, names: tuple[str, str, str]) -> np.ndarray:
    table = np.zeros(len(phases.values), np.uint8)
    for number, name in enumerate(names):
        table[list(phases.codes[name])] = 1 << number
    return triple_cell_counts(table[window])


def added(total: Mapping[str, np.ndarray], more: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the sums of two parts together."""
    return {name: total[name] + more[name] for name in more} if total else dict(more)


@dataclass(frozen=True)
class Summed:
    """The sums of a whole image."""

    wanted: Wanted
    sums: Mapping[str, np.ndarray]

    def of_phase(self, name: str) -> PhaseSums:
        """Return the sums of a phase."""
        number = list(self.wanted.phases.codes).index(name)
        (inside, total), pairs = self.sums["voxels"][number], self.sums.get("pairs")
        none = np.zeros((2, 0), np.int64)
        return PhaseSums(
            int(inside), int(total), self.sums["configurations"][number], none if pairs is None else pairs[number],
            self.wanted.edges,
        )  # fmt: skip

    def interface_area(self, pair: tuple[str, str]) -> float:
        """Return the area of an interface per volume, as :func:`nmcdist.descriptors.interface_area`."""
        union = self.sums["unions"][self.wanted.phases.pairs.index(pair)]
        one, two = (self.of_phase(name).densities.surface_area for name in pair)
        return (one + two - intrinsic_volumes_from_counts(union, self.wanted.edges).surface_area) / 2

    def triple_line_length(self, triple: tuple[str, str, str]) -> float:
        """Return the length of triple lines per volume, as :func:`nmcdist.descriptors.triple_line_length`."""
        counts = self.sums["triples"][self.wanted.phases.triples.index(triple)]
        return triple_length_from_counts(counts, int(self.sums["cubes"]), self.wanted.edges)
