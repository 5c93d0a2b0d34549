"""Names of the phases of an image: which labels each consists of, and the image in small codes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from numbers import Integral
from typing import Any

import numpy as np

from nmcdist.errors import InputError
from nmcdist.images import Image
from nmcdist.wording import shown

MOST = 64  # labels of an image; more is a grey image, or one of grains
MOST_IN_TRIPLES = 10  # phases; 120 triples
SLAB_BYTES = 64 << 20
_NAME = re.compile(r"[^\W\d][\w .-]{0,39}")


@dataclass(frozen=True)
class Phases:
    """The phases of an image.

    Attributes
    ----------
    values : tuple of int
        Labels in the image, ascending; code n of an encoded image stands for the n-th.
    codes : dict of str to tuple of int
        Codes that each phase consists of, by its name.
    """

    values: tuple[int, ...]
    codes: dict[str, tuple[int, ...]]

    def mask(self, volume: np.ndarray, *names: str) -> np.ndarray:
        """Return the voxels of one phase or more in an encoded volume, as a boolean array."""
        belongs = np.zeros(len(self.values), np.bool_)
        for name in names:
            belongs[list(self.codes[name])] = True
        return np.asarray(belongs[volume])

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Return labels as codes, in uint8."""
        if labels.dtype == np.uint8:
            table = np.zeros(256, np.uint8)
            table[list(self.values)] = np.arange(len(self.values))
            return np.asarray(table[labels])
        return np.asarray(np.searchsorted(self.values, labels).astype(np.uint8))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of phases without a common label."""
        return [pair for pair in combinations(self.codes, 2) if self._disjoint(pair)]

    @property
    def ordered_pairs(self) -> list[tuple[str, str]]:
        """Pairs of phases without a common label, in both orders."""
        return [pair for pair in permutations(self.codes, 2) if self._disjoint(pair)]

    @property
    def triples(self) -> list[tuple[str, str, str]]:
        """Triples of phases without a common label; none of more than `MOST_IN_TRIPLES` phases."""
        if len(self.codes) > MOST_IN_TRIPLES:
            return []
        return [triple for triple in combinations(self.codes, 3) if self._disjoint(triple)]

    def _disjoint(self, names: tuple[str, ...]) -> bool:
        held = [code for name in names for code in self.codes[name]]
        return len(set(held)) == len(held)


def labels_in(image: Image) -> dict[int, int]:
    """Return the labels of an image and the number of their voxels; it is read once, slab by slab.

    Raises
    ------
    InputError
        If its values are no whole numbers, or more than `MOST` different ones.
    """
    counts: dict[int, int] = {}
    for slab in slabs(image):
        values, numbers = _counted(image, slab)
        for value, number in zip(values, numbers, strict=True):
            counts[value] = counts.get(value, 0) + number
        if len(counts) > MOST:
            raise InputError(
                f"{image.path}: found more than {MOST} different values, expected a few labels: "
                "segment a grey image first (nmcdist calibrate segment)"
            )
    return dict(sorted(counts.items()))


def slabs(image: Image) -> Any:
    """Yield the planes of an image in order, several at a time."""
    plane = image.dtype.itemsize * image.shape[1] * image.shape[2]
    step = max(1, SLAB_BYTES // max(1, plane))
    for start in range(0, image.shape[0], step):
        yield image.read(slice(start, start + step))


def _counted(image: Image, slab: np.ndarray) -> tuple[list[int], list[int]]:
    if slab.dtype.kind == "b" or slab.dtype == np.uint8:
        numbers = np.bincount(slab.view(np.uint8).ravel(), minlength=256)
        values = np.flatnonzero(numbers)
        return values.tolist(), numbers[values].tolist()
    found, numbers = np.unique(slab, return_counts=True)
    wrong = found[~np.isfinite(found) | (found != np.floor(found)) | (np.abs(found.astype(float)) > 2**53)] if (
        found.dtype.kind == "f") else found[:0]  # fmt: skip
    if wrong.size:
        raise InputError(
            f"{image.path}: found the value {wrong[0]:g}, expected whole numbers as labels: "
            "segment a grey image first (nmcdist calibrate segment)"
        )
    return [int(value) for value in found], numbers.tolist()


def named_phases(given: Any, found: Mapping[int, int], where: Any) -> Phases:
    """Return the phases of an image, from names and labels.

    Parameters
    ----------
    given : mapping of str to int or list of int, or None
        Labels of each phase. Several make a union, such as a solid of two phases. None: each label is a phase with
        the name "label N".
    found : mapping of int to int
        Labels in the image, and the number of their voxels.
    where : path or str
        The image, in messages.

    Raises
    ------
    InputError
        If a name or a label is impossible, a label is not in the image, or one in the image has no name.
    """
    labels = {f"label {value}": (value,) for value in found} if given is None else labels_of(given)
    present = ", ".join(map(str, found))
    for name, values in labels.items():
        missing = [value for value in values if value not in found]
        if missing:
            raise InputError(f"phases: {name} = {missing[0]}: no voxel of {where} has this label; it holds {present}")
    for value, number in found.items():
        if not any(value in values for values in labels.values()):
            share = 100 * number / sum(found.values())
            raise InputError(f"phases: label {value} ({share:.3g} % of {where}) has no name: add NAME={value}")
    codes = {value: code for code, value in enumerate(found)}
    return Phases(tuple(found), {name: tuple(codes[value] for value in values) for name, values in labels.items()})


def labels_of(given: Any) -> dict[str, tuple[int, ...]]:
    """Return the labels of each phase, ascending; InputError if a name or a label is impossible."""
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"phases: found {shown(given)}, expected labels by name, such as pore=0,nmc=1")
    labels: dict[str, tuple[int, ...]] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"phases: found the name {shown(name)}, expected a word of at most 40 letters or digits")
        value = value.tolist() if isinstance(value, np.ndarray) else value
        values = tuple(value) if isinstance(value, list | tuple | set) else (value,)
        if not values or not all(isinstance(v, Integral) and not isinstance(v, bool) for v in values):
            raise InputError(f"phases: {name}: found {shown(value)}, expected a whole number, or several")
        labels[name] = tuple(sorted({int(v) for v in values}))
    return labels
