"""Two-point coverage, refereed by counting pairs one by one, by closed forms and by another program."""

import itertools

import numpy as np
import porespy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nmcdist.descriptors import two_point
from nmcdist.descriptors.two_point import lag_lengths, pair_counts, two_point_coverage, two_point_from_counts
from nmcdist.errors import InputError
from nmcdist.threads import set_thread_count


def brute_force(phase, lags):
    hits, pairs = np.zeros(lags + 1), np.zeros(lags + 1)
    for h in itertools.product(range(-lags, lags + 1), repeat=3):
        k = int(np.sqrt(np.dot(h, h)) + 0.5)
        if k <= lags and all(abs(d) < n for d, n in zip(h, phase.shape, strict=True)):
            here = tuple(slice(max(d, 0), n + min(d, 0)) for d, n in zip(h, phase.shape, strict=True))
            there = tuple(slice(max(-d, 0), n + min(-d, 0)) for d, n in zip(h, phase.shape, strict=True))
            hits[k] += np.count_nonzero(phase[here] & phase[there])
            pairs[k] += phase[here].size
    return hits, pairs


class TestBruteForce:
    @settings(max_examples=25, deadline=None)
    @given(arrays(np.bool_, st.tuples(*[st.integers(2, 9)] * 3)), st.integers(0, 6))
    def test_every_pair_is_counted(self, phase, lags):
        lags = min(lags, max(phase.shape) - 1)
        whole = tuple(slice(0, n) for n in phase.shape)
        assert np.array_equal(pair_counts(phase, whole, lags), brute_force(phase, lags))

    def test_lag_lengths_are_the_mean_lengths(self):
        lengths = [np.sqrt(np.dot(h, h)) for h in itertools.product(range(-7, 8), repeat=3)]
        expected = [np.mean([v for v in lengths if int(v + 0.5) == k]) for k in range(6)]
        assert lag_lengths(5, 1.0) == pytest.approx(expected)

    @settings(max_examples=15, deadline=None)
    @given(arrays(np.bool_, (13, 11, 12)), st.integers(0, 5), st.tuples(*[st.integers(3, 9)] * 3))
    def test_blocks_with_halo_add_up_to_the_whole(self, phase, lags, side):
        total = 0
        for corner in itertools.product(*(range(0, n, s) for n, s in zip(phase.shape, side, strict=True))):
            box = [(c, min(c + s, n)) for c, s, n in zip(corner, side, phase.shape, strict=True)]
            window = [(max(a - lags, 0), min(b + lags, n)) for (a, b), n in zip(box, phase.shape, strict=True)]
            core = tuple(slice(a - w, b - w) for (a, b), (w, _) in zip(box, window, strict=True))
            total = total + pair_counts(phase[tuple(slice(a, b) for a, b in window)], core, lags)
        whole = tuple(slice(0, n) for n in phase.shape)
        assert np.array_equal(total, pair_counts(phase, whole, lags))

    @settings(max_examples=10, deadline=None)
    @given(arrays(np.bool_, (10, 13, 11)), st.integers(0, 6))
    def test_a_volume_too_large_for_memory_is_split(self, phase, lags):
        whole = tuple(slice(0, n) for n in phase.shape)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(two_point, "SPECTRUM_BYTES", 20_000)
            split = pair_counts(phase, whole, lags)
        assert np.array_equal(split, brute_force(phase, lags))

    def test_counts_of_many_voxels_are_exact(self):
        """At 2 10^6 voxels the pairs at a lag are more than single precision holds to a unit."""
        phase = np.random.default_rng(45).random((128, 128, 128)) < 0.7
        hits = pair_counts(phase, tuple(slice(0, 128) for _ in range(3)), 2)[0]
        assert np.array_equal(hits, brute_force(phase, 2)[0])


class TestTheory:
    def test_boolean_model_of_balls(self):
        """C(h) = 2 V - 1 + (1 - V)^2 exp(lambda g(h)), g the volume shared by a ball and itself moved by h.

        30 volumes of 60^3, balls of radius 5 voxels; 4 standard errors, and 0.004 for balls of whole voxels, whose
        volume scatters by 1 % (of lambda g up to 0.5).
        """
        radius, n, v = 5.0, 60, 0.4
        lam = -np.log(1 - v) / (4 / 3 * np.pi * radius**3)
        z, y, x = np.indices((n, n, n))
        found = []
        for seed in range(30):
            rng = np.random.default_rng([46, seed])
            side = n + 2 * radius + 2
            phase = np.zeros((n, n, n), dtype=bool)
            for a, b, c in rng.random((rng.poisson(lam * side**3), 3)) * side - radius - 1:
                box = tuple(slice(max(0, int(k - radius)), max(0, int(k + radius) + 2)) for k in (a, b, c))
                phase[box] |= (z[box] - a) ** 2 + (y[box] - b) ** 2 + (x[box] - c) ** 2 <= radius**2
            found.append(two_point_coverage(phase, 1.0, 15.0))
        h = found[0].lag_nm
        shared = np.pi / 12 * (4 * radius + h) * (2 * radius - h).clip(0) ** 2
        exact = 2 * v - 1 + (1 - v) ** 2 * np.exp(lam * shared)
        values = np.array([f.coverage for f in found])
        error = values.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert np.all(np.abs(values.mean(axis=0) - exact) < 4 * error + 0.004)

    def test_independent_voxels(self):
        """p^2 at every lag but 0; 4 standard errors of 64^3 voxels, the mean's own scatter leading: 2 p sd(p)."""
        p, n = 0.3, 64
        phase = np.random.default_rng(41).random((n, n, n)) < p
        found = two_point_coverage(phase, 1.0, 10.0)
        assert found.coverage[0] == pytest.approx(phase.mean(), abs=1e-6)
        bound = 4 * (2 * p * np.sqrt(p * (1 - p) / n**3) + np.sqrt(p**2 * (1 - p**2) / n**3))
        assert np.abs(found.coverage[1:] - p**2).max() < bound

    def test_slabs_along_one_axis(self):
        """Layers 4 on, 4 off: along the axis pairs fall back into the phase at every multiple of 8."""
        phase = np.zeros((160, 8, 8), dtype=bool)
        phase.reshape(20, 8, 8, 8)[:, :4] = True
        whole = (slice(0, 160), slice(0, 8), slice(0, 8))
        hits, pairs = pair_counts(phase, whole, 24)
        expected = brute_force(phase, 24)
        assert np.array_equal((hits, pairs), expected)


class TestIndependent:
    def test_porespy(self):
        """Porespy pads with zeros to twice the size and bins the same lag vectors, but weighs all alike.

        Ours weighs them by their numbers of pairs, which differ by up to a fifth within lag 12 of 60; so do the
        probabilities in a bin, by some 0.02, which leaves 0.02 x 0.2 / 4 between the two means.
        """
        rng = np.random.default_rng(42)
        phase = porespy.generators.blobs((60, 60, 60), porosity=0.6, blobiness=1, seed=int(rng.integers(99)))
        theirs = porespy.metrics.two_point_correlation(phase, bins=np.arange(-0.5, 13))
        ours = two_point_coverage(phase, 1.0, 12.0)
        assert ours.coverage == pytest.approx(np.asarray(theirs.probability_scaled)[:13], abs=1e-3)


class TestInvariance:
    def test_thread_count_does_not_matter(self):
        phase = np.random.default_rng(43).random((90, 70, 81)) < 0.4
        whole = tuple(slice(0, n) for n in phase.shape)
        set_thread_count(1)
        try:
            one = pair_counts(phase, whole, 20)
        finally:
            set_thread_count(2)
        assert np.array_equal(one, pair_counts(phase, whole, 20))

    def test_lags_scale_with_the_voxel(self):
        phase = np.random.default_rng(44).random((20, 20, 20)) < 0.4
        a, b = two_point_coverage(phase, 1.0, 8.0), two_point_coverage(phase, 20.0, 160.0)
        assert np.array_equal(a.coverage, b.coverage)
        assert b.lag_nm == pytest.approx(20 * a.lag_nm)


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((np.zeros((4, 4), bool), 1.0, 2.0), "phase: found shape"),
            ((np.zeros((4, 4, 4), int), 1.0, 2.0), "phase: found dtype"),
            ((np.zeros((4, 4, 4), bool), 0.0, 2.0), "voxel_size_nm: found"),
            ((np.zeros((4, 4, 4), bool), 1.0, 4.0), "max_lag_nm: found 4.0, expected a length from 0 to 3 nm"),
            ((np.zeros((4, 4, 4), bool), 1.0, -1.0), "max_lag_nm: found"),
        ],
    )
    def test_names_the_argument(self, arguments, message):
        with pytest.raises(InputError, match=message):
            two_point_coverage(*arguments)

    def test_a_lag_without_pairs_is_missing(self):
        assert np.isnan(two_point_from_counts(np.zeros((2, 3)), 1.0).coverage).all()
