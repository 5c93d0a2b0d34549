"""The combined model: seams, the parts of Eq. (4), and its closed forms."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nmcdist
from nmcdist.models import boolean, cba, fields, theory
from nmcdist.threads import set_thread_count, thread_map

BUNDLE = nmcdist.load_bundle("cba-cathode-2025")


def draw_by_blocks(shape, side, order=None, **key):
    volume = np.full(shape, 255, dtype=np.uint8)
    corners = list(itertools.product(*(range(0, n, s) for n, s in zip(shape, side, strict=True))))
    for k in order(len(corners)) if order else range(len(corners)):
        block = tuple(slice(c, min(c + s, n)) for c, s, n in zip(corners[k], side, shape, strict=True))
        size = tuple(b.stop - b.start for b in block)
        volume[block] = nmcdist.generate_cba(BUNDLE, size, origin=corners[k], **key)
    return volume


@pytest.fixture(scope="module")
def whole():
    return nmcdist.generate_cba(BUNDLE, (256, 256, 256), 20.0, seed=21, index=3)


class TestSeams:
    @pytest.mark.parametrize("side", [(64, 64, 64), (101, 47, 256), (256, 19, 90)])
    def test_blocks_are_bit_for_bit_the_whole(self, whole, side):
        assert np.array_equal(draw_by_blocks(whole.shape, side, voxel_size_nm=20.0, seed=21, index=3), whole)

    def test_order_does_not_matter(self, whole):
        def shuffled(n):
            return np.random.default_rng(0).permutation(n)

        blocks = draw_by_blocks(whole.shape, (64, 64, 64), shuffled, voxel_size_nm=20.0, seed=21, index=3)
        assert np.array_equal(blocks, whole)

    def test_thread_count_does_not_matter(self, whole):
        set_thread_count(1)
        try:
            assert np.array_equal(nmcdist.generate_cba(BUNDLE, (256, 256, 256), 20.0, seed=21, index=3), whole)
        finally:
            set_thread_count(2)

    @settings(max_examples=15, deadline=None)
    @given(
        st.tuples(*[st.integers(-300, 300)] * 3),
        st.tuples(*[st.integers(1, 40)] * 3),
        st.sampled_from([10.0, 20.0, 37.5, 80.0]),
    )
    def test_any_window_anywhere(self, origin, shape, voxel):
        margin = (3, 5, 2)
        outer = tuple(o - m for o, m in zip(origin, margin, strict=True))
        big = tuple(n + 2 * m for n, m in zip(shape, margin, strict=True))
        inner = tuple(slice(m, m + n) for m, n in zip(margin, shape, strict=True))
        part = nmcdist.generate_cba(BUNDLE, shape, voxel, seed=22, origin=origin)
        assert np.array_equal(part, nmcdist.generate_cba(BUNDLE, big, voxel, seed=22, origin=outer)[inner])

    def test_a_long_volume_is_drawn_by_blocks_under_2_gib(self):
        code = """
import nmcdist
from nmcdist.products.memory import peak_memory_bytes
bundle = nmcdist.load_bundle("cba-cathode-2025")
total = 0
for z in range(0, 1600, 200):
    total += nmcdist.generate_cba(bundle, (200, 300, 300), 20.0, seed=23, origin=(z, 0, 0)).size
assert total == 1600 * 300 * 300
print(peak_memory_bytes())
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert int(done.stdout) < 2 * 2**30


class TestEquation4:
    def test_labels_are_combined_from_the_three_parts(self):
        shape, voxel, origin = (60, 70, 50), 20.0, (5, -9, 33)
        p = BUNDLE.parameters
        low = (np.array(origin) + 0.5) * voxel
        high = low + (np.array(shape) - 1) * voxel
        parts = []
        for draw in (boolean.oblate_spheroids, boolean.balls):
            mask = np.zeros(shape, dtype=np.uint8)
            boolean.paint(mask, draw(p, low, high, 24, 1), 1, voxel, origin)
            parts.append(mask == 1)
        graphite, pores = parts
        excursion = fields.gaussian_field(p.eta_per_nm, shape, voxel, 24, 1, origin) >= p.mu
        labels = nmcdist.generate_cba(BUNDLE, shape, voxel, seed=24, index=1, origin=origin)
        assert np.array_equal(labels == 2, graphite)
        assert np.array_equal(labels > 0, graphite | (excursion & ~pores))

    def test_each_part_is_the_same_without_the_others(self):
        def drawn(*parts):
            return cba.draw_parts(BUNDLE.cba(), (24, 20, 28), 80.0, 4, 2, (3, -5, 7), parts)

        whole = nmcdist.generate_cba(BUNDLE, (24, 20, 28), 80.0, seed=4, index=2, origin=(3, -5, 7))
        graphite, matrix = drawn("graphite"), drawn("field", "large_pores")
        assert set(np.unique(graphite)) == {0, 2}
        np.testing.assert_array_equal(whole, np.where(graphite == 2, 2, matrix))
        without_large_pores = drawn("field")
        assert (without_large_pores >= matrix).all() and (without_large_pores > matrix).any()

    def test_coarser_voxels_see_the_same_structure(self):
        fine = nmcdist.generate_cba(BUNDLE, (90, 90, 90), 20.0, seed=25)
        coarse = nmcdist.generate_cba(BUNDLE, (30, 30, 30), 60.0, seed=25)
        assert np.array_equal(coarse == 2, fine[1::3, 1::3, 1::3] == 2)
        # The field is summed in float32: a voxel within rounding of the threshold may fall either way.
        assert (coarse != fine[1::3, 1::3, 1::3]).mean() < 1e-4

    def test_indices_and_seeds_are_independent_draws(self):
        key = {"shape": (40, 40, 40), "voxel_size_nm": 20.0}
        a = nmcdist.generate_cba(BUNDLE, seed=26, index=0, **key)
        assert not np.array_equal(a, nmcdist.generate_cba(BUNDLE, seed=26, index=1, **key))
        assert not np.array_equal(a, nmcdist.generate_cba(BUNDLE, seed=27, index=0, **key))
        assert np.array_equal(a, nmcdist.generate_cba(BUNDLE, seed=26, index=0, **key))


class TestTheory:
    @pytest.mark.slow
    def test_volume_fraction_of_the_solid_within_half_a_percent(self, monkeypatch):
        """400 windows of (4 um)^3 at 160 nm.

        Most of the scatter of a window comes from how much graphite it holds and from the mean of its field. The
        expectations of both are known (V1 is tested by itself, the field is centred), so they serve as control
        variates, which leave the mean of V as it is.
        """
        p, shape = BUNDLE.parameters, (25, 25, 25)
        exact = theory.volume_fractions(p)
        v1 = exact["graphite"]
        v_b = exact["carbon_binder"] / (1 - v1)
        slope = (1 - v1) * (1 - theory.large_pore_fraction(p)) * np.exp(-(p.mu**2) / 2) / np.sqrt(2 * np.pi)

        drawn, means = fields.gaussian_field, {}

        def noted(eta_per_nm, shape, voxel_size_nm, seed, index, origin):
            field = drawn(eta_per_nm, shape, voxel_size_nm, seed, index, origin)
            means.setdefault(index, []).append(field.mean())
            return field

        monkeypatch.setattr(fields, "gaussian_field", noted)

        def controlled(index):
            labels = nmcdist.generate_cba(BUNDLE, shape, 160.0, seed=28, index=index)
            (mean,) = means[index]
            return (labels > 0).mean() - (1 - v_b) * ((labels == 2).mean() - v1) - slope * mean

        found = np.array(thread_map(controlled, range(480)))
        error = found.std() / np.sqrt(len(found))
        assert 4 * error < 0.005 * exact["solid"]
        assert found.mean() == pytest.approx(exact["solid"], abs=4 * error)

    def test_two_point_coverage_of_every_phase(self):
        """Twenty-four windows of (8 um)^3 at 80 nm; 4 standard errors from their scatter, lag by lag."""
        lags = np.array([0, 1, 2, 3, 5, 8, 15, 37])
        exact = theory.two_point_coverage(BUNDLE.parameters, lags * 80.0)

        def pairs(index):
            labels = nmcdist.generate_cba(BUNDLE, (100, 100, 100), 80.0, seed=29, index=index)
            masks = {
                "pore": labels == 0,
                "carbon_binder": labels == 1,
                "graphite": labels == 2,
                "solid": labels > 0,
            }
            return [[_coverage(mask, lag) for lag in lags] for mask in masks.values()]

        found = np.array(thread_map(pairs, range(24)))
        error = found.std(axis=0) / np.sqrt(len(found))
        for row, bound, name in zip(
            found.mean(axis=0), error, ("pore", "carbon_binder", "graphite", "solid"), strict=True
        ):
            # 3e-4 is the largest error of the mixture's covariance, which C(h) inherits at most in full.
            assert np.all(np.abs(row - exact[name]) < 4 * bound + 3e-4), name
            assert bound.max() < 0.004

    def test_published_closed_forms(self):
        p = BUNDLE.parameters
        fractions = theory.volume_fractions(p)
        assert theory.excursion_densities(p).volume_fraction == pytest.approx(0.3089, abs=5e-5)
        assert fractions["solid"] == pytest.approx(1 - 0.6686, abs=2e-4)  # the measured porosity, 66.86 %
        graphite = theory.graphite_densities(p)
        assert graphite.volume_fraction == pytest.approx(0.10550, rel=0.002)  # Table 1, measured
        assert graphite.surface_area == pytest.approx(0.0014526, rel=0.002)

    def test_grain_means_against_a_million_draws(self):
        p, n = BUNDLE.parameters, 10**6
        rng = np.random.default_rng(30)
        a, c = (rng.gamma(shape, 1 / p.gamma_per_nm, n) for shape in (p.alpha_1, p.alpha_2))
        short, long = np.minimum(a, c), np.maximum(a, c)
        volumes = 4 / 3 * np.pi * short * long**2
        e = np.sqrt(1 - (short / long) ** 2)
        surfaces = 2 * np.pi * (long**2 + short**2 * np.arctanh(e) / e)
        curvatures = 2 * np.pi * (short + long * np.arcsin(e) / e)
        for found, exact in zip((volumes, surfaces, curvatures), theory.mean_grain(p), strict=True):
            assert exact == pytest.approx(found.mean(), abs=4 * found.std() / 1000)

    @pytest.mark.parametrize("fraction", [0.01, 0.1057, 0.4])
    def test_intensity_for_a_graphite_fraction_inverts_miles(self, fraction):
        lam = theory.intensity_for_graphite_fraction(BUNDLE.parameters, fraction)
        changed = BUNDLE.parameters.model_copy(update={"lambda_X_per_nm3": lam})
        assert theory.graphite_fraction(changed) == pytest.approx(fraction, rel=1e-12)

    def test_voxel_rescaled_law_keeps_the_means_and_widens_the_spread(self):
        rescaled = cba.voxel_rescaled(BUNDLE.parameters, 80.0)
        assert rescaled.alpha_1 == pytest.approx(205 / 80)
        assert rescaled.gamma_per_nm == pytest.approx(1.971 / 80)
        assert rescaled.alpha_1 / rescaled.gamma_per_nm == pytest.approx(104.0, rel=1e-3)


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"shape": (10, 10)}, "shape"),
            ({"shape": (10, 0, 10)}, "shape"),
            ({"shape": 10}, "shape"),
            ({"voxel_size_nm": 0.0}, "voxel_size_nm"),
            ({"voxel_size_nm": float("nan")}, "voxel_size_nm"),
            ({"voxel_size_nm": "20"}, "voxel_size_nm"),
            ({"seed": -1}, "seed"),
            ({"seed": 2**64}, "seed"),
            ({"seed": 1.5}, "seed"),
            ({"index": -1}, "index"),
            ({"origin": (0, 0, 0.5)}, "origin"),
            ({"origin": (0, 0, 2**40)}, "origin"),
            ({"gamma_law": "other"}, "gamma_law"),
        ],
    )
    def test_names_the_argument(self, change, named):
        arguments = {"shape": (8, 8, 8), "voxel_size_nm": 20.0, "seed": 1, **change}
        with pytest.raises(nmcdist.errors.InputError, match=f"^{named}: found"):
            nmcdist.generate_cba(BUNDLE, **arguments)


def _coverage(mask, lag):
    pairs = [mask[lag:] & mask[: mask.shape[0] - lag], mask[:, lag:] & mask[:, : mask.shape[1] - lag],
             mask[:, :, lag:] & mask[:, :, : mask.shape[2] - lag]]  # fmt: skip
    return float(np.mean([p.mean() for p in pairs]))
