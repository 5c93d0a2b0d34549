"""Checks shared by the models that rebuild a medium from the arrays of a bundle."""

from collections.abc import Mapping

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.errors import BundleError, InputError


def arrays_of(bundle: Bundle) -> Mapping[str, np.ndarray]:
    """Return the arrays of a bundle; BundleError if it was read without them."""
    if bundle.array_records and not bundle.arrays:
        raise BundleError(
            f"bundle {bundle.name!r}: found no arrays, expected {', '.join(sorted(bundle.array_records))}"
        )
    return bundle.arrays


def check_voxel_size(found_nm: float, expected_nm: float) -> None:
    """Raise InputError unless a voxel size is that of the bundle's arrays, which hold at no other."""
    if not abs(found_nm - expected_nm) <= 1e-9 * expected_nm:
        raise InputError(f"voxel_size_nm: found {found_nm:g}, expected {expected_nm:g}, that of the bundle's arrays")
