"""Intrinsic volumes, refereed by closed forms, brute force and an independent implementation."""

import re
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
    counts_of_block,
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
    """Surface, curvature and Euler number (both by 6 and 26) of a body inside the volume: densities times cubes."""
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
        surface, *curvature, euler_6, euler_26 = totals(ball(radius, (0.12, 0.31, -0.2)), 3.0)
        bound = 0.01 + radius**-1.5
        assert surface == pytest.approx(4 * np.pi * (3 * radius) ** 2, rel=bound)
        assert curvature == pytest.approx([4 * np.pi * 3 * radius] * 2, rel=bound)
        assert (euler_6, euler_26) == pytest.approx((1, 1), abs=1e-9)

    def test_plates_thinner_than_two_voxels(self):
        """Discs of 1.5 voxels at forty random orientations: one piece without a hole by 26, full of tunnels by 6.

        Half the mean width of a flat cylinder gives 2 pi c + pi^2 a for its curvature, half thickness c, radius a.
        """
        half, radius, n = 0.75, 15.0, 38
        points = np.stack(np.indices((n, n, n)), axis=-1) - (n - 1) / 2
        rng = np.random.default_rng(35)
        found = []
        for normal in rng.normal(size=(40, 3)):
            place = points - rng.random(3)
            height = place @ (normal / np.linalg.norm(normal))
            found.append(totals((np.abs(height) <= half) & ((place**2).sum(axis=-1) - height**2 <= radius**2)))
        _, curvature_6, curvature_26, euler_6, euler_26 = np.array(found).T
        exact = 2 * np.pi * half + np.pi**2 * radius
        assert np.allclose(euler_26, 1)
        assert euler_6.mean() < -10
        assert curvature_26.mean() == pytest.approx(exact, rel=0.02)
        assert curvature_6.mean() > 1.2 * exact

    def test_laminates_of_random_orientation(self):
        """Layers of 8 voxels, so 1/8 of area per volume: what Crofton sees is 2 sum over directions of share |cos|.

        Forty orientations by eight offsets, shares as printed by Ohser and Schladitz (Table 5.1). Over all
        orientations the mean is 1, as that of |cos| is 1/2; the sample's within 4 standard errors. The least,
        0.927, belongs to a normal along an axis.
        """
        layer, n = 8.0, 49
        points = np.indices((n, n, n)).reshape(3, -1)
        directions = np.array([d for d in np.ndindex(3, 3, 3) if d > (1, 1, 1)]) - 1.0
        length = np.linalg.norm(directions, axis=1)
        share = 2 * np.array([0.045778, 0.036981, 0.035196])[np.count_nonzero(directions, axis=1) - 1]
        drawn = np.random.default_rng(36).normal(size=(40, 3))
        normals = np.vstack([np.eye(3), drawn / np.linalg.norm(drawn, axis=1, keepdims=True)])
        predicted = 2 * np.abs(normals @ (directions / length[:, None]).T) @ share
        found = []
        for normal in normals:
            heights = np.array([normal @ points / layer + k / 4 for k in range(8)])
            phases = (np.floor(heights).astype(int) % 2 == 0).reshape(8, n, n, n)
            found.append(np.mean([intrinsic_volumes(phase, 1.0).surface_area for phase in phases]) * layer)
        assert found == pytest.approx(predicted, rel=0.01)
        assert found[0] == pytest.approx(0.9266, rel=0.002)
        assert min(found) > 0.92
        assert max(found) < 1.03
        random = np.array(found[3:])
        assert random.mean() == pytest.approx(1, abs=4 * random.std() / np.sqrt(len(random)))

    def test_box_along_the_axes(self):
        """Along the axes the 13 directions see a plane's area times 2 (sum over directions of share |cos|) = 0.927.

        The faces of a box are all of that kind, so 0.927 of 2 (ab + bc + ca) is what must come out.
        """
        phase = np.zeros((60, 70, 80), dtype=bool)
        phase[10:40, 10:50, 10:60] = True
        surface, *_, euler_6, euler_26 = totals(phase)
        axes, faces, corners = 0.045777895, 0.036980626, 0.035195639
        seen = 2 * 2 * (axes * 1 + faces * 4 / np.sqrt(2) + corners * 4 / np.sqrt(3))
        # Away from the edges; those take off about one voxel of each diagonal direction per edge.
        assert surface == pytest.approx(seen * 2 * (30 * 40 + 40 * 50 + 50 * 30), rel=0.02)
        assert (euler_6, euler_26) == pytest.approx((1, 1), abs=1e-9)

    @pytest.mark.parametrize(("holes", "expected"), [(1, 0), (2, -1)])
    def test_euler_number_of_a_plate_with_holes(self, holes, expected):
        plate = np.zeros((9, 20, 30), dtype=bool)
        plate[3:6, 3:17, 3:27] = True
        for k in range(holes):
            plate[:, 8:12, 6 + 10 * k : 10 + 10 * k] = False
        assert totals(plate)[3:] == pytest.approx([expected, expected], abs=1e-9)

    def test_euler_number_of_a_hollow_ball_is_two(self):
        shell = ball(12, (0, 0, 0))
        shell[10:20, 10:20, 10:20] = False
        assert totals(shell)[3:] == pytest.approx([2, 2], abs=1e-9)

    @pytest.mark.parametrize(
        ("cover", "off_6", "off_26"), [(0.1, (0.03, 0.11), (0.1, 0.28)), (0.3, (0.06, 0.18), (0.27, 0.45))]
    )
    def test_boolean_model_of_balls(self, cover, off_6, off_26):
        """Miles' formulas for balls of radius 8, 24 volumes of 120^3; 4 standard errors + a bias.

        3 % is what Crofton over 13 directions and voxels of an eighth of the radius leave of the surface. Beside the
        crease where two balls meet, voxels join across the gap and leave tunnels at any resolution, which take off
        the Euler number what is documented per ball, more by 26 than by 6, and of the curvature, whose sections see
        a crease as two points, up to a tenth by 6 and a fifth by 26.
        """
        radius, n = 8.0, 120
        volume, surface, curvature = 4 / 3 * np.pi * radius**3, 4 * np.pi * radius**2, 4 * np.pi * radius
        lam = -np.log(1 - cover) / volume
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
        mean = found.mean(axis=0)
        assert mean[0] == pytest.approx(exact[0], abs=4 * error[0] + 0.03 * exact[0])
        for k, bias in ((1, 0.12), (2, 0.22)):
            assert exact[1] * (1 - bias) - 4 * error[k] < mean[k] < exact[1] + 4 * error[k]
        for k, (least, most) in ((3, off_6), (4, off_26)):
            assert least * lam - 4 * error[k] < exact[2] - mean[k] < most * lam + 4 * error[k]
        assert mean[4] < mean[3]

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
        for k in (2, 3):
            assert mean[k] == pytest.approx(exact.mean_curvature, abs=4 * error[k] + 0.03 * exact.mean_curvature)
        for k in (4, 5):
            assert mean[k] == pytest.approx(exact.euler_number, abs=4 * error[k] + 0.05 * abs(exact.euler_number))

    def test_gaussian_excursion_set_on_coarse_voxels(self):
        """Twelve windows of 64^3 at 40 nm (2 voxels a correlation length): 26 keeps the Euler number, 6 the curvature.

        4 standard errors + 5 %, as documented.
        """
        p = BUNDLE.parameters
        exact = theory.excursion_densities(p)

        def densities(index):
            field = fields.gaussian_field(p.eta_per_nm, (64, 64, 64), 40.0, seed=32, index=index)
            return intrinsic_volumes(field >= p.mu, 40.0)

        found = np.array(thread_map(densities, range(12)))
        mean, error = found.mean(axis=0), found.std(axis=0) / np.sqrt(len(found))
        assert mean[2] == pytest.approx(exact.mean_curvature, abs=4 * error[2] + 0.05 * exact.mean_curvature)
        assert mean[5] == pytest.approx(exact.euler_number, abs=4 * error[5] + 0.05 * abs(exact.euler_number))
        assert mean[3] < 0.7 * exact.mean_curvature
        assert mean[4] > 0.6 * exact.euler_number  # negative: half of the tunnels are closed


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
        assert ours[1:3].mean() == pytest.approx(2 * np.pi**2 * curvature, rel=1e-5)
        assert ours[3:].mean() == pytest.approx(4 * np.pi / 3 * euler, rel=1e-5)

    @settings(max_examples=60, deadline=None)
    @given(small_phases)
    def test_euler_number_by_either_adjacency(self, phase):
        body = np.pad(phase, 1)
        expected = [euler_number(body, connectivity=1), euler_number(body, connectivity=3)]
        assert totals(body)[3:] == pytest.approx(expected, abs=1e-9)

    @settings(max_examples=30, deadline=None)
    @given(small_phases)
    def test_curvature_by_either_adjacency(self, phase):
        """Crofton by hand over the planar sections across the axes and face diagonals, where the two rules differ.

        A section across a face diagonal is the square lattice of the planes y + z = constant, sheared flat.
        """
        body = np.pad(phase, 1)
        difference = 0.0
        shares = 2 * np.array([0.045778, 0.036981])
        for axis in range(3):
            for layer in np.moveaxis(body, axis, 0):
                difference += 2 * np.pi * shares[0] * (euler_number(layer, 1) - euler_number(layer, 2))
            for turned in (body, np.flip(body, (axis + 1) % 3)):
                turned = np.moveaxis(turned, axis, 0)
                for k in range(-turned.shape[1] + 1, turned.shape[2]):
                    layer = np.diagonal(turned, k, 1, 2)
                    rules = euler_number(np.pad(layer, 1), 1) - euler_number(np.pad(layer, 1), 2)
                    difference += 2 * np.pi * shares[1] * rules / np.sqrt(2)
        _, by_6, by_26, *_ = totals(body)
        assert by_6 - by_26 == pytest.approx(difference, abs=1e-4 * (1 + abs(difference)))

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
        assert b.surface_area == pytest.approx(a.surface_area, abs=1e-12)
        assert (b.euler_number_6, b.euler_number_26) == pytest.approx((a.euler_number_26, a.euler_number_6), abs=1e-12)
        assert b.mean_curvature_6 == pytest.approx(-a.mean_curvature_26, abs=1e-12)
        assert b.mean_curvature_26 == pytest.approx(-a.mean_curvature_6, abs=1e-12)
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

    def test_a_last_block_one_layer_thick_adds_nothing(self):
        phase = np.random.default_rng(33).random((9, 7, 8)) < 0.5
        for axis in range(3):
            assert not counts_of_block(phase.take([-1], axis)).any()

    @pytest.mark.parametrize("shape", [(1, 8, 8), (8, 1, 8), (8, 8, 1)])
    @pytest.mark.parametrize("count", [configuration_counts, lambda phase: intrinsic_volumes(phase, 1.0)])
    def test_volumes_one_voxel_thin_are_refused(self, count, shape):
        with pytest.raises(InputError, match=rf"phase: found shape {re.escape(str(shape))}, expected at least two"):
            count(np.ones(shape, dtype=bool))

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
