"""The regressions recover laws that they are given, and refuse what they cannot fit."""

import numpy as np
import pytest

from nmcdist.report import published
from nmcdist.report.fits import LinearFit, PowerLaw, fit_linear, fit_power_law

GRAPHITE = np.repeat(list(published.TABLE_3.values()), 2)


def test_linear_fit_recovers_a_line_and_ignores_missing_values():
    values = LinearFit(0.5588, -0.02061)(GRAPHITE)
    values[3] = np.nan
    fit = fit_linear(GRAPHITE, values)
    assert (fit.slope, fit.intercept) == pytest.approx((0.5588, -0.02061))


def test_linear_fit_needs_two_levels():
    assert fit_linear(np.array([0.1, 0.1]), np.array([1.0, 2.0])) is None


def test_power_law_is_recovered():
    rng = np.random.default_rng(1)
    epsilon, beta, tau = rng.uniform(0.3, 0.7, 20), rng.uniform(0.2, 0.5, 20), rng.uniform(1.05, 1.4, 20)
    law = PowerLaw(2.1939, 0.3, 5.0152)
    fit = fit_power_law(epsilon, beta, tau, law(epsilon, beta, tau))
    assert (fit.a, fit.b, fit.c) == pytest.approx((2.1939, 0.3, 5.0152), rel=1e-4)


def test_power_law_leaves_out_what_does_not_percolate():
    ones = np.ones(4)
    assert fit_power_law(ones, ones, np.array([1.1, 1.2, np.nan, np.nan]), ones) is None


def test_published_lines_meet_the_published_values_at_the_calibrated_level():
    """The paper's lines and its single values agree to 0.01 and 0.015: the scatter of the points about the lines."""
    for phase, bound in (("solid", 0.01), ("pore", 0.015)):
        line = float(published.LINEAR[phase](published.CALIBRATED_GRAPHITE))
        assert line == pytest.approx(published.M_FACTOR_MODEL[phase], abs=bound)
