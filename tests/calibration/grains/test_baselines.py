"""Baselines: the section density against exact sections, recovery of models of their own class, limits, errors."""

import math

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.calibration.grains.baselines import SECTION_DENSITY, WIDEST_RANGE, isotropic_power, poisson_voronoi
from nmcdist.calibration.grains.generated import generated_sections
from nmcdist.calibration.grains.samples import section_samples
from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import BundleError, InputError
from nmcdist.models.grains import GrainModel
from nmcdist.models.particle import ParticleModel

PIXEL = 50.0
INTENSITY = 1.44e-8
BASE = load_bundle("nmc811-radial").with_parameters(
    shell_sigma=0.05, shell_scale_nm=2 * math.sqrt(math.pi) * 2500 + 3818.24
)
AXES = ("radial_scale_inner", "radial_scale_outer", "tangential_scale_inner", "tangential_scale_outer")


def isotropic(intensity, width):
    """Power diagrams whose offsets range over `width` squared spacings."""
    return BASE.with_parameters(
        **dict.fromkeys(AXES, 1.0), scale_noise=0.0, grain_intensity_per_nm3=intensity,
        offset_range_nm2=width * intensity ** (-2 / 3),
    )  # fmt: skip


def phantoms(bundle, seed, count):
    model = ParticleModel.from_bundle(bundle)
    images = [model.draw(seed, index).section(PIXEL) for index in range(count)]
    return [Section("s", image, PIXEL, (0.5 * (len(image) - 1),) * 2) for image in images]


def tiles(edge, size):
    """Squares of `edge` pixels each."""
    y, x = np.indices((size, size)) // edge
    return Section("tiles", (1 + y * (size // edge + 1) + x).astype(np.int32), PIXEL, (0.5 * (size - 1),) * 2)


def width_of(bundle):
    p = bundle.parameters
    return p.offset_range_nm2 * p.grain_intensity_per_nm3 ** (2 / 3)


def mean_and_standard_error(values):
    return np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))


def grains_of_an_exact_section(rng, side):
    """Cells of the plane z = 0, per area: seeds whose lift (x, y, |s|^2) is a vertex of the lower hull."""
    room = 4.0
    low, high = np.array([-room] * 3), np.array([room, side + room, side + room])
    points = rng.uniform(low, high, (rng.poisson((high - low).prod()), 3))
    hull = ConvexHull(np.column_stack([points[:, 1:], (points**2).sum(axis=1)]))
    seen = points[np.unique(hull.simplices[hull.equations[:, 2] < 0])][:, 1:]
    return ((seen > 0) & (seen < side)).all(axis=1).sum() / side**2


class TestTheory:
    def test_grains_per_area_of_the_unit_voronoi_section(self):
        rng = np.random.default_rng(1)
        # 20 sections of about 1,300 grains each.
        mean, error = mean_and_standard_error([grains_of_an_exact_section(rng, 30.0) for _ in range(20)])
        assert error < 0.01 and abs(mean - SECTION_DENSITY) < 4 * error

    def test_its_published_value(self):
        assert pytest.approx(1.4580, abs=5e-5) == SECTION_DENSITY


class TestPoissonVoronoi:
    def test_recovers_the_intensity_of_its_own_class(self):
        sections = phantoms(isotropic(INTENSITY, 0.0), 4, 20)
        found = [
            poisson_voronoi(sections[k : k + 2], BASE, seed=k).parameters.grain_intensity_per_nm3 / INTENSITY
            for k in range(0, 20, 2)
        ]
        mean, error = mean_and_standard_error(found)
        assert error < 0.025 and abs(mean - 1.0) < 4 * error

    def test_shows_as_many_grains_as_were_measured(self):
        sections = phantoms(BASE, 5, 4)
        bundle = poisson_voronoi(sections, BASE, seed=8)
        found = section_samples(generated_sections(GrainModel.from_bundle(bundle), sections, 8))["area_nm2"]
        assert found.mean() == pytest.approx(section_samples(sections)["area_nm2"].mean(), rel=0.002)

    def test_is_the_closed_form_where_pixels_are_fine(self):
        section, ideal = tiles(40, 400), (SECTION_DENSITY * (40 * PIXEL) ** 2) ** -1.5
        found = [poisson_voronoi([section], BASE, k).parameters.grain_intensity_per_nm3 / ideal for k in range(20)]
        # 100 squares of 1,600 pixels: fewer than 1 % of the simulated grains are not seen.
        mean, error = mean_and_standard_error(np.power(found, 2 / 3))
        assert error < 0.025 and abs(mean - 1.0) < 4 * error + 0.01


class TestIsotropicPower:
    def test_recovers_intensity_and_offsets_of_its_own_class(self):
        sections = phantoms(isotropic(INTENSITY, 1.0), 6, 20)
        found = [isotropic_power(sections[k : k + 4], BASE, k) for k in range(0, 20, 4)]
        intensity, error = mean_and_standard_error([b.parameters.grain_intensity_per_nm3 / INTENSITY for b in found])
        assert error < 0.1 and abs(intensity - 1.0) < 4 * error
        width, error = mean_and_standard_error([width_of(bundle) for bundle in found])
        assert error < 0.2 and abs(width - 1.0) < 4 * error

    def test_has_the_mean_and_the_variation_that_were_measured(self):
        sections = phantoms(isotropic(INTENSITY, 0.6), 7, 4)
        model = GrainModel.from_bundle(isotropic_power(sections, BASE, 3))
        found, truth = (
            section_samples(part)["area_nm2"] for part in (generated_sections(model, sections, 3), sections)
        )
        assert found.mean() == pytest.approx(truth.mean(), rel=0.01)
        assert found.std() / found.mean() == pytest.approx(truth.std() / truth.mean(), abs=0.01)

    def test_is_voronoi_where_sizes_vary_less(self):
        sections = [tiles(7, 70), tiles(9, 72)]
        bundle = isotropic_power(sections, BASE, 2)
        assert bundle.parameters.offset_range_nm2 == 0.0
        simulated = section_samples(generated_sections(GrainModel.from_bundle(bundle), sections, 2))
        truth = section_samples(sections)["area_nm2"]
        assert simulated["area_nm2"].mean() == pytest.approx(truth.mean(), rel=0.02)

    def test_has_the_widest_offsets_where_sizes_vary_more(self):
        sections = [tiles(4, 60), tiles(20, 60)]
        bundle = isotropic_power(sections, BASE, 2)
        assert width_of(bundle) == pytest.approx(WIDEST_RANGE)
        simulated = section_samples(generated_sections(GrainModel.from_bundle(bundle), sections, 2))
        truth = section_samples(sections)["area_nm2"]
        assert simulated["area_nm2"].mean() == pytest.approx(truth.mean(), rel=0.02)

    def test_hangs_on_sections_and_seed_alone(self):
        sections = phantoms(BASE, 8, 2)
        one, two, other = (isotropic_power(sections, BASE, seed) for seed in (1, 1, 2))
        assert one == two
        assert one.content_hash != other.content_hash


class TestBundles:
    @pytest.mark.parametrize("fit", [poisson_voronoi, lambda *args: isotropic_power(*args, 1)])
    def test_have_the_shells_of_the_base_and_isotropic_grains(self, fit, net_bundle, tmp_path):
        bundle = fit([tiles(7, 70)], net_bundle)
        loaded = load_bundle(save_bundle(bundle, tmp_path / "baseline"))
        assert loaded == bundle and loaded.model == "particle-radial"
        p, base = bundle.parameters, net_bundle.parameters
        assert all(getattr(p, name) == getattr(base, name) for name in type(base).model_fields if "shell" in name)
        assert [getattr(p, name) for name in AXES] == [1.0] * 4 and p.scale_noise == 0.0
        assert bundle.values["grain_intensity_per_nm3"].provenance == "fitted"
        assert bundle.calibration.data == "1 planar sections of 100 grains"

    def test_of_another_material_are_refused_as_base(self):
        fault = "'cba-cathode-2025': found model 'cba', expected 'particle-radial' or 'particle-net'"
        with pytest.raises(BundleError, match=fault):
            poisson_voronoi([tiles(7, 70)], load_bundle("cba-cathode-2025"))
        with pytest.raises(BundleError, match=fault):
            isotropic_power([tiles(7, 70)], load_bundle("cba-cathode-2025"), 1)


class TestSections:
    def test_with_missing_pixels_are_refused(self):
        whole = tiles(7, 70)
        image = whole.labels.copy()
        image[3, :5] = -1
        with pytest.raises(InputError, match="section holey: found 5 missing pixels, expected them to be filled"):
            poisson_voronoi([whole, Section("holey", image, PIXEL, whole.centre_px)], BASE)

    def test_without_grains_are_refused(self):
        with pytest.raises(InputError, match="sections: found no grain"):
            isotropic_power([], BASE, 1)
