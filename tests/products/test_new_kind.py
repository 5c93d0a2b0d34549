"""A kind of dataset in one file of its own: every verb of the command line works on it, and it agrees with theory."""

import importlib
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import nmcdist
from nmcdist.datasets.integrity import verify
from nmcdist.datasets.store import read_block
from nmcdist.errors import InputError, StoreError
from nmcdist.products import registry
from nmcdist.products.registry import kind_of_store, parsed_recipe
from tests.conftest import explains_itself, store_sha256

EXAMPLES = Path(__file__).parents[2] / "examples"
RECIPE = {
    "kind": "fibres", "name": "fibres", "version": "1.0.0", "title": "Fibres", "bundle": "fibre-bundle", "seed": 3,
    "volume": {"shape": [24, 20, 28], "voxel_size_nm": 60.0}, "realisations": 4,
}  # fmt: skip


def call(folder, *arguments):
    """Run a command that knows the kind by the environment alone; return what it printed."""
    environment = {**os.environ, "NMCDIST_KINDS": "07_fibres", "PYTHONPATH": str(EXAMPLES), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "nmcdist.cli", *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fibres():
    """The module of the example, imported as a user's would be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        yield importlib.import_module("07_fibres")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fibres):
    folder = tmp_path_factory.mktemp("fibres")
    fibres.make_bundle(folder)
    (folder / "fibres.yaml").write_text(yaml.safe_dump(RECIPE))
    call(folder, "run", "fibres.yaml", "--out", "whole", "--workers", 2)
    return folder


def test_plan_says_what_would_run(folder):
    text = call(folder, "plan", "fibres.yaml", "--measure")
    assert "24 x 20 x 28 voxels of 60 nm, made whole" in text
    assert "fibre_fraction, surface_area, pore_tortuosity_z" in text
    assert "measured here" in text


def test_parts_and_a_resumed_run_give_the_same_bytes(folder):
    for k in (2, 1):
        call(folder, "run", "fibres.yaml", "--out", "parts", "--partition", f"{k}/2", "--workers", 0)
    call(folder, "finalise", "parts/fibres.zarr")
    assert store_sha256(folder / "parts/fibres.zarr") == store_sha256(folder / "whole/fibres.zarr")
    (folder / "parts/fibres.zarr/volume/c/2/0/0/0").unlink()
    assert "1 tasks done, 3 kept" in call(
        folder, "run", "fibres.yaml", "--out", "parts", "--resume", "--workers", 0
    )  # fmt: skip
    assert store_sha256(folder / "parts/fibres.zarr") == store_sha256(folder / "whole/fibres.zarr")


def test_verify_status_and_catalog_know_it(folder):
    assert call(folder, "verify", "whole/fibres.zarr").strip() == "whole/fibres.zarr: whole"
    assert "4 of 4 tasks done" in call(folder, "status", "whole/fibres.zarr")
    assert call(folder, "catalog", "list", "--catalog", "whole/catalog.yaml").split() == ["fibres", "1.0.0", "Fibres"]
    group = json.loads((folder / "whole/fibres.zarr/zarr.json").read_text())
    assert group["attributes"]["kind"] == "fibres"
    assert "fibre-bundle: whole, model round-fibres" in call(folder, "bundle", "verify", "fibre-bundle")


def test_its_store_explains_itself(folder):
    explains_itself(folder / "whole/fibres.zarr")


def test_report_shows_numbers_and_slices(folder):
    page = folder / call(folder, "report", "whole/fibres.zarr", "--out", "report").strip()
    text = page.read_text(encoding="utf-8")
    assert "`fibre_fraction`" in text
    assert {path.name for path in page.parent.glob("*.png")} == {"distributions.png", "slices.png"}


def test_export_writes_voxels_and_surfaces(folder):
    target = folder / call(folder, "export", "whole/fibres.zarr", "--item", 2, "--format", "npy").strip()
    np.testing.assert_array_equal(np.load(target), read_block(folder / "whole/fibres.zarr", 2))
    assert (folder / call(folder, "export", "whole/fibres.zarr", "--item", 2, "--format", "stl").strip()).stat().st_size


def test_describe_measures_the_stored_volumes_again(folder, fibres):
    call(folder, "run", "fibres.yaml", "--out", "again", "--workers", 0)
    before = store_sha256(folder / "again/fibres.zarr")
    call(folder, "describe", "again/fibres.zarr", "--workers", 0)
    assert store_sha256(folder / "again/fibres.zarr") == before
    assert verify(folder / "again/fibres.zarr") == []
    values = nmcdist.open_store(folder / "again/fibres.zarr")["fibre_fraction"].values
    brute = [np.mean(read_block(folder / "again/fibres.zarr", item) == 1) for item in range(4)]
    np.testing.assert_allclose(values, brute, rtol=1e-15)


def test_fraction_agrees_with_theory(tmp_path, fibres):
    """40 volumes, whose mean is within four standard errors."""
    bundle = nmcdist.load_bundle(fibres.make_bundle(tmp_path))
    recipe = parsed_recipe({**RECIPE, "realisations": 40}, "recipe")
    window = tuple((0, n) for n in recipe.volume.shape)
    kind = registry.kinds()["fibres"]
    found = np.array([np.mean(kind.draw(bundle, recipe, item, window) == 1) for item in range(40)])
    theory = fibres.fraction_by_theory(bundle.parameters)
    assert abs(found.mean() - theory) < 4 * found.std(ddof=1) / math.sqrt(40)


def test_kind_that_is_not_known_is_refused_by_name(folder, fibres, monkeypatch):
    alike = {"fibres", "fibre-stack"}  # a name that is like another is proposed instead
    known = {name: kind for name, kind in registry.kinds().items() if name not in alike}
    monkeypatch.setattr(registry, "_known", known)
    with pytest.raises(StoreError, match=r"is of kind 'fibres', expected one of .*name its module in \$NMCDIST_KINDS"):
        kind_of_store(folder / "whole/fibres.zarr")
    with pytest.raises(nmcdist.errors.RecipeError, match="kind: found 'fibres', expected one of"):
        parsed_recipe(RECIPE, "fibres.yaml")


def test_name_of_another_kind_is_refused(fibres):
    class Fibres2(fibres.Fibres):
        pass

    with pytest.raises(InputError, match="kind 'fibres': is already registered, by 07_fibres"):
        registry.register(Fibres2())


def test_module_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("NMCDIST_KINDS", "no_such_module")
    with pytest.raises(InputError, match="NMCDIST_KINDS: module 'no_such_module' cannot be imported"):
        registry.kinds()


class TestDrawn:
    """What a kind draws is stored only if it is the labels of the window."""

    @pytest.fixture
    def make(self, tmp_path, fibres, monkeypatch):
        bundle = fibres.make_bundle(tmp_path)

        def run(change):
            draw = fibres.Fibres.draw
            monkeypatch.setattr(fibres.Fibres, "draw", lambda *arguments: change(draw(*arguments)))
            recipe = {**RECIPE, "bundle": str(bundle), "realisations": 1}
            return nmcdist.run(recipe, tmp_path / "out", workers=0, retries=0)

        return run

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            (lambda labels: labels[:1], r"uint8 of shape \(1, 20, 28\)"),
            (lambda labels: np.pad(labels, 1), r"uint8 of shape \(26, 22, 30\)"),
            (lambda labels: labels.astype(np.int64), r"int64 of shape \(24, 20, 28\)"),
            (lambda labels: labels * 0.7, r"float64 of shape \(24, 20, 28\)"),
            (lambda labels: labels + np.uint8(255), "labels up to 255"),
            (lambda labels: labels + np.uint8(1), "labels up to 2"),
            (lambda labels: None, "NoneType"),
        ],
    )
    def test_anything_else_fails_its_item(self, make, tmp_path, change, found):
        result = make(change)
        assert re.search(
            rf"kind 'fibres': draw: found {found}, expected uint8 of shape \(24, 20, 28\), labels 0 to 1",
            result.failed[0],
        )
        assert not (tmp_path / "out/fibres.zarr").exists()


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ({"name": "../x"}, r"kind: name: found '\.\./x', expected small letters"),
        ({"name": 7}, "kind: name: found 7, expected small letters"),
        ({"name": "other"}, "kind 'other': recipe: its field kind has the default 'fibres', expected 'other'"),
        ({"recipe": dict}, "kind 'fibres': recipe: found .*, expected a subclass of BaseRecipe"),
        ({"phases": "pore"}, "kind 'fibres': phases: found 'pore', expected a tuple of the names"),
        ({"phases": ("pore",)}, "kind 'fibres': phases: found"),
    ],
)
def test_kind_that_cannot_work_is_refused_when_it_is_registered(fibres, attributes, complaint):
    with pytest.raises(InputError, match=f"^{complaint}"):
        registry.register(type("Fibres", (fibres.Fibres,), attributes)())
    assert type(registry.kinds()["fibres"]) is fibres.Fibres


def test_what_is_no_kind_is_refused():
    with pytest.raises(InputError, match=r"^kind: found 5, expected an object of a subclass of Kind"):
        registry.register(5)


def test_module_that_ends_the_process_is_named(tmp_path, monkeypatch):
    (tmp_path / "ends_it.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NMCDIST_KINDS", "ends_it")
    with pytest.raises(InputError, match="NMCDIST_KINDS: module 'ends_it' cannot be imported"):
        registry.kinds()
