import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.descriptors.transport import solve_conduction
from nmcdist.errors import InputError
from nmcdist.learning.factorised import Experiment, Factorised
from nmcdist.learning.intervention import intervene, pore_m_factor
from nmcdist.models import theory
from nmcdist.models.cba import generate_cba


def test_the_product_of_two_known_factors_is_learned():
    random = np.random.default_rng(1)
    fine, graphite = random.uniform(0, 1, (40, 2)), random.uniform(0, 0.2, (15, 1))
    without = Experiment("without_graphite", fine, 0.5 + 0.3 * fine[:, 0] - 0.1 * fine[:, 1] ** 2)
    rule = Factorised.fit(without, Experiment("graphite_alone", graphite, (1 - graphite[:, 0]) ** 5.2))
    at, much = random.uniform(0.1, 0.9, (50, 2)), random.uniform(0.01, 0.19, (50, 1))
    expected = (0.5 + 0.3 * at[:, 0] - 0.1 * at[:, 1] ** 2) * (1 - much[:, 0]) ** 5.2
    found, variance = rule.predict(np.column_stack([at, much]))
    np.testing.assert_allclose(found, expected, rtol=0.01)
    assert (variance >= 0).all()
    again = Factorised.from_arrays(rule.arrays())
    np.testing.assert_array_equal(again.predict(np.column_stack([at, much]))[0], found)


def test_the_variance_is_that_of_a_new_realisation():
    """Factors that scatter by 10 % and 5 % between realisations: a standard deviation of 11.2 % of the median."""
    random = np.random.default_rng(2)
    x = random.uniform(0, 1, (300, 1))
    scatter = np.exp(random.standard_normal((2, 300)) * [[0.1], [0.05]])
    rule = Factorised.fit(
        Experiment("without_graphite", x, 0.6 * scatter[0]), Experiment("graphite_alone", x, 0.7 * scatter[1])
    )
    median, variance = rule.predict([[0.5, 0.5]])
    # A variance from 300 values has a standard error of 8 %.
    assert variance[0] / median[0] ** 2 == pytest.approx(0.1**2 + 0.05**2, rel=4 * 0.08)


def test_a_blocked_pore_space_is_refused():
    x = np.array([[0.0], [1.0]])
    blocked = Experiment("graphite_alone", x, np.array([0.0, 0.4]))
    with pytest.raises(InputError, match="graphite_alone: found 0, expected positive"):
        Factorised.fit(Experiment("without_graphite", x, np.array([0.5, 0.6])), blocked)
    assert blocked.blocked == 1 and blocked.learnable.m.tolist() == [0.4]


def test_the_whole_is_what_the_generator_draws():
    volume = generate_cba("cba-cathode-2025", (16, 16, 16), 80.0, seed=3, index=1)
    expected = np.mean([solve_conduction(volume, {0: 1.0}, axis).m_factor for axis in range(3)])
    assert pore_m_factor("cba-cathode-2025", (16, 16, 16), 80.0, 3, 1) == expected


@pytest.mark.slow
def test_the_scales_separate():
    """12 points of a design, 32^3 voxels of 80 nm; published trials: R2 0.997, median error 2.2 %, mean ratio 1.028."""
    base, random = load_bundle("cba-cathode-2025"), np.random.default_rng(5)
    whole, product = [], []
    for index in range(12):
        fraction = theory.intensity_for_graphite_fraction(base.cba(), random.uniform(0.02, 0.2))
        bundle = base.with_parameters(lambda_X_per_nm3=fraction, mu=random.uniform(0, 1.2))
        found = intervene(bundle, (32, 32, 32), 80.0, 9, [index])
        whole.append(found["full"][0])
        product.append(found["without_graphite"][0] * found["graphite_alone"][0])
    whole, product = np.array(whole), np.array(product)
    assert 1 - ((whole - product) ** 2).sum() / ((whole - whole.mean()) ** 2).sum() >= 0.99
    assert np.median(np.abs(product / whole - 1)) <= 0.03
