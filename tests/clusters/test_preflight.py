"""What a cluster is asked before a run: faults end soon, with advice, and a scheduler that answers is used."""

import asyncio
import json
import os
import socket
import stat
import sys
import threading
import time

import psutil
import pytest

from nmcdist.clusters import ask
from nmcdist.clusters.cluster import cluster_named, cluster_of
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment
from nmcdist.errors import MissingPackageError, NmcdistError, PlanError
from tests.clusters.test_scripts import KINDS, QUEUES, both

SOON_S = 30.0


def preflight(deployment):
    cluster_of(deployment).preflight(*both(deployment))


def complaint(deployment, within_s=SOON_S):
    start = time.monotonic()
    with pytest.raises(PlanError) as caught:
        preflight(deployment)
    assert time.monotonic() - start < within_s
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def test_a_good_local_deployment_needs_no_preflight():
    preflight(Deployment())


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Write commands of a queue that does not exist, the only ones there are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name, text):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(stat.S_IRWXU)

    return write


COMMANDS = {"slurm": "sbatch", "pbs": "qsub", "lsf": "bsub", "sge": "qsub", "htcondor": "condor_submit"}


@pytest.mark.parametrize("kind", QUEUES)
def test_a_missing_submit_command_is_named(kind, commands):
    assert COMMANDS[kind] in complaint(Deployment(kind=kind, **{**KINDS[kind], "interface": None}))
    commands(COMMANDS[kind], "exit 0")
    preflight(Deployment(kind=kind, **{**KINDS[kind], "interface": None}))


@pytest.mark.parametrize("kind", QUEUES)
def test_a_missing_interface_is_named_with_those_there_are(kind):
    text = complaint(Deployment(kind=kind, **{**KINDS[kind], "interface": "ib99"}))
    assert text.startswith("interface: found 'ib99', expected one of this host with an IPv4 address: ")
    assert "lo" in text


def test_a_queue_that_does_not_answer_is_an_error(commands, monkeypatch):
    monkeypatch.setattr(ask, "ANSWER_TIMEOUT_S", 0.5)
    commands("sbatch", f"exec {sys.executable} -c 'import time; time.sleep(60)'")
    assert "sbatch did not answer" in complaint(Deployment(kind="slurm", **{**KINDS["slurm"], "interface": None}), 10)


def started_by(folder):
    """Return the processes that commands of a folder have started."""
    found = psutil.process_iter(["cmdline"])
    return [process for process in found if str(folder) in " ".join(process.info["cmdline"] or ())]


def test_a_script_that_does_not_answer_is_killed_with_what_it_started(commands, tmp_path, monkeypatch):
    monkeypatch.setattr(ask, "ANSWER_TIMEOUT_S", 0.5)
    monkeypatch.setattr("nmcdist.clusters.jobs._COMMAND_TIMEOUT_S", 0.5)

    commands("sbatch", f"{sys.executable} -c 'import time; time.sleep(20)' {tmp_path}; echo done")
    assert "sbatch did not answer" in complaint(Deployment(kind="slurm", **{**KINDS["slurm"], "interface": None}), 8)
    assert started_by(tmp_path) == []
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(cluster_named("slurm").job_class()._call(["sbatch"]))
    assert time.monotonic() - start < 4
    assert started_by(tmp_path) == []


def test_warnings_beside_what_slurm_lists_are_no_part_of_it(commands):
    noise = "echo 'ERROR: ld.so: object a=b.so cannot be preloaded: ignored.' >&2; echo 'Welcome to: hpc!'"
    deployment = Deployment(kind="slurm", **{**KINDS["slurm"], "interface": None})
    commands("sinfo", f"{noise}; echo 'fast=1-00:00:00'")
    commands("sbatch", "exit 0")
    assert complaint(deployment).startswith("walltime: found 36:00:00, queue fast allows 24:00:00")
    commands("sinfo", f"{noise}; echo 8:16384")
    commands("sbatch", "echo 'error: Requested node configuration is not available' >&2; exit 1")
    assert "its largest nodes have 8 cores, 16.0 GiB (sbatch: error: Requested node" in complaint(deployment)


@pytest.mark.parametrize(
    ("said", "advice"),
    [("error: Batch job submission failed: Invalid account or account/partition combination", "project: 'nmc811'"),
     ("allocation failure: Unable to contact slurm controller (connect failure)", "controller does not answer"),
     ("error: fetch_config: DNS SRV lookup failed", "set SLURM_CONF"),
     ("allocation failure: something new", "slurm refuses the job: something new")],
)  # fmt: skip
def test_what_slurm_says_becomes_advice(commands, said, advice):
    commands("sbatch", f"echo '{said}' >&2; exit 1")
    assert advice in complaint(Deployment(kind="slurm", **{**KINDS["slurm"], "interface": None}))


@pytest.mark.parametrize(
    ("limits", "refused"),
    [("fast=1-00:00:00 slow*=infinite", True), ("fast*=36:00:00", False), ("fast=30:00", True), ("slow*=1:00", False)],
)
def test_a_walltime_beyond_the_queues_is_refused(commands, limits, refused):
    commands("sbatch", "exit 0")
    commands("sinfo", f"echo '{limits}'")
    deployment = Deployment(kind="slurm", **{**KINDS["slurm"], "interface": None})
    if refused:
        assert complaint(deployment).startswith("walltime: found 36:00:00, queue fast allows ")
    else:
        preflight(deployment)


def there(**where):
    return Deployment(kind="scheduler", workers=1, memory_per_worker="256MiB", patience="10s", **where)


def test_a_scheduler_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "scheduler.json"
    assert complaint(there(scheduler_file=str(path))).startswith(f"scheduler_file: {path}: no such file")
    faults = {"{": "not valid JSON", "[]": "found list", "{}": "no address", '{"address": 1}': "no address"}
    for text, fault in faults.items():
        path.write_text(text)
        assert fault in complaint(there(scheduler_file=str(path)))
    assert "is a device" in complaint(there(scheduler_file="/dev/zero"))
    path.unlink()
    os.mkfifo(path)
    assert "is a named pipe" in complaint(there(scheduler_file=str(path)))


def test_an_address_where_nothing_or_something_else_listens_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ask, "ANSWER_TIMEOUT_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert f"tcp://127.0.0.1:{port}" in complaint(there(address=f"tcp://127.0.0.1:{port}"))
    assert "no Dask scheduler answers" in complaint(there(address=f"tcp://127.0.0.1:{port}"))
    assert "no Dask scheduler answers" in complaint(there(address="nowhere"))
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"address": f"tcp://127.0.0.1:{port}"}))
    assert "no Dask scheduler answers" in complaint(there(scheduler_file=str(path)))


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(ask, "ANSWER_TIMEOUT_S", 0.5)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **options: released.wait(20))
    try:
        assert "no Dask scheduler answers" in complaint(there(address="tcp://login.cluster:8786"), 5)
    finally:
        released.set()


def test_kubernetes_out_of_reach_is_an_error(tmp_path, monkeypatch):
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}], "users": [{"name": "u", "user": {}}],
    }  # fmt: skip
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert complaint(Deployment(kind="kubernetes", **KINDS["kubernetes"])).startswith("kubernetes: ")


@pytest.mark.parametrize(
    ("module", "kind", "extra"),
    [("dask_jobqueue", "slurm", "cluster"), ("dask_kubernetes", "kubernetes", "kubernetes")],
)
def test_a_missing_package_is_an_error_that_names_the_extra(module, kind, extra, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError) as caught:
        preflight(Deployment(kind=kind, **KINDS[kind]))
    assert f"pip install 'nmcdist[{extra}]'" in str(caught.value)


@pytest.fixture(scope="module")
def running_scheduler():
    import dask
    from distributed import LocalCluster

    # The worker lives in the process of all tests, which holds more than its limit: it would pause.
    never = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
    with (
        dask.config.set(never),
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, memory_limit="512MiB", dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        yield cluster.scheduler_address


def test_a_running_scheduler_is_used_and_left_running(running_scheduler, tmp_path):
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"address": running_scheduler}))
    for deployment in (there(address=running_scheduler), there(scheduler_file=str(path))):
        preflight(deployment)
        with connected(*both(deployment)) as client:
            assert client.submit(int, "7").result(timeout=10) == 7


def test_a_scheduler_that_speaks_tls_is_asked_in_tls(tmp_path):
    import dask
    from distributed import LocalCluster, Security

    keys = Security.temporary()
    for name, text in (("key", keys.tls_client_key), ("cert", keys.tls_client_cert), ("ca", keys.tls_ca_file)):
        (tmp_path / name).write_text(text)
    names = {"client.key": "key", "client.cert": "cert", "ca-file": "ca"}
    tls = {f"distributed.comm.tls.{name}": str(tmp_path / file) for name, file in names.items()}
    start = {"n_workers": 0, "processes": False, "protocol": "tls", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(security=keys, **start) as cluster:
        deployment = there(address=cluster.scheduler_address)
        assert "no Dask scheduler answers" in complaint(deployment)
        with dask.config.set(tls):
            preflight(deployment)


def test_workers_of_a_running_scheduler_with_less_memory_than_said_are_refused(running_scheduler):
    deployment = there(address=running_scheduler).model_copy(update={"memory_per_worker": 2**30})
    with pytest.raises(NmcdistError, match=r"memory limit of 512(\.0)? MiB"), connected(*both(deployment)):
        pass


def test_connecting_leaves_no_thread_behind(running_scheduler):
    before = threading.active_count()
    with connected(*both(there(address=running_scheduler))):
        pass
    assert threading.active_count() <= before + 1
