"""The line from coarse values to fine ones, against exact pairs and NumPy's least squares."""

import math

import numpy as np
import pytest

from nmcdist.design.fidelity import Correction, at_fine, corrections
from nmcdist.design.goal import Quantity

PORE, SOLID = Quantity("m_factor_pore", False), Quantity("m_factor_solid", True)


@pytest.mark.parametrize("count", [4, 9])
def test_exact_pairs_give_their_line_on_the_scale_of_each_quantity(count):
    coarse = np.random.default_rng(3).uniform(0.02, 0.4, (count, 2))
    fine = np.column_stack([0.02 + 0.97 * coarse[:, 0], 1.3 * coarse[:, 1] ** 0.9])
    lines = corrections((PORE, SOLID), coarse, fine)
    np.testing.assert_allclose([lines[0].a, lines[0].b], [0.02, 0.97], rtol=1e-9)
    np.testing.assert_allclose([lines[1].a, lines[1].b], [math.log10(1.3), 0.9], rtol=1e-9)
    np.testing.assert_allclose([line.correlation for line in lines], 1.0, rtol=1e-9)
    new = np.array([[[0.1, 0.2], [0.3, 0.01]]])
    wanted = np.stack([0.02 + 0.97 * new[..., 0], 1.3 * new[..., 1] ** 0.9], axis=-1)
    np.testing.assert_allclose(at_fine(lines, new), wanted, rtol=1e-9)


def test_noisy_pairs_give_the_line_of_numpy():
    draws = np.random.default_rng(5)
    coarse = draws.uniform(0.02, 0.4, 40)
    fine = coarse**0.9 * 10 ** draws.normal(0, 0.05, 40)
    line = Correction.fit(SOLID, coarse, fine)
    x, y = np.log10(coarse), np.log10(fine)
    slope, intercept = np.polyfit(x, y, 1)
    np.testing.assert_allclose([line.a, line.b], [intercept, slope], rtol=1e-9)
    assert line.correlation == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert line.scatter == pytest.approx(np.sqrt(((y - intercept - slope * x) ** 2).sum() / 38))


def test_few_pairs_only_shift_and_none_change_nothing():
    coarse, fine = np.array([0.1, 0.2, 0.4]), np.array([0.15, 0.22, 0.41])
    line = Correction.fit(PORE, coarse, fine)
    assert (line.b, line.pairs) == (1.0, 3)
    assert line.a == pytest.approx((0.05 + 0.02 + 0.01) / 3)
    assert math.isnan(line.correlation)
    none = corrections((PORE, SOLID), np.zeros((0, 2)), np.zeros((0, 2)))
    values = np.array([[0.3, 0.0], [0.1, 0.07]])
    assert np.array_equal(at_fine(none, values), values)


def test_coarse_values_that_do_not_vary_only_shift():
    line = Correction.fit(PORE, np.full(5, 0.2), np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert (line.b, line.pairs) == (1.0, 5)
    assert line.a == pytest.approx(0.1)


def test_what_does_not_conduct_or_failed_is_no_pair_and_stays_what_it_is():
    coarse = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.05, np.nan])
    fine = np.array([0.02, 0.2, 0.4, 0.6, 0.8, 0.0, 0.1])
    line = Correction.fit(SOLID, coarse, fine)
    assert (line.pairs, line.left_out) == (4, 3)
    np.testing.assert_allclose(line.fine(np.array([0.0, 0.15, np.nan])), [0.0, 0.3, np.nan], rtol=1e-9)
    # On a linear scale, 0 is a value as any other.
    assert Correction.fit(PORE, coarse, fine).pairs == 6
