"""Status: what the receipts of a journal tell of the pace of a run, and which names find it."""

import os
import time
from pathlib import Path

import pytest

from nmcdist.errors import StoreError
from nmcdist.runs.journal import Journal, Receipt
from nmcdist.runs.status import status_of

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
    found = of(journal)
    assert found.rate == pytest.approx(0.1, rel=0.01)
    assert found.seconds_left == pytest.approx(50, rel=0.01)
    assert "rate: 0.1 tasks a second, 50 s left" in found.lines()


def test_slow_tasks_are_no_pauses(journal):
    end(journal, 3000, 2000, 1000, 0, seconds=900.0)
    assert of(journal).rate == pytest.approx(1e-3, rel=0.01)


def test_where_nobody_seems_to_be_at_work_no_time_is_left(journal):
    end(journal, DAY_S + 10, DAY_S)
    found = of(journal)
    assert found.seconds_left is None
    assert found.idle == pytest.approx(DAY_S, rel=0.01)
    assert any(line.endswith("s: no worker seems to be at work") for line in found.lines())
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


def test_a_store_that_came_without_its_journal_is_said_to_be_finished(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(StoreError, match=r"no run is recorded beside it .*; it is finished"):
        status_of(tmp_path / "a.zarr")
