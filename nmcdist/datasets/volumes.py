"""Volumes in a store: what their variable says of all of them, and the labels of one."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.datasets.layout import VOLUME, Box, Shape
from nmcdist.datasets.store import read_block, readable_metadata
from nmcdist.errors import StoreError
from nmcdist.wording import shown

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # of a phase; part of names of files and element sets


@dataclass(frozen=True)
class Volumes:
    """The volumes of a store.

    Attributes
    ----------
    store : Path
    count : int
        Number of items.
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size_nm : float
    names : dict of int to str
        Names of the labels; empty if they have none.
    """

    store: Path
    count: int
    shape: Shape
    voxel_size_nm: float
    names: dict[int, str]

    @classmethod
    def of(cls, store: Path) -> "Volumes":
        """Return the volumes of a store, finished or virtual.

        Raises
        ------
        StoreError
            If it holds none, or the attributes of their variable are damaged.
        """
        metadata = readable_metadata(store, VOLUME)
        if len(metadata.shape) != 4:
            raise StoreError(f"{store}: {VOLUME}: found {len(metadata.shape)} axes, expected sample, z, y, x")
        count, nz, ny, nx = metadata.shape
        where = f"{store}: {VOLUME}: attribute"
        size, names = _voxel_size(metadata.attributes, where), _label_names(metadata.attributes, where)
        return cls(store, count, (nz, ny, nx), size, names)

    def check(self, item: int) -> None:
        """Raise StoreError if there is no such item."""
        if not 0 <= item < self.count:
            raise StoreError(f"{self.store}: item {item} does not exist, expected 0 to {self.count - 1}")

    def block(self, item: int, box: Box | None = None) -> np.ndarray:
        """Return the labels of one volume, or of a box of it, uint8; raises as :func:`read_block`."""
        return read_block(self.store, item, box)


def _voxel_size(attributes: dict[str, Any], where: str) -> float:
    found = attributes.get("voxel_size_nm")
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < math.inf:
        raise StoreError(f"{where} voxel_size_nm: found {shown(found)}, expected a length in nm")
    return float(found)


def _label_names(attributes: dict[str, Any], where: str) -> dict[int, str]:
    """Return the names of the labels, recorded according to the CF conventions; empty if there are none."""
    if "flag_meanings" not in attributes:
        return {}
    values, meanings = attributes.get("flag_values"), attributes["flag_meanings"]
    names = meanings.split() if isinstance(meanings, str) else []
    if not names or len({name.upper() for name in names}) < len(names) or not all(map(NAME.fullmatch, names)):
        raise StoreError(f"{where} flag_meanings: found {shown(meanings)}, expected different names of ASCII letters")
    if not isinstance(values, list) or len(values) != len(names) or not all(type(value) is int for value in values):
        raise StoreError(f"{where} flag_values: found {shown(values)}, expected {len(names)} whole numbers")
    if len(set(values)) < len(values):
        raise StoreError(f"{where} flag_values: found {shown(values)}, expected different whole numbers")
    return dict(zip(values, names, strict=True))
