"""Catalogs: intake opens them, they can be moved, and one entry never harms another."""

import shutil

import dask.array
import intake
import pytest
import xarray as xr
import yaml

import nmcdist
from nmcdist.datasets.catalog import add_entry, list_entries, open_catalog, show_entry
from nmcdist.datasets.integrity import manifest_hash
from nmcdist.errors import CatalogError, StoreError


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


def test_the_default_catalog_is_that_of_the_environment_then_of_the_folder(out, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NMCDIST_CATALOG", raising=False)
    with pytest.raises(CatalogError, match=r"catalog.yaml: no such catalog"):
        open_catalog()
    monkeypatch.setenv("NMCDIST_CATALOG", str(out / "catalog.yaml"))
    assert list(nmcdist.open_catalog()) == ["tiny"]
    monkeypatch.delenv("NMCDIST_CATALOG")
    monkeypatch.chdir(out)
    assert list(nmcdist.open_catalog()) == ["tiny"]


def test_adding_an_entry_keeps_the_others(out, store, tmp_path):
    path = out / "catalog.yaml"
    content = yaml.safe_load(path.read_text())
    content["aliases"]["other"] = "other"
    content["entries"]["other"] = dict(content["entries"]["tiny"])
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
    [("{", "cannot be read"), ("[]", "not an intake catalog"), ("version: 1", "not an intake catalog"),
     ("{version: 2, aliases: {}, data: {}}", "entries: found None"),
     ("{version: 2, aliases: {a: b}, data: {}, entries: {}}", r"aliases: found \['b'\]")],
)  # fmt: skip
def test_a_damaged_catalog_is_refused_and_left_alone(store, tmp_path, text, complaint):
    path = tmp_path / "catalog.yaml"
    path.write_text(text)
    with pytest.raises(CatalogError, match=complaint):
        add_entry(path, store)
    assert path.read_text() == text


def test_an_unknown_dataset_is_named_with_those_there_are(out):
    with pytest.raises(CatalogError, match=r"no dataset 'huge', expected one of \['tiny'\]"):
        show_entry(out / "catalog.yaml", "huge")
