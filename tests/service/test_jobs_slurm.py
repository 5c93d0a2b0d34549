"""Jobs of a service whose cluster is a real SLURM on this host."""

import pytest

from nmcdist.datasets.integrity import manifest_hash
from tests.clusters.test_slurm import ROOT, slurm  # noqa: F401  (a fixture)
from tests.conftest import make, recipe_with
from tests.service.test_jobs import FAST, ended, queue_at, submitted
from tests.service.test_jobs_cluster import hosts, until

SHARED = """
kind: slurm
workers: 2
threads_per_worker: 1
memory_per_worker: 1GiB
walltime: 0:05:00
queue: debug
interface: lo
patience: 90s
dashboard: false
log_folder: {folder}/logs
local_folder: {folder}/scratch
prologue: ["export PYTHONPATH={root}"]
"""


@pytest.mark.slow
def test_two_jobs_share_the_workers_that_slurm_started(slurm, tmp_path):  # noqa: F811
    where = SHARED.format(folder=tmp_path, root=ROOT)
    with queue_at(tmp_path, "--jobs-at-once", "2", where=where) as (_, client):
        jobs = [submitted(client, {**FAST, "name": name}) for name in ("one", "two")]
        found = [ended(client, job) for job in jobs]
        assert [job["state"] for job in found] == ["done", "done"], found
        assert len(hosts(tmp_path)) == 1
    until(lambda: not hosts(tmp_path))
    assert len(list((tmp_path / "logs").iterdir())) == 2  # two workers for both jobs
    make(tmp_path / "calm", recipe=recipe_with(**{**FAST, "name": "one"}))
    assert found[0]["manifest_sha256"] == manifest_hash(tmp_path / "calm/one.zarr")
