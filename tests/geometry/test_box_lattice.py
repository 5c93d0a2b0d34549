"""Distances and balls on lattices of boxes, refereed by brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nmcdist.errors import InputError
from nmcdist.geometry import balls, box_lattice, distance
from nmcdist.geometry.box_lattice import LIMIT, cover_by_balls, squared_distance, whole_weights
from nmcdist.threads import set_thread_count

WEIGHTS = [(4, 1, 1), (1, 1, 4), (1, 4, 1), (65, 65, 122), (9, 4, 25), (30, 2, 1)]
shapes = st.tuples(*[st.integers(1, 10)] * 3)


def blobs(shape, seed, share, sigma):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma)
    return field < np.quantile(field, share)


def all_squared(shape, weights):
    """Squared distances between all pairs of voxels."""
    place = np.argwhere(np.ones(shape, bool))
    return ((place[:, None] - place[None]) ** 2 * np.array(weights)).sum(axis=2)


def cover_by_all(radius2, weights):
    r = radius2.ravel().astype(np.int64)
    return np.where(all_squared(radius2.shape, weights) < r, r, 0).max(axis=1).reshape(radius2.shape)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(blobs, shapes, st.integers(0, 2**32), st.floats(0.3, 0.97), st.floats(0.3, 2)), st.sampled_from(WEIGHTS)
)
def test_distances_and_their_balls_are_those_of_brute_force(phase, weights):
    if phase.all():
        assert (squared_distance(phase, weights) == LIMIT).all()
        return
    found = squared_distance(phase, weights)
    assert np.array_equal(found.ravel(), all_squared(phase.shape, weights)[:, ~phase.ravel()].min(axis=1))
    assert np.array_equal(cover_by_balls(found, weights), cover_by_all(found, weights))


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 2**32), st.integers(1, 200), st.sampled_from(WEIGHTS), st.integers(1, 30))
def test_balls_of_any_radii_are_painted(shape, seed, largest, weights, lowest):
    radius2 = np.random.default_rng(seed).integers(0, largest + 1, shape).astype(np.uint32)
    found, exact = cover_by_balls(radius2, weights, lowest), cover_by_all(radius2, weights)
    assert np.array_equal(np.where(found >= lowest, found, 0), np.where(exact >= lowest, exact, 0))


@pytest.mark.parametrize("levels", [1, 20])
def test_balls_too_large_for_the_table_are_painted(monkeypatch, levels):
    """Some of them lie inside others all the same."""
    monkeypatch.setattr(box_lattice, "REACH_LEVELS", levels)
    found = squared_distance(blobs((12, 14, 16), 12, 0.8, 2), (4, 1, 1))
    assert found.max() > 20
    assert np.array_equal(cover_by_balls(found, (4, 1, 1)), cover_by_all(found, (4, 1, 1)))


def test_cubes_are_those_of_the_kernels_for_cubes():
    phase = blobs((70, 40, 44), 10, 0.6, 3)
    mine = squared_distance(phase, (1, 1, 1))
    assert np.array_equal(mine, distance.squared_distance(phase))
    assert np.array_equal(cover_by_balls(mine, (1, 1, 1)), balls.cover_by_balls(distance.squared_distance(phase)))


def test_thread_count_does_not_matter():
    radius2 = squared_distance(blobs((200, 30, 34), 11, 0.7, 2), (4, 1, 1))
    set_thread_count(1)
    try:
        one = cover_by_balls(radius2, (4, 1, 1))
    finally:
        set_thread_count(2)
    assert np.array_equal(one, cover_by_balls(radius2, (4, 1, 1)))


@pytest.mark.parametrize(
    ("edges", "weights", "unit"),
    [
        ((7.0, 7.0, 7.0), (1, 1, 1), 7.0),
        ((10.3, 10.3, 20.6), (1, 1, 4), 10.3),
        ((15.0, 10.0, 25.0), (9, 4, 25), 5.0),
    ],
)
def test_simple_ratios_are_exact(edges, weights, unit):
    assert whole_weights(edges) == (weights, pytest.approx(unit))


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.floats(1.0, 50.0)] * 3))
def test_any_edges_hold_within_a_twentieth_of_a_percent(edges):
    weights, unit = whole_weights(edges)
    assert unit * np.sqrt(weights) == pytest.approx(edges, rel=5.1e-4)


def test_too_long_distances_are_refused():
    phase = np.ones((1000, 1, 1), bool)
    phase[0] = False
    with pytest.raises(InputError, match=r"phase: found shape \(1000, 1, 1\), expected a smaller one"):
        squared_distance(phase, (10_000, 1, 1))
