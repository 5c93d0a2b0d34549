import numpy as np
import pytest
from scipy.optimize import check_grad

from nmcdist.errors import InputError
from nmcdist.learning.gp import KERNELS, GaussianProcess, loss


@pytest.fixture
def table():
    random = np.random.default_rng(3)
    x = random.uniform(0, 1, (60, 3)) * [1.0, 10.0, 0.01]
    y = np.sin(4 * x[:, 0]) + 0.2 * x[:, 1] + (100 * x[:, 2]) ** 2 + 0.05 * random.standard_normal(60)
    return x, y


class TestIndependentImplementation:
    @pytest.mark.parametrize("kernel", KERNELS)
    def test_equals_that_of_scikit_learn_for_the_same_hyperparameters(self, table, kernel):
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern

        x, y = table
        known = np.linspace(0, 0.01, len(y))
        ours = GaussianProcess.fit(x, y, known, kernel=kernel)
        shape = (
            RBF(ours.length_scales, "fixed") if kernel == KERNELS[0] else Matern(ours.length_scales, "fixed", nu=2.5)
        )
        theirs = GaussianProcessRegressor(
            ConstantKernel(ours.variance, "fixed") * shape,
            alpha=ours.noise + known + 1e-10 * ours.variance,
            optimizer=None,
        ).fit(x, y - ours.mean)
        new = np.random.default_rng(4).uniform(0, 1, (50, 3)) * [1.0, 10.0, 0.01]
        mean, variance = ours.predict(new)
        expected, covariance = theirs.predict(new, return_cov=True)
        np.testing.assert_allclose(mean - ours.mean, expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(variance, np.diag(covariance), rtol=0, atol=1e-6)

    def test_fit_is_at_least_as_likely_as_that_of_scikit_learn(self, table):
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        x, y = (values / values.std(axis=0) for values in table)
        ours = GaussianProcess.fit(x, y)
        theirs = GaussianProcessRegressor(
            ConstantKernel() * RBF([1.0] * 3, (1e-2, 1e3)) + WhiteKernel(), n_restarts_optimizer=2, random_state=1
        ).fit(x, y - ours.mean)
        logs = np.log([*ours.length_scales, ours.variance, ours.noise])
        value, _ = loss(logs, x, y, np.zeros(len(y)), ours.kernel)
        assert -value >= theirs.log_marginal_likelihood_value_ - 1e-3


class TestTheory:
    @pytest.mark.parametrize("kernel", KERNELS)
    def test_gradient_of_the_likelihood_is_that_of_finite_differences(self, table, kernel):
        x, y = (values / values.std(axis=0) for values in table)
        known = np.linspace(0, 0.1, len(y))
        logs = np.log([0.5, 2.0, 3.0, 1.5, 0.02])
        error = check_grad(
            lambda at: loss(at, x, y, known, kernel)[0], lambda at: loss(at, x, y, known, kernel)[1], logs
        )
        assert error < 1e-4 * np.linalg.norm(loss(logs, x, y, known, kernel)[1])

    def test_fitted_noise_is_that_of_the_data(self):
        random = np.random.default_rng(8)
        x = random.uniform(0, 1, (200, 1))
        y = np.cos(3 * x[:, 0]) + 0.3 * random.standard_normal(200)
        assert GaussianProcess.fit(x, y).noise == pytest.approx(0.09, abs=4 * 0.09 * np.sqrt(2 / 200))

    def test_draws_have_the_predicted_mean_and_variance(self, table):
        process = GaussianProcess.fit(*table)
        new = table[0][:4] * 1.3
        drawn = process.sample(new, np.random.default_rng(2).standard_normal((4000, 4)))
        mean, variance = process.predict(new)
        assert np.all(np.abs(drawn.mean(axis=0) - mean) < 4 * np.sqrt(variance / 4000))
        assert np.all(np.abs(drawn.var(axis=0) / variance - 1) < 4 * np.sqrt(2 / 4000))

    def test_draws_do_not_depend_on_the_signs_of_eigenvectors_or_their_turns_among_equal_values(
        self, table, monkeypatch
    ):
        process, new = GaussianProcess.fit(*table), np.random.default_rng(5).uniform(-2, 2, (300, table[0].shape[1]))
        new = np.concatenate([new, new[:20]])  # the same points again: values of zero
        normals = np.random.default_rng(6).standard_normal((3, len(new)))
        drawn, usual = process.sample(new, normals), np.linalg.eigh

        def other(matrix):
            values, vectors = usual(matrix)
            none = values < 1e-12 * values.max()
            turn = np.linalg.qr(np.random.default_rng(7).standard_normal((none.sum(), none.sum())))[0]
            vectors[:, none] = vectors[:, none] @ turn
            return values, vectors * np.where(np.arange(len(values)) % 3, 1.0, -1.0)

        monkeypatch.setattr(np.linalg, "eigh", other)
        assert np.abs(process.sample(new, normals) - drawn).max() < 1e-5 * drawn.std()

    def test_known_noise_takes_weight_from_a_value(self):
        x, y = np.arange(8.0)[:, None], np.array([0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0])
        known = np.where(y > 0, 100.0, 1e-4)
        process = GaussianProcess(x, y, known, np.array([2.0]), 1.0, 0.0, 0.0)
        assert abs(process.predict(x)[0][3]) < 0.1

    def test_many_inputs_do_not_cut_points_off_from_each_other(self):
        """A sum of 20 inputs from 40 points: with a bound on the length scales, new values are met nearly as well."""
        random = np.random.default_rng(4)
        x, new = random.standard_normal((2, 40, 20))
        process = GaussianProcess.fit(x, x.sum(axis=1), shortest=2.0)
        assert (process.length_scales / x.std(axis=0)).min() >= 2.0 * (1 - 1e-9)
        assert np.corrcoef(process.predict(new)[0], new.sum(axis=1))[0, 1] > 0.95

    def test_constant_values_are_predicted_as_they_are(self):
        process = GaussianProcess.fit(np.arange(5.0)[:, None], np.full(5, 7.0))
        np.testing.assert_allclose(process.predict([[2.5], [90.0]])[0], 7.0, atol=1e-9)


class TestBruteForce:
    def test_residuals_left_out_are_those_of_processes_without_each_value(self, table):
        process = GaussianProcess.fit(*table)
        residuals, variances = process.left_out
        for i in (0, 17, 59):
            keep = np.arange(60) != i
            without = GaussianProcess(**{
                **{name: value for name, value in process.__dict__.items() if not name.startswith("_")
                   and name != "left_out"},
                "x": process.x[keep], "y": process.y[keep], "noise_variance": process.noise_variance[keep],
            })  # fmt: skip
            mean, variance = without.predict(process.x[i : i + 1])
            assert residuals[i] == pytest.approx(process.y[i] - mean[0], rel=1e-5, abs=1e-7)
            assert variances[i] == pytest.approx(variance[0] + process.noise, rel=1e-5)

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_arrays_give_the_same_process_back(self, table, kernel):
        process = GaussianProcess.fit(*table, kernel=kernel)
        again = GaussianProcess.from_arrays(process.arrays(), kernel)
        for one, other in zip(process.predict(table[0]), again.predict(table[0]), strict=True):
            np.testing.assert_array_equal(one, other)


class TestFailure:
    def test_bad_input_is_refused_in_one_line(self):
        with pytest.raises(InputError, match="y: found shape"):
            GaussianProcess.fit(np.zeros((3, 1)), np.zeros(4))
        with pytest.raises(InputError, match="expected finite numbers"):
            GaussianProcess.fit([[0.0], [np.nan]], [0.0, 1.0])
        with pytest.raises(InputError, match="found 1 points"):
            GaussianProcess.fit([[0.0]], [0.0])
        with pytest.raises(InputError, match="expected variances"):
            GaussianProcess.fit([[0.0], [1.0]], [0.0, 1.0], [0.1, -1.0])
        with pytest.raises(InputError, match="kernel"):
            GaussianProcess.fit([[0.0], [1.0]], [0.0, 1.0], kernel="cubic")
