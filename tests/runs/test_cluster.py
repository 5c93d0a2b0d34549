"""Deployments: what is left open is chosen to fit the run, what is unknown is refused."""

from pathlib import Path

import pytest

from nmcdist.errors import RecipeError
from nmcdist.runs.cluster import Deployment, Machine, Resources, load_deployment, resources_for, this_machine

GIB = 2**30
MACHINE = Machine(cores=8, memory=64 * GIB)


def chosen(need_gib, tasks=100, **deployment):
    return resources_for(Deployment(**deployment), MACHINE, tasks, lambda threads: need_gib * GIB)


def test_as_many_workers_as_fit_share_cores_and_memory():
    assert chosen(1) == Resources(8, 1, 8 * GIB)
    assert chosen(20) == Resources(3, 2, 64 * GIB // 3)
    assert chosen(60) == Resources(1, 8, 64 * GIB)


def test_what_fits_nowhere_gets_one_worker_with_all():
    assert chosen(100) == Resources(1, 8, 64 * GIB)


def test_no_more_workers_than_tasks():
    assert chosen(1, tasks=2) == Resources(2, 4, 32 * GIB)


def test_what_is_given_is_kept():
    assert chosen(1, workers=2) == Resources(2, 4, 32 * GIB)
    assert chosen(1, workers=2, threads_per_worker=1, memory_per_worker="4GiB") == Resources(2, 1, 4 * GIB)
    assert chosen(1, threads_per_worker=4) == Resources(2, 4, 32 * GIB)
    assert chosen(1, memory_per_worker=16 * GIB) == Resources(4, 2, 16 * GIB)
    assert chosen(1, workers=0) == Resources(0, 8, 64 * GIB)


def test_the_command_line_goes_before_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text("{kind: local, workers: 4, memory_per_worker: 2GiB, dashboard: false}")
    found = load_deployment(tmp_path / "c.yaml", workers=1, threads_per_worker=None)
    assert found == Deployment(workers=1, memory_per_worker=2 * GIB, dashboard=False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("kind: slurm", "kind: found 'slurm', expected 'local'"), ("workers: 2", "kind: missing"),
     ("{kind: local, workers: -1}", "workers: found -1"), ("{kind: local, nodes: 3}", "nodes: unknown field"),
     ("{kind: local, memory_per_worker: lots}", "memory_per_worker: found 'lots', expected a size"),
     ("[local]", "expected a mapping"), ("kind: [", "not valid YAML")],
)  # fmt: skip
def test_an_impossible_deployment_is_refused(tmp_path, text, complaint):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(RecipeError, match=complaint):
        load_deployment(tmp_path / "c.yaml")


def test_the_deployment_file_of_the_repository_is_valid():
    root = Path(__file__).parents[2]
    assert load_deployment(root / "deployments" / "local.yaml") == Deployment()


def test_this_machine_has_cores_and_memory():
    assert this_machine().cores >= 1
    assert this_machine().memory > 2**28
