"""How a segmentation agrees with a reference, counted slice after slice."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from nmcdist.errors import ImageError


@dataclass(frozen=True)
class Agreement:
    """How a segmentation agrees with a reference.

    Attributes
    ----------
    share : float
        Of pixels with the class of the reference, where that is not 0.
    standard_error : float or None
        From the scatter of the shares of an 8 x 8 grid of fields; None if fewer than ten have references.
    dice : dict of int to float
        Of each class.
    """

    share: float
    standard_error: float | None
    dice: dict[int, float]


def agreement(labels: np.ndarray, reference: np.ndarray) -> Agreement:
    """Compare labels with a reference, both of shape (nz, ny, nx); 0 in the reference is not compared.

    Raises
    ------
    ImageError
        If the reference is empty.
    """
    tally = Tally(labels.shape)
    for one, two in zip(labels, reference, strict=True):
        tally.add(one, two)
    return tally.agreement()


class Tally:
    """Counts of pixels by true and found class, over an 8 x 8 grid of fields, slice after slice."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        rows, columns = (np.array_split(np.arange(n), min(n, 8)) for n in shape[1:])
        self._fields = [(slice(r[0], r[-1] + 1), slice(c[0], c[-1] + 1)) for r in rows for c in columns]
        self._known, self._same = np.zeros(len(self._fields), np.int64), np.zeros(len(self._fields), np.int64)
        self._sizes = Counter[tuple[str, int]]()

    def add(self, labels: np.ndarray, reference: np.ndarray) -> None:
        """Count a slice."""
        known, same = reference > 0, (labels == reference) & (reference > 0)
        for k, field in enumerate(self._fields):
            self._known[k] += known[field].sum()
            self._same[k] += same[field].sum()
        for what, values in (("found", labels[known]), ("true", reference[known]), ("both", reference[same])):
            for each, count in zip(*np.unique(values, return_counts=True), strict=True):
                self._sizes[what, int(each)] += int(count)

    def agreement(self) -> Agreement:
        """Return how the slices agree; ImageError if the reference is empty."""
        used = self._known > 0
        if not used.any():
            raise ImageError("reference: found no label above 0, expected labels of some pixels")
        shares = self._same[used] / self._known[used]
        error = float(np.std(shares, ddof=1) / len(shares) ** 0.5) if len(shares) >= 10 else None
        size = self._sizes
        dice = {each: 2 * size["both", each] / (size["found", each] + count)
                for (what, each), count in sorted(size.items()) if what == "true"}  # fmt: skip
        return Agreement(float(self._same.sum() / self._known.sum()), error, dice)
