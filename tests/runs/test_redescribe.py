"""Describing a finished store again: the volumes stay the same files, readers see old or new, never half."""

import json

import pytest

from nmcdist.datasets import open_store
from nmcdist.datasets.catalog import recorded_manifest
from nmcdist.datasets.integrity import manifest_hash, verify
from nmcdist.errors import RecipeError, StoreError
from nmcdist.products.volumes.additive import Additive
from nmcdist.runs.redescribe import describe_store
from tests.conftest import HERE, StopsAfter, flip_a_byte, make, recipe_with, store_sha256


def inodes(store):
    return {p.relative_to(store): p.stat().st_ino for p in (store / "volume/c").rglob("*") if p.is_file()}


def test_the_same_options_give_the_same_store_and_the_same_volume_files(store):
    before, files = store_sha256(store), inodes(store)
    result = describe_store(store, HERE)
    assert result.made == 4
    assert store_sha256(store) == before
    assert inodes(store) == files


def test_other_options_change_the_curves_the_manifest_and_the_catalog(out, store):
    before, files = manifest_hash(store), inodes(store)
    describe_store(store, HERE, changes={"max_lag_nm": 160.0})
    with open_store(store) as data:
        assert data.sizes["lag_nm"] == 3  # 0, 1 and 2 voxels
        assert json.loads(data.attrs["recipe"])["descriptors"]["max_lag_nm"] == 160.0
    assert verify(store) == []
    assert manifest_hash(store) != before
    assert recorded_manifest(out / "catalog.yaml", store) == manifest_hash(store)
    assert inodes(store) == files


def test_volumes_without_descriptors_get_them(tmp_path, made_once):
    make(tmp_path, recipe=recipe_with(descriptors=None))
    describe_store(tmp_path / "tiny.zarr", HERE, changes=recipe_with().content["descriptors"])
    assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")


def test_a_run_resumed_after_it_finds_nothing_to_do(out, store):
    describe_store(store, HERE, changes={"max_lag_nm": 160.0})
    changed = {**recipe_with().content["descriptors"], "max_lag_nm": 160.0}
    result = make(out, recipe=recipe_with(descriptors=changed), resume=True)
    assert (result.made, result.kept) == (0, 4)


def test_an_interrupted_call_leaves_the_store_and_the_next_call_goes_on(store, monkeypatch):
    before = store_sha256(store)
    with pytest.raises(KeyboardInterrupt):
        describe_store(store, HERE, changes={"max_lag_nm": 160.0}, progress=StopsAfter(3))
    assert store_sha256(store) == before
    result = describe_store(store, HERE, changes={"max_lag_nm": 160.0})
    assert (result.made, result.kept) == (1, 3)
    assert verify(store) == []


def test_nothing_is_drawn(store, monkeypatch):
    monkeypatch.delattr(Additive, "draw")
    assert describe_store(store, HERE).failed == {}


def test_a_damaged_volume_is_named_and_the_store_left_alone(store):
    flip_a_byte(store / "volume/c/2/0/0/0")
    before = store_sha256(store)
    result = describe_store(store, HERE)
    assert list(result.failed) == [2]
    assert "damaged" in result.failed[2]
    assert store_sha256(store) == before


def test_what_cannot_be_described_is_refused(tmp_path, store):
    with pytest.raises(StoreError, match="no such store"):
        describe_store(tmp_path / "none.zarr", HERE)
    assert not (tmp_path / "none.run").exists()
    complaint = "^grains: not a descriptor option of kind volumes, expected one of .*max_lag_nm"
    with pytest.raises(RecipeError, match=complaint):
        describe_store(store, HERE, changes={"grains": True})
    with pytest.raises(RecipeError, match=r"descriptors.max_lag_nm: found -1.0"):
        describe_store(store, HERE, changes={"max_lag_nm": -1.0})
    make(tmp_path / "bare", recipe=recipe_with(storage={"volumes": False}))
    with pytest.raises(StoreError, match="holds no volumes to describe"):
        describe_store(tmp_path / "bare/tiny.zarr", HERE)
