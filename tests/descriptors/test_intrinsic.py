"""Intrinsic volumes, refereed by closed forms, brute force and an independent implementation."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import euler_number

import nmcdist
from nmcdist.descriptors.intrinsic import (
    configuration_counts,
    direction_weights,
    intrinsic_volumes,
    intrinsic_volumes_from_counts,
    volume_fraction,
)
from nmcdist.errors import InputError
from nmcdist.models import boolean, fields, theory
from nmcdist.threads import set_thread_count, thread_map

BUNDLE = nmcdist.load_bundle("cba-cathode-2025")
small_phases = arrays(np.bool_, st.tuples(*[st.integers(2, 6)] * 3))


def quantimpy_functionals(phase, folder):
    """Run quantimpy in its own environment: its wheels are of numpy 1."""
    python = Path(__file__).parents[2] / ".venv-quantimpy" / "bin" / "python"
    assert python.exists(), "run `make test`, which sets up the environment of quantimpy"
    np.save(folder / "phase.npy", phase)
    code = "import sys, numpy, quantimpy.minkowski as m; print(*m.functionals(numpy.load(sys.argv[1])))"
    done = subprocess.run([python, "-c", code, folder / "phase.npy"], capture_output=True, text=True, check=True)
    return [float(v) for v in done.stdout.split()]


def totals(phase, voxel_size_nm=1.0):
    """Surface, integral of mean curvature and Euler number of a body inside the volume: densities times cubes."""
    volume = np.prod(np.array(phase.shape) - 1) * voxel_size_nm**3
    return np.array(intrinsic_volumes(phase, voxel_size_nm)[1:]) * volume


def ball(radius, centre_shift):
    n = int(2 * radius + 6)
    z, y, x = np.indices((n, n, n)) - (n - 1) / 2 + np.array(centre_shift)[:, None, None, None]
    return z**2 + y**2 + x**2 <= radius**2


class TestTheory:
    @pytest.mark.parametrize("radius", [10, 20, 40])
    def test_ball(self, radius):
        """Crofton over 13 directions leaves under 1 % on a ball; voxels add about 1 / radius^1.5 of scatter."""
        surface, curvature, euler = totals(ball(radius, (0.12, 0.31, -0.2)), 3.0)
        bound = 0.01 + radius**-1.5
        assert surface == pytest.approx(4 * np.pi * (3 * radius) ** 2, rel=bound)
        assert curvature == pytest.approx(4 * np.pi * 3 * radius, rel=bound)
        assert euler == pytest.approx(1, abs=1e-9)

    def test_box_along_the_axes(self):
        """Along the axes the 13 directions see a plane's area times 2 (sum over directions of share |cos|) = 0.927.

        The faces of a box are all of that kind, so 0.927 of 2 (ab + bc + ca) is what must come out.
        """
        phase = np.zeros((60, 70, 80), dtype=bool)
        phase[10:40, 10:50, 10:60] = True
        surface, _, euler = totals(phase)
        axes, faces, corners = 0.045777895, 0.036980626, 0.035195639
        seen = 2 * 2 * (axes * 1 + faces * 4 / np.sqrt(2) + corners * 4 / np.sqrt(3))
        # Away from the edges; those take off about one voxel of each diagonal direction per edge.
        assert surface == pytest.approx(seen * 2 * (30 * 40 + 40 * 50 + 50 * 30), rel=0.02)
        assert euler == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize(("holes", "expected"), [(1, 0), (2, -1)])
    def test_euler_number_of_a_plate_with_holes(self, holes, expected):
        plate = np.zeros((9, 20, 30), dtype=bool)
        plate[3:6, 3:17, 3:27] = True
        for k in range(holes):
            plate[:, 8:12, 6 + 10 * k : 10 + 10 * k] = False
        assert totals(plate)[2] == pytest.approx(expected, abs=1e-9)

    def test_euler_number_of_a_hollow_ball_is_two(self):
        shell = ball(12, (0, 0, 0))
        shell[10:20, 10:20, 10:20] = False
        assert totals(shell)[2] == pytest.approx(2, abs=1e-9)

    def test_boolean_model_of_balls(self):
        """Miles' formulas for balls of radius 8 at 0.1 covering, 24 volumes of 120^3; 4 standard errors + a bias.

        1 % is what Crofton over 13 directions and voxels of an eighth of the radius leave on a ball. Beside the
        crease where two balls meet, voxels join across the gap and leave tunnels, about one a pair of balls and
        the same at any resolution. There are 0.42 pairs a ball here, and half of the mean Euler number sees their
        tunnels: up to 0.2 a ball, 30 % of the 0.62 that the formula leaves; a few percent of the curvature, whose
        sections see a crease as two points.
        """
        radius, n = 8.0, 120
        volume, surface, curvature = 4 / 3 * np.pi * radius**3, 4 * np.pi * radius**2, 4 * np.pi * radius
        lam = -np.log(0.9) / volume
        free = np.exp(-lam * volume)
        exact = np.array([
            lam * free * surface,
            lam * free * (curvature - np.pi**2 * lam * surface**2 / 32),
            lam * free * (1 - lam * curvature * surface / (4 * np.pi) + np.pi * lam**2 * surface**3 / 384),
        ])  # fmt: skip

        def densities(index):
            rng = np.random.default_rng([31, index])
            side = n + 2 * radius
            germs = rng.random((rng.poisson(lam * side**3), 3)) * side - radius
            axis, half = np.tile([1.0, 0, 0], (len(germs), 1)), np.full(len(germs), radius)
            mask = np.zeros((n, n, n), dtype=np.uint8)
            boolean.paint(mask, boolean.Spheroids(germs, axis, half, half), 1, 1.0, (0, 0, 0))
            return intrinsic_volumes(mask == 1, 1.0)[1:]

        found = np.array(thread_map(densities, range(24)))
        error = found.std(axis=0) / np.sqrt(len(found))
        assert np.all(np.abs(found.mean(axis=0) - exact) < 4 * error + np.array([0.01, 0.05, 0.3]) * np.abs(exact))

    def test_gaussian_excursion_set(self):
        """Forty windows of 160^3 at 5 nm (16 voxels a correlation length), where the voxels resolve the surface.

        4 standard errors + 1, 2 and 5 % for surface, curvature and Euler number, whose estimates lean on ever
        finer detail.
        """
        p = BUNDLE.parameters
        exact = theory.excursion_densities(p)

        def densities(index):
            field = fields.gaussian_field(p.eta_per_nm, (160, 160, 160), 5.0, seed=32, index=index)
            return intrinsic_volumes(field >= p.mu, 5.0)

        found = np.array(thread_map(densities, range(40)))
        mean, error = found.mean(axis=0), found.std(axis=0) / np.sqrt(len(found))
        assert mean[1] == pytest.approx(exact.surface_area, abs=4 * error[1] + 0.01 * exact.surface_area)
        assert mean[2] == pytest.approx(exact.mean_curvature, abs=4 * error[2] + 0.02 * exact.mean_curvature)
        assert mean[3] == pytest.approx(exact.euler_number, abs=4 * error[3] + 0.05 * abs(exact.euler_number))


class TestIndependent:
    def test_quantimpy(self, tmp_path):
        """Quantimpy takes the same 13 directions; its functionals are V, S / 8, K / (2 pi^2), 3 chi / (4 pi).

        Its curvature is the same sum to the last digit that it prints. Its surface weighs directions a little
        differently, by up to 4 % on single voxels, which leaves 0.1 % on bodies as smooth as these.
        """
        z, y, x = np.indices((40, 40, 40))
        phase = np.zeros((40, 40, 40), dtype=bool)
        for a, b, c in np.random.default_rng(33).integers(12, 28, (6, 3)):
            phase |= (z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 <= 49
        _, surface, curvature, euler = quantimpy_functionals(phase, tmp_path)
        ours = totals(phase)
        assert ours[0] == pytest.approx(8 * surface, rel=2e-3)
        assert ours[1] == pytest.approx(2 * np.pi**2 * curvature, rel=1e-5)
        assert ours[2] == pytest.approx(4 * np.pi / 3 * euler, rel=1e-5)

    @settings(max_examples=60, deadline=None)
    @given(small_phases)
    def test_euler_number_is_the_mean_over_the_two_adjacencies(self, phase):
        body = np.pad(phase, 1)
        expected = (euler_number(body, connectivity=1) + euler_number(body, connectivity=3)) / 2
        assert totals(body)[2] == pytest.approx(expected, abs=1e-9)

    def test_published_direction_weights(self):
        """Ohser and Schladitz, Table 5.1, over 26 directions and to their six digits."""
        assert [direction_weights()[kind] / 2 for kind in (1, 2, 3)] == pytest.approx(
            [0.045778, 0.036981, 0.035196], abs=6e-7
        )


class TestInvariance:
    @settings(max_examples=60, deadline=None)
    @given(small_phases)
    def test_complement(self, phase):
        a, b = intrinsic_volumes(phase, 2.0), intrinsic_volumes(~phase, 2.0)
        assert (b.surface_area, b.euler_number) == pytest.approx((a.surface_area, a.euler_number), abs=1e-12)
        assert b.mean_curvature == pytest.approx(-a.mean_curvature, abs=1e-12)
        assert a.volume_fraction + b.volume_fraction == pytest.approx(1)

    @settings(max_examples=60, deadline=None)
    @given(small_phases, st.permutations([0, 1, 2]), st.integers(0, 2))
    def test_permuted_and_mirrored_axes(self, phase, order, mirrored):
        turned = np.flip(phase.transpose(order), mirrored)
        assert np.allclose(intrinsic_volumes(turned, 1.0), intrinsic_volumes(phase, 1.0), atol=1e-12)

    @settings(max_examples=40, deadline=None)
    @given(arrays(np.bool_, (9, 7, 8)), st.integers(1, 7))
    def test_blocks_that_share_a_layer_add_up(self, phase, cut):
        parts = configuration_counts(phase[: cut + 1]) + configuration_counts(phase[cut:])
        assert np.array_equal(parts, configuration_counts(phase))

    def test_thread_count_does_not_matter(self):
        phase = np.random.default_rng(34).random((50, 40, 30)) < 0.4
        set_thread_count(1)
        try:
            one = configuration_counts(phase)
        finally:
            set_thread_count(2)
        assert np.array_equal(one, configuration_counts(phase))

    @settings(max_examples=20, deadline=None)
    @given(small_phases)
    def test_counts_against_a_loop(self, phase):
        counts = np.zeros(256, dtype=int)
        for z, y, x in np.ndindex(*(n - 1 for n in phase.shape)):
            counts[sum(int(v) << i for i, v in enumerate(phase[z : z + 2, y : y + 2, x : x + 2].ravel()))] += 1
        assert np.array_equal(configuration_counts(phase), counts)


class TestBadInput:
    @pytest.mark.parametrize(
        ("phase", "message"),
        [
            (np.zeros((4, 4), bool), r"phase: found shape \(4, 4\)"),
            (np.zeros((0, 4, 4), bool), r"phase: found shape \(0, 4, 4\)"),
            (np.zeros((4, 4, 4)), "phase: found dtype float64"),
            (np.zeros((1, 4, 4), bool), "at least two voxels"),
        ],
    )
    def test_phase(self, phase, message):
        with pytest.raises(InputError, match=message):
            intrinsic_volumes(phase, 1.0)

    def test_voxel_size(self):
        with pytest.raises(InputError, match="voxel_size_nm: found -1"):
            intrinsic_volumes_from_counts(np.ones(256, int), -1)

    def test_empty_and_full_phases_have_no_surface(self):
        for phase in (np.zeros((5, 5, 5), bool), np.ones((5, 5, 5), bool)):
            assert np.allclose(intrinsic_volumes(phase, 1.0)[1:], 0, atol=1e-12)
            assert volume_fraction(phase) == phase[0, 0, 0]
