"""Samples of grains, and generated and filled sections: against tables, brute force and the truth itself."""

import math

import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.calibration.grains.distances import distances
from nmcdist.calibration.grains.generated import generated_sections
from nmcdist.calibration.grains.prepared import filled
from nmcdist.calibration.grains.samples import OF_GRAINS, grain_samples, section_samples
from nmcdist.calibration.grains.sections import Section
from nmcdist.calibration.grains.tessellation_fit import Fit, Tessellation2D, fit_tessellation
from nmcdist.descriptors.grains import describe_grains
from nmcdist.errors import InputError
from nmcdist.geometry.tessellation import label_lattice
from nmcdist.models import seed_window
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


class TestSamples:
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
        assert set(samples) == {*OF_GRAINS, "radius_nm", "short_axis_angle"}
        assert any(t.is_surface.values.any() for t in tables)
        for name in (*OF_GRAINS, "radius_nm"):
            np.testing.assert_array_equal(samples[name], np.concatenate([t[name].values for t in tables]))

    def test_of_particles_in_given_shells_are_those_of_grains_drawn_in_them(self, small_bundle):
        model = ParticleModel.from_bundle(small_bundle)
        shells = [model.shells.draw(8, index) for index in (5, 6)]
        samples = grain_samples(model, 3, 2, 100.0, start=1, shells=shells)
        particles = [model.draw_in(shell, 3, index) for index, shell in zip((1, 2), shells, strict=True)]
        tables = [describe_grains(p.voxelize(100.0), 100.0, p.grid(100.0)[1]) for p in particles]
        np.testing.assert_array_equal(samples["volume_nm3"], np.concatenate([t.volume_nm3.values for t in tables]))


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
        monkeypatch.setattr(seed_window, "first_margins_nm", lambda model: (0.1 * model.spacing_nm,) * 2)
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
