"""The built-in bundle that was trained on sections of a phantom, against the phantom: as well as its documents say."""

import pytest

from nmcdist.bundle import load_bundle
from nmcdist.calibration.grains.distances import distances
from nmcdist.calibration.grains.generated import generated_sections
from nmcdist.calibration.grains.phantom import phantom_bundles, phantom_sections
from nmcdist.calibration.grains.samples import grain_samples, section_samples
from nmcdist.models.grains import GrainModel
from nmcdist.models.particle import ParticleModel

TRUTH = phantom_bundles()["radial"]
SEED = 77  # none of the training's


@pytest.fixture(scope="module")
def trained():
    return load_bundle("nmc811-stereological")


def test_its_shells_are_those_of_the_explicit_law(trained):
    other = load_bundle("nmc811-radial")
    for name, record in other.values.items():
        if name.startswith("shell_"):
            assert trained.values[name] == record


def test_it_says_what_it_was_trained_on(trained):
    assert "16 central planar sections of phantom-radial" in trained.calibration.data
    assert TRUTH.content_hash in trained.calibration.data
    for word in ("energy distances", "seed 1", "epochs", "torch", "numpy", "device cpu"):
        assert word in trained.calibration.method
    assert trained.values["grain_intensity_per_nm3"].provenance == "fitted"
    assert trained.arrays["weight_0"].shape[1] == 61


def test_its_sections_are_those_of_the_phantom(trained):
    """12 held-out sections, about 6,000 grains, and 36 generated ones; an aim of 0.03, and sampling of 0.01 on top."""
    held_out = phantom_sections(TRUTH, SEED, 12, missing=0.0)
    found = generated_sections(GrainModel.from_bundle(trained), held_out * 3, SEED + 1)
    compared = distances(section_samples(found), section_samples(held_out))
    for name, distance in compared.items():
        assert distance.ks <= 0.03 + 0.01, name


def test_its_grains_in_space_are_those_of_the_phantom(trained):
    """3 particles each, about 20,000 grains; an aim of 0.05, and sampling of 0.01 on top."""
    shells = {name: record.value for name, record in TRUTH.values.items() if name.startswith("shell_")}
    models = (ParticleModel.from_bundle(bundle) for bundle in (trained.with_parameters(**shells), TRUTH))
    found, truth = (grain_samples(model, SEED + k, 3) for k, model in enumerate(models))
    compared = distances(found, truth)
    for name in ("volume_nm3", "elongation", "angle_to_radius"):
        assert compared[name].ks <= 0.05 + 0.01, name
