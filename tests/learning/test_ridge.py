import numpy as np
import pytest

from nmcdist.errors import InputError
from nmcdist.learning.logistic import Logistic
from nmcdist.learning.ridge import Ridge


@pytest.fixture
def table():
    random = np.random.default_rng(5)
    x = random.standard_normal((50, 4)) * [1.0, 20.0, 0.1, 3.0] + [0.0, 5.0, 0.0, 1.0]
    return x, x @ [1.0, 0.1, -4.0, 0.0] + 0.5 * random.standard_normal(50)


def test_ridge_equals_that_of_scikit_learn(table):
    from sklearn.linear_model import Ridge as Theirs

    x, y = table
    ours = Ridge.fit(x, y)
    theirs = Theirs(alpha=ours.penalty, solver="cholesky").fit(ours.scaling.apply(x), y)
    np.testing.assert_allclose(ours.predict(x)[0], theirs.predict(ours.scaling.apply(x)), rtol=1e-9)


def test_residuals_left_out_are_those_of_refits_at_the_same_scaling_and_penalty(table):
    from sklearn.linear_model import Ridge as Theirs

    x, y = table
    ours = Ridge.fit(x, y)
    scaled = ours.scaling.apply(x)
    for i in (0, 20, 49):
        keep = np.arange(50) != i
        without = Theirs(alpha=ours.penalty, solver="cholesky").fit(scaled[keep], y[keep])
        assert ours.residuals[i] == pytest.approx(y[i] - without.predict(scaled[i : i + 1])[0], rel=1e-7)


def test_ridge_comes_back_from_its_arrays(table):
    ours = Ridge.fit(*table)
    np.testing.assert_array_equal(Ridge.from_arrays(ours.arrays()).predict(table[0]), ours.predict(table[0]))


def test_too_few_values_are_refused():
    with pytest.raises(InputError, match="found 2 values"):
        Ridge.fit([[0.0], [1.0]], [0.0, 1.0])


def test_logistic_regression_equals_that_of_scikit_learn(table):
    from sklearn.linear_model import LogisticRegression

    x, y = table
    ours = Logistic.fit(x, y > 0)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(ours.scaling.apply(x), y > 0)
    np.testing.assert_allclose(ours.probability(x), theirs.predict_proba(ours.scaling.apply(x))[:, 1], atol=1e-5)


def test_separable_and_constant_events_give_probabilities_between_0_and_1():
    x = np.linspace(-1, 1, 20)[:, None]
    separable = Logistic.fit(x, x[:, 0] > 0).probability(x)
    assert 0 < separable.min() < 0.5 < separable.max() < 1
    np.testing.assert_allclose(Logistic.fit(x, np.ones(20)).probability(x), 20.5 / 21)
    np.testing.assert_array_equal(Logistic.from_arrays(Logistic.fit(x, x[:, 0] > 0).arrays()).probability(x), separable)
