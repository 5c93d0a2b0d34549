"""Intervals against textbook formulas, and none where draws do not tell their own scatter."""

import numpy as np
import pytest
from scipy import stats

from nmcdist.descriptors.summaries import Histogram, linear_edges
from nmcdist.report.intervals import jackknife, mean_from_moments, mean_of, median_bounds, ratio_of

DRAWS = np.array([0.21, 0.34, 0.28, 0.25, 0.31])


def test_interval_of_five_draws_is_students():
    found = mean_of(DRAWS)
    expected = stats.t.interval(0.95, df=4, loc=DRAWS.mean(), scale=stats.sem(DRAWS))
    assert found.bounds == pytest.approx(expected, rel=1e-12)
    assert (found.value, found.number) == (pytest.approx(0.278), "5")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_draws_or_fewer_have_no_interval(count):
    found = mean_of(DRAWS[:count])
    assert found.bounds is None
    assert found.number == str(count)


def test_draws_that_are_all_the_same_have_no_interval():
    assert mean_of(np.full(6, 0.1)).bounds is None


def test_draws_without_a_value_do_not_count_and_are_named():
    found = mean_of(np.array([0.21, np.nan, 0.34, np.inf, 0.28]))
    assert found.bounds == pytest.approx(stats.t.interval(0.95, 2, 0.83 / 3, stats.sem([0.21, 0.34, 0.28])))
    assert found.number == "3 of 5"
    assert mean_of(np.array([0.21, np.nan, 0.34])).bounds is None


def test_moments_give_the_same_interval_as_the_draws():
    moments = {"count": 5, "missing": 1, "mean": DRAWS.mean(), "sd": DRAWS.std(ddof=1)}
    found = mean_from_moments(moments)
    assert found.bounds == pytest.approx(mean_of(DRAWS).bounds)
    assert found.number == "5 of 6"


def test_groups_of_equal_size_are_draws_of_their_means():
    """Leaving out one of n equal groups is Student's t of the group means, whatever their members share."""
    found = ratio_of(DRAWS * 40, np.full(5, 40))
    assert found.bounds == pytest.approx(mean_of(DRAWS).bounds, rel=1e-10)


def test_one_group_with_all_members_has_no_interval():
    assert ratio_of(np.array([5.0, 0.0, 0.0]), np.array([10, 0, 0])).bounds is None
    assert ratio_of(np.array([5.0, 7.0]), np.array([10, 12])).bounds is None
    assert np.isnan(ratio_of(np.zeros(3), np.zeros(3)).value)


def test_jackknife_of_a_mean_is_its_t_interval():
    margin = jackknife(lambda kept: np.array([DRAWS[kept].mean()]), 5)
    assert margin[0] == pytest.approx(mean_of(DRAWS).margin)
    assert np.isnan(jackknife(lambda kept: np.array([DRAWS[:2][kept].mean()]), 2)).all()


@pytest.mark.parametrize(("count", "ranks"), [(6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (12, (3, 10)), (20, (6, 15))])
def test_interval_of_a_median_lies_between_the_ranks_of_the_tables(count, ranks):
    """Ranks as tabulated for the sign test at 95 %, e.g. Conover, Practical Nonparametric Statistics, Table A3."""
    values = np.arange(1, count + 1) + 0.5
    low, high = median_bounds(Histogram.of(values, linear_edges(0, 30, 30)))
    assert (low, high) == (ranks[0] + 0.5, ranks[1] + 0.5)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_median_of_fewer_than_six_has_no_interval(count):
    assert median_bounds(Histogram.of(np.arange(count) + 0.5, linear_edges(0, 30, 30))) is None
