"""Grains per area by distance: against brute force, against Poisson counts, and the intensity that they ask for."""

import itertools
import math

import numpy as np
import pytest

from nmcdist.calibration.grains.counts import (
    AIM,
    CountedGrains,
    bin_edges,
    choose_knots,
    compare_counts,
    contradicts,
    count_grains,
    hats,
)
from nmcdist.calibration.grains.phantom import phantom_bundles, phantom_sections
from nmcdist.calibration.grains.results import Count
from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import InputError

AXES = ("radial_scale_inner", "radial_scale_outer", "tangential_scale_inner", "tangential_scale_outer")
VORONOI = {**dict.fromkeys(AXES, 1.0), "scale_noise": 0.0, "offset_range_nm2": 0.0}


def voronoi_sections(count, **changes):
    bundle = phantom_bundles()["radial"].with_parameters(**VORONOI, **changes)
    return bundle.parameters, phantom_sections(bundle, 11, count, missing=0.0)


class TestCounting:
    def test_grains_and_areas_are_those_of_brute_force(self):
        rng = np.random.default_rng(1)
        labels = np.kron(rng.permutation(16).reshape(4, 4) + 1, np.ones((5, 5), int)).astype(np.int32)
        labels[:3] = 0
        section = Section("s", labels, 100.0, (9.0, 11.0))
        edges = np.array([0.0, 500.0, 900.0, 2000.0])
        found = count_grains([section], edges)
        places = [(y, x) for y in range(20) for x in range(20) if labels[y, x]]
        away = [math.hypot(y - 9.0, x - 11.0) * 100.0 for y, x in places]
        grains = [np.argwhere(labels == g).mean(axis=0) for g in np.unique(labels[labels > 0])]
        middles = [math.hypot(y - 9.0, x - 11.0) * 100.0 for y, x in grains]
        for k, (low, high) in enumerate(itertools.pairwise(edges)):
            assert found.areas_nm2[0, k] == 1e4 * sum(low <= r < high for r in away)
            assert found.grains[0, k] == sum(low <= r < high for r in middles)

    def test_the_last_bin_holds_enough_grains_and_everything(self):
        _, sections = voronoi_sections(2)
        edges = bin_edges(sections)
        counts = count_grains(sections, edges)
        assert counts.grains.sum() == sum(len(np.unique(s.labels)) - 1 for s in sections)
        assert counts.grains.sum(axis=0)[-1] >= 30
        assert (np.diff(edges)[:-1] == 1000.0).all()

    def test_sections_without_a_grain_are_refused(self):
        with pytest.raises(InputError, match="found no grain"):
            bin_edges([Section("s", np.zeros((4, 4), np.int32), 50.0, (1.5, 1.5))])

    def test_weights_of_knots_sum_to_one_and_are_linear(self):
        weights = hats((0.0, 10.0, 40.0), np.array([-1.0, 0.0, 5.0, 10.0, 25.0, 40.0, 99.0]))
        assert weights.sum(axis=1) == pytest.approx(np.ones(7))
        assert weights[2].tolist() == [0.5, 0.5, 0.0]
        assert weights[4].tolist() == [0.0, 0.5, 0.5]
        assert weights[0].tolist() == [1.0, 0.0, 0.0]


class TestIntervals:
    MEANS = np.array([15.0, 40.0, 70.0, 100.0, 90.0])

    def rows(self, rng, sections, factor=1.0, spread=1.0):
        """Counts of sections, and three draws of the same law times a factor; `spread` is variance over mean."""
        edges, areas = np.arange(6) * 1000.0, np.full((sections, 5), 1e6)

        def draw(factor):
            return spread * rng.poisson(factor * self.MEANS / spread, (sections, 5))

        generated = [CountedGrains(edges, draw(factor).astype(float), areas) for _ in range(3)]
        return compare_counts(CountedGrains(edges, draw(1.0).astype(float), areas), generated)

    @pytest.mark.parametrize("spread", [0.25, 1.0, 4.0])
    def test_hold_together_as_often_as_they_say(self, spread):
        """600 comparisons of a law with itself, 6 sections: 5 % lie outside, bound 4 standard errors."""
        rng, n = np.random.default_rng(7), 600
        outside = [any(abs(row.ratio - 1) > row.error for row in self.rows(rng, 6, spread=spread)) for _ in range(n)]
        assert np.mean(outside) == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / n))

    def test_a_law_that_is_a_third_off_is_contradicted(self):
        rows = self.rows(np.random.default_rng(8), 6, factor=1.35)
        assert sum(map(contradicts, rows)) >= 3
        assert rows[3].ratio == pytest.approx(1.35, abs=rows[3].error)

    def test_differences_below_the_aim_are_none(self):
        def row(ratio, error=0.01):
            return Count(from_nm=0.0, to_nm=1.0, generated=ratio, ratio=ratio, error=error)

        assert not contradicts(row(1 + 0.9 * AIM))
        assert contradicts(row(1 + 1.1 * AIM))
        assert not contradicts(row(1.5, None))

    @pytest.mark.parametrize("sections", [1, 2])
    def test_there_are_none_with_two_sections(self, sections):
        rows = self.rows(np.random.default_rng(9), sections, factor=3.0)
        assert all(row.error is None and row.ratio > 1 for row in rows)


class TestKnots:
    def test_voronoi_grains_of_a_constant_intensity_ask_for_one_knot(self):
        """6 sections; the intensity is that of the grains that pixels show, 3 % fewer or so."""
        p, sections = voronoi_sections(6)
        knots = choose_knots(sections)
        assert knots.profile.knots == (0.0,)
        assert knots.profile.values[0] == pytest.approx(p.grain_intensity_per_nm3, rel=0.1)

    def test_voronoi_grains_that_grow_denser_outwards_ask_for_the_law_that_they_have(self):
        """12 sections, 60 grains in the first micrometre: an error of 10 % in the intensity there, 4 % beyond."""
        p, sections = voronoi_sections(
            12, grain_intensity_knots_nm=(0.0, 4800.0), grain_intensity_factors=(0.5, 2.0)
        )  # fmt: skip
        found = choose_knots(sections).profile
        assert len(found.knots) > 1
        for distance, bound in ((800.0, 0.3), (2000.0, 0.15), (3000.0, 0.15), (4000.0, 0.15)):
            expected = p.grain_intensity_per_nm3 * np.interp(distance, (0.0, 4800.0), (0.5, 2.0))
            assert float(found.at(distance)) == pytest.approx(expected, rel=bound)
