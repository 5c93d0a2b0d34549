"""Checks shared by the descriptors of a phase."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nmcdist.arguments import check_number, check_one_of, plain_array
from nmcdist.errors import InputError
from nmcdist.wording import shown


def check_phase(phase: Any, name: str = "phase", work: int = 0) -> np.ndarray:
    """Return the phase as an array; refuse anything but a three-dimensional, non-empty boolean array.

    `work` is the least number of bytes per voxel that the caller needs for its computation.
    """
    return _check_mask(name, plain_array(name, phase, work), 3, "three")


def check_axis(axis: Any) -> int:
    """Return an axis; refuse anything but 0, 1 or 2."""
    return int(check_one_of("axis", axis, (0, 1, 2)))


def check_edges(voxel_size_nm: Any) -> tuple[float, float, float]:
    """Return the edges of a voxel along z, y, x; refuse anything but one or three positive numbers."""
    z, y, x = _edges("voxel_size_nm", voxel_size_nm, 3, "three for z, y, x")
    return z, y, x


def check_pixel_edges(pixel_size_nm: Any) -> tuple[float, float]:
    """Return the edges of a pixel along y, x; refuse anything but one or two positive numbers."""
    y, x = _edges("pixel_size_nm", pixel_size_nm, 2, "two for y, x")
    return y, x


def check_image(phase: Any) -> np.ndarray:
    """Return the phase in a planar image as an array; refuse anything but a non-empty boolean array of two axes."""
    return _check_mask("phase", plain_array("phase", phase), 2, "two")


def check_image_axis(axis: Any) -> int:
    """Return an axis of an image; refuse anything but 0 or 1."""
    return int(check_one_of("axis", axis, (0, 1)))


def layer_edges(pixel_size_nm: Any) -> tuple[float, float, float]:
    """Return the edges of the voxels of a layer, of which that across it does not matter."""
    y, x = check_pixel_edges(pixel_size_nm)
    return y, y, x


def _check_mask(name: str, found: np.ndarray, dimensions: int, word: str) -> np.ndarray:
    if found.ndim != dimensions or found.size == 0:
        raise InputError(f"{name}: found shape {found.shape}, expected {word} dimensions, none of them empty")
    if found.dtype != np.bool_:
        raise InputError(f"{name}: found dtype {found.dtype}, expected bool")
    return found


def _edges(name: str, value: Any, count: int, several: str) -> list[float]:
    is_one = isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or np.shape(value) == ()
    given = [value] * count if is_one else list(value)
    try:
        edges = [check_number(name, edge) for edge in given]
    except InputError:
        edges = []
    if len(edges) != count or not all(0 < edge < math.inf for edge in edges):
        raise InputError(f"{name}: found {shown(value)}, expected one positive number of nanometres, or {several}")
    return edges
