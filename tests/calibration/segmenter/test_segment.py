"""The command: the same bytes in one piece, on two workers and after a kill; warnings before results; refusals."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.calibration.segmenter.segment import segment, segmented
from nmcdist.clusters.deployment import load_deployment
from nmcdist.errors import StoreError
from nmcdist.execution.spread import spread_on
from nmcdist.images import open_image
from tests.calibration.segmenter.conftest import random_bundle

EDGES = (8, 64, 96)


def content(folder, name="probability"):
    return np.asarray(zarr.open_array(folder / f"{name}.zarr", mode="r")[:])


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.glob("*.zarr/**/*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(phantom, bundle):
    return segmented(open_image(phantom / "image.tif"), bundle)


def test_one_piece_gives_what_the_array_gives(phantom, bundle, whole, tmp_path):
    results = segment(open_image(phantom / "image.tif"), bundle, tmp_path / "out")
    assert (content(tmp_path / "out") == whole).all()
    assert (content(tmp_path / "out", "labels") == whole.argmax(axis=0)).all()
    counts = np.bincount(whole.argmax(axis=0).ravel(), minlength=3)
    assert list(results["shares"].values()) == pytest.approx(list(counts / counts.sum()))
    array = zarr.open_array(tmp_path / "out" / "probability.zarr")
    assert array.metadata.dimension_names == ("class", "z", "y", "x")
    assert open_image(tmp_path / "out" / "labels.zarr", (20, 10, 10), "zyx").shape == (20, 150, 170)


def test_blocks_on_two_workers_give_the_same_bytes(phantom, bundle, whole, tmp_path):
    image = open_image(phantom / "image.tif")
    segment(image, bundle, tmp_path / "here", edges=EDGES)
    deployment = load_deployment(workers=2, memory_per_worker="1GiB", dashboard=False)
    with spread_on(deployment, 10_000_000, 100) as spread:
        segment(image, bundle, tmp_path / "there", edges=EDGES, spread=spread)
    assert (content(tmp_path / "there") == whole).all()
    assert files_of(tmp_path / "there") == files_of(tmp_path / "here")


KILLED = """
import os, signal, sys
from pathlib import Path
from nmcdist.bundle import load_bundle
from nmcdist.calibration.segmenter.segment import segment
from nmcdist.images import open_image

def spread(function, items):
    for number, item in enumerate(items):
        if number == 5 and "probability" in str(item):
            os.kill(os.getpid(), signal.SIGKILL)
        yield function(item)

image, bundle, out = map(Path, sys.argv[1:])
segment(open_image(image / "image.tif"), load_bundle(bundle), out, edges=%r, spread=spread)
""" % (EDGES,)  # noqa: UP031


def test_a_killed_segmentation_resumes_to_the_same_bytes(phantom, bundle, saved, whole, tmp_path):
    out, image = tmp_path / "out", open_image(phantom / "image.tif")
    done = subprocess.run([sys.executable, "-c", KILLED, phantom, saved, out], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert not (out / "results.json").exists()
    with pytest.raises(StoreError, match="holds a segmentation that was stopped; --resume continues it"):
        segment(image, bundle, out, edges=EDGES)
    facts = []
    segment(image, bundle, out, edges=EDGES, resume=True, progress=facts.append)
    assert (content(out) == whole).all()
    kept = {each["name"]: each["kept"] for each in facts if each["event"] == "stage"}
    assert kept == {"ramp": 1, "levels": 1, "statistics": 1, "probability": 5, "labels": 0, "pictures": 0}
    with pytest.raises(StoreError, match="holds a complete segmentation"):
        segment(image, bundle, out, resume=True)


def test_another_bundle_makes_the_boxes_again(phantom, bundle, tmp_path):
    from tests.calibration.segmenter.conftest import random_bundle

    image, out = open_image(phantom / "image.tif"), tmp_path / "out"
    segment(image, bundle, out)
    (out / "results.json").unlink()
    facts = []
    segment(image, random_bundle((3, 5)), out, resume=True, progress=facts.append)
    assert {each["name"]: each["kept"] for each in facts if each["event"] == "stage"}["probability"] == 0


def test_the_command_warns_before_it_segments(phantom, saved, tmp_path, run):
    code, said = run("segment", phantom / "image.tif", "--with", saved, "--out", tmp_path / "out", "--workers", 0)
    assert code == 0
    lines = said.err.splitlines()
    (place,) = (number for number, line in enumerate(lines) if line.startswith("warning: the image is unlike those"))
    assert place < next(number for number, line in enumerate(lines) if '"probability"' in line)
    assert said.out.splitlines()[0] == str(tmp_path / "out" / "labels.zarr")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["distance"] > results["distance_limit"]
    assert len(results["warnings"]) == 1


def test_other_voxels_than_in_the_training_are_doubted(phantom, saved, tmp_path, run):
    given = ["--with", saved, "--out", tmp_path / "out", "--voxel-size-nm", 30, "--axes", "zyx", "--workers", 0]
    code, said = run("segment", phantom / "image.tif", *given)
    assert code == 0
    assert "warning: the image has voxels of 30 x 30 x 30 nm, the training had 20 x 10 x 10 nm" in said.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--with", "cba-cathode-2025"], "found model 'cba', expected 'segmenter'"),
        (["--with", "absent"], "found neither a built-in bundle nor a folder"),
        (["--scribbles", "absent"], "absent"),
        (["--voxel-size-nm", "-1"], "voxel_size_nm"),
    ],
)
def test_bad_options_get_one_line(phantom, saved, tmp_path, run, more, message):
    given = {"--with": saved, "--out": tmp_path / "out", "--workers": 0, **dict([more])}
    code, said = run("segment", phantom / "image.tif", *(word for pair in given.items() for word in pair))
    assert code == 2
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_left_alone(phantom, bundle, tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(StoreError, match="holds other files"):
        segment(open_image(phantom / "image.tif"), bundle, tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


class TestScribbles:
    """The scribbles call pores carbon_binder and the rest pore, which no net does before it learned them."""

    @pytest.fixture
    def scribbled(self, phantom):
        truth = tifffile.imread(phantom / "truth.tif")[8]
        drawn = np.zeros(truth.shape, np.int32)
        drawn[20:90, 20:130] = np.where(truth == 0, 2, 1)[20:90, 20:130]
        return {8: drawn}

    def test_the_last_layers_learn_them(self, phantom, bundle, scribbled, tmp_path):
        pytest.importorskip("torch")
        image, truth = open_image(phantom / "image.tif"), tifffile.imread(phantom / "truth.tif")
        results = segment(image, bundle, tmp_path / "out", scribbles=scribbled)
        taught = (truth == 0)[8, 20:90, 20:130]

        def loss(shares):
            part = np.maximum(shares[:, 8, 20:90, 20:130], 1) / 255
            return -np.log(np.where(taught, part[1], part[0])).mean()

        share = taught.mean()  # whoever learns the shares alone cannot get below their entropy
        entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
        assert loss(content(tmp_path / "out")) < entropy < loss(segmented(image, bundle))
        assert results["scribbled_slices"] == [8]
        tuned = load_bundle(tmp_path / "out" / "tuned")
        assert tuned.name == "random-tuned"
        assert (tuned.arrays["down0a.weight"] == bundle.arrays["down0a.weight"]).all()
        assert (segmented(image, tuned) == content(tmp_path / "out")).all()

    def test_labels_of_no_class_are_refused(self, phantom, bundle, scribbled, tmp_path):
        pytest.importorskip("torch")
        from nmcdist.errors import ImageError

        with pytest.raises(ImageError, match=r"found the labels \[1, 9\], expected at least two of 1 \(pore\)"):
            segment(open_image(phantom / "image.tif"), bundle, tmp_path / "out",
                    scribbles={8: np.where(scribbled[8] == 2, 9, scribbled[8])})  # fmt: skip


def test_a_refused_image_leaves_nothing_behind_and_the_corrected_command_needs_no_resume(phantom, saved, tmp_path, run):
    image, out = np.full((4, 32, 32), 7, np.uint8), tmp_path / "out"
    np.save(tmp_path / "image.npy", image)
    given = (tmp_path / "image.npy", "--with", saved, "--out", out, "--voxel-size-nm", 20, "--axes", "zyx")
    code, said = run("segment", *given, "--workers", 0)
    assert (code, out.exists()) == (2, False)
    assert "all voxels have the value 7" in said.err
    values = np.random.default_rng(1).integers(0, 9, image.shape).astype(np.int16) - 300
    np.save(tmp_path / "image.npy", values)
    code, said = run("segment", *given, "--workers", 0)
    assert (code, out.exists()) == (2, False)
    assert "expected it above 0 to take out the ramp of brightness; --no-ramp leaves it in" in said.err
    (tmp_path / "out").mkdir()
    (tmp_path / "image.npy").unlink()
    np.save(tmp_path / "image.npy", values[:, :8, :8])
    assert run("segment", *given, "--no-ramp", "--workers", 0)[0] == 2  # after the levels were found
    assert (out / "begun").read_text() == "segment refused\n"
    np.save(tmp_path / "image.npy", values)
    assert run("segment", *given, "--no-ramp", "--workers", 0)[0] == 0


def test_a_lost_slice_is_named(phantom, saved, tmp_path, run):
    image = tifffile.imread(phantom / "image.tif")
    image[7] = 0
    np.save(tmp_path / "image.npy", image)
    given = (tmp_path / "image.npy", "--out", tmp_path / "out", "--axes", "zyx", "--workers", 0)
    sized = ("--voxel-size-nm", 20, "--voxel-size-nm", 10, "--voxel-size-nm", 10)
    for code, said in (
        run("segment", *given, "--with", saved, *sized),
        run("calibrate", "cba", *given, "--segmenter", saved, "--voxel-size-nm", "20,10,10"),
    ):
        assert (code, (tmp_path / "out").exists()) == (2, False)
        assert "image.npy: plane 7 along z: found one value in the whole plane, expected a scanned slice" in said.err


def test_slices_of_a_single_row_are_refused_for_their_size(saved, tmp_path, run):
    np.save(tmp_path / "image.npy", np.random.default_rng(1).integers(60, 99, (3, 1, 40)).astype(np.uint8))
    given = ("--with", saved, "--out", tmp_path / "out", "--voxel-size-nm", 20, "--axes", "zyx", "--workers", 0)
    code, said = run("segment", tmp_path / "image.npy", *given)
    assert code == 2
    assert "image.npy: found slices of 1 x 40 pixels, expected at least 16" in said.err
    assert "Warning" not in said.err


def test_a_stop_before_the_page_is_resumed(phantom, saved, tmp_path, run):
    given = (phantom / "image.tif", "--with", saved, "--out", tmp_path / "out", "--workers", 0)
    assert run("segment", *given)[0] == 0
    page = tmp_path / "out" / "report" / "report.md"
    before = page.read_bytes()
    page.unlink()
    assert run("segment", *given)[0] == 2
    other = save_bundle(random_bundle((3, 5)), tmp_path / "other")
    np.save(tmp_path / "i.npy", tifffile.imread(phantom / "image.tif")[:, ::-1])
    for image, net, what in ((phantom / "image.tif", other, "bundle"), (tmp_path / "i.npy", saved, "image")):
        more = ("--voxel-size-nm", 20, "--axes", "zyx") if what == "image" else ()
        code, said = run("segment", image, "--with", net, *given[3:], *more, "--resume")
        assert (code, page.exists()) == (2, False)
        assert f"out: holds results of another {what}, and lacks their page only; take a new folder" in said.err
    for choice in (("--no-ramp",), ("--drift", "estimate"), ("--seed", 2), ("--reference", phantom / "truth.tif")):
        code, said = run("segment", *given, *choice, "--resume")
        assert (code, page.exists()) == (2, False)
        assert "out: holds results of another choice, and lacks their page only; take a new folder" in said.err
    code, said = run("segment", *given, "--resume")
    assert (code, page.read_bytes()) == (0, before)
    assert '"stage"' not in said.err
    assert run("segment", *given, "--resume")[0] == 2


def test_a_folder_within_the_input_is_refused(phantom, saved, tmp_path, run):
    folder = tmp_path / "slices"
    folder.mkdir()
    for number, plane in enumerate(tifffile.imread(phantom / "image.tif")):
        tifffile.imwrite(folder / f"{number:02d}.tif", plane)
    before = sorted(folder.rglob("*"))
    given = ("--voxel-size-nm", 20, "--axes", "zyx", "--workers", 0)
    for out in (folder, folder / "out", tmp_path / "x" / ".." / "slices" / "out"):
        code, said = run("segment", folder, "--with", saved, "--out", out, *given)
        assert (code, sorted(folder.rglob("*"))) == (2, before)
        assert "is in the input" in said.err
    code, said = run("calibrate", "cba", folder, "--segmenter", saved, "--out", folder / "out", "--voxel-size-nm",
                     "20,10,10", "--axes", "zyx", "--workers", 0)  # fmt: skip
    assert (code, sorted(folder.rglob("*"))) == (2, before)
    assert "is in the input" in said.err


def test_scribbles_of_an_unknown_class_are_refused_before_the_work(phantom, saved, tmp_path, run):
    labels = np.zeros((20, 150, 170), np.uint8)
    labels[3, :9], labels[4, :9] = 1, 9
    np.save(tmp_path / "labels.npy", labels)
    given = ("--with", saved, "--out", tmp_path / "out", "--scribbles", tmp_path / "labels.npy", "--workers", 0)
    code, said = run("segment", phantom / "image.tif", *given)
    assert (code, (tmp_path / "out").exists()) == (2, False)
    assert said.err.splitlines() == [
        "nmcdist: error: scribbles: found the labels [1, 9], expected at least two of 1 (pore), 2 (carbon_binder), 3 "
        "(graphite)"
    ]
