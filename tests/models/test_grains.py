"""Seeds and their markers: Poisson statistics, windows that only append, exact neighbours."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial import cKDTree

from nmcdist.bundle import load_bundle
from nmcdist.errors import InputError
from nmcdist.models.grains import GrainModel, nearest, poisson_seeds
from nmcdist.threads import set_thread_count, thread_count

INTENSITY = 1.44e-8


@pytest.fixture(params=["radial", "net"])
def model(request):
    bundle = load_bundle("nmc811-radial") if request.param == "radial" else request.getfixturevalue("net_bundle")
    return GrainModel.from_bundle(bundle)


def parts(grains):
    return grains.seeds_nm, grains.diagonals, grains.offsets_nm2, grains.gammas


class TestSeeds:
    def test_counts_are_poisson(self):
        """Mean and variance of 400 counts, expected 100."""
        n, mean = 400, 100.0
        radius = (3 * mean / (4 * math.pi * INTENSITY)) ** (1 / 3)
        counts = np.array([len(poisson_seeds(INTENSITY, radius, 11, i)[0]) for i in range(n)])
        assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / n)
        # The fourth central moment of Poisson's law is mean + 3 mean^2.
        assert abs(counts.var() - mean) < 4 * math.sqrt((mean + 2 * mean**2) / n)

    def test_places_are_uniform_in_the_ball(self):
        radius = 6000.0
        points, radii = poisson_seeds(INTENSITY, radius, 12, 0)
        assert len(points) > 12000
        assert stats.kstest((radii / radius) ** 3, stats.uniform.cdf).pvalue > 1e-4
        assert np.linalg.norm(points, axis=1) == pytest.approx(radii, rel=1e-6)
        directions = points / radii[:, None]
        for axis in range(3):
            assert stats.kstest((directions[:, axis] + 1) / 2, stats.uniform.cdf).pvalue > 1e-4
        angles = np.arctan2(directions[:, 1], directions[:, 2]) / (2 * math.pi) + 0.5
        assert stats.kstest(angles, stats.uniform.cdf).pvalue > 1e-4

    def test_disjoint_shells_are_independent(self):
        """Correlation of the counts in the inner and the outer half of a ball, 400 balls."""
        inner, outer = [], []
        for i in range(400):
            _, radii = poisson_seeds(INTENSITY, 2000.0, 13, i)
            inner.append(np.count_nonzero(radii**3 < 4e9))
            outer.append(np.count_nonzero(radii**3 >= 4e9))
        assert abs(np.corrcoef(inner, outer)[0, 1]) < 4 / math.sqrt(400)


class TestWindows:
    def test_a_larger_window_only_appends(self, model):
        small, large = model.draw(2500.0, 3, 4), model.draw(4500.0, 3, 4)
        assert 800 < len(small.gammas) < len(large.gammas) - 2000
        for few, many in zip(parts(small), parts(large), strict=True):
            assert few.dtype == np.float32
            assert np.array_equal(few, many[: len(few)])

    def test_the_nearest_to_the_centre_are_those_of_a_smaller_window(self, model):
        small, large = model.draw(2500.0, 3, 4), model.draw(3500.0, 3, 4).nearest_to_centre(2500.0)
        for few, cut in zip(parts(small), parts(large), strict=True):
            assert np.array_equal(few, cut)

    def test_a_window_without_seeds(self, model):
        assert len(model.draw(0.0, 3).gammas) == 0

    def test_bits_do_not_depend_on_threads(self, model):
        threads = thread_count()
        try:
            set_thread_count(1)
            one = model.draw(5500.0, 5)
            set_thread_count(2)
            two = model.draw(5500.0, 5)
        finally:
            set_thread_count(threads)
        assert len(one.gammas) > 8192
        for a, b in zip(parts(one), parts(two), strict=True):
            assert np.array_equal(a, b)

    def test_items_differ(self, model):
        first, other, reseeded = model.draw(2000.0, 3, 0), model.draw(2000.0, 3, 1), model.draw(2000.0, 4, 0)
        assert not np.isin(first.seeds_nm, other.seeds_nm).any()
        assert not np.isin(first.seeds_nm, reseeded.seeds_nm).any()

    @pytest.mark.parametrize("radius", [-1.0, math.nan, math.inf])
    def test_an_impossible_radius_is_refused(self, model, radius):
        with pytest.raises(InputError, match=r"^radius_nm: found"):
            model.draw(radius, 3)


class TestNearest:
    def test_the_tree_of_scipy(self):
        rng = np.random.default_rng(2)
        clusters = rng.standard_normal((40, 3))[rng.integers(0, 40, 3000)] * 1e4
        for points in (rng.random((3000, 3)), clusters + rng.standard_normal((3000, 3)), rng.random((3000, 3)) ** 4):
            rows, farthest = nearest(points, 12)
            distance, expected = cKDTree(points).query(points, 13)
            assert np.array_equal(rows, expected[:, 1:])
            assert farthest == pytest.approx(distance[:, -1])

    @settings(max_examples=150, deadline=None)
    @given(arrays(np.float64, st.tuples(st.integers(6, 60), st.just(3)), elements=st.integers(0, 4)), st.integers(1, 5))
    def test_ties_go_to_the_lowest_row(self, points, k):
        """Points on a small grid: many at equal distances, many in one place, planes, lines."""
        rows, farthest = nearest(points, k)
        for i, point in enumerate(points):
            squared = ((points - point) ** 2).sum(axis=1)
            expected = [j for j in np.argsort(squared, kind="stable") if j != i][:k]
            assert rows[i].tolist() == expected
            assert farthest[i] == math.sqrt(squared[expected[-1]])

    def test_an_outlier_finds_all_others(self):
        points = np.random.default_rng(3).random((500, 3))
        points[7] = 300.0
        rows, _ = nearest(points, 12, 10)
        assert rows.shape == (10, 12)
        _, expected = cKDTree(points).query(points[:10], 13)
        assert np.array_equal(rows, expected[:, 1:])

    def test_too_few_points_are_refused(self):
        with pytest.raises(InputError, match="found 12, expected more than k = 12"):
            nearest(np.zeros((12, 3)), 12)
