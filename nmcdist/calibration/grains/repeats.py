"""How much a calibration depends on its random numbers: the distances of trainings that differ in their seeds only."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from nmcdist.calibration.grains.validation import Distance

_CONFIDENCE = 0.95


def spread(trainings: Sequence[Mapping[str, Mapping[str, Distance]]]) -> list[dict[str, Any]]:
    """Return the distances of several trainings, with an interval of their mean.

    Parameters
    ----------
    trainings : sequence of dict
        Of each training the distances by dimension ("2D", "3D") and descriptor.

    Returns
    -------
    list of dict
        Rows of dimension, descriptor, ks (a list), mean, and error: half the width of the 95 % interval of the mean by
        Student's law; None with two trainings or fewer.
    """
    rows = []
    for dimension, descriptors in trainings[0].items():
        for name in descriptors:
            values = [of[dimension][name].ks for of in trainings]
            rows.append({
                "dimension": dimension, "descriptor": name, "ks": values, "mean": float(np.mean(values)),
                "error": _half_width(values),
            })  # fmt: skip
    return rows


def _half_width(values: Sequence[float]) -> float | None:
    n = len(values)
    if n <= 2:
        return None
    quantile = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, n - 1))
    return quantile * float(np.std(values, ddof=1)) / math.sqrt(n)
