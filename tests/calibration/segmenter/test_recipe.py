"""Recipes of segmenters: faults get one line each, before anything is drawn."""

from pathlib import Path

import pytest

from nmcdist.calibration.segmenter.recipe import SegmenterRecipe
from nmcdist.errors import RecipeError
from nmcdist.faults import load_checked

CATALOG = Path(__file__).parents[3] / "catalogs" / "segmenters"


@pytest.mark.parametrize("path", sorted(CATALOG.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_of_the_catalog(path):
    assert load_checked(path, SegmenterRecipe).name == path.stem


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("windws: 3", "windws"),
        ("widths: [8]", "widths"),
        ("planes: 4", "planes: found 4, expected an odd number, of 8 slices at most"),
        ("slices: 3\nplanes: 5", "planes: found 5, expected an odd number, of 3 slices at most"),
        ("vary: {eta: [1, 2]}", "vary: found 'eta', expected some of lambda_X_per_nm3"),
        ("vary: {eta_per_nm: [2, 1]}", "eta_per_nm: found [2, 1], expected the lower end first"),
        ("vary: {eta_per_nm: [0, 1]}", "vary: found eta_per_nm from 0, expected factors above 0"),
        ("imaging: {factors: {noise: 1.5}}", "imaging.factors: found 'noise', expected some of contrast, dose"),
        ("imaging: {factors: {dose: 0.5}}", "dose"),
        ("imaging: {ranges: {drift_px: [0, 9]}}", "found drift_px up to 9, expected 4 at most"),
        ("imaging: {quality: [0, 3]}", "imaging.quality: found [0, 3], expected ends from -0.5 to 1.5"),
        ("instrument: nano-ct\nvary: {eta_per_nm: [1, 2]}", "vary: found 'eta_per_nm', expected nothing for nano-ct"),
        ("windows: 50000", "GiB of voxels in all windows, expected at most 4"),
        ("training: {steps: 0}", "steps"),
        ("model: transformer", "model"),
        ("training: {patch: 512}", "training.patch: found 512, expected at most the edge of a window, 288"),
        ("widths: [1, 1, 1, 1, 1, 1]\nedge: 64\nwindows: 3000\ntraining: {patch: 64}", "GiB of voxels in all windows"),
        (r'title: "a\u202Eb"', "expected a line of printable text"),
        (r'licence: "a\nb"', "expected a line of printable text"),
        ("bundles: ['']", "bundles[0]: found '', expected at least 1 character"),
    ],
)
def test_faults_get_one_line(tmp_path, text, line):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: x\n{text}\n")
    with pytest.raises(RecipeError) as caught:
        load_checked(path, SegmenterRecipe)
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "widths: [512, 512, 512, 512, 512, 512]\nwindows: 2\nedge: 512\ntraining: {batch: 4096, patch: 512}",
            "training.batch: a step of the training needs",
        ),
        ("model: lenet\ntraining: {batch: 4096}", "training.batch: a step of the training needs"),
        ("vary: {eta_per_nm: [1000000.0, 1000000.0]}", "vary, pixel_nm: a window of cba-cathode-2025 needs"),
        ("vary: {lambda_X_per_nm3: [1000000.0, 1000000.0]}", "vary, pixel_nm: a window of cba-cathode-2025 needs"),
        ("pixel_nm: 10000\nedge: 1024\nwindows: 40", "vary, pixel_nm: a window of cba-cathode-2025 needs"),
    ],
)
def test_trainings_that_do_not_fit_into_memory_are_refused_at_once(tmp_path, monkeypatch, text, line):
    pytest.importorskip("torch")
    from nmcdist.calibration.segmenter import memory
    from nmcdist.calibration.segmenter.training import train_segmenter

    monkeypatch.setattr(memory, "machine_memory", lambda: 16 << 30)
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: x\n{text}\n")
    with pytest.raises(RecipeError, match=line):
        train_segmenter(load_checked(path, SegmenterRecipe), tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", sorted(CATALOG.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_of_the_catalog_fit_into_two_gibibytes(path, monkeypatch):
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.segmenter import memory

    monkeypatch.setattr(memory, "machine_memory", lambda: 2 << 30)
    recipe = load_checked(path, SegmenterRecipe)
    memory.check_memory(recipe, [load_bundle(name) for name in recipe.bases])
