"""Squared distances, refereed by scipy and by the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from nmcdist.geometry.distance import squared_distance
from nmcdist.threads import set_thread_count


def by_definition(phase):
    outside = np.argwhere(~phase)
    places = np.argwhere(np.ones_like(phase))
    return ((places[:, None] - outside[None]) ** 2).sum(axis=2).min(axis=1).reshape(phase.shape)


def sparse_outside(shape, seed, share):
    phase = np.random.default_rng(seed).random(shape) > share
    phase.flat[seed % phase.size] = False
    return phase


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, st.tuples(*[st.integers(1, 8)] * 3)).filter(lambda phase: not phase.all()))
def test_is_the_least_squared_distance(phase):
    assert np.array_equal(squared_distance(phase), by_definition(phase))


@pytest.mark.parametrize("share", [0.3, 0.01, 0.0001])
def test_scipy(share):
    """From distances below 3 voxels to distances that stop only at the faces."""
    phase = sparse_outside((50, 37, 140), 1, share)
    assert np.array_equal(squared_distance(phase), np.rint(ndimage.distance_transform_edt(phase) ** 2))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_distances_beyond_16_bits(axis):
    shape = [3, 3, 3]
    shape[axis] = 300
    phase = np.ones(shape, dtype=bool)
    phase[0, 0, 0] = False
    found = squared_distance(phase)
    assert found.dtype == np.uint32
    assert np.array_equal(found, by_definition(phase))


@pytest.mark.parametrize(("length", "kind"), [(256, np.uint16), (257, np.uint32)])
def test_the_type_is_the_smallest_that_holds_the_distances(length, kind):
    phase = np.ones((1, 1, length), dtype=bool)
    phase[0, 0, 0] = False
    found = squared_distance(phase)
    assert found.dtype == kind
    assert np.array_equal(found[0, 0], np.arange(length) ** 2)


def test_full_and_empty():
    assert (squared_distance(np.ones((3, 4, 5), dtype=bool)) == 65535).all()
    assert (squared_distance(np.zeros((3, 4, 5), dtype=bool)) == 0).all()


def test_layout_and_thread_count_do_not_matter():
    phase = sparse_outside((40, 41, 42), 2, 0.02)
    set_thread_count(1)
    try:
        one = squared_distance(phase)
    finally:
        set_thread_count(2)
    assert np.array_equal(squared_distance(np.asfortranarray(phase)), one)
    assert np.array_equal(squared_distance(phase[::-1, :, ::2]), squared_distance(phase[::-1, :, ::2].copy()))
