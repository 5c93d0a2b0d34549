"""A tiny training: reproducible, better than a guess on a window that it never saw, by the command and its bundle."""

import json

import numpy as np
import pytest
import yaml

from nmcdist.bundle import load_bundle
from nmcdist.calibration.segmenter.bundles import load_segmenter
from nmcdist.calibration.segmenter.draws import drawn_window
from nmcdist.calibration.segmenter.recipe import SegmenterRecipe
from nmcdist.calibration.segmenter.tiles import box_probabilities, labels_of
from nmcdist.faults import load_checked

pytest.importorskip("torch")
TINY = {"windows": 12, "slices": 4, "edge": 64, "imaging": {"quality": [0.0, 0.0]}}


def trained(tmp_path, run, **changes):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**TINY, **changes}))
    code, said = run("train", "segmenter", tmp_path / "recipe.yaml", "--out", tmp_path / "out")
    assert code == 0, said.err
    return tmp_path / "out"


def right(out, base):
    """Return the share of right pixels of a fresh window, and that of the commonest class."""
    recipe = load_checked(out.parent / "recipe.yaml", SegmenterRecipe)
    window = drawn_window(recipe, [load_bundle(base)], 1000)
    box = tuple(slice(0, n) for n in window.labels.shape)
    found = labels_of(box_probabilities(load_segmenter(out / "bundle").net, window.grey, box))
    return ((found > 0) == (window.labels > 0)).mean(), max((window.labels > 0).mean(), (window.labels == 0).mean())


def test_a_unet_learns_pores_and_comes_back_the_same(tmp_path, run):
    recipe = {"name": "tiny", "widths": [6, 8], "training": {"steps": 150, "batch": 4, "patch": 32,
                                                              "learning_rate": 0.01}}  # fmt: skip
    out = trained(tmp_path, run, **recipe)
    score, guess = right(out, "cba-cathode-2025")
    assert score > (1 + guess) / 2
    results = json.loads((out / "results.json").read_text())
    assert results["losses"][-1] < results["losses"][0]
    assert results["weights"] == sum(each.size for each in load_segmenter(out / "bundle").net.weights.values())
    (tmp_path / "again").mkdir()
    again = trained(tmp_path / "again", run, **recipe)
    assert load_bundle(again / "bundle").content_hash == load_bundle(out / "bundle").content_hash


def test_a_lenet_learns_pores(tmp_path, run):
    out = trained(tmp_path, run, name="lenet", model="lenet", training={"steps": 80, "batch": 1})
    score, guess = right(out, "cba-cathode-2025")
    assert score > (1 + guess) / 2
    assert load_bundle(out / "bundle").texts["model"] == ("lenet",)


def test_particles(tmp_path, run):
    out = trained(tmp_path, run, name="ct", instrument="nano-ct", widths=[6, 8],
                  training={"steps": 120, "batch": 4, "patch": 32, "learning_rate": 0.01})  # fmt: skip
    score, guess = right(out, "nmc811-radial")
    assert score > (1 + guess) / 2
    assert np.isfinite(load_segmenter(out / "bundle").reference.limit)


def test_windows_that_cannot_be_drawn_are_refused_by_number(tmp_path, run):
    """64 pixels of 10 um along an edge would show more particles than are packed."""
    recipe = {"name": "wide", **TINY, "instrument": "nano-ct", "pixel_nm": 10_000, "training": {"patch": 32}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    code, said = run("train", "segmenter", tmp_path / "recipe.yaml", "--out", tmp_path / "out")
    assert code == 2
    assert said.err == (
        "nmcdist: error: window 0 of the recipe cannot be drawn: shape: found a window for over 20000 particles, "
        "expected a smaller one\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_new_is_refused(tmp_path, run):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    (tmp_path / "recipe.yaml").write_text("name: x\n")
    code, said = run("train", "segmenter", tmp_path / "recipe.yaml", "--out", tmp_path / "out")
    assert code == 2
    assert len(said.err.strip().splitlines()) == 1
    (tmp_path / "recipe.yaml").write_text("{name: x, bundles: [nmc811-radial]}\n")
    code, said = run("train", "segmenter", tmp_path / "recipe.yaml", "--out", tmp_path / "new")
    assert (code, said.err) == (2, "nmcdist: error: bundle 'nmc811-radial': found model 'particle-radial', expected "
                                "'cba'\n")  # fmt: skip
    assert not (tmp_path / "new").exists()
