"""Intervals from a few independent draws: Student's t for means, a jackknife for ratios, ranks for medians.

An interval needs three draws, because two contain almost no information about their scatter. Equal draws, for example
of a quantity that changes in steps, contain none and give no interval.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, t

from nmcdist.descriptors.summaries import Histogram

LEVEL = 0.95
FEWEST = 3
PERCENT = f"{100 * LEVEL:g} %"


@dataclass(frozen=True)
class Estimate:
    """A value with its interval at the confidence `LEVEL`, None if the draws do not give one.

    Attributes
    ----------
    value : float
        NaN without any draw.
    margin : float or None
        Half the width of the interval.
    count : int
        Number of independent draws that determine the value.
    of : int
        Number of all draws; more than `count` if some have no finite value.
    """

    value: float
    margin: float | None
    count: int
    of: int

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Ends of the interval."""
        return None if self.margin is None else (self.value - self.margin, self.value + self.margin)

    @property
    def number(self) -> str:
        """The number of draws, as text."""
        return f"{self.count}" if self.count == self.of else f"{self.count} of {self.of}"


def t_factor(freedom: int) -> float:
    """Return the half-width of the interval in standard errors, by Student's t."""
    return float(t.ppf((1 + LEVEL) / 2, freedom))


def mean_of(values: np.ndarray) -> Estimate:
    """Return the mean of the finite values of independent draws."""
    known = values[np.isfinite(values)]
    if not known.size:
        return Estimate(np.nan, None, 0, len(values))
    mean = float(known.mean())
    sd = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    return Estimate(mean, _margin(sd / np.sqrt(len(known)), len(known), mean), len(known), len(values))


def mean_from_moments(moments: dict[str, float]) -> Estimate:
    """Return the mean of independent draws from their count, mean and standard deviation."""
    count, missing = int(moments["count"]), int(moments["missing"])
    if not count:
        return Estimate(np.nan, None, 0, missing)
    error = moments["sd"] / np.sqrt(count) if count > 1 else 0.0
    return Estimate(moments["mean"], _margin(error, count, moments["mean"]), count, count + missing)


def jackknife(estimate: Callable[[np.ndarray], np.ndarray], draws: int, parameters: int = 1) -> np.ndarray:
    """Return margins of estimated parameters, by leaving out one draw at a time; NaN if there are none.

    Parameters
    ----------
    estimate : callable
        Returns the parameters, as an array, from the draws selected by a boolean array.
    draws : int
        Number of independent draws; at least two more than parameters are needed.
    parameters : int
        Number of parameters that are estimated together, which reduces the degrees of freedom.
    """
    freedom = draws - parameters
    if freedom < FEWEST - 1:
        return np.full(parameters, np.nan)
    everything = np.ones(draws, dtype=bool)
    left = []
    for k in range(draws):
        everything[k] = False
        left.append(estimate(everything))
        everything[k] = True
    spread = np.array(left) - np.mean(left, axis=0)
    margins = t_factor(freedom) * np.sqrt((draws - 1) / draws * (spread**2).sum(axis=0))
    return np.where(margins > 0, margins, np.nan)


def ratio_of(sums: np.ndarray, counts: np.ndarray) -> Estimate:
    """Return the mean over all members of independent groups, from the sum and the number of members per group.

    Members of a group, such as the grains of a particle, need not be independent; only the groups must be.
    """
    total = counts.sum()
    if not total:
        return Estimate(np.nan, None, 0, len(counts))
    margin = np.nan
    if total > counts.max():
        margin = jackknife(lambda kept: np.array([sums[kept].sum() / counts[kept].sum()]), len(counts))[0]
    value = float(sums.sum() / total)
    known = np.isfinite(margin) and margin > 1e-12 * abs(value)
    return Estimate(value, float(margin) if known else None, len(counts), len(counts))


def median_bounds(histogram: Histogram) -> tuple[float, float] | None:
    """Return an interval of the median of independent draws by ranks, for any law; None with fewer than six."""
    count = histogram.total
    below = int(binom.ppf((1 - LEVEL) / 2, count, 0.5)) if count else 0
    # The number of draws below the median is binomial: the interval from rank k to n + 1 - k misses the median if
    # fewer than k draws are on one side.
    if below and binom.cdf(below - 1, count, 0.5) > (1 - LEVEL) / 2:
        below -= 1
    if below < 1:
        return None
    # Half a rank below each share, so that rounding up gives the rank for any last digit.
    low, high = ((rank - 0.5) / count for rank in (below, count + 1 - below))
    return histogram.quantile(low), histogram.quantile(high)


def _margin(error: float, count: int, mean: float) -> float | None:
    if count < FEWEST or not error > 1e-12 * abs(mean):
        return None
    return t_factor(count - 1) * error
