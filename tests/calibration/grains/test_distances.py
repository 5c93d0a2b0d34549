"""Distances of samples: against scipy, closed forms and the law of the noise floor."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from nmcdist.calibration.grains.comparison import distance_rows
from nmcdist.calibration.grains.distances import (
    distances,
    kolmogorov_smirnov,
    noise_floor,
    profile_distance,
    wasserstein,
)
from nmcdist.calibration.grains.results import DistanceRow
from nmcdist.errors import InputError


class TestDistancesAgainstTheory:
    def test_of_shifted_uniform_values_is_the_shift(self):
        grid, shift = (np.arange(1024) + 0.5) / 1024, 37 / 1024
        assert kolmogorov_smirnov(grid + shift, grid) == pytest.approx(shift)
        assert wasserstein(grid + shift, grid) == pytest.approx(shift)

    def test_of_a_stretched_uniform_law(self):
        grid = (np.arange(4000) + 0.5) / 4000
        # |x / 2 - x| is largest at x = 1, and its integral over [0, 2], 1 - x / 2 from 1 on, is 1/2.
        assert kolmogorov_smirnov(2 * grid, grid) == pytest.approx(0.5, abs=1e-3)
        assert wasserstein(2 * grid, grid) == pytest.approx(0.5, abs=1e-3)

    def test_standard_deviations_of_the_truth_are_the_unit(self):
        grid = 12.0 * (np.arange(1000) + 0.5) / 1000
        found = distances({"volume_nm3": grid + 1.2}, {"volume_nm3": grid})["volume_nm3"]
        assert found.wasserstein_own == pytest.approx(1.2)
        assert found.wasserstein == pytest.approx(0.1 * math.sqrt(12), rel=1e-4)
        assert (found.n_found, found.n_truth, found.profile_ks) == (1000, 1000, None)

    def test_what_only_the_radius_tells_apart_shows_in_the_profile(self):
        grid = (np.arange(1000) + 0.5) / 1000
        radius = np.repeat([1.0, 2.0], 1000)
        truth = {"elongation": np.tile(grid, 2), "radius_nm": radius}
        found = {"elongation": np.concatenate([grid / 2, 0.5 + grid / 2]), "radius_nm": radius}
        distance = distances(found, truth, bins=2)["elongation"]
        assert distance.ks == pytest.approx(0.0, abs=1e-3)
        assert distance.profile_ks == pytest.approx(0.5, abs=1e-3)
        assert distance.profile_wasserstein == pytest.approx(0.25 * math.sqrt(12), rel=1e-3)

    def test_bins_count_by_what_the_truth_has_in_them(self):
        truth, radius = np.array([1.0, 2.0, 3.0, 3.0, 3.0]), np.arange(5.0)
        # Two of the truth in the first bin, where the two agree, and three in the second, where they are 4 apart.
        found, others = np.array([1.0, 2.0, 7.0]), np.array([0.5, 1.5, 9.0])
        assert profile_distance(found, others, truth, radius, 2) == pytest.approx((3 / 5, 4 * 3 / 5))


class TestDistancesAgainstScipy:
    @settings(max_examples=100, deadline=None)
    @given(*(st.lists(st.integers(-9, 9), min_size=1, max_size=40),) * 2)
    def test_with_ties(self, found, truth):
        a, b = np.array(found, float), np.array(truth, float)
        counted = max(abs((a <= x).mean() - (b <= x).mean()) for x in range(-9, 10))
        assert kolmogorov_smirnov(a, b) == pytest.approx(counted)
        assert wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b))

    def test_without_ties(self):
        rng = np.random.default_rng(1)
        a, b = rng.gamma(2.0, size=900), rng.normal(size=1300)
        assert kolmogorov_smirnov(a, b) == pytest.approx(ks_2samp(a, b, method="asymp").statistic)
        assert wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b))

    def test_bin_by_bin(self):
        rng = np.random.default_rng(2)
        radius, others = rng.permutation(1000.0 + np.arange(600)), rng.uniform(800, 1800, 900)
        truth, found = rng.normal(radius, 300), rng.normal(others, 200)
        order = np.argsort(radius).reshape(4, 150)
        cuts = [-np.inf, *(radius[order[1:, 0]] - 0.5), np.inf]
        bins = [(others > a) & (others < b) for a, b in pairwise(cuts)]
        ks, area = profile_distance(found, others, truth, radius, 4)
        pairs = [(found[here], truth[there]) for here, there in zip(bins, order, strict=True)]
        assert ks == pytest.approx(np.mean([ks_2samp(*pair, method="asymp").statistic for pair in pairs]))
        assert area == pytest.approx(np.mean([wasserstein_distance(*pair) for pair in pairs]))


class TestSamples:
    def test_undefined_angles_are_left_out_with_their_radius(self):
        truth = {"angle_to_radius": np.array([0.1, np.nan, 0.3, 0.4]), "radius_nm": np.arange(4.0)}
        found = {"angle_to_radius": np.array([np.nan, 0.2, 0.3]), "radius_nm": np.arange(3.0)}
        distance = distances(found, truth, bins=1)["angle_to_radius"]
        assert (distance.n_found, distance.n_truth) == (2, 3)
        assert distance.ks == pytest.approx(1 / 3) and distance.profile_ks == pytest.approx(1 / 3)

    def test_a_bin_without_values_leaves_no_profile(self):
        truth = {"elongation": np.arange(8.0), "radius_nm": np.arange(8.0)}
        found = {"elongation": np.arange(2.0), "radius_nm": np.zeros(2)}
        distance = distances(found, truth, bins=4)["elongation"]
        assert distance.profile_ks is None and distance.profile_wasserstein is None
        assert distance.ks == pytest.approx(0.75)

    @pytest.mark.parametrize(
        ("found", "truth", "message"),
        [
            ({}, {"elongation": np.arange(3.0)}, "found: lacks 'elongation'"),
            ({"elongation": np.full(2, np.nan)}, {"elongation": np.arange(3.0)}, "found: found no values of 'elong"),
            ({"elongation": np.arange(3.0)}, {"elongation": np.empty(0)}, "truth: found no values of 'elongation'"),
            ({"elongation": np.arange(3.0)}, {"elongation": np.ones(3)}, "truth: found 'elongation' always 1"),
        ],
    )
    def test_that_cannot_be_compared_are_refused(self, found, truth, message):
        with pytest.raises(InputError, match=message):
            distances(found, truth)

    def test_without_numbers_are_refused(self):
        with pytest.raises(InputError, match="truth: found shape"):
            wasserstein(np.arange(3.0), np.array([np.inf]))
        with pytest.raises(InputError, match="found_radius: found shape"):
            profile_distance(np.arange(3.0), np.arange(2.0), np.arange(3.0), np.arange(3.0))


class TestNoiseFloor:
    def draw(self, first, count):
        """Uniform values, shifted by the square of the first index."""
        self.asked.append((first, count))
        return {"elongation": (np.arange(1024) + 0.5 + first**2) / 1024}

    def test_is_mean_and_largest_over_pairs_that_share_nothing(self):
        self.asked = []
        floor = noise_floor(self.draw, (2, 3), repetitions=3)["elongation"]
        assert self.asked == [(0, 2), (2, 3), (5, 2), (7, 3), (10, 2), (12, 3)]
        # The squares differ by 4, 24 and 44.
        assert floor.ks == pytest.approx(24 / 1024) and floor.ks_largest == pytest.approx(44 / 1024)
        assert floor.wasserstein == pytest.approx(24 / 1024 * math.sqrt(12), rel=1e-4)
        assert floor.wasserstein_largest == pytest.approx(44 / 1024 * math.sqrt(12), rel=1e-4)
        assert floor.profile_ks is None and floor.repetitions == 3

    def test_of_profiles_falls_with_the_root_of_the_size(self):
        def draw(size):
            def one(first, count):
                rng = np.random.default_rng([size, first])
                return {"elongation": rng.random(size * count), "radius_nm": rng.random(size * count)}

            return noise_floor(one, (1, 1), repetitions=20)["elongation"]

        small, large = draw(500), draw(8000)
        assert small.profile_ks / large.profile_ks == pytest.approx(4.0, rel=0.2)
        # Of two samples of n each the mean of the largest difference is 0.8687 sqrt(2 / n).
        assert large.ks == pytest.approx(0.8687 * math.sqrt(2 / 8000), rel=4 * 0.30 / math.sqrt(20))

    def test_needs_a_repetition(self):
        with pytest.raises(InputError, match="repetitions: found 0"):
            noise_floor(self.draw, (1, 1), repetitions=0)


def test_the_table_is_json_and_says_how_many_times_farther_the_baselines_are():
    rng = np.random.default_rng(4)
    truth, other = ({"elongation": rng.random(500), "radius_nm": rng.random(500)} for _ in range(2))
    far = {"elongation": truth["elongation"] + 0.5, "radius_nm": truth["radius_nm"]}
    floor = noise_floor(lambda first, count: [truth, other][first], (1, 1), repetitions=1)
    baselines = {"voronoi": distances(far, truth), "itself": distances(truth, truth)}
    (made,) = distance_rows("2D", distances(other, truth), floor, baselines, {})
    row = json.loads(made.model_dump_json())
    assert DistanceRow.model_validate(row) == made
    assert (row["descriptor"], row["dimension"], row["unit"]) == ("elongation", "2D", "1")
    assert row["voronoi_times"] == pytest.approx(row["voronoi_w1"] / row["w1"])
    assert row["itself_w1"] == 0.0 and row["itself_times"] == 0.0
    assert row["floor_ks"] == row["floor_ks_largest"] > 0 and row["profile_ks"] > row["ks"] > 0
    (itself,) = distance_rows("2D", distances(truth, truth), floor, baselines, {})
    assert itself.baselines["voronoi"].times is None
    assert distance_rows("3D", {}, floor, {}, {}) == []
