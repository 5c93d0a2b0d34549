"""Fits against the parameters that realisations were drawn with, and closed forms against those of the theory."""

import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.calibration.cba import binder
from nmcdist.calibration.cba.binder import (
    MISFIT,
    binder_coverage,
    drawn_covariance,
    excursion_coverage,
    fit_binder,
    mean_variance,
)
from nmcdist.calibration.cba.counts import count_labels, joined
from nmcdist.calibration.cba.fit import UNITS, coordinates, corrected, fit_counts, fractions, quantities
from nmcdist.calibration.cba.gls import check_agreement, covariance, solve
from nmcdist.calibration.cba.graphite import plates
from nmcdist.calibration.cba.lags import lattice_lags
from nmcdist.calibration.cba.plan import _mean_variance
from nmcdist.calibration.cba.reference import REFERENCE_SD
from nmcdist.errors import ImageError
from nmcdist.models import theory
from nmcdist.models.cba import generate_cba

TRUTH = load_bundle("cba-cathode-2025").cba()
Q = quantities(TRUTH)
EDGE = 200  # voxels: 4 um, eight plates


@pytest.fixture(scope="module")
def counts():
    lags = lattice_lags((20.0,) * 3, (EDGE,) * 3)
    parts = [count_labels(generate_cba("cba-cathode-2025", (EDGE,) * 3, 20.0, 70 + k), 20.0, lags) for k in range(8)]
    return joined(parts)


def test_curve_is_that_of_the_theory_up_to_the_error_of_the_drawn_covariance():
    h = np.linspace(0, 2000, 60)
    pores = 1 - 2 * theory.large_pore_fraction(TRUTH) + theory.large_pore_coverage(TRUTH, h)
    expected = theory.excursion_coverage(TRUTH, h) * pores
    np.testing.assert_allclose(drawn_covariance(Q["eta"] * h), theory.covariance(TRUTH, h), atol=3.3e-4)
    # dC/drho is at most 1 / (2 pi) at rho near 0, and larger only near rho = 1, where both agree.
    np.testing.assert_allclose(binder_coverage(Q["mu"], Q["eta"], Q["theta"], Q["lambda_Y"], h), expected, atol=1e-4)


def test_excursion_coverage_is_that_of_two_correlated_normal_numbers():
    from scipy.stats import multivariate_normal

    for h in (10.0, 60.0, 300.0):
        rho = float(drawn_covariance(np.array([Q["eta"] * h]))[0])
        both = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([-0.7, -0.7])
        assert excursion_coverage(0.7, Q["eta"], np.array([h]))[0] == pytest.approx(both, abs=1e-6)


def test_variance_of_the_mean_of_the_field_is_that_of_a_sum_over_pairs_of_points():
    rng = np.random.default_rng(3)
    edges = (900.0, 1500.0, 2500.0)
    p, q = rng.uniform(size=(2, 200_000, 3)) * edges
    distance = np.linalg.norm(p - q, axis=1)
    for values, found in (
        (drawn_covariance(Q["eta"] * distance), mean_variance(Q["eta"], [edges])),
        (1 / (1 + (Q["eta"] * distance) ** 2), _mean_variance(Q["eta"], [edges])),
    ):
        assert abs(values.mean() - found) < 4 * values.std() / np.sqrt(len(values))
    assert mean_variance(Q["eta"], [edges] * 4) == pytest.approx(mean_variance(Q["eta"], [edges]) / 4)


def test_plates_meet_the_volume_fraction():
    found = plates(Q["mean_a"], Q["mean_c"], 0.2, TRUTH.alpha_1)
    assert theory.graphite_fraction(found) == pytest.approx(0.2, rel=1e-12)
    assert (quantities(found)["mean_a"], quantities(found)["mean_c"]) == pytest.approx((Q["mean_a"], Q["mean_c"]))


def test_fit_recovers_the_parameters_and_meets_the_volume_fractions(counts):
    """Eight cubes of 4 um, the volume of one of 8 um: within 4 standard errors of 96 of these."""
    fit = fit_counts(counts)
    found = coordinates(quantities(fit.parameters)) - coordinates(Q)
    scale = np.sqrt(8000.0**3 / counts.volume_nm3)
    for name, error in zip(UNITS, found, strict=True):
        if name in REFERENCE_SD and name != "mu":
            assert abs(error) < 4 * scale * REFERENCE_SD[name], name
    assert abs(fit.binder.mu - TRUTH.mu) < 4 * fit.binder.errors["mu"]
    of_model = fractions(fit.parameters)
    pore, binder, graphite = counts.voxels.sum(axis=0) / counts.voxels.sum()
    assert of_model["graphite"] == pytest.approx(graphite, rel=1e-9)
    assert of_model["carbon_binder_outside_graphite"] == pytest.approx(binder / (pore + binder), rel=1e-6)
    assert of_model["solid"] == pytest.approx(binder + graphite, rel=1e-6)


def test_errors_of_the_carbon_binder_are_those_of_many_cubes(counts):
    """The scatter between blocks of these cubes predicts that of 96 cubes of 8 um, within a half."""
    errors, scale = fit_binder(counts).errors, np.sqrt(8000.0**3 / counts.volume_nm3)
    for name, field in (("eta", "eta_per_nm"), ("theta", "theta_per_nm"), ("lambda_Y", "lambda_Y_per_nm3")):
        assert errors[field] == pytest.approx(scale * REFERENCE_SD[name], rel=0.5), name


def test_fit_of_exact_statistics_gives_the_parameters_from_every_start(counts, monkeypatch):
    from nmcdist.calibration.cba import binder

    lengths, mean = counts.lags.averages(counts.pairs[:, 1].sum(axis=0))
    exact = mean @ binder_coverage(Q["mu"], Q["eta"], Q["theta"], Q["lambda_Y"], lengths)
    _, influences = binder.binder_statistics(counts)
    monkeypatch.setattr(binder, "binder_statistics", lambda counts: (exact, influences))
    fit = fit_binder(counts)
    found = (fit.mu, fit.eta_per_nm, fit.theta_per_nm, fit.lambda_Y_per_nm3)
    assert found == pytest.approx((Q["mu"], Q["eta"], Q["theta"], Q["lambda_Y"]), rel=1e-4)
    assert np.ptp(fit.solution.ends, axis=0).max() < 1e-3


def test_model_is_averaged_over_the_pairs_of_the_image(counts):
    """Pairs that follow the model to the last one give the model's curve: longer diagonals have fewer pairs."""
    free = counts.pairs[:, 1].sum(axis=0)
    exact = binder_coverage(Q["mu"], Q["eta"], Q["theta"], Q["lambda_Y"], counts.lags.length_nm)
    measured = counts.lags.sums(free * exact) / counts.lags.sums(free)
    lengths, mean = counts.lags.averages(free)
    model = mean @ binder_coverage(Q["mu"], Q["eta"], Q["theta"], Q["lambda_Y"], lengths)
    np.testing.assert_allclose(model, measured, rtol=1e-7)
    _, equal = counts.lags.averages(np.ones(len(free)))
    assert (
        np.abs(equal @ binder_coverage(Q["mu"], Q["eta"], Q["theta"], Q["lambda_Y"], lengths) - measured).max() > 1e-5
    )


def test_correction_moves_parameters_and_keeps_the_volume_fractions():
    bias = np.array([0.1, 0.03, -0.05, -0.08, -0.03, 0.02, 0.002, 0.05, 0.1])
    before = fractions(TRUTH)
    after = corrected(TRUTH, bias, before["graphite"], before["carbon_binder_outside_graphite"])
    assert fractions(after) == pytest.approx(before, rel=1e-9)
    moved = coordinates(quantities(after)) - coordinates(Q)
    for name in ("mean_a", "mean_c", "eta", "theta", "lambda_Y"):
        k = list(UNITS).index(name)
        assert moved[k] == pytest.approx(-bias[k], abs=1e-12), name


def test_weighted_line_is_that_of_the_normal_equations():
    rng = np.random.default_rng(2)
    design, root = rng.normal(size=(6, 2)), rng.normal(size=(6, 6))
    matrix, measured = root @ root.T + np.eye(6), rng.normal(size=6)
    inverse = np.linalg.inv(matrix)
    gain = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse)
    found = solve(measured, lambda v: design @ v, matrix, [np.zeros(2), np.ones(2)], np.full(2, -9.0), np.full(2, 9.0))
    np.testing.assert_allclose(found.values, gain @ measured, rtol=1e-6)
    np.testing.assert_allclose(found.gain, gain, rtol=1e-4, atol=1e-6)


def test_a_fit_says_when_blind_starts_disagree():
    found = solve(
        np.ones(3), lambda v: np.array([1.0, 1.0, (v[0] ** 2 - 1) ** 2 + 1]), np.eye(3) * 1e-4,
        [np.array([-2.0]), np.array([2.0])], np.array([-5.0]), np.array([5.0]),
    )  # fmt: skip
    with pytest.raises(ImageError, match=r"failed, blind starts end .* apart in a"):
        check_agreement("model", found, np.array([0.1]), ["a"])


def test_too_few_blocks_are_refused():
    with pytest.raises(ImageError, match="found 8 blocks, expected at least 25 for 20 statistics: it is too small"):
        covariance(np.ones((8, 20)), 1e-3)


def test_labels_with_the_faults_of_a_segmentation_get_an_allowance():
    """One voxel in 200 is wrong, which moves the curve by 2 %, twice what is allowed for."""
    labels = generate_cba("cba-cathode-2025", (200,) * 3, 20.0, 12)
    rng = np.random.default_rng(3)
    noisy = np.where((rng.random(labels.shape) < 0.005) & (labels < 2), 1 - labels, labels).astype(np.uint8)
    lags = lattice_lags((20.0,) * 3, labels.shape)
    clean, faulty = (fit_counts(count_labels(each, 20.0, lags)).binder for each in (labels, noisy))
    assert (clean.misfit, faulty.misfit) == (0.0, MISFIT)
    assert faulty.chi2_without > 5 * faulty.freedom
    for name, value in faulty.misfit_errors.items():
        assert 0 < value < faulty.errors[name]
        assert clean.misfit_errors[name] == 0
    assert faulty.eta_per_nm == pytest.approx(clean.eta_per_nm, rel=4 * faulty.errors["eta_per_nm"])


def test_the_errors_of_the_allowance_are_those_of_moved_curves(monkeypatch):
    """By brute force: the curve is moved at one lag after the other, and fitted again with the same weights."""
    labels = generate_cba("cba-cathode-2025", (200,) * 3, 20.0, 12)
    counts = count_labels(labels, 20.0, lattice_lags((20.0,) * 3, labels.shape))
    _, influences = binder.binder_statistics(counts)
    measured = binder.fit_binder(counts, misfit=MISFIT).fitted  # without residuals, errors are of the first order
    monkeypatch.setattr(binder, "binder_statistics", lambda _: (measured, influences))
    base = binder.fit_binder(counts, misfit=MISFIT)
    start, moved = (base.eta_per_nm, base.theta_per_nm, base.lambda_Y_per_nm3), []
    for k in range(1, len(measured)):
        other = measured.copy()
        other[k] *= 1 + 0.1 * MISFIT
        monkeypatch.setattr(binder, "binder_statistics", lambda _, other=other: (other, influences))
        found = binder.fit_binder(counts, start, MISFIT)
        moved.append([np.log(found.eta_per_nm / base.eta_per_nm), np.log(found.theta_per_nm / base.theta_per_nm)])
    eta, theta = 10 * np.linalg.norm(moved, axis=0)
    assert base.misfit_errors["eta_per_nm"] == pytest.approx(eta, rel=0.05)
    assert base.misfit_errors["theta_per_nm"] == pytest.approx(theta, rel=0.05)
