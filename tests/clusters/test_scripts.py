"""Job scripts and manifests: golden files, checked against each system's own rules."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from distributed.cli.dask_worker import main as dask_worker

from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.environment import THREAD_VARIABLES, as_environment, memory_settings
from nmcdist.clusters.queue import lifetime
from nmcdist.clusters.resources import Machine
from nmcdist.clusters.sizing import resources_for
from nmcdist.errors import PlanError

GOLDEN = Path(__file__).parent / "golden"
MACHINE = Machine(2, 2**33)
SIZE = {"workers": 3, "threads_per_worker": 2, "memory_per_worker": "1536MiB", "gpus_per_worker": 1}
JOBS = {
    **SIZE,
    "walltime": "36:00:00",
    "project": "nmc811",
    "interface": "ib0",
    "python": "/opt/nmcdist/bin/python",
    "prologue": ["module load gcc", "ulimit -c 0"],
    "log_folder": "/scratch/logs",
    "local_folder": "/scratch/local",
}
KINDS = {
    "slurm": {**JOBS, "queue": "fast", "directives": ["--constraint=haswell"]},
    "pbs": {**JOBS, "queue": "fast", "directives": ["-m n"]},
    "lsf": {**JOBS, "queue": "fast", "directives": ['-R "rusage[mem=1536]"']},
    "sge": {**JOBS, "queue": "fast", "parallel_environment": "smp", "directives": ["-R y"]},
    "htcondor": {**JOBS, "directives": ["RequestDisk = 4GB"]},
    "kubernetes": {
        **SIZE, "image": "registry.example.org/nmcdist:1", "namespace": "materials", "volume_claim": "stores",
        "mount_folder": "/stores",
    },
}  # fmt: skip
QUEUES = ["slurm", "pbs", "lsf", "sge", "htcondor"]


def both(deployment):
    return deployment, resources_for(deployment, MACHINE, 10, lambda threads: 0.0)


@pytest.fixture(autouse=True)
def units_of_lsf(tmp_path, monkeypatch):
    (tmp_path / "lsf.conf").write_text("LSF_UNIT_FOR_LIMITS=MB\n")
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))


def script_of(kind, **changes):
    deployment, resources = both(Deployment(kind=kind, **{**KINDS.get(kind, {}), **changes}))
    return cluster_of(deployment).script(deployment, resources)


def directives_of(script, prefix):
    return [shlex.split(line.removeprefix(prefix)) for line in script.splitlines() if line.startswith(prefix + " ")]


def worker_command(kind):
    script = script_of(kind)
    if kind == "htcondor":
        (line,) = (line for line in script.splitlines() if line.startswith("Arguments"))
        script = line.split("-c '")[1].rstrip("\"'").replace("; ", "\n")
    return shlex.split(script.splitlines()[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_script_is_the_golden_one(kind):
    suffix = {"htcondor": "sub", "kubernetes": "yaml"}.get(kind, "sh")
    assert script_of(kind) == (GOLDEN / f"{kind}.{suffix}").read_text()


def test_on_this_machine_and_with_a_scheduler_there_is_no_script():
    assert script_of("local") == ""
    there = {"workers": 1, "memory_per_worker": "1GiB", "address": "tcp://a:1"}
    assert script_of("scheduler", **there) == ""


def test_planning_writes_no_folder(tmp_path):
    script_of("slurm", log_folder=str(tmp_path / "logs"))
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf", "sge"])
def test_a_log_folder_that_directives_cannot_hold_is_refused(kind, tmp_path, monkeypatch):
    with pytest.raises(PlanError, match=f"log_folder: found '/a b', expected a path without blanks for kind {kind}"):
        script_of(kind, log_folder="/a b")
    (tmp_path / "c d").mkdir()
    monkeypatch.chdir(tmp_path / "c d")
    with pytest.raises(PlanError, match=r"log_folder: found '.*/c d/logs'"):
        script_of(kind, log_folder="logs")


def test_htcondor_takes_a_log_folder_with_blanks(monkeypatch):
    monkeypatch.setenv("CONDOR_CONFIG", os.devnull)
    import htcondor2

    submit = htcondor2.Submit(script_of("htcondor", log_folder="/a b"))
    assert submit["Output"] == "/a b/nmcdist-$(ClusterId).log"


@pytest.mark.parametrize("kind", QUEUES)
def test_dasks_own_command_line_takes_the_worker_command(kind):
    words = worker_command(kind)
    assert words[:3] == ["/opt/nmcdist/bin/python", "-m", "distributed.cli.dask_worker"]
    with dask_worker.make_context("dask worker", words[3:]) as context:
        assert context.params["nthreads"] == 1
        assert context.params["memory_limit"] == "1536MiB"
        assert context.params["nanny"] is True
        assert context.params["interface"] == "ib0"
        assert context.params["resources"] == "GPU=1"
        assert context.params["lifetime_restart"] is False
        assert context.params["death_timeout"] == "60"


@pytest.mark.parametrize("walltime", [120, 300, 3600, 43200, 7 * 86400])
def test_workers_leave_before_the_walltime_whatever_the_spread(walltime):
    seconds, spread = lifetime(walltime)
    assert seconds - spread > 0
    assert seconds + spread <= walltime - 30
    assert seconds >= 0.65 * walltime


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf", "sge"])
def test_bash_takes_the_script_and_the_environment_is_there_before_the_worker(kind, tmp_path):
    script = script_of(kind, prologue=["module() { :; }", "module load gcc"])
    show = "env > " + str(tmp_path / "env")
    lines = [show if "dask_worker" in line else line for line in script.splitlines()]
    (tmp_path / "job.sh").write_text("\n".join(lines))
    subprocess.run(["bash", str(tmp_path / "job.sh")], check=True, timeout=20)
    found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert {found[name] for name in THREAD_VARIABLES} == {"2"}
    assert found["MALLOC_TRIM_THRESHOLD_"] == "65536"
    assert found["DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE"] == "False"


def test_dask_reads_the_workers_settings_from_the_environment():
    import dask

    config = dask.config.collect([], env=as_environment(memory_settings()))
    for name, value in memory_settings().items():
        assert dask.config.get(name, config=config) == value


# The options that the manuals of qsub (OpenPBS 23), bsub (LSF 10.1) and qsub (Grid Engine 8.1) document; True: takes
# a value.
PBS_OPTIONS = {
    **dict.fromkeys("aAcCeJklmMNopPqrRSuvW", True), **dict.fromkeys("fhIVXzG", False), "j": True,
}  # fmt: skip
LSF_OPTIONS = {
    "J": True,
    "n": True,
    "R": True,
    "M": True,
    "W": True,
    "o": True,
    "e": True,
    "q": True,
    "P": True,
    "gpu": True,
}
SGE_OPTIONS = {
    "N": True, "q": True, "P": True, "l": True, "pe": True, "cwd": False, "j": True, "o": True, "e": True, "S": True,
    "R": True, "V": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "prefix", "options"),
    [("pbs", "#PBS", PBS_OPTIONS), ("lsf", "#BSUB", LSF_OPTIONS), ("sge", "#$", SGE_OPTIONS)],
)
def test_every_directive_is_one_that_the_manual_has(kind, prefix, options):
    lines = directives_of(script_of(kind), prefix)
    assert len(lines) >= 8
    for option, *values in lines:
        assert option.startswith("-")
        assert bool(values) is options[option.removeprefix("-")]
        assert len(values) == (2 if option == "-pe" else 1 if values else 0)


def test_pbs_resources_follow_its_grammar():
    found = {words[0]: words[1] for words in directives_of(script_of("pbs"), "#PBS") if words[0] != "-l"}
    asked = [words[1] for words in directives_of(script_of("pbs"), "#PBS") if words[0] == "-l"]
    assert asked == ["select=1:ncpus=2:mem=1536mb:ngpus=1", "walltime=36:00:00"]
    assert re.fullmatch(r"select=\d+(:[a-z]+=\d+([kmgt]?[bw])?)+", asked[0])
    assert found == {
        "-N": "nmcdist", "-q": "fast", "-A": "nmc811", "-S": "/bin/bash", "-j": "oe", "-o": "/scratch/logs/", "-m": "n",
    }  # fmt: skip


@pytest.mark.parametrize(("unit", "limit"), [("KB", "1572864"), ("MB", "1536"), ("GB", "2")])
def test_lsf_gets_memory_in_its_sites_units_and_minutes(unit, limit, tmp_path):
    (tmp_path / "lsf.conf").write_text(f"LSF_UNIT_FOR_LIMITS={unit}\n")
    found = {words[0]: words[1] for words in directives_of(script_of("lsf", directives=[]), "#BSUB")}
    assert found["-M"] == limit
    assert found["-W"] == "36:00"
    assert found["-n"] == "2"
    assert found["-R"] == "span[hosts=1]"


def test_grid_engine_resources_follow_its_grammar():
    lines = directives_of(script_of("sge"), "#$")
    assert ["-pe", "smp", "2"] in lines
    asked = [words[1] for words in lines if words[0] == "-l"]
    assert asked == ["mem_free=1536M,gpu=1", "h_rt=36:00:00"]


def test_htcondors_own_parser_takes_the_submit_file(monkeypatch):
    monkeypatch.setenv("CONDOR_CONFIG", os.devnull)
    import htcondor2

    submit = htcondor2.Submit(script_of("htcondor"))
    assert submit.expand("RequestGPUs") == "1"
    assert submit["RequestCpus"] == "MY.DaskWorkerCores"
    assert submit["MY.DaskWorkerCores"] == "2"
    assert int(submit["MY.DaskWorkerMemory"]) == 1536 * 2**20
    assert submit["allowed_execute_duration"] == str(36 * 3600)
    assert submit["accounting_group"] == "nmc811"
    assert submit["RequestDisk"] == "4GB"
    # HTCondor's quoting: double quotes around all, single quotes around one argument.
    assert re.fullmatch(r"\"-c '[^'\"]*'\"", submit["Arguments"])


def closed(schema):
    """Return a schema that takes no properties but its own: a server would drop them in silence."""
    if isinstance(schema, dict):
        made = {name: closed(part) for name, part in schema.items()}
        if "properties" in made and "x-kubernetes-preserve-unknown-fields" not in made:
            made.setdefault("additionalProperties", False)
        if made.pop("x-kubernetes-int-or-string", False):
            made.pop("type", None)
        return made
    return [closed(part) for part in schema] if isinstance(schema, list) else schema


@pytest.fixture(scope="module")
def dask_cluster_schema():
    import dask_kubernetes

    crds = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
    resource = yaml.safe_load((crds / "daskcluster.yaml").read_text())
    (version,) = resource["spec"]["versions"]
    return resource["spec"]["group"], version["name"], version["schema"]["openAPIV3Schema"]


def test_the_operators_own_schema_takes_the_manifest(dask_cluster_schema):
    import jsonschema

    group, version, schema = dask_cluster_schema
    made = yaml.safe_load(script_of("kubernetes"))
    assert (made["apiVersion"], made["kind"]) == (f"{group}/{version}", "DaskCluster")
    validator = jsonschema.Draft7Validator(closed(schema["properties"]["spec"]))
    assert [error.message for error in validator.iter_errors(made["spec"])] == []
    made["spec"]["worker"]["spec"]["containers"][0]["volumeMount"] = []
    assert "volumeMount" in next(validator.iter_errors(made["spec"])).message


def test_the_pods_workers_have_dasks_options():
    words = yaml.safe_load(script_of("kubernetes"))["spec"]["worker"]["spec"]["containers"][0]["args"]
    assert words[:2] == ["dask", "worker"]
    with dask_worker.make_context("dask worker", words[2:]) as context:
        assert (context.params["nthreads"], context.params["memory_limit"]) == (1, "1536MiB")


def test_workers_of_this_machine_have_their_threads_and_memory(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as a cluster of the user's own leaves it behind
    deployment = Deployment(workers=1, threads_per_worker=2, memory_per_worker="512MiB", dashboard=False)
    with connected(*both(deployment)) as client:
        (about,) = client.scheduler_info(n_workers=-1)["workers"].values()
        assert (about["nthreads"], about["memory_limit"]) == (1, 512 * 2**20)
        assert set(client.run(lambda: os.environ["OMP_NUM_THREADS"]).values()) == {"2"}
    assert os.environ["OMP_NUM_THREADS"] == "1"
