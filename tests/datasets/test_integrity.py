"""Integrity: every kind of damage is found, and blamed on the item that it spoils."""

import json
import shutil

import pytest
import zarr

from nmcdist.datasets.integrity import damaged_samples, manifest_hash, read_manifest, verify
from nmcdist.errors import StoreError
from tests.conftest import flip_a_byte


def test_a_whole_store_has_no_fault(store):
    assert verify(store) == []
    assert verify(store, manifest_hash(store)) == []


@pytest.mark.parametrize("sample", [0, 3])
@pytest.mark.parametrize("array", ["volume/c/{}/0/0/0", "volume_fraction/c/{}/0"])
def test_a_flipped_byte_names_its_item(store, array, sample):
    flip_a_byte(store / array.format(sample))
    (fault,) = verify(store)
    assert fault.sample == sample
    assert str(fault) == f"item {sample}: {array.format(sample)}: does not match its checksum in the manifest"


def test_a_truncated_shard_names_its_item_and_both_sizes(store):
    shard = store / "volume/c/2/0/0/0"
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-10])
    (fault,) = verify(store)
    assert (fault.sample, fault.what) == (2, f"has {size - 10} bytes, expected {size}")


def test_missing_files_name_their_items(store):
    (store / "volume/c/0/0/0/0").unlink()
    (store / "volume_fraction/c/3/0").unlink()
    faults = verify(store)
    assert damaged_samples(faults) == [0, 3]
    assert {fault.what for fault in faults} == {"is missing"}


def test_damaged_metadata_and_coordinates_are_of_the_store(store):
    flip_a_byte(store / "seed/c/0", 0.9)
    flip_a_byte(store / "volume/zarr.json")
    assert {(fault.sample, fault.file) for fault in verify(store)} == {
        (None, "seed/c/0"),
        (None, "volume/zarr.json"),
    }


def test_damage_in_the_metadata_of_the_group_is_found(store):
    flip_a_byte(store / "zarr.json", 0.01)
    (fault,) = verify(store)
    assert (fault.sample, fault.file) == (None, "zarr.json")


def test_a_file_that_does_not_belong_there_is_found(store):
    (store / "volume/c/1/0/0/0.5f3a.partial").write_bytes(b"")
    (fault,) = verify(store)
    assert fault.what == "does not belong to the store"


def test_a_manifest_that_forgets_a_chunk_is_found(store):
    manifest = json.loads((store / "manifest.json").read_text())
    del manifest["files"]["volume/c/1/0/0/0"]
    (store / "manifest.json").write_text(json.dumps(manifest))
    (store / "volume/c/1/0/0/0").unlink()
    (fault,) = verify(store)
    assert (fault.sample, fault.file) == (1, "volume/c/1/0/0/0")
    assert "not in the manifest" in fault.what


def test_a_manifest_that_was_changed_is_told_by_the_catalog(store):
    recorded = manifest_hash(store)
    path = store / "manifest.json"
    path.write_text(path.read_text().replace("1", "2", 1))
    assert any(fault.file == "manifest.json" for fault in verify(store, recorded))


def test_a_store_that_was_never_finished_is_refused(store):
    (store / "manifest.json").unlink()
    with pytest.raises(StoreError, match="never finished"):
        verify(store)


def test_a_damaged_manifest_is_refused(store):
    (store / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest.json: damaged"):
        verify(store)


def test_a_store_of_another_format_is_refused_not_called_damaged(store, monkeypatch):
    monkeypatch.setattr("nmcdist.datasets.store.FORMATS_READ", (7,))
    with pytest.raises(StoreError, match="found store format 2, expected 7"):
        verify(store)


def test_the_manifest_names_every_other_file(store):
    files = {p.relative_to(store).as_posix() for p in store.rglob("*") if p.is_file()}
    assert set(read_manifest(store)) == files - {"manifest.json"}


def test_the_items_of_a_damaged_batch_are_those_that_exist(made_particles, tmp_path):
    """The last file of a table has room for more particles than there are."""
    store = tmp_path / "small.zarr"
    shutil.copytree(made_particles / "small.zarr", store)
    last = sorted((store / "gamma/c").iterdir(), key=lambda path: int(path.name))[-1]
    flip_a_byte(last)
    (fault,) = verify(store)
    count = zarr.open_array(store / "rows", mode="r").shape[0]
    assert fault.sample + fault.items == count
    assert damaged_samples([fault]) == list(range(fault.sample, count))
    if fault.items > 1:
        assert str(fault).startswith(f"items {fault.sample} to {count - 1}: gamma/c/")
