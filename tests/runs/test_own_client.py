"""Runs on a Dask client of the caller's own: it is used as it is, and everything of it goes on afterwards."""

import asyncio

import pytest
from distributed import Client, LocalCluster

from nmcdist.clusters.client import deployment_of
from nmcdist.errors import PlanError, StoreError
from tests.conftest import make, recipe_with, store_sha256

GIB = 2**30
SMALL = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "memory_limit": "2GiB"}


@pytest.fixture
def lent():
    """Return clients of clusters in this process, closed at the end of the test."""
    clusters = []

    def start(**options):
        clusters.append(LocalCluster(processes=False, **{"n_workers": 1, **SMALL, **options}))
        clusters.append(Client(clusters[-1], set_as_default=False))
        return clusters[-1]

    yield start
    for cluster in reversed(clusters):
        cluster.close()


def left_on(client):
    """Return what is left of a run on each worker: its plugins, its jobs, and who hears of compilation."""

    def left(dask_worker):  # a function of a module that workers do not have travels by value only from in here
        from nmcdist.execution.worker import _held
        from nmcdist.kernels import notice

        return [name for name in dask_worker.plugins if name.startswith("nmcdist")], list(_held), notice.say.__name__

    return set(map(str, client.run(left).values()))


def test_its_workers_make_the_same_bytes_and_let_go_of_the_run(made_once, tmp_path):
    with LocalCluster(n_workers=2, **SMALL) as cluster, Client(cluster, set_as_default=False) as client:
        pids = client.run(lambda: __import__("os").getpid())
        for k in range(2):
            assert make(tmp_path / str(k), None, client=client).failed == {}
            assert store_sha256(tmp_path / str(k) / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")
            assert client.status == "running"
        assert client.run(lambda: __import__("os").getpid()) == pids
        assert left_on(client) == {"([], [], 'say_on_stderr')"}
        assert client.submit(abs, -7).result(timeout=30) == 7


def test_its_workers_are_what_the_run_is_planned_for(lent):
    client = lent(n_workers=3)
    found = deployment_of(client, threads=4)
    assert (found.workers, found.threads_per_worker, found.memory_per_worker) == (3, 4, 2 * GIB)


def test_an_interrupted_run_leaves_it_as_it_was(tmp_path):
    class Stops:
        def __getattr__(self, name):
            return lambda *arguments, **facts: None

        def advance(self, done):
            raise KeyboardInterrupt

    with LocalCluster(n_workers=1, **SMALL) as cluster, Client(cluster, set_as_default=False) as client:
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, None, recipe=recipe_with(realisations=6), client=client, progress=Stops())
        assert left_on(client) == {"([], [], 'say_on_stderr')"}
        assert client.submit(abs, -7).result(timeout=30) == 7


def test_workers_of_several_threads_are_refused_before_anything_is_written(lent, tmp_path):
    client = lent(threads_per_worker=2)
    with pytest.raises(StoreError, match=r"^worker \S+: runs 2 tasks at once, expected one: start it with --nthr") as e:
        make(tmp_path / "out", None, client=client)
    assert len(str(e.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert client.submit(abs, -7).result(timeout=30) == 7


def test_what_no_run_can_use_is_refused(lent):
    with pytest.raises(PlanError, match=r"^client: found 'tcp://a:1', expected a distributed.Client$"):
        deployment_of("tcp://a:1")
    with pytest.raises(PlanError, match=r"^client: has no workers yet; wait for them with client.wait_for_workers"):
        deployment_of(lent(n_workers=0))
    with pytest.raises(PlanError, match=r"^client: has workers without a memory limit"):
        deployment_of(lent(memory_limit=0))
    closed = lent()
    closed.close()
    with pytest.raises(PlanError, match=r"^client: is closed, expected one that is connected$"):
        deployment_of(closed)


def test_an_asynchronous_one_is_refused(lent):
    address = lent().cluster.scheduler_address

    async def ask():
        async with Client(address, asynchronous=True, set_as_default=False) as client:
            deployment_of(client)

    with pytest.raises(
        PlanError, match=r"^client: found an asynchronous client, expected one with asynchronous=False$"
    ):
        asyncio.run(ask())
