"""How labels and probabilities agree with a known truth: counts that add up over boxes, and what they say."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.stored import FULL

UNKNOWN = 255  # of a truth: not compared
_BINS = 10  # of a reliability diagram


def confusion(found: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Return numbers of pixels by true class (rows) and found class (columns).

    Parameters
    ----------
    found, truth : ndarray of int
        Classes from 0; pixels whose truth is 255 are not counted.
    classes : int

    Returns
    -------
    ndarray of int64, shape (classes, classes)
    """
    known = truth != UNKNOWN
    pairs = classes * truth[known].astype(np.int64) + found[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def reliability(shares: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return, for each class and each stored probability, how many pixels have it, and how many of them are right.

    Parameters
    ----------
    shares : ndarray of uint8, shape (classes, ...)
        Probability of each class; 255 is 1.
    truth : ndarray of int, shape (...)
        Classes from 0; pixels whose truth is 255 are not counted.

    Returns
    -------
    ndarray of int64, shape (classes, 256, 2)
    """
    known = truth != UNKNOWN
    true = truth[known]
    return np.stack([
        np.stack([np.bincount(own[known][part], minlength=FULL + 1) for part in (slice(None), true == number)], axis=1)
        for number, own in enumerate(shares)
    ])  # fmt: skip


def scores_of(counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return what a confusion says.

    Parameters
    ----------
    counts : ndarray of int, shape (c, c)
        See :func:`confusion`.
    names : sequence of str
        Of the classes.

    Returns
    -------
    dict
        ``accuracy``: share of pixels whose class is right; ``accuracy_of_first``: whose first class or other is right,
        such as pore and solid; ``iou`` and ``dice``: of each class, None if it is neither true nor found.
    """
    total, both = int(counts.sum()), np.diag(counts)
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    wrong = int(counts[0, 1:].sum() + counts[1:, 0].sum())
    return {
        "pixels": total, "accuracy": float(both.sum() / total), "accuracy_of_first": 1 - wrong / total,
        "iou": {n: float(b / e) if e else None for n, b, e in zip(names, both, either, strict=True)},
        "dice": {n: float(2 * b / (b + e)) if e else None for n, b, e in zip(names, both, either, strict=True)},
    }  # fmt: skip


def binned(counts: np.ndarray) -> list[list[dict[str, float]]]:
    """Return the bins of the reliability diagram of each class: ten of the probability, those with pixels.

    Parameters
    ----------
    counts : ndarray of int, shape (c, 256, 2)
        See :func:`reliability`.

    Returns
    -------
    list of list of dict
        Of each class and bin: ``pixels``, mean ``probability``, and ``share`` of the pixels that are of the class.
    """
    values = np.arange(FULL + 1)
    bins = values * _BINS // (FULL + 1)
    found: list[list[dict[str, float]]] = []
    for own in counts:
        found.append([])
        for number in range(_BINS):
            pixels, right = (int(n) for n in own[bins == number].sum(axis=0))
            if pixels:
                stated = int((values * own[:, 0])[bins == number].sum()) / FULL
                found[-1].append({"pixels": pixels, "probability": stated / pixels, "share": right / pixels})
    return found


def calibration_error(counts: np.ndarray) -> float:
    """Return how far stated probabilities lie from the shares of the bins: the mean over classes and pixels.

    Zero if of all pixels with a probability p of a class, a share p is of that class (Kull et al., 2019: classwise
    expected calibration error, with ten bins).
    """
    total = int(counts[0, :, 0].sum())
    bins = [each for own in binned(counts) for each in own]
    return sum(each["pixels"] * abs(each["share"] - each["probability"]) for each in bins) / (total * len(counts))
