"""A real Grid Engine on this host: what it makes of a job script, what it refuses, and a worker that is its job."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from nmcdist.clusters.cluster import cluster_named, cluster_of
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import load_deployment
from nmcdist.clusters.resources import Machine
from nmcdist.clusters.sizing import resources_for
from nmcdist.errors import PlanError, StoreError

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "sge.sh"
SCRIPT = ROOT / "tests" / "sge" / "one_host.sh"
MACHINE = Machine(2, 2**33)
SOON_S = 60.0
SEARCHED = f"{os.environ['PATH']}:/usr/sbin"


@pytest.fixture(scope="module", autouse=True)
def grid_engine(tmp_path_factory):
    """A master and a node; where they are not installed the tests are skipped, unless the environment forbids that."""
    missing = [name for name in ("sge_qmaster", "sge_execd", "qconf") if shutil.which(name, path=SEARCHED) is None]
    if missing:
        packages = "gridengine-master, gridengine-exec, gridengine-client"
        assert not os.environ.get("NMCDIST_REQUIRE_SGE"), f"Grid Engine is not installed: {packages}"
        pytest.skip("Grid Engine is not installed")
    folder = tmp_path_factory.mktemp("sge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", SEARCHED)
        patch.setenv("SGE_CELL", "default")
        try:
            up = subprocess.run([SCRIPT, "up", folder], capture_output=True, text=True, timeout=150, check=False)
            assert up.returncode == 0, up.stderr
            for name, value in zip(("SGE_ROOT", "SGE_QMASTER_PORT", "SGE_EXECD_PORT"), up.stdout.split(), strict=True):
                patch.setenv(name, value)
            yield
        finally:
            subprocess.run([SCRIPT, "down", folder], capture_output=True, timeout=90, check=True)


@pytest.fixture
def qsub(tmp_path):
    """Hand a script to qsub, which only looks at it; return whether that is well, and what it says."""

    def asked(script, *options):
        (tmp_path / "job.sh").write_text(script)
        done = subprocess.run(
            ["qsub", *options, "job.sh"], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
        )
        return done.returncode == 0, done.stdout + done.stderr

    yield asked
    assert jobs() == []


def jobs():
    """Return the numbers of the jobs that wait or run."""
    text = subprocess.run(["qstat", "-u", "*"], capture_output=True, text=True, timeout=20, check=True).stdout
    return [int(line.split()[0]) for line in text.splitlines()[2:]]


def golden(*changes):
    """Return the golden script, some of its text changed."""
    script = GOLDEN.read_text()
    for old, new in changes:
        assert script.count(old) == 1
        script = script.replace(old, new)
    return script


def without_memory(script):
    """Return the script without the memory of its node: a load value, which a look at an empty cluster has not."""
    return script.replace("mem_free=1536M,", "")


def test_what_grid_engine_reads_in_the_script_is_what_was_asked(qsub, tmp_path):
    well, text = qsub(golden(), "-verify")
    assert well
    header, _, rest = text.partition("script_ptr:")
    found = dict(line.split(":", 1) for line in (header + rest.split("\n\n")[-1]).splitlines() if ":" in line)
    found = {name: value.strip() for name, value in found.items()}
    assert {
        "job_name": "nmcdist",
        "hard_queue_list": "fast",
        "project": "nmc811",
        "hard resource_list": "mem_free=1536M,gpu=1,h_rt=36:00:00",
        "parallel environment": "smp range: 2",
        "reserve": "y",
        "merge": "y",
        "shell_list": "NONE:/bin/bash",
        "stdout_path_list": "NONE:NONE:/scratch/logs/",
        "cwd": str(tmp_path),
    }.items() <= found.items()
    assert "stderr_path_list" not in found
    assert golden().rstrip("\n") in text


def test_a_cluster_that_has_all_that_is_asked_takes_the_script(qsub):
    assert qsub(golden(), "-w", "p") == (True, "verification: found suitable queue(s)\n")
    assert qsub(without_memory(golden()), "-w", "v") == (True, "verification: found suitable queue(s)\n")


@pytest.mark.parametrize(
    ("asked", "instead", "said"),
    [("-q fast", "-q nope", 'job requests unknown queue "nope"'),
     ("-P nmc811", "-P nope", 'the requested project "nope" does not exist'),
     ("-pe smp 2", "-pe nope 2", 'the requested parallel environment "nope" does not exist'),
     ("gpu=1", "nope=1", 'unknown resource "nope"'),
     ("mem_free=1536M", "mem_free=lots", 'attribute "mem_free" is not a memory value'),
     ("-R y", "--nope", 'invalid option argument "--nope"')],
)  # fmt: skip
def test_what_is_unknown_is_refused_by_name(qsub, asked, instead, said):
    well, text = qsub(golden((asked, instead)), "-w", "v")
    assert not well
    assert said in text


@pytest.mark.parametrize(
    ("asked", "instead", "said"),
    [("-pe smp 2", "-pe smp 5", 'cannot run in PE "smp" because it only offers 0 slots'),
     ("h_rt=36:00:00", "h_rt=48:00:01", 'cannot run in queue "fast" because of cluster queue'),
     ("gpu=1", "gpu=3", 'cannot run in PE "smp" because it only offers 0 slots')],
)  # fmt: skip
def test_more_than_the_cluster_has_is_refused(qsub, asked, instead, said):
    well, text = qsub(without_memory(golden((asked, instead))), "-w", "v")
    assert not well
    assert said in text
    assert text.endswith("verification: no suitable queues\nExiting.\n")


def test_more_memory_than_is_free_is_refused(qsub):
    well, text = qsub(golden(("mem_free=1536M", "mem_free=900T")), "-w", "p")
    assert not well
    assert "mem_free=900T) cannot run" in text
    assert "offers only hl:mem_free=" in text


@pytest.fixture
def deployed(tmp_path):
    def deploy(**changes):
        small = {
            "workers": 1, "threads_per_worker": 2, "memory_per_worker": "512MiB", "walltime": "0:05:00",
            "queue": "fast", "project": "nmc811", "interface": "lo", "log_folder": str(tmp_path / "logs"),
            "local_folder": str(tmp_path / "scratch"), "patience": "60s", "dashboard": False,
        }  # fmt: skip
        deployment = load_deployment(ROOT / "deployments" / "sge.yaml", **{**small, **changes})
        return deployment, resources_for(deployment, MACHINE, 10, lambda threads: 0.0)

    return deploy


def preflight(deployment, resources):
    cluster_of(deployment).preflight(deployment, resources)


@pytest.mark.parametrize(
    "changes", [{}, {"gpus_per_worker": 2}, {"queue": None, "threads_per_worker": 4}, {"threads_per_worker": 1}]
)
def test_a_good_deployment_passes_and_nothing_is_queued(deployed, changes):
    preflight(*deployed(**changes))
    assert jobs() == []


@pytest.mark.parametrize(
    ("changes", "advice"),
    [({"queue": "nope"}, "queue: found 'nope', expected one of: fast"),
     ({"parallel_environment": "nope"}, "parallel_environment: found 'nope', expected one of: smp"),
     ({"project": "nope"}, "project: found 'nope', expected one of: nmc811"),
     ({"memory_per_worker": "900TiB"}, "memory_per_worker: more than a node of sge has; the largest has "),
     ({"threads_per_worker": 64}, "parallel_environment, threads_per_worker: more than fast has or allows"),
     ({"walltime": "3d"}, "walltime: more than fast has or allows"),
     ({"gpus_per_worker": 3}, "gpus_per_worker: more than fast has or allows"),
     ({"walltime": "3d", "threads_per_worker": 64}, "sge refuses the job: "),
     ({"directives": ["--nope"]}, "sge refuses the job: Unable to read script file because of error: invalid option"),
     ({"interface": "ib99"}, "interface: found 'ib99', expected one of this host")],
)  # fmt: skip
def test_what_grid_engine_would_refuse_is_an_error_soon(deployed, changes, advice):
    start = time.monotonic()
    with pytest.raises(PlanError) as caught:
        preflight(*deployed(**changes))
    assert str(caught.value).startswith(advice)
    assert time.monotonic() - start < SOON_S


def test_memory_that_is_more_than_the_node_gives_is_refused(deployed):
    node = ["qconf", "-mattr", "exechost", "complex_values"]
    subprocess.run([*node, "mem_free=1G", "localhost"], capture_output=True, timeout=20, check=True)
    try:
        preflight(*deployed(memory_per_worker="1GiB"))
        with pytest.raises(PlanError, match=r"^memory_per_worker: more than a node of sge gives; see `qhost"):
            preflight(*deployed(memory_per_worker="2GiB"))
    finally:
        subprocess.run(
            ["qconf", "-dattr", *node[2:], "mem_free", "localhost"], capture_output=True, timeout=20, check=True
        )


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [("SGE_QMASTER_PORT", "1", "the Grid Engine master does not answer; is the cluster up?"),
     ("SGE_ROOT", "/nowhere", "this host knows no Grid Engine")],
)  # fmt: skip
def test_a_grid_engine_that_is_not_there_is_an_error_soon(deployed, monkeypatch, name, value, advice):
    start = time.monotonic()
    monkeypatch.setenv(name, value)
    with pytest.raises(PlanError) as caught:
        preflight(*deployed())
    assert str(caught.value).startswith(advice)
    assert time.monotonic() - start < SOON_S


@pytest.fixture
def counted_for_each_slot(tmp_path):
    """Let the cluster count a resource of a job once for each of its slots."""
    before = subprocess.run(["qconf", "-sc"], capture_output=True, text=True, timeout=20, check=True).stdout

    def set_complexes(text):
        (tmp_path / "complexes").write_text(text)
        subprocess.run(["qconf", "-Mc", tmp_path / "complexes"], capture_output=True, timeout=20, check=True)

    def count(name):
        line = re.search(rf"^{name} .*", before, re.MULTILINE)[0]
        fields = line.split()
        set_complexes(before.replace(line, " ".join([*fields[:5], "YES", *fields[6:]])))

    yield count
    set_complexes(before)


@pytest.mark.parametrize(
    ("name", "changes", "advice"),
    [("gpu", {"gpus_per_worker": 2}, "gpus_per_worker: 2 slots would hold 4, not 2: gpu counts for each slot in this "
      "cluster (`qconf -sc`: consumable YES); set directives: [\"-l gpu=1\"]"),
     ("gpu", {"gpus_per_worker": 1}, "gpus_per_worker: 2 slots would hold 2, not 1: gpu counts for each slot in this "
      "cluster (`qconf -sc`: consumable YES); set threads_per_worker: 1"),
     ("mem_free", {}, "memory_per_worker: 2 slots would hold 1024M, not 512M: mem_free counts for each slot in this "
      "cluster (`qconf -sc`: consumable YES); set directives: [\"-l mem_free=256M\"]")],
)  # fmt: skip
def test_what_counts_for_each_slot_is_refused_until_it_is_said_for_each(
    deployed, counted_for_each_slot, name, changes, advice
):
    preflight(*deployed(**changes))
    counted_for_each_slot(name)
    with pytest.raises(PlanError) as caught:
        preflight(*deployed(**changes))
    assert str(caught.value) == advice
    preflight(*deployed(**changes, **yaml.safe_load(advice.split("; set ")[1])))


def test_a_master_that_does_not_answer_is_not_waited_for(deployed, monkeypatch):
    master = int(Path(os.environ["SGE_ROOT"], "spool", "qmaster", "qmaster.pid").read_text())
    monkeypatch.setattr("nmcdist.clusters.ask.ANSWER_TIMEOUT_S", 2.0)
    monkeypatch.setattr("nmcdist.clusters.jobs._COMMAND_TIMEOUT_S", 1.0)
    start = time.monotonic()
    os.kill(master, signal.SIGSTOP)
    try:
        with pytest.raises(PlanError, match=r"qsub did not answer within 2 s; is the queue up\?"):
            preflight(*deployed())
        with pytest.raises(TimeoutError):
            asyncio.run(cluster_named("sge").job_class()._call(["qstat"]))
    finally:
        os.kill(master, signal.SIGCONT)
    assert time.monotonic() - start < SOON_S


def test_jobs_are_workers_with_all_their_slots_until_the_run_ends(deployed, tmp_path):
    with connected(*deployed()) as client:
        assert client.gather(client.map(abs, range(-4, 0))) == [4, 3, 2, 1]
        (found,) = client.run(
            lambda: {name: os.environ[name] for name in ("NSLOTS", "QUEUE", "OMP_NUM_THREADS")}
        ).values()
        assert found == {"NSLOTS": "2", "QUEUE": "fast", "OMP_NUM_THREADS": "2"}
        assert len(jobs()) == 1
    start = time.monotonic()
    while jobs():
        assert time.monotonic() - start < 20
        time.sleep(0.2)
    assert [log.stat().st_size > 0 for log in (tmp_path / "logs").glob("nmcdist.o*")] == [True]


@pytest.fixture
def looks_often(monkeypatch):
    monkeypatch.setattr("nmcdist.clusters.jobs._LOOK_S", 1.0)


def no_jobs_soon():
    start = time.monotonic()
    while jobs():
        assert time.monotonic() - start < SOON_S
        time.sleep(0.2)


def test_a_job_that_is_deleted_before_its_worker_comes_is_replaced(deployed, looks_often):
    first = []

    def delete(state):
        if not first:
            first.extend(jobs())
            subprocess.run(["qdel", *map(str, first)], capture_output=True, timeout=20, check=True)

    with connected(*deployed(prologue=["sleep 2"]), waiting=delete) as client:
        assert client.submit(abs, -7).result(timeout=20) == 7
        (second,) = jobs()
        assert [second - 1] == first
    no_jobs_soon()


def test_jobs_that_grid_engine_cannot_start_are_cancelled_and_told_with_its_reason(deployed, looks_often, monkeypatch):
    monkeypatch.setattr("nmcdist.clusters.queue._TOO_MANY", 2)
    told, reason = [], 'Eqw (can\'t open output file "/nowhere/logs/": No such file or directory)'
    with (
        pytest.raises(StoreError) as caught,
        connected(*deployed(directives=["-o /nowhere/logs/"]), waiting=told.append),
    ):
        pass
    assert str(caught.value) == (
        f"2 jobs ended before their worker connected; sge says: {reason} (log_folder and directives must be "
        "valid on the nodes)"
    )
    assert f"1 {reason}" in told
    no_jobs_soon()


def test_jobs_that_wait_for_longer_than_the_patience_are_an_error_with_what_the_queue_says(deployed, looks_often):
    told = []
    with (
        pytest.raises(StoreError, match=r"^no worker connected within 8 s; sge says: 1 hqw\."),
        connected(*deployed(patience="8s", directives=["-h"]), waiting=told.append),
    ):
        pass
    assert told == ["1 hqw"]
    no_jobs_soon()


def test_a_queue_that_is_still_thinking_when_the_cluster_closes_hides_no_error(deployed, looks_often, monkeypatch):
    asked = []

    async def thinks(replacing, listing):
        asked.append(listing)
        await asyncio.sleep(SOON_S)

    monkeypatch.setattr("nmcdist.clusters.jobs.Replacing._states", thinks)
    with (
        pytest.raises(StoreError, match=r"^no worker connected within 4 s; sge says: nothing\."),
        connected(*deployed(patience="4s", directives=["-h"])),
    ):
        pass
    assert asked
    no_jobs_soon()
