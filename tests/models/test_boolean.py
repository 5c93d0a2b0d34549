"""The two Boolean models, refereed by Miles' formulas and by testing every voxel against every grain."""

import numpy as np
import pytest

import nmcdist
from nmcdist.models import boolean, theory
from nmcdist.threads import thread_map

PARAMETERS = nmcdist.load_bundle("cba-cathode-2025").parameters
TABLE_3 = {2.21e-11: 0.0381, 3.55e-11: 0.0605, 4.93e-11: 0.0830, 6.36e-11: 0.1057, 7.81e-11: 0.1283,
           9.33e-11: 0.1512, 1.09e-10: 0.1744}  # fmt: skip


def coverage(draw, parameters, side_nm, spacing_nm, seed, windows):
    """Share of voxel centres in the union of grains; a wide spacing samples much space at little cost."""
    n = int(side_nm / spacing_nm)

    def share(index):
        low = np.full(3, spacing_nm / 2)
        mask = np.zeros((n, n, n), dtype=np.uint8)
        boolean.paint(mask, draw(parameters, low, low + (n - 1) * spacing_nm, seed, index), 1, spacing_nm, (0, 0, 0))
        return mask.mean()

    return float(np.mean(thread_map(share, range(windows))))


def standard_error(covered, coverage_at, side_nm, windows):
    """Standard error of the volume fraction: the integral of C(h) - V^2 over the sampled volume."""
    h = np.linspace(0, 6000, 1201)
    integral = np.trapezoid(4 * np.pi * h**2 * (coverage_at(h) - covered**2), h)
    return np.sqrt(integral / (windows * side_nm**3))


class TestTheory:
    def test_graphite_fraction_within_half_a_percent(self):
        """(1.1e16 nm^3, 680,000 grains)."""
        v1 = theory.graphite_fraction(PARAMETERS)
        error = standard_error(v1, lambda h: theory.graphite_coverage(PARAMETERS, h), 112_000, 8)
        assert 4 * error < 0.005 * v1
        assert coverage(boolean.oblate_spheroids, PARAMETERS, 112_000, 1000, 11, 8) == pytest.approx(v1, abs=4 * error)

    @pytest.mark.parametrize(("intensity", "printed"), TABLE_3.items())
    def test_graphite_fraction_at_each_intensity_of_table_3(self, intensity, printed):
        parameters = PARAMETERS.model_copy(update={"lambda_X_per_nm3": intensity})
        v1 = theory.graphite_fraction(parameters)
        assert v1 == pytest.approx(printed, rel=0.003)  # the paper's own draws of 10,000 grains scatter by this
        error = standard_error(v1, lambda h: theory.graphite_coverage(parameters, h), 60_000, 4)
        found = coverage(boolean.oblate_spheroids, parameters, 60_000, 1000, 12, 4)
        assert found == pytest.approx(v1, abs=4 * error)

    def test_large_pore_fraction_within_half_a_percent(self):
        """(1.2e15 nm^3, ten million balls)."""
        v3 = theory.large_pore_fraction(PARAMETERS)
        assert v3 == pytest.approx(0.182, abs=5e-4)
        error = standard_error(v3, lambda h: theory.large_pore_coverage(PARAMETERS, h), 53_000, 8)
        assert 4 * error < 0.005 * v3
        assert coverage(boolean.balls, PARAMETERS, 53_000, 530, 13, 8) == pytest.approx(v3, abs=4 * error)

    def test_no_thinning_at_the_faces(self):
        """Two layers at opposite faces of 300 windows hold as much graphite as theory says."""
        v1 = theory.graphite_fraction(PARAMETERS)

        def layers(index):
            mask = np.zeros((20, 20, 20), dtype=np.uint8)
            low = np.full(3, 200.0)
            boolean.paint(mask, boolean.oblate_spheroids(PARAMETERS, low, low + 7600, 14, index), 1, 400.0, (0, 0, 0))
            return (mask[0].mean() + mask[-1].mean()) / 2

        shares = thread_map(layers, range(300))
        assert np.mean(shares) == pytest.approx(v1, abs=4 * np.std(shares) / np.sqrt(300))

    def test_axes_are_isotropic_and_half_axes_follow_their_laws(self):
        low, high = np.zeros(3), np.full(3, 60_000.0)
        grains = boolean.oblate_spheroids(PARAMETERS, low, high, 15, 0)
        n = len(grains.short_nm)
        # E[n_i^2] = 1/3 with variance 4/45; Gamma(k) / rate has mean k / rate, variance k / rate^2. The bounding
        # ball test keeps larger grains a little more often, so only grains with germs inside count.
        inside = ((grains.centre_nm >= low) & (grains.centre_nm < high)).all(axis=1)
        assert n > 10_000
        m = inside.sum()
        assert (grains.axis[inside] ** 2).mean(axis=0) == pytest.approx(1 / 3, abs=4 * np.sqrt(4 / 45 / m))
        for sizes, shape in ((grains.short_nm, PARAMETERS.alpha_1), (grains.long_nm, PARAMETERS.alpha_2)):
            scale = 1 / PARAMETERS.gamma_per_nm
            assert sizes[inside].mean() == pytest.approx(shape * scale, abs=4 * np.sqrt(shape / m) * scale)


class TestBruteForce:
    def test_painted_voxels_are_those_whose_centre_is_inside(self):
        origin, voxel, shape = (-11, 40, 3), 70.0, (31, 27, 35)
        low = (np.array(origin) + 0.5) * voxel
        grains = boolean.oblate_spheroids(PARAMETERS, low, low + (np.array(shape) - 1) * voxel, 16, 0)
        mask = np.zeros(shape, dtype=np.uint8)
        boolean.paint(mask, grains, 2, voxel, origin)
        axes = [(np.arange(o, o + n) + 0.5) * voxel for o, n in zip(origin, shape, strict=True)]
        centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        expected = np.zeros(shape, dtype=bool)
        for c, axis, short, long in zip(grains.centre_nm, grains.axis, grains.short_nm, grains.long_nm, strict=True):
            d = centres - c
            along = d @ axis
            expected |= (along / short) ** 2 + ((d**2).sum(-1) - along**2) / long**2 <= 1
        assert 0.02 < expected.mean() < 0.5
        assert np.array_equal(mask == 2, expected)

    def test_germs_of_a_window_are_all_that_reach_it(self):
        low, high = np.array([500.0, -900.0, 0.0]), np.array([3500.0, 800.0, 900.0])
        near = boolean.balls(PARAMETERS, low, high, 17, 0)
        wide = boolean.balls(PARAMETERS, low - 9000, high + 9000, 17, 0)
        gap = np.maximum(np.maximum(low - wide.centre_nm, wide.centre_nm - high), 0)
        reach = np.linalg.norm(gap, axis=1) <= wide.short_nm
        assert {*map(tuple, near.centre_nm)} == {*map(tuple, wide.centre_nm[reach])}
