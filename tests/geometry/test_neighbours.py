"""Steps to neighbours: how many there are of each kind, and where they lead in a flat array."""

from collections import Counter

import numpy as np

from nmcdist.geometry.neighbours import CUBE, DIRECTIONS, NEIGHBOURS, kind_of, offsets_in


def test_cube_has_6_faces_12_edges_and_8_corners():
    assert Counter(map(kind_of, NEIGHBOURS)) == {0: 6, 1: 12, 2: 8}
    assert Counter(map(kind_of, CUBE)) == {-1: 1, 0: 6, 1: 12, 2: 8}
    assert all(CUBE[9 * (z + 1) + 3 * (y + 1) + x + 1] == (z, y, x) for z, y, x in CUBE)


def test_directions_are_one_of_each_pair_of_opposite_steps():
    opposite = {(-z, -y, -x) for z, y, x in DIRECTIONS}
    assert opposite.isdisjoint(DIRECTIONS)
    assert opposite | set(DIRECTIONS) == set(NEIGHBOURS)


def test_offsets_lead_to_the_neighbours_in_a_flat_array():
    shape = (4, 5, 6)
    places = np.arange(np.prod(shape)).reshape(shape)
    expected = [places[2 + z, 2 + y, 3 + x] - places[2, 2, 3] for z, y, x in NEIGHBOURS]
    assert offsets_in(NEIGHBOURS, shape).tolist() == expected
