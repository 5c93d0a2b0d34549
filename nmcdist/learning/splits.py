"""Which rows test a surrogate that is trained on the others: never rows of a point that it was trained on."""

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nmcdist.errors import InputError
from nmcdist.faults import proposal
from nmcdist.wording import shown

_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_CONDITION = re.compile(r"\s*(<=|>=|<|>)\s*([-+0-9.eE]+)\s*")
FEWEST = 5  # groups to train on


@dataclass(frozen=True)
class Fold:
    """Rows to train on and rows to test, as booleans of shape (n,)."""

    train: np.ndarray
    test: np.ndarray


def read_condition(text: str) -> tuple[str, float]:
    """Return order and number of a condition such as ">0.9"; InputError if it is none."""
    parts = _CONDITION.fullmatch(text)
    try:
        if parts is None:
            raise ValueError
        return parts[1], float(parts[2])
    except ValueError:
        raise InputError(f"found {shown(text)}, expected <, <=, > or >= and a number, as '>0.9'") from None


def random_folds(groups: np.ndarray, count: int, seed: int) -> list[Fold]:
    """Return folds of whole groups; each group is tested once."""
    names = np.unique(groups)
    if len(names) < max(count, FEWEST + 1):
        raise InputError(f"split: found {len(names)} parameter points, expected at least {max(count, FEWEST + 1)}")
    order = np.random.Generator(np.random.Philox(seed)).permutation(names)
    return [_fold(np.isin(groups, part)) for part in np.array_split(order, count)]


def region_folds(groups: np.ndarray, labels: Mapping[str, np.ndarray], region: Mapping[str, str]) -> list[Fold]:
    """Return one fold, whose tested rows fulfil every condition of a region such as {"mu": ">0.9"}."""
    inside = np.ones(len(groups), dtype=bool)
    for name, text in region.items():
        if name not in labels:
            raise InputError(f"split.region.{name}: unknown parameter{proposal(name, labels)}")
        order, number = read_condition(text)
        inside &= _ORDERS[order](labels[name], number)
    held, rest = len(np.unique(groups[inside])), len(np.unique(groups[~inside]))
    if not held or rest < FEWEST:
        raise InputError(
            f"split.region: found {held} points within and {rest} outside, expected 1 and {FEWEST} or more"
        )
    return [_fold(inside)]


def group_folds(labels: Mapping[str, np.ndarray], by: str) -> list[Fold]:
    """Return one fold per value of a label, such as "bundle"."""
    if by not in labels:
        raise InputError(f"split.by: unknown label {by!r}{proposal(by, labels)}")
    values = np.unique(labels[by])
    if len(values) < 2:
        raise InputError(f"split.by: found one value of {by!r}, expected two or more")
    return [_fold(labels[by] == value) for value in values]


def _fold(test: np.ndarray) -> Fold:
    return Fold(~test, test)
