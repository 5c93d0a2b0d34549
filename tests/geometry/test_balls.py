"""Covers by balls, refereed by painting every ball and by closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from nmcdist.geometry import balls
from nmcdist.geometry.balls import cover_by_balls
from nmcdist.geometry.distance import squared_distance
from nmcdist.threads import set_thread_count


def paint_every_ball(radius2):
    cover = radius2.copy()
    places = np.indices(radius2.shape)
    for centre in np.argwhere(radius2):
        here = radius2[tuple(centre)]
        covered = ((places - centre[:, None, None, None]) ** 2).sum(axis=0) < here
        cover[covered] = np.maximum(cover[covered], here)
    return cover


def blobs(shape, seed, share, sigma):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode="wrap")
    return field < np.quantile(field, share)


shapes = st.tuples(*[st.integers(1, 13)] * 3)
phases = st.builds(
    blobs, shapes, st.integers(0, 2**32), st.floats(0.3, 0.97), st.floats(0.3, 2.5)
).filter(lambda phase: not phase.all())  # fmt: skip


class TestBruteForce:
    @settings(max_examples=60, deadline=None)
    @given(phases)
    def test_largest_balls_of_a_phase(self, phase):
        radius2 = squared_distance(phase)
        assert np.array_equal(cover_by_balls(radius2), paint_every_ball(radius2))

    @settings(max_examples=40, deadline=None)
    @given(phases, st.integers(1, 12))
    def test_plateaus_of_equal_balls(self, phase, most):
        """Where many equal balls touch, each needs a leader and none may wait for itself."""
        radius2 = np.minimum(squared_distance(phase), np.uint16(most))
        assert np.array_equal(cover_by_balls(radius2), paint_every_ball(radius2))

    @settings(max_examples=60, deadline=None)
    @given(arrays(np.uint16, st.tuples(*[st.integers(1, 8)] * 3), elements=st.integers(0, 70)))
    def test_balls_of_any_radii(self, radius2):
        assert np.array_equal(cover_by_balls(radius2), paint_every_ball(radius2))

    @settings(max_examples=40, deadline=None)
    @given(arrays(np.uint32, st.tuples(*[st.integers(1, 8)] * 3), elements=st.integers(0, 40)), st.integers(1, 40))
    def test_small_balls_left_out_change_nothing_above(self, radius2, lowest):
        found, expected = cover_by_balls(radius2, lowest), paint_every_ball(radius2)
        assert np.array_equal(np.where(found >= lowest, found, 0), np.where(expected >= lowest, expected, 0))

    def test_balls_without_lists(self, monkeypatch):
        """Balls beyond the lists are painted row by row; so are all if there are no lists."""
        radius2 = squared_distance(blobs((30, 31, 32), 5, 0.9, 4))
        expected = cover_by_balls(radius2)
        assert np.array_equal(expected, paint_every_ball(radius2))
        lists = balls._cap_lists(2)
        monkeypatch.setattr(balls, "_cap_lists", lambda limit: lists)
        assert np.array_equal(cover_by_balls(radius2), expected)

    def test_large_balls(self):
        """Radii to 38 voxels, beyond the squared radius of 1024 where lists end."""
        phase = np.ones((43, 11, 12), dtype=bool)
        phase[0] = phase[3, :3, 5] = phase[5, 10, 11] = False
        radius2 = squared_distance(phase)
        assert radius2.max() > balls.CAP_RADIUS2
        assert np.array_equal(cover_by_balls(radius2), paint_every_ball(radius2))


class TestTheory:
    def test_one_ball(self):
        radius2 = np.zeros((25, 25, 25), dtype=np.uint16)
        radius2[12, 11, 13] = 90
        z, y, x = np.indices(radius2.shape)
        inside = (z - 12) ** 2 + (y - 11) ** 2 + (x - 13) ** 2 < 90
        assert np.array_equal(cover_by_balls(radius2), np.where(inside, 90, 0))

    @pytest.mark.parametrize("width", [5, 6])
    def test_slab(self, width):
        """Outside voxels are width + 1 apart; halfway lie one or two layers of centres."""
        phase = np.zeros((30, 20, 20), dtype=bool)
        phase[8 : 8 + width] = True
        expected = np.where(phase, ((width + 1) // 2) ** 2, 0)
        assert np.array_equal(cover_by_balls(squared_distance(phase)), expected)

    def test_nothing_to_cover(self):
        assert not cover_by_balls(np.zeros((3, 4, 5), dtype=np.uint16)).any()


class TestInvariance:
    @settings(max_examples=25, deadline=None)
    @given(phases, st.permutations([0, 1, 2]), st.integers(0, 2))
    def test_turned_volumes(self, phase, order, mirrored):
        turned = np.ascontiguousarray(np.flip(phase.transpose(order), mirrored))
        cover = cover_by_balls(squared_distance(phase))
        assert np.array_equal(
            cover_by_balls(squared_distance(turned)), np.flip(cover.transpose(order), mirrored)
        )  # fmt: skip

    def test_thread_count_does_not_matter(self):
        radius2 = squared_distance(blobs((150, 40, 40), 3, 0.8, 3))
        set_thread_count(1)
        try:
            one = cover_by_balls(radius2)
        finally:
            set_thread_count(2)
        assert np.array_equal(cover_by_balls(radius2), one)
