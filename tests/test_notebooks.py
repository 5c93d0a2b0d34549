"""The notebooks run from their first cell to their last, and hold the outputs that they then have."""

import base64
import importlib.util
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parents[1] / "examples" / "notebooks"
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
MOST_BYTES = 300_000
NUMBER = r"([\d.]+)"


def execute():
    spec = importlib.util.spec_from_file_location("execute", HERE / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """The kinds of the outputs of a cell; text that comes in several pieces counts once."""
    found = [tuple(sorted(output.get("data", {}))) or output.output_type for output in cell.outputs]
    return [kind for k, kind in enumerate(found) if kind != "stream" or "stream" not in found[:k]]


def text_of(notebook):
    return "".join(o.text for cell in code_cells(notebook) for o in cell.outputs if o.output_type == "stream")


def same_bytes(text):
    assert "same bytes: True" in text
    assert "shell_volume_nm3/c/2: is missing" in text
    (items,) = re.findall(r"items with more than 6 µm: \[([\d ]+)\]", text)
    assert items.split()


def same_fractions(text):
    pairs = re.findall(rf"{NUMBER} in the image, {NUMBER} in the dataset", text)
    assert len(pairs) == 3
    assert all(measured == stored for measured, stored in pairs)
    assert sum(float(measured) for measured, _ in pairs) == pytest.approx(1.0, abs=2e-4)


def less_than_a_ball(text):
    turned, same, ball = (float(mean) for mean in re.findall(rf"(?:grains|directions|volume) +mean {NUMBER}", text))
    assert turned < same < ball  # of all bodies of one volume, the ball holds the most
    volumes = [float(volume) for volume in re.findall(rf"{NUMBER} µm³", text)]
    assert np.ptp(volumes) < 0.02 * volumes[-1]


SAID = {
    "compare-structures.ipynb": same_fractions,
    "make-and-publish.ipynb": same_bytes,
    "simulate-a-particle.ipynb": less_than_a_ball,
}


def test_there_is_one_for_each_kind_of_user():
    assert [path.name for path in NOTEBOOKS] == sorted(SAID)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_holds_its_outputs(path, tmp_path):
    stored, fresh = nbformat.read(path, as_version=4), execute().executed(path, tmp_path)
    assert [cell.source for cell in fresh.cells] == [cell.source for cell in stored.cells]
    for cell, again in zip(code_cells(stored), code_cells(fresh), strict=True):
        assert kinds(cell) == kinds(again), cell.source
        assert cell.execution_count == again.execution_count
    SAID[path.name](text_of(fresh))
    SAID[path.name](text_of(stored))
    assert str(tmp_path) not in nbformat.writes(fresh)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_small_and_says_nothing_of_the_machine(path):
    content, notebook = path.read_text(), nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < MOST_BYTES
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not {output.output_type for output in outputs} & {"error"}
    assert "stderr" not in {output.get("name") for output in outputs}
    assert not re.search(r"/(home|root|tmp|usr|work)/|[0-9]{4}-[0-9]{2}-[0-9]{2}T|127\.0\.0\.1:", content)
    assert all(cell.metadata == {} for cell in notebook.cells)
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 2
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            pixels = np.asarray(image.convert("RGB"))
        white = (pixels > 250).all(axis=-1).mean()
        assert 0.05 < white < 0.95
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10
