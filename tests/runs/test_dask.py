"""Runs on Dask: the same bytes however the work is spread, whoever dies on the way, and nothing left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml
from distributed import WorkerPlugin

from nmcdist.bundle import save_bundle
from nmcdist.datasets.integrity import verify
from nmcdist.errors import BundleError, StoreError
from nmcdist.runs import execute
from nmcdist.runs.deployment import Deployment
from nmcdist.runs.progress import Silent
from tests.conftest import SMALL, TINY, make, make_particles, recipe_with, store_sha256


def workers_of(process):
    return [
        child for child in psutil.Process(process).children(recursive=True) if "spawn_main" in " ".join(child.cmdline())
    ]


def spread(workers, threads):
    return Deployment(workers=workers, threads_per_worker=threads, memory_per_worker="2GiB", dashboard=False)


class KillsAWorker(Silent):
    """Kills one worker with SIGKILL as soon as the first task is done."""

    killed = 0

    def advance(self, done):
        if not self.killed:
            workers_of(os.getpid())[0].kill()
            self.killed += 1


class Recorded(Silent):
    def __init__(self):
        self.events = {}

    def event(self, name, **facts):
        self.events[name] = facts


@pytest.fixture
def command(tmp_path):
    """The command line of a run on two workers, for a process that the test may kill."""
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump({**TINY, "realisations": 6}))
    run = [sys.executable, "-m", "nmcdist.cli", "run", str(recipe), "--out", str(tmp_path / "out")]
    return [*run, "--memory", "2GiB", "--workers", "2"]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_one_worker_of_two_threads_gives_the_same_bytes(made_once, tmp_path):
    recorded = Recorded()
    make(tmp_path, Deployment(workers=1, threads_per_worker=2, memory_per_worker="2GiB"), progress=recorded)
    assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")
    assert recorded.events["dashboard"]["link"].startswith("http://")
    assert workers_of(os.getpid()) == []


def test_a_worker_killed_mid_run_changes_nothing(made_once, tmp_path):
    progress = KillsAWorker()
    result = make(tmp_path, spread(2, 1), progress=progress)
    assert progress.killed == 1
    assert result.failed == {}
    assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")


def test_a_killed_driver_takes_its_workers_along_and_resume_makes_only_the_rest(command, tmp_path):
    receipts = tmp_path / "out/tiny.run/receipts"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as driver:
        wait_for(lambda: receipts.exists() and len(list(receipts.glob("*.json"))) >= 3)
        workers = workers_of(driver.pid)
        driver.kill()
    assert len(workers) == 2
    wait_for(lambda: not any(worker.is_running() for worker in workers))
    kept = {path: path.stat().st_mtime_ns for path in receipts.glob("*.json")}
    assert 3 <= len(kept) < 12
    recipe = recipe_with(realisations=6)
    result = make(tmp_path / "out", recipe=recipe, resume=True)
    assert (result.made, result.kept) == (12 - len(kept), len(kept))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    make(tmp_path / "once", recipe=recipe)
    assert store_sha256(tmp_path / "out/tiny.zarr") == store_sha256(tmp_path / "once/tiny.zarr")


def test_particles_survive_a_killed_worker(made_particles, small_bundle, tmp_path):
    progress = KillsAWorker()
    assert make_particles(tmp_path, small_bundle, spread(2, 1), progress=progress).failed == {}
    assert progress.killed == 1
    assert store_sha256(tmp_path / "small.zarr") == store_sha256(made_particles / "small.zarr")


def test_particles_survive_a_killed_driver(made_particles, small_bundle, tmp_path):
    save_bundle(small_bundle, tmp_path / "small-radial")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump(SMALL))
    command = [sys.executable, "-m", "nmcdist.cli", "run", str(recipe), "--out", str(tmp_path / "out")]
    receipts = tmp_path / "out/small.run/receipts"
    with subprocess.Popen([*command, "--workers", "0"], stderr=subprocess.DEVNULL) as driver:
        wait_for(lambda: receipts.exists() and len(list(receipts.glob("*.json"))) >= 1)
        driver.kill()
    kept = len(list(receipts.glob("*.json")))
    result = make_particles(tmp_path / "out", small_bundle, resume=True)
    assert (result.made, result.kept) == (3 - kept, kept)
    assert kept < 3
    assert store_sha256(tmp_path / "out/small.zarr") == store_sha256(made_particles / "small.zarr")


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, "2"), (signal.SIGTERM, "0")])
def test_an_interrupt_ends_the_workers_and_says_how_to_go_on(command, tmp_path, number, workers):
    command[-1] = workers
    # So many items that the run cannot be over before the signal reaches it.
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "realisations": 200}))
    receipts = tmp_path / "out/tiny.run/receipts"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as driver:
        wait_for(lambda: receipts.exists() and len(list(receipts.glob("*.json"))) >= 1)
        workers = workers_of(driver.pid)
        os.killpg(driver.pid, number)  # as a terminal does it: the workers get it too
        _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 130
    said = [line for line in errors.splitlines() if not line.startswith("{")]
    assert len(said) == 1
    assert said[0].startswith("nmcdist: error: interrupted; continue with: nmcdist run ")
    assert said[0].endswith("--resume")
    assert not any(worker.is_running() for worker in workers)
    assert (tmp_path / "out/tiny.zarr.wip").exists()
    assert not (tmp_path / "out/tiny.zarr").exists()


_DEADLY = """
def run_group(fingerprint, tasks):
    import os
    from nmcdist.runs import task as module
    if any(task.sample == 1 for task in tasks):
        os._exit(1)
    return [module.run_task(fingerprint, task) for task in tasks]
"""


def test_an_interrupt_that_a_library_swallows_still_ends_the_run(tmp_path):
    class Swallowed(Silent):
        def advance(self, done):
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, Deployment(workers=0), progress=Swallowed())
    assert not (tmp_path / "tiny.zarr").exists()
    assert make(tmp_path, resume=True).kept == 1


def test_a_task_that_kills_its_workers_is_given_up_while_the_others_go_on(tmp_path, monkeypatch):
    names = {"__name__": "__main__"}  # so that it is sent to the workers by value
    exec(_DEADLY, names)
    monkeypatch.setattr(execute, "run_group", names["run_group"])
    result = make(tmp_path, spread(1, 1))
    assert list(result.failed) == [1]
    assert "died 3 times" in result.failed[1]
    assert "killed from outside or crashed" in result.failed[1]
    assert "the task needs about" in result.failed[1]
    assert "a worker has 2.0 GiB" in result.failed[1]
    assert result.made == 3
    assert not (tmp_path / "tiny.zarr").exists()


def test_workers_without_the_bundle_get_it_again(tmp_path, monkeypatch):
    plugin, given = execute._plugin, []

    def idle_at_first(job):
        given.append(WorkerPlugin() if not given else plugin(job))
        return given[-1]

    monkeypatch.setattr(execute, "_plugin", idle_at_first)
    result = make(tmp_path, spread(1, 1))
    assert len(given) >= 2
    assert result.failed == {}
    assert verify(tmp_path / "tiny.zarr") == []


def test_a_bundle_that_changed_under_the_run_stops_it(tmp_path, monkeypatch):
    monkeypatch.setattr("nmcdist.runs.run.keep_bundle", lambda bundle, folder: tmp_path / "gone")
    with pytest.raises(BundleError, match="gone"):
        make(tmp_path, spread(1, 1))
    assert workers_of(os.getpid()) == []


def test_without_workers_the_run_stops_instead_of_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "patience_s", lambda deployment: 1.0)

    class Retires(Silent):
        def advance(self, done):
            if done == 0:
                return
            from distributed import default_client

            default_client().cluster.scale(0)

    with pytest.raises(StoreError, match="no worker for 1 s; the run can be continued with --resume"):
        make(tmp_path, spread(1, 1), progress=Retires())
