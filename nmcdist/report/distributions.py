"""Histograms as densities for drawing, on the possible values and with enough values per bin."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nmcdist.descriptors.summaries import Histogram

_ENOUGH = 40  # values per bin on average; below, neighbouring bins are joined
_MOST_JOINED = 5


@dataclass(frozen=True)
class Quantum:
    """The possible values of a column: counts 1, 2, 3 ... of voxels or pixels, converted to the measured quantity.

    Attributes
    ----------
    count : callable
        Converts a value to its count, not rounded.
    value : callable
        The inverse.
    """

    count: Callable[[np.ndarray], np.ndarray]
    value: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def multiples(cls, unit: float) -> "Quantum":
        """Return the multiples of a length, an area or a volume."""
        return cls(lambda value: value / unit, lambda count: count * unit)

    @classmethod
    def diameters(cls, volume: float) -> "Quantum":
        """Return the diameters of balls whose volume is a multiple."""
        factor = np.pi / (6 * volume)
        return cls(lambda value: factor * value**3, lambda count: np.cbrt(count / factor))


def on_values(histogram: Histogram, quantum: Quantum) -> tuple[np.ndarray, np.ndarray]:
    """Return edges and counts, with the edges moved half-way between possible values.

    Fine bins with few possible values look like a comb, and bins without any look like gaps. So a bin is made as wide
    as the range of its values, and an empty bin is joined to the next.
    """
    # An edge equal to a possible value belongs to the bin above it, despite rounding.
    first = np.maximum(np.ceil(quantum.count(histogram.edges) - 1e-9), 1)
    _, starts = np.unique(first[:-1], return_index=True)
    edges = quantum.value(np.append(first[starts], first[-1]) - 0.5)
    counts = np.add.reduceat(histogram.count, starts)
    keep = np.append(np.diff(edges) > 0, True)
    return edges[keep], counts[keep[:-1]]


def joined(edges: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bins, joined up to five at a time if they hold few values."""
    occupied = max(int((counts > 0).sum()), 1)
    group = int(np.clip(np.ceil(_ENOUGH * occupied / max(counts.sum(), 1)), 1, _MOST_JOINED))
    starts = np.arange(0, len(counts), group)
    return np.append(edges[starts], edges[-1]), np.add.reduceat(counts, starts)


def density(edges: np.ndarray, counts: np.ndarray, total: float, *, a_decade: bool = False) -> np.ndarray:
    """Return the share of `total` per unit of the axis, or per decade; zero if there are no values."""
    width = np.diff(np.log10(edges) if a_decade else edges)
    return counts / (width * total) if total > 0 else np.zeros(len(counts))


def range_of(edges: np.ndarray, counts: np.ndarray, share: float = 1e-3) -> tuple[float, float]:
    """Return the edges that enclose all values except a share at either side."""
    total = counts.sum()
    if not total:
        return float(edges[0]), float(edges[-1])
    up_to = np.cumsum(counts) / total
    low = int(np.searchsorted(up_to, share, side="right"))
    high = int(np.searchsorted(up_to, 1 - share))
    return float(edges[low]), float(edges[high + 1])
