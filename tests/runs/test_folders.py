"""Shared folders: what a run did not make it neither removes nor overwrites, and it follows no link out of its own."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from nmcdist.bundle import load_bundle
from nmcdist.datasets.files import file_record
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import verify
from nmcdist.errors import StoreError
from nmcdist.execution import worker as task_module
from nmcdist.execution.journal import Journal, Receipt
from nmcdist.execution.worker import run_task
from nmcdist.products.registry import make_plan
from nmcdist.products.volumes import make as volumes
from nmcdist.products.volumes.additive import Additive
from nmcdist.runs.partition import finalise_store, run_part
from nmcdist.runs.progress import Silent
from nmcdist.runs.redescribe import describe_store
from nmcdist.runs.run import run_recipe
from nmcdist.runs.tasks import job_of
from nmcdist.runs.unfinished import prepare
from tests.conftest import BUNDLE, HERE, StopsAfter, make, recipe_with, store_sha256

BARE = recipe_with(descriptors=None)
OTHER = recipe_with(descriptors=None, seed=7)


@pytest.fixture(scope="module")
def bare_once(tmp_path_factory):
    out = tmp_path_factory.mktemp("bare")
    make(out, recipe=BARE)
    return out


@pytest.fixture
def bare(bare_once, tmp_path):
    """A folder with a dataset of volumes alone, its journal and its catalog."""
    return Path(shutil.copytree(bare_once, tmp_path / "out"))


@pytest.fixture
def begun(tmp_path):
    """A folder with a run of which two of four tasks are done."""
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", recipe=BARE, progress=StopsAfter(2))
    return tmp_path / "out"


@pytest.fixture
def theirs(tmp_path):
    """A folder of somebody else's."""
    folder = tmp_path / "theirs"
    (folder / "deep").mkdir(parents=True)
    (folder / "precious.txt").write_text("precious")
    (folder / "deep/0").write_text("precious")
    return folder


def content_of(folder):
    """Every file below a folder with its bytes and its time: what must not change."""
    return {p.relative_to(folder): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


class TestStrangers:
    def test_folder_named_old_is_left_and_a_swap_is_refused_before_it(self, bare):
        before = store_sha256(bare / "tiny.zarr")
        (bare / "tiny.zarr.old").mkdir()
        (bare / "tiny.zarr.old/precious.txt").write_text("precious")
        for call in (
            lambda: make(bare, recipe=OTHER, resume=True),
            lambda: describe_store(bare / "tiny.zarr", HERE, changes=recipe_with().content["descriptors"]),
        ):
            with pytest.raises(StoreError, match=r"tiny\.zarr\.old: exists, but no run has recorded it; move it away"):
                call()
        assert (bare / "tiny.zarr.old/precious.txt").read_text() == "precious"
        assert store_sha256(bare / "tiny.zarr") == before
        assert not (bare / "tiny.zarr.wip").exists()

    def test_backup_named_old_outlives_healing_and_doing_nothing(self, bare):
        shutil.copytree(bare / "tiny.zarr", bare / "tiny.zarr.old")
        before = content_of(bare / "tiny.zarr.old")
        make(bare, recipe=BARE, resume=True)
        (bare / "tiny.zarr/volume/c/1/0/0/0").unlink()
        assert make(bare, recipe=BARE, resume=True).made == 1
        assert content_of(bare / "tiny.zarr.old") == before
        assert verify(bare / "tiny.zarr") == []

    def test_folder_named_old_without_a_store_is_not_taken_for_one(self, tmp_path, theirs):
        theirs.rename(tmp_path / "tiny.zarr.old")
        before = content_of(tmp_path / "tiny.zarr.old")
        make(tmp_path, recipe=BARE)
        assert content_of(tmp_path / "tiny.zarr.old") == before
        assert verify(tmp_path / "tiny.zarr") == []

    def test_store_that_its_owner_put_aside_is_not_taken_back_to_be_replaced(self, bare, bare_once):
        (bare / "tiny.zarr").rename(bare / "tiny.zarr.old")
        before = content_of(bare / "tiny.zarr.old")
        with pytest.raises(StoreError, match="no such store"):
            describe_store(bare / "tiny.zarr", HERE, changes=recipe_with().content["descriptors"])
        make(bare, recipe=OTHER, resume=True)
        assert content_of(bare / "tiny.zarr.old") == before
        shutil.rmtree(bare / "tiny.zarr")
        make(bare, recipe=BARE)
        assert content_of(bare / "tiny.zarr.old") == before
        assert store_sha256(bare / "tiny.zarr") == store_sha256(bare_once / "tiny.zarr")

    def test_folder_with_the_name_of_what_is_described_is_left(self, bare, theirs):
        for k, plant in enumerate((shutil.copytree, lambda source, target: Path(target).symlink_to(source))):
            plant(theirs, bare / "tiny.zarr.describe")
            before = content_of(bare / "tiny.zarr.describe")
            with pytest.raises(StoreError, match=r"\.describe: (holds no unfinished store|is a link)"):
                describe_store(bare / "tiny.zarr", HERE, changes=recipe_with().content["descriptors"])
            assert content_of(bare / "tiny.zarr.describe") == before
            (bare / "tiny.zarr.describe").rename(bare / f"aside-{k}")

    def test_folder_that_takes_the_name_old_during_a_run_is_left(self, bare, monkeypatch):
        draw, before = Additive.draw, store_sha256(bare / "tiny.zarr")

        def plant(*args):
            (bare / "tiny.zarr.old").mkdir(exist_ok=True)
            (bare / "tiny.zarr.old/precious.txt").write_text("precious")
            return draw(*args)

        monkeypatch.setattr(Additive, "draw", plant)
        with pytest.raises(StoreError, match=r"\.old: exists, but no run has recorded it"):
            make(bare, recipe=OTHER, resume=True)
        assert (bare / "tiny.zarr.old/precious.txt").read_text() == "precious"
        assert store_sha256(bare / "tiny.zarr") == before
        shutil.rmtree(bare / "tiny.zarr.old")
        assert make(bare, recipe=OTHER, resume=True).kept == 4

    @pytest.mark.parametrize("renames", [1, 2])
    def test_driver_that_dies_in_the_swap_loses_neither_store(self, bare, monkeypatch, renames):
        rename, before, count = Path.rename, store_sha256(bare / "tiny.zarr"), []

        def dies(path, target):
            if Path(target).suffix in (".old", ".zarr"):
                count.append(path)
                if len(count) > renames:
                    raise KeyboardInterrupt
            elif path.suffix == ".old":  # on its way out
                raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", dies)
            with pytest.raises(KeyboardInterrupt):
                make(bare, recipe=OTHER, resume=True)
        assert store_sha256(bare / "tiny.zarr.old") == before
        if renames == 1:
            assert not (bare / "tiny.zarr").exists()
            make(bare, recipe=BARE, resume=True)
            assert store_sha256(bare / "tiny.zarr") == before
        else:
            make(bare, recipe=OTHER, resume=True)
            assert verify(bare / "tiny.zarr") == []
        assert not (bare / "tiny.zarr.old").exists()

    @pytest.mark.parametrize("resume", [False, True])
    def test_folder_named_wip_is_left(self, tmp_path, theirs, resume):
        theirs.rename(tmp_path / "tiny.zarr.wip")
        before = content_of(tmp_path / "tiny.zarr.wip")
        with pytest.raises(StoreError, match=r"tiny\.zarr\.wip: (holds no unfinished store|an unfinished run is here)"):
            make(tmp_path, recipe=BARE, resume=resume)
        assert content_of(tmp_path / "tiny.zarr.wip") == before

    def test_unfinished_store_of_an_unrecorded_run_is_left(self, begun, bare_once):
        shutil.rmtree(begun / "tiny.run")
        before = content_of(begun / "tiny.zarr.wip")
        with pytest.raises(StoreError, match=r"belongs to a run that .* did not record; move it away"):
            make(begun, recipe=OTHER, resume=True)
        assert content_of(begun / "tiny.zarr.wip") == before

    def test_folder_with_the_name_of_the_journal_is_left(self, tmp_path, theirs):
        theirs.rename(tmp_path / "tiny.run")
        before = content_of(tmp_path / "tiny.run")
        for call in (make, lambda out, recipe: run_part(recipe, load_bundle(BUNDLE), out, (1, 2), HERE)):
            with pytest.raises(StoreError, match=r"tiny\.run: holds 'deep' and no journal of a run; move it away"):
                call(tmp_path, recipe=BARE)
        assert content_of(tmp_path / "tiny.run") == before

    def test_folder_with_the_name_of_the_bundle_copy_is_left(self, begun, theirs):
        shutil.rmtree(begun / "tiny.run/bundle")
        theirs.rename(begun / "tiny.run/bundle")
        before = content_of(begun / "tiny.run/bundle")
        with pytest.raises(StoreError, match=r"tiny\.run/bundle: holds more than the copy of a bundle; move it away"):
            make(begun, recipe=BARE, resume=True)
        assert content_of(begun / "tiny.run/bundle") == before

    def test_damaged_copy_of_the_bundle_is_made_again(self, begun):
        (begun / "tiny.run/bundle/bundle.json").write_text("{")
        make(begun, recipe=BARE, resume=True)
        assert verify(begun / "tiny.zarr") == []


class TestLinks:
    @pytest.mark.parametrize("name", ["tiny.zarr", "tiny.zarr.wip", "tiny.run"])
    def test_name_of_the_run_that_is_a_link_is_refused(self, tmp_path, theirs, name):
        out, before = tmp_path / "out", content_of(theirs)
        out.mkdir()
        (out / name).symlink_to(theirs)
        for resume in (False, True):
            with pytest.raises(StoreError, match=rf"{name}: is a link, expected a folder of the run's own"):
                make(out, recipe=BARE, resume=resume)
        with pytest.raises(StoreError, match=rf"{name}: is a link, expected a folder of the run's own"):
            run_part(BARE, load_bundle(BUNDLE), out, (1, 2), HERE)
        assert content_of(theirs) == before
        assert [p.name for p in out.iterdir()] == [name]

    def test_link_that_takes_the_place_of_an_unfinished_store_is_refused(self, begun, theirs):
        before = content_of(theirs)
        shutil.rmtree(begun / "tiny.zarr.wip")
        (begun / "tiny.zarr.wip").symlink_to(theirs)
        for call in (
            lambda: make(begun, recipe=OTHER, resume=True),
            lambda: finalise_store(begun / "tiny.zarr"),
        ):
            with pytest.raises(StoreError, match=r"tiny\.zarr\.wip: is a link"):
                call()
        assert content_of(theirs) == before

    def test_parents_of_the_folder_may_be_links(self, tmp_path, bare_once):
        (tmp_path / "disk").mkdir()
        (tmp_path / "data").symlink_to(tmp_path / "disk")
        make(tmp_path / "data", recipe=BARE)
        assert store_sha256(tmp_path / "disk/tiny.zarr") == store_sha256(bare_once / "tiny.zarr")

    @pytest.mark.parametrize("name", ["lock", "parts-of-2.lock", "part-1-of-2.lock"])
    @pytest.mark.parametrize("kind", ["link", "pipe"])
    def test_lock_that_is_no_file_is_refused(self, begun, theirs, name, kind):
        path = begun / "tiny.run" / name
        path.unlink(missing_ok=True)
        if kind == "link":
            path.symlink_to(theirs / "precious.txt")
        else:
            os.mkfifo(path)
        with pytest.raises(StoreError, match=rf"{name}: is a (link|named pipe), expected a lock of the run's own"):
            run_part(BARE, load_bundle(BUNDLE), begun, (1, 2), HERE)
        assert (theirs / "precious.txt").read_text() == "precious"

    def test_lock_that_is_another_name_of_a_file_leaves_its_content(self, begun, theirs):
        (begun / "tiny.run/lock").unlink()
        os.link(theirs / "precious.txt", begun / "tiny.run/lock")
        make(begun, recipe=BARE, resume=True)
        assert (theirs / "precious.txt").read_text() == "precious"

    @pytest.mark.parametrize(
        "name", ["started/item-000002.json", "receipts/item-000002.json", "failures/item-000002.txt", "run.json",
                 "lock.owner"],
    )  # fmt: skip
    def test_record_that_is_a_link_is_never_written_through(self, begun, theirs, name, bare_once):
        path = begun / "tiny.run" / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(theirs / "precious.txt")
        if name == "run.json":
            with pytest.raises(StoreError, match=r"run\.json: is a link, expected an ordinary file"):
                make(begun, recipe=BARE, resume=True)
        else:
            make(begun, recipe=BARE, resume=True)
            assert store_sha256(begun / "tiny.zarr") == store_sha256(bare_once / "tiny.zarr")
        assert (theirs / "precious.txt").read_text() == "precious"

    @pytest.mark.parametrize("name", ["run.json", "sealed.json", "swap.json"])
    def test_record_that_is_a_folder_is_refused_before_anything_is_made(self, bare, theirs, name):
        (bare / "tiny.run" / name).unlink(missing_ok=True)
        theirs.rename(bare / "tiny.run" / name)
        before = content_of(bare)
        for attempt in (lambda: make(bare, recipe=BARE, resume=True), lambda: describe_store(bare / "tiny.zarr", HERE)):
            with pytest.raises(StoreError, match=rf"{name}: is a folder, expected an ordinary file; move it away"):
                attempt()
        assert content_of(bare) == before

    def test_failure_is_not_written_through_a_link(self, begun, theirs, monkeypatch):
        (begun / "tiny.run/failures").mkdir(exist_ok=True)
        for item in (2, 3):
            (begun / f"tiny.run/failures/item-00000{item}.txt").symlink_to(theirs / "precious.txt")
        monkeypatch.setattr(Additive, "draw", lambda *args: 1 / 0)
        assert sorted(make(begun, recipe=BARE, resume=True, retries=0).failed) == [2, 3]
        assert (theirs / "precious.txt").read_text() == "precious"

    @pytest.mark.parametrize("name", ["receipts", "started", "failures"])
    def test_folder_of_records_that_is_a_link_is_refused(self, begun, theirs, name):
        before = content_of(theirs)
        shutil.rmtree(begun / "tiny.run" / name, ignore_errors=True)
        (begun / "tiny.run" / name).symlink_to(theirs)
        with pytest.raises(StoreError, match=rf"tiny\.run/{name}: is a link, expected a folder of the run's own"):
            make(begun, recipe=BARE, resume=True)
        assert content_of(theirs) == before

    @pytest.mark.parametrize("name", ["volume", "volume/c", "volume/c/1", "volume/c/1/0/0/0", "zarr.json"])
    def test_link_in_an_unfinished_store_is_refused(self, begun, tmp_path, name):
        path, elsewhere = begun / "tiny.zarr.wip" / name, tmp_path / "elsewhere"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
        before = content_of(elsewhere) if elsewhere.is_dir() else elsewhere.read_bytes()
        with pytest.raises(StoreError, match=rf"tiny\.zarr\.wip/{name}: is a link"):
            make(begun, recipe=BARE, resume=True)
        assert not (begun / "tiny.zarr").exists()
        assert (content_of(elsewhere) if elsewhere.is_dir() else elsewhere.read_bytes()) == before

    def test_link_that_is_planted_during_a_run_takes_no_chunk_and_is_not_sealed(self, tmp_path, monkeypatch):
        out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
        elsewhere.mkdir()
        draw, planted = Additive.draw, []

        def plant(*args):
            if not planted:
                planted.append((out / "tiny.zarr.wip/volume/c").symlink_to(elsewhere))
            return draw(*args)

        monkeypatch.setattr(Additive, "draw", plant)
        result = make(out, recipe=BARE, retries=0)
        assert len(result.failed) == 4
        assert all("volume/c: is a link" in reason for reason in result.failed.values())
        assert list(elsewhere.iterdir()) == []
        assert not (out / "tiny.zarr").exists()

    @pytest.mark.parametrize("name", ["volume", "volume/c", "volume/c/1", "volume/c/1/0/0/0"])
    def test_link_in_a_finished_store_is_a_fault(self, bare, tmp_path, name):
        path, elsewhere = bare / "tiny.zarr" / name, tmp_path / "elsewhere"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
        assert any(fault.file == name and "is a link" in fault.what for fault in verify(bare / "tiny.zarr"))
        before = path.readlink()
        with pytest.raises(StoreError, match=rf"tiny\.zarr/{name}: is a link"):
            make(bare, recipe=BARE, resume=True)
        assert path.readlink() == before

    def test_finalise_refuses_links_that_hold_the_very_chunks(self, tmp_path):
        out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
        run_part(BARE, load_bundle(BUNDLE), out, (1, 1), HERE)
        (out / "tiny.zarr.wip/volume/c").rename(elsewhere)
        (out / "tiny.zarr.wip/volume/c").symlink_to(elsewhere)
        with pytest.raises(StoreError, match=r"volume/c: is a link, expected a folder or an ordinary file"):
            finalise_store(out / "tiny.zarr")
        assert not (out / "tiny.zarr").exists()

    def test_pipe_in_place_of_a_chunk_is_made_again(self, begun, bare_once):
        chunk = begun / "tiny.zarr.wip/volume/c/1/0/0/0"
        chunk.unlink()
        os.mkfifo(chunk)
        with pytest.raises(StoreError, match=r"volume/c/1/0/0/0: is a named pipe"):
            make(begun, recipe=BARE, resume=True)
        chunk.unlink()
        make(begun, recipe=BARE, resume=True)
        assert store_sha256(begun / "tiny.zarr") == store_sha256(bare_once / "tiny.zarr")


class TestEpochs:
    """A worker that sleeps while another recipe is begun in its place, and wakes."""

    @pytest.fixture
    def stalled(self, tmp_path, monkeypatch):
        """The job of a run that died, and what begins another recipe in its place."""
        plans = {r.seed: make_plan(r, load_bundle(BUNDLE), tmp_path, HERE) for r in (BARE, OTHER)}
        wip, journal = tmp_path / "tiny.zarr.wip", Journal(tmp_path / "tiny.run")

        def begin(recipe):
            store = prepare(plans[recipe.seed], wip, journal, Silent())
            return job_of(plans[recipe.seed], store, journal)

        job = begin(BARE)
        monkeypatch.setitem(task_module._held, job.key, (job, load_bundle(BUNDLE)))
        return job, plans[BARE.seed].tasks[0], begin

    @pytest.mark.parametrize("when", ["before", "while it draws", "before its receipt"])
    @pytest.mark.parametrize("again", [False, True])
    def test_its_writes_do_not_count(self, stalled, tmp_path, monkeypatch, when, again):
        job, task, begin = stalled
        theirs = {}

        def take_over():
            if theirs:
                return
            new = begin(OTHER)
            if again:  # and the first recipe once more, so that even the fingerprint is the same
                new = begin(BARE)
            chunk = task.files[0]
            Folder.of(new.store).write(chunk, b"theirs")
            record = file_record(new.store / chunk)
            Journal(new.journal).write_receipt(Receipt(task=task.name, fingerprint="x", files={chunk: record}))
            theirs.update(content_of(tmp_path))

        if when == "before":
            take_over()
        elif when == "while it draws":
            draw = Additive.draw
            monkeypatch.setattr(Additive, "draw", lambda *args: (draw(*args), take_over())[0])
        else:
            write = volumes.write_block
            monkeypatch.setattr(volumes, "write_block", lambda *args: (write(*args), take_over())[0])
        outcome = run_task(job.key, task)
        assert "another run has started here" in outcome.error
        assert theirs
        assert content_of(tmp_path) == theirs

    def test_what_was_sealed_is_not_touched(self, stalled, tmp_path):
        job, task, _ = stalled
        run_recipe(BARE, load_bundle(BUNDLE), tmp_path, HERE, resume=True)
        before = content_of(tmp_path)
        assert "another run has started here" in run_task(job.key, task).error
        assert content_of(tmp_path) == before

    def test_unfinished_store_that_is_swapped_gets_no_chunk(self, stalled, tmp_path, monkeypatch):
        job, task, _ = stalled
        wip, draw = tmp_path / "tiny.zarr.wip", Additive.draw

        def swap(*args):
            wip.rename(tmp_path / "aside")
            wip.mkdir()
            return draw(*args)

        monkeypatch.setattr(Additive, "draw", swap)
        assert run_task(job.key, task).error
        assert list(wip.iterdir()) == []

    def test_worker_holds_the_jobs_of_two_turns_apart(self, stalled, tmp_path):
        job, task, begin = stalled
        new = begin(BARE)  # the same recipe, continued by another driver
        assert (new.fingerprint, new.key == job.key) == (job.fingerprint, False)
        assert run_task(new.key, task).unready
        assert "another run has started here" in run_task(job.key, task).error

    def test_parts_share_an_epoch(self, tmp_path, bare_once):
        for k in (2, 1, 3):
            run_part(BARE, load_bundle(BUNDLE), tmp_path, (k, 3), HERE)
        finalise_store(tmp_path / "tiny.zarr")
        assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(bare_once / "tiny.zarr")


class TestFullDisk:
    def test_error_names_the_file(self, tmp_path, monkeypatch):
        write = os.write

        def full(handle, data):
            if len(data) > 200:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(handle, data)

        make(tmp_path, recipe=BARE)
        (tmp_path / "tiny.zarr/volume/c/1/0/0/0").unlink()
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match=r"No space left on device.*tiny\.run/run\.json") as caught:
            make(tmp_path, recipe=BARE, resume=True)
        assert len(str(caught.value).splitlines()) == 1

    def test_failure_of_a_library_names_the_store(self, tmp_path, monkeypatch):
        def full(*args):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(volumes, "write_block", full)
        with pytest.raises(StoreError, match=rf"No space left on device \(in {tmp_path}/tiny\.zarr\.wip\)"):
            make(tmp_path, recipe=BARE)


def test_settings_hold_no_epoch_so_that_stores_stay_the_same(bare_once):
    assert not list((bare_once / "tiny.zarr").rglob(".epoch"))
    assert "epoch" not in json.loads((bare_once / "tiny.run/run.json").read_text())
