"""Kinds of clusters: found by name, loaded when they are needed, and added in one file."""

import inspect
import os
import re
import stat
import subprocess
import sys
from typing import ClassVar

import pytest
import yaml

from nmcdist.clusters import cluster
from nmcdist.clusters.cluster import cluster_of, kinds, register
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment, load_deployment
from nmcdist.clusters.fields import clock
from nmcdist.clusters.queue import Queue
from nmcdist.errors import InputError, PlanError, RecipeError
from tests.clusters.test_scripts import both
from tests.conftest import TINY


def test_deployments_of_all_kinds_are_read_without_the_packages_that_start_them():
    code = (
        "import sys\nfrom nmcdist.clusters.cluster import kinds\n"
        "from nmcdist.clusters.deployment import load_deployment\n"
        "for kind in kinds(): load_deployment(f'deployments/{kind}.yaml')\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}"
        " & {'dask', 'distributed', 'dask_jobqueue', 'dask_kubernetes', 'kr8s', 'IPython'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_built_in_kind_is_not_replaced():
    class Another(Queue):
        kind = "slurm"
        plain_job = requests = None

    with pytest.raises(InputError, match=r"^kind: slurm is built in, expected another name$"):
        register(Another())


class Oar(Queue):
    """A queue that nmcdist does not have: all there is to it."""

    kind = "oar"

    def plain_job(self):
        from dask_jobqueue.oar import OARJob

        return OARJob

    def faults(self, deployment):
        found = super().faults(deployment)
        return found + (["gpus_per_worker: oar has none"] if deployment.gpus_per_worker else [])

    def requests(self, deployment, resources):
        return {
            "queue": deployment.queue,
            "project": deployment.project,
            "resource_spec": f"/nodes=1/core={resources.threads}",
            "memory_per_core_property_name": "not_applicable",
            "walltime": clock(deployment.walltime),
            "job_extra_directives": [f"-O {self.log_folder(deployment)}/oar.log", *deployment.directives],
        }

    def ask_queue(self, deployment, resources, script):
        if "-q nope" in script:
            raise PlanError("queue: found 'nope', expected default")


# What OAR's commands do with the last argument, which is the script, and with the number of a job.
OARSUB = 'for script; do :; done; setsid sh -c "$script" >{log} 2>&1 </dev/null & echo "OAR_JOB_ID=$!"'
OARDEL = "kill -- -$1"


class TestANewQueue:
    CONTENT: ClassVar = {
        "kind": "oar", "workers": 1, "threads_per_worker": 2, "memory_per_worker": "512MiB", "walltime": "1h",
        "queue": "default", "interface": "lo", "patience": "60s", "dashboard": False,
    }  # fmt: skip

    @pytest.fixture(autouse=True)
    def added(self, monkeypatch):
        monkeypatch.setattr(cluster, "_registered", {})
        register(Oar())

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "oar.yaml"
        path.write_text(yaml.safe_dump({**self.CONTENT, "log_folder": str(tmp_path)}))
        return path

    @pytest.fixture
    def commands(self, tmp_path, monkeypatch):
        for name, text in (("oarsub", OARSUB.format(log=tmp_path / "worker.log")), ("oardel", OARDEL)):
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def test_is_known_by_name(self, path):
        assert kinds()[-1] == "oar"
        assert load_deployment(path).kind == "oar"
        with pytest.raises(RecipeError, match=r"kind: found 'oarr'; did you mean oar\?"):
            load_deployment(kind="oarr")

    def test_has_its_deployments_checked(self):
        with pytest.raises(RecipeError) as caught:
            load_deployment(kind="oar", image="x", gpus_per_worker=1, workers=2, walltime="1h")
        assert str(caught.value).splitlines() == [
            "cluster: image: not accepted by kind oar, only by kubernetes",
            "cluster: memory_per_worker: missing, needed by kind oar",
            "cluster: gpus_per_worker: oar has none",
        ]
        with pytest.raises(RecipeError, match="queue: not accepted by kind local, only by slurm, pbs, lsf, sge, oar"):
            load_deployment(kind="local", queue="fast")

    def test_is_asked_before_a_run(self, path, commands, monkeypatch):
        good, other = load_deployment(path), load_deployment(path, queue="nope")
        cluster_of(good).preflight(*both(good))
        with pytest.raises(PlanError, match=r"^queue: found 'nope', expected default$"):
            cluster_of(other).preflight(*both(other))
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(PlanError, match=r"^kind: oar needs the command oarsub, which this host lacks"):
            cluster_of(good).preflight(*both(good))

    def test_starts_workers(self, path, commands):
        deployment = load_deployment(path)
        with connected(*both(deployment)) as client:
            assert client.submit(abs, -7).result(timeout=30) == 7
            assert cluster_of(deployment).state(client) == ""


@pytest.mark.parametrize("found_by", ["entry point", "variable"])
def test_one_file_is_all_that_the_command_line_needs(found_by, tmp_path):
    head = "from nmcdist.clusters.cluster import register\nfrom nmcdist.clusters.fields import clock\n"
    head += "from nmcdist.clusters.queue import Queue\nfrom nmcdist.errors import PlanError\n"
    (tmp_path / "my_oar.py").write_text(f"{head}{inspect.getsource(Oar)}\nregister(Oar())\n")
    (tmp_path / "oar.yaml").write_text(yaml.safe_dump({**TestANewQueue.CONTENT, "memory_per_worker": "2GiB"}))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    if found_by == "variable":
        environment["NMCDIST_CLUSTERS"] = "my_oar"
    else:
        (tmp_path / "my_oar-1.dist-info").mkdir()
        (tmp_path / "my_oar-1.dist-info" / "METADATA").write_text("Name: my-oar\nVersion: 1\n")
        (tmp_path / "my_oar-1.dist-info" / "entry_points.txt").write_text("[nmcdist.clusters]\noar = my_oar\n")
    done = subprocess.run(
        [sys.executable, "-m", "nmcdist.cli", "plan", "tiny.yaml", "--cluster", "oar.yaml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    script = done.stdout.partition("\n\n")[2].rstrip()
    assert re.findall(r"^#OAR (.*)", script, re.MULTILINE) == [
        "-n nmcdist", "-q default", "-l /nodes=1/core=2,walltime=01:00:00", f"-O {tmp_path}/nmcdist-logs/oar.log",
    ]  # fmt: skip
    assert " --memory-limit 2048MiB " in script.splitlines()[-1]


def test_a_module_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("NMCDIST_CLUSTERS", "no_such_queue")
    complaint = r"NMCDIST_CLUSTERS: module 'no_such_queue' cannot be imported \(ModuleNotFoundError: .*\)$"
    with pytest.raises(InputError, match=complaint):
        kinds()
    with pytest.raises(RecipeError, match=complaint):
        load_deployment()


def test_a_deployment_is_not_of_a_kind_that_was_never_added():
    with pytest.raises(ValueError, match="found 'oar', expected one of local"):
        Deployment(kind="oar")
