"""Whether the form of particles depends on their size: distance correlation (Figure 3) and rank correlation."""

import numpy as np
from scipy.stats import rankdata

_MOST = 1500  # particles in a distance correlation, whose cost grows with their square


def distance_correlations(size: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the empirical distance correlation of one variable with several (Szekely et al. 2007).

    Parameters
    ----------
    size : ndarray of float64, shape (n,)
    others : ndarray of float64, shape (n, k)

    Returns
    -------
    ndarray of float64, shape (k,)
        0 to 1. Of at most 1,500 particles, evenly spread over the given ones. It is positive for independent
        variables too, by an amount that shrinks with their number: compare it with that of shuffled sizes.
    """
    if len(size) > _MOST:
        chosen = np.linspace(0, len(size) - 1, _MOST).round().astype(int)
        size, others = size[chosen], others[chosen]
    own = _centred(size)
    norm = (own * own).mean()
    found = np.zeros(others.shape[1])
    for k in range(others.shape[1]):
        other = _centred(others[:, k])
        product = norm * (other * other).mean()
        found[k] = np.sqrt(max((own * other).mean(), 0.0) / np.sqrt(product)) if product > 0 else 0.0
    return found


def rank_correlations(size: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of one variable with several, shape (k,)."""
    ranks = rankdata(size)
    return np.array([np.corrcoef(ranks, rankdata(column))[0, 1] for column in others.T])


def _centred(values: np.ndarray) -> np.ndarray:
    distances = np.abs(values[:, None] - values[None])
    rows = distances.mean(axis=0)
    return np.asarray(distances - rows - rows[:, None] + rows.mean())
