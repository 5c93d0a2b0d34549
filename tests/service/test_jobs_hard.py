"""Jobs on a full disk, under a clock that jumps, and cancelled at bad moments; shells stand in for `nmcdist run`."""

import json
import resource
import shutil
import subprocess
import sys
import time

import pytest

from nmcdist.errors import StoreError
from nmcdist.service.jobs import queue as queues
from nmcdist.service.jobs import runner
from nmcdist.service.jobs.cluster import SharedCluster
from nmcdist.service.jobs.desk import Desk
from nmcdist.service.jobs.queue import Queue, QueueError
from nmcdist.service.jobs.tokens import make_token
from nmcdist.service.settings import JobSettings
from nmcdist.service.shelf import Shelf
from tests.service.test_jobs import FAST
from tests.service.test_jobs_runner import Shell


@pytest.fixture
def queue(tmp_path):
    queue = Queue(tmp_path / "queue.sqlite")
    yield queue
    queue.close()


@pytest.fixture
def start(tmp_path, queue):
    """Starts a runner whose jobs are lines of shell; the function returns it."""
    started = []

    def start(line, show=lambda job: None, cluster=None):
        shell = Shell(queue, JobSettings(tmp_path), show, cluster)
        shell.line = line
        started.append(shell)
        shell.start()
        return shell

    yield start
    for shell in started:
        shell.stop()


def queued(queue, tmp_path, job):
    """A queued job, with its folder."""
    (tmp_path / "jobs" / job).mkdir(parents=True)
    return queue.add(job, "page", {"name": "tiny", "version": "1.0.0"}, {"cores": 1}, waiting=9)


def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def full_disk(queue):
    """Let the file of the queue grow no more; returns what gives it room again."""
    (pages,) = queue._base.execute("PRAGMA page_count").fetchone()
    queue._base.execute(f"PRAGMA max_page_count = {pages}")
    return lambda: queue._base.execute("PRAGMA max_page_count = 1000000")


def test_a_full_disk_changes_nothing_in_the_queue_and_it_goes_on_afterwards(queue, tmp_path):
    queued(queue, tmp_path, "a")
    before, room = queue.get("a"), full_disk(queue)
    with pytest.raises(QueueError, match="cannot be written"):
        queue.add("b", "x" * 100_000, {}, {}, waiting=9)
    room()
    assert queue.get("a") == before and len(queue.newest(100, 100)) == 1
    assert queue.add("b", "x" * 100_000, {}, {}, waiting=9).id == "b"


def test_a_commit_that_fails_leaves_no_open_transaction(queue, tmp_path):
    queued(queue, tmp_path, "a")
    size = (tmp_path / "queue.sqlite-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(QueueError, match="cannot be written"):
            queue.add("b", "page", {}, {}, waiting=9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [job.id for job in queue.newest(100, 100)] == ["a"]
    assert queue.add("b", "page", {}, {}, waiting=9).state == "queued"


def test_a_job_that_ends_while_the_disk_is_full_is_recorded_once_there_is_room(queue, tmp_path, start, monkeypatch):
    monkeypatch.setattr(runner, "_AGAIN_S", 0.1)
    queued(queue, tmp_path, "a")
    fault = iter(["end", "end"])

    def end(*arguments, **how):
        if next(fault, None):
            raise QueueError("the queue cannot be written (database or disk is full)")
        return original(*arguments, **how)

    original = queue.end
    monkeypatch.setattr(queue, "end", end)
    monkeypatch.setattr(
        queue, "progress", lambda *arguments: (_ for _ in ()).throw(QueueError("the queue cannot be written"))
    )
    start(f"echo '{json.dumps({'event': 'progress', 'done': 1, 'total': 1})}'; echo 'nmcdist: error: no'; exit 1")
    until(lambda: queue.get("a").state == "failed")
    assert (queue.get("a").message, queue.get("a").attempts) == ("no", 1)


def test_a_submission_on_a_full_disk_leaves_nothing_and_asks_to_come_again(tmp_path, monkeypatch):
    make_token(tmp_path, "page")
    desk = Desk(JobSettings(tmp_path), Shelf("", []))
    try:
        with monkeypatch.context() as patched:
            patched.setattr("nmcdist.service.jobs.desk.Folder.write", _no_space)
            with pytest.raises(QueueError, match="No space left"):
                desk.submit(FAST, "page")
        assert list((tmp_path / "jobs").iterdir()) == [] and desk.queue.newest(10, 10) == []
        assert desk.submit(FAST, "page").state == "queued"
    finally:
        desk.stop()


def _no_space(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("jump_s", [-1e8, 1e8])
def test_a_clock_that_jumps_delays_no_job_and_charges_none(queue, tmp_path, start, monkeypatch, jump_s):
    queued(queue, tmp_path, "a")
    queue.claim()
    queue.progress("a", {"event": "progress", "done": 1, "total": 9}, 2.5)
    queue.requeue("a", 1.0, "lost", strikes=1, pause_s=10.0)
    true = time.time
    monkeypatch.setattr(queues.time, "time", lambda: true() + jump_s)
    claimed = queue.claim()
    assert (claimed.id, claimed.used_s, claimed.attempt_s) == ("a", 1.0, 0.0)
    queue.progress("a", {"event": "progress", "done": 2, "total": 9}, 3.5)
    start("exec sleep 60")  # as after the service died: the attempt counts until its last event
    until(lambda: queue.get("a").attempts == 3)
    assert queue.get("a").used_s == 4.5


def test_what_a_dead_service_left_behind_is_ended_whatever_its_cluster_was(queue, tmp_path, start):
    queued(queue, tmp_path, "a")
    queue.claim()
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    mine = ["nmcdist.cli", "run", str(tmp_path / "jobs/a/recipe.yaml"), "--cluster", "other.yaml"]
    other = ["nmcdist.cli", "run", str(tmp_path / "jobs/b/recipe.yaml")]
    with subprocess.Popen([*sleep, *mine]) as orphan, subprocess.Popen([*sleep, *other]) as stranger:
        start("exec sleep 60")
        until(lambda: queue.get("a").attempts == 2)
        assert (orphan.poll() is not None, stranger.poll()) == (True, None)
        stranger.kill()


def test_only_attempts_in_a_row_without_a_finished_task_end_a_job(queue, tmp_path, start, monkeypatch):
    monkeypatch.setattr(runner, "_PAUSE_S", 0.0)
    queued(queue, tmp_path, "a")
    step = json.dumps({"event": "progress", "done": 7, "total": 99}).replace("7", "'$(cat n)'")
    start(f"cd {tmp_path}; echo x >> x; wc -l < x > n; [ $(cat n) -gt 8 ] || echo '{step}'; kill -9 $$")
    until(lambda: queue.get("a").state == "failed")
    found = queue.get("a")
    assert (found.attempts, found.done) == (8 + runner.STRIKES, 8)


def test_a_job_is_cancelled_while_the_cluster_starts(queue, tmp_path, start):
    queued(queue, tmp_path, "a")
    cluster = SharedCluster(tmp_path / "x.yaml", tmp_path / "cluster", 60.0)
    cluster.command = ["sh", "-c", "cat > /dev/null"]
    shell = start("exit 0", cluster=cluster)
    until(lambda: queue.get("a").state == "running")
    assert queue.cancel("a").cancelling
    shell.cancel("a")
    until(lambda: queue.get("a").state == "cancelled")


def test_a_cluster_that_never_starts_fails_the_job_with_its_reason(queue, tmp_path, start, monkeypatch):
    monkeypatch.setattr(runner, "_PAUSE_S", 0.0)
    queued(queue, tmp_path, "a")
    cluster = SharedCluster(tmp_path / "x.yaml", tmp_path / "cluster", 60.0)
    cluster.command = ["sh", "-c", f"echo '{json.dumps({'event': 'failed', 'text': 'no such queue'})}'; exit 1"]
    start("exit 0", cluster=cluster)
    until(lambda: queue.get("a").state == "failed")
    assert queue.get("a").message == "the Dask cluster does not start: no such queue"
    assert queue.get("a").attempts == runner.STRIKES


def test_a_job_that_finishes_although_it_was_cancelled_is_done(queue, tmp_path, start):
    queued(queue, tmp_path, "a")
    store, shown = tmp_path / "jobs/a/tiny.zarr", []
    finish = f"mkdir {store}; echo '{{}}' > {store}/manifest.json; exit 0"
    shell = start(f"trap '{finish}' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done", shown.append)
    until(lambda: (tmp_path / "up").exists())
    queue.cancel("a")
    shell.cancel("a")
    until(lambda: queue.get("a").state == "done")
    assert [job.id for job in shown] == ["a"] and len(queue.get("a").manifest_sha256) == 64


def test_a_finished_store_that_cannot_be_read_is_an_accident(queue, tmp_path, start, monkeypatch):
    monkeypatch.setattr(runner, "_PAUSE_S", 0.0)
    queued(queue, tmp_path, "a")

    def show(job):
        raise StoreError(f"{tmp_path}/jobs/a/tiny.zarr: is damaged")

    start("exit 0", show)
    until(lambda: queue.get("a").state == "failed")
    assert queue.get("a").message == "jobs/a/tiny.zarr: is damaged"


def test_a_job_whose_folder_is_gone_fails_and_the_next_one_runs(queue, tmp_path, start, monkeypatch):
    monkeypatch.setattr(runner, "_PAUSE_S", 0.0)
    for job in ("a", "b"):
        queued(queue, tmp_path, job)
    shutil.rmtree(tmp_path / "jobs/a")
    start("echo 'nmcdist: error: ran'; exit 1")
    until(lambda: queue.get("b").state == "failed")
    assert queue.get("b").message == "ran"
    until(lambda: queue.get("a").state == "failed")
    assert "cannot be started" in queue.get("a").message
