"""Rays and fits against known shells."""

import numpy as np
import pytest

from nmcdist.calibration.shell.blur import blurred_ball
from nmcdist.calibration.shell.centring import about_centre_of_mass
from nmcdist.calibration.shell.harmonics import NOISE, fit_free_series, fit_series, random_rotations, rotated_directions
from nmcdist.calibration.shell.rays import BORDER, CONTACT, FREE, Surface, star_views
from nmcdist.calibration.shell.separate import Separated
from nmcdist.calibration.shell.stars import ball_coefficient, fit_shapes
from nmcdist.geometry import sphere

A00 = np.sqrt(4 * np.pi)
CUBIC = (1.0, 1.0, 1.0)
DIRECTIONS = sphere.icosphere(3)[0]


def shell_row(radius, stream, spread=0.6, order=6):
    row = np.zeros(100)
    row[0] = A00 * radius
    for degree in range(2, order + 1):
        row[degree**2 : (degree + 1) ** 2] = spread * 2.0 ** (2 - degree) * stream.standard_normal(2 * degree + 1)
    return row


def voxelised(row, spacing=CUBIC, shift=(0.0, 0.0, 0.0)):
    """Return the voxels in a shell by the test of points of the model, and the star point in voxel indices."""
    half = [int(np.ceil(sphere.star_bounds(row)[1] / s)) + 3 for s in spacing]
    axes = [(np.arange(-n, n + 1) - c) * s for n, s, c in zip(half, spacing, shift, strict=True)]
    return sphere.star_contains_grid(row, *axes).astype(np.int32), np.array(half) + np.array(shift)


def views(labels, centre, directions=DIRECTIONS, spacing=CUBIC):
    image = Separated.of(labels, int(labels.max()), spacing)
    return star_views(image, np.array([0]), np.asarray(centre, float)[None], directions[None], spacing)


class TestRays:
    def test_a_box_in_closed_form(self):
        labels = np.zeros((9, 11, 13), np.int32)
        labels[2:7, 2:9, 2:11] = 1  # half-edges 2.5, 3.5, 4.5 around the middle voxel
        labels[7, :, :] = 2
        labels[:, :, :2] = 0
        half = np.array([2.5, 3.5, 4.5])
        found = views(labels, (4, 5, 6))
        expected = (half / np.maximum(np.abs(DIRECTIONS), 1e-12)).min(axis=1)
        assert found.radii[0] == pytest.approx(expected)
        leaves = (half / np.maximum(np.abs(DIRECTIONS), 1e-12)).argmin(axis=1)
        up = (leaves == 0) & (DIRECTIONS[:, 0] > 0)
        assert np.array_equal(found.ends[0] == CONTACT, up)
        assert found.visible[0] == 1.0

    def test_the_border_is_told_from_the_background(self):
        labels = np.ones((5, 5, 5), np.int32)
        labels[0] = 0
        ends = views(labels, (2, 2, 2)).ends[0]
        assert set(ends.tolist()) == {FREE, BORDER}

    def test_spacing_scales_the_axes(self):
        labels = np.zeros((9, 11, 13), np.int32)
        labels[2:7, 2:9, 2:11] = 1
        spacing = np.array([2.0, 1.0, 0.5])
        expected = (np.array([5.0, 3.5, 2.25]) / np.maximum(np.abs(DIRECTIONS), 1e-12)).min(axis=1)
        assert views(labels, (4, 5, 6), spacing=tuple(spacing)).radii[0] == pytest.approx(expected)

    def test_hidden_voxels_are_not_seen(self):
        """The long arm of an L is seen along its axis only."""
        labels = np.zeros((5, 30, 30), np.int32)
        labels[1:4, 2:5, 2:28] = 1
        labels[1:4, 2:28, 25:28] = 1
        share = views(labels, (2, 3, 4)).visible[0]
        assert 0.4 < share < 0.65

    def test_a_star_point_outside_gives_zero(self):
        labels = np.zeros((5, 5, 5), np.int32)
        labels[0, 0, 0] = 1
        assert (views(labels, (3, 3, 3)).radii == 0).all()


class TestSurface:
    """Rays that end between voxels, in images of blurred balls, whose level has a radius in closed form."""

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_a_blurred_ball_has_its_radius(self, sign):
        radius, sigma, level, centre = 8.0, 2.0, 0.4, np.array([14.3, 13.8, 14.1])
        distance = np.sqrt(((np.moveaxis(np.indices((29,) * 3), 0, -1) - centre) ** 2).sum(axis=-1))
        values = blurred_ball(np.array(radius), distance, sigma)
        between = np.sqrt(sigma**2 + 1 / 6)  # linear values between voxels have this variance more on average
        at = np.linspace(4, 12, 8001)
        expected = at[np.abs(blurred_ball(np.array(radius), at, between) - level).argmin()]
        labels = (values > level).astype(np.int32)
        image, surface = Separated.of(labels, 1, CUBIC), Surface((sign * values).astype(np.float32), sign * level, sign)
        found = star_views(image, np.array([0]), centre[None], DIRECTIONS[None], CUBIC, surface=surface).radii[0]
        steps = star_views(image, np.array([0]), centre[None], DIRECTIONS[None], CUBIC).radii[0]
        # At most 1 / 8 voxel^2 times half the second derivative over the slope, in each direction; far less on average.
        assert np.abs(found - expected).max() < 0.1
        assert found.mean() == pytest.approx(expected, abs=0.01)
        assert found.std() < 0.2 * steps.std()

    def test_contacts_and_lost_surfaces_keep_their_ends_in_voxels(self):
        labels = np.zeros((9, 11, 13), np.int32)
        labels[2:7, 2:9, 2:11] = 1
        labels[7, :, :] = 2
        image, flat = Separated.of(labels, 2, CUBIC), np.ones(labels.shape, np.float32)
        plain, seen = (
            star_views(image, np.array([0]), np.array([[4.0, 5, 6]]), DIRECTIONS[None], CUBIC, surface=surface)
            for surface in (None, Surface(flat, 0.5, 1.0))
        )
        assert np.array_equal(plain.radii, seen.radii)
        step = np.where(labels > 0, 1.0, 0.0).astype(np.float32)
        moved = star_views(
            image, np.array([0]), np.array([[4.0, 5, 6]]), DIRECTIONS[None], CUBIC, surface=Surface(step, 0.25, 1.0)
        )
        is_contact = plain.ends[0] == CONTACT
        assert np.array_equal(moved.radii[0][is_contact], plain.radii[0][is_contact])
        assert (moved.radii[0] > plain.radii[0]).any()


class TestFit:
    def test_known_coefficients_come_back_without_noise(self):
        row = shell_row(10, np.random.default_rng(1), order=9)
        radii = sphere.star_radii(row, DIRECTIONS)[None]
        assert fit_series(radii, 9).coefficients[0] == pytest.approx(row, abs=1e-9)

    @pytest.mark.parametrize("spacing", [CUBIC, (1.5, 0.9, 0.8)])
    def test_voxelised_shells_come_back_within_the_noise(self, spacing):
        """40 shells of radius 8 and 12: rms error of a coefficient below 1.3 x 0.05 voxel (measured 0.045 to 0.06)."""
        stream, errors, means = np.random.default_rng(2), [], []
        for k in range(40):
            row = shell_row(8 + 4 * (k % 2), stream)
            labels, centre = voxelised(row, spacing, stream.uniform(-0.5, 0.5, 3))
            found = fit_series(views(labels, centre, spacing=spacing).radii, 9).coefficients[0]
            errors.append(found - row)
            means.append((found - row)[0] / A00)
        errors = np.array(errors)
        rms = np.sqrt((errors[:, 1:] ** 2).mean())
        assert rms < 1.3 * NOISE
        assert abs(np.mean(means)) < 0.02 + 4 * np.std(means) / np.sqrt(40)

    def test_a_ball_has_a00_only(self):
        # Off the lattice: around a voxel's centre, the errors of symmetric directions are equal and add up.
        labels, centre = voxelised(np.array([A00 * 10.3] + 99 * [0.0]), shift=(0.31, -0.17, 0.43))
        found = fit_series(views(labels, centre).radii, 9).coefficients[0]
        assert found[0] == pytest.approx(A00 * 10.3, abs=4 * NOISE)
        assert np.abs(found[1:]).max() < 4 * NOISE

    def test_a_rotated_fit_describes_the_rotated_shell(self):
        row, rotations = shell_row(10, np.random.default_rng(3)), random_rotations(3, 5)
        ways = rotated_directions(rotations)
        for rotation, directions in zip(rotations, ways, strict=True):
            assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
            assert np.linalg.det(rotation) == pytest.approx(1)
            fitted = fit_series(sphere.star_radii(row, directions)[None], 9).coefficients[0]
            # Rotations keep the norm of each degree.
            for degree in range(10):
                columns = slice(degree**2, (degree + 1) ** 2)
                assert np.linalg.norm(fitted[columns]) == pytest.approx(np.linalg.norm(row[columns]), abs=1e-9)

    def test_rotations_are_uniform(self):
        """Images of the first axis: mean 0 and covariance 1/3 (n = 4000, 4 standard errors)."""
        first = random_rotations(4000, 1)[:, :, 0]
        assert np.abs(first.mean(axis=0)).max() < 4 * np.sqrt(1 / 3 / 4000)
        assert np.abs((first**2).mean(axis=0) - 1 / 3).max() < 4 * np.sqrt(4 / 45 / 4000)


@pytest.fixture(scope="module")
def cut():
    stream = np.random.default_rng(4)
    rows = np.stack([shell_row(10, stream, 0.5, 4) for _ in range(60)])
    radii = np.stack([sphere.star_radii(row, DIRECTIONS) for row in rows])
    height = 8.0 / np.maximum(DIRECTIONS[:, 0], 1e-9)
    is_free = radii <= height
    noisy = np.minimum(radii, height) + 0.35 * stream.standard_normal(radii.shape)
    return rows, noisy, is_free


class TestContacts:
    """Shells cut by a plane at 0.8 of their radius: the masked fit finds the uncut shell, the plain one does not."""

    def test_masking_removes_the_bias(self, cut):
        rows, radii, is_free = cut
        plain = fit_series(radii, 9).coefficients - rows
        masked = fit_free_series(radii, is_free, 9).coefficients - rows
        # The facet faces +z, so its bias is in the coefficients with m = 0, the same for all shells.
        zonal = [degree**2 + degree for degree in range(1, 5)]
        assert np.abs(plain[:, zonal].mean(axis=0)).max() > 0.3
        assert np.abs(masked[:, zonal].mean(axis=0)).max() < 0.1
        assert np.sqrt((masked**2).mean()) < 0.6 * np.sqrt((plain**2).mean())

    def test_without_contacts_both_agree_but_for_the_shrinking_of_noise(self, cut):
        rows, _, _ = cut
        radii = np.stack([sphere.star_radii(row, DIRECTIONS) for row in rows])
        masked = fit_free_series(radii, np.ones(radii.shape, bool), 9).coefficients
        assert np.sqrt(((masked - rows) ** 2).mean()) < 0.02


def test_shapes_move_to_the_centre_of_mass():
    row = np.zeros((1, 100))
    row[0, 0], row[0, 1:4] = A00 * 10, (1.0, -2.0, 1.5)
    moved = about_centre_of_mass(row)
    assert sphere.star_moments(moved).centre_nm == pytest.approx(np.zeros((1, 3)), abs=0.02)
    assert sphere.star_volumes(moved) == pytest.approx(sphere.star_volumes(row), rel=1e-3)


def test_a_region_that_lacks_its_centre_is_no_star():
    labels = np.zeros((20, 20, 20), np.int32)
    labels[2:18, 2:18, 9:12] = 1
    labels[6:14, 6:14, 9:12] = 0  # a frame
    shapes = fit_shapes(Separated.of(labels, 1, CUBIC), np.array([0]), np.eye(3)[None], CUBIC, 9)
    assert not shapes.is_star[0]
    assert np.isnan(shapes.coefficients).all()


def test_the_coefficient_of_a_ball_gives_its_volume():
    row = np.zeros((1, 100))
    row[0, 0] = ball_coefficient(np.array([500]))[0]
    assert sphere.star_volumes(row) == pytest.approx([500.0])
