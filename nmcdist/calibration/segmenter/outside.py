"""How far an image lies from those of the training: the Mahalanobis distance of its statistics."""

import math
from dataclasses import dataclass

import numpy as np

_FOLDS = 10
_SHRINKAGE = 0.01  # of the covariance towards its diagonal
_SHARE = 0.9  # of the windows of the training that lie within the limit; images are larger, and scatter less
_FEWEST = 4


@dataclass(frozen=True, eq=False)
class Reference:
    """The statistics of the windows of a training.

    Attributes
    ----------
    centre : ndarray of float64, shape (k,)
    whitening : ndarray of float64, shape (k, k)
        Makes differences from the centre independent, of variance 1.
    limit : float
        Distance that 10 % of the windows exceed, each judged by the others.
    """

    centre: np.ndarray
    whitening: np.ndarray
    limit: float

    @classmethod
    def of(cls, statistics: np.ndarray) -> "Reference":
        """Return the reference of windows, shape (n, k); NaN where a window has nothing to measure."""
        known = [column[~np.isnan(column)] for column in statistics.T]
        middle = np.array([column.mean() if len(column) else 0.0 for column in known])
        statistics = np.where(np.isnan(statistics), middle, statistics)
        count, found = len(statistics), []
        for fold in range(min(_FOLDS, count // _FEWEST)):
            chosen = np.arange(count) % _FOLDS == fold
            centre, whitening = _fitted(statistics[~chosen])
            found += [distance(row, centre, whitening) for row in statistics[chosen]]
        centre, whitening = _fitted(statistics)
        found = found or [distance(row, centre, whitening) for row in statistics]
        return cls(centre, whitening, float(np.quantile(found, _SHARE)))

    def distance(self, statistics: np.ndarray) -> float:
        """Return how far statistics lie from the centre; unknown ones do not count."""
        return distance(statistics, self.centre, self.whitening)


def distance(statistics: np.ndarray, centre: np.ndarray, whitening: np.ndarray) -> float:
    """Return the length of a whitened difference from a centre."""
    by = np.where(np.isnan(statistics), 0.0, statistics - centre).tolist()
    rows = [math.fsum(w * d for w, d in zip(row, by, strict=True)) for row in whitening.tolist()]
    return math.sqrt(math.fsum(value * value for value in rows))


def _fitted(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre = statistics.mean(axis=0)
    covariance = np.atleast_2d(np.cov(statistics.T))
    own = np.diag(np.maximum(np.diag(covariance), 1e-8))
    mixed = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * own
    return centre, np.linalg.inv(np.linalg.cholesky(mixed + 1e-8 * np.eye(len(centre))))
