"""Level-cut fields, refereed by the bivariate normal law, Gaussian kinematics, and known covariances."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from nmcdist.bundle import Bundle, LevelCutParameters, load_bundle
from nmcdist.descriptors import intrinsic_volumes, two_point_coverage
from nmcdist.errors import BundleError, InputError
from nmcdist.models import theory
from nmcdist.models.excursion import correlation_of, coverage_at, coverage_slope
from nmcdist.models.levelcut import (
    LOWEST_CORRELATION,
    draw_bytes,
    fit_level_cut,
    generate_level_cut,
    level_cut_coverage,
    level_cut_densities,
)

PARAMETERS = LevelCutParameters(threshold=0.4, scales_nm=(150.0, 400.0), weights=(0.7, 0.3))
BUNDLE = Bundle.of("two-scales", "Two scales", PARAMETERS, licence="CC0-1.0")


class TestTheory:
    @pytest.mark.parametrize("rho", [-0.9, -0.2, 0.0, 0.3, 0.999])
    @pytest.mark.parametrize("mu", [0.0, 0.4, -1.1])
    def test_coverage_is_the_bivariate_normal_integral(self, mu, rho):
        expected = multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf([-mu, -mu])
        assert coverage_at(mu, np.array([rho]))[0] == pytest.approx(expected, abs=2e-6)
        assert correlation_of(np.array([coverage_at(mu, np.array([rho]))[0]]), mu, -0.99)[0] == pytest.approx(rho)

    def test_slope_is_that_of_the_coverage(self):
        rho = np.array([-0.2, 0.1, 0.8])
        ends = coverage_at(0.4, rho + 1e-5) - coverage_at(0.4, rho - 1e-5)
        assert coverage_slope(0.4, rho) == pytest.approx(ends / 2e-5, rel=1e-6)

    def test_volume_and_two_point_curve_of_windows(self):
        """24 windows of 48^3 voxels of 60 nm; the standard errors come from the scatter between them."""
        curves = []
        for index in range(24):
            volume = generate_level_cut(BUNDLE, (48, 48, 48), 60.0, seed=5, index=index) > 0
            curves.append(two_point_coverage(volume, 60.0, 900.0))
        values = np.array([curve.coverage for curve in curves])
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        lattice = fine_lags(15) * 60.0
        expected = [level_cut_coverage(PARAMETERS, lengths).mean() for lengths in lattice]
        assert norm.sf(0.4) == pytest.approx(expected[0])
        assert (np.abs(values.mean(axis=0) - expected) < 4 * error).all()
        assert error.max() < 0.005

    def test_surface_and_curvatures_of_fine_voxels(self):
        """12 windows of 64^3 voxels of 20 nm; the estimates of digital surfaces are within 2 % at this size."""
        found = [
            intrinsic_volumes(generate_level_cut(BUNDLE, (64, 64, 64), 20.0, seed=6, index=k) > 0, 20.0)
            for k in range(12)
        ]
        expected = level_cut_densities(PARAMETERS)
        surface = np.array([each.surface_area for each in found])
        error = surface.std(ddof=1) / np.sqrt(len(surface))
        assert surface.mean() == pytest.approx(expected.surface_area, abs=4 * error + 0.02 * expected.surface_area)

    def test_densities_of_the_cba_field_are_its_own(self):
        eta = 0.0127
        parameters = load_bundle("cba-cathode-2025").cba().model_copy(update={"mu": 0.3, "eta_per_nm": eta})
        kappa = 2 * eta**2
        assert theory.gaussian_excursion(0.3, kappa) == theory.excursion_densities(parameters)
        one = LevelCutParameters(threshold=0.3, scales_nm=(1 / eta,), weights=(1.0,))
        assert level_cut_densities(one).surface_area == pytest.approx(
            theory.excursion_densities(parameters).surface_area
        )


def fine_lags(most):
    """Return, for each lag, the lengths in voxels of all lattice vectors that round to it."""
    axis = np.arange(-most, most + 1)
    length = np.sqrt(sum(a**2 for a in np.meshgrid(axis, axis, axis, indexing="ij"))).ravel()
    return np.array([length[np.rint(length) == k] for k in range(most + 1)], dtype=object)


class TestInvariance:
    @pytest.mark.parametrize("voxel", [20.0, 130.0])
    def test_window_is_the_block_of_the_whole(self, voxel):
        whole = generate_level_cut(BUNDLE, (150, 30, 29), voxel, seed=6, index=2, origin=(-70, 7, 100))
        part = generate_level_cut(BUNDLE, (90, 20, 9), voxel, seed=6, index=2, origin=(-20, 12, 111))
        assert np.array_equal(part, whole[50:140, 5:25, 11:20])
        assert 0 < whole.mean() < 1

    def test_coarse_voxels_sample_the_same_realisation(self):
        fine = generate_level_cut(BUNDLE, (90, 90, 90), 20.0, seed=5)
        coarse = generate_level_cut(BUNDLE, (30, 30, 30), 60.0, seed=5)
        assert (coarse != fine[1::3, 1::3, 1::3]).mean() < 1e-4  # float32 sums differ in rounding at the threshold

    def test_items_differ(self):
        one, other = (generate_level_cut(BUNDLE, (30, 30, 30), 60.0, seed=5, index=k) for k in range(2))
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.2

    def test_bytes_grow_with_threads_and_end_with_the_block(self):
        one = draw_bytes(PARAMETERS, (1000, 1000, 1000), 20.0, 1)
        assert (
            draw_bytes(PARAMETERS, (1000, 1000, 1000), 20.0, 2)
            == 2 * one
            == 2 * draw_bytes(PARAMETERS, (128, 128, 128), 20.0, 1)
        )


class TestFit:
    def test_a_field_in_the_family_is_found_again(self):
        lag = np.arange(41) * 40.0
        fit = fit_level_cut(level_cut_coverage(PARAMETERS, lag), lag)
        assert fit.parameters.threshold == pytest.approx(0.4)
        assert fit.error < 5e-4  # its lengths lie between those that the fit chooses from
        expected = 0.7 * np.exp(-((lag / 150) ** 2)) + 0.3 * np.exp(-((lag / 400) ** 2))
        assert fit.correlation == pytest.approx(expected, abs=1e-6)

    def test_the_solid_of_the_additive_is_fitted_within_1e_4(self):
        """The curve is in closed form, and no field of the family; a field with it need not be the same medium."""
        lag = np.arange(40) * 80.0
        curve = theory.two_point_coverage(load_bundle("cba-cathode-2025").cba(), lag)["solid"]
        fit = fit_level_cut(curve, lag)
        assert fit.error < 1e-4
        assert level_cut_coverage(fit.parameters, lag) == pytest.approx(fit.fitted)

    def test_exponential_correlation_is_fitted(self):
        """A Debye medium is rougher than any mixture of smooth fields: only its first lag is off."""
        lag = np.arange(30) * 50.0
        curve = 0.5 * 0.5 + 0.25 * np.exp(-lag / 200.0)
        fit = fit_level_cut(curve, lag)
        assert np.abs(fit.fitted - curve)[1:].max() < 2e-3

    def test_a_curve_of_no_gaussian_field_is_refused_with_lag_and_floor(self):
        lag = np.arange(10) * 50.0
        curve = np.where(lag == 0, 0.5, 0.25)
        curve[3] = coverage_at(0.0, np.array([LOWEST_CORRELATION]))[0] - 0.002
        with pytest.raises(
            InputError, match=r"coverage: found 0.213154 at 150 nm, expected 0.215154 to 0.5: a Gaussian"
        ):
            fit_level_cut(curve, lag)

    @pytest.mark.parametrize(
        ("coverage", "lag", "fault"),
        [
            ([0.3, 0.2, 0.1], [0.0, 2.0, 1.0], "lag_nm: expected ascending lags from 0"),
            ([0.3, 0.2, 0.1], [1.0, 2.0, 3.0], "lag_nm: expected ascending lags from 0"),
            ([1.0, 1.0, 1.0], [0.0, 1.0, 2.0], "coverage: found 1 at lag 0, expected a volume fraction"),
            ([0.3, 0.31, 0.1], [0.0, 1.0, 2.0], "coverage: found 0.31 at 1 nm"),
        ],
    )
    def test_impossible_curves_are_refused(self, coverage, lag, fault):
        with pytest.raises(InputError, match=fault):
            fit_level_cut(coverage, lag)


def test_a_bundle_of_another_model_is_refused():
    with pytest.raises(BundleError, match="found model 'cba', expected 'level-cut'"):
        generate_level_cut("cba-cathode-2025", (4, 4, 4), 20.0, seed=1)
