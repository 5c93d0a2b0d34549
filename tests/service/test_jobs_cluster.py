"""One Dask cluster for all jobs: it starts with the first one, is replaced when it dies, and closes once idle."""

import json
import stat
import threading
import time

import psutil
import pytest

from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.shared import can_be_shared
from nmcdist.errors import StoreError
from nmcdist.service.jobs.cluster import SharedCluster
from tests.service.test_jobs import FAST, KILLED, ended, events_of, processes_with, queue_at, submitted, when


def hosts(folder):
    """Processes that hold the cluster of a queue."""
    found = processes_with(f"{folder}/queue/cluster")
    return [process for process in found if "nmcdist.clusters.shared" in process.cmdline()]


def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def listening(process):
    """Addresses on which a process and its children listen."""
    family = [process, *process.children(recursive=True)]
    return {c.laddr.ip for one in family for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN}


def test_a_cluster_starts_with_the_first_job_and_closes_once_idle(tmp_path):
    with queue_at(tmp_path, "--cluster-idle", "2s", workers=1) as (_, client):
        assert hosts(tmp_path) == []
        job, folder = submitted(client, {**FAST, "realisations": 1}), tmp_path / "queue/cluster"
        until(lambda: (folder / "deployment.yaml").exists())
        (host,) = hosts(tmp_path)
        assert listening(host) == {"127.0.0.1"}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert "tls://127.0.0.1:" in (folder / "deployment.yaml").read_text()
        assert ended(client, job)["state"] == "done"
        until(lambda: not hosts(tmp_path))
        until(lambda: not folder.exists())  # with the credentials


@pytest.mark.slow
def test_a_cluster_that_is_killed_is_replaced_and_twins_on_it_do_not_mix(tmp_path):
    with queue_at(tmp_path, "--jobs-at-once", "2", workers=1) as (_, client):
        jobs = [submitted(client, KILLED) for _ in range(2)]  # the same recipe at the same time, on the same worker
        for job in jobs:
            when(client, job, lambda found: found["done"] >= 1)
        (host,) = hosts(tmp_path)
        host.kill()
        first, second = (ended(client, job) for job in jobs)
        assert (first["state"], second["state"]) == ("done", "done")
        for job in jobs:
            waits = [event for event in events_of(client, job) if event.get("state") == "queued"]
            assert len(waits) == 2 and "scheduler" in waits[1]["message"]
        assert first["manifest_sha256"] == second["manifest_sha256"]
        assert first["page"] != second["page"]


READY = f"echo '{json.dumps({'event': 'ready', 'environment': {'A': 'b'}})}'; "
WAITING = f"echo '{json.dumps({'event': 'waiting', 'text': '1 PENDING'})}'; "


def shell_in_place_of_dask(folder, line, idle_s=60.0):
    """A cluster whose process runs a line of shell."""
    cluster = SharedCluster(folder / "x.yaml", folder / "cluster", idle_s)
    cluster.command = ["sh", "-c", line]
    return cluster


def never():
    return False


def test_all_use_the_process_that_runs_and_a_new_one_once_it_died(tmp_path):
    said = []
    cluster = shell_in_place_of_dask(tmp_path, WAITING + "sleep 0.5; " + READY + "cat > /dev/null")
    with cluster.used(never, said.append) as first, cluster.used(never, said.append) as second:
        assert first is second and first.environment == {"A": "b"} and not first.is_gone()
    with cluster.used(never, said.append) as third:
        assert third is first
        third._process.kill()
        until(third.is_gone)
        with cluster.used(never, said.append) as fourth:
            assert fourth is not first and not fourth.is_gone()
    assert said == 2 * [{"event": "waiting", "text": "1 PENDING"}]
    cluster.close()
    assert fourth.is_gone() and not (tmp_path / "cluster").exists()


def test_a_cluster_that_does_not_start_says_why(tmp_path):
    failed = json.dumps({"event": "failed", "text": "slurm refuses the jobs"})
    for line, why in ((f"echo '{failed}'; exit 1", "slurm refuses the jobs"), ("echo oops; exit 3", "oops")):
        with (
            pytest.raises(StoreError, match=f"does not start: {why}"),
            shell_in_place_of_dask(tmp_path, line).used(never, print),
        ):
            raise AssertionError


def test_nobody_waits_for_a_cluster_in_vain(tmp_path):
    cluster, over = shell_in_place_of_dask(tmp_path, "cat > /dev/null"), threading.Event()
    threading.Timer(0.5, over.set).start()
    with cluster.used(over.is_set, print) as host:
        assert host is None
    cluster.close()


def test_an_idle_cluster_is_closed_and_one_in_use_is_not(tmp_path):
    cluster = shell_in_place_of_dask(tmp_path, READY + "cat > /dev/null", idle_s=0.3)
    with cluster.used(never, print) as host:
        with cluster.used(never, print):
            pass
        time.sleep(1)
        assert not host.is_gone()
    until(host.is_gone, 20)
    with cluster.used(never, print) as another:
        assert another is not host
    cluster.close()


@pytest.mark.parametrize(("fields", "can"), [
    ({}, False), ({"workers": 0}, False), ({"workers": 2}, True),
    ({"kind": "slurm", "workers": 2, "memory_per_worker": "1GiB", "walltime": "1h"}, True),
    ({"kind": "scheduler", "workers": 2, "memory_per_worker": "1GiB", "address": "tls://a:1"}, False),
])  # fmt: skip
def test_workers_are_shared_if_the_deployment_says_how_many_and_starts_them(fields, can):
    assert can_be_shared(Deployment(**fields)) is can
