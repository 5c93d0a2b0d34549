"""Planar sections of grains, refereed by closed forms, scikit-image, brute force and stochastic geometry."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import regionprops

from nmcdist.descriptors.sections import COLUMNS, chord_lengths, describe_section
from nmcdist.errors import InputError
from nmcdist.geometry.tessellation import label_lattice

small_sections = arrays(np.int32, st.tuples(*[st.integers(1, 9)] * 2), elements=st.sampled_from([0, 1, 2, 3, 9]))


def ellipse(half, angle, shape=(120, 140), at=(60.3, 70.8)):
    row, column = np.indices(shape) - np.array(at)[:, None, None]
    u, v = row * np.cos(angle) + column * np.sin(angle), column * np.cos(angle) - row * np.sin(angle)
    return np.where((u / half[0]) ** 2 + (v / half[1]) ** 2 <= 1, 4, 0)


def brute_chords(labels):
    found = []
    for line in itertools.chain(labels.tolist(), labels.T.tolist()):
        runs = [(label, len(list(run))) for label, run in itertools.groupby(line)]
        found += [length for label, length in runs[1:-1] if label > 0]
    return found


class TestClosedForms:
    def test_rectangle(self):
        """A rectangle of a x b has e1 / e2 = (a / b)^2 and axes 2 / sqrt(3) times its sides."""
        labels = np.zeros((40, 30), np.int64)
        labels[4:24, 10:15] = 3
        grain = describe_section(labels, 50.0, origin_nm=(0.0, 0.0)).isel(grain=0)
        centroid = 50 * np.array([13.5, 12])
        assert (grain.label, grain.area_nm2, grain.pieces, grain.is_cut) == (3, 100 * 2500, 1, False)
        assert grain.equivalent_diameter_nm == pytest.approx(np.sqrt(4 * 250_000 / np.pi))
        assert grain.centroid_nm.values == pytest.approx(centroid)
        assert grain.radius_nm == pytest.approx(np.linalg.norm(centroid))
        assert grain.principal_axis_lengths_nm.values == pytest.approx(2 / np.sqrt(3) * 50 * np.array([20, 5]))
        assert grain.elongation == pytest.approx(1 - 5 / 20)
        assert grain.elongation_excess == pytest.approx(20 / 5 - 1)
        assert grain.principal_direction.values == pytest.approx([1, 0], abs=1e-12)
        assert grain.angle_to_radius == pytest.approx(np.arctan2(12, 13.5))

    @pytest.mark.parametrize("angle", [0.0, 0.4, 1.1, 2.5])
    def test_turned_ellipse(self, angle):
        """Half-axes 40 and 15: 0.3 sqrt(perimeter) of 1885 pixels come or go, 0.2 % of area and of axes."""
        grain = describe_section(ellipse((40, 15), angle), 2.0, origin_nm=(-300.0, 0.0)).isel(grain=0)
        major = np.array([np.cos(angle), np.sin(angle)])
        assert grain.area_nm2 == pytest.approx(4 * np.pi * 40 * 15, rel=4 * 2e-3)
        assert grain.principal_axis_lengths_nm.values == pytest.approx([160, 60], rel=4 * 2e-3)
        assert grain.elongation == pytest.approx(1 - 15 / 40, abs=4 * 2e-3)
        assert abs(grain.principal_direction.values @ major) > np.cos(0.01)
        centroid = np.array([-300 + 2 * 60.3, 2 * 70.8])
        alpha = np.arccos(abs(centroid @ major) / np.linalg.norm(centroid))
        assert grain.angle_to_radius == pytest.approx(alpha, abs=0.01)

    def test_angle_is_zero_along_and_right_across_the_radius(self):
        labels = np.zeros((41, 41), int)
        labels[19:22, 2:12], labels[19:22, 32:35] = 1, 0
        labels[2:4, 15:26] = 2
        grains = describe_section(labels, 1.0)
        assert grains.angle_to_radius.values == pytest.approx([0, np.pi / 2], abs=1e-9)

    def test_chords_of_a_rectangle(self):
        labels = np.zeros((9, 12), int)
        labels[2:5, 3:10] = 1
        assert chord_lengths(labels, 10.0).tolist() == [70.0] * 3 + [30.0] * 7

    def test_mean_chord_of_a_disk(self):
        """Chords in one direction have mean pi R / 2: 126 voxels for R = 80; one end voxel of 160 chords is 0.1 %."""
        chords = chord_lengths(ellipse((80, 80), 0.0, (180, 180), (90.2, 89.7)), 3.0)
        assert chords.mean() == pytest.approx(3 * np.pi * 80 / 2, rel=0.01)
        assert len(chords) == pytest.approx(2 * 160, abs=2)


class TestBruteForce:
    @settings(max_examples=100, deadline=None)
    @given(small_sections)
    def test_regionprops(self, labels):
        """scikit-image, whose moments are those of pixel centres: 1 / 12 is added for the pixel as a square."""
        grains = describe_section(labels, 2.0, (3.0, -5.0))
        regions = regionprops(labels)
        assert grains.label.values.tolist() == [region.label for region in regions]
        for region, grain in zip(regions, (grains.isel(grain=k) for k in range(len(regions))), strict=True):
            assert grain.area_nm2 == 4 * region.area
            assert grain.centroid_nm.values == pytest.approx(2 * np.array(region.centroid) + [3, -5])
            lengths = 4 * 2 * np.sqrt(np.array(region.inertia_tensor_eigvals) + 1 / 12)
            assert grain.principal_axis_lengths_nm.values == pytest.approx(lengths)
            assert grain.elongation == pytest.approx(1 - lengths[1] / lengths[0], abs=1e-12)
            assert grain.elongation_excess == pytest.approx(lengths[0] / lengths[1] - 1, abs=1e-12)
            assert grain.pieces == ndimage.label(labels == region.label)[1]
            box = region.bbox
            assert grain.is_cut == (min(box[:2]) == 0 or box[2] == labels.shape[0] or box[3] == labels.shape[1])

    @settings(max_examples=100, deadline=None)
    @given(small_sections)
    def test_chords(self, labels):
        assert chord_lengths(labels, 3.0).tolist() == [3.0 * n for n in brute_chords(labels)]

    @settings(max_examples=60, deadline=None)
    @given(small_sections)
    def test_angle_by_the_formula(self, labels):
        """Eq. (4) as printed, arccos |c v1| / (|c| |v1|), with v1 from numpy's eigenvectors of the covariance."""
        grains = describe_section(labels, 1.0)
        for grain in (grains.isel(grain=k) for k in range(grains.sizes["grain"])):
            at = np.argwhere(labels == int(grain.label)) - (np.array(labels.shape) - 1) / 2
            centre = at.mean(axis=0)
            values, vectors = np.linalg.eigh(np.cov(at.T, ddof=0).reshape(2, 2))
            if values[1] - values[0] < 1e-6 or np.linalg.norm(centre) < 1e-6:
                assert np.isnan(grain.angle_to_radius)
            else:
                cosine = abs(centre @ vectors[:, 1]) / np.linalg.norm(centre)
                assert grain.angle_to_radius == pytest.approx(np.arccos(min(1.0, cosine)), abs=1e-6)


class TestVisibleGrains:
    @pytest.mark.parametrize(
        ("diagonal", "factor"), [((1, 1, 1), 1), ((3, 1, 1), 3 ** (1 / 6)), ((1, 3, 3), 3 ** (-1 / 6))]
    )
    def test_section_density_for_a_constant_frame(self, diagonal, factor):
        """1.458 mu^(2/3) sections an area for D = (1,1,1); the affine map that makes D the identity does the rest.

        A plane that holds the first axis is stretched with it by sqrt(D1 D2), the intensity falls by
        sqrt(D1 D2 D3). Four planes of 30 x 30 mean spacings, 4,400 to 6,300 sections with their centre inside;
        4 standard errors from the four. Sections between pixels are missed, and fewer in proportion to the pixel
        or faster: at most as many more as 16 pixels a spacing show beyond 8.
        """
        side, edge, pixels = 36, 3, 16
        fine, coarse = [], []
        for index in range(4):
            rng = np.random.default_rng([41, index])
            seeds = rng.random((rng.poisson(side * side * 6), 3)) * [side, side, 6]
            matrices = np.tile(np.diag(np.array(diagonal, float)), (len(seeds), 1, 1))
            steps, start = np.eye(2, 3) / pixels, np.array([0.5, 0.5]) / pixels
            labels = label_lattice(
                seeds, matrices, np.zeros(len(seeds)), (side * pixels,) * 2, steps, (*start, 3.0)
            ) + 1  # fmt: skip
            for found, every in ((fine, 1), (coarse, 2)):
                at = describe_section(labels[::every, ::every], every / pixels, start).centroid_nm.values
                found.append(((at > edge) & (at < side - edge)).all(axis=1).sum())
        density = np.array(fine) / (side - 2 * edge) ** 2
        missed = (np.mean(fine) - np.mean(coarse)) / (side - 2 * edge) ** 2
        error = 4 * density.std(ddof=1) / np.sqrt(len(density))
        assert 0 < missed < 0.03
        assert 1.458 * factor - missed - error < density.mean() < 1.458 * factor + error


class TestInvariance:
    @settings(max_examples=40, deadline=None)
    @given(small_sections)
    def test_quarter_turn(self, labels):
        first, turned = describe_section(labels, 2.0), describe_section(np.rot90(labels), 2.0)
        assert np.allclose(turned.centroid_nm, first.centroid_nm.values[:, ::-1] * [-1, 1], atol=1e-9)
        for name in set(COLUMNS) - {"centroid_nm", "principal_direction"}:
            assert np.allclose(turned[name], first[name], rtol=1e-9, atol=1e-6, equal_nan=True), name
        assert np.array_equal(np.sort(chord_lengths(labels, 2.0)), np.sort(chord_lengths(np.rot90(labels), 2.0)))


class TestOutput:
    def test_every_variable_says_what_it_is(self):
        grains = describe_section(np.ones((3, 4), int), 1.0)
        assert list(grains) == list(COLUMNS)
        for variable in grains.values():
            assert all(variable.attrs[key] for key in ("units", "long_name", "estimator", "source"))

    def test_sections_and_runs_at_the_edge(self):
        labels = np.array([[1, 1, 2, 2, 2, 3], [4, 4, 5, 0, 6, 3], [4, 4, 4, 7, 7, 7]])
        grains = describe_section(labels, 1.0)
        assert grains.label.values[~grains.is_cut.values].tolist() == [5, 6]
        assert sorted(chord_lengths(labels, 1.0).tolist()) == [1, 1, 1, 1, 3]

    def test_no_grains(self):
        assert describe_section(np.zeros((4, 5), int), 1.0).sizes["grain"] == 0
        assert len(chord_lengths(np.zeros((4, 5), int), 1.0)) == 0


class TestBadInput:
    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.ones((4, 4, 4), int), r"labels: found shape \(4, 4, 4\), expected two"),
            (np.ones((2, 2)), "labels: found dtype float64"),
            (np.full((2, 2), -3), "labels: found -3"),
        ],
    )
    def test_labels(self, labels, message):
        for function in (describe_section, chord_lengths):
            with pytest.raises(InputError, match=message):
                function(labels, 1.0)

    def test_sizes(self):
        for function in (describe_section, chord_lengths):
            with pytest.raises(InputError, match="pixel_size_nm: found 0"):
                function(np.ones((2, 2), int), 0)
        with pytest.raises(InputError, match=r"origin_nm: found shape \(3,\), expected \(2,\)"):
            describe_section(np.ones((2, 2), int), 1.0, (0, 0, 0))
