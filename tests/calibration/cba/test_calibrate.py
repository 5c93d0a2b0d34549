"""The commands: labels to a bundle with errors, warnings, refusals; and how much to image."""

import json
from pathlib import Path

import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.calibration.begun import begun
from nmcdist.calibration.cba.bootstrap import Bootstrap
from nmcdist.calibration.cba.calibrate import calibrate_cba
from nmcdist.calibration.cba.known import known_errors
from nmcdist.calibration.cba.plan import Known, parsed_targets, plan, standard_error
from nmcdist.calibration.cba.results import read_results
from nmcdist.errors import InputError, StoreError
from nmcdist.images import open_image
from nmcdist.models.cba import generate_cba

EDGE = 160


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """The path of a realisation, and of the same with graphite removed."""
    folder = tmp_path_factory.mktemp("labels")
    volume = generate_cba("cba-cathode-2025", (EDGE,) * 3, 20.0, 71)
    np.save(folder / "labels.npy", volume)
    np.save(folder / "bare.npy", np.where(volume == 2, 0, volume).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def calibrated(labels):
    image = open_image(labels / "labels.npy", 20.0, "zyx")
    out = labels / "out"
    return out, calibrate_cba([image], out, replicates=5, name="mine", licence="CC0-1.0")


def test_bundle_is_fitted_with_standard_errors_in_its_sources(calibrated):
    out, results = calibrated
    bundle = load_bundle(out / "bundle")
    assert (bundle.name, bundle.content_hash) == (results.bundle["name"], results.bundle["sha256"])
    assert bundle.values["alpha_1"].provenance == "assumed"
    for name, record in bundle.values.items():
        if name != "alpha_1":
            assert record.provenance == "fitted"
            assert "95 % interval" in record.source, name
    generate_cba(bundle, (8, 8, 8), 20.0, 1)


def test_volume_fractions_of_the_bundle_are_those_of_the_image(calibrated):
    for measured, fitted in calibrated[1].fractions.values():
        assert fitted == pytest.approx(measured, rel=1e-4)


def test_results_are_read_as_they_were_written(calibrated):
    out, results = calibrated
    assert read_results(out) == results
    correlations = np.array(results.correlations)
    np.testing.assert_allclose(np.diag(correlations), 1.0)
    assert np.linalg.eigvalsh(correlations).min() > -1e-9
    assert set(results.curves) >= {"binder", "graphite", "correlation", "binder xy", "graphite yz"}
    assert not results.quantities["alpha_1"].identified


def test_few_plates_are_warned_of_with_the_expected_error(calibrated):
    results = calibrated[1]
    assert results.plates_in_view < 30
    assert any("plates of graphite in view, expected at least 30: standard errors of about" in w
               for w in results.warnings)  # fmt: skip


def test_report_shows_the_parameters_and_the_figures(calibrated):
    from nmcdist.report.cba_calibration import report_cba_calibration

    out = calibrated[0]
    page = report_cba_calibration(out, out / "report").read_text()
    for name in ("fits", "ellipses", "planes", "sizes", "coverage", "correlation", "slice"):
        assert (out / "report" / f"{name}.png").stat().st_size > 10_000
        assert f"{name}.png" in page
    assert "`lambda_X`" in page


@pytest.mark.slow
def test_thick_voxels_are_warned_of(labels, tmp_path):
    image = open_image(labels / "labels.npy", 80.0, "zyx")  # the same structure, said to be four times as large ...
    results = calibrate_cba([image], tmp_path / "out", replicates=0)
    assert not any("quarter" in w for w in results.warnings)  # ... so plates are as many voxels thick
    assert results.correlations is None
    assert results.quantities["mean_a"].standard_error is None
    assert "plates are larger than the blocks" in results.quantities["mean_a"].note
    np.save(tmp_path / "coarse.npy", np.load(labels / "labels.npy"))
    coarse = generate_cba("cba-cathode-2025", (EDGE,) * 3, 60.0, 71)
    np.save(tmp_path / "coarse.npy", coarse)
    results = calibrate_cba([open_image(tmp_path / "coarse.npy", 60.0, "zyx")], tmp_path / "b", replicates=0)
    assert any("over a quarter of the mean plate thickness" in w for w in results.warnings)


def test_command_writes_bundle_results_and_report(labels, tmp_path, run):
    out = tmp_path / "out"
    given = ("--out", out, "--axes", "zyx", "--voxel-size-nm", "20", "--bootstrap", "0")
    status, said = run("calibrate", "cba", labels / "labels.npy", *given)
    assert status == 0, said.err
    assert str(out / "bundle") in said.out and "volume fractions met within" in said.out
    assert (out / "report" / "report.md").is_file()
    assert {"counted", "fitted", "calibrated"} <= {json.loads(line).get("event") for line in said.err.splitlines()
                                                   if line.startswith("{")}  # fmt: skip
    (out / "report" / "report.md").unlink()
    np.save(tmp_path / "other.npy", np.load(labels / "labels.npy")[::-1])
    status, said = run("calibrate", "cba", tmp_path / "other.npy", *given, "--resume")
    assert status == 2
    assert "out: holds results of another image, and lacks their page only; take a new folder" in said.err
    assert run("calibrate", "cba", labels / "labels.npy", *given, "--resume")[0] == 0
    assert (out / "report" / "report.md").is_file()


@pytest.mark.parametrize(
    ("image", "more", "message"),
    [
        ("bare.npy", ["--axes", "zyx", "--voxel-size-nm", "20"], "found no voxel of graphite"),
        ("labels.npy", ["--axes", "zyx"], "says no voxel size"),
        ("labels.npy", ["--voxel-size-nm", "20"], "does not say the order of its axes"),
        ("labels.npy", ["--axes", "zyx", "--voxel-size-nm", "a"], "'--voxel-size-nm': found 'a', expected a number"),
        ("labels.npy", ["--axes", "zyx", "--voxel-size-nm", "20", "--phases", "pore=0"], "phases: found pore=0"),
        ("labels.npy", ["--axes", "zyx", "--voxel-size-nm", "20", "--bootstrap", "2"], "expected 0 or at least 5"),
        ("labels.npy", ["--axes", "zyx", "--voxel-size-nm", "20,20,40"], "expected cubes"),
        ("labels.npy", ["--axes", "zyx", "--voxel-size-nm", "20", "--name", "My fit"], "expected small letters"),
        ("none.npy", ["--axes", "zyx", "--voxel-size-nm", "20"], "no such image"),
    ],
)
def test_bad_input_gets_one_line(labels, tmp_path, run, image, more, message):
    status, said = run("calibrate", "cba", labels / image, "--out", tmp_path / "out", *more)
    assert status == 2
    lines = [line for line in said.err.splitlines() if not line.startswith(("nmcdist: compiling", "{"))]
    assert len(lines) == 1 and message in lines[0]
    assert not (tmp_path / "out" / "bundle").exists()


def test_input_that_is_refused_before_a_count_leaves_nothing(labels, tmp_path, run):
    command = ["calibrate", "cba", labels / "labels.npy", "--out", tmp_path / "out", "--axes", "zyx",
               "--voxel-size-nm", "20", "--bootstrap", "0"]  # fmt: skip
    status, said = run(*command, "--phases", "pore=5,carbon_binder=6,graphite=7")
    assert status == 2
    assert "expected 5, 6 and 7" in said.err
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == [], said.err


def test_replicates_are_kept_and_labels_are_named_by_their_stack(calibrated, labels, tmp_path, monkeypatch):
    """Those of a calibration in memory; on a resume only a damaged one is drawn."""
    image, out, made = open_image(labels / "labels.npy", 20.0, "zyx"), tmp_path / "out", []
    how = {"replicates": 5, "name": "mine", "licence": "CC0-1.0", "labelled_from": (Path("stack.tif"), "abc")}

    def drawn(*arguments, **more):
        made.append(arguments)
        return generate_cba(*arguments, **more)

    monkeypatch.setattr("nmcdist.calibration.cba.bootstrap.generate_cba", drawn)
    for resume, number in ((False, 5), (True, 6)):
        with begun(out, resume, "labels", map, lambda facts: None) as stages:
            results = calibrate_cba([image], out, stages=stages, **how)
        assert len(made) == number
        assert (results.images, results.digests) == (["stack.tif"], ["abc"])
        same = {"images", "digests", "seconds"}
        assert results.model_dump_json(exclude=same) == calibrated[1].model_dump_json(exclude=same)
        (out / "results.json").unlink()
        (out / "stages" / "replicates" / "00003.npz").write_bytes(b"no file")


def test_a_folder_with_files_is_refused(labels, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="holds other files"):
        calibrate_cba([open_image(labels / "labels.npy", 20.0, "zyx")], tmp_path, replicates=0)


def test_bootstrap_error_of_normal_fits():
    """Of 4000 sets of six normal errors, 95 % intervals cover a new error in 95 %, within 4 standard errors."""
    rng, covered = np.random.default_rng(8), []
    for _ in range(4000):
        boot = Bootstrap(rng.normal(0.3, 2.0, (6, 1)), [], 0)
        error = rng.normal(0.3, 2.0) - boot.bias[0]
        covered.append(abs(error) < boot.factor * boot.standard_error[0])
    assert abs(np.mean(covered) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)


KNOWN = Known({"eta": 0.01, "mu": 0.02, "lambda_X": 0.2}, [(8000.0,) * 3], 0.0127, "test")


def test_four_times_the_volume_halves_the_error_but_of_mu():
    assert standard_error("eta", 8000.0 * 4 ** (1 / 3), KNOWN) == pytest.approx(0.005)
    assert standard_error("mu", 8000.0, KNOWN) == pytest.approx(0.02)
    # The field's mean over a cube scatters like 1 / edge, once the edge is long.
    assert standard_error("mu", 4e6, KNOWN) / standard_error("mu", 8e6, KNOWN) == pytest.approx(2.0, rel=0.01)


def test_planned_volume_has_the_asked_interval():
    for need in plan({"eta": 0.01, "mu": 0.03, "lambda_X": 0.2}, KNOWN):
        half = 1.959963984540054 * standard_error(need.name, need.volume_nm3 ** (1 / 3), KNOWN)
        reached = half if need.name == "mu" else np.expm1(half)
        assert reached == pytest.approx(need.accuracy, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eta", "expected a parameter and a share"),
        ("eta=0.01", "expected a share in per cent"),
        ("mu=1%", "expected a number, such as mu=0.03"),
        ("etta=1%", "unknown parameter 'etta'.*eta"),
        ("eta=-1%", "expected a positive number"),
        ("eta=1e%", "expected a positive number"),
    ],
)
def test_impossible_accuracies_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parsed_targets([text])


def test_plan_command_answers_in_volume_and_slices(run):
    status, said = run("calibrate", "plan", "--accuracy", "eta=1%", "lambda_X=20%", "--field-um", 10, 20)
    assert status == 0, said.err
    lines = said.out.splitlines()
    assert len(lines) == 3
    assert "eta within 1 %" in lines[1] and "slices of 20 nm, 10 x 20 um each" in lines[1]
    assert "lambda_X within 20 %" in lines[2]


def test_plan_takes_the_errors_of_a_calibration(calibrated, labels, tmp_path):
    out, results = calibrated
    known = known_errors(str(out), 20.0, 5, 1)
    assert known.sd["eta"] == results.quantities["eta"].standard_error
    assert known.edges_nm == [(3200.0,) * 3]
    calibrate_cba([open_image(labels / "labels.npy", 20.0, "zyx")], tmp_path / "none", replicates=0)
    with pytest.raises(InputError, match="without bootstrap"):
        known_errors(str(tmp_path / "none"), 20.0, 5, 1)
