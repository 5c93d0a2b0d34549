"""Histograms of columns under a filter: each value is put in its bin once, and a filter only counts bytes."""

from dataclasses import dataclass

import numpy as np

from nmcdist.jit import kernel

MOST_BINS = 200
OTHERS = 255  # the bin of values that are not finite


@dataclass(frozen=True)
class Histogram:
    """The values of a column among the items that a query selects.

    Attributes
    ----------
    name, unit : str
    edges : ndarray of float64, shape (bins + 1,)
        Edges of the bins, which are half-open but for the last, from the least to the largest finite value of the
        whole column, whatever the query.
    counts : ndarray of int64, shape (bins,)
    missing : int
        Selected items whose value is NaN or infinite.
    """

    name: str
    unit: str
    edges: np.ndarray
    counts: np.ndarray
    missing: int


@dataclass(frozen=True)
class Binned:
    """A column as the numbers of its bins.

    Attributes
    ----------
    edges : ndarray of float64
    bins : ndarray of uint8, shape (items,)
    """

    edges: np.ndarray
    bins: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, count: int) -> "Binned":
        """Put the values of a column in `count` bins of one width."""
        low, high = least_and_largest(values)
        if low == high:
            half = max(0.5, 1e-9 * abs(low))
            low, high = low - half, high + half
        with np.errstate(over="ignore", invalid="ignore"):
            edges = np.linspace(low, high, count + 1)
        if not np.isfinite(edges).all():  # their distance is beyond the largest float
            edges = np.linspace(low / 4, high / 4, count + 1) * 4
        bins = np.empty(len(values), np.uint8)
        put_in_bins(values, edges, bins)
        return cls(edges, bins)

    def counts(self, mask: np.ndarray) -> np.ndarray:
        """Return the number of selected items in each bin; in the last place those outside of all bins."""
        found = np.zeros(256, np.int64)
        add_selected(self.bins, mask, found)
        return np.append(found[: len(self.edges) - 1], found[OTHERS])


@kernel
def least_and_largest(values: np.ndarray) -> tuple[float, float]:
    """Return the extremes of the finite values, 0 and 0 if there are none."""
    low, high = np.inf, -np.inf
    for value in values:
        if np.isfinite(value):
            low, high = min(low, value), max(high, value)
    return (low, high) if low <= high else (0.0, 0.0)


@kernel
def put_in_bins(values: np.ndarray, edges: np.ndarray, bins: np.ndarray) -> None:
    """Set the number of the bin of each value: edges[k] <= value < edges[k + 1], and the last edge in the last bin."""
    last = len(edges) - 2
    scale = (last + 1) / (edges[-1] - edges[0])
    for i in range(len(values)):
        if not np.isfinite(values[i]):
            bins[i] = 255
            continue
        guess = (values[i] - edges[0]) * scale
        k = int(guess) if 0.0 <= guess < last else (last if guess >= last else 0)
        while k > 0 and values[i] < edges[k]:
            k -= 1
        while k < last and values[i] >= edges[k + 1]:
            k += 1
        bins[i] = k


@kernel
def add_selected(bins: np.ndarray, mask: np.ndarray, found: np.ndarray) -> None:
    """Add the number of selected items of each bin."""
    for i in range(len(bins)):
        found[bins[i]] += mask[i]
