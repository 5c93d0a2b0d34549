"""Marker laws: Algorithm 1 against a plain reading in double precision, the explicit law against its formula."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.transform import Rotation

from nmcdist.bundle import ArrayRecord, Bundle, load_bundle
from nmcdist.errors import BundleError
from nmcdist.geometry.tessellation import radial_matrices
from nmcdist.models.grains import nearest
from nmcdist.models.markers import marker_law
from nmcdist.threads import set_thread_count, thread_count


def seeds_and_numbers(n, uniforms, seed=1, spread=1500.0):
    rng = np.random.default_rng(seed)
    return spread * rng.standard_normal((n, 3)), rng.random((n, uniforms))


def frame(seed, gamma):
    """Read Eq. 12 with scipy's rotation vectors."""
    e1 = np.array([1.0, 0.0, 0.0])
    axis = seed / np.linalg.norm(seed) + e1
    half_turn = Rotation.from_rotvec(math.pi * axis / np.linalg.norm(axis))
    return (Rotation.from_rotvec(gamma * e1) * half_turn).as_matrix()


def algorithm_1(bundle, seeds, noise, gammas, i):
    p, arrays = bundle.parameters, {name: a.astype(np.float64) for name, a in bundle.arrays.items()}
    distance = np.linalg.norm(seeds - seeds[i], axis=1)
    near = [j for j in np.argsort(distance, kind="stable") if j != i][:12]
    turn = frame(seeds[i], gammas[i])
    x = np.concatenate([np.concatenate([turn @ (seeds[j] - seeds[i]) / p.length_unit_nm, noise[j]]) for j in near])
    more = arrays["weight_0"].shape[1] - len(x)
    if more in (1, 3):
        x = np.append(x, np.linalg.norm(seeds[i]) / p.length_unit_nm)
    if more in (2, 3):
        x = np.append(x, noise[i])
    for k in range(len(arrays) // 2):
        x = arrays[f"weight_{k}"] @ x + arrays[f"bias_{k}"]
        if k < len(arrays) // 2 - 1:
            x = np.maximum(x, 0)
    share = 1 / (1 + np.exp(-x))
    diagonal = p.diagonal_low + (p.diagonal_high - p.diagonal_low) * share[:3]
    offset = p.offset_low + (p.offset_high - p.offset_low) * share[3]
    return diagonal, offset * p.length_unit_nm**2


class TestMarkerNet:
    def test_algorithm_1_in_double_precision(self, net_bundle):
        seeds, uniforms = seeds_and_numbers(300, 3)
        rows, _ = nearest(seeds, 12)
        diagonals, offsets, gammas = marker_law(net_bundle).markers(seeds, rows, uniforms)
        assert np.array_equal(gammas, math.pi * uniforms[:, 2])
        for i in range(0, 300, 10):
            diagonal, offset = algorithm_1(net_bundle, seeds, uniforms[:, :2], gammas, i)
            # 125 sums in float32 of numbers about 1.
            assert diagonals[i] == pytest.approx(diagonal, abs=1e-4)
            assert offsets[i] == pytest.approx(offset, rel=1e-4)
        assert np.ptp(diagonals, axis=0).min() > 0.5

    @pytest.mark.parametrize(
        ("more", "largest"), [(1, [0.05]), (2, [1.0, -2.0]), (3, [0.05, 1.0, -2.0])], ids=["distance", "noise", "both"]
    )
    def test_a_net_with_more_inputs_sees_the_distance_from_the_centre_and_its_own_noise(
        self, net_bundle, more, largest
    ):
        weight = net_bundle.arrays["weight_0"]
        columns = np.linspace(-1, 1, len(weight), dtype=np.float32)[:, None] * np.array(largest, np.float32)
        arrays = {**net_bundle.arrays, "weight_0": np.hstack([weight, columns])}
        assert arrays["weight_0"].shape[1] == 60 + more
        records = {name: ArrayRecord.of(array, "1", "assumed") for name, array in arrays.items()}
        content = net_bundle.model_dump(by_alias=True)
        sees = Bundle.model_validate({**content, "arrays": records}).with_arrays(arrays)
        seeds, uniforms = seeds_and_numbers(300, 3)
        rows, _ = nearest(seeds, 12)
        diagonals, offsets, gammas = marker_law(sees).markers(seeds, rows, uniforms)
        for i in range(0, 300, 10):
            diagonal, offset = algorithm_1(sees, seeds, uniforms[:, :2], gammas, i)
            assert diagonals[i] == pytest.approx(diagonal, abs=1e-4)
            assert offsets[i] == pytest.approx(offset, rel=1e-4)
        blind = marker_law(net_bundle).markers(seeds, rows, uniforms)[0]
        assert np.abs(blind - diagonals).max() > 0.1

    def test_markers_stay_in_their_ranges(self, net_bundle):
        arrays = {name: 200 * array for name, array in net_bundle.arrays.items()}
        records = {name: ArrayRecord.of(array, "1", "assumed") for name, array in arrays.items()}
        law = marker_law(net_bundle.model_copy(update={"array_records": records}).with_arrays(arrays))
        seeds, uniforms = seeds_and_numbers(500, 3)
        diagonals, offsets, gammas = law.markers(seeds, nearest(seeds, 12)[0], uniforms)
        assert diagonals.min() >= law.lowest_diagonal == 1.0
        assert diagonals.max() <= 10.0
        assert offsets.min() >= 0.0
        assert offsets.max() <= law.largest_offset_nm2 == 50 * 50.0**2
        # With weights this large, the sigmoids reach both ends.
        assert diagonals.min() < 1.01
        assert diagonals.max() > 9.99
        assert gammas.min() >= 0.0
        assert gammas.max() < math.pi

    def test_turned_seeds_turn_the_matrices(self, net_bundle):
        """The frame of a turned seed differs by a turn about the first axis, which gamma takes up."""
        seeds, uniforms = seeds_and_numbers(100, 3, seed=5)
        rotation = Rotation.random(rng=7).as_matrix()
        law, turned = marker_law(net_bundle), seeds @ rotation.T
        rows, _ = nearest(seeds, 12)
        diagonals, offsets, gammas = law.markers(seeds, rows, uniforms)
        others = uniforms.copy()
        for i in range(len(seeds)):
            between = frame(turned[i], 0.0) @ rotation @ frame(seeds[i], gammas[i]).T
            others[i, 2] = -math.atan2(between[2, 1], between[1, 1]) / math.pi
        new_diagonals, new_offsets, new_gammas = law.markers(turned, nearest(turned, 12)[0], others)
        assert new_offsets == pytest.approx(offsets, rel=1e-4)
        expected = rotation @ radial_matrices(seeds, diagonals, gammas) @ rotation.T
        assert radial_matrices(turned, new_diagonals, new_gammas) == pytest.approx(expected, abs=2e-4)

    def test_bits_depend_neither_on_threads_nor_on_the_batch(self, net_bundle):
        law, threads = marker_law(net_bundle), thread_count()
        seeds, uniforms = seeds_and_numbers(9000, 3)
        rows, _ = nearest(seeds, 12)
        try:
            set_thread_count(1)
            whole = law.markers(seeds, rows, uniforms)
            set_thread_count(2)
            again = law.markers(seeds, rows, uniforms)
        finally:
            set_thread_count(threads)
        few = law.markers(seeds, rows[:77], uniforms)
        for one, two, three in zip(whole, again, few, strict=True):
            assert np.array_equal(one, two)
            assert np.array_equal(one[:77], three)


class TestRadialMarkers:
    def test_half_axes_without_noise_follow_the_formula(self):
        bundle = load_bundle("nmc811-radial").with_parameters(scale_noise=0.0)
        p = bundle.parameters
        t = p.scale_transition_nm
        seeds = np.array([[0.0, 0, 0], [0, 0.6 * t, 0.8 * t], [-50 * t, 0, 0]])
        diagonals, _, _ = marker_law(bundle).markers(seeds, np.empty((3, 0), int), np.full((3, 5), 0.25))
        radial = [p.radial_scale_inner, None, p.radial_scale_outer]
        across = [p.tangential_scale_inner, None, p.tangential_scale_outer]
        for scales in (radial, across):
            scales[1] = scales[2] + (scales[0] - scales[2]) / math.e
        assert diagonals == pytest.approx(np.array([radial, across, across]).T ** -2.0)

    def test_noise_is_normal_cut_at_two_and_a_half(self):
        law = marker_law(load_bundle("nmc811-radial").with_parameters(scale_noise=0.2))
        n = 20000
        _, uniforms = seeds_and_numbers(n, 5)
        far = np.tile([1e6, 0.0, 0.0], (n, 1))
        diagonals, offsets, gammas = law.markers(far, np.empty((n, 0), int), uniforms)
        p = law.parameters
        half_axes = np.array([p.radial_scale_outer, *[p.tangential_scale_outer] * 2])
        noise = np.log(diagonals**-0.5 / half_axes) / 0.2
        assert np.abs(noise).max() <= 2.5 + 1e-9
        for k in range(3):
            assert stats.kstest(noise[:, k], stats.truncnorm(-2.5, 2.5).cdf).pvalue > 1e-4
        assert np.abs(np.corrcoef(noise.T)[np.triu_indices(3, 1)]).max() < 4 / math.sqrt(n)
        assert stats.kstest(offsets / p.offset_range_nm2, stats.uniform.cdf).pvalue > 1e-4
        assert stats.kstest(gammas / math.pi, stats.uniform.cdf).pvalue > 1e-4
        assert diagonals.min() >= law.lowest_diagonal
        assert offsets.max() <= law.largest_offset_nm2

    def test_the_lowest_diagonal_is_reached(self):
        law = marker_law(load_bundle("nmc811-radial"))
        uniforms = np.array([[np.nextafter(1.0, 0.0)] * 5])
        diagonals, _, _ = law.markers(np.array([[1e6, 0, 0]]), np.empty((1, 0), int), uniforms)
        assert diagonals.min() == pytest.approx(law.lowest_diagonal, rel=1e-6)

    def test_turned_seeds_turn_the_matrices(self):
        """Grains alike across the radius: gamma does not matter."""
        law = marker_law(load_bundle("nmc811-radial").with_parameters(scale_noise=0.0))
        seeds, uniforms = seeds_and_numbers(50, 5)
        rotation = Rotation.random(rng=2).as_matrix()
        empty = np.empty((50, 0), int)
        before, after = law.markers(seeds, empty, uniforms), law.markers(seeds @ rotation.T, empty, uniforms)
        expected = rotation @ radial_matrices(seeds, before[0], before[2]) @ rotation.T
        assert radial_matrices(seeds @ rotation.T, after[0], after[2]) == pytest.approx(expected, abs=1e-12)


class TestNoLaw:
    def test_a_model_without_grains(self):
        with pytest.raises(BundleError, match=r"'cba-cathode-2025': has no marker law \(model 'cba'\), expected"):
            marker_law(load_bundle("cba-cathode-2025"))

    def test_a_net_that_came_without_its_weights(self, net_bundle):
        bare = Bundle.model_validate(net_bundle.model_dump(by_alias=True))
        with pytest.raises(BundleError, match=r"'net': lacks its arrays, expected .*weight_0"):
            marker_law(bare)
