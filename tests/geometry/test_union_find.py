"""Sets of joined places, against the connected components of the graph of their pairs."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nmcdist.geometry.union_find import join, root


@pytest.mark.parametrize("pairs", [0, 30, 90, 100, 400])
def test_places_share_a_root_where_pairs_lead_from_one_to_the_other(pairs):
    n = 200
    a, b = np.random.default_rng(pairs).integers(0, n, (2, pairs))
    parent = np.arange(n)
    for one, two in zip(a, b, strict=True):
        join(parent, one, two)
    roots = np.array([root(parent, k) for k in range(n)])
    _, component = connected_components(coo_array((np.ones(pairs), (a, b)), shape=(n, n)), directed=False)
    # The root of a set is its first place, whatever the order of the pairs: labels are numbered by it.
    _, first = np.unique(component, return_index=True)
    assert (roots == first[component]).all()


def test_order_of_pairs_does_not_matter():
    n, pairs = 60, np.random.default_rng(5).integers(0, 60, (40, 2))
    found = []
    for order in (pairs, pairs[::-1], pairs[:, ::-1]):
        parent = np.arange(n)
        for one, two in order:
            join(parent, one, two)
        found.append([root(parent, k) for k in range(n)])
    assert found[0] == found[1] == found[2]
