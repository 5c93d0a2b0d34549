"""Runs on Dask: the same bytes however the work is spread, whoever dies on the way, and nothing left behind."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import ClassVar

import dask
import psutil
import pytest
import yaml
from distributed import WorkerPlugin, default_client

from nmcdist.bundle import save_bundle
from nmcdist.clusters import nanny
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.integrity import verify
from nmcdist.errors import BundleError, StoreError
from nmcdist.execution import execute
from nmcdist.runs.progress import Silent
from tests.clusters.test_scripts import both
from tests.conftest import SMALL, TINY, make, make_particles, recipe_with, store_sha256

OLDER = set()  # what earlier tests may have left behind is none of the workers of this one


@pytest.fixture(autouse=True)
def what_is_older():
    OLDER.clear()
    OLDER.update(workers_of(os.getpid()))


def workers_of(process):
    found = []
    for child in psutil.Process(process).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "spawn_main" in " ".join(child.cmdline()) and child not in OLDER:
                found.append(child)
    return found


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


TWICE = """
import sys
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment

if __name__ == "__main__":
    assert "distributed" not in sys.modules
    for k in range(2):
        with connected(Deployment(workers=1, dashboard=False), Resources(1, 1, 2**29, None)) as client:
            assert client.submit(abs, -7).result(timeout=30) == 7
"""


def test_a_second_run_in_a_process_finds_dask_as_the_first_one_did(tmp_path):
    """In a process of its own, which has not loaded Dask before its first run."""
    (tmp_path / "twice.py").write_text(TWICE)
    done = subprocess.run([sys.executable, "twice.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


class Assassin(threading.Thread):
    """Kills the workers of this process as soon as they begin to start, so many of them."""

    def __init__(self, victims):
        super().__init__(daemon=True)
        self.victims, self.killed, self.over = victims, set(), threading.Event()

    def run(self):
        while len(self.killed) < self.victims and not self.over.wait(0.02):
            for worker in workers_of(os.getpid()):
                if worker.pid not in self.killed and len(self.killed) < self.victims:
                    worker.kill()
                    self.killed.add(worker.pid)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def test_workers_killed_while_they_start_are_started_again(made_once, tmp_path):
    class Warned(Silent):
        texts: ClassVar[list] = []

        def event(self, name, **facts):
            if name == "warning":
                self.texts.append(facts["text"])

    with Assassin(3) as assassin:
        assert make(tmp_path, spread(2, 1), progress=Warned()).failed == {}
    assert len(assassin.killed) == 3
    assert Warned.texts == 3 * ["a worker process was killed by signal 9 while it started; another is started"]
    assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")


def test_a_worker_that_is_always_killed_while_it_starts_ends_the_run_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(nanny, "_MOST_STARTS", 2)
    with (
        Assassin(100),
        pytest.raises(StoreError, match=r"^the Dask workers did not start: a worker process was killed by signal 9"),
    ):
        make(tmp_path, spread(1, 1))


@pytest.mark.parametrize("caught", [False, True])
def test_a_script_without_a_guard_is_told_what_to_write(tmp_path, caught):
    script = "\n".join([
        "from pathlib import Path", "import nmcdist", "from nmcdist.runs import run_recipe",
        "from nmcdist.products.registry import parsed_recipe", f"recipe = parsed_recipe({TINY!r}, 'tiny.yaml')",
        "def start():", "    run_recipe(recipe, nmcdist.load_bundle(recipe.bundle), Path('out'))",
        *(["try:", "    start()", "except nmcdist.NmcdistError as e:", "    print('caught', e)"] if caught
          else ["start()"]),
    ])  # fmt: skip
    (tmp_path / "study.py").write_text(script)
    done = subprocess.run([sys.executable, "study.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    (line,) = (done.stdout if caught else done.stderr).splitlines()
    assert 'write `if __name__ == "__main__":` above the lines that start it' in line
    assert done.returncode == (0 if caught else 1)
    assert (done.stderr if caught else done.stdout) == ""


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
    from nmcdist.execution import worker as module
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
    monkeypatch.setattr("nmcdist.runs.production.keep_bundle", lambda bundle, folder: tmp_path / "gone")
    with pytest.raises(BundleError, match="gone"):
        make(tmp_path, spread(1, 1))
    assert workers_of(os.getpid()) == []


def test_without_workers_the_run_stops_instead_of_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr("nmcdist.clusters.local._LOST_TIMEOUT_S", 1.0)

    class Retires(Silent):
        def advance(self, done):
            if done == 0:
                return
            default_client().cluster.scale(0)

    with pytest.raises(StoreError, match="no worker for 1 s; continue the run with --resume"):
        make(tmp_path, spread(1, 1), progress=Retires())


def test_a_worker_that_takes_long_to_come_back_is_waited_for():
    soon_lost = {"distributed.deploy.lost-worker-timeout": "100ms"}  # less than any process needs to start
    with dask.config.set(soon_lost), connected(*both(spread(1, 1))) as client:
        (before,) = client.scheduler_info()["workers"]
        workers_of(os.getpid())[0].kill()
        wait_for(lambda: set(client.scheduler_info(n_workers=-1)["workers"]) - {before}, 20)
        assert client.submit(abs, -7).result(timeout=10) == 7


def dies_with_its_results(monkeypatch, then=lambda: None):
    """Kill the worker as soon as the first group of tasks is done, before what it returned is fetched."""
    finished, killed = execute._finished, []

    def finished_and_dead(futures):
        found = finished(futures)
        if found and not killed:
            killed.extend(workers_of(os.getpid()))
            then()
            for worker in killed:
                worker.kill()
        return found

    monkeypatch.setattr(execute, "_finished", finished_and_dead)
    return killed


def test_results_that_die_with_their_worker_are_made_again(made_once, tmp_path, monkeypatch):
    killed = dies_with_its_results(monkeypatch)
    assert make(tmp_path, spread(1, 1)).failed == {}
    assert len(killed) == 1
    assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")


def test_results_that_die_with_the_last_worker_are_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("nmcdist.clusters.local._LOST_TIMEOUT_S", 1.0)
    monkeypatch.setattr(execute, "_ANSWER_TIMEOUT_S", 1.0)
    killed = dies_with_its_results(monkeypatch, then=lambda: default_client().cluster.scale(0))
    with pytest.raises(StoreError, match="no worker for 1 s; continue the run with --resume"):
        make(tmp_path, spread(1, 1))
    assert len(killed) == 1


def test_a_way_to_the_results_that_breaks_is_no_failure_of_the_tasks():
    class Cut:
        status = "finished"

        def result(self, timeout):
            raise OSError("connection closed")

    assert execute._group_outcomes(Cut(), [], None) is None


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler with one worker that are not the run's; yields its process and a deployment that uses it."""
    path = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    where = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(path)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(path), "--no-dashboard"]
    options = ["--nthreads", "1", "--memory-limit", "2GiB", "--no-nanny", "--death-timeout", "10"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    with subprocess.Popen([*command, *where], **quiet) as process, subprocess.Popen([*worker, *options], **quiet) as w:
        yield (
            process,
            Deployment(kind="scheduler", workers=1, memory_per_worker="2GiB", scheduler_file=str(path), patience="20s"),
        )
        process.kill()
        w.kill()


def ready(deployment):
    wait_for(lambda: deployment.scheduler_file.exists(), 20)
    return deployment


def test_a_scheduler_that_dies_ends_the_run_in_one_line(scheduler, tmp_path):
    process, deployment = scheduler

    class Kills(Silent):
        def advance(self, done):
            process.kill()

    with pytest.raises(StoreError, match=r"^the Dask scheduler is gone; continue the run with --resume$"):
        make(tmp_path, ready(deployment), recipe=recipe_with(realisations=6), progress=Kills())


def test_workers_that_are_not_the_runs_let_go_of_it_at_its_end(scheduler, tmp_path):
    def left(dask_worker):
        from nmcdist.execution.worker import _held

        return [name for name in dask_worker.plugins if name.startswith("nmcdist")], list(_held)

    deployment = ready(scheduler[1])
    assert make(tmp_path, deployment).failed == {}
    with connected(*both(deployment)) as client:
        assert list(client.run(left).values()) == [([], [])]


def test_workers_without_the_package_are_named_in_one_line(tmp_path, monkeypatch):
    class Strange(WorkerPlugin):
        def setup(self, worker):
            raise ModuleNotFoundError("No module named 'nmcdist'")

    monkeypatch.setattr(execute, "_plugin", lambda job: Strange())
    with pytest.raises(StoreError) as caught:
        make(tmp_path, spread(1, 1))
    assert str(caught.value) == (
        "the workers cannot load the job: No module named 'nmcdist'; install the same nmcdist in their "
        "environment or image"
    )


def test_a_signal_that_a_library_set_back_does_not_end_the_driver():
    """Gmsh does so; a write to a worker that is gone would end the process without a word."""
    libc = ctypes.CDLL(None)
    libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGPIPE, None)  # SIG_DFL
    with connected(*both(Deployment(workers=1, threads_per_worker=1, memory_per_worker="512MiB"))):
        left, right = socket.socketpair()
        right.close()
        with left, pytest.raises(BrokenPipeError):
            left.send(b"x")


def test_the_drivers_environment_is_its_own_again_and_its_kernels_can_still_be_compiled(tmp_path):
    """Dask sets the threads of workers in the driver, too; numba then refuses to compile with other ones."""
    script = (
        "import os\nfrom nmcdist.clusters.connect import connected\nfrom nmcdist.clusters.resources import Resources\n"
        "from nmcdist.clusters.deployment import Deployment\n"
        "from nmcdist import threads\nfrom nmcdist.jit import kernel\n"
        "@kernel\ndef half(x):\n    return x / 2\n"
        "if __name__ == '__main__':\n"
        "    threads.set_thread_count(2)\n    before = dict(os.environ)\n"
        "    one = Deployment(workers=1, threads_per_worker=1, dashboard=False)\n"
        "    with connected(one, Resources(1, 1, 2**30)) as client:\n"
        "        counts = client.run(lambda: (os.environ['NUMBA_NUM_THREADS'], os.environ['OMP_NUM_THREADS']))\n"
        "        assert set(counts.values()) == {('1', '1')}\n        half(3.0)\n"
        "    half(3)\n    changed = {name for name, _ in os.environ.items() ^ before.items()}\n"
        "    assert not {name for name in changed if 'THREADS' in name or 'MALLOC' in name}, changed\n"
    )
    (tmp_path / "script.py").write_text(script)
    without_threads = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env=without_threads | {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(tmp_path / "kept")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
