"""Grains on voxels, sections and points, refereed by brute force, closed forms and independent implementations."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from nmcdist.errors import InputError
from nmcdist.geometry.tessellation import (
    label_lattice,
    label_points,
    radial_frames,
    radial_matrices,
    rasterize_gbpd,
)
from nmcdist.threads import set_thread_count

INTENSITY = 1.44e-8
ASSEMBLE = """
import sys, numpy, torch
from PyAPD.apds import apd_system
x, m, r, y = (torch.tensor(a) for a in numpy.load(sys.argv[1]).values())
apd = apd_system(domain=torch.tensor([[0.0, 1.0]] * 3), X=x, As=m, W=r, pixel_params=(1, 1, 1), dt=torch.float64,
                 device="cpu")
apd.set_pixels(y, torch.ones(len(y)))
numpy.save(sys.argv[2], apd.assemble_apd().numpy())
"""


def radial_grains(n, seed, low=1.0, high=10.0, offset=50 * 2500.0):
    """Seeds of the model's intensity in a cube about the particle's centre, with random markers."""
    rng = np.random.default_rng(seed)
    edge = (n / INTENSITY) ** (1 / 3)
    seeds = (rng.random((n, 3)) - 0.5) * edge
    diagonals = np.exp(rng.uniform(np.log(low), np.log(high), (n, 3)))
    return (seeds, radial_matrices(seeds, diagonals, rng.uniform(0, np.pi, n)), rng.uniform(0, offset, n)), edge


def costs(grains, points):
    seeds, matrices, offsets = grains
    d = points[:, None] - seeds
    return np.einsum("pni,nij,pnj->pn", d, matrices, d) - offsets


def brute(grains, points):
    return np.concatenate(
        [costs(grains, part).argmin(axis=1) for part in np.array_split(points, len(points) // 512 + 1)]
    )


def lattice_points(shape, steps, origin):
    return np.moveaxis(np.indices(shape), 0, -1).reshape(-1, len(shape)) @ np.asarray(steps, float) + origin


def assert_grid_equals_brute_force(grains, shape, spacing, origin):
    origin = np.broadcast_to(origin, 3)
    labels = rasterize_gbpd(*grains, shape, spacing, origin)
    points = lattice_points(shape, np.diag(np.broadcast_to(spacing, 3)), origin)
    expected = brute(grains, points)
    assert labels.dtype == np.int32
    assert np.array_equal(labels, expected.reshape(shape))
    assert np.array_equal(label_points(*grains, points), expected)


class TestBruteForce:
    @pytest.mark.parametrize("high", [1, 3, 10, 100, 10000])
    def test_anisotropy(self, high):
        grains, edge = radial_grains(300, seed=high, high=high)
        assert_grid_equals_brute_force(grains, (23, 18, 25), edge / 20, [-edge / 2, 0.3 * edge, -0.6 * edge])

    def test_grains_smaller_than_voxels(self):
        grains, edge = radial_grains(3000, seed=1)
        assert_grid_equals_brute_force(grains, (6, 7, 5), edge / 6, [-edge / 2] * 3)

    def test_spacing_that_differs_between_axes(self):
        grains, edge = radial_grains(200, seed=2)
        assert_grid_equals_brute_force(grains, (5, 70, 21), [edge / 5, edge / 70, edge / 200], [-edge / 2] * 3)

    def test_offsets_that_swallow_cells(self):
        grains, edge = radial_grains(500, seed=3, offset=2e7)
        assert_grid_equals_brute_force(grains, (20, 20, 20), edge / 20, [-edge / 2] * 3)
        assert len(np.unique(rasterize_gbpd(*grains, (20, 20, 20), edge / 20, [-edge / 2] * 3))) < 100

    @pytest.mark.parametrize("away", [3, 100, 1e5])
    def test_all_seeds_far_off(self, away):
        grains, edge = radial_grains(400, seed=4)
        assert_grid_equals_brute_force(grains, (19, 20, 21), edge / 20, [away * edge, -edge / 2, 0])

    def test_seeds_on_grid_points(self):
        (_, matrices, offsets), _ = radial_grains(200, seed=5)
        seeds = np.random.default_rng(5).permutation(lattice_points((12, 12, 12), np.eye(3) * 50.0, 0.0))[:200]
        assert_grid_equals_brute_force((seeds, matrices, offsets), (12, 12, 12), 50.0, [0, 0, 0])

    def test_seeds_in_one_cluster_and_one_far(self):
        (seeds, matrices, offsets), edge = radial_grains(300, seed=6)
        seeds[1:] *= 1e-3
        assert_grid_equals_brute_force((seeds, matrices, offsets), (20, 20, 20), edge / 20, [-edge / 2] * 3)

    @pytest.mark.parametrize(
        ("shape", "steps"),
        [
            ((700,), [[3.1, -5.7, 2.2]]),
            ((40, 50), [[60.0, 3, -20], [-7, 40, 33]]),
            ((1, 60, 1), [[1.0, 0, 0], [30, 30, 30], [0, 1, 0]]),
            ((12, 1, 30), np.diag([150.0, 1, 70])),
            ((15, 16, 17), [[90.0, 30, 0], [0, 80, 40], [-20, 0, 100]]),
            ((9, 9), [[40.0, 0, 0], [40, 0, 0]]),
            ((5, 300), [[0.0, 0, 0], [0, 0, 9]]),
        ],
    )
    def test_any_lattice(self, shape, steps):
        grains, edge = radial_grains(400, seed=7)
        origin = [-0.2 * edge, -0.3 * edge, -0.1 * edge]
        expected = brute(grains, lattice_points(shape, steps, origin))
        assert np.array_equal(label_lattice(*grains, shape, steps, origin).ravel(), expected)

    def test_loose_points(self):
        grains, edge = radial_grains(400, seed=8)
        rng = np.random.default_rng(8)
        points = np.concatenate([
            rng.normal(0, edge / 2, (1500, 3)), rng.normal(0, 1, (500, 3)), np.ones((300, 3)),
            rng.random((300, 1)) * [edge, 0, 0], np.exp(-np.arange(200.0))[:, None] * [1, 1, 1], grains[0][:100],
        ])  # fmt: skip
        assert np.array_equal(label_points(*grains, points), brute(grains, points))

    def test_no_points_and_equal_points(self):
        grains, _ = radial_grains(50, seed=9)
        assert label_points(*grains, np.empty((0, 3))).shape == (0,)
        point = np.full((1000, 3), 7.0)
        assert (label_points(*grains, point) == brute(grains, point[:1])).all()

    def test_one_seed(self):
        grain = [[1.0, 2, 3]], [np.eye(3)], [5.0]
        assert (rasterize_gbpd(*grain, (70, 3, 5), 1.0, [0, 0, 0]) == 0).all()
        assert label_points(*grain, [[1e9, 0, 0]]).tolist() == [0]

    @settings(max_examples=300, deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 60), st.tuples(*[st.integers(1, 13)] * 3), st.sampled_from([0, 2**40]))
    def test_ties_of_whole_numbers_go_to_the_lowest_row(self, seed, n, shape, shift):
        rng = np.random.default_rng(seed)
        seeds = rng.integers(-3, 12, (n, 3))
        root = rng.integers(-1, 2, (n, 3, 3))
        matrices = np.einsum("nki,nkj->nij", root, root) + np.eye(3, dtype=int)
        offsets = rng.integers(0, 9, n)
        d = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 1, 3) - seeds
        expected = (np.einsum("pni,nij,pnj->pn", d, matrices, d) - offsets).argmin(axis=1)
        labels = rasterize_gbpd(seeds + shift, matrices, offsets, shape, 1, [shift] * 3)
        assert np.array_equal(labels.ravel(), expected)
        assert np.array_equal(label_points(seeds + shift, matrices, offsets, d[:, 0] + seeds[0] + shift), expected)

    @pytest.mark.parametrize("seed", range(8))
    def test_steps_lost_in_the_rounding_of_places(self, seed):
        # Places far out are whole multiples of `last`, and so few of them apart that every cost is exact.
        rng = np.random.default_rng(seed)
        far, last = 2.0**30, 2.0**-22
        seeds = far + rng.integers(-9, 10, (40, 3)) * last
        matrices = rng.integers(1, 4, 40)[:, None, None] * np.eye(3)
        offsets = rng.integers(0, 9, 40) * last**2
        assert_grid_equals_brute_force(
            (seeds, matrices, offsets), (30, 31, 33), [0.3 * last, 0.41 * last, 0.2 * last], far
        )

    @pytest.mark.parametrize("seed", range(8))
    def test_costs_lost_in_the_rounding_of_offsets(self, seed):
        rng = np.random.default_rng(seed)
        seeds = rng.integers(0, 20, (60, 3)).astype(float)
        matrices = rng.integers(1, 4, 60)[:, None, None] * np.eye(3)
        offsets = 2.0**58 + 64 * rng.integers(0, 3, 60)
        assert_grid_equals_brute_force((seeds, matrices, offsets), (20, 20, 20), 1.0, [0, 0, 0])

    def test_equal_grains_are_one(self):
        n = 100
        labels = rasterize_gbpd(np.ones((n, 3)), [np.eye(3)] * n, np.zeros(n), (9, 9, 9), 1.0, [0, 0, 0])
        assert (labels == 0).all()

    @pytest.mark.parametrize("power", [-500, -300, 300, 450])
    def test_units_do_not_matter(self, power):
        (seeds, matrices, offsets), edge = radial_grains(200, seed=10)
        spacing, unit = edge / 16, 2.0**power
        one = rasterize_gbpd(seeds, matrices, offsets, (16, 16, 16), spacing, [-edge / 2] * 3)
        scaled = seeds * unit, matrices, offsets * unit * unit
        assert np.array_equal(one, rasterize_gbpd(*scaled, (16, 16, 16), spacing * unit, [-edge / 2 * unit] * 3))


class TestReach:
    def test_beyond_is_outside_and_within_is_unchanged(self):
        grains, edge = radial_grains(300, seed=11)
        shape, spacing, origin = (41, 30, 25), edge / 30, np.array([-0.6, -0.4, -0.1]) * edge
        whole = rasterize_gbpd(*grains, shape, spacing, origin)
        for reach in (0, 0.05 * edge, 0.4 * edge, 0.7 * edge, 9 * edge):
            far = (lattice_points(shape, np.eye(3) * spacing, origin) ** 2).sum(axis=1) > reach**2
            labels = rasterize_gbpd(*grains, shape, spacing, origin, reach=reach)
            assert np.array_equal(labels, np.where(far.reshape(shape), -1, whole))

    def test_a_point_at_the_reach_is_within(self):
        grain = np.zeros((1, 3)), [np.eye(3)], [0.0]
        labels = label_lattice(*grain, (7,), [[0, 1.0, 0]], [3, 0, 0], reach=5)
        assert labels.tolist() == [0, 0, 0, 0, 0, -1, -1]

    def test_one_grain_keeps_the_ball_round(self):
        grain = np.zeros((1, 3)), [np.eye(3)], [0.0]
        labels = rasterize_gbpd(*grain, (64, 64, 64), 1.0, [-31.5] * 3, reach=20.0)
        points = lattice_points((64, 64, 64), np.eye(3), -31.5)
        assert np.array_equal(labels.ravel() == 0, (points**2).sum(axis=1) <= 400)


class TestTheory:
    def test_a_grain_with_twice_the_metric_is_a_ball(self):
        grains = np.zeros((2, 3)), np.stack([2 * np.eye(3), np.eye(3)]), [0.0, -100.0]
        labels = rasterize_gbpd(*grains, (31, 31, 31), 1.0, [-15] * 3)
        distance2 = ((np.indices((31, 31, 31)) - 15) ** 2).sum(axis=0)
        assert np.array_equal(labels == 0, distance2 <= 100)

    def test_voronoi_cells_are_nearest_neighbours(self):
        seeds = np.random.default_rng(12).random((2000, 3))
        labels = rasterize_gbpd(
            seeds, np.broadcast_to(np.eye(3), (2000, 3, 3)), np.zeros(2000), (50,) * 3, 0.02, [0] * 3
        )
        _, nearest = cKDTree(seeds).query(lattice_points((50,) * 3, np.eye(3) * 0.02, 0))
        assert np.array_equal(labels.ravel(), nearest)

    def test_turning_everything_changes_nothing(self):
        (seeds, _, offsets), edge = radial_grains(500, seed=13)
        rng = np.random.default_rng(13)
        diagonals = rng.uniform(1, 10, (500, 3)) * [1, 0, 0] + [0, 4, 4]
        points = rng.normal(0, edge / 4, (5000, 3))
        turn = Rotation.from_euler("xyz", [0.3, 1.1, -2.0]).as_matrix()
        gammas = rng.uniform(0, np.pi, 500)
        one = label_points(seeds, radial_matrices(seeds, diagonals, gammas), offsets, points)
        turned = seeds @ turn.T
        other = label_points(turned, radial_matrices(turned, diagonals, gammas), offsets, points @ turn.T)
        assert np.array_equal(one, other)


class TestWindows:
    def test_a_window_is_the_same_alone(self):
        grains, _ = radial_grains(1000, seed=14)
        origin = np.array([-1025.0, -1525.0, -975.0])
        whole = rasterize_gbpd(*grains, (45, 50, 39), 50.0, origin)
        for low, high in (((0, 0, 0), (45, 50, 39)), ((3, 7, 11), (4, 50, 30)), ((20, 1, 2), (43, 48, 38))):
            window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            shape = np.subtract(high, low)
            assert np.array_equal(whole[window], rasterize_gbpd(*grains, shape, 50.0, origin + 50.0 * np.array(low)))

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_planar_section_is_the_slice(self, axis):
        grains, edge = radial_grains(1000, seed=15)
        shape, steps, origin = (35, 40, 45), np.diag([edge / 35, edge / 40, edge / 45]), np.full(3, -edge / 2)
        whole = rasterize_gbpd(*grains, shape, np.diag(steps), origin)
        across = [a for a in range(3) if a != axis]
        for k in (0, 17, 33):
            section = label_lattice(*grains, [shape[a] for a in across], steps[across], origin + k * steps[axis])
            assert np.array_equal(section, whole.take(k, axis))

    def test_threads_do_not_matter(self):
        grains, edge = radial_grains(1500, seed=16)
        points = np.random.default_rng(16).normal(0, edge / 3, (20000, 3))
        found = []
        for count in (1, 2):
            set_thread_count(count)
            found.append(
                (rasterize_gbpd(*grains, (60, 61, 62), edge / 60, [-edge / 2] * 3), label_points(*grains, points))
            )
        assert np.array_equal(found[0][0], found[1][0])
        assert np.array_equal(found[0][1], found[1][1])

    def test_order_of_grains_does_not_matter(self):
        grains, edge = radial_grains(800, seed=17)
        order = np.random.default_rng(17).permutation(800)
        one = rasterize_gbpd(*grains, (30, 30, 30), edge / 30, [-edge / 2] * 3)
        other = rasterize_gbpd(*(part[order] for part in grains), (30, 30, 30), edge / 30, [-edge / 2] * 3)
        assert np.array_equal(one, order[other])


class TestIndependentImplementation:
    def test_pyapd(self, tmp_path):
        python = Path(__file__).parents[2] / ".venv-pyapd" / "bin" / "python"
        assert python.exists(), "run `make test`, which sets up the environment of PyAPD"
        grains, edge = radial_grains(1000, seed=18)
        shape, steps, origin = (30, 31, 32), np.eye(3) * edge / 32, [-edge / 2] * 3
        np.savez(tmp_path / "grains.npz", *grains, lattice_points(shape, steps, origin))
        command = [python, "-c", ASSEMBLE, tmp_path / "grains.npz", tmp_path / "labels.npy"]
        subprocess.run(command, capture_output=True, check=True)
        assert np.array_equal(label_lattice(*grains, shape, steps, origin).ravel(), np.load(tmp_path / "labels.npy"))


class TestFrames:
    def test_the_two_turns_of_equation_12(self):
        rng = np.random.default_rng(19)
        seeds, gammas = rng.normal(0, 1000, (500, 3)), rng.uniform(0, np.pi, 500)
        along = seeds / np.linalg.norm(seeds, axis=1, keepdims=True)
        bisector = along + np.array([1, 0, 0])
        half_turn = Rotation.from_rotvec(np.pi * bisector / np.linalg.norm(bisector, axis=1, keepdims=True))
        about_first = Rotation.from_rotvec(gammas[:, None] * [1, 0, 0])
        assert np.allclose(radial_frames(seeds, gammas), (about_first * half_turn).as_matrix(), atol=1e-12)

    @pytest.mark.parametrize(
        "seed",
        [
            (0, 0, 0), (5, 0, 0), (-5, 0, 0), (0, 3, 0), (0, 0, -3), (-1, 1e-9, 0), (-1, 1e-170, -1e-170),
            (-1, 0, 5e-324), (1e-300, -1e-300, 0), (1e300, 1e300, -1e300), (-0.0, 0, 0), (1, 1e-12, 1e-12),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("gamma", [0.0, 1.3, np.pi])
    def test_every_direction_has_a_rotation(self, seed, gamma):
        frame = radial_frames([seed], [gamma])[0]
        longest = np.abs(seed).max()
        along = (
            np.array(seed) / longest / np.linalg.norm(np.array(seed) / longest) if longest else np.array([1.0, 0, 0])
        )
        assert np.allclose(frame @ along, [1, 0, 0], atol=4e-16)
        assert np.allclose(frame @ frame.T, np.eye(3), atol=1e-15)
        assert np.linalg.det(frame) == pytest.approx(1, abs=1e-14)

    def test_against_the_first_axis_the_half_turn_is_about_the_second(self):
        assert np.array_equal(radial_frames([[-2.0, 0, 0]], [0.0])[0], np.diag([-1.0, 1, -1]))
        assert np.array_equal(radial_frames([[0.0, 0, 0]], [0.0])[0], np.diag([1.0, -1, -1]))

    def test_matrices_hold_the_diagonal_in_the_frame(self):
        rng = np.random.default_rng(20)
        seeds, diagonals, gammas = rng.normal(0, 9, (400, 3)), rng.uniform(1, 10, (400, 3)), rng.uniform(0, 3, 400)
        matrices, frames = radial_matrices(seeds, diagonals, gammas), radial_frames(seeds, gammas)
        assert np.array_equal(matrices, matrices.transpose(0, 2, 1))
        assert np.allclose(frames @ matrices @ frames.transpose(0, 2, 1), diagonals[:, :, None] * np.eye(3), atol=1e-13)
        assert np.allclose(np.linalg.eigvalsh(matrices), np.sort(diagonals, axis=1), atol=1e-13)

    def test_no_seeds(self):
        assert radial_matrices(np.empty((0, 3)), np.empty((0, 3)), []).shape == (0, 3, 3)


class TestBadInput:
    GOOD = {  # noqa: RUF012
        "seeds": np.zeros((2, 3)), "matrices": np.stack([np.eye(3)] * 2), "offsets": np.zeros(2), "shape": (4, 4, 4),
        "spacing": 1.0, "origin": (0, 0, 0), "reach": None,
    }  # fmt: skip

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"seeds": np.zeros((2, 2))}, r"seeds: found shape \(2, 2\), expected \(n, 3\)"),
            (
                {"seeds": np.zeros((0, 3)), "matrices": np.zeros((0, 3, 3)), "offsets": []},
                "seeds: found 0, expected 1 to",
            ),
            ({"seeds": [[0, 0, 0], [0, np.nan, 0]]}, r"seeds: found nan at \(1, 1\), expected finite"),
            ({"seeds": "here"}, r"seeds: found str, expected numbers of shape \(n, 3\)"),
            ({"seeds": np.full((2, 3), 1e200)}, "found costs up to inf"),
            ({"matrices": np.stack([np.eye(3)] * 3)}, r"matrices: found shape \(3, 3, 3\), expected \(2, 3, 3\)"),
            ({"matrices": np.stack([np.eye(3), np.diag([1.0, 1, 0])])}, "row 1, expected symmetric positive definite"),
            ({"matrices": np.stack([np.diag([1.0, -1, 1]), np.eye(3)])}, "row 0, expected symmetric positive definite"),
            ({"matrices": np.stack([np.eye(3) + np.eye(3, k=1) / 9, np.eye(3)])}, "row 0, expected symmetric"),
            ({"matrices": np.stack([np.eye(3) + 2 * (1 - np.eye(3)), np.eye(3)])}, "row 0, expected symmetric"),
            ({"offsets": [0.0]}, r"offsets: found shape \(1,\), expected \(2,\)"),
            ({"offsets": [0.0, np.inf]}, r"offsets: found inf at \(1,\)"),
            ({"shape": (4, 0, 4)}, r"shape: found \(4, 0, 4\), expected one to three positive integers"),
            ({"shape": (4, 4)}, r"shape: found \(4, 4\), expected three"),
            ({"shape": (4.5, 4, 4)}, "expected one to three positive integers"),
            ({"shape": (2**20, 2**20, 2)}, "expected at most 1099511627776"),
            ({"spacing": 0.0}, r"spacing: found 0.0, expected positive"),
            ({"spacing": (1, -1, 1)}, r"spacing: found \(1, -1, 1\), expected positive"),
            ({"spacing": (1, 1)}, r"spacing: found shape \(2,\), expected \(3,\)"),
            ({"spacing": "wide"}, "spacing: found"),
            ({"origin": (0, 0)}, r"origin: found shape \(2,\), expected \(3,\)"),
            ({"reach": -1}, "reach: found -1, expected"),
            ({"reach": np.nan}, "reach: found nan, expected"),
        ],
    )
    def test_grid(self, changes, message):
        with pytest.raises(InputError, match=message) as caught:
            rasterize_gbpd(**{**self.GOOD, **changes})
        assert "\n" not in str(caught.value)

    def test_lattice_and_points(self):
        grains = [self.GOOD[name] for name in ("seeds", "matrices", "offsets")]
        with pytest.raises(InputError, match=r"steps: found shape \(3, 3\), expected \(2, 3\)"):
            label_lattice(*grains, (4, 4), np.eye(3), (0, 0, 0))
        with pytest.raises(InputError, match=r"shape: found \(1, 1, 1, 1\)"):
            label_lattice(*grains, (1, 1, 1, 1), np.eye(3), (0, 0, 0))
        with pytest.raises(InputError, match=r"points: found shape \(3,\), expected \(m, 3\)"):
            label_points(*grains, np.zeros(3))

    def test_frames(self):
        with pytest.raises(InputError, match=r"gammas: found shape \(2,\), expected \(1,\)"):
            radial_frames([[1, 0, 0]], [0, 0])
        with pytest.raises(InputError, match=r"seeds: found inf at \(0, 0\)"):
            radial_frames([[np.inf, 0, 0]], [0])
        with pytest.raises(InputError, match="diagonals: found -2, expected positive"):
            radial_matrices([[1, 0, 0]], [[1, -2, 1]], [0])
