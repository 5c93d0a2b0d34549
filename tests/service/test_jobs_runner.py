"""How a job goes on after its child ended in one way or another; shells stand in for `nmcdist run`."""

import json
import time

import pytest

from nmcdist.execution.execute import _GONE
from nmcdist.service.jobs import processes, runner
from nmcdist.service.jobs.queue import Queue
from nmcdist.service.settings import JobSettings

STEPS = "".join(f"echo '{json.dumps({'event': 'progress', 'done': done, 'total': 3})}'; " for done in (1, 2, 3))


class Shell(runner.Runner):
    """Runs a line of shell in place of a recipe."""

    line = ""

    def command(self, job):
        return ["sh", "-c", self.line]


def after(folder, line, seconds=20.0, cancel=False, **settings):
    """The job, and its events, once its only attempt has ended."""
    queue = Queue(folder / "queue.sqlite")
    shell = Shell(queue, JobSettings(folder, **settings), lambda job: None)
    shell.line = line
    shell.folder("a").mkdir(parents=True)
    queue.add("a", "page", {"name": "tiny"}, {"cores": 2}, waiting=1)
    shell.start()
    end = time.monotonic() + seconds
    while queue.get("a").attempts == 0 or queue.get("a").state == "running":
        assert time.monotonic() < end
        if cancel and queue.cancel("a").cancelling:
            shell.cancel("a")
        time.sleep(0.05)
    shell.stop()
    found = queue.get("a")
    events = [event for _, event in queue.events(found, 0)]
    queue.close()
    return found, events


@pytest.mark.parametrize(("line", "state", "message"), [
    ("echo 'nmcdist: error: disk: {folder}/jobs/a: full' >&2; exit 2", "failed", "disk: jobs/a: full"),
    ("echo 'nmcdist: error: items not made: 3'; exit 1", "failed", "items not made: 3"),
    (f"echo 'nmcdist: error: {_GONE}'; exit 2", "queued", _GONE),
    ("echo 'nmcdist: error: address: no Dask scheduler answers at tls://a:1; check it'; exit 2", "queued",
     "address: no Dask scheduler answers at tls://a:1; check it"),
    ("kill -9 $$", "queued", "the run ended with status -9"), ("exit 77", "queued", "the run ended with status 77"),
])  # fmt: skip
def test_a_fault_ends_a_job_and_an_accident_lets_it_wait(tmp_path, line, state, message):
    found, events = after(tmp_path, line.replace("{folder}", str(tmp_path)))
    assert (found.state, found.message) == (state, message)
    assert events[-1]["message"] == message


def test_progress_is_kept_first_and_last(tmp_path):
    found, events = after(tmp_path, f"{STEPS} echo '[1]'; echo 'no event'; exit 1")
    assert (found.done, found.total) == (3, 3)
    steps = [event["done"] for event in events if event["event"] == "progress"]
    assert steps[0] == 1 and steps[-1] == 3
    assert found.message == "no event"


def test_a_job_that_uses_more_than_its_core_hours_is_stopped(tmp_path):
    found, _ = after(tmp_path, "exec sleep 100", core_hours=2 / 3600)  # one second on two cores
    assert (found.state, found.message) == ("failed", "stopped: it has used its 0.000556 core hours")
    assert 2 <= found.used_s < 20


def test_a_child_that_ignores_the_signal_is_killed_with_its_own_children(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "GRACE_S", 0.5)
    found, _ = after(tmp_path, "trap '' TERM; sleep 100 & while :; do sleep 0.1; done", cancel=True)
    assert found.state == "cancelled"


def test_a_run_that_cannot_be_started_waits_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(Shell, "command", lambda self, job: [str(tmp_path / "gone")])
    found, _ = after(tmp_path, "")
    assert (found.state, found.message) == ("queued", "the run cannot be started (No such file or directory)")
