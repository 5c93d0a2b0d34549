"""Shares of classes without the mistakes of their labels: the confusion on labelled pixels, inverted.

Of the pixels of class i, a share C[i, j] gets the label j, so the shares that are seen are C^T times the true ones. C
is counted where the truth is known, in blocks that are independent of each other as good as can be; the scatter between
blocks gives the interval. Unlike the share of a class among the labelled pixels, C does not depend on how much of each
class was labelled. It must hold for the whole image: labelled pixels that are easier than the others flatter it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from nmcdist.errors import ImageError

LEVEL = 0.95
FEWEST = 3
_DRAWS = 1000
_SINGULAR = 1e-6
_MOST_LOST = 0.05  # share of the draws that may lack a class


@dataclass(frozen=True)
class Corrected:
    """Shares of classes, corrected by a confusion.

    Attributes
    ----------
    shares : tuple of float
        Of each class; may lie below 0 or above 1 by the scatter.
    standard_errors : tuple of float
        From a bootstrap over blocks.
    low, high : tuple of float
        Ends of the intervals at 95 % (Student's t with one degree of freedom less than blocks), within 0 and 1.
    blocks : int
    pixels : int
        With a known truth.
    """

    shares: tuple[float, ...]
    standard_errors: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    blocks: int
    pixels: int


def corrected_shares(seen: np.ndarray, confusions: np.ndarray, seed: int = 1) -> Corrected:
    """Return the shares of classes that labels with known mistakes stand for.

    Parameters
    ----------
    seen : ndarray of int, shape (c,)
        Number of pixels of each label in the image.
    confusions : ndarray of int, shape (b, c, c)
        Pixels by true class (rows) and label (columns) in each block with a known truth.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Corrected
        The interval says how much the confusion scatters from block to block. If the labelled blocks are a large part
        of the image, it is too wide.

    Raises
    ------
    ImageError
        If there are fewer than three blocks, a class has no labelled pixel in too many of them, or two classes have the
        same mistakes, so that they cannot be told apart.
    """
    count = len(confusions)
    if count < FEWEST:
        raise ImageError(f"labelled pixels: found them in {count} block(s), expected at least {FEWEST}")
    wanted = seen / seen.sum()
    lacking = np.flatnonzero(confusions.sum(axis=(0, 2)) == 0)
    if len(lacking):
        raise ImageError(f"labelled pixels: found none of class {lacking[0]}, expected some of every class")
    shares, is_sound = _solved(confusions.sum(axis=0)[None], wanted)
    if not is_sound[0]:
        raise ImageError("labelled pixels: found two classes whose labels are alike, expected a confusion that tells "
                         "them apart")  # fmt: skip
    random = np.random.Generator(np.random.Philox(seed))
    drawn = random.multinomial(count, [1 / count] * count, _DRAWS)
    found, is_sound = _solved(np.tensordot(drawn, confusions, 1), wanted)
    if is_sound.mean() < 1 - _MOST_LOST:
        raise ImageError("labelled pixels: found a class in too few blocks for an interval, expected more labels of it")
    error = found[is_sound].std(axis=0, ddof=1) * (count / (count - 1)) ** 0.5
    margin = error * float(t.ppf((1 + LEVEL) / 2, count - 1))
    low, high = (np.clip(shares[0] + sign * margin, 0, 1) for sign in (-1, 1))
    first, errors, lowest, highest = (tuple(map(float, each)) for each in (shares[0], error, low, high))
    return Corrected(first, errors, lowest, highest, count, int(confusions.sum()))


def _solved(confusions: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares by each confusion, shape (n, c), and whether it can be inverted."""
    totals = confusions.sum(axis=2, keepdims=True)
    rates = confusions / np.maximum(1, totals)
    is_sound = (totals[..., 0].min(axis=1) > 0) & (abs(np.linalg.det(rates)) > _SINGULAR)
    rates[~is_sound] = np.eye(len(wanted))
    right = np.broadcast_to(wanted[:, None], (len(rates), len(wanted), 1))
    solved: np.ndarray = np.linalg.solve(rates.transpose(0, 2, 1), right)[..., 0]
    return solved, is_sound
