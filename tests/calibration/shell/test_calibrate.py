"""The whole calibration on known packings, its command, and images that are refused."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from nmcdist.bundle import load_bundle
from nmcdist.calibration.begun import begun
from nmcdist.calibration.segmenter.bundles import load_segmenter
from nmcdist.calibration.shell.calibrate import calibrate_shells
from nmcdist.calibration.shell.packing import packed
from nmcdist.calibration.shell.phase import otsu, phase_by_threshold
from nmcdist.calibration.shell.settings import ShellSettings
from nmcdist.cli.entry import cli
from nmcdist.errors import BundleError, ImageError, InputError, StoreError
from nmcdist.images import open_image
from nmcdist.models.particle import ParticleModel
from nmcdist.report.shell_calibration import report_shell_calibration
from tests.calibration.segmenter.conftest import random_bundle

A00 = np.sqrt(4 * np.pi)
VOXEL = 100.0
EDGE, STEP = 80, 18.5
DEVIATIONS = {2: 0.45, 3: 0.25}  # voxels, normal


def _rows(count, stream):
    rows = np.zeros((count, 100))
    rows[:, 0] = A00 * stream.uniform(6.5, 8.5, count)
    for degree, deviation in DEVIATIONS.items():
        rows[:, degree**2 : (degree + 1) ** 2] = deviation * stream.standard_normal((count, 2 * degree + 1))
    return rows


@pytest.fixture(scope="module")
def truth():
    """Labels and coefficients of 64 shells that do not touch."""
    stream = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    centres = 12 + STEP * grid + stream.uniform(-0.5, 0.5, (64, 3))
    rows = _rows(64, stream)
    return _noisy_planes(packed((EDGE,) * 3, rows, centres, (1.0, 1.0, 1.0))), rows


def _calibrated(values, tmp_path, **choices):
    np.save(tmp_path / "image.npy", values)
    image = open_image(tmp_path / "image.npy", VOXEL, "zyx")
    bundle = calibrate_shells(image, ShellSettings(**choices), load_bundle("nmc811-radial"), tmp_path / "out")
    return bundle, json.loads((tmp_path / "out" / "calibration.json").read_text())


def _check_laws(bundle, numbers, rows, tolerance):
    """Size: the mean of a_00, within 4 standard errors of the fit. Form: rms, relative to 2 l + 1 values of n."""
    law = numbers["size"]["laws"]
    normal = next(one for one in law if one["family"] == "normal")
    mean = normal["values"]["mean"] * numbers["size"]["factor"] / VOXEL
    assert abs(mean - rows[:, 0].mean()) < 4 * normal["errors"]["mean"] / VOXEL
    for degree, deviation in DEVIATIONS.items():
        one = numbers["degrees"][degree - 1]
        columns = slice(degree**2, (degree + 1) ** 2)
        own = np.sqrt((rows[:, columns] ** 2).mean())
        assert one["rms_voxels"] * one["factor"] == pytest.approx(own, rel=tolerance), degree
        error = deviation / np.sqrt(2 * len(rows) * (2 * degree + 1))
        assert abs(own - deviation) < 4 * error


def test_isolated_shells_come_back_from_labels(truth, tmp_path):
    bundle, numbers = _calibrated(truth[0], tmp_path, is_labelled=True)
    assert numbers["particles"]["count"] == 64
    assert numbers["particles"]["visible_share"]["mean"] > 0.999
    assert numbers["separation"] is None
    # l = 4 and higher have no signal, and are left out.
    assert numbers["order"] == 3
    assert numbers["resolved"].startswith("resolved up to l = 3 (the spread of l = 4 is 0.0")
    _check_laws(bundle, numbers, truth[1], 0.06)
    p = bundle.particle()
    assert p.shell_harmonic_scale_nm[3:] == (1e-6,) * 6
    assert p.shell_nu[3:] == (1e9,) * 6
    assert bundle.values["shell_sigma"].provenance == "fitted"
    assert bundle.values["grain_intensity_per_nm3"].provenance == "assumed"


def test_touching_shells_come_back_from_a_grey_image(tmp_path):
    """64 shells that overlap their neighbours, blurred and noisy: contacts masked, law corrected by a packing."""
    stream = np.random.default_rng(2)
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    centres = 14 + 14.2 * grid + stream.uniform(-0.5, 0.5, (64, 3))
    rows = _rows(64, stream)
    labels = packed((72,) * 3, rows, centres, (1.0, 1.0, 1.0))
    grey = (40 + 120.0 * (labels > 0) + 8 * stream.standard_normal(labels.shape)).astype(np.float32)
    bundle, numbers = _calibrated(grey, tmp_path, sigma=0.8)
    assert numbers["particles"]["count"] == 64
    score = next(
        s for s in numbers["separation"]["rounds"][-1]["scores"] if s["ratio"] == numbers["separation"]["ratio"]
    )
    assert score["share_over_08"] > 0.85
    assert score["split"] < 0.08
    assert score["merged"] < 0.08
    assert numbers["particles"]["contact_share_of_directions"] > 0.05
    assert numbers["image"]["threshold"] == pytest.approx(100, abs=8)
    _check_laws(bundle, numbers, rows, 0.15)
    assert ParticleModel.from_bundle(bundle).shells.draw(1).volume_nm3 > 0


def _thresholding():
    """A segmenter for which a particle is what is brighter than the middle between the levels."""
    plain = load_segmenter(random_bundle((1, 1), "nano-ct"))
    weights = {name: np.zeros_like(array) for name, array in plain.net.weights.items()}
    for name in ("down0a", "down0b", "merge0"):
        weights[f"{name}.weight"][0, 1 if name == "down0a" else 0, 1, 1] = 1  # the middle slice
    weights["down0a.bias"][:] = 1  # levels are -1 and 1, and negative values do not pass a layer
    weights["out.weight"][:, 0, 0, 0], weights["out.bias"][:] = (-9, 9), (9, -9)
    return plain.with_weights(weights)


def test_a_calibration_says_which_segmenter_found_the_particles(truth, tmp_path):
    labels, _ = truth
    noise = np.random.default_rng(2).integers(0, 30, labels.shape)
    np.save(tmp_path / "image.npy", (50 + 150 * (labels > 0) + noise).astype(np.uint8))
    image, net = open_image(tmp_path / "image.npy", VOXEL, "zyx"), _thresholding()
    settings, base = ShellSettings(neck_ratio=0.95), load_bundle("nmc811-radial")
    bundle = calibrate_shells(image, settings, base, tmp_path / "out", segmenter=net)
    numbers = json.loads((tmp_path / "out" / "calibration.json").read_text())
    assert numbers["image"]["phase_share"] == pytest.approx((labels > 0).mean(), abs=0.01)
    assert numbers["image"]["segmenter"] == net.digest
    assert any("the training had 128 x 128 x 128 nm" in each for each in numbers["warnings"])
    assert f"phase by a segmenter (sha256 {net.digest}); watershed" in bundle.calibration.method
    page = report_shell_calibration(tmp_path / "out", tmp_path / "page").read_text()
    assert f"particles, which a segmenter (sha256 {net.digest[:16]}) found." in page
    assert "the training had 128 x 128 x 128 nm" in page


def test_stages_in_files_give_the_same_bundle(tmp_path):
    """A grey image of two blocks, with arrays in files and threads, and in memory."""
    stream = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(2), np.arange(2), indexing="ij"), axis=-1).reshape(-1, 3)
    labels = packed((142, 46, 46), _rows(28, stream), 14 + 18.5 * grid, (1.0, 1.0, 1.0))
    grey = (40 + 120.0 * (labels > 0) + 8 * stream.standard_normal(labels.shape)).astype(np.float32)
    np.save(tmp_path / "image.npy", grey)
    image, settings = open_image(tmp_path / "image.npy", VOXEL, "zyx"), ShellSettings(sigma=0.8, neck_ratio=0.9)
    base = load_bundle("nmc811-radial")
    with ThreadPoolExecutor(2) as pool, begun(tmp_path / "a", False, "particles", pool.map, print) as stages:
        one = calibrate_shells(image, settings, base, tmp_path / "a", stages=stages)
    two = calibrate_shells(image, settings, base, tmp_path / "b")
    assert one.content_hash == two.content_hash


def test_the_same_image_gives_the_same_bundle(truth, tmp_path):
    hashes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        hashes.append(_calibrated(truth[0], tmp_path / name, is_labelled=True)[0].content_hash)
    assert hashes[0] == hashes[1]


class TestCommand:
    def run(self, *arguments):
        return CliRunner().invoke(cli, ["calibrate", "shell", *map(str, arguments)])

    def test_bundle_results_and_report(self, truth, tmp_path):
        tifffile.imwrite(tmp_path / "phase.tif", (truth[0] > 0).astype(np.uint8), photometric="minisblack")
        done = self.run(tmp_path / "phase.tif", "--out", tmp_path / "out", "--axes", "zyx", "--voxel-size-nm", "100",
                        "--phase", "1")  # fmt: skip
        assert done.exit_code == 0, done.output
        assert "64 particles" in done.output
        page = (tmp_path / "out" / "report" / "report.md").read_text()
        for picture in ("regions", "neck-ratio", "packing", "harmonics", "laws", "dependence", "forms"):
            assert f"{picture}.png" in page
            assert (tmp_path / "out" / "report" / f"{picture}.png").stat().st_size > 10_000
        assert load_bundle(tmp_path / "out" / "bundle").model == "particle-radial"

    def refused(self, tmp_path, values, *arguments):
        np.save(tmp_path / "image.npy", values)
        sized = [] if "--voxel-size-nm" in arguments else ["--axes", "zyx", "--voxel-size-nm", "100"]
        error = self.run(tmp_path / "image.npy", "--out", tmp_path / "new", *sized, *arguments).exception
        assert isinstance(error, BundleError | ImageError | InputError | StoreError)
        assert "\n" not in str(error)
        return str(error)

    def test_bad_images_get_one_line(self, truth, tmp_path):
        labels, stream = truth[0], np.random.default_rng(3)
        grey = stream.uniform(0, 1, (20, 20, 20))
        holed = grey.copy()
        holed[3, 4, 5] = np.nan
        assert "finite" in self.refused(tmp_path, holed)
        assert "all voxels have the value 1" in self.refused(tmp_path, np.ones((9, 9, 9)))
        assert "--phase" in self.refused(tmp_path, (labels > 0).astype(np.uint8))
        assert "no voxel with the value 7" in self.refused(tmp_path, (labels > 0).astype(np.uint8), "--phase", "7")
        assert "whole numbers" in self.refused(tmp_path, grey, "--labels")
        assert "axes" in self.refused(tmp_path, grey, "--voxel-size-nm", "100")
        few = _noisy_planes(np.where(labels <= 5, labels, 0))
        assert "whole particles" in self.refused(tmp_path, few, "--labels")
        ball = np.linalg.norm(np.moveaxis(np.indices((20, 20, 20)), 0, -1) - 9.5, axis=-1) + grey < 13
        assert "border" in self.refused(tmp_path, ball.astype(np.uint8), "--phase", "1")

    def test_impossible_choices_are_refused(self, truth, tmp_path):
        labels = truth[0]
        assert "neck_ratio" in self.refused(tmp_path, labels, "--merging", "paper", "--neck-ratio", "0.9")
        assert "phase" in self.refused(tmp_path, labels, "--labels", "--phase", "1")
        few = np.where(labels <= 5, labels, 0)  # would be refused for its few particles, later
        assert "name: found 'My shells', expected" in self.refused(tmp_path, few, "--labels", "--name", "My shells")
        assert "licence: expected one line" in self.refused(tmp_path, few, "--labels", "--licence", "CC0-1.0\n")
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "mine").write_text("x")
        assert "empty folder" in self.refused(tmp_path, labels, "--labels")


def _noisy_planes(labels):
    """Return labels with one voxel per plane of its own, so that no two planes are equal."""
    labels = labels.copy()
    for z in range(len(labels)):
        labels[z, 0, z % labels.shape[2]] = 1000 + z
    return labels


def threshold(values):
    counts, edges = np.histogram(values, 256)
    return otsu(counts, edges[0], edges[-1])


class TestOtsu:
    def test_two_classes_are_separated(self):
        stream = np.random.default_rng(4)
        values = np.concatenate([stream.normal(50, 5, 4000), stream.normal(150, 5, 2000)])
        assert 65 < threshold(values) < 135

    def test_it_is_that_of_skimage(self):
        filters = pytest.importorskip("skimage.filters")
        stream = np.random.default_rng(5)
        values = np.concatenate([stream.normal(50, 20, 4000), stream.normal(120, 30, 2000)])
        assert threshold(values) == pytest.approx(filters.threshold_otsu(values), rel=1e-6)

    def test_dark_particles(self, truth):
        grey = np.where(truth[0] > 0, 10.0, 200.0)
        assert np.array_equal(phase_by_threshold(grey, 0, "dark").phase, truth[0] > 0)


def test_the_built_in_bundle_draws_particles_with_grains():
    bundle = load_bundle("nmc-ct-2018")
    assert "that electrode" in bundle.description
    assert bundle.values["shell_sigma"].provenance == "fitted"
    model = ParticleModel.from_bundle(bundle)
    rows, rejections = model.shells.draw_many(1, range(400))
    # Diameters of balls of the same volume, measured (medians): 8.2 um; 4 standard errors of a median of 400.
    volumes = np.array([model.shells.draw(1, k).volume_nm3 for k in range(400)])
    diameter = np.cbrt(6 * volumes / np.pi) / 1000
    assert np.median(diameter) == pytest.approx(8.2, abs=4 * 1.25 * diameter.std() / np.sqrt(400))
    assert rejections.sum() < 4
    assert rows.shape == (400, 100)
    particle = model.draw(1)
    assert len(particle.seeds_nm) > 500


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--phase", "1", "--sigma", "1"], "--sigma: is for grey images, expected none beside --segmenter, --phase or "
         "--labels"),
        (["--labels", "--side", "dark"], "--side: is for grey images, expected none beside --segmenter, --phase or "
         "--labels"),
        (["--segmenter", "fib-sem-unet-2026", "--sigma", "1"], "--sigma: is for grey images, expected none beside "
         "--segmenter, --phase or --labels"),
        (["--labels", "--neck-ratio", "0.5"], "--neck-ratio: is for images in which particles touch, expected none "
         "beside --labels"),
    ],
)  # fmt: skip
def test_options_that_would_do_nothing_are_refused(tmp_path, run, given, complaint):
    code, said = run("calibrate", "shell", tmp_path / "none.tif", *given, "--out", tmp_path / "out")
    assert (code, said.err) == (2, f"nmcdist: error: {complaint}\n")
    assert not (tmp_path / "out").exists()
