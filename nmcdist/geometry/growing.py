"""Arrays that grow inside kernels."""

import numpy as np

from nmcdist.jit import kernel


@kernel
def grown(array: np.ndarray, length: int) -> np.ndarray:
    """Return a one-dimensional array with room for this many entries: itself, or a copy at least twice as long."""
    if length <= len(array):
        return array
    longer = np.empty(max(length, 2 * len(array)), array.dtype)
    for k in range(len(array)):  # copying a slice would take seconds to compile
        longer[k] = array[k]
    return longer
