"""Mergeable statistics, refereed by exact fractions, numpy, and the same values in other parts and orders."""

import itertools
import json
import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmcdist.descriptors import grains, sections
from nmcdist.descriptors.summaries import (
    GRAIN_EDGES,
    PARTICLE_EDGES,
    RADIUS_EDGES_NM,
    SECTION_EDGES,
    ColumnSummary,
    Histogram,
    Moments,
    linear_edges,
    log_edges,
    merge_all,
    summarize,
)
from nmcdist.errors import InputError

# Squares keep all their bits down to 2^-128.
values = st.floats(-1e30, 1e30).filter(lambda v: v == 0 or abs(v) > 1e-3)
EDGES = linear_edges(-3, 3, 13)


def same_bits(a, b):
    a, b = a.to_arrays(), b.to_arrays()
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes() for k in a
    )


class TestMoments:
    @settings(max_examples=200, deadline=None)
    @given(st.lists(values, min_size=2, max_size=30))
    def test_mean_and_variance_are_the_exact_ones_rounded_once(self, sample):
        exact = [Fraction(v) for v in sample]
        found = Moments.of(sample)
        assert (found.count, found.minimum, found.maximum) == (len(sample), min(sample), max(sample))
        assert found.mean[0] == float(sum(exact) / len(exact))
        assert found.variance[0] == float(statistics.variance(exact))
        assert found.sd[0] == math.sqrt(found.variance[0])

    def test_no_cancellation(self):
        """Two values a nanometre apart at 10^15, where one pass in floating point gives a variance of 0 or less."""
        assert Moments.of([1e15, 1e15 + 1]).variance[0] == 0.5

    def test_opposite_values_sum_to_nothing(self):
        found = Moments.of([1e30, 1.0, -1e30])
        assert found.mean[0] == 1 / 3

    def test_values_below_the_unit_are_cut_off(self):
        found = Moments.of([1e-60, 5e-324, 1e-39])
        assert 0 <= found.mean[0] <= 1e-39

    def test_groups(self):
        rng = np.random.default_rng(60)
        sample, group = rng.normal(size=500), rng.integers(-1, 4, 500)
        found = Moments.of(sample, group, 5)
        for k in range(4):
            assert found.count[k] == (group == k).sum()
            assert found.mean[k] == pytest.approx(sample[group == k].mean(), rel=1e-12)
            assert found.sd[k] == pytest.approx(sample[group == k].std(ddof=1), rel=1e-12)
        assert (found.count[4], found.minimum[4]) == (0, np.inf)
        assert np.isnan([found.mean[4], found.variance[4]]).all()

    def test_zeros_have_no_sign(self):
        ways = [Moments.of([0.0, -0.0]), Moments.of([-0.0, 0.0]), Moments.of([-0.0]).merge(Moments.of([0.0]))]
        assert {(m.minimum.tobytes(), m.maximum.tobytes()) for m in ways} == {(bytes(8), bytes(8))}

    def test_missing_values_are_counted_apart(self):
        found = Moments.of([1.0, np.nan, 3.0, np.nan])
        assert (found.count, found.missing, found.mean) == (2, 2, 2)


class TestHistogram:
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.floats(-5, 5) | st.sampled_from([-3.0, 3.0, float(EDGES[4])]), max_size=40))
    def test_counts_are_numpys(self, sample):
        found = Histogram.of(sample, EDGES)
        assert found.count.tolist() == np.histogram(sample, EDGES)[0].tolist()
        assert (found.below, found.above) == (sum(v < -3 for v in sample), sum(v > 3 for v in sample))
        assert found.total == len(sample)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.floats(-4, 4), min_size=1, max_size=40), st.floats(0, 1))
    def test_quantiles_lie_in_their_bounds(self, sample, share):
        """The smallest value that a share of all do not exceed, by sorting; exact in the share."""
        exact = sorted(sample)[max(0, math.ceil(Fraction(share) * len(sample)) - 1)]
        found = Histogram.of(sample, EDGES)
        low, high = found.quantile_bounds(share)
        assert low <= exact <= high
        if -3 <= exact <= 3:
            assert abs(found.quantile(share) - exact) <= 6 / 13 / 2 + 1e-12

    def test_median_of_a_log_normal_law(self):
        """exp(2) within half a bin of 20 a decade (6 %) and 4 standard errors, 1.25 / sqrt(10^5) in the logarithm."""
        sample = np.random.default_rng(61).lognormal(2, 1, 100_000)
        found = Histogram.of(sample, log_edges(1e-3, 1e5, 20)).quantile(0.5)
        assert np.log(found) == pytest.approx(2, abs=np.log(10) / 40 + 4 * 1.2533 / np.sqrt(100_000))

    def test_missing_values_and_nothing(self):
        found = Histogram.of([np.nan, 1.0], EDGES)
        assert found.total == 1
        assert np.isnan(Histogram.of([], EDGES).quantile(0.5))


class TestMerging:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(values | st.just(math.nan), max_size=40), st.randoms(use_true_random=False))
    def test_parts_in_any_order_give_the_same_bits(self, sample, random):
        """One pass against parts of random size, shuffled and merged as a random tree."""
        radius = [abs(hash(v)) % 25_000 for v in map(str, range(len(sample)))]

        def summary(rows):
            return ColumnSummary.of([sample[k] for k in rows], EDGES, [radius[k] for k in rows])

        rows, parts = list(range(len(sample))), [summary([])]
        random.shuffle(rows)
        while rows:
            cut = random.randint(1, len(rows))
            parts.append(summary(rows[:cut]))
            rows = rows[cut:]
        while len(parts) > 1:
            random.shuffle(parts)
            parts.append(parts.pop().merge(parts.pop()))
        assert same_bits(parts[0], summary(range(len(sample))))

    def test_floating_point_sums_would_differ(self):
        """The same bits from 300 parts forwards and backwards, of values whose float sums depend on the order."""
        sample = np.random.default_rng(62).lognormal(10, 3, 30_000)
        parts = [{"v": ColumnSummary.of(p, EDGES)} for p in np.split(sample, 300)]
        assert math.fsum(sample) / len(sample) == merge_all(parts)["v"].moments.mean[0]
        assert same_bits(merge_all(parts)["v"], merge_all(parts[::-1])["v"])

    def test_tables_with_different_columns(self):
        a, b = summarize({"x": [1.0, 2.0]}, {"x": EDGES}), summarize({"x": [3.0], "y": [4.0]}, {"x": EDGES, "y": EDGES})
        merged = merge_all([a, b])
        assert merged["x"].moments.mean == 2
        assert merged["y"].moments.count == 1
        assert merge_all([]) == {}

    def test_other_bins_are_refused(self):
        a = ColumnSummary.of([1.0], EDGES)
        with pytest.raises(InputError, match="histogram: found other bins"):
            a.merge(ColumnSummary.of([1.0], linear_edges(0, 1, 13)))
        with pytest.raises(InputError, match="profile: found other radii"):
            a.merge(ColumnSummary.of([1.0], EDGES, None, linear_edges(0, 1, 13)))
        with pytest.raises(InputError, match="moments: found 2 groups, expected 1"):
            Moments.empty(1).merge(Moments.empty(2))


class TestProfile:
    def test_bins_by_radius_against_masks(self):
        rng = np.random.default_rng(63)
        sample, radius = rng.normal(size=1000), rng.random(1000) * 25_000
        radius[:3] = 0, 20_000, np.nan
        profile = ColumnSummary.of(sample, EDGES, radius).profile
        for k, (low, high) in enumerate(itertools.pairwise(RADIUS_EDGES_NM)):
            inside = sample[(radius >= low) & ((radius < high) | ((radius == 20_000) & (high == 20_000)))]
            assert profile.count[k] == len(inside)
            assert profile.mean[k] == pytest.approx(inside.mean(), rel=1e-12)
            assert profile.sd[k] == pytest.approx(inside.std(ddof=1), rel=1e-9)

    def test_without_radii_it_is_empty(self):
        assert ColumnSummary.of([1.0], EDGES).profile.count.sum() == 0


class TestState:
    def test_arrays_there_and_back(self):
        rng = np.random.default_rng(64)
        first = ColumnSummary.of(rng.normal(size=50), EDGES, rng.random(50) * 1e4)
        assert same_bits(ColumnSummary.from_arrays(first.to_arrays()), first)
        through = json.loads(json.dumps({k: v.tolist() for k, v in first.to_arrays().items()}))
        assert same_bits(ColumnSummary.from_arrays(through), first)

    def test_a_missing_array_is_named(self):
        arrays = ColumnSummary.of([1.0], EDGES).to_arrays()
        for name in arrays:
            with pytest.raises(InputError, match=f"arrays: found no {name},"):
                ColumnSummary.from_arrays({k: v for k, v in arrays.items() if k != name})

    def test_only_integers_are_summed(self):
        floats = {k for k, v in ColumnSummary.of([1.0], EDGES).to_arrays().items() if v.dtype != np.int64}
        assert floats == {
            "histogram/edges", "profile/edges", "moments/minimum", "moments/maximum", "profile/minimum",
            "profile/maximum",
        }  # fmt: skip


class TestTables:
    def test_bins_are_of_columns_that_exist(self):
        assert set(GRAIN_EDGES) <= set(grains.COLUMNS)
        assert set(SECTION_EDGES) - {"chord_length_nm"} <= set(sections.COLUMNS)
        assert set(grains.PACKING) & set(PARTICLE_EDGES)

    def test_a_described_particle_falls_into_the_bins(self):
        labels = np.random.default_rng(65).integers(0, 300, (4, 4, 4)).repeat(5, 0).repeat(5, 1).repeat(5, 2)
        table = grains.describe_grains(labels, 50.0)
        found = summarize(table, GRAIN_EDGES, table.radius_nm)
        assert list(found) == list(GRAIN_EDGES)
        for name, column in found.items():
            outside = {"surface_area_nm2": (table.surface_area_nm2 == 0).sum()}.get(name, 0)
            assert (column.histogram.below, column.histogram.above) == (outside, 0), name
            assert column.profile.count.sum() == column.moments.count

    def test_edges(self):
        assert linear_edges(0, 1, 4).tolist() == [0, 0.25, 0.5, 0.75, 1]
        assert log_edges(1, 100, 2) == pytest.approx([1, 10**0.5, 10, 10**1.5, 100])
        for edges in (*GRAIN_EDGES.values(), *SECTION_EDGES.values(), *PARTICLE_EDGES.values()):
            assert (np.diff(edges) > 0).all()


class TestBadInput:
    def test_values(self):
        with pytest.raises(InputError, match=r"values: found inf, expected numbers below 2\^127"):
            Moments.of([1.0, -np.inf])
        with pytest.raises(InputError, match="values: found dtype <U1"):
            Histogram.of(["a"], EDGES)

    @pytest.mark.parametrize("edges", [[1.0], [1.0, 1.0], [2.0, 1.0], [[0.0, 1.0]], [0.0, np.nan]])
    def test_edges(self, edges):
        with pytest.raises(InputError, match=r"edges: found .* expected two or more ascending numbers"):
            Histogram.of([1.0], edges)

    def test_groups_and_radii(self):
        with pytest.raises(InputError, match="group: found 1 numbers, expected one for each of 2 values"):
            Moments.of([1.0, 2.0], [0])
        with pytest.raises(InputError, match=r"group: found 0 to 3, expected -1 to 2"):
            Moments.of([1.0, 2.0], [0, 3], 3)
        with pytest.raises(InputError, match="radius_nm: found 1 radii, expected one for each of 2 values"):
            ColumnSummary.of([1.0, 2.0], EDGES, [0.0])
        with pytest.raises(InputError, match=r"share: found 1\.5"):
            Histogram.of([1.0], EDGES).quantile(1.5)
