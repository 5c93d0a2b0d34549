"""A dataset made again from its recipe is the same file for file, or the files that differ are named."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from nmcdist.datasets.catalog import add_entry
from nmcdist.datasets.files import FileRecord
from nmcdist.errors import CatalogError, ReleaseError
from nmcdist.releases import materialise, publish
from nmcdist.releases.remaking import differing, other_versions, source_of
from tests.conftest import HERE, flip_a_byte, make_particles, particle_recipe_with
from tests.releases.conftest import METADATA, writable
from tests.releases.test_publish import run_cli

CATALOGS = Path(__file__).parents[2] / "catalogs"
RECORDED = yaml.safe_load((CATALOGS / "datasets.yaml").read_text())


def test_the_smallest_dataset_of_the_catalog_is_made_as_it_is_recorded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli(
        monkeypatch, capsys, "catalog", "materialise", "graphite-sweep-tiny", "--workers", 0, "--out", tmp_path / "made"
    )
    assert code == 0, out + err
    assert RECORDED["datasets"]["graphite-sweep-tiny"]["manifest_sha256"] in out


def test_the_recorded_hashes_are_those_of_the_installed_packages():
    """Else the bytes may differ for a reason that no test could tell from an error."""
    assert RECORDED["made_with"] == {name: version(name) for name in ("nmcdist", "zarr", "numcodecs")}
    names = {yaml.safe_load(path.read_text())["name"] for path in (CATALOGS / "recipes").glob("*.yaml")}
    assert set(RECORDED["datasets"]) <= names


@pytest.mark.parametrize("name", ["tiny", "tiny-1.0.0"])
def test_a_release_is_made_again_from_what_it_holds(root, tmp_path, name):
    made = materialise(name, root, tmp_path / "again", deployment=HERE)
    assert made.is_same and made.differences == []
    assert "the same as the first" in made.lines()[0]


def test_a_bundle_with_arrays_of_ones_own_is_in_the_release(net_bundle, tmp_path):
    recipe = particle_recipe_with(bundle="net", particles={"count": 1, "batch": 1}, descriptors=None)
    out = tmp_path / "out"
    store = make_particles(out, net_bundle, recipe=recipe).store
    publish(store, "net", "1.0.0", METADATA)
    shutil.rmtree(out / "small.run")
    assert (out / "releases/net/1.0.0/bundle/arrays.safetensors").exists()
    assert materialise("net", out / "releases", tmp_path / "again", deployment=HERE).is_same


def test_another_dataset_of_a_catalog_is_made_again_too(out, tmp_path):
    assert materialise("tiny", out, tmp_path / "again", deployment=HERE).is_same


def test_what_differs_is_named_with_the_versions_that_differ(root, tmp_path, monkeypatch, capsys):
    """A release whose manifest claims another file, as one that was made by another version."""
    folder = root / "tiny/1.0.0"
    manifest = writable(folder / "tiny.zarr/manifest.json")
    content = json.loads(manifest.read_text())
    content["files"]["volume/c/0/0/0/0"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(content))
    release = writable(folder / "release.json")
    release.write_text(release.read_text().replace(version("numcodecs"), "0.0.1"))
    (root / "catalog.yaml").unlink()
    add_entry(root / "catalog.yaml", folder / "tiny.zarr")
    code, out, err = run_cli(
        monkeypatch,
        capsys,
        "catalog",
        "materialise",
        "tiny",
        "--catalog",
        root,
        "--workers",
        0,
        "--out",
        tmp_path / "again",
    )
    assert code == 2 and "is not the same" in err
    assert "volume/c/0/0/0/0: differs" in out
    assert f"made with numcodecs {version('numcodecs')}, the first with 0.0.1" in out


def test_a_store_whose_manifest_is_not_that_of_the_catalog_is_refused(root, tmp_path):
    manifest = writable(root / "tiny/1.0.0/tiny.zarr/manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text())))
    with pytest.raises(CatalogError, match="but the catalog names"):
        materialise("tiny", root, tmp_path / "again", deployment=HERE)
    assert not (tmp_path / "again").exists()


def test_a_bundle_that_is_nowhere_is_said_to_be(root):
    shutil.rmtree(root / "tiny/1.0.0/bundle")
    with pytest.raises(Exception, match="bundle"):
        source_of("tiny", root)


def test_a_changed_bundle_is_refused(root):
    path = root / "tiny/1.0.0/bundle/bundle.json"
    flip_a_byte(writable(path))
    with pytest.raises((ReleaseError, ValueError), match="bundle"):
        source_of("tiny", root)


def test_names_of_the_package_are_found_beside_a_catalog_of_the_folder(root, monkeypatch):
    monkeypatch.chdir(root)
    assert source_of("graphite-sweep-tiny").manifest_sha256
    with pytest.raises(CatalogError, match="no dataset 'other', expected one of tiny, tiny-1"):
        source_of("other")


def test_differences_between_manifests():
    a, b = FileRecord("0" * 64, 1), FileRecord("1" * 64, 2)
    assert differing({"same": a, "gone": a, "other": a}, {"same": a, "new": b, "other": b}) == [
        "gone: was not made", "new: is not in the first", "other: differs (2 bytes, first 1)",
    ]  # fmt: skip
    assert other_versions({"numcodecs": version("numcodecs"), "unknown": "1"}) == []
