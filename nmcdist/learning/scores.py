"""How good predictions are, beside what their noise allows."""

import math
from typing import Any

import numpy as np

from nmcdist.learning.intervals import coverage


def r2(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of the variance that predictions explain; NaN if there is none."""
    total = ((true - true.mean()) ** 2).sum() if len(true) else 0.0
    return float(1 - ((true - predicted) ** 2).sum() / total) if total > 0 else math.nan


def within_r2(true: np.ndarray, predicted: np.ndarray, groups: np.ndarray) -> float:
    """Return the share of the variance between the rows of one group that predictions explain; NaN if none has two."""
    group = np.unique(groups, return_inverse=True)[1]
    count = np.bincount(group)

    def away(values: np.ndarray) -> np.ndarray:
        return values - (np.bincount(group, values) / count)[group]

    several = count[group] > 1
    total = (away(true)[several] ** 2).sum()
    return float(1 - ((away(true) - away(predicted))[several] ** 2).sum() / total) if total > 0 else math.nan


def scores(
    true: np.ndarray, predicted: np.ndarray, learned: tuple[np.ndarray, np.ndarray], groups: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the scores of predictions.

    Parameters
    ----------
    true, predicted : ndarray, shape (n,)
        In physical units. Values that are unknown or, if they are learned as logarithms, 0 do not count.
    learned : tuple of ndarray
        The same as they are learned.
    groups : ndarray of int, shape (n,)
    bounds : tuple of ndarray, optional
        Ends of the intervals.
    """
    known = np.isfinite(learned[0]) & np.isfinite(learned[1])
    own, theirs = (values[known] for values in learned)
    nonzero = known & (true != 0)
    relative = np.abs(predicted[nonzero] / true[nonzero] - 1)
    return {
        "count": int(known.sum()),
        "r2": r2(own, theirs),
        "within_r2": within_r2(own, theirs, groups[known]),
        "rms": float(np.sqrt(((own - theirs) ** 2).mean())) if known.any() else math.nan,
        "median_relative_error": float(np.median(relative)) if relative.size else math.nan,
        "coverage": math.nan if bounds is None else coverage(np.where(known, true, np.nan), *bounds),
    }
