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
    ],
)
def test_faults_get_one_line(tmp_path, text, line):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: x\n{text}\n")
    with pytest.raises(RecipeError) as caught:
        load_checked(path, SegmenterRecipe)
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
