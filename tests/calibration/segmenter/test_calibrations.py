"""A segmenter in place of scribbles, and in place of Otsu's threshold."""

import json

import numpy as np
import pytest
import zarr

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.calibration.fibsem.labelling import HowToLabel
from nmcdist.calibration.microscope import NANO_CT, nano_ct, pack
from nmcdist.calibration.segmenter.bundles import load_segmenter
from nmcdist.calibration.segmenter.draws import held
from nmcdist.calibration.segmenter.labelling import label_by
from nmcdist.calibration.segmenter.segment import segmented
from nmcdist.calibration.shell.by_segmenter import phase_by_segmenter
from nmcdist.calibration.stages import Stages
from nmcdist.errors import BundleError
from nmcdist.images import open_image
from tests.calibration.segmenter.conftest import random_bundle


def test_cubic_voxels_are_means_of_probabilities(phantom, bundle, tmp_path):
    image = open_image(phantom / "image.tif")
    found = label_by(load_segmenter(bundle), image, Stages(tmp_path), HowToLabel())
    shares = segmented(image, bundle).astype(np.int64)
    cubes = shares[:, :, :150, :170].reshape(3, 20, 75, 2, 85, 2).sum(axis=(3, 5))
    solid = np.asarray(zarr.open_array(found.stages["solid"].path)[:])
    assert abs(solid - (255 - cubes[0] / 4)).max() <= 0.5
    graphite = np.asarray(zarr.open_array(found.stages["graphite-probability"].path)[:])
    assert abs(graphite - 255 * cubes[2] / np.maximum(1, cubes[1] + cubes[2])).max() <= 0.5
    labels = found.labels.read()
    assert ((labels > 0) == (solid > 127)).all()
    assert found.facts["distance"] > found.facts["distance_limit"]
    assert len(found.facts["warnings"]) == 1


def test_the_command_labels_a_stack_and_warns(phantom, saved, tmp_path, run):
    image, out = phantom / "image.tif", tmp_path / "out"
    code, said = run("calibrate", "cba", image, "--segmenter", saved, "--out", out, "--workers", 0, "--bootstrap", 0)
    assert code == 2  # the image is too small for a fit, which comes after the labels
    names = [json.loads(line)["name"] for line in said.err.splitlines() if '"stage"' in line]
    assert names[:5] == ["ramp", "levels", "statistics", "probability", "solid"]
    assert '"event": "warning", "text": "the image is unlike those of the training' in said.err
    facts = json.loads((out / "labelling.json").read_text())
    assert facts["segmenter"] == load_bundle(saved).content_hash
    from nmcdist.report.labelling import report_labelling

    page = report_labelling(out, tmp_path / "page").read_text()
    assert "**Warning: the image is unlike those of the training" in page
    assert page.count("![slice-") == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--scribbles", "absent"], "--segmenter: found beside --scribbles, expected one of them"),
        (["--trees", "5"], "--trees: is for scribbles, expected --scribbles beside it"),
        (["--segmenter", "cba-cathode-2025"], "found model 'cba', expected 'segmenter'"),
    ],
)
def test_options_that_do_not_go_together(phantom, saved, tmp_path, run, more, message):
    given = {"--segmenter": saved, "--out": tmp_path / "out", **dict([more])}
    code, said = run("calibrate", "cba", phantom / "image.tif", *(word for pair in given.items() for word in pair))
    assert code == 2
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def particles():
    packing = pack(load_bundle("nmc811-radial"), (40, 48, 56), 256.0, 3, 0.35)
    return held(nano_ct(packing.labels, NANO_CT["easy"], 3), (256.0,) * 3)


def test_the_phase_of_particles_is_where_they_are_probable(particles):
    bundle = random_bundle((3, 5), "nano-ct")
    phase, warnings = phase_by_segmenter(particles, particles.read(), load_segmenter(bundle))
    assert (phase == (segmented(particles, bundle)[1] > 127)).all()
    assert 0 < phase.mean() < 1
    assert any("256 x 256 x 256 nm, the training had 128 x 128 x 128 nm" in each for each in warnings)


def test_a_segmenter_of_other_images_is_refused(particles, phantom, saved, tmp_path, run):
    with pytest.raises(BundleError, match="found one for fib-sem, expected one for nano-ct"):
        phase_by_segmenter(particles, particles.read(), load_segmenter(saved))
    given = ["--segmenter", saved, "--out", tmp_path / "b"]
    code, said = run("calibrate", "shell", phantom / "image.tif", *given)
    assert (code, said.err) == (2, "nmcdist: error: segmenter: found one for fib-sem, expected one for nano-ct\n")
    assert not (tmp_path / "b").exists()
    other = save_bundle(random_bundle((3, 5), "nano-ct"), tmp_path / "other")
    code, said = run("calibrate", "cba", phantom / "image.tif", "--segmenter", other, "--out", tmp_path / "out")
    assert (code, said.err) == (2, "nmcdist: error: segmenter: found one for nano-ct, expected one for fib-sem\n")
    given = ["--segmenter", other, "--labels", "--out", tmp_path / "b"]
    code, said = run("calibrate", "shell", phantom / "image.tif", *given)
    assert (code, said.err) == (2, "nmcdist: error: --segmenter: found beside --phase or --labels, expected a grey "
                                "image\n")  # fmt: skip
