"""Union-find over numbered elements: `parent[a]` leads towards the first element of the set of a."""

import numpy as np

from nmcdist.jit import kernel


@kernel
def root(parent: np.ndarray, a: int) -> int:
    """Return the first element of an element's set, and halve the path to it."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@kernel
def join(parent: np.ndarray, a: int, b: int) -> None:
    """Merge the sets of two elements; the root is the lower of the two roots."""
    one, two = root(parent, a), root(parent, b)
    parent[max(one, two)] = min(one, two)
