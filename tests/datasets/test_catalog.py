"""Catalogs: intake opens them, they can be moved, and one entry never harms another."""

import copy
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import dask.array
import intake
import pytest
import xarray as xr
import yaml
from click.testing import CliRunner

import nmcdist
from nmcdist.cli import cli
from nmcdist.datasets.catalog import add_entry, check_catalog, list_entries, open_catalog, show_entry
from nmcdist.datasets.integrity import manifest_hash
from nmcdist.errors import CatalogError, StoreError
from tests.conftest import make, recipe_with

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "catalogs" / "recipes"


def test_intake_opens_the_entry_as_a_lazy_dataset(out):
    catalog = intake.open_catalog(str(out / "catalog.yaml"))
    assert list(catalog) == ["tiny"]
    with catalog["tiny"].to_dask() as data:
        assert isinstance(data, xr.Dataset)
        assert isinstance(data["volume"].data, dask.array.Array)
        assert data["volume"].chunks[1:] == ((24,), (20,), (28,))
        assert int(data["volume"][0].max()) <= 2


def test_the_folder_can_be_moved(out, tmp_path):
    moved = shutil.move(out, tmp_path / "elsewhere")
    with intake.open_catalog(f"{moved}/catalog.yaml")["tiny"].to_dask() as data:
        assert int(data["volume"][2, 0, 0, 0]) in (0, 1, 2)


def test_the_entry_says_what_the_dataset_is(out, store):
    entry = show_entry(out / "catalog.yaml", "tiny")
    assert (entry["title"], entry["version"], entry["bundle"]) == ("Tiny sweep", "1.0.0", "cba-cathode-2025")
    assert entry["manifest_sha256"] == manifest_hash(store)
    assert entry["store"] == str(store)


def test_another_store_in_the_place_of_the_entered_one_is_refused(out, store):
    with open_catalog(out)["tiny"].to_dask() as data:
        assert data.sizes["sample"] == 4
    (store / "manifest.json").write_bytes((store / "manifest.json").read_bytes() + b" ")
    with pytest.raises(StoreError, match=r"tiny.zarr: manifest.json has the SHA-256 \w{64}, expected \w{64}, as"):
        open_catalog(out)["tiny"].to_dask()
    shutil.rmtree(store)
    with pytest.raises(StoreError, match=r"tiny.zarr: no such store"):
        open_catalog(out)["tiny"].to_dask()


def test_the_default_catalog_is_that_of_the_environment_then_of_the_folder(out, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NMCDIST_CATALOG", raising=False)
    assert "graphite-sweep-small" in open_catalog()  # of the recipes
    monkeypatch.setenv("NMCDIST_CATALOG", str(tmp_path / "catalog.yaml"))
    with pytest.raises(CatalogError, match=r"catalog.yaml: no such catalog"):
        open_catalog()
    monkeypatch.setenv("NMCDIST_CATALOG", str(out / "catalog.yaml"))
    assert list(nmcdist.open_catalog()) == ["tiny"]
    monkeypatch.delenv("NMCDIST_CATALOG")
    monkeypatch.chdir(out)
    assert list(nmcdist.open_catalog()) == ["tiny"]


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A folder without a catalog."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NMCDIST_CATALOG", raising=False)


def test_without_a_catalog_the_recipes_of_the_repository_are_listed(nowhere):
    catalog = nmcdist.open_catalog()
    recipes = {yaml.safe_load(path.read_text())["name"]: path for path in RECIPES.glob("*.yaml")}
    assert len(recipes) >= 5
    assert set(catalog) == set(recipes)
    for name, entry in catalog.items():
        content = yaml.safe_load(recipes[name].read_text())
        assert {key: entry.metadata[key] for key in ("title", "version", "bundle")} == {
            key: content[key] for key in ("title", "version", "bundle")
        }
        assert nmcdist.plan(entry.recipe).recipe.name == name
        with pytest.raises(CatalogError, match=rf"^{name}: not made; make it with `nmcdist run \S+\.yaml`$"):
            entry.to_dask()
    with pytest.raises(CatalogError, match="no dataset 'gone', expected one of"):
        catalog["gone"]


def test_the_command_lists_what_is_not_made(nowhere):
    listed = CliRunner().invoke(cli, ["catalog", "list"])
    assert listed.exit_code == 0
    lines = listed.output.splitlines()
    assert len(lines) == len(list(RECIPES.glob("*.yaml")))
    assert all(re.search(r"\(not made: nmcdist run \S+\.yaml\)$", line) for line in lines)
    shown = CliRunner().invoke(cli, ["catalog", "show", "nmc811-particles-small"])
    assert "store: not made\n" in shown.output


def test_the_recipes_are_in_the_wheel(tmp_path):
    """A wheel holds files, not links."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path]
    source = shutil.copytree(ROOT, tmp_path / "source", symlinks=True, ignore=shutil.ignore_patterns(
        ".*", "demo", "site", "build", "tests", "*.egg-info", "__pycache__",
    ))  # fmt: skip
    subprocess.run([*build, source], check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        for path in RECIPES.glob("*.yaml"):
            assert wheel.read(f"nmcdist/datasets/recipes/{path.name}") == path.read_bytes()


def test_adding_an_entry_keeps_the_others(out, store, tmp_path):
    path = out / "catalog.yaml"
    content = yaml.safe_load(path.read_text())
    content["aliases"]["other"] = "other"
    content["entries"]["other"] = copy.deepcopy(content["entries"]["tiny"])
    path.write_text(yaml.safe_dump(content))
    add_entry(path, store)
    assert set(list_entries(path)) == {"tiny", "other"}


def test_a_store_elsewhere_is_entered_by_its_absolute_path(store, tmp_path):
    add_entry(tmp_path / "far" / "catalog.yaml", store)
    with open_catalog(tmp_path / "far")["tiny"].to_dask() as data:
        assert data.sizes["sample"] == 4


def test_an_unfinished_store_is_not_entered(out, store):
    before = (out / "catalog.yaml").read_text()
    (store / "manifest.json").unlink()
    with pytest.raises(StoreError, match="never finished"):
        add_entry(out / "catalog.yaml", store)
    assert (out / "catalog.yaml").read_text() == before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("{", "not valid YAML"), ("[]", "expected a mapping"), ("version: 1", "not an intake catalog"),
     ("{version: 2, aliases: {}, data: {}}", "entries: missing$"),
     ("{sources: {}, metadata: {version: 1}}", r"yaml: not an intake catalog of version 2 \(it gives no version\)$"),
     ("{version: 2, aliases: {a: b}, data: {}, entries: {}}", r"aliases: found \['b'\]"),
     ("{version: 2, aliases: {}, data: {}, entries: {}, metadata: {a: !!python/object:os.system {}}}", "no tags")],
)  # fmt: skip
def test_a_damaged_catalog_is_refused_and_left_alone(store, tmp_path, text, complaint):
    path = tmp_path / "catalog.yaml"
    path.write_text(text)
    with pytest.raises(CatalogError, match=complaint):
        add_entry(path, store)
    assert path.read_text() == text


def changed(out, place, value):
    """Write into a good catalog, at a place such as "entries.tiny.reader"."""
    path = out / "catalog.yaml"
    content = yaml.safe_load(path.read_text())
    *before, last = place.split(".")
    where = content
    for name in before:
        where = where[name]
    where[last] = value
    path.write_text(yaml.safe_dump(content))
    return path


def planted(out, target):
    """Plant a pipeline that makes a folder when the dataset is opened."""
    step = ["{func(os:mkdir)}", [str(target)], {}]
    changed(out, "entries.tiny.reader", "intake.readers.convert:Pipeline")
    changed(out, "entries.tiny.output_instance", "builtins:object")
    return changed(out, "entries.tiny.kwargs", {"out_instances": ["builtins:object"], "steps": [step]})


def test_a_pipeline_that_intake_runs_is_refused(out, tmp_path):
    path, target = planted(out, tmp_path / "made"), tmp_path / "made"
    intake.open_catalog(str(path))["tiny"].read()
    assert target.exists()  # the plant is alive: this is what a stranger's catalog can do
    target.rmdir()
    for ask in (open_catalog, list_entries, lambda path: show_entry(path, "tiny"), lambda path: check_catalog(out)):
        with pytest.raises(CatalogError) as caught:
            ask(path)
        assert str(caught.value) == (
            f"{path}: entries.tiny.reader: found 'intake.readers.convert:Pipeline', expected "
            "'nmcdist.datasets.reader:StoreReader'; no other class is imported"
        )
    assert not target.exists()


def test_a_module_that_a_catalog_names_is_not_imported(out, tmp_path, monkeypatch):
    (tmp_path / "planted_module.py").write_text(f"open({str(tmp_path / 'made')!r}, 'w')\nclass Reader: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CatalogError, match=r"entries.tiny.reader: found 'planted_module:Reader'"):
        open_catalog(changed(out, "entries.tiny.reader", "planted_module:Reader"))
    assert not (tmp_path / "made").exists()


PARAMETER = {"x": {"cls": "intake.readers.user_parameters:SimpleUserParameter", "dtype": "str", "default": "a"}}


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [("data.tiny_store.datatype", "subprocess:Popen", "data.tiny_store.datatype: found 'subprocess:Popen'"),
     ("data.tiny_store.kwargs.url", "http://x.org/a.zarr", "url: found .* is a URL, expected a path"),
     ("data.tiny_store.kwargs.url", "file:///a.zarr", "is a URL"),
     ("data.tiny_store.kwargs.url", "simplecache::s3://a/b", "is a URL"),
     ("data.tiny_store.kwargs.url", "/a/{env(HOME)}", "without braces"),
     ("data.tiny_store.kwargs.url", "{CATALOG_DIR}/{x}", "without braces"),
     ("data.tiny_store.kwargs.url", "{shell(touch x)}", "expected an absolute path"),
     ("data.tiny_store.kwargs.storage_options", {"a": 1}, "storage_options: unknown field"),
     ("data.tiny_store.user_parameters", PARAMETER, "user_parameters: found .* none"),
     ("entries.tiny.kwargs.data", "{func(os:getcwd)}", "entries.tiny.kwargs.data"),
     ("entries.tiny.kwargs.data", "{data(other)}", "entries.tiny.kwargs.data: found 'other'"),
     ("entries.tiny.kwargs.chunks", "{pickle64(gASVAA==)}", "entries.tiny.kwargs.chunks"),
     ("entries.tiny.kwargs.engine", "netcdf4", "entries.tiny.kwargs.engine: unknown field"),
     ("entries.tiny.kwargs.preprocess", "{func(os:system)}", "entries.tiny.kwargs.preprocess: unknown field"),
     ("entries.tiny.output_instance", "os:system", "entries.tiny.output_instance: found 'os:system'"),
     ("entries.tiny.user_parameters", PARAMETER, "entries.tiny.user_parameters: found .* none"),
     ("entries.tiny.metadata", {"imports": ["antigravity"]}, "entries.tiny.metadata.imports"),
     ("user_parameters", PARAMETER, "user_parameters: found .* none"),
     ("entries.other", {"reader": "intake.readers.readers:PandasCSV", "kwargs": {}}, "entries.other.reader: found")],
)  # fmt: skip
def test_what_is_not_ours_is_refused_by_name_in_one_line(out, place, value, complaint):
    with pytest.raises(CatalogError, match=complaint) as caught:
        open_catalog(changed(out, place, value))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400


def test_a_run_beside_such_a_catalog_is_refused_before_it_starts(out, tmp_path):
    planted(out, tmp_path / "made")
    with pytest.raises(CatalogError, match=r"entries.tiny.reader"):
        make(out, recipe=recipe_with(name="second"))
    assert not (out / "second.zarr.wip").exists()


def test_a_store_whose_path_the_file_cannot_hold_is_not_entered(store, tmp_path):
    far = tmp_path / "a{b}"
    shutil.copytree(store, far / "tiny.zarr")
    with pytest.raises(CatalogError, match="without braces"):
        add_entry(tmp_path / "catalog.yaml", far / "tiny.zarr")
    assert not (tmp_path / "catalog.yaml").exists()


def test_samples_can_be_grouped_by_their_coordinates(out):
    for catalog in (open_catalog(out), intake.open_catalog(str(out / "catalog.yaml"))):
        with catalog["tiny"].to_dask() as data:
            means = data["volume_fraction"].groupby("graphite_fraction").mean()
            assert means.sizes["graphite_fraction"] == 2
            assert isinstance(data["volume_fraction"].data, dask.array.Array)


def test_opening_a_catalog_does_not_load_intake(out):
    code = f"import sys, nmcdist; nmcdist.open_catalog({str(out)!r})['tiny'].to_dask(); print('intake' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("title", ["1e5", "12:30", "010", "- a: b", "yes", "{x}", "null", "a # b", "2025-01-01"])
def test_a_title_that_looks_like_something_else_stays_text(store, tmp_path, title):
    read = {"title": title, "version": "1e5"}
    path = store / "zarr.json"
    content = json.loads(path.read_text())
    content["attributes"].update(read)
    path.write_text(json.dumps(content))
    add_entry(tmp_path / "catalog.yaml", store)
    assert read.items() <= list_entries(tmp_path / "catalog.yaml")["tiny"].items()
    assert yaml.safe_load((tmp_path / "catalog.yaml").read_text())["entries"]["tiny"]["metadata"]["title"] == title


def test_an_unknown_dataset_is_named_with_those_there_are(out):
    with pytest.raises(CatalogError, match=r"no dataset 'huge', expected one of tiny$"):
        show_entry(out / "catalog.yaml", "huge")


def test_a_catalog_that_is_a_link_is_refused_before_a_run(out, tmp_path):
    (tmp_path / "catalog.yaml").symlink_to(out / "catalog.yaml")
    with pytest.raises(CatalogError, match=r"catalog\.yaml: is a link, expected an ordinary file"):
        make(tmp_path)
    assert not (tmp_path / "tiny.run").exists()
