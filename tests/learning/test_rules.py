import numpy as np
import pytest

from nmcdist.descriptors.transport import effective_conductivity
from nmcdist.errors import InputError
from nmcdist.learning.rules import (
    LinearRule,
    PowerRule,
    bruggeman,
    hashin_shtrikman_bounds,
    wiener_bounds,
)

CONDUCTIVITIES = (0.01, 1.0, 0.3)


def test_laminates_reach_the_bounds_of_wiener():
    labels = np.zeros((12, 12, 12), dtype=np.uint8)
    labels[3:7], labels[7:] = 1, 2
    fractions = [[3 / 12, 4 / 12, 5 / 12]]
    low, high = wiener_bounds(fractions, CONDUCTIVITIES)
    named = dict(enumerate(CONDUCTIVITIES))
    assert effective_conductivity(labels, named, axis=0) == pytest.approx(low[0], rel=1e-5)
    assert effective_conductivity(labels, named, axis=1) == pytest.approx(high[0], rel=1e-5)


def test_bounds_of_two_phases_are_those_of_the_textbook():
    eps = np.array([0.1, 0.5, 0.9])
    both = np.column_stack([eps, 1 - eps])
    low, high = hashin_shtrikman_bounds(both, (1.0, 0.0))
    np.testing.assert_allclose(high, 2 * eps / (3 - eps))  # Maxwell: insulating spheres in a conductor
    np.testing.assert_allclose(low, 0, atol=1e-15)
    s1, s2 = 1.0, 0.2
    low, high = hashin_shtrikman_bounds(both, (s1, s2))
    f1, f2 = both.T
    np.testing.assert_allclose(high, s1 + f2 / (1 / (s2 - s1) + f1 / (3 * s1)))
    np.testing.assert_allclose(low, s2 + f1 / (1 / (s1 - s2) + f2 / (3 * s2)))


def test_bounds_are_nested_and_hold_for_absent_phases():
    random = np.random.default_rng(1)
    fractions = random.dirichlet([1, 1, 1], 200)
    fractions[0], fractions[1] = [1, 0, 0], [0, 0.5, 0.5]
    series, parallel = wiener_bounds(fractions, CONDUCTIVITIES)
    low, high = hashin_shtrikman_bounds(fractions, CONDUCTIVITIES)
    assert (series <= low + 1e-12).all() and (low <= high + 1e-12).all() and (high <= parallel + 1e-12).all()
    np.testing.assert_allclose([series[0], low[0], high[0], parallel[0]], CONDUCTIVITIES[0])
    with pytest.raises(InputError, match="add up to 1"):
        wiener_bounds([[0.5, 0.6]], (1.0, 0.0))


def test_fits_give_exact_rules_back():
    random = np.random.default_rng(2)
    eps, path = random.uniform(0.3, 0.9, (2, 30))
    rule = PowerRule(1.1, 2.36, 3.33)
    fitted = PowerRule.fit(np.append(eps, 0.5), np.append(path, 0.0), np.append(rule(eps, path), 0.0))
    assert (fitted.factor, fitted.a, fitted.c) == pytest.approx((1.1, 2.36, 3.33))
    line = LinearRule.fit(eps, 0.4 - 2 * eps)
    assert (line.slope, line.intercept) == pytest.approx((-2, 0.4))
    assert bruggeman(0.25) == 0.125
