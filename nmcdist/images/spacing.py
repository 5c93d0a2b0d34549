"""Voxel sizes: from the user, or from what a file says with a unit."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

from nmcdist.errors import ImageError
from nmcdist.wording import shown

Size = tuple[float, float, float]  # along z, y, x

_NM_PER_UNIT = {
    "pm": 1e-3, "picometer": 1e-3, "å": 0.1, "angstrom": 0.1,
    "nm": 1.0, "nanometer": 1.0, "nanometre": 1.0,
    "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3, "micrometre": 1e3,
    "mm": 1e6, "millimeter": 1e6, "cm": 1e7, "centimeter": 1e7, "m": 1e9, "meter": 1e9, "inch": 2.54e7,
}  # fmt: skip
_LEAST_NM, _MOST_NM = 1e-3, 1e9


def in_nm(lengths: Sequence[float], units: Sequence[str]) -> Size | None:
    """Return lengths along z, y, x in nm, or None if a unit is not one of length, such as "pixel"."""
    factors = [_NM_PER_UNIT.get(unit.strip().lower().replace("\\u00b5", "µ")) for unit in units]
    if any(factor is None for factor in factors):
        return None
    z, y, x = (float(length) * factor for length, factor in zip(lengths, factors, strict=True) if factor is not None)
    return z, y, x


def checked_size(given: Any, where: str) -> Size:
    """Return a voxel size from a number, or from three along z, y, x.

    Raises
    ------
    ImageError
        If it is something else, shorter than a picometre or longer than a metre.
    """
    values = [given] * 3 if isinstance(given, Real) and not isinstance(given, bool) else given
    is_sound = (
        isinstance(values, Sequence)
        and not isinstance(values, str)
        and len(values) == 3
        and all(isinstance(v, Real) and not isinstance(v, bool) and _LEAST_NM <= float(v) < _MOST_NM for v in values)
    )
    if not is_sound:
        raise ImageError(f"{where}: found {shown(given)}, expected a positive voxel size in nm, or three along z, y, x")
    z, y, x = map(float, values)
    return z, y, x
