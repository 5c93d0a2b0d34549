"""The command on a grey stack: stages, refusals, and a kill that a resume mends."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from nmcdist.bundle import load_bundle
from nmcdist.calibration.begun import begun, check_folder
from nmcdist.calibration.cba.results import read_results
from nmcdist.calibration.fibsem.drift_files import read_drift
from nmcdist.calibration.fibsem.tiff import write_planes
from nmcdist.calibration.microscope.write import write_fib_sem
from nmcdist.errors import StoreError
from nmcdist.images import open_image, survey
from nmcdist.report.labelling import report_labelling


def with_scribbles(folder, setting, shape, slices, seed):
    write_fib_sem(load_bundle("cba-cathode-2025"), folder, setting, shape, 10.0, seed)
    truth, rng = tifffile.imread(folder / "truth.tif"), np.random.default_rng(6)
    drift = np.rint(read_drift(folder / "phantom.json", shape[0])).astype(int)
    (folder / "scribbles").mkdir()
    for z in slices:
        noise = ndimage.gaussian_filter(rng.normal(size=truth.shape[1:]), 10)
        labels = np.roll(np.where(noise > np.quantile(noise, 0.7), truth[z] + 1, 0), -drift[z], axis=(0, 1))
        tifffile.imwrite(folder / "scribbles" / f"slice-{z:03d}.tif", labels.astype(np.uint8))
    return folder


def command(folder, out, *more):
    return ["calibrate", "cba", folder / "image.tif", "--scribbles", folder / "scribbles", "--out", out,
            "--drift", folder / "phantom.json", "--trees", 20, "--workers", 0, *more]  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return with_scribbles(tmp_path_factory.mktemp("small"), "easy", (20, 192, 192), (5, 14), 24)


def stages_of(text):
    facts = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
    return [(each["name"], each["pieces"] - each["kept"]) for each in facts if each["event"] == "stage"]


def test_a_stack_that_is_too_small_is_labelled_and_a_resume_labels_nothing_again(small, tmp_path, run):
    code, said = run(*command(small, tmp_path / "out"))
    assert code == 2
    assert said.err.splitlines()[-1].startswith("nmcdist: error: image: found 8 blocks, expected at least")
    assert [name for name, _ in stages_of(said.err)] == [
        "ramp", "forest-phases", "solid", "forest-graphite", "graphite-probability", "graphite-smoothed",
        "graphite-pieces", "graphite", "labels", "counts",
    ]  # fmt: skip
    for more in ([], ["--resume"]):  # it was refused, not stopped
        code, said = run(*command(small, tmp_path / "out", *more))
        assert code == 2
        assert len(stages_of(said.err)) == 10
        assert all(made == 0 for _, made in stages_of(said.err))
    (tmp_path / "out" / "stages" / "begun").write_text("grey\n")
    code, said = run(*command(small, tmp_path / "out"))
    assert (code, said.err.splitlines()) == (
        2, [f"nmcdist: error: {tmp_path / 'out'}: holds a calibration that was stopped; --resume continues it"]
    )  # fmt: skip
    page = report_labelling(tmp_path / "out", tmp_path / "page").read_text()
    assert "The given drift of" in page
    assert page.count("![slice-") == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--classes", "pore=0,carbon_binder=2,graphite=3"], "expected labels above 0"),
        (["--classes", "pore=1,carbon_binder=2,graphite=4"], "found the label 3, expected pore=1"),
        (["--drift", "absent.csv"], "absent.csv"),
        (["--cubic-nm", "25"], "expected a whole multiple of each edge"),
        (["--graphite-quantile", "1.5"], "quantile: found 1.5, expected a number between 0 and 1"),
        (["--scribbles", "absent"], "absent"),
        (["--cubic-nm", "nan"], "expected a finite number"),
        (["--alpha-1", "1e300"], "expected a shape from 0.5 to 1000"),
        (["--bootstrap", "3"], "expected 0 or at least 5"),
        (["--max-lag-nm", "-1"], "max-lag-nm: found -1, expected a length in nm"),
        (["--name", "../evil"], "evil"),
    ],
)
def test_bad_options_get_one_line(small, tmp_path, run, more, message):
    code, said = run(*command(small, tmp_path / "out", *more))
    assert code == 2
    lines = [line for line in said.err.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out" / "stages" / "solid.zarr").exists()


def test_a_folder_with_other_files_is_left_alone(small, tmp_path, run):
    (tmp_path / "mine").write_text("kept")
    code, said = run(*command(small, tmp_path))
    assert (code, said.err) == (
        2,
        f"nmcdist: error: {tmp_path}: holds other files, expected a new or an empty folder\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_bundle_without_results_is_written_again(tmp_path):
    how = {"spread": map, "progress": print}
    with begun(tmp_path, False, "labels", **how):
        pass
    for name, files in (("bundle", ["bundle.json"]), ("bundle-paper", ["bundle.json", "mine"])):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("{}")
    with begun(tmp_path, True, "labels", **how):
        pass
    assert not (tmp_path / "bundle").exists()
    assert (tmp_path / "bundle-paper" / "mine").exists()
    for resume, what, message in (
        (False, "labels", "holds a calibration that was stopped; --resume continues it"),
        (True, "grey", "holds a calibration from labels, expected one from grey"),
    ):
        with pytest.raises(StoreError, match=message):
            check_folder(tmp_path, resume, what)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(StoreError, match="holds a complete calibration, expected a new or an empty folder"):
        check_folder(tmp_path, True, "labels")


def test_a_folder_with_stages_of_ones_own_is_left_alone(small, tmp_path, run):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "thesis.txt").write_text("kept")
    code, said = run(*command(small, tmp_path, "--resume"))
    assert (code, said.err) == (
        2,
        f"nmcdist: error: {tmp_path}: holds other files, expected a new or an empty folder\n",
    )
    assert [path.name for path in (tmp_path / "stages").iterdir()] == ["thesis.txt"]


def test_an_estimate_on_which_two_scales_disagree_is_refused(tmp_path, run):
    """Slices that share nothing: what either band finds is chance."""
    noise = np.random.default_rng(3).integers(80, 120, (12, 96, 96)).astype(np.uint8)
    write_planes(tmp_path / "image.tif", iter(noise), noise.shape, noise.dtype, (20.0, 10.0, 10.0))
    (tmp_path / "scribbles").mkdir()
    tifffile.imwrite(tmp_path / "scribbles" / "slice-4.tif", (noise[4] % 4).astype(np.uint8))
    code, said = run("calibrate", "cba", tmp_path / "image.tif", "--scribbles", tmp_path / "scribbles", "--no-ramp",
                     "--out", tmp_path / "out", "--drift", "estimate", "--workers", 0)  # fmt: skip
    (line,) = [line for line in said.err.splitlines() if line.startswith("nmcdist: error")]
    assert code == 2
    assert line.startswith(f"nmcdist: error: {tmp_path / 'image.tif'}: two scales disagree on the drift by ")
    assert "from fiducials (--drift FILE), or leave the drift in (--drift none)" in line


def test_options_of_grey_stacks_need_scribbles(small, tmp_path, run):
    code, said = run("calibrate", "cba", small / "truth.tif", "--out", tmp_path / "out", "--drift", "estimate")
    assert (code, said.err) == (2, "nmcdist: error: --drift: is for grey stacks, expected --scribbles or "
                                 "--segmenter beside it\n")  # fmt: skip


def test_large_stacks_are_written_as_ome(tmp_path, monkeypatch):
    monkeypatch.setattr("nmcdist.calibration.fibsem.tiff._MOST_BYTES", 100)
    stack = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    write_planes(tmp_path / "large.tif", iter(stack), stack.shape, stack.dtype, (20.0, 10.0, 5.0))
    image = open_image(tmp_path / "large.tif")
    assert (image.read() == stack).all()
    assert image.voxel_size_nm == (20.0, 10.0, 5.0)
    with tifffile.TiffFile(tmp_path / "large.tif") as file:
        assert file.is_bigtiff
        assert len(file.pages) == 4


@pytest.mark.slow
def test_a_killed_calibration_resumes_to_the_same_bundle(tmp_path):
    """90 s of CPU time: kills at a few moments of a run on two workers; the bundle is that of an undisturbed run."""
    folder = with_scribbles(tmp_path, "easy", (150, 480, 480), (20, 60, 100, 130), 4)

    def started(out, *more):
        whole = [sys.executable, "-m", "nmcdist.cli", *command(folder, out, "--bootstrap", 0, *more)]
        whole[whole.index("--workers") + 1] = 2
        return subprocess.Popen(list(map(str, whole)), stderr=subprocess.PIPE, text=True, start_new_session=True)

    for stage in ("solid", "graphite-probability", "counts"):
        process = started(tmp_path / "killed", *(["--resume"] if (tmp_path / "killed").exists() else []))
        for line in process.stderr:
            if f'"name": "{stage}"' in line:
                break
        time.sleep(3)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
    ended = started(tmp_path / "killed", "--resume").communicate()[1]
    assert (tmp_path / "killed" / "results.json").exists(), ended
    started(tmp_path / "whole").communicate()
    one, two = (read_results(tmp_path / name) for name in ("killed", "whole"))
    assert one.bundle == two.bundle
    assert one.quantities == two.quantities
    assert one.images == [str(folder / "image.tif")]
    assert one.digests == [survey(open_image(folder / "image.tif")).sha256]
