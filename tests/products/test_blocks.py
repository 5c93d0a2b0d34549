"""Volumes made block by block are the same volumes, with the descriptors that blocks allow."""

import shutil

import numpy as np
import pytest

from nmcdist.datasets import open_store
from nmcdist.datasets.integrity import verify
from nmcdist.datasets.store import read_block
from nmcdist.execution.journal import Journal
from nmcdist.products.volumes import labelled, plan
from tests.conftest import StopsAfter, flip_a_byte, make, recipe_with, store_sha256

RECIPE = recipe_with(
    volume={"shape": [32, 16, 24], "voxel_size_nm": 80.0},
    storage={"chunk": 8, "shard": 16},
    sweep={"graphite_fraction": [0.15]},
)


@pytest.fixture
def too_little_memory(monkeypatch):
    """Whole volumes seem to fit nowhere, so that they are made in blocks, as small as they come."""
    monkeypatch.setattr(labelled, "DESCRIBE_WHOLE", 1e15)
    monkeypatch.setattr(plan, "_fitting_block", lambda shape, volume, fits: volume.file_shape[1:])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    make(out, recipe=RECIPE)
    return out / "tiny.zarr"


@pytest.fixture
def by_blocks(tmp_path, too_little_memory):
    make(tmp_path, recipe=RECIPE)
    return tmp_path / "tiny.zarr"


def test_blocks_give_the_same_volumes_and_the_same_files(whole, by_blocks):
    for sample in range(2):
        assert (read_block(by_blocks, sample) == read_block(whole, sample)).all()
    shards = sorted(p.relative_to(whole) for p in (whole / "volume/c").rglob("*") if p.is_file())
    assert len(shards) == 2 * 2 * 1 * 2
    for name in shards:
        assert (by_blocks / name).read_bytes() == (whole / name).read_bytes()


def test_blocks_give_the_descriptors_that_are_additive(whole, by_blocks):
    with open_store(whole) as one, open_store(by_blocks) as many:
        kept = set(many.data_vars) - {"volume"}
        assert {"volume_fraction", "two_point_coverage"} <= kept
        for name in kept:
            # Counts are integers and add up exactly; only the last division is in floating point.
            np.testing.assert_allclose(many[name].values, one[name].values, rtol=1e-12, atol=0)


def test_the_store_names_what_blocks_leave_out(whole, by_blocks):
    with open_store(whole) as one, open_store(by_blocks) as many:
        assert set(many.attrs["descriptors_left_out"]) == set(one.data_vars) - set(many.data_vars)
        assert "descriptors_left_out" not in one.attrs
    assert verify(by_blocks) == []


def test_a_block_run_resumes_and_heals_block_by_block(by_blocks, tmp_path, too_little_memory):
    expected = store_sha256(by_blocks)
    out = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        make(out, recipe=RECIPE, progress=StopsAfter(5))
    result = make(out, recipe=RECIPE, resume=True)
    assert (result.made, result.kept) == (3, 5)
    assert store_sha256(out / "tiny.zarr") == expected
    flip_a_byte(out / "tiny.zarr/volume/c/1/1/0/1")
    flip_a_byte(out / "tiny.zarr/volume_fraction/c/0/0")
    result = make(out, recipe=RECIPE, resume=True)
    assert result.made == 1
    assert store_sha256(out / "tiny.zarr") == expected


def test_a_run_begun_in_blocks_goes_on_in_blocks_where_there_is_more_memory(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(plan, "_fitting_block", lambda shape, volume, fits: volume.file_shape[1:])
        make(tmp_path, recipe=RECIPE, progress=StopsAfter(3))
    result = make(tmp_path, recipe=RECIPE, resume=True)
    assert (result.made, result.kept) == (5, 3)


def test_a_receipt_of_a_block_holds_what_it_adds(by_blocks):
    receipt = Journal(by_blocks.parent / "tiny.run").receipt("item-000001-block-0003")
    assert receipt.box == ((16, 32), (0, 16), (16, 24))
    assert list(receipt.files) == ["volume/c/1/1/0/1"]
    assert receipt.partials is not None


def test_a_store_without_its_journal_stays_until_another_is_whole(by_blocks, tmp_path):
    """Its descriptors cannot be continued, as what blocks add to them was in the journal alone."""
    sha256 = store_sha256(by_blocks)
    shutil.rmtree(tmp_path / "tiny.run")
    assert make(tmp_path, recipe=RECIPE, resume=True).made == 0
    flip_a_byte(by_blocks / "volume/c/0/0/0/0")
    damaged = store_sha256(by_blocks)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, recipe=RECIPE, resume=True, progress=StopsAfter(1))
    assert store_sha256(by_blocks) == damaged
    make(tmp_path, recipe=RECIPE, resume=True)
    assert store_sha256(by_blocks) == sha256
