"""Status: who works on a run, what the receipts of its journal say of its pace, and which names find it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nmcdist.errors import StoreError
from nmcdist.execution.journal import Journal, Receipt
from nmcdist.runs.locks import locked
from nmcdist.runs.status import status_of
from tests.conftest import StopsAfter, make, recipe_with

DAY_S = 86400.0


@pytest.fixture
def journal(tmp_path):
    """The journal of a run of ten tasks in the making."""
    (tmp_path / "a.zarr.wip").mkdir()
    made = Journal(tmp_path / "a.run")
    made.write_settings({"tasks": 10})
    return made


def end(journal, *ages, seconds=1.0):
    """Write receipts so many seconds old, of tasks that took so long."""
    now = time.time()
    for age in ages:
        task = f"t{age:.0f}"
        journal.write_receipt(Receipt(task=task, fingerprint="f", files={}, seconds={"draw": seconds}))
        os.utime(journal.folder / f"receipts/{task}.json", (now - age,) * 2)


def of(journal):
    return status_of(journal.folder.with_name("a.zarr"))


def test_a_pause_does_not_slow_the_rate(journal):
    end(journal, DAY_S + 20, DAY_S + 10, 20, 10, 0)
    with locked(journal.folder):
        found = of(journal)
    assert found.state == "running"
    assert found.rate == pytest.approx(0.1, rel=0.01)
    assert found.seconds_left == pytest.approx(50, rel=0.01)
    assert "rate: 0.1 tasks per second, 50 s left" in found.lines()


def test_slow_tasks_are_no_pauses(journal):
    end(journal, 3000, 2000, 1000, 0, seconds=900.0)
    assert of(journal).rate == pytest.approx(1e-3, rel=0.01)


def test_where_nobody_seems_to_be_at_work_no_time_is_left(journal):
    end(journal, DAY_S + 10, DAY_S)
    with locked(journal.folder):
        found = of(journal)
    assert found.seconds_left is None
    assert found.idle == pytest.approx(DAY_S, rel=0.01)
    assert any(line.endswith("s: no worker seems to be running") for line in found.lines())
    assert not any("left" in line for line in found.lines())


def test_a_task_that_began_of_late_is_work(journal):
    end(journal, DAY_S + 10, DAY_S)
    journal.write_start("t1", "node7:123")
    assert of(journal).idle is None


def test_a_receipt_that_vanishes_meanwhile_does_not_count(journal, monkeypatch):
    end(journal, 20, 10, 0)
    listed = Journal.receipts

    def one_vanishes(self):
        for entry in list(listed(self)):
            if entry.name == "t10.json":
                Path(entry.path).unlink()
            yield entry

    monkeypatch.setattr(Journal, "receipts", one_vanishes)
    assert of(journal).done == 2


def test_the_store_in_the_making_names_its_run_too(journal):
    end(journal, 0)
    assert status_of(journal.folder.with_name("a.zarr.wip")).store == journal.folder.with_name("a.zarr")


def test_a_store_that_came_without_its_journal_is_said_to_be_finished(store):
    store.with_name("tiny.run").rename(store.with_name("elsewhere"))
    with pytest.raises(StoreError, match=r"no run is recorded beside it .*; it is finished"):
        status_of(store)
    (store / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"has no manifest\.json, so it was never finished"):
        status_of(store)


class TestState:
    """Told by the lock, and by what is there."""

    def test_interrupted_run_promises_no_time_and_says_how_to_go_on(self, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, recipe=recipe_with(descriptors=None), progress=StopsAfter(2))
        found = status_of(tmp_path / "tiny.zarr")
        assert (found.state, found.seconds_left, found.drivers) == ("interrupted", None, ())
        assert found.lines()[0] == f"{tmp_path}/tiny.zarr: interrupted, 2 of 4 tasks done, 0 failed"
        assert found.lines()[1] == f"continue with: nmcdist run RECIPE --out {tmp_path} --resume"
        assert not any("left" in line for line in found.lines())

    def test_run_whose_driver_lives_names_it(self, journal):
        end(journal, 20, 10, 0)
        with locked(journal.folder):
            lines = of(journal).lines()
        assert f"running: process {os.getpid()} on {socket.gethostname()}" in lines
        assert any(line.endswith("70 s left") for line in lines)
        assert of(journal).state == "interrupted"

    def test_parts_at_work_are_named(self, journal):
        end(journal, 10, 0)
        with locked(journal.folder, (1, 3)), locked(journal.folder, (3, 3)):
            assert [driver.holds for driver in of(journal).drivers] == [True, True]
            assert of(journal).state == "running"
        assert of(journal).state == "interrupted"

    def test_looking_on_bars_nobody(self, journal):
        with locked(journal.folder):
            of(journal)
            with pytest.raises(StoreError, match="is working on this dataset"), locked(journal.folder):
                pass

    def test_killed_driver_on_this_machine_is_known_to_be_gone(self, journal):
        end(journal, 20, 10, 0)
        code = (
            "import sys, time; from pathlib import Path; from nmcdist.runs.locks import locked\n"
            "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
        )
        command = [sys.executable, "-c", code, str(journal.folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "held\n"
            assert of(journal).state == "running"
            child.kill()
        found = of(journal)
        assert (found.state, found.seconds_left) == ("interrupted", None)
        assert f"died: process {child.pid} on {socket.gethostname()}" in found.lines()

    @pytest.mark.parametrize(("age", "state"), [(10, "running"), (DAY_S, "interrupted")])
    def test_driver_on_another_machine_is_judged_by_its_last_sign(self, journal, age, state):
        end(journal, age + 20, age + 10, age)
        owner = {"process": 77, "host": "node7", "since": time.time() - age - 60}
        (journal.folder / "lock").touch()
        (journal.folder / "lock.owner").write_text(json.dumps(owner))
        found = of(journal)
        assert (found.state, found.seconds_left) == (state, None)
        assert any(
            line.startswith("started by process 77 on node7, on another host; last activity") for line in found.lines()
        )

    def test_run_without_a_task_was_never_started(self, journal):
        assert of(journal).state == "never started"
        assert of(journal).lines()[0].endswith("never started, 0 of 10 tasks done, 0 failed")

    def test_failed_tasks_are_to_be_tried_again(self, journal):
        end(journal, 90, 80, 70, 60, 50, 40, 30, 20, 10)
        journal.write_failure("t0", "ZeroDivisionError")
        assert of(journal).lines()[-2] == f"continue with: nmcdist retry-failed {journal.folder.with_name('a.zarr')}"

    def test_finished(self, store):
        assert status_of(store).state == "finished"
        assert status_of(store).lines()[0].startswith(f"{store}: finished and published, 4 of 4 tasks done")

    def test_folder_that_is_no_store_is_not_finished(self, tmp_path):
        (tmp_path / "a.zarr").mkdir()
        (tmp_path / "a.zarr/notes.txt").write_text("mine")
        with pytest.raises(StoreError, match="not a store"):
            status_of(tmp_path / "a.zarr")
        with pytest.raises(StoreError, match="no such store"):
            status_of(tmp_path / "b.zarr")

    def test_journal_whose_store_is_gone_is_no_run(self, journal):
        (journal.folder.with_name("a.zarr.wip")).rmdir()
        with pytest.raises(StoreError, match="no such store, only the journal"):
            of(journal)

    def test_receipts_that_are_no_files_do_not_count(self, journal):
        end(journal, 3.0)
        os.mkfifo(journal.folder / "receipts/zz.json")
        (journal.folder / "receipts/yy.json").mkdir()
        assert of(journal).done == 1

    @pytest.mark.parametrize("name", ["a.run/receipts", "a.zarr.wip"])
    def test_link_in_the_place_of_a_folder_is_named(self, journal, name, tmp_path):
        path = journal.folder.parent / name
        if path.exists():
            shutil.rmtree(path)
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match=rf"{name}: is a link, expected a folder of the run's own"):
            of(journal)
