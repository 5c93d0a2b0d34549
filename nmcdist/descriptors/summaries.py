"""Statistics of many particles and grains, summarised per task and merged without gathering the values.

A summary holds only counts and exact integer sums. Merging adds integers, so the statistics of a run are the same to
the last bit for any order of the particles and any division into parts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import ceil, frexp
from typing import Any, Self, TypeVar

import numpy as np

from nmcdist.errors import InputError
from nmcdist.jit import Int, kernel

__all__ = [
    "GRAIN_EDGES",
    "PARTICLE_EDGES",
    "RADIUS_EDGES_NM",
    "SECTION_EDGES",
    "ColumnSummary",
    "Histogram",
    "Moments",
    "linear_edges",
    "log_edges",
    "merge_all",
    "summarize",
]

K = TypeVar("K")

# Sums are integers in units of 2^-128, in words of 32 bits: enough for squares of anything below 2^127.
UNIT_BITS = 128
WORDS = 12
LARGEST = 2.0**127
BLOCK = 1 << 24  # values after which words are carried, long before an int64 overflows


@dataclass(frozen=True)
class Moments:
    """Count, extremes, mean and variance of values in k groups, mergeable in any order with the same bits.

    Sums of values and of squares are exact down to 2^-128.

    Attributes
    ----------
    count, missing : ndarray of int64, shape (k,)
        Numbers of values and of NaN.
    minimum, maximum : ndarray of float64, shape (k,)
        Infinite where there are no values.
    sums : ndarray of int64, shape (k, 2, 12)
        Sums of values and of squares as words of 32 bits, lowest first; the highest word has the sign.
    """

    count: np.ndarray
    missing: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    sums: np.ndarray

    @classmethod
    def of(cls, values: Any, group: Any = None, groups: int = 1) -> Self:
        """Return the moments of values in the groups 0 to groups - 1, given by `group`; -1 for no group.

        Raises
        ------
        InputError
            If a value is 2^127 or more in size, or `group` does not give a group for each value.
        """
        values = _check_values("values", values)
        where = np.zeros(len(values), np.int64) if group is None else np.asarray(group, np.int64).ravel()
        if where.shape != values.shape:
            raise InputError(f"group: found {where.size} numbers, expected one for each of {values.size} values")
        if len(where) and not -1 <= where.min() <= where.max() < groups:
            raise InputError(f"group: found {where.min()} to {where.max()}, expected -1 to {groups - 1}")
        new = cls.empty(groups)
        for k in range(0, len(values), BLOCK):
            part = slice(k, k + BLOCK)
            _add_values(values[part], where[part], new.count, new.missing, new.minimum, new.maximum, new.sums)
            _carry(new.sums)
        return new

    @classmethod
    def empty(cls, groups: int = 1) -> Self:
        """Return the moments of nothing."""
        zeros, sums = np.zeros(groups, np.int64), np.zeros((groups, 2, WORDS), np.int64)
        return cls(zeros, zeros.copy(), np.full(groups, np.inf), np.full(groups, -np.inf), sums)

    def merge(self, other: Self) -> Self:
        """Return the moments of both sets of values together."""
        if self.sums.shape != other.sums.shape:
            raise InputError(f"moments: found {len(other.count)} groups, expected {len(self.count)}")
        sums = self.sums + other.sums
        _carry(sums)
        low, high = np.minimum(self.minimum, other.minimum), np.maximum(self.maximum, other.maximum)
        return type(self)(self.count + other.count, self.missing + other.missing, low, high, sums)

    @property
    def mean(self) -> np.ndarray:
        """Mean of each group, correctly rounded; NaN without values."""
        return np.array([float(Fraction(s, n << UNIT_BITS)) if n else np.nan for n, s, _ in self._totals()])

    @property
    def variance(self) -> np.ndarray:
        """Sample variance (n - 1) of each group, correctly rounded; NaN below two values."""
        return np.array([
            float(Fraction((n * s2 << UNIT_BITS) - s * s, n * (n - 1) << 2 * UNIT_BITS)) if n > 1 else np.nan
            for n, s, s2 in self._totals()
        ])  # fmt: skip

    @property
    def sd(self) -> np.ndarray:
        """Sample standard deviation of each group."""
        return np.asarray(np.sqrt(self.variance))

    def _totals(self) -> Iterable[tuple[int, int, int]]:
        for n, (first, second) in zip(self.count.tolist(), self.sums.tolist(), strict=True):
            yield n, _integer(first), _integer(second)


@dataclass(frozen=True)
class Histogram:
    """Counts of values in fixed bins, below them and above them.

    Attributes
    ----------
    edges : ndarray of float64, shape (k + 1,)
        Ascending. A bin includes its lower edge; the last bin also its upper edge.
    count : ndarray of int64, shape (k,)
    below, above : ndarray of int64, shape ()
    """

    edges: np.ndarray
    count: np.ndarray
    below: np.ndarray
    above: np.ndarray

    @classmethod
    def of(cls, values: Any, edges: np.ndarray) -> Self:
        """Return the histogram of values, without NaN."""
        edges = check_edges(edges)
        counts = _count_bins(_check_values("values", values), edges)
        return cls(edges, counts[1:-1].copy(), counts[0].copy(), counts[-1].copy())

    def merge(self, other: Self) -> Self:
        """Return the histogram of both sets of values together."""
        if not np.array_equal(self.edges, other.edges):
            raise InputError("histogram: found other bins, expected the same edges in all that are merged")
        return type(self)(self.edges, self.count + other.count, self.below + other.below, self.above + other.above)

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.count.sum() + self.below + self.above)

    def quantile_bounds(self, share: float) -> tuple[float, float]:
        """Return the edges of the bin of a quantile, the smallest value that `share` of all values do not exceed.

        An edge is infinite if the quantile lies outside the bins on that side; both are NaN without values.
        """
        if not 0 <= share <= 1:
            raise InputError(f"share: found {share}, expected a number from 0 to 1")
        if self.total == 0:
            return np.nan, np.nan
        up_to = np.cumsum([self.below, *self.count, self.above])
        k = int(np.searchsorted(up_to, max(1, ceil(Fraction(share) * self.total))))
        ends = np.array([-np.inf, *self.edges, np.inf])
        return float(ends[k]), float(ends[k + 1])

    def quantile(self, share: float) -> float:
        """Return the middle of a quantile's bin, which is at most half a bin from the quantile.

        For a quantile outside the bins, return the outer edge.
        """
        low, high = np.clip(self.quantile_bounds(share), self.edges[0], self.edges[-1])
        return float((low + high) / 2)


@dataclass(frozen=True)
class ColumnSummary:
    """The summary of a column: its moments, its histogram and its moments by radius.

    Attributes
    ----------
    moments : Moments
        One group.
    histogram : Histogram
    profile_edges : ndarray of float64, shape (r + 1,)
        Radii between the groups of the profile; a bin includes its lower radius, the last one also its upper.
    profile : Moments
        r groups; values without a radius, or with one outside the edges, are in none.
    """

    moments: Moments
    histogram: Histogram
    profile_edges: np.ndarray
    profile: Moments

    @classmethod
    def of(
        cls, values: Any, edges: np.ndarray, radius_nm: Any = None, radius_edges_nm: np.ndarray | None = None
    ) -> Self:
        """Return the summary of a column; its profile is empty without radii."""
        radius_edges_nm = RADIUS_EDGES_NM if radius_edges_nm is None else check_edges(radius_edges_nm)
        bins = None if radius_nm is None else _radial_bins(radius_nm, radius_edges_nm)
        return cls._of_bins(values, edges, bins, radius_edges_nm)

    @classmethod
    def _of_bins(cls, values: Any, edges: np.ndarray, bins: np.ndarray | None, radius_edges_nm: np.ndarray) -> Self:
        groups = len(radius_edges_nm) - 1
        if bins is not None and bins.size != np.size(values):
            raise InputError(f"radius_nm: found {bins.size} radii, expected one for each of {np.size(values)} values")
        profile = Moments.empty(groups) if bins is None else Moments.of(values, bins, groups)
        return cls(Moments.of(values), Histogram.of(values, edges), radius_edges_nm, profile)

    def merge(self, other: Self) -> Self:
        """Return the summary of both columns together."""
        if not np.array_equal(self.profile_edges, other.profile_edges):
            raise InputError("profile: found other radii, expected the same edges in all that are merged")
        moments, histogram = self.moments.merge(other.moments), self.histogram.merge(other.histogram)
        return type(self)(moments, histogram, self.profile_edges, self.profile.merge(other.profile))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the whole content of the summary as named arrays of int64 and float64."""
        parts = {"moments": self.moments, "histogram": self.histogram, "profile": self.profile}
        arrays = {f"{part}/{name}": array for part, of in parts.items() for name, array in vars(of).items()}
        return {**arrays, "profile/edges": self.profile_edges}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """Return the summary from the result of :meth:`to_arrays`; lists are accepted as arrays.

        Raises
        ------
        InputError
            If an array is missing.
        """

        def read(kind: type[Moments] | type[Histogram], part: str) -> dict[str, np.ndarray]:
            names = list(kind.__dataclass_fields__)
            if missing := [f"{part}/{name}" for name in names if f"{part}/{name}" not in arrays]:
                raise InputError(f"arrays: found no {missing[0]}, expected the arrays of a summary")
            floats = {"edges", "minimum", "maximum"}
            return {n: np.asarray(arrays[f"{part}/{n}"], np.float64 if n in floats else np.int64) for n in names}

        if "profile/edges" not in arrays:
            raise InputError("arrays: found no profile/edges, expected the arrays of a summary")
        edges = np.asarray(arrays["profile/edges"], np.float64)
        moments, histogram = Moments(**read(Moments, "moments")), Histogram(**read(Histogram, "histogram"))
        return cls(moments, histogram, edges, Moments(**read(Moments, "profile")))


def linear_edges(low: float, high: float, bins: int) -> np.ndarray:
    """Return the edges of equal bins."""
    return _rounded(low + (high - low) * np.arange(bins + 1) / bins)


def log_edges(low: float, high: float, bins_a_decade: int) -> np.ndarray:
    """Return the edges of bins of equal ratio, over whole decades."""
    decades = round(np.log10(high / low))
    return _rounded(low * 10.0 ** (np.arange(decades * bins_a_decade + 1) / bins_a_decade))


def _radial_bins(radius_nm: Any, edges: np.ndarray) -> np.ndarray:
    """Return the bin of each radius, -1 outside the edges."""
    bins = _bin_of(_check_values("radius_nm", radius_nm), edges) - 1
    bins[bins == len(edges) - 1] = -1
    return bins


def _rounded(edges: np.ndarray) -> np.ndarray:
    """Return edges rounded to twelve digits, so they do not depend on the library that computes the powers."""
    return np.array([float(f"{edge:.11e}") for edge in edges])


_SHARE = linear_edges(0, 1, 50)
_ANGLE = linear_edges(0, 1.5708, 45)  # a little above pi / 2
_LENGTH = log_edges(10, 1e5, 20)
_AREA = log_edges(1e2, 1e10, 10)
_VOLUME = log_edges(1e3, 1e15, 10)
_COUNT = linear_edges(-0.5, 80.5, 81)

RADIUS_EDGES_NM = linear_edges(0, 20_000, 80)
GRAIN_EDGES = {
    "volume_nm3": _VOLUME,
    "equivalent_diameter_nm": _LENGTH,
    "radius_nm": RADIUS_EDGES_NM,
    "elongation": _SHARE,
    "flatness": _SHARE,
    "angle_to_radius": _ANGLE,
    "neighbours": _COUNT,
    "boundary_area_nm2": _AREA,
    "surface_area_nm2": _AREA,
    "boundary_fraction": _SHARE,
    "is_surface": linear_edges(-0.5, 1.5, 2),
    "pieces": _COUNT,
    "largest_piece_share": _SHARE,
}
SECTION_EDGES = {
    "area_nm2": _AREA,
    "equivalent_diameter_nm": _LENGTH,
    "radius_nm": RADIUS_EDGES_NM,
    "elongation": _SHARE,
    "angle_to_radius": _ANGLE,
    "chord_length_nm": _LENGTH,
}
PARTICLE_EDGES = {
    "d_max_nm": log_edges(100, 1e6, 20),
    "compactness": _SHARE,
    "aspect_ratio": _SHARE,
    "sphericity": _SHARE,
    "volume_nm3": log_edges(1e6, 1e18, 10),
    "area_nm2": log_edges(1e4, 1e12, 10),
    "grains": log_edges(1, 1e7, 10),
    "grain_boundary_per_volume": log_edges(1e-5, 1, 20),
    "surface_grain_share": _SHARE,
    "neighbours_mean": linear_edges(0, 40, 80),
    "split_grains": log_edges(1, 1e7, 10),
}


def summarize(
    columns: Mapping[str, Any],
    edges: Mapping[str, np.ndarray],
    radius_nm: Any = None,
    radius_edges_nm: np.ndarray = RADIUS_EDGES_NM,
) -> dict[str, ColumnSummary]:
    """Return the summaries of the columns that have bins.

    Parameters
    ----------
    columns : mapping of str to array of shape (n,)
        A dataset is accepted too.
    edges : mapping of str to ndarray
        Bins of each column, for example :data:`GRAIN_EDGES`.
    radius_nm : array of shape (n,), optional
        Distances from the centre, for profiles.
    radius_edges_nm : ndarray, optional
        Bins of the profiles.

    Raises
    ------
    InputError
        If a column holds anything but numbers below 2^127 in size and NaN.
    """
    radius_edges_nm = check_edges(radius_edges_nm)
    bins = None if radius_nm is None else _radial_bins(radius_nm, radius_edges_nm)
    names = [name for name in edges if name in columns]
    return {name: ColumnSummary._of_bins(columns[name], edges[name], bins, radius_edges_nm) for name in names}


def merge_all(summaries: Iterable[Mapping[K, ColumnSummary]]) -> dict[K, ColumnSummary]:
    """Return the merged summaries of all tables; a column may be missing in some of them."""

    def merge(a: dict[K, ColumnSummary], b: Mapping[K, ColumnSummary]) -> dict[K, ColumnSummary]:
        return a | {name: a[name].merge(of) if name in a else of for name, of in b.items()}

    return reduce(merge, summaries, {})


def check_edges(edges: Any) -> np.ndarray:
    """Return bin edges as an array; refuse fewer than two, or edges that do not ascend."""
    found = np.asarray(edges, dtype=np.float64)
    if found.ndim != 1 or len(found) < 2 or not (np.diff(found) > 0).all():
        raise InputError(f"edges: found {found.tolist()}, expected two or more ascending numbers")
    return found


def _check_values(name: str, values: Any) -> np.ndarray:
    given = np.asarray(values)
    if given.dtype.kind not in "biuf":
        raise InputError(f"{name}: found dtype {given.dtype}, expected numbers")
    found = np.ascontiguousarray(given, dtype=np.float64).ravel()
    if len(found) and not (large := np.fmax.reduce(np.abs(found))) < LARGEST and not np.isnan(large):
        raise InputError(f"{name}: found {large}, expected numbers below 2^127")
    return found


def _integer(words: list[int]) -> int:
    return sum(word << 32 * k for k, word in enumerate(words))


@kernel
def _add_values(
    values: np.ndarray, group: np.ndarray, count: np.ndarray, missing: np.ndarray, minimum: np.ndarray,
    maximum: np.ndarray, sums: np.ndarray,
) -> None:  # fmt: skip
    for k in range(len(values)):
        value, g = values[k] + 0.0, group[k]  # no -0: whether an extreme keeps its sign would depend on the order
        if g < 0:
            continue
        if np.isnan(value):
            missing[g] += 1
            continue
        count[g] += 1
        minimum[g] = min(minimum[g], value)
        maximum[g] = max(maximum[g], value)
        part, exponent = frexp(abs(value))
        mantissa = np.uint64(part * 2.0**53)
        exponent -= 53
        _add_integer(sums[g, 0], mantissa, exponent, value < 0)
        # The square as three products that fit into 64 bits.
        high, low = mantissa >> np.uint64(32), mantissa & np.uint64(0xFFFFFFFF)
        _add_integer(sums[g, 1], low * low, 2 * exponent, False)
        _add_integer(sums[g, 1], high * low, 2 * exponent + 33, False)
        _add_integer(sums[g, 1], high * high, 2 * exponent + 64, False)


@kernel
def _add_integer(words: np.ndarray, value: Int, exponent: int, negative: bool) -> None:
    """Add value times 2^exponent to words; digits below their unit are cut off, value by value."""
    shift = exponent + UNIT_BITS
    if shift < 0:
        value = value >> np.uint64(-shift) if shift > -64 else np.uint64(0)
        shift = 0
    word, offset = shift >> 5, np.uint64(shift & 31)
    mask = np.uint64(0xFFFFFFFF)
    for k in range(3):
        if k == 0:
            part = (value << offset) & mask
        elif k == 1:
            part = (value >> (np.uint64(32) - offset)) & mask
        else:
            part = (value >> (np.uint64(63) - offset)) >> np.uint64(1)
        if part != 0:
            words[word + k] += -np.int64(part) if negative else np.int64(part)


@kernel
def _carry(sums: np.ndarray) -> None:
    """Bring every word but the highest to 0 ... 2^32 - 1, so that equal sums have equal words."""
    for g in range(sums.shape[0]):
        for m in range(2):
            for k in range(WORDS - 1):
                over = sums[g, m, k] >> 32
                sums[g, m, k] -= over << 32
                sums[g, m, k + 1] += over


@kernel
def _bin_of(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bin of each value: 0 below, 1 to k inside, k + 1 above or NaN."""
    bins = np.empty(len(values), np.int64)
    last = edges[-1]
    for k in range(len(values)):
        bins[k] = len(edges) - 1 if values[k] == last else np.searchsorted(edges, values[k], side="right")
    return bins


@kernel
def _count_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.zeros(len(edges) + 1, np.int64)
    where = _bin_of(values, edges)
    for k in range(len(values)):
        if not np.isnan(values[k]):
            counts[where[k]] += 1
    return counts
