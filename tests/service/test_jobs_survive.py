"""Jobs outlive kills of what runs them, and do no harm to readers; minutes each."""

import signal
import statistics

import pytest

from nmcdist.datasets.integrity import manifest_hash
from tests.conftest import make, recipe_with
from tests.service.test_hostile import READERS, READS, crowd_of_readers
from tests.service.test_jobs import KILLED, LONG, drivers, ended, queue_at, submitted, when
from tests.service.test_jobs_cluster import hosts, until

pytestmark = pytest.mark.slow


def test_three_jobs_survive_kills_of_the_scheduler_and_of_the_service_and_give_the_same_manifests(tmp_path):
    recipes = [{**KILLED, "name": f"killed-{k}", "seed": k} for k in range(3)]
    with queue_at(tmp_path, workers=2) as (service, client):
        jobs = [submitted(client, recipe) for recipe in recipes]
        when(client, jobs[0], lambda found: found["done"] >= 2)
        (host,) = hosts(tmp_path)
        host.kill()
        when(client, jobs[0], lambda found: found["attempts"] == 2 and found["done"] > 0)
        (another,) = hosts(tmp_path)
        assert another.pid != host.pid
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        until(lambda: not hosts(tmp_path))  # the cluster never outlives the service
    with queue_at(tmp_path, workers=2) as (_, client):
        found = [ended(client, job) for job in jobs]
        assert [job["state"] for job in found] == 3 * ["done"], found
        assert all(job["page"] for job in found)
    assert not [process for job in jobs for process in drivers(job)]
    until(lambda: not hosts(tmp_path))
    for job, recipe in zip(found, recipes, strict=True):
        calm = tmp_path / "calm" / recipe["name"]
        make(calm, recipe=recipe_with(**recipe))
        assert job["manifest_sha256"] == manifest_hash(calm / f"{recipe['name']}.zarr")
    print([job["attempts"] for job in found])


def test_a_crowd_of_readers_while_two_jobs_run(tmp_path, releases):
    with queue_at(tmp_path, "--jobs-at-once", "2", workers=2, releases=releases) as (service, client):
        jobs = [submitted(client, {**LONG, "name": name}) for name in ("one", "two")]
        for job in jobs:
            when(client, job, lambda found: found["done"] > 0)
        before = [client.get(f"/api/jobs/{job}").json()["done"] for job in jobs]
        wrong, times, memory = crowd_of_readers(service, releases / "blocks/2.0.0/blocks.zarr", "blocks/2.0.0")
        for job, done in zip(jobs, before, strict=True):
            assert when(client, job, lambda found, done=done: found["done"] > done)["state"] == "running"
        for job in jobs:
            client.delete(f"/api/jobs/{job}")
            assert ended(client, job)["state"] == "cancelled"
    p99 = statistics.quantiles(times, n=100)[-1]
    print(f"\n{READERS} readers x {READS} beside two jobs: {wrong} wrong, p99 {p99:.2f} s, {memory / 1e6:.0f} MB")
    assert (wrong, len(times)) == (0, READERS * READS)
    assert memory < 400e6
    assert p99 < 3.0
