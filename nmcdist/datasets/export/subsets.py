"""Labels of a volume, and subsets of them named by numbers and ranges.

Volumes are read page by page: NumPy would make indices of eight bytes for all voxels at once.
"""

import re
from collections.abc import Sequence

import numpy as np

from nmcdist.errors import InputError
from nmcdist.wording import shown

LARGEST_LABEL = 2**24 - 1  # tables have an entry for each label up to the largest, and files eight digits for one
_RANGE = re.compile("([0-9]{1,9})(?:-([0-9]{1,9}))?")
_EXPECTED = "expected labels from 1 such as 1,5,20-40"


def ranges_of(grains: str | Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last labels of ranges, from text such as 1,5,20-40 or a sequence of labels.

    Raises
    ------
    InputError
        If a part is neither a label nor a range of labels.
    """
    if not isinstance(grains, str):
        return [(int(label), int(label)) for label in _checked(grains)]
    ranges = []
    for part in grains.split(","):
        found = _RANGE.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last:
            raise InputError(f"grains: found {shown(part)}, {_EXPECTED}")
        ranges.append((first, last))
    return ranges


def present(labels: np.ndarray) -> np.ndarray:
    """Return the labels of a volume, ascending, 0 among them if a voxel has it."""
    there = np.zeros(int(labels.max(initial=0)) + 1, dtype=bool)
    for page in labels:
        there[page] = True
    return np.flatnonzero(there)


def masked(labels: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return a label volume with 0 for the labels that are not kept; `kept` has a bool for each label."""
    found = np.empty_like(labels)
    for page, out in zip(labels, found, strict=True):
        np.multiply(page, kept[page], out=out)
    return found


def numbered(labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the int32 number of each voxel's label; `numbers` has one for each label."""
    found = np.empty(labels.shape, dtype=np.int32)
    for page, out in zip(labels, found, strict=True):
        out[...] = numbers[page]
    return found


def only(labels: np.ndarray, grains: str | Sequence[int], *, strict: bool = True) -> np.ndarray:
    """Return a label volume with 0 for all labels but some.

    Raises
    ------
    InputError
        If it is strict, and no voxel has a label, or one of a range.
    """
    known = present(labels)
    known = known[known > 0]
    kept = np.zeros(int(labels.max(initial=0)) + 1, dtype=bool)
    for first, last in ranges_of(grains):
        if strict and not ((known >= first) & (known <= last)).any():
            named = str(first) if first == last else f"{first}-{last}"
            which = f"{known[0]} to {known[-1]}" if len(known) else "none: the volume holds no grains"
            raise InputError(f"grains: found {named}, which no voxel has, expected labels of the item, {which}")
        kept[first : last + 1] = True
    return masked(labels, kept)


def _checked(grains: Sequence[int]) -> list[int]:
    labels = list(grains) if isinstance(grains, Sequence | np.ndarray) else []
    wrong = [x for x in labels if isinstance(x, bool) or not isinstance(x, int | np.integer) or x < 1]
    if wrong or not labels:
        raise InputError(f"grains: found {shown(wrong[0] if wrong else grains)}, {_EXPECTED}")
    return labels
