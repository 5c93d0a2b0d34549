"""Calibrations that are killed, damaged, refused or continued otherwise, against an undisturbed one."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import zarr

from nmcdist.bundle import load_bundle
from nmcdist.calibration.begun import begun
from nmcdist.calibration.shell import calibrate
from nmcdist.calibration.shell.calibrate import calibrate_shells
from nmcdist.calibration.shell.packing import packed
from nmcdist.calibration.shell.settings import ShellSettings
from nmcdist.calibration.stage_array import StageArray
from nmcdist.errors import ImageError, StoreError
from nmcdist.images import open_image

VOXEL = 100.0
SETTINGS = {"sigma": 0.8, "neck_ratio": 0.9}

# Runs the command, and kills it, with all its workers, after a piece of a stage was made, before its receipt.
KILLED = """
import os, signal, sys
from nmcdist.calibration.stages import Stages
from nmcdist.cli import main

made = Stages._made

def dying(self, name, key, jobs, make, digest, spread=None):
    def until(function, items):
        for number, found in enumerate((spread or self.spread)(function, items)):
            if number == last:
                os.killpg(0, signal.SIGKILL)
            yield found

    return made(self, name, key, jobs, make, digest, until if name == stage else spread)

if __name__ == "__main__":  # workers import this file too
    stage, last = sys.argv.pop(1), int(sys.argv.pop(1))
    Stages._made = dying
    main()
"""


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """The path of a grey image of two blocks with 28 particles."""
    stream = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(2), np.arange(2), indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.zeros((28, 100))
    rows[:, 0] = np.sqrt(4 * np.pi) * stream.uniform(6.5, 8.5, 28)
    for degree, deviation in {2: 0.45, 3: 0.25}.items():
        rows[:, degree**2 : (degree + 1) ** 2] = deviation * stream.standard_normal((28, 2 * degree + 1))
    labels = packed((142, 46, 46), rows, 14 + 18.5 * grid, (1.0, 1.0, 1.0))
    path = tmp_path_factory.mktemp("grey") / "image.npy"
    np.save(path, (40 + 120.0 * (labels > 0) + 8 * stream.standard_normal(labels.shape)).astype(np.float32))
    return path


def calibrated(path, out, resume=False, spread=map, **choices):
    """Calibrate in stages, and return what was made in each: pieces that were not kept."""
    image, made = open_image(path, VOXEL, "zyx"), {}
    settings = ShellSettings(**{**SETTINGS, **choices})

    def progress(facts):
        if facts["event"] == "stage":
            made[facts["name"]] = facts["pieces"] - facts["kept"]

    with begun(out, resume, "particles", spread, progress) as stages:
        calibrate_shells(image, settings, load_bundle("nmc811-radial"), out, stages=stages, progress=progress)
    return made


def results(out):
    """Return the bytes of what a calibration found; the CPU time that it took may differ."""
    numbers = json.loads((out / "calibration.json").read_text())
    del numbers["cost"]
    return json.dumps(numbers), (out / "bundle" / "bundle.json").read_bytes(), (out / "shown.npz").read_bytes()


@pytest.fixture(scope="module")
def whole(grey, tmp_path_factory):
    """The folder of an undisturbed calibration, without a report."""
    out = tmp_path_factory.mktemp("whole") / "out"
    made = calibrated(grey, out)
    assert all(made.values())
    return out


def stopped(whole, folder):
    """Return a copy of a calibration that was stopped before its results."""
    shutil.copytree(whole, folder / "out")
    (folder / "out" / "calibration.json").unlink()
    return folder / "out"


def test_stages_give_what_memory_gives(grey, whole, tmp_path):
    image = open_image(grey, VOXEL, "zyx")
    calibrate_shells(image, ShellSettings(**SETTINGS), load_bundle("nmc811-radial"), tmp_path / "out")
    assert results(tmp_path / "out") == results(whole)
    assert not (tmp_path / "out" / "stages").exists()


def test_each_stage_is_kept(whole):
    kept = {path.stem for path in (whole / "stages").glob("*.jsonl")}
    assert kept >= {
        "image", "smooth", "phase", "distances", "basins", "graph", "packed-packing", "packed-basins", "choice",
        "regions", "stars", "seen-packing", "seen-phase", "seen-basins", "fit",
    }  # fmt: skip
    array = zarr.open_array(whole / "stages" / "distances.zarr", mode="r")
    assert array.shape == (142, 46, 46)
    assert array.attrs["voxel_size_nm"] == [VOXEL] * 3


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_calibration_resumes_to_the_same_bytes(grey, whole, tmp_path, workers):
    """Killed with SIGKILL in four stages: after a first piece, after a second one, in a packing, and in the fit."""
    (tmp_path / "killed.py").write_text(KILLED)
    out = tmp_path / "out"

    def run(stage, piece, *more):
        command = [sys.executable, tmp_path / "killed.py", stage, piece, "calibrate", "shell", grey, "--out", out,
                   "--voxel-size-nm", VOXEL, "--axes", "zyx", "--sigma", 0.8, "--neck-ratio", 0.9,
                   "--workers", workers, *more]  # fmt: skip
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, start_new_session=True)

    kills = [("smooth", 0), ("divided", 1), ("packed-stars", 0), ("seen-basins", 1), ("fit", 0)]
    for number, (stage, piece) in enumerate(kills):
        ended = run(stage, piece, *(["--resume"] if number else []))
        assert ended.returncode == -9, ended.stderr
        assert not (out / "calibration.json").exists()
    (out / "stages" / "stars" / ".00000.npz.12345.0123456789abcdef").write_bytes(b"half a file")
    again = run("none", 0)
    assert (again.returncode, again.stderr) == (
        2, f"nmcdist: error: {out}: holds a calibration that was stopped; --resume continues it\n"
    )  # fmt: skip
    ended = run("none", 0, "--resume")
    assert ended.returncode == 0, ended.stderr
    facts = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    made = {each["name"]: each["pieces"] - each["kept"] for each in facts if each.get("event") == "stage"}
    assert {name for name, number in made.items() if number} == {"fit"}
    assert results(out) == results(whole)
    assert not [path for path in out.rglob(".*") if path.is_file()]
    for more in ([], ["--resume"]):
        again = run("none", 0, *more)
        assert again.returncode == 2
        assert f"{out}: holds a complete calibration, expected a new or an empty folder" in again.stderr


def test_a_report_that_was_not_written_is_made_on_a_resume(grey, whole, tmp_path, run):
    shutil.copytree(whole, tmp_path / "out")
    given = ("--out", tmp_path / "out", "--voxel-size-nm", VOXEL, "--axes", "zyx", "--sigma", 0.8, "--resume")
    np.save(tmp_path / "other.npy", np.load(grey)[::-1])
    for image, ratio, what in ((tmp_path / "other.npy", 0.9, "image"), (grey, 0.8, "choice")):
        code, said = run("calibrate", "shell", image, *given, "--neck-ratio", ratio)
        assert code == 2
        assert f"out: holds results of another {what}, and lacks their page only; take a new folder" in said.err
    code, said = run("calibrate", "shell", grey, *given, "--neck-ratio", 0.9)
    assert code == 0, said.err
    assert '"stage"' not in said.err
    assert (tmp_path / "out" / "report" / "report.md").exists()


def test_damaged_stages_are_made_again(grey, whole, tmp_path):
    out = stopped(whole, tmp_path)
    stages = out / "stages"
    array = zarr.open_array(stages / "distances.zarr", mode="r+")
    array[0, 0, 0] = 7
    (stages / "divided.zarr" / "c" / "1" / "0" / "0").write_bytes(b"no chunk")
    (stages / "stars" / "00000.npz").write_bytes(b"no file")
    (stages / "basins.jsonl").unlink()
    made = calibrated(grey, out, resume=True)
    assert {name: number for name, number in made.items() if number} == {
        "distances": 1, "divided": 1, "stars": 1, "basins": 2
    }  # fmt: skip
    assert results(out) == results(whole)


def test_other_settings_make_those_stages_again_that_need_them(grey, whole, tmp_path):
    out = stopped(whole, tmp_path)
    made = calibrated(grey, out, resume=True, h=0.5)
    assert [made[name] for name in ("image", "smooth", "phase", "distances", "divided")] == [0] * 5
    assert made["graph"] == 1
    calibrated(grey, tmp_path / "fresh", h=0.5)
    assert results(out) == results(tmp_path / "fresh")


def test_another_image_makes_all_stages_again(grey, whole, tmp_path):
    out = stopped(whole, tmp_path)
    values = np.load(grey)
    values[70, 20, 20] += 1
    np.save(tmp_path / "other.npy", values)
    made = calibrated(tmp_path / "other.npy", out, resume=True)
    assert all(made[name] for name in ("image", "smooth", "phase", "distances"))
    calibrated(tmp_path / "other.npy", tmp_path / "fresh")
    assert results(out) == results(tmp_path / "fresh")


def test_a_folder_of_another_kind_is_refused(grey, whole, tmp_path):
    out = stopped(whole, tmp_path)
    with pytest.raises(StoreError, match="holds a calibration from particles, expected one from grey"):
        begun(out, True, "grey", map, print).__enter__()
    (out / "stages" / "begun").write_text("labels\n")
    with pytest.raises(StoreError, match="holds a calibration from labels, expected one from particles"):
        calibrated(grey, out, resume=True)


def test_refused_input_does_not_need_a_resume(grey, tmp_path):
    """Before a piece is made nothing stays; after that the corrected command goes on with what is whole."""
    values = np.load(grey)
    values[3] = values[4]
    np.save(tmp_path / "repeated.npy", values)
    with pytest.raises(ImageError, match="are equal"):
        calibrated(tmp_path / "repeated.npy", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ImageError, match="no voxel with the value 7"):
        calibrated(grey, tmp_path / "out", phase=7.0)
    made = calibrated(grey, tmp_path / "out")
    assert made["image"] == 0
    assert made["phase"] > 0


def test_arrays_that_do_not_fit_into_memory_are_read_in_blocks(tmp_path, monkeypatch):
    """No read holds the image, which is longer than a block; the results are the same bytes."""
    read, getting = [], StageArray.__getitem__

    def recorded(self, box):
        found = getting(self, box)
        assert self._memory is None
        read.append(found.shape)
        return found

    stream = np.random.default_rng(8)
    grid = np.stack(np.meshgrid(np.arange(17), np.arange(2), np.arange(2), indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.zeros((68, 100))
    rows[:, 0] = np.sqrt(4 * np.pi) * stream.uniform(6.5, 8.5, 68)
    labels = packed((330, 46, 46), rows, 14 + 18.5 * grid, (1.0, 1.0, 1.0))
    np.save(tmp_path / "long.npy", (100 * (labels > 0) + stream.integers(0, 9, labels.shape)).astype(np.uint8))
    calibrated(tmp_path / "long.npy", tmp_path / "memory")
    monkeypatch.setattr(StageArray, "__getitem__", recorded)
    monkeypatch.setattr(calibrate, "_MOST_BYTES", 0)
    calibrated(tmp_path / "long.npy", tmp_path / "files")
    assert max(shape[0] for shape in read) <= 128 + 2 * 32  # a block with the halo of the basins
    assert results(tmp_path / "files") == results(tmp_path / "memory")
