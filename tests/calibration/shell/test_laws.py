"""Laws against the samples they were drawn from, and dependence against closed forms and brute force."""

import numpy as np
import pytest
from scipy import stats

from nmcdist.calibration.shell.dependence import distance_correlations, rank_correlations
from nmcdist.calibration.shell.laws import harmonic_laws, ratio_gain, size_laws, window_weights
from nmcdist.calibration.shell.noisy import normal_density, student_density

N = 1500


def ones(count=N):
    return np.ones(count)


class TestSize:
    values = 5 + 30 * np.exp(0.35 * np.random.default_rng(1).standard_normal(N))

    def test_location_scale_and_shape_come_back(self):
        """n = 1500, 4 standard errors, which the fit states itself."""
        law = next(one for one in size_laws(self.values, ones()) if one.family == "log-normal with location")
        for name, truth in {"location": 5.0, "scale": 30.0, "sigma": 0.35}.items():
            assert abs(law.values[name] - truth) < 4 * law.errors[name]
        assert law.errors["sigma"] < 0.05
        assert not law.note

    def test_the_likelihood_is_that_of_scipy(self):
        laws = {one.family: one for one in size_laws(self.values, ones())}
        three, normal = laws["log-normal with location"], laws["normal"]
        own = stats.lognorm.logpdf(self.values, three.values["sigma"], three.values["location"], three.values["scale"])
        assert three.aic == pytest.approx(6 - 2 * own.sum())
        assert normal.aic == pytest.approx(4 - 2 * stats.norm.logpdf(self.values, *stats.norm.fit(self.values)).sum())

    def test_a_normal_sample_has_no_location(self):
        values = 40 + 3 * np.random.default_rng(2).standard_normal(N)
        laws = size_laws(values, ones())
        assert laws[0].family in ("normal", "log-normal", "log-normal with location")
        three = next(one for one in laws if one.family == "log-normal with location")
        # Either the fit says that it failed, or its error is about as large as the location.
        assert three.note or three.errors["location"] > 5


class TestHarmonics:
    @pytest.mark.parametrize("nu", [3.0, 6.0])
    def test_students_law_comes_back(self, nu):
        values = 2 * stats.t.rvs(nu, size=(N, 5), random_state=np.random.default_rng(3))
        law = harmonic_laws(values, ones())[0]
        assert law.family == "student"
        assert abs(law.values["nu"] - nu) < 4 * law.errors["nu"]
        assert abs(law.values["scale"] - 2) < 4 * law.errors["scale"]

    def test_the_normal_law_wins_on_a_normal_sample(self):
        values = np.random.default_rng(4).standard_normal((N, 7))
        law = harmonic_laws(values, ones())[0]
        assert law.family == "normal"
        assert law.errors["scale"] == pytest.approx(1 / np.sqrt(2 * values.size), rel=0.1)

    def test_errors_count_particles_not_values(self):
        """Copies of one value in a particle carry no information: the error is that of n values, not 7 n."""
        one = np.random.default_rng(5).standard_normal((N, 1))
        error = harmonic_laws(np.repeat(one, 7, axis=1), ones())[0].errors["scale"]
        assert error == pytest.approx(1 / np.sqrt(2 * N), rel=0.1)

    def test_a_law_comes_back_from_noisy_values(self):
        """Noise of half the scale, different for each particle; n = 1500 x 7, 4 standard errors of the fit."""
        stream = np.random.default_rng(11)
        noise = stream.uniform(0.5, 1.5, N)
        clear = 2 * stats.t.rvs(5.0, size=(N, 7), random_state=stream)
        values = clear + noise[:, None] * stream.standard_normal((N, 7))
        law = next(one for one in harmonic_laws(values, ones(), noise) if one.family == "student")
        assert abs(law.values["scale"] - 2) < 4 * law.errors["scale"]
        assert abs(law.values["nu"] - 5) < 4 * law.errors["nu"]
        assert law.errors["scale"] < 0.1
        plain = next(one for one in harmonic_laws(values, ones()) if one.family == "student")
        assert plain.values["scale"] - 2 > 4 * plain.errors["scale"]

    def test_a_normal_law_comes_back_from_noisy_values(self):
        stream = np.random.default_rng(12)
        values = stream.standard_normal((N, 5)) + 0.8 * stream.standard_normal((N, 5))
        law = next(one for one in harmonic_laws(values, ones(), np.full(N, 0.8)) if one.family == "normal")
        assert abs(law.values["scale"] - 1) < 4 * law.errors["scale"]

    def test_the_likelihood_tells_a_law_of_the_ratio(self):
        stream = np.random.default_rng(6)
        size, values = stream.uniform(10, 30, N), stream.standard_normal((N, 5))
        assert ratio_gain(values * size[:, None], size, ones())[0] > 100
        assert ratio_gain(values, size, ones())[0] < -100


@pytest.mark.parametrize("nu", [1.0, 3.0, 30.0, 200.0])
def test_the_density_with_noise_is_the_convolution(nu):
    """Brute force: the integral of Student's density times that of the noise."""
    values, noise, scale = np.array([[0.0, 0.7, -3.0, 12.0]]), 0.6, 1.3
    grid = np.linspace(-12 * noise, 12 * noise, 8001)
    expected = [
        np.log(np.trapezoid(stats.t.pdf((x - grid) / scale, nu) / scale * stats.norm.pdf(grid, 0, noise), grid))
        for x in values[0]
    ]
    found = student_density(scale, nu, values, np.array([noise]))[0]
    assert found == pytest.approx(expected, abs=2e-6)
    bare = student_density(scale, nu, values, np.array([0.0]))[0]
    assert bare == pytest.approx(stats.t.logpdf(values[0] / scale, nu) - np.log(scale), abs=2e-6)
    added = normal_density(scale, values, np.array([noise]))[0]
    assert added == pytest.approx(stats.norm.logpdf(values[0], 0, np.hypot(scale, noise)))


def test_weights_undo_the_choice_of_whole_particles():
    """Cubes of edge 5 or 25 fall at random into 60^3: weighted, half of the whole ones are large (4 std. errors)."""
    stream = np.random.default_rng(7)
    edge = stream.choice([5, 25], 20000)
    low = stream.integers(-30, 70, (20000, 3))
    high = low + edge[:, None]
    whole = (low > 0).all(axis=1) & (high < 60).all(axis=1)
    weights = window_weights(low[whole], high[whole], (60, 60, 60))
    large = edge[whole] == 25
    share = weights[large].sum() / weights.sum()
    error = np.sqrt((weights**2 * (large - share) ** 2).sum()) / weights.sum()
    assert large.mean() < 0.3
    assert abs(share - 0.5) < 4 * error


class TestDependence:
    def test_distance_correlation_is_that_of_its_definition(self):
        stream = np.random.default_rng(8)
        x, y = stream.standard_normal(30), stream.standard_normal((30, 2))
        y[:, 1] += x**2

        def centred(v):
            d = np.array([[abs(p - q) for q in v] for p in v])
            return d - d.mean(axis=0) - d.mean(axis=1)[:, None] + d.mean()

        def brute(v):
            a, b = centred(x), centred(v)
            return np.sqrt((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))

        assert distance_correlations(x, y) == pytest.approx([brute(y[:, 0]), brute(y[:, 1])])

    def test_it_is_one_for_a_line_and_sees_what_pearson_does_not(self):
        x = np.linspace(-1, 1, 400)
        line, parabola = distance_correlations(x, np.stack([3 - 2 * x, x**2], axis=1))
        assert line == pytest.approx(1)
        assert parabola > 0.4

    def test_of_a_normal_pair(self):
        """Szekely et al. 2007, Theorem 7: closed form for correlation rho (n = 1500; sampling error about 0.03)."""
        rho, stream = 0.6, np.random.default_rng(9)
        x, z = stream.standard_normal((2, 1500))
        found = distance_correlations(x, (rho * x + np.sqrt(1 - rho**2) * z)[:, None])[0]
        top = rho * np.arcsin(rho) + np.sqrt(1 - rho**2) - rho * np.arcsin(rho / 2) - np.sqrt(4 - rho**2) + 1
        assert found == pytest.approx(np.sqrt(top / (1 + np.pi / 3 - np.sqrt(3))), abs=0.08)

    def test_rank_correlation_is_that_of_scipy(self):
        x, y = np.random.default_rng(10).standard_normal((2, 50))
        assert rank_correlations(x, y[:, None])[0] == pytest.approx(stats.spearmanr(x, y).statistic)
