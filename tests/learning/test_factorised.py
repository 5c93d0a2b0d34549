import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.descriptors.transport import solve_conduction
from nmcdist.errors import InputError
from nmcdist.learning.factorised import Factorised
from nmcdist.learning.intervention import intervene, pore_m_factor
from nmcdist.models import theory
from nmcdist.models.cba import generate_cba


def test_the_product_of_two_known_factors_is_learned():
    random = np.random.default_rng(1)
    fine, graphite = random.uniform(0, 1, (40, 2)), random.uniform(0, 0.2, (15, 1))
    rule = Factorised.fit(fine, 0.5 + 0.3 * fine[:, 0] - 0.1 * fine[:, 1] ** 2, graphite, (1 - graphite[:, 0]) ** 5.2)
    at, much = random.uniform(0.1, 0.9, (50, 2)), random.uniform(0.01, 0.19, (50, 1))
    expected = (0.5 + 0.3 * at[:, 0] - 0.1 * at[:, 1] ** 2) * (1 - much[:, 0]) ** 5.2
    found, variance = rule.predict(at, much)
    np.testing.assert_allclose(found, expected, rtol=0.01)
    assert (variance >= 0).all()
    again = Factorised.from_arrays(rule.arrays())
    np.testing.assert_array_equal(again.predict(at, much)[0], found)


def test_a_blocked_pore_space_is_refused():
    with pytest.raises(InputError, match="graphite_alone: found 0, expected positive"):
        Factorised.fit([[0.0], [1.0]], [0.5, 0.6], [[0.0], [1.0]], [0.0, 0.4])


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
        product.append(found["without graphite"][0] * found["graphite alone"][0])
    whole, product = np.array(whole), np.array(product)
    assert 1 - ((whole - product) ** 2).sum() / ((whole - whole.mean()) ** 2).sum() >= 0.99
    assert np.median(np.abs(product / whole - 1)) <= 0.03
