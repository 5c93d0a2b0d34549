"""Deployment files: one schema for every kind; what does not fit is refused with one line each."""

from pathlib import Path

import pytest

from nmcdist.clusters import cluster
from nmcdist.clusters.deployment import Deployment, load_deployment
from nmcdist.clusters.fields import parsed_seconds
from nmcdist.errors import RecipeError

GIB = 2**30
FILES = Path(__file__).parents[2] / "deployments"
SLURM = "kind: slurm\nworkers: 2\nmemory_per_worker: 4GiB\nwalltime: 12:00:00\n"
SCHEDULER = "kind: scheduler\nworkers: 2\nmemory_per_worker: 4GiB\n"


def loaded(folder, text, **overrides):
    (folder / "c.yaml").write_text(text)
    return load_deployment(folder / "c.yaml", **overrides)


def faults_of(folder, text, **overrides):
    with pytest.raises(RecipeError) as caught:
        loaded(folder, text, **overrides)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{folder / 'c.yaml'}: ") for line in lines)
    return [line.partition("c.yaml: ")[2] for line in lines]


@pytest.mark.parametrize(
    "address",
    ["tcp://a:8786", "tls://10.0.0.1:8786", "a.b.example:8786", "tls://[::1]:8786", "ucx://a:1", "wss://a:443"],
)
def test_addresses_of_dask_are_taken(tmp_path, address):
    assert loaded(tmp_path, SCHEDULER + f"address: '{address}'").address == address


def test_the_command_line_goes_before_the_file(tmp_path):
    text = "{kind: local, workers: 4, memory_per_worker: 2GiB, dashboard: false}"
    found = loaded(tmp_path, text, workers=1, threads_per_worker=None)
    assert found == Deployment(workers=1, memory_per_worker=2 * GIB, dashboard=False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("kind: moab", "kind: found 'moab', expected one of local, slurm, pbs"),
     ("kind: slrum", r"kind: found 'slrum'; did you mean slurm\?$"),
     ("kind: 3", "kind: found 3, expected one of local"), ("workers: 2", "kind: missing, expected one of"),
     ("{kind: local, workers: -1}", "workers: found -1"), ("{kind: local, nodes: 3}", "nodes: unknown field"),
     ("{kind: local, memory_per_worker: lots}", "memory_per_worker: found 'lots', expected a size"),
     (SLURM + "queue: [a]", r"queue: found \['a'\]"), (SLURM + "queue: ''", "queue: found ''"),
     (SLURM + "project: 17", "project: found 17, expected text"),
     (SLURM + 'prologue: ["a\\nb"]', "found 'a"), (SLURM + "prologue: module load gcc", "prologue: found 'module"),
     (SLURM + "gpus_per_worker: -1", "gpus_per_worker: found -1"),
     (SLURM + "log_folder: 3", "log_folder: found 3, expected a path$"),
     (SLURM + "log_folder: ''", "log_folder: found '', expected a path$"),
     (SLURM + "workers: 3", "line 5: workers is given twice, first in line 2"),
     ("{kind: local, memory_per_wroker: 2GiB}", "memory_per_wroker: unknown field; did you mean memory_per_worker"),
     ("{kind: local, workers: 010}", "line 1: found 010"), ("{kind: local, workers: true}", "workers: found True"),
     (SLURM + "log_folder: s3://b/x", "log_folder: found s3://b/x: is a URL, expected a path on this machine"),
     (SLURM + "local_folder: 'file:///tmp'", "local_folder: found file:///tmp: is a URL"),
     *((SCHEDULER + f"address: '{address}'", "address: found '.*expected a Dask address such as tcp://host:8786")
       for address in ("http://a:1", "https://a", "s3://b/x", "tcp:/a:1", "tcp://", "a:b", "file:///a", "//a", "tcp://a/b")),
     (SCHEDULER + "scheduler_file: https://a/b.json", "scheduler_file: found https://a/b.json: is a URL"),
     ("[local]", "expected a mapping"), ("kind: [", "not valid YAML")],
)  # fmt: skip
def test_an_impossible_field_is_refused(tmp_path, text, complaint):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(RecipeError, match=complaint) as caught:
        load_deployment(tmp_path / "c.yaml")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("path", sorted(FILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_deployment_files_of_the_repository_are_valid(path):
    assert load_deployment(path).kind == path.stem


def test_there_is_a_file_for_every_kind():
    assert {path.stem for path in FILES.glob("*.yaml")} == set(cluster._BUILT_IN)
    assert load_deployment(FILES / "local.yaml") == Deployment()


def test_fields_of_other_kinds_are_refused_by_name_one_line_each(tmp_path):
    assert faults_of(tmp_path, "{kind: local, walltime: 1h, queue: fast, image: a}") == [
        "walltime: not accepted by kind local, only by slurm, pbs, lsf, sge, htcondor",
        "queue: not accepted by kind local, only by slurm, pbs, lsf, sge",
        "image: not accepted by kind local, only by kubernetes",
    ]
    assert faults_of(tmp_path, SLURM + "address: tcp://a:1\nparallel_environment: smp") == [
        "parallel_environment: not accepted by kind slurm, only by sge",
        "address: not accepted by kind slurm, only by scheduler",
    ]


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf", "sge", "htcondor"])
def test_a_queue_needs_workers_memory_and_walltime(tmp_path, kind):
    assert faults_of(tmp_path, f"kind: {kind}") == [
        f"{name}: missing, needed by kind {kind}" for name in ("workers", "memory_per_worker", "walltime")
    ]


def test_what_the_other_kinds_need_is_asked_for(tmp_path):
    assert [line.partition(":")[0] for line in faults_of(tmp_path, "kind: kubernetes")] == [
        "workers", "memory_per_worker", "image", "volume_claim", "mount_folder",
    ]  # fmt: skip
    text = "{kind: scheduler, workers: 1, memory_per_worker: 1GiB"
    assert faults_of(tmp_path, text + "}") == [
        "address: found neither of address and scheduler_file, expected one of them"
    ]
    assert "found both" in faults_of(tmp_path, text + ", address: 'tcp://a:1', scheduler_file: s.json}")[0]
    sge = "{kind: sge, workers: 1, memory_per_worker: 1GiB, walltime: 1h, threads_per_worker: 2}"
    assert faults_of(tmp_path, sge)[0].startswith("parallel_environment: missing")


def test_values_that_no_job_can_have_are_refused(tmp_path):
    assert faults_of(tmp_path, SLURM, workers=0) == ["workers: found 0, expected at least 1 for kind slurm"]
    assert faults_of(tmp_path, SLURM, walltime="60s") == ["walltime: found 60 s, expected at least 120 s"]
    condor = "{kind: htcondor, workers: 1, memory_per_worker: 1GiB, walltime: 1h, directives: [--fast]}"
    assert faults_of(tmp_path, condor) == ["directives: found '--fast', expected 'name = value'"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12:00:00", 43200), ("0:05:00", 300), ("100:00:00", 360000), ("1-06:00:00", 108000), ("90min", 5400),
     ("2d", 172800), ("1.5 h", 5400), ("600s", 600)],
)  # fmt: skip
def test_walltimes_read_as_they_are_written(tmp_path, text, seconds):
    assert parsed_seconds(text) == seconds
    assert loaded(tmp_path, SLURM.replace("12:00:00", text)).walltime == seconds


@pytest.mark.parametrize("text", ["12:00", "12", "12.5", "1:60:00", "h", "-1h", "0s", "400d", "true"])
def test_a_time_that_queues_read_differently_or_that_is_none_is_refused(tmp_path, text):
    (fault,) = faults_of(tmp_path, SLURM.replace("12:00:00", text))
    assert fault.startswith("walltime: found ")


def test_a_deployment_made_in_python_is_checked_too():
    with pytest.raises(ValueError, match="walltime: not accepted by kind local"):
        Deployment(walltime="1h")
