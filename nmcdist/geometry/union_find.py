"""Union-find over numbered places: `parent[a]` leads from a place towards the first place of its set."""

import numpy as np

from nmcdist.jit import kernel


@kernel
def root(parent: np.ndarray, a: int) -> int:
    """Return the first place of the set of a place, and halve the way there."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@kernel
def join(parent: np.ndarray, a: int, b: int) -> None:
    """Make one set of the sets of two places; its root is the lower of their roots."""
    one, two = root(parent, a), root(parent, b)
    parent[max(one, two)] = min(one, two)
