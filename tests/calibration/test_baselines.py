"""Baseline generators matched to a medium: closed forms, fresh packings, other machines, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import norm

from nmcdist.bundle import load_bundle
from nmcdist.calibration.baseline_measures import measured_by_theory, measured_on_image, measured_on_store
from nmcdist.calibration.baselines import GENERATORS, NEURAL, fit_baseline, reachable_error
from nmcdist.cli.calibrate_baseline import KINDS
from nmcdist.cli.entry import cli
from nmcdist.descriptors import intrinsic_volumes
from nmcdist.errors import ImageError, InputError, StoreError
from nmcdist.images import open_image
from nmcdist.models import theory
from nmcdist.models.annealing import anneal
from nmcdist.models.body_theory import fibre_densities, sphere_densities
from nmcdist.models.cba import generate_cba
from nmcdist.models.levelcut import level_cut_coverage
from nmcdist.models.packing import generate_packing
from nmcdist.models.patterns import draw_patterns
from nmcdist.runs.public import run

BUNDLE = load_bundle("cba-cathode-2025")


@pytest.fixture(scope="module")
def measured():
    return measured_by_theory(BUNDLE.cba(), 160.0, 40, 7)


def test_the_additive_is_measured_by_theory_and_its_image_is_a_realisation_of_no_item(measured):
    parameters = BUNDLE.cba()
    assert measured.volume_fraction == theory.volume_fractions(parameters)["solid"]
    assert measured.surface_per_nm == theory.solid_surface(parameters)
    assert measured.coverage[0] == pytest.approx(measured.volume_fraction)
    diagonal = theory.two_point_coverage(parameters, np.arange(16) * 160.0 * np.sqrt(2))["solid"]
    np.testing.assert_allclose(measured.directional[4], diagonal)
    drawn = generate_cba(BUNDLE, (40, 40, 40), 160.0, 7, 2**32 - 1)
    assert np.array_equal(measured.image, drawn != 0)


@pytest.mark.parametrize(("kind", "densities"), [("fibres", fibre_densities), ("boolean-spheres", sphere_densities)])
def test_fibres_and_balls_meet_volume_and_surface_by_theory(measured, kind, densities):
    found = densities(fit_baseline(kind, measured).parameters)
    assert found.volume_fraction == pytest.approx(measured.volume_fraction, rel=1e-5)
    assert found.surface_area == pytest.approx(measured.surface_per_nm, rel=1e-5)


def test_hard_balls_have_the_radius_of_balls_that_do_not_overlap(measured):
    found = fit_baseline("hard-spheres", measured).parameters
    assert found.ball_fraction == pytest.approx(measured.volume_fraction, rel=1e-5)
    assert found.radius_mean_nm == pytest.approx(3 * measured.volume_fraction / measured.surface_per_nm, rel=1e-5)


def test_hard_balls_that_no_packing_holds_are_refused_in_one_line(measured):
    with pytest.raises(InputError) as caught:
        fit_baseline("hard-spheres", replace(measured, volume_fraction=0.62))
    assert str(caught.value).count("\n") == 0
    assert "a volume fraction of 0.62 by volume_fraction, expected at most 0.6" in str(caught.value)


def test_soft_balls_meet_volume_and_surface_in_a_fresh_packing(measured):
    """Radii of 5 and 10 voxels, and the surface extrapolated to voxels of no size; another box and seed."""
    bundle = fit_baseline("soft-spheres", measured)
    radius, found = bundle.parameters.radius_mean_nm, []
    for edge in (64, 128):
        voxel = radius * 12.8 / edge
        phase = generate_packing(bundle, (edge, edge, edge), voxel, 46) == 1
        found.append(intrinsic_volumes(phase, voxel))
    assert found[1].volume_fraction == pytest.approx(measured.volume_fraction, abs=0.005)
    surface = 2 * found[1].surface_area - found[0].surface_area
    assert surface == pytest.approx(measured.surface_per_nm, rel=0.02)


def test_soft_balls_that_are_too_dense_are_refused(measured):
    with pytest.raises(InputError, match=r"soft-spheres: found a volume fraction of 0.97, expected at most 0\.\d+"):
        fit_baseline("soft-spheres", replace(measured, volume_fraction=0.97))


def test_a_level_cut_field_meets_volume_fraction_and_two_point_coverage(measured):
    found = fit_baseline("level-cut", measured).parameters
    assert norm.sf(found.threshold) == pytest.approx(measured.volume_fraction, abs=1e-5)
    assert sum(found.weights) == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(level_cut_coverage(found, measured.lag_nm), measured.coverage, atol=1e-4)


def test_a_curve_of_no_gaussian_field_is_refused_by_name(measured):
    curve = np.where(np.arange(41) == 9, 0.5 * measured.coverage, measured.coverage)
    with pytest.raises(InputError, match=r"level-cut: coverage: found 0\.\d+ at 675 nm"):
        fit_baseline("level-cut", replace(measured, coverage=curve))


def test_annealing_gets_the_curves_by_direction(measured):
    bundle = fit_baseline("annealed", measured)
    volume = anneal(bundle, (16, 16, 16), 160.0, 3)
    assert volume.labels.mean() == pytest.approx(measured.volume_fraction, abs=1e-3)
    first = [np.array_equal(v, (0, 0, 1)) for v in volume.lattice_vectors].index(True)
    assert volume.wanted[first] / 16**3 == pytest.approx(measured.directional[0, 1], abs=1e-3)
    edge, error = reachable_error(bundle)
    assert edge == 32
    assert error < 1e-4


def test_patterns_get_the_image(measured):
    found = draw_patterns(fit_baseline("patterns", measured), (16, 16, 16), 160.0, 3)
    assert found.wanted[1] == pytest.approx(measured.image.mean())


@pytest.mark.parametrize("kind", GENERATORS)
def test_last_digits_of_other_machines_do_not_change_a_byte(measured, kind):
    """Another library moves the last digits of theory and of fits."""
    random = np.random.default_rng(5)

    def moved(values):
        return values * (1 + 1e-14 * random.uniform(-1, 1, np.shape(values)))

    other = replace(
        measured, volume_fraction=float(moved(measured.volume_fraction)), coverage=moved(measured.coverage),
        surface_per_nm=float(moved(measured.surface_per_nm)), directional=moved(measured.directional),
    )  # fmt: skip
    assert fit_baseline(kind, other).content_hash == fit_baseline(kind, measured).content_hash


def test_bundles_say_what_they_were_matched_on(measured):
    bundle = fit_baseline("fibres", measured, name="my-fibres", licence="CC0-1.0", date="2026-01-01")
    assert (bundle.name, bundle.licence, bundle.calibration.date) == ("my-fibres", "CC0-1.0", "2026-01-01")
    assert {record.provenance for record in bundle.values.values()} == {"fitted"}
    assert "Matched on the volume fraction, 0.3314, and the surface" in bundle.calibration.method
    with pytest.raises(InputError, match="kind: found 'fibers', expected"):
        fit_baseline("fibers", measured)


RECIPE = {
    "kind": "volumes", "name": "small", "version": "1.0.0", "title": "Small volumes", "bundle": "cba-cathode-2025",
    "seed": 3, "volume": {"shape": [24, 24, 24], "voxel_size_nm": 160.0}, "realisations": 2, "descriptors": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return run(RECIPE, tmp_path_factory.mktemp("small"), workers=0).store


def test_a_store_is_measured_by_means_over_its_volumes(store):
    volumes = [generate_cba(BUNDLE, (24, 24, 24), 160.0, 3, index) == 2 for index in range(2)]
    found = measured_on_store(store, (2,))
    assert found.volume_fraction == pytest.approx(np.mean(volumes))
    surfaces = [intrinsic_volumes(volume, 160.0).surface_area for volume in volumes]
    assert found.surface_per_nm == pytest.approx(np.mean(surfaces))
    pairs = np.mean([(volume[:, 3:] & volume[:, :-3]).mean() for volume in volumes])
    assert found.directional[1, 3] == pytest.approx(pairs)
    assert np.array_equal(found.image, volumes[0])
    assert found.voxel_size_nm == 160.0


def test_an_image_is_measured_as_a_store_of_one_volume(store, tmp_path):
    volume = generate_cba(BUNDLE, (24, 24, 24), 160.0, 3, 0)
    np.save(tmp_path / "labels.npy", volume)
    found = measured_on_image(open_image(tmp_path / "labels.npy", 160.0, "zyx"))
    assert found.volume_fraction == pytest.approx((volume > 0).mean())
    assert np.array_equal(found.image, volume > 0)


def test_images_without_solid_and_long_voxels_are_refused(tmp_path):
    np.save(tmp_path / "labels.npy", np.zeros((9, 9, 9), np.uint8))
    with pytest.raises(ImageError, match="volume 0: found that none of it is solid"):
        measured_on_image(open_image(tmp_path / "labels.npy", 10.0, "zyx"))
    with pytest.raises(ImageError, match="expected cubes"):
        measured_on_image(open_image(tmp_path / "labels.npy", [10.0, 10.0, 20.0], "zyx"))
    np.save(tmp_path / "grey.npy", np.zeros((9, 9, 9), np.float32))
    with pytest.raises(ImageError, match="expected labels"):
        measured_on_image(open_image(tmp_path / "grey.npy", 10.0, "zyx"))


def test_stores_without_volumes_are_refused(tmp_path):
    described = {**RECIPE, "storage": {"volumes": False}, "descriptors": {"transport": False}, "realisations": 1}
    made = run(described, tmp_path, workers=0).store
    with pytest.raises(StoreError, match="holds no volumes"):
        measured_on_store(made)


def test_the_command_writes_a_bundle_and_says_what_it_met(store, tmp_path):
    arguments = ["calibrate", "baseline", "--from", str(store), "--out", str(tmp_path / "bundle"), "--solid", "1,2"]
    done = CliRunner().invoke(cli, [*arguments, "--kind", "boolean-spheres"])
    assert done.exit_code == 0, done.output
    assert "Matched on the volume fraction" in done.output
    assert "Cannot meet: the two-point coverage" in done.output
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.model == "spheres-boolean"
    again = CliRunner().invoke(cli, [*arguments, "--kind", "fibres"])
    assert "already exists" in str(again.exception)


def test_the_command_offers_every_generator():
    assert (*GENERATORS, NEURAL) == KINDS
