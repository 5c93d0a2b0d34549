"""A running Dask scheduler, by its address or its file; its workers are started and ended by others."""

import asyncio
import contextlib
import socket
import threading
from typing import Any

from nmcdist.clusters import ask
from nmcdist.clusters.cluster import Cluster
from nmcdist.clusters.fields import DeploymentFields
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import Start
from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import PlanError, StoreError
from nmcdist.json_text import load_json


class Scheduler(Cluster):
    """A scheduler and workers that the run does not own: it uses them, and they outlive it."""

    kind = "scheduler"
    takes = Cluster.takes | {"address", "scheduler_file", "patience"}
    outlives_the_run = True

    def faults(self, deployment: DeploymentFields) -> list[str]:
        """Return also an error unless exactly one of address and file is given."""
        found = super().faults(deployment)
        if (deployment.address is None) == (deployment.scheduler_file is None):
            given = "neither" if deployment.address is None else "both"
            found.append(f"address: found {given} of address and scheduler_file, expected one of them")
        return found

    def preflight(self, deployment: DeploymentFields, resources: Resources) -> None:
        """Check that a scheduler answers."""
        _ask(_address(deployment))

    def start(self, deployment: DeploymentFields, resources: Resources, start: Start) -> Any:
        """Connect to the scheduler and check its workers."""
        address = _address(deployment)
        _ask(address)
        if not address.startswith("tls://"):
            start.warn(
                f"{address} requires no credentials: anyone who reaches it can run code on its workers and in this "
                "process; a tls:// scheduler accepts only those with its certificate; see docs/security.md"
            )
        client = start.client_of(address)
        client.wait_for_workers(1, timeout=deployment.patience)
        check_workers(client, resources.memory)
        return client


CLUSTER = Scheduler()


def check_workers(client: Any, memory: int) -> None:
    """Check that each worker runs one task at a time and has the planned memory.

    Raises
    ------
    StoreError
        If a worker does not.
    """
    for worker, found in client.scheduler_info(n_workers=-1)["workers"].items():
        if found["nthreads"] != 1:
            raise StoreError(
                f"worker {worker}: runs {found['nthreads']} tasks at once, expected one: start it with --nthreads 1 "
                "(a LocalCluster with threads_per_worker=1)"
            )
        if 0 < found["memory_limit"] < memory * 0.99:
            raise StoreError(
                f"worker {worker}: found a memory limit of {readable_bytes(found['memory_limit'])}, the deployment "
                f"says {readable_bytes(memory)}"
            )


def _address(deployment: DeploymentFields) -> str:
    """Return the address of the scheduler, from its file if the deployment names one.

    Raises
    ------
    PlanError
        If the file does not exist, or a scheduler did not write it.
    """
    if deployment.address is not None:
        return deployment.address
    path = deployment.scheduler_file
    try:
        found = load_json(str(path), PlanError, limit=1 << 20).get("address")
    except PlanError as error:
        raise PlanError(f"scheduler_file: {error}; `dask scheduler --scheduler-file {path}` writes it") from None
    if not isinstance(found, str):
        raise PlanError(f"scheduler_file: {path}: found no address, expected a file that `dask scheduler` wrote")
    return found


def _ask(address: str) -> None:
    """Check that a Dask scheduler answers; a client alone would wait for ever if something else listens.

    Raises
    ------
    PlanError
        If no scheduler answers in time.
    """
    found = []

    def look() -> None:
        with contextlib.suppress(Exception):  # errors on the answers of other programs have no common base
            found.append(_who_answers(address))

    # A resolver that does not answer cannot be stopped; asyncio would wait for its thread.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(ask.ANSWER_TIMEOUT_S)
    if found != ["Scheduler"]:
        raise PlanError(
            f"address: no Dask scheduler answers at {address}; check it, or start one with `dask scheduler`"
        )


def _who_answers(address: str) -> str:
    from distributed.comm.addressing import get_address_host
    from distributed.comm.core import connect
    from distributed.security import Security

    async def asked() -> str:
        comm = await connect(address, timeout=ask.ANSWER_TIMEOUT_S, **Security().get_connection_args("client"))
        try:
            await comm.write({"op": "identity", "reply": True})
            found = await comm.read()
            return str(found["type"])
        finally:
            comm.abort()

    socket.getaddrinfo(get_address_host(address), None)  # here, since asyncio's threads delay the end of the process
    return asyncio.run(asyncio.wait_for(asked(), ask.ANSWER_TIMEOUT_S))
