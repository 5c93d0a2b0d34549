"""Arrays that kernels let grow."""

import numpy as np

from nmcdist.jit import kernel


@kernel
def grown(array: np.ndarray, length: int) -> np.ndarray:
    """Return an array of one axis with room for a number of entries: itself, or a copy of at least twice its length."""
    if length <= len(array):
        return array
    longer = np.empty(max(length, 2 * len(array)), array.dtype)
    for k in range(len(array)):  # copying a slice would take seconds to compile
        longer[k] = array[k]
    return longer
