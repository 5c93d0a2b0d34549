"""Descriptors at coarser voxels, the covariance without a form, large pores and the cutout against brute force."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from nmcdist.calibration.cba.binder import BinderFit, binder_coverage, drawn_covariance
from nmcdist.calibration.cba.correlation import correlation_curve
from nmcdist.calibration.cba.cutout import freest_box
from nmcdist.calibration.cba.large_pores import LARGE_PORE, mark_large_pores
from nmcdist.calibration.cba.levels import levels_of
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE
from nmcdist.models.excursion import correlation_of

MU, ETA, THETA, LAMBDA_Y = 0.5, 0.0127, 1 / 95, 9.34e-9
RADII = np.arange(0.0, 400.0, 20.0)


def fit_of(measured, at, error):
    whole = np.concatenate([[binder_coverage(MU, ETA, THETA, LAMBDA_Y, np.zeros(1))[0]], measured])
    return BinderFit(MU, ETA, THETA, LAMBDA_Y, {}, np.concatenate([[0.0], at]), whole, whole,
                     np.full(len(whole), error), None, 0, 0.0, 0.0, {})  # fmt: skip


def test_covariance_is_that_of_two_correlated_normal_numbers():
    from scipy.stats import multivariate_normal

    rho = np.array([0.02, 0.3, 0.9, 0.99])
    both = [multivariate_normal([0, 0], [[1, r], [r, 1]]).cdf([-MU, -MU]) for r in rho]
    np.testing.assert_allclose(correlation_of(np.array(both), MU), rho, atol=1e-4)


def test_covariance_comes_back_from_the_exact_curve_with_its_error():
    at = np.array([20.0, 60.0, 200.0, 900.0])
    exact = binder_coverage(MU, ETA, THETA, LAMBDA_Y, at)
    curve = correlation_curve(fit_of(exact, at, 1e-5))
    np.testing.assert_allclose(curve.measured, drawn_covariance(ETA * at), atol=1e-9)
    moved = correlation_curve(fit_of(exact + 1e-5, at, 1e-5))
    np.testing.assert_allclose(np.subtract(moved.measured, curve.measured), curve.error, rtol=0.01)


def test_points_that_cannot_be_inverted_are_left_out():
    at = np.array([60.0, 200.0, 900.0])
    exact = binder_coverage(MU, ETA, THETA, LAMBDA_Y, at)
    found = correlation_curve(fit_of(exact - [0, 0, 0.01], at, 1e-4))  # below the square of the volume fraction
    assert found.measured[2] is None and None not in found.measured[:2]
    assert correlation_curve(fit_of(exact, at, 0.05)).measured == [None] * 3  # too noisy


def test_coarser_voxels_are_every_second_one():
    z, y, x = np.indices((48, 48, 48)) % 8 < 4
    levels = levels_of((z | y | x).astype(np.uint8), 20.0, RADII)
    assert [level.voxel_size_nm for level in levels] == [20.0, 40.0, 80.0]
    for level in levels:  # half of each axis is open, at every step
        assert level.scalars["volume_fraction"] == pytest.approx(1 - 0.5**3)
        assert level.coverage[0] == pytest.approx(0.875 * 0.125)
    assert len(levels_of(np.ones((20, 20, 20), np.uint8), 20.0, RADII)) == 2  # five voxels are too few


def test_tortuosity_is_that_of_straight_rods_and_none_of_walls_across():
    walls = np.zeros((40, 40, 40), np.uint8)
    walls[:, ::2] = 1
    assert np.isnan(levels_of(walls, 20.0, RADII)[0].scalars["tortuosity_solid"])
    rods = np.zeros((41, 41, 41), np.uint8)
    rods[20, 20, :] = rods[20, :, 20] = rods[:, 20, 20] = 1  # each face meets one rod, which leads straight through
    assert levels_of(rods, 20.0, RADII)[0].scalars["tortuosity_solid"] == pytest.approx(1.0)


def test_large_pores_are_painted_balls():
    rng = np.random.default_rng(3)
    labels = rng.choice(3, (24, 24, 24), p=[0.92, 0.04, 0.04]).astype(np.uint8)
    radius = 3
    binder = np.argwhere(labels == CARBON_BINDER)
    covered = np.zeros(labels.shape, bool)
    cells = np.argwhere(np.ones(labels.shape, bool))
    for cell in cells:
        if ((binder - cell) ** 2).sum(axis=1).min() >= radius**2:
            near = cells[((cells - cell) ** 2).sum(axis=1) < radius**2]
            covered[tuple(near.T)] = True
    found = mark_large_pores(labels, radius)
    np.testing.assert_array_equal(found == LARGE_PORE, covered & (labels == PORE))
    np.testing.assert_array_equal(found[found != LARGE_PORE], labels[found != LARGE_PORE])
    assert 0 < (found == LARGE_PORE).sum() < labels.size


def test_no_ball_of_a_huge_radius_fits():
    """A fit that failed may ask for one of 10,000 voxels, whose square is larger than any squared distance."""
    labels = np.zeros((8, 9, 10), np.uint8)
    labels[4, 4, 4] = 1
    assert np.array_equal(mark_large_pores(labels, 10_000), labels)


def test_cutout_is_the_freest_box():
    rng = np.random.default_rng(6)
    labels = rng.choice([0, 1, GRAPHITE, LARGE_PORE], (28, 30, 40), p=[0.5, 0.3, 0.1, 0.1]).astype(np.uint8)
    box = freest_box(labels, 200.0)
    edges = sorted(part.stop - part.start for part in box)
    assert edges == sorted(round(20 * share) for share in (1.0, 2720 / 5560, 2480 / 5560)) or edges[2] <= 28
    blocked = labels >= GRAPHITE
    least = min(
        blocked[z : z + a, y : y + b, x : x + c].sum()
        for a, b, c in set(permutations(edges))
        for z in range(0, 28 - a, 4) for y in range(0, 30 - b, 4) for x in range(0, 40 - c, 4)
    )  # fmt: skip
    assert blocked[box].sum() <= least


def test_middle_slice_is_that_of_the_whole_volume(tmp_path):
    from nmcdist.calibration.cba.counts import PHASE_LABELS
    from nmcdist.calibration.cba.large_pores import large_radius, middle_slice, read_picture
    from nmcdist.images import open_image
    from nmcdist.models.cba import generate_cba

    labels = generate_cba("cba-cathode-2025", (120, 60, 70), 20.0, 5)
    np.save(tmp_path / "labels.npy", labels)
    picture = middle_slice(open_image(tmp_path / "labels.npy", 20.0, "zyx"), PHASE_LABELS, THETA)
    whole = mark_large_pores(labels, large_radius(THETA, 20.0))
    np.testing.assert_array_equal(picture.labels, whole[60])
    replace(picture, cutout=(1, 2, 3, 4)).write(tmp_path / "slice.npz")
    back = read_picture(tmp_path)
    np.testing.assert_array_equal(back.labels, picture.labels)
    assert (back.voxel_size_nm, back.cutout) == (20.0, (1, 2, 3, 4))
