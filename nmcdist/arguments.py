"""Checks of arguments from the user: plain arrays, lengths, numbers; other values get a one-line error."""

import math
from functools import cache
from numbers import Integral, Real
from typing import Any

import numpy as np
import psutil

from nmcdist.errors import InputError
from nmcdist.wording import one_line, shown


def plain_array(name: str, value: Any, work: int = 0) -> np.ndarray:
    """Return an argument as an array in native byte order, without a copy if it already is one.

    Lists, xarray.DataArray and Dask arrays are accepted. Axes count by position: a DataArray with the dimensions z,
    y, x in another order is refused.

    Parameters
    ----------
    name : str
    value : array_like
    work : int
        Bytes per element that the caller needs besides the array.

    Raises
    ------
    InputError
        If elements are masked, it has a unit, its dimensions are in another order, it is not an array, or it and the
        work exceed the memory of this machine, which is possible for repeated views, lazy and mapped arrays.
    """
    if _is_masked(value):
        raise InputError(f"{name}: found a masked array, expected a plain one: fill it or crop it first")
    _refuse_unit(name, value)
    dims = [d for d in getattr(value, "dims", ()) if d in ("z", "y", "x")]
    if dims != sorted(dims, reverse=True):
        raise InputError(f"{name}: found dimensions {', '.join(dims)}, expected the order z, y, x: transpose it")
    _refuse_huge(name, value, work)
    try:
        array = np.asarray(value)
    except Exception as error:  # array-likes raise any type
        raise InputError(f"{name}: found {shown(value)}, expected an array ({one_line(error)})") from None
    _refuse_huge(name, array, work)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def finite_array(name: str, value: Any, shape: tuple[int | str, ...]) -> np.ndarray:
    """Return an argument as a contiguous array of float64; refuse other shapes and values that are not finite.

    A letter in `shape` allows any length.
    """
    expected = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    array = plain_array(name, value)
    if array.dtype.kind not in "fiu" and array.size:
        raise InputError(f"{name}: found {_kind(value, array)}, expected numbers of shape {expected}")
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise InputError(f"{name}: found shape {array.shape}, expected {expected}")
    array = np.ascontiguousarray(array, dtype=np.float64)
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{name}: found {array[place]} at {place}, expected finite numbers")
    return array


def check_length(name: str, value: Any) -> float:
    """Return a length in nm; refuse anything but one finite, positive number: voxels are cubes."""
    cubes = "one length in nm, as voxels are cubes" if "voxel" in name else "one length in nm"
    try:
        found = check_number(name, value)
    except InputError:
        raise InputError(f"{name}: found {shown(value)}, expected a positive number of nanometres: {cubes}") from None
    if not 0 < found < math.inf:
        raise InputError(f"{name}: found {shown(value)}, expected a positive number of nanometres")
    return found


def check_number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a real number from `low` to `high`; refuse NaN, booleans, text and arrays."""
    _refuse_unit(name, value)
    number = value[()] if type(value) is np.ndarray and value.ndim == 0 else value
    try:
        found = float(number) if isinstance(number, Real) and not isinstance(number, bool) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        found = math.nan
    if not low <= found <= high:
        bounds = "" if (low, high) == (-math.inf, math.inf) else f" from {low:g} to {high:g}"
        raise InputError(f"{name}: found {shown(value)}, expected one number{bounds}")
    return found


def check_whole(name: str, value: Any, low: int) -> int:
    """Return a whole number from `low`; refuse booleans, floats and arrays."""
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < low:
        raise InputError(f"{name}: found {shown(value)}, expected a whole number from {low}")
    return int(value)


def check_one_of(name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """Return one of some words or whole numbers; refuse everything else, also True for 1."""
    word = isinstance(value, str)
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not (word or whole) or value not in choices:
        expected = f"{', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}"
        raise InputError(f"{name}: found {shown(value)}, expected {expected}")
    return choices[choices.index(value)]


def whole_array(name: str, value: Any, shape: tuple[int | str, ...]) -> np.ndarray:
    """Return counts as an array of int64; refuse other shapes, fractions and negative numbers."""
    found = finite_array(name, value, shape)
    wrong = found[(found != np.floor(found)) | (found < 0)]
    if wrong.size:
        raise InputError(f"{name}: found {wrong[0]:g}, expected whole numbers from 0")
    return plain_array(name, value).astype(np.int64)


def _is_masked(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_is_masked(part) for part in value)
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def _refuse_unit(name: str, value: Any) -> None:
    """Refuse quantities with units, which NumPy drops; attributes of a DataArray do not count as units."""
    if not hasattr(value, "dims") and any(hasattr(value, unit) for unit in ("units", "unit")):
        raise InputError(f"{name}: found {type(value).__name__} with a unit, expected plain numbers in the unit named")


def _refuse_huge(name: str, value: Any, work: int) -> None:
    """Refuse an array, in memory or lazy, that does not fit into memory with the caller's work."""
    elements, size = (getattr(value, part, None) for part in ("size", "nbytes"))
    if not isinstance(elements, int) or not isinstance(size, int):
        return  # not an array yet, or of unknown size
    needed = size + work * elements
    if needed > machine_memory():
        shape = getattr(value, "shape", "")
        raise InputError(
            f"{name}: found an array of shape {shape}, which needs {needed / 2**30:,.1f} GiB of memory, "
            f"expected at most the {machine_memory() / 2**30:,.1f} GiB of this machine: pass a part of it"
        )


@cache
def machine_memory() -> int:
    """Return the bytes of memory of this machine."""
    return int(psutil.virtual_memory().total)


def _kind(value: Any, array: np.ndarray) -> str:
    return f"dtype {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
