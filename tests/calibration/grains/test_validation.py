"""Validation: distances against scipy and closed forms, generated sections against brute force and the truth itself."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from nmcdist.bundle import load_bundle
from nmcdist.calibration.grains import validation
from nmcdist.calibration.grains.sections import Section
from nmcdist.calibration.grains.tessellation_fit import Fit, Tessellation2D, fit_tessellation
from nmcdist.calibration.grains.validation import (
    distances,
    filled,
    generated_sections,
    grain_samples,
    noise_floor,
    profile_distance,
    section_samples,
    table,
)
from nmcdist.descriptors.grains import describe_grains
from nmcdist.errors import InputError
from nmcdist.geometry.tessellation import label_lattice
from nmcdist.models.grains import GrainModel
from nmcdist.models.particle import ParticleModel

PIXEL = 50.0
SECTIONS = 12
# Kolmogorov's law at the probability of 4 standard errors, 6.3e-5: 2.28 / sqrt(n) for large samples.
FOUR_SIGMA = math.sqrt(math.log(2 / 6.3e-5) / 2)
RADIAL = load_bundle("nmc811-radial").with_parameters(
    shell_sigma=0.05, shell_scale_nm=2 * math.sqrt(math.pi) * 2500 + 3818.24
)
VORONOI = {
    "radial_scale_inner": 1.0, "radial_scale_outer": 1.0, "tangential_scale_inner": 1.0,
    "tangential_scale_outer": 1.0, "scale_noise": 0.0, "offset_range_nm2": 0.0,
}  # fmt: skip
# Few seeds have a grain, and the spacing of the seeds says little about the size of grains.
COARSE = {**VORONOI, "offset_range_nm2": 3.0e6, "grain_intensity_per_nm3": 1.0e-7}


def section_of(labels, name="s"):
    rows, columns = labels.shape
    return Section(name, labels, PIXEL, ((rows - 1) / 2, (columns - 1) / 2))


def disk(radius, **changes):
    size = 2 * radius + 3
    y, x = np.indices((size, size)) - (size - 1) / 2
    return section_of(np.where(y**2 + x**2 <= radius**2, 1, 0).astype(np.int32), **changes)


@pytest.fixture(scope="module")
def phantom():
    model = ParticleModel.from_bundle(RADIAL)
    return [section_of(model.draw(5, index).section(PIXEL), f"s{index}") for index in range(SECTIONS)]


@pytest.fixture(scope="module")
def whole():
    rng = np.random.default_rng(3)
    tessellation = Tessellation2D(rng.uniform(-900, 900, (30, 2)), rng.uniform(1, 4, (30, 2)), rng.uniform(0, 5e4, 30))
    centre = (16.0, 20.5)
    numbers = np.sort(rng.choice(np.arange(1, 200), 30, replace=False))
    labels = numbers[tessellation.labels((40, 44), PIXEL, centre) - 1]
    labels[:3] = 0
    return tessellation, Section("whole", labels.astype(np.int32), PIXEL, centre), numbers


class TestDistancesAgainstTheory:
    def test_of_shifted_uniform_values_is_the_shift(self):
        grid, shift = (np.arange(1024) + 0.5) / 1024, 37 / 1024
        assert validation.kolmogorov_smirnov(grid + shift, grid) == pytest.approx(shift)
        assert validation.wasserstein(grid + shift, grid) == pytest.approx(shift)

    def test_of_a_stretched_uniform_law(self):
        grid = (np.arange(4000) + 0.5) / 4000
        # |x / 2 - x| is largest at x = 1, and its integral over [0, 2], 1 - x / 2 from 1 on, is 1/2.
        assert validation.kolmogorov_smirnov(2 * grid, grid) == pytest.approx(0.5, abs=1e-3)
        assert validation.wasserstein(2 * grid, grid) == pytest.approx(0.5, abs=1e-3)

    def test_standard_deviations_of_the_truth_are_the_unit(self):
        grid = 12.0 * (np.arange(1000) + 0.5) / 1000
        found = distances({"volume_nm3": grid + 1.2}, {"volume_nm3": grid})["volume_nm3"]
        assert found.wasserstein_own == pytest.approx(1.2)
        assert found.wasserstein == pytest.approx(0.1 * math.sqrt(12), rel=1e-4)
        assert (found.n_found, found.n_truth, found.profile_ks) == (1000, 1000, None)

    def test_what_only_the_radius_tells_apart_shows_in_the_profile(self):
        grid = (np.arange(1000) + 0.5) / 1000
        radius = np.repeat([1.0, 2.0], 1000)
        truth = {"elongation": np.tile(grid, 2), "radius_nm": radius}
        found = {"elongation": np.concatenate([grid / 2, 0.5 + grid / 2]), "radius_nm": radius}
        distance = distances(found, truth, bins=2)["elongation"]
        assert distance.ks == pytest.approx(0.0, abs=1e-3)
        assert distance.profile_ks == pytest.approx(0.5, abs=1e-3)
        assert distance.profile_wasserstein == pytest.approx(0.25 * math.sqrt(12), rel=1e-3)

    def test_bins_count_by_what_the_truth_has_in_them(self):
        truth, radius = np.array([1.0, 2.0, 3.0, 3.0, 3.0]), np.arange(5.0)
        # Two of the truth in the first bin, where the two agree, and three in the second, where they are 4 apart.
        found, others = np.array([1.0, 2.0, 7.0]), np.array([0.5, 1.5, 9.0])
        assert profile_distance(found, others, truth, radius, 2) == pytest.approx((3 / 5, 4 * 3 / 5))


class TestDistancesAgainstScipy:
    @settings(max_examples=100, deadline=None)
    @given(*(st.lists(st.integers(-9, 9), min_size=1, max_size=40),) * 2)
    def test_with_ties(self, found, truth):
        a, b = np.array(found, float), np.array(truth, float)
        counted = max(abs((a <= x).mean() - (b <= x).mean()) for x in range(-9, 10))
        assert validation.kolmogorov_smirnov(a, b) == pytest.approx(counted)
        assert validation.wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b))

    def test_without_ties(self):
        rng = np.random.default_rng(1)
        a, b = rng.gamma(2.0, size=900), rng.normal(size=1300)
        assert validation.kolmogorov_smirnov(a, b) == pytest.approx(ks_2samp(a, b, method="asymp").statistic)
        assert validation.wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b))

    def test_bin_by_bin(self):
        rng = np.random.default_rng(2)
        radius, others = rng.permutation(1000.0 + np.arange(600)), rng.uniform(800, 1800, 900)
        truth, found = rng.normal(radius, 300), rng.normal(others, 200)
        order = np.argsort(radius).reshape(4, 150)
        cuts = [-np.inf, *(radius[order[1:, 0]] - 0.5), np.inf]
        bins = [(others > a) & (others < b) for a, b in pairwise(cuts)]
        ks, area = profile_distance(found, others, truth, radius, 4)
        pairs = [(found[here], truth[there]) for here, there in zip(bins, order, strict=True)]
        assert ks == pytest.approx(np.mean([ks_2samp(*pair, method="asymp").statistic for pair in pairs]))
        assert area == pytest.approx(np.mean([wasserstein_distance(*pair) for pair in pairs]))


class TestSamples:
    def test_undefined_angles_are_left_out_with_their_radius(self):
        truth = {"angle_to_radius": np.array([0.1, np.nan, 0.3, 0.4]), "radius_nm": np.arange(4.0)}
        found = {"angle_to_radius": np.array([np.nan, 0.2, 0.3]), "radius_nm": np.arange(3.0)}
        distance = distances(found, truth, bins=1)["angle_to_radius"]
        assert (distance.n_found, distance.n_truth) == (2, 3)
        assert distance.ks == pytest.approx(1 / 3) and distance.profile_ks == pytest.approx(1 / 3)

    def test_a_bin_without_values_leaves_no_profile(self):
        truth = {"elongation": np.arange(8.0), "radius_nm": np.arange(8.0)}
        found = {"elongation": np.arange(2.0), "radius_nm": np.zeros(2)}
        distance = distances(found, truth, bins=4)["elongation"]
        assert distance.profile_ks is None and distance.profile_wasserstein is None
        assert distance.ks == pytest.approx(0.75)

    def test_of_sections_are_their_tables_one_after_another(self, phantom):
        samples = section_samples(phantom[:2])
        tables = [section.describe() for section in phantom[:2]]
        for name in ("area_nm2", "elongation", "angle_to_radius", "radius_nm"):
            np.testing.assert_array_equal(samples[name], np.concatenate([t[name].values for t in tables]))
        chords = [section.chord_lengths() for section in phantom[:2]]
        np.testing.assert_array_equal(samples["chord_length_nm"], np.concatenate(chords))

    def test_of_particles_are_the_tables_of_all_their_grains(self, small_bundle):
        model = ParticleModel.from_bundle(small_bundle)
        samples = grain_samples(model, 3, 2, 100.0, start=1)
        particles = [model.draw(3, index) for index in (1, 2)]
        tables = [describe_grains(p.voxelize(100.0), 100.0, p.grid(100.0)[1]) for p in particles]
        assert set(samples) == {*validation.OF_GRAINS, "radius_nm", "short_axis_angle"}
        assert any(t.is_surface.values.any() for t in tables)
        for name in (*validation.OF_GRAINS, "radius_nm"):
            np.testing.assert_array_equal(samples[name], np.concatenate([t[name].values for t in tables]))

    def test_of_particles_in_given_shells_are_those_of_grains_drawn_in_them(self, small_bundle):
        model = ParticleModel.from_bundle(small_bundle)
        shells = [model.shells.draw(8, index) for index in (5, 6)]
        samples = grain_samples(model, 3, 2, 100.0, start=1, shells=shells)
        particles = [model.draw_in(shell, 3, index) for index, shell in zip((1, 2), shells, strict=True)]
        tables = [describe_grains(p.voxelize(100.0), 100.0, p.grid(100.0)[1]) for p in particles]
        np.testing.assert_array_equal(samples["volume_nm3"], np.concatenate([t.volume_nm3.values for t in tables]))

    @pytest.mark.parametrize(
        ("found", "truth", "message"),
        [
            ({}, {"elongation": np.arange(3.0)}, "found: lacks 'elongation'"),
            ({"elongation": np.full(2, np.nan)}, {"elongation": np.arange(3.0)}, "found: found no values of 'elong"),
            ({"elongation": np.arange(3.0)}, {"elongation": np.empty(0)}, "truth: found no values of 'elongation'"),
            ({"elongation": np.arange(3.0)}, {"elongation": np.ones(3)}, "truth: found 'elongation' always 1"),
        ],
    )
    def test_that_cannot_be_compared_are_refused(self, found, truth, message):
        with pytest.raises(InputError, match=message):
            distances(found, truth)

    def test_without_numbers_are_refused(self):
        with pytest.raises(InputError, match="truth: found shape"):
            validation.wasserstein(np.arange(3.0), np.array([np.inf]))
        with pytest.raises(InputError, match="found_radius: found shape"):
            profile_distance(np.arange(3.0), np.arange(2.0), np.arange(3.0), np.arange(3.0))


class TestNoiseFloor:
    def draw(self, first, count):
        """Uniform values, shifted by the square of the first index."""
        self.asked.append((first, count))
        return {"elongation": (np.arange(1024) + 0.5 + first**2) / 1024}

    def test_is_mean_and_largest_over_pairs_that_share_nothing(self):
        self.asked = []
        floor = noise_floor(self.draw, (2, 3), repetitions=3)["elongation"]
        assert self.asked == [(0, 2), (2, 3), (5, 2), (7, 3), (10, 2), (12, 3)]
        # The squares differ by 4, 24 and 44.
        assert floor.ks == pytest.approx(24 / 1024) and floor.ks_largest == pytest.approx(44 / 1024)
        assert floor.wasserstein == pytest.approx(24 / 1024 * math.sqrt(12), rel=1e-4)
        assert floor.wasserstein_largest == pytest.approx(44 / 1024 * math.sqrt(12), rel=1e-4)
        assert floor.profile_ks is None and floor.repetitions == 3

    def test_of_profiles_falls_with_the_root_of_the_size(self):
        def draw(size):
            def one(first, count):
                rng = np.random.default_rng([size, first])
                return {"elongation": rng.random(size * count), "radius_nm": rng.random(size * count)}

            return noise_floor(one, (1, 1), repetitions=20)["elongation"]

        small, large = draw(500), draw(8000)
        assert small.profile_ks / large.profile_ks == pytest.approx(4.0, rel=0.2)
        # Of two samples of n each the mean of the largest difference is 0.8687 sqrt(2 / n).
        assert large.ks == pytest.approx(0.8687 * math.sqrt(2 / 8000), rel=4 * 0.30 / math.sqrt(20))

    def test_needs_a_repetition(self):
        with pytest.raises(InputError, match="repetitions: found 0"):
            noise_floor(self.draw, (1, 1), repetitions=0)


def test_the_table_is_json_and_says_how_many_times_farther_the_baselines_are():
    rng = np.random.default_rng(4)
    truth, other = ({"elongation": rng.random(500), "radius_nm": rng.random(500)} for _ in range(2))
    far = {"elongation": truth["elongation"] + 0.5, "radius_nm": truth["radius_nm"]}
    floor = noise_floor(lambda first, count: [truth, other][first], (1, 1), repetitions=1)
    baselines = {"voronoi": distances(far, truth), "itself": distances(truth, truth)}
    (row,) = json.loads(json.dumps(table("2D", distances(other, truth), floor, baselines)))
    assert (row["descriptor"], row["dimension"], row["unit"]) == ("elongation", "2D", "1")
    assert row["voronoi_times"] == pytest.approx(row["voronoi_w1"] / row["w1"])
    assert row["itself_w1"] == 0.0 and row["itself_times"] == 0.0
    assert row["floor_ks"] == row["floor_ks_largest"] > 0 and row["profile_ks"] > row["ks"] > 0
    assert table("2D", distances(truth, truth), floor, baselines)[0]["voronoi_times"] is None
    assert table("3D", {}, floor, {}) == []


class TestGeneratedSections:
    @pytest.mark.parametrize("kind", ["radial", "net"])
    def test_are_the_plane_of_a_far_larger_tessellation(self, kind, net_bundle):
        bundle = RADIAL if kind == "radial" else net_bundle
        model, like = GrainModel.from_bundle(bundle), disk(14)
        (found,) = generated_sections(model, [like], 8, start=3)
        extra, far = 40, (found.labels.shape[0] - like.labels.shape[0]) // 2 + 40
        mask = np.pad(like.mask, far)
        centre = 0.5 * (len(mask) - 1)
        grains = model.draw(2.5 * PIXEL * len(mask), 8, 3)
        labels = label_lattice(
            grains.seeds_nm.astype(float), grains.matrices(), grains.offsets_nm2.astype(float), mask.shape,
            PIXEL * np.eye(3)[1:], [0.0, -PIXEL * centre, -PIXEL * centre],
        )  # fmt: skip
        expected = np.zeros_like(labels)
        for row in np.unique(labels[mask]):
            y, x = (int(np.rint(part.mean())) for part in np.nonzero(labels == row))
            if mask[y, x]:
                expected[labels == row] = row + 1
        inner = expected[extra:-extra, extra:-extra]
        np.testing.assert_array_equal(found.labels, inner)
        assert (inner > 0).sum() == (expected > 0).sum() > 0
        assert (found.centre_px, found.pixel_size_nm) == ((centre - extra, centre - extra), PIXEL)

    @pytest.mark.parametrize("changes", [{}, COARSE])
    def test_do_not_hang_on_how_much_is_drawn_at_first(self, changes, monkeypatch):
        model, like = GrainModel.from_bundle(RADIAL.with_parameters(**changes)), disk(14)
        (expected,) = generated_sections(model, [like], 2)
        monkeypatch.setattr(validation, "_EDGE", 0.1)
        monkeypatch.setattr(validation, "_rim", lambda model: 0.0)
        (found,) = generated_sections(model, [like], 2)
        spare = (len(expected.labels) - len(found.labels)) // 2
        assert spare > 0
        np.testing.assert_array_equal(expected.labels[spare:-spare, spare:-spare], found.labels)
        assert (expected.labels > 0).sum() == (found.labels > 0).sum()

    def test_lie_around_the_centre_of_the_measured_one(self):
        like = disk(12)
        moved = Section("moved", np.pad(like.labels, ((5, 0), (0, 9))), PIXEL, (18.0, 13.0))
        model = GrainModel.from_bundle(RADIAL)
        one, two = generated_sections(model, [like], 1)[0], generated_sections(model, [moved], 1)[0]
        place = [round(b - a) for a, b in zip(one.centre_px, two.centre_px, strict=True)]
        size = one.labels.shape
        part = two.labels[place[0] : place[0] + size[0], place[1] : place[1] + size[1]]
        np.testing.assert_array_equal(part, one.labels)

    def test_hang_on_seed_and_place_in_the_list_alone(self):
        model, like = GrainModel.from_bundle(RADIAL), [disk(9), disk(12), disk(10)]
        together, alone = generated_sections(model, like, 4), generated_sections(model, like[1:], 4, start=1)
        for one, two in zip(together[1:], alone, strict=True):
            np.testing.assert_array_equal(one.labels, two.labels)

    def test_take_missing_pixels_as_part_of_the_particle(self):
        like = disk(12)
        rng = np.random.default_rng(1)
        missing = section_of(np.where((like.labels > 0) & (rng.random(like.labels.shape) < 0.5), -1, like.labels))
        model = GrainModel.from_bundle(RADIAL)
        one, two = generated_sections(model, [like], 1)[0], generated_sections(model, [missing], 1)[0]
        np.testing.assert_array_equal(one.labels, two.labels)

    def test_of_the_truth_are_no_farther_from_the_truth_than_two_samples_are(self, phantom):
        truth = section_samples(phantom)
        found = section_samples(generated_sections(GrainModel.from_bundle(RADIAL), phantom, 6))
        grains = len(truth["area_nm2"])
        assert grains > 1500
        # Chords of a grain are no independent samples: their number is taken as that of the grains.
        bound = FOUR_SIGMA * math.sqrt(1 / grains + 1 / len(found["area_nm2"]))
        for name, distance in distances(found, truth).items():
            assert distance.ks < bound, name
        covered = sum(section.mask.sum() for section in phantom)
        assert found["area_nm2"].sum() / PIXEL**2 == pytest.approx(covered, rel=0.05)

    def test_of_another_model_are_farther(self, phantom):
        truth = section_samples(phantom)
        model = GrainModel.from_bundle(RADIAL.with_parameters(**VORONOI))
        found = distances(section_samples(generated_sections(model, phantom, 6)), truth)
        assert found["elongation"].ks > 0.15 and found["angle_to_radius"].ks > 0.3

    def test_need_a_particle(self):
        with pytest.raises(InputError, match="section empty: found no pixel of a particle"):
            generated_sections(GrainModel.from_bundle(RADIAL), [section_of(np.zeros((5, 5), np.int32), "empty")], 1)


class TestFilled:
    def with_missing(self, section, share, seed):
        rng = np.random.default_rng(seed)
        drop = (section.labels > 0) & (rng.random(section.labels.shape) < share)
        return Section(section.name, np.where(drop, -1, section.labels), PIXEL, section.centre_px)

    def test_missing_pixels_get_the_grains_of_the_tessellation(self, whole):
        tessellation, section, numbers = whole
        image = self.with_missing(section, 0.3, 1)
        grains = np.unique(image.labels[image.labels > 0])
        kept = np.isin(numbers, grains)
        parts = (tessellation.seeds_nm[kept], tessellation.diagonals[kept], tessellation.offsets_nm2[kept])
        fit = Fit(Tessellation2D(*parts), grains, 1.0, 0.0, 0.0, 0, 1, 0.0)
        result = filled(image, fit)
        lost = np.isin(section.labels, numbers[~kept])
        np.testing.assert_array_equal(result.labels[~lost], section.labels[~lost])
        assert (result.labels != -1).all() and (image.labels == -1).any()

    def test_measured_pixels_stay_where_the_tessellation_is_wrong(self, whole):
        tessellation, section, _ = whole
        image = self.with_missing(section, 0.3, 1)
        grains = np.unique(image.labels[image.labels > 0])
        wrong = Tessellation2D(
            tessellation.seeds_nm[: len(grains)][::-1], np.ones((len(grains), 2)), np.zeros(len(grains))
        )
        result = filled(image, Fit(wrong, grains, 0.0, 0.0, 0.0, 0, 1, 0.0)).labels
        seen = image.labels != -1
        np.testing.assert_array_equal(result[seen], image.labels[seen])
        assert (result[~seen] > 0).all() and (result[~seen] != section.labels[~seen]).any()

    def test_sections_fitted_and_filled_are_those_measured_whole(self, phantom):
        images = [self.with_missing(section, 0.1, k) for k, section in enumerate(phantom[:3])]
        results = [filled(image, fit_tessellation(image.labels, PIXEL, image.centre_px)) for image in images]
        missing = np.concatenate([(image.labels == -1).ravel() for image in images])
        right = np.concatenate(
            [(a.labels == b.labels).ravel() for a, b in zip(results, phantom, strict=False)]
        )  # fmt: skip
        assert right[missing].mean() > 0.9
        found = distances(section_samples(results), section_samples(phantom[:3]))
        left = distances(section_samples(images), section_samples(phantom[:3]))
        assert found["area_nm2"].ks < 0.02 < 0.05 < left["area_nm2"].ks
        assert found["chord_length_nm"].ks < 0.02 < 0.1 < left["chord_length_nm"].ks

    def test_the_fit_of_another_section_is_refused(self, whole, phantom):
        tessellation, _, numbers = whole
        with pytest.raises(InputError, match=r"fit: found 30 grains, expected the \d+ of section s0"):
            filled(phantom[0], Fit(tessellation, numbers, 1.0, 0.0, 0.0, 0, 1, 0.0))
