"""Virtual releases: a recipe published without its dataset."""

import shutil
from pathlib import Path

import pytest
import yaml

import nmcdist
from nmcdist.datasets.store import read_block
from nmcdist.errors import InputError, RecipeError, ReleaseError
from nmcdist.products.registry import load_recipe
from nmcdist.releases import materialise, open_release, pack, publish, verify_release
from tests.conftest import TINY, make, recipe_with
from tests.releases.conftest import METADATA, writable
from tests.releases.test_publish import run_cli

RECIPE = {**TINY, "descriptors": "none", "storage": {"chunk": 16, "shard": "none"}}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("virtual")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NMCDIST_CACHE", str(folder / "cache"))
        (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
        yield publish(folder / "recipe.yaml", "tiny", "1.0.0", METADATA, virtual=True)


@pytest.fixture
def root(published, tmp_path):
    return Path(shutil.copytree(published.parents[1], tmp_path / "releases"))


def test_it_holds_no_volume_and_says_what_it_is(published):
    release = open_release(published)
    assert release.virtual and release.sizes.items == 4 and release.sizes.bytes < 100_000
    assert not (published / "tiny.zarr/volume/c").exists()
    assert release.provenance.bundle.path == "tiny.zarr/bundle"
    assert load_recipe(published / "recipe.yaml").content_hash == release.provenance.recipe_hash
    assert "open_virtual" in (published / "README.md").read_text()
    assert verify_release(published) == []


def test_its_volumes_are_those_of_a_run_of_the_recipe(root, tmp_path):
    made = make(tmp_path / "made", recipe=recipe_with(**RECIPE)).store
    data = nmcdist.open_catalog(root)["tiny"].to_dask()
    for item in range(4):
        assert (data.volume[item].values == read_block(made, item)).all()


def test_intake_opens_it_with_our_reader_and_format_1_leaves_it_out(root):
    import intake

    data = intake.open_catalog(str(root / "catalog.yaml"))["tiny-1.0.0"].to_dask()
    assert int(data.volume[0, 0, 0, 0]) in {0, 1, 2}
    assert yaml.safe_load((root / "catalog-v1.yaml").read_text())["sources"] == {}
    assert not (root / "tiny/1.0.0/intake-v1.yaml").exists()


@pytest.mark.parametrize("name", ["tiny.zarr/virtual.json", "tiny.zarr/volume/zarr.json", "release.json"])
def test_verify_names_an_edited_file(root, name):
    path = writable(root / "tiny/1.0.0" / name)
    path.write_text(path.read_text() + " ")
    assert name in [fault.file for fault in verify_release(root / "tiny/1.0.0")]


def test_what_needs_its_files_is_refused(root, tmp_path):
    with pytest.raises(ReleaseError, match="is virtual, so it has no files to pack"):
        pack(root / "tiny/1.0.0")
    with pytest.raises(ReleaseError, match="is virtual: its chunks are made when they are read"):
        materialise("tiny", root, tmp_path / "again")


def test_a_recipe_that_no_virtual_store_can_hold_leaves_nothing(tmp_path, monkeypatch, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(TINY))
    with pytest.raises((RecipeError, InputError)):
        publish(path, "tiny", "1.0.0", METADATA, virtual=True)
    assert not any((tmp_path / "releases").rglob("*.zarr"))
    words = ("publish", path, "--name", "tiny", "--version", "1.0.0", "--virtual", "--zip")
    assert run_cli(monkeypatch, capsys, *words)[0] == 2
