"""Union-find over numbered places: `parent[a]` leads from a place towards the first place of its set."""

from nmcdist.jit import kernel


@kernel
def root(parent, a):
    """Return the first place of the set of a place, and halve the way there."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@kernel
def join(parent, a, b):
    """Make one set of the sets of two places; its root is the lower of their roots."""
    one, two = root(parent, a), root(parent, b)
    parent[max(one, two)] = min(one, two)
