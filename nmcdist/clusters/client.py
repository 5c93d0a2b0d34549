"""A Dask client of the caller's own: its workers are used, and it is not closed."""

import contextlib
from collections.abc import Iterator
from typing import Any

from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.scheduler import check_workers
from nmcdist.errors import PlanError
from nmcdist.wording import shown


def deployment_of(client: Any, threads: int = 1) -> Deployment:
    """Return the deployment that describes the workers of a client.

    Parameters
    ----------
    client : distributed.Client
    threads : int
        Kernel threads per task.

    Raises
    ------
    PlanError
        If the client cannot be used from here, has no workers, or has workers without a memory limit.
    StoreError
        If a worker runs several tasks at once.
    """
    from distributed import Client

    if not isinstance(client, Client):
        raise PlanError(f"client: found {shown(client)}, expected a distributed.Client")
    if client.asynchronous:
        raise PlanError("client: found an asynchronous client, expected one with asynchronous=False")
    if client.status != "running":
        raise PlanError(f"client: is {client.status}, expected one that is connected")
    check_workers(client, 0)
    scheduler = client.scheduler_info(n_workers=-1)
    limits = [found["memory_limit"] for found in scheduler["workers"].values()]
    if not limits:
        raise PlanError("client: has no workers yet; wait for them with client.wait_for_workers(1)")
    if 0 in limits:
        raise PlanError("client: has workers without a memory limit, which a run cannot be planned for")
    return Deployment(
        kind="scheduler",
        address=scheduler["address"],
        workers=len(limits),
        threads_per_worker=threads,
        memory_per_worker=min(limits),
    )


@contextlib.contextmanager
def lent(client: Any, resources: Resources) -> Iterator[Any]:
    """Make the caller's client the current one.

    Raises
    ------
    StoreError
        If a worker runs several tasks at once, or has less memory than planned.
    """
    check_workers(client, resources.memory)
    with client.as_current():
        yield client
