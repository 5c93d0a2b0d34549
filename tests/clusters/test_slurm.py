"""A real SLURM on this host: what it is asked before a run, and workers that are its jobs."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import dask
import pytest
import yaml

from nmcdist.bundle import load_bundle
from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment, load_deployment
from nmcdist.clusters.resources import Machine
from nmcdist.clusters.sizing import resources_for
from nmcdist.errors import PlanError, StoreError
from nmcdist.execution import execute
from nmcdist.products.plan import Job, Task
from nmcdist.runs.partition import finalise_store, run_part
from tests.conftest import BUNDLE, HERE, TINY, make, recipe_with, store_sha256

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "slurm" / "one_host.sh"
MACHINE = Machine(2, 2**33)
SOON_S = 30.0


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """Two nodes of SLURM; where it is not installed the tests are skipped, unless the environment forbids that."""
    if shutil.which("sbatch") is None or shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        assert not os.environ.get("NMCDIST_REQUIRE_SLURM"), "SLURM is not installed: slurmctld, slurmd, slurm-client"
        pytest.skip("SLURM is not installed")
    folder = tmp_path_factory.mktemp("slurm")
    before = os.environ.get("SLURM_CONF")
    up = subprocess.run([SCRIPT, "up", folder, "2"], capture_output=True, text=True, timeout=90, check=False)
    assert up.returncode == 0, up.stderr
    os.environ["SLURM_CONF"] = up.stdout.strip()
    yield folder
    subprocess.run([SCRIPT, "down", folder], timeout=60, check=True)
    os.environ.pop("SLURM_CONF")
    if before is not None:
        os.environ["SLURM_CONF"] = before


@pytest.fixture
def deployed(slurm, tmp_path):
    def deploy(**changes):
        small = {
            "workers": 2, "threads_per_worker": 1, "memory_per_worker": "512MiB", "walltime": "0:05:00",
            "queue": "debug", "interface": "lo", "log_folder": str(tmp_path / "logs"),
            "local_folder": str(tmp_path / "scratch"), "patience": "60s", "dashboard": False,
        }  # fmt: skip
        deployment = load_deployment(ROOT / "deployments" / "slurm.yaml", **{**small, **changes})
        return deployment, resources_for(deployment, MACHINE, 10, lambda threads: 0.0)

    return deploy


def jobs(states="PD,R"):
    """Return the numbers of the jobs that wait or run, or are in other states."""
    text = subprocess.run(
        ["squeue", "-h", "-t", states, "-o", "%A"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    return sorted(map(int, text.split()))


def wait_until(condition, within_s=90.0):
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < within_s
        time.sleep(0.2)
    return time.monotonic() - start


def preflight(deployment, resources):
    cluster_of(deployment).preflight(deployment, resources)


def test_a_good_deployment_passes_and_nothing_is_queued(deployed):
    preflight(*deployed())
    assert jobs() == []


@pytest.mark.parametrize(
    ("changes", "advice"),
    [({"queue": "nope"}, "queue: found 'nope', expected one of: debug"),
     ({"memory_per_worker": "900GiB"}, "memory_per_worker, threads_per_worker: more than a node of debug has; its "
      "largest nodes have 4 cores, 8.0 GiB"),
     ({"threads_per_worker": 64}, "memory_per_worker, threads_per_worker: more than a node"),
     ({"gpus_per_worker": 1}, "gpus_per_worker: 1 are not in queue debug"),
     ({"walltime": "2d"}, "walltime: found 48:00:00, queue debug allows 24:00:00"),
     ({"directives": ["--no-such-option"]}, "slurm refuses the job: sbatch: unrecognized option"),
     ({"interface": "ib99"}, "interface: found 'ib99', expected one of this host")],
)  # fmt: skip
def test_what_slurm_would_refuse_is_an_error_soon(deployed, changes, advice):
    start = time.monotonic()
    with pytest.raises(PlanError) as caught:
        preflight(*deployed(**changes))
    assert str(caught.value).startswith(advice)
    assert time.monotonic() - start < SOON_S


def test_a_slurm_that_is_not_there_is_an_error_soon(deployed, tmp_path, monkeypatch):
    good, start = deployed(), time.monotonic()
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "none"))
    monkeypatch.setattr("nmcdist.clusters.ask.ANSWER_TIMEOUT_S", 4.0)
    with pytest.raises(PlanError, match=r"SLURM_CONF|did not answer within 4 s"):
        preflight(*good)
    assert time.monotonic() - start < SOON_S


def test_jobs_are_workers_that_are_replaced_when_cancelled(deployed, tmp_path):
    with connected(*deployed()) as client, dask.config.set({"distributed.deploy.lost-worker-timeout": "2s"}):
        client.wait_for_workers(2, timeout=60)
        first = jobs()
        assert len(first) == 2
        assert client.gather(client.map(abs, range(-4, 0))) == [4, 3, 2, 1]
        threads = client.run(lambda: os.environ["OMP_NUM_THREADS"])
        assert set(threads.values()) == {"1"}
        time.sleep(3)  # so that the jobs count as those whose worker came
        subprocess.run(["scancel", str(first[0])], check=True, timeout=20)
        wait_until(lambda: first[0] not in jobs() and len(jobs()) == 2)
        wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 2)
        assert client.submit(abs, -7).result(timeout=20) == 7
    wait_until(lambda: jobs() == [], 20.0)
    assert list((tmp_path / "logs").glob("nmcdist-*.log"))


LONG_THE_FIRST_TIME = """
def run_group(folder, tasks):
    import time
    from pathlib import Path
    from nmcdist.execution.worker import Outcome
    with (Path(folder) / "began").open("a") as began:
        began.write("x")
    if (Path(folder) / "began").read_text() == "x":
        time.sleep(600)
    return [Outcome(task.name, task.sample) for task in tasks]
"""


@pytest.mark.slow  # SLURM ends jobs at whole minutes
def test_a_task_on_a_job_whose_walltime_is_over_goes_to_the_job_that_takes_its_place(deployed, tmp_path, monkeypatch):
    names = {"__name__": "__main__"}  # so that it is sent to the workers by value
    exec(LONG_THE_FIRST_TIME, names)
    monkeypatch.setattr(execute, "run_group", names["run_group"])
    job = Job(tmp_path, tmp_path, None, "", str(tmp_path), None, recipe_with(), (), 1)
    deployment, resources = deployed(workers=1, walltime="0:10:00")
    ended = []

    def shorten():
        wait_until((tmp_path / "began").exists)
        (first,) = jobs()
        subprocess.run(["scontrol", "update", f"JobId={first}", "TimeLimit=1"], check=True, timeout=20)
        wait_until(lambda: first not in jobs(), 120.0)
        ended.extend([first, time.monotonic()])

    striker = threading.Thread(target=shorten)
    striker.start()
    task = Task(name="item-0", sample=0, files=())
    outcomes = list(execute.run_on_dask(job, [task], resources, 2**20, deployment))
    striker.join()
    first, over = ended
    assert time.monotonic() - over < SOON_S
    assert [outcome.error for outcome in outcomes] == [""]
    shown = subprocess.run(
        ["scontrol", "show", "job", str(first)], capture_output=True, text=True, timeout=20, check=True
    )
    assert "JobState=TIMEOUT" in shown.stdout
    assert (tmp_path / "began").read_text() == "xx"
    wait_until(lambda: jobs() == [], 20.0)


@pytest.fixture
def looks_often(monkeypatch):
    monkeypatch.setattr("nmcdist.clusters.jobs._LOOK_S", 1.0)


def test_a_job_that_is_cancelled_before_its_worker_comes_is_replaced(deployed, looks_often, tmp_path):
    first, gate = [], tmp_path / "gate"

    def cancel(state):
        if not first and len(jobs()) == 2:
            first.extend(jobs())
            subprocess.run(["scancel", str(first[-1])], check=True, timeout=20)
            wait_until(lambda: first[-1] not in jobs("PD,R,CG"))
            gate.touch()

    with connected(*deployed(prologue=[f"until [ -e {gate} ]; do sleep 0.2; done"]), waiting=cancel) as client:
        client.wait_for_workers(2, timeout=60)
        assert len(jobs()) == 2
        assert set(jobs()) & set(first) == {first[0]}
    wait_until(lambda: jobs() == [], 20.0)


def test_jobs_that_end_before_their_worker_comes_are_an_error_that_names_the_logs(deployed, looks_often, tmp_path):
    told = []
    with (
        pytest.raises(StoreError, match=r"jobs ended before their worker connected; their logs in .*logs"),
        connected(*deployed(python="/nowhere/python", workers=1), waiting=told.append),
    ):
        pass
    assert any("/nowhere/python" in log.read_text() for log in (tmp_path / "logs").glob("*.log"))
    wait_until(lambda: jobs() == [], 20.0)


def test_jobs_that_wait_for_longer_than_the_patience_are_an_error_with_what_the_queue_says(deployed, looks_often):
    told, start = [], time.monotonic()
    full = subprocess.run(
        ["sbatch", "--parsable", "--array=1-2", "-o", os.devnull, "-c4", "--wrap", "sleep 120"],
        capture_output=True, text=True, check=True, timeout=20,
    ).stdout.strip()  # fmt: skip
    try:
        wait_until(lambda: len(jobs()) == 2, 20.0)
        with (
            pytest.raises(StoreError, match=r"no worker connected within 8 s; slurm says: 1 PENDING \(\w+\)"),
            connected(*deployed(workers=1, patience="8s"), waiting=told.append),
        ):
            pass
        assert any("PENDING" in state for state in told)
    finally:
        subprocess.run(["scancel", full], check=True, timeout=20)
    assert time.monotonic() - start < SOON_S + 15
    wait_until(lambda: jobs() == [], 20.0)


def test_a_refused_submission_is_told(deployed, looks_often):
    with (
        pytest.raises(StoreError, match=r"slurm refuses the jobs: .*invalid partition"),
        connected(*deployed(queue="nope", workers=1)),
    ):
        pass


def test_the_queues_word_is_empty_where_all_workers_are_there(deployed):
    deployment, resources = deployed(workers=1)
    with connected(deployment, resources) as client:
        wait_until(lambda: cluster_of(deployment).state(client) == "", 30.0)


class TestProduction:
    """The same recipe on SLURM, whatever is killed on the way, and elsewhere: the same bytes."""

    RECIPE: ClassVar = {**TINY, "realisations": 9, "descriptors": {**TINY["descriptors"], "transport": False}}
    ITEMS = 18

    @pytest.fixture
    def run(self, slurm, tmp_path):
        """Return the command of a run on two worker jobs."""
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(self.RECIPE))
        content = yaml.safe_load((ROOT / "deployments" / "slurm.yaml").read_text())
        content |= {
            "workers": 2, "threads_per_worker": 1, "memory_per_worker": "1GiB", "walltime": "0:10:00", "queue": "debug",
            "interface": "lo", "log_folder": str(tmp_path / "logs"), "local_folder": str(tmp_path), "patience": "90s",
        }  # fmt: skip
        (tmp_path / "slurm.yaml").write_text(yaml.safe_dump(content))
        command = [sys.executable, "-m", "nmcdist.cli", "run", tmp_path / "tiny.yaml", "--out", tmp_path / "out"]
        return [*map(str, command), "--cluster", str(tmp_path / "slurm.yaml")]

    def test_a_cancelled_job_and_a_killed_driver_change_nothing(self, run, tmp_path):
        receipts = tmp_path / "out/tiny.run/receipts"

        def done():
            return len(list(receipts.glob("*.json"))) if receipts.exists() else 0

        with subprocess.Popen(run, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as driver:
            wait_until(lambda: done() >= self.ITEMS // 3)
            subprocess.run(["scancel", str(jobs()[0])], check=True, timeout=20)
            wait_until(lambda: done() >= 2 * self.ITEMS // 3)
            driver.kill()
        assert done() < self.ITEMS
        resumed = subprocess.run([*run, "--resume"], capture_output=True, text=True, timeout=240, check=False)
        assert resumed.returncode == 0, resumed.stderr
        found = store_sha256(tmp_path / "out/tiny.zarr")
        recipe = recipe_with(**{name: self.RECIPE[name] for name in ("realisations", "descriptors")})
        for workers in (1, 2):
            local = Deployment(workers=workers, threads_per_worker=1, memory_per_worker="2GiB", dashboard=False)
            make(tmp_path / f"local-{workers}", local, recipe)
            assert store_sha256(tmp_path / f"local-{workers}/tiny.zarr") == found
        for k in (2, 3, 1):
            run_part(recipe, load_bundle(BUNDLE), tmp_path / "parts", (k, 3), HERE)
        finalise_store(tmp_path / "parts/tiny.zarr")
        assert store_sha256(tmp_path / "parts/tiny.zarr") == found
        subprocess.run(["scancel", "--me"], timeout=20, check=False)
        wait_until(lambda: jobs() == [], 20.0)
