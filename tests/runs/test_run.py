"""Runs in this process: what is published is whole, and a run goes on where it stopped."""

import errno
import json
import resource
import shutil
from contextlib import contextmanager

import pytest

from nmcdist.bundle import load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.catalog import list_entries
from nmcdist.datasets.files import file_record
from nmcdist.datasets.integrity import verify
from nmcdist.errors import PlanError, StoreError
from nmcdist.execution import worker as task_module
from nmcdist.execution.journal import Journal
from nmcdist.products.plan import Task
from nmcdist.products.volumes import make as volumes
from nmcdist.products.volumes.additive import Additive
from nmcdist.runs.locks import locked
from nmcdist.runs.progress import Silent
from nmcdist.runs.run import run_recipe
from tests.conftest import BUNDLE, StopsAfter, flip_a_byte, make, recipe_with, store_sha256


class Recorded(Silent):
    """Remembers events."""

    def __init__(self):
        self.events = []

    def event(self, name, **facts):
        self.events.append(name)


@pytest.fixture
def drawn(monkeypatch, tasks_made):
    """Items that are drawn, in order."""
    items, draw = [], Additive.draw

    def recording(kind, bundle, recipe, stream, window):
        items.append(tasks_made[-1])
        return draw(kind, bundle, recipe, stream, window)

    monkeypatch.setattr(Additive, "draw", recording)
    return items


def test_a_run_leaves_a_whole_store_its_journal_and_a_catalog_entry(made_once):
    assert sorted(p.name for p in made_once.iterdir()) == ["catalog.yaml", "tiny.run", "tiny.zarr"]
    assert verify(made_once / "tiny.zarr") == []
    assert list(list_entries(made_once / "catalog.yaml")) == ["tiny"]


def test_the_same_recipe_gives_the_same_bytes(made_once, tmp_path):
    result = make(tmp_path, Deployment(workers=0, threads_per_worker=2))
    assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")
    assert (result.made, result.kept, result.failed) == (4, 0, {})


def test_nothing_in_the_store_tells_when_or_where_it_was_made(made_once):
    texts = [p.read_text() for p in (made_once / "tiny.zarr").rglob("*.json")]
    assert not any(str(made_once) in text for text in texts)
    receipt = Journal(made_once / "tiny.run").receipt("item-000000")
    assert not any(receipt.worker.split(":")[0] in text for text in texts)
    assert set(receipt.seconds) == {"draw", "write", "describe"}
    assert receipt.peak_memory_bytes > 2**20


def test_an_interrupted_run_publishes_nothing_and_resume_makes_only_the_rest(made_once, tmp_path, drawn):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, progress=StopsAfter(2))
    assert drawn == [0, 1]
    assert not (tmp_path / "tiny.zarr").exists()
    assert not (tmp_path / "catalog.yaml").exists()
    result = make(tmp_path, resume=True)
    assert drawn == [0, 1, 2, 3]
    assert (result.made, result.kept) == (2, 2)
    assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "receipt"])
def test_resume_of_an_unfinished_run_makes_again_what_was_harmed(made_once, tmp_path, drawn, harm):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, progress=StopsAfter(3))
    shard = tmp_path / "tiny.zarr.wip/volume/c/1/0/0/0"
    if harm == "flip":
        flip_a_byte(shard)
    elif harm == "cut":
        shard.write_bytes(shard.read_bytes()[:100])
    elif harm == "remove":
        shard.unlink()
    else:
        (tmp_path / "tiny.run/receipts/item-000001.json").write_text("{")
    drawn.clear()
    make(tmp_path, resume=True)
    assert drawn == [1, 3]
    assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")


@pytest.mark.parametrize(
    ("file", "items"),
    [("volume/c/2/0/0/0", [2]), ("volume_fraction/c/3/0", [3]), ("seed/c/0", []), ("volume/zarr.json", []),
     ("zarr.json", []), ("manifest.json", [])],
)  # fmt: skip
def test_resume_heals_a_finished_store_with_no_more_work_than_needed(out, store, drawn, file, items):
    whole = store_sha256(store)
    flip_a_byte(store / file)
    result = make(out, resume=True)
    assert drawn == items
    assert result.made == len(items)
    assert store_sha256(store) == whole


@pytest.mark.parametrize("file", ["zarr.json", "volume/zarr.json", "seed/zarr.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"attributes": {}}', None])
def test_resume_heals_metadata_whatever_is_left_of_it(out, store, file, content, drawn):
    whole = store_sha256(store)
    (store / file).unlink() if content is None else (store / file).write_bytes(content)
    make(out, resume=True)
    assert drawn == []
    assert store_sha256(store) == whole


def test_resume_heals_what_is_missing_and_removes_what_does_not_belong(out, store, drawn):
    whole = store_sha256(store)
    shutil.rmtree(store / "volume/c/0")
    (store / "volume/c/1/0/0/0.77.partial").write_bytes(b"torn")
    (store / "stranger.txt").write_text("x")
    make(out, resume=True)
    assert drawn == [0]
    assert store_sha256(store) == whole


def test_resume_of_a_whole_store_does_nothing(out, store, drawn):
    before = {p: p.stat().st_mtime_ns for p in store.rglob("*")}
    recorded = Recorded()
    result = make(out, resume=True, progress=recorded)
    assert (result.made, result.kept) == (0, 4)
    assert recorded.events == ["nothing to do"]
    assert drawn == []
    assert {p: p.stat().st_mtime_ns for p in store.rglob("*")} == before


def test_a_store_that_came_without_its_journal_is_checked_by_its_manifest(out, store, drawn):
    whole = store_sha256(store)
    shutil.rmtree(out / "tiny.run")
    flip_a_byte(store / "volume/c/3/0/0/0")
    make(out, resume=True)
    assert drawn == [3]
    assert store_sha256(store) == whole


def test_a_whole_store_stays_while_another_recipe_is_begun_and_left(out, store, drawn):
    before, other = {p: p.stat().st_mtime_ns for p in store.rglob("*")}, recipe_with(seed=7)
    with pytest.raises(KeyboardInterrupt):
        make(out, recipe=other, resume=True, progress=StopsAfter(2))
    drawn.clear()
    recorded = Recorded()
    make(out, resume=True, progress=recorded)
    assert recorded.events == ["nothing to do"]
    assert {p: p.stat().st_mtime_ns for p in store.rglob("*")} == before
    assert make(out, recipe=other, resume=True).kept == 2
    assert drawn == [2, 3]


def test_a_damaged_store_is_healed_whatever_was_begun_meanwhile(out, store, drawn):
    whole = store_sha256(store)
    with pytest.raises(KeyboardInterrupt):
        make(out, recipe=recipe_with(seed=7), resume=True, progress=StopsAfter(2))
    drawn.clear()
    flip_a_byte(store / "volume/c/3/0/0/0")
    make(out, resume=True)
    assert drawn == [3]
    assert store_sha256(store) == whole


def test_a_new_title_renews_the_metadata_and_no_item(out, store, drawn):
    make(out, recipe=recipe_with(title="Better title"), resume=True)
    assert drawn == []
    assert list_entries(out / "catalog.yaml")["tiny"]["title"] == "Better title"
    assert verify(store) == []


def test_an_existing_store_is_refused_and_left_alone(out, store):
    before = store_sha256(store)
    with pytest.raises(StoreError, match=r"already exists, made from this recipe; --resume checks and repairs it"):
        make(out)
    with pytest.raises(StoreError, match=r"already exists, made from another recipe or bundle; --resume replaces"):
        make(out, recipe=recipe_with(seed=1))
    assert store_sha256(store) == before


def test_an_unfinished_run_is_refused_without_resume(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, progress=StopsAfter(1))
    with pytest.raises(StoreError, match="an unfinished run is here; --resume continues it"):
        make(tmp_path)


def test_a_changed_recipe_makes_everything_again_and_says_so(tmp_path, drawn):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, progress=StopsAfter(3))
    drawn.clear()
    recorded = Recorded()
    make(tmp_path, recipe=recipe_with(seed=1), resume=True, progress=recorded)
    assert drawn == [0, 1, 2, 3]
    assert recorded.events == ["changed", "finished"]


def test_volumes_of_another_shape_are_cut_into_blocks_of_their_own(tmp_path):
    """Also smaller ones, which would otherwise be blocks of the earlier volumes, without what blocks cannot have."""
    smaller = recipe_with(volume={"shape": [12, 12, 12], "voxel_size_nm": 80.0})
    make(tmp_path / "a")
    found = make(tmp_path / "a", recipe=smaller, resume=True)
    assert (found.made, found.failed) == (4, {})
    assert found.manifest_sha256 == make(tmp_path / "b", recipe=smaller).manifest_sha256


def test_a_changed_bundle_makes_everything_again(tmp_path, drawn):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, progress=StopsAfter(3))
    drawn.clear()
    changed = load_bundle(BUNDLE).with_parameters(mu=0.3)
    run_recipe(recipe_with(), changed, tmp_path, Deployment(workers=0), resume=True)
    assert drawn == [0, 1, 2, 3]


def test_a_store_of_another_recipe_is_replaced_only_when_the_new_one_is_whole(out, store, drawn):
    before = store_sha256(store)
    with pytest.raises(KeyboardInterrupt):
        make(out, recipe=recipe_with(seed=1), resume=True, progress=StopsAfter(3))
    assert store_sha256(store) == before
    make(out, recipe=recipe_with(seed=1), resume=True)
    assert drawn == [0, 1, 2, 3]
    assert store_sha256(store) != before
    assert verify(store) == []
    assert not (out / "tiny.zarr.old").exists()


def test_a_driver_that_died_between_the_renames_loses_no_store(out, store):
    before = store_sha256(store)
    store.rename(out / "tiny.zarr.old")
    make(out, resume=True)
    assert store_sha256(store) == before
    assert not (out / "tiny.zarr.old").exists()


def test_a_store_of_another_format_is_refused_and_left_alone(out, store):
    meta = json.loads((store / "zarr.json").read_text())
    meta["attributes"]["nmcdist_format"] = 7
    (store / "zarr.json").write_text(json.dumps(meta))
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["files"]["zarr.json"] = file_record(store / "zarr.json")._asdict()
    (store / "manifest.json").write_text(json.dumps(manifest))
    before = store_sha256(store)
    for resume in (False, True):
        with pytest.raises(StoreError, match="found store format 7, expected 1 or 2"):
            make(out, resume=resume)
    assert store_sha256(store) == before


def test_two_drivers_never_work_on_one_store(out, store):
    before = store_sha256(store)
    with locked(out / "tiny.run"), pytest.raises(StoreError, match=r"another run .* is working on this dataset"):
        make(out, resume=True)
    assert store_sha256(store) == before


def test_an_item_that_fails_is_recorded_while_the_others_go_on(made_once, tmp_path, monkeypatch):
    describe = Additive.describe
    calls = []

    def fail_on_the_second(*args):
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError("no such phase")
        return describe(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Additive, "describe", fail_on_the_second)
        result = make(tmp_path, retries=0)
    assert result.failed == {1: "ZeroDivisionError: no such phase"}
    assert (result.made, result.manifest_sha256) == (3, "")
    assert not (tmp_path / "tiny.zarr").exists()
    failure = (tmp_path / "tiny.run/failures/item-000001.txt").read_text()
    assert "Traceback" in failure
    result = make(tmp_path, resume=True)
    assert (result.made, result.kept) == (1, 3)
    assert not (tmp_path / "tiny.run/failures/item-000001.txt").exists()
    assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")


@contextmanager
def file_size_limited_to(count):
    """Let no file grow beyond this, so that a real write fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_stops_the_run_and_resume_completes_it(tmp_path, drawn):
    recipe = recipe_with(
        volume={"shape": [64, 64, 64], "voxel_size_nm": 80.0}, descriptors=None, sweep={}, realisations=1
    )
    with file_size_limited_to(20_000), pytest.raises(StoreError, match=r"item 0: .*File too large.*--resume"):
        make(tmp_path, recipe=recipe)
    assert drawn == [0]
    assert not (tmp_path / "tiny.zarr").exists()
    make(tmp_path, recipe=recipe, resume=True)
    assert verify(tmp_path / "tiny.zarr") == []


def test_a_full_disk_stops_the_run_in_one_line(tmp_path, monkeypatch, drawn):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(volumes, "write_block", full)
    with pytest.raises(StoreError, match="No space left on device") as caught:
        make(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert drawn == [0]


def test_damage_between_a_write_and_its_receipt_is_found(tmp_path, monkeypatch):
    write = volumes.write_block

    def write_and_spoil(store, variable, sample, box, labels):
        records = write(store, variable, sample, box, labels)
        for name in records:
            content = bytearray((store / name).read_bytes())
            content[len(content) // 2] ^= 1
            (store / name).write_bytes(content)
        return records

    monkeypatch.setattr(volumes, "write_block", write_and_spoil)
    make(tmp_path, recipe=recipe_with(descriptors=None))
    faults = verify(tmp_path / "tiny.zarr")
    assert [(f.sample, f.what) for f in faults] == [
        (k, "does not match its checksum in the manifest") for k in range(4)
    ]
    monkeypatch.undo()
    make(tmp_path, recipe=recipe_with(descriptors=None), resume=True)
    assert verify(tmp_path / "tiny.zarr") == []


def test_a_run_that_cannot_fit_writes_nothing(tmp_path):
    with pytest.raises(PlanError, match="memory: a task"):
        make(tmp_path / "out", Deployment(workers=1, memory_per_worker="100MiB"))
    assert not (tmp_path / "out").exists()


def test_descriptors_alone_can_be_stored(tmp_path, made_once):
    make(tmp_path, recipe=recipe_with(storage={"volumes": False}))
    store = tmp_path / "tiny.zarr"
    assert not (store / "volume").exists()
    assert verify(store) == []
    for sample in range(4):
        name = f"volume_fraction/c/{sample}/0"
        assert (store / name).read_bytes() == (made_once / "tiny.zarr" / name).read_bytes()


def test_a_worker_without_the_bundle_says_so_and_draws_nothing(drawn):
    task = Task(name="item-000000", sample=0, files=())
    outcome = task_module.run_task("unknown", task)
    assert outcome.unready
    assert "does not hold the bundle" in outcome.error
    assert drawn == []
