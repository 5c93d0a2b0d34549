"""The Gaussian field, refereed by its covariance in closed form."""

import numpy as np
import pytest
from scipy import fft
from scipy.optimize import lsq_linear
from scipy.special import ndtr

from nmcdist.models import fields
from nmcdist.threads import thread_map

ETA = 0.0127


def cauchy(lag_nm):
    return 1 / (1 + (ETA * lag_nm) ** 2)


def operator_covariance(voxel_size_nm, a, b):
    """Covariance of the field at voxels a and b (absolute indices), exactly: the sum over shared noise."""
    total = 0.0
    for scale in fields.mixture(ETA):
        product = scale.amplitude**2
        for i, j in zip(a, b, strict=True):
            (s1,), (w1,) = fields.taps(scale, i, 1, voxel_size_nm)
            (s2,), (w2,) = fields.taps(scale, j, 1, voxel_size_nm)
            shared = {s1 + t: float(w) for t, w in enumerate(w1)}
            product *= sum(shared.get(s2 + t, 0.0) * float(w) for t, w in enumerate(w2))
        total += product
    return total


class TestTheory:
    def test_weights_are_the_least_squares_fit_of_the_mixture(self):
        x = np.r_[0, np.geomspace(0.01, 200, 3000)]
        prior = fields.SCALES * np.exp(-fields.SCALES)
        prior[-1] += 1 - prior.sum()
        n = len(prior)
        rows = np.vstack(
            [
                np.exp(-np.outer(x**2, fields.SCALES)),
                np.full((1, n), 1e3),
                0.3 * fields.SCALES,
                np.diag(0.01 / prior),
            ]
        )
        target = np.r_[1 / (1 + x**2), 1e3, 0.3, np.full(n, 0.01)]
        assert pytest.approx(lsq_linear(rows, target, bounds=(0, 1)).x, abs=2e-6) == fields.WEIGHTS

    def test_mixture_is_within_0_0005_of_the_covariance_at_every_lag(self):
        lag = np.linspace(0, 20_000, 4001)
        mixture = np.exp(-np.outer((ETA * lag) ** 2, fields.SCALES)) @ fields.WEIGHTS
        assert np.abs(mixture - cauchy(lag)).max() < 5e-4

    @pytest.mark.parametrize("voxel_size_nm", [5.0, 20.0, 33.0, 40.0, 80.0])
    def test_covariance_of_the_operator_holds_in_every_direction_and_place(self, voxel_size_nm):
        rng = np.random.default_rng(1)
        worst = 0.0
        for _ in range(400):
            place = rng.integers(-5000, 5000, 3)
            direction = rng.standard_normal(3)
            direction *= rng.uniform(0, 3000) / np.linalg.norm(direction) / voxel_size_nm
            step = np.rint(direction).astype(int)
            exact = cauchy(np.linalg.norm(step) * voxel_size_nm)
            worst = max(worst, abs(operator_covariance(voxel_size_nm, place, place + step) - exact))
        assert worst < 0.002  # the ripple of a lattice, far inside the bound of 0.005 on realisations

    def test_variance_is_one_at_every_voxel(self):
        for place in np.random.default_rng(2).integers(-9999, 9999, (50, 3)):
            assert operator_covariance(20.0, place, place) == pytest.approx(1, abs=1e-6)

    @pytest.mark.slow
    @pytest.mark.parametrize("voxel_size_nm", [80.0, 40.0, 20.0])
    def test_empirical_covariance_and_variance(self, voxel_size_nm):
        """48 windows of (8 um)^3.

        The variance of a window's mean square is 2 (pi^2 / eta^3) / volume = 1.9e-5 (the integral of
        2 rho^2), so 4 standard errors over 48 windows are 0.0025: the bounds of 0.3 % on the variance and
        0.005 on the covariance (whose variance is no larger) hold the lattice ripple besides.
        """
        n, windows = int(8000 / voxel_size_nm), 48
        lags = int(3000 / voxel_size_nm) + 1
        pairs, padded = n - np.arange(lags), fft.next_fast_len(n + lags, real=True)

        def autocovariance(index):
            field = fields.gaussian_field(ETA, (n, n, n), voxel_size_nm, seed=3, index=index)
            along = []
            for axis in range(3):
                spectrum = fft.rfft(field, padded, axis=axis)
                power = spectrum.real**2 + spectrum.imag**2
                mean = power.mean(axis=tuple(a for a in range(3) if a != axis), dtype=float)
                along.append(fft.irfft(mean, padded)[:lags] / pairs)
            return along

        estimate = np.mean(thread_map(autocovariance, range(windows)), axis=(0, 1))
        assert estimate[0] == pytest.approx(1, abs=0.003)
        assert np.abs(estimate - cauchy(np.arange(lags) * voxel_size_nm)).max() < 0.005

    def test_share_above_thresholds_is_gaussian(self):
        """Eight windows of (8 um)^3 with their mirror images -Z, which cancel the long-ranged odd terms.

        The leading even term leaves var = (mu phi(mu))^2 / 2 * pi^2 / eta^3 / volume, so 4 standard errors are
        at most 0.0006 (mu = 0.499 gives the largest): 0.2 % of V2.
        """
        thresholds = (0.0, 0.499, 1.5)

        def shares(index):
            field = fields.gaussian_field(ETA, (100, 100, 100), 80.0, seed=4, index=index)
            return [((field >= mu).mean() + (-field >= mu).mean()) / 2 for mu in thresholds]

        mean = np.mean(thread_map(shares, range(8)), axis=0)
        assert mean == pytest.approx(ndtr(-np.array(thresholds)), abs=6e-4)


class TestInvariance:
    def test_coarse_voxels_sample_the_same_realisation(self):
        fine = fields.gaussian_field(ETA, (30, 30, 30), 20.0, seed=5)
        coarse = fields.gaussian_field(ETA, (10, 10, 10), 60.0, seed=5)
        # Centres of 60 nm voxels are those of every third 20 nm voxel; float32 sums differ in rounding only.
        assert coarse == pytest.approx(fine[1::3, 1::3, 1::3], abs=1e-5)

    def test_window_is_the_block_of_the_whole(self):
        whole = fields.gaussian_field(ETA, (50, 41, 37), 20.0, seed=6, origin=(-20, 7, 100))
        part = fields.gaussian_field(ETA, (13, 20, 9), 20.0, seed=6, origin=(-15, 12, 111))
        assert np.array_equal(part, whole[5:18, 5:25, 11:20])
