"""The dependence of a calibration on random numbers: distances of trainings that differ only in their seeds."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from nmcdist.calibration.grains.distances import Distance
from nmcdist.calibration.grains.results import Dimension, RepeatedDistance

_CONFIDENCE = 0.95


def spread(trainings: Sequence[Mapping[Dimension, Mapping[str, Distance]]]) -> list[RepeatedDistance]:
    """Return the distances of several trainings, with intervals of their means.

    Parameters
    ----------
    trainings : sequence of dict
        Per training, the distances by dimension ("2D", "3D") and descriptor.

    Returns
    -------
    list of RepeatedDistance
    """
    rows = []
    for dimension, descriptors in trainings[0].items():
        for name in descriptors:
            values = [of[dimension][name].ks for of in trainings]
            mean, error = float(np.mean(values)), _half_width(values)
            rows.append(RepeatedDistance(dimension=dimension, descriptor=name, ks=values, mean=mean, error=error))
    return rows


def _half_width(values: Sequence[float]) -> float | None:
    n = len(values)
    if n <= 2:
        return None
    quantile = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, n - 1))
    return quantile * float(np.std(values, ddof=1)) / math.sqrt(n)
