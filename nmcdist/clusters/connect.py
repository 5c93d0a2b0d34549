"""Dask clients for deployments, and the Dask settings and environment during a run.

Clusters that the run starts accept only holders of its credentials (:mod:`nmcdist.clusters.credentials`).
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.environment import memory_settings, thread_variables
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import START_TIMEOUT_S, Announce, Start
from nmcdist.errors import NmcdistError, StoreError
from nmcdist.kernels import THREADS_VARIABLE
from nmcdist.log import shows_dask

_DASKS_LINK = "{scheme}://{host}:{port}/status"


@contextlib.contextmanager
def connected(
    deployment: Deployment,
    resources: Resources,
    *,
    folder: Path | None = None,
    waiting: Announce = lambda state: None,
    warn: Announce = lambda text: None,
) -> Iterator[Any]:
    """Start the workers of a deployment or connect to them; at the end, close what was started.

    Parameters
    ----------
    deployment : Deployment
    resources : Resources
    folder : Path, optional
        Folder where queue jobs find their credentials, visible to driver and nodes. Default: the folder of their logs.
    waiting : callable
        Called with the cluster's report while no worker is connected, whenever it changes.
    warn : callable
        Called with warnings.

    Yields
    ------
    distributed.Client
        On this machine all workers are connected; elsewhere at least one, and more connect or are replaced later.

    Raises
    ------
    StoreError
        If no worker connects in time; the message holds the queue's report.
    PlanError
        If a package for the cluster is missing, or its scheduler cannot be reached.
    GuardError
        If the script that starts the run has no ``if __name__ == "__main__":``.
    """
    import dask

    # Dask's defaults must be loaded before any is changed: else they would vanish with the changes at the end.
    import distributed  # noqa: F401

    _outlive_closed_sockets()
    settings = _settings(deployment, resources)
    with _own_environment(), dask.config.set(settings), _quiet_logs(), contextlib.ExitStack() as stack:
        try:
            client = cluster_of(deployment).start(deployment, resources, Start(stack, folder, waiting, warn))
        except (TimeoutError, RuntimeError, OSError) as error:
            if isinstance(error, NmcdistError):
                raise
            raise StoreError(f"the Dask workers did not start: {type(error).__name__}: {error}") from None
        stack.enter_context(client.as_current())
        yield client


def _outlive_closed_sockets() -> None:
    """Make writing to a closed socket an error again, as Python does at its start.

    Some libraries in the user's process, such as Gmsh, reset the signal so that it ends the process.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _settings(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    import dask

    # A scheduler without a dashboard would still show its logs and tasks to anyone who asks.
    pages: dict[str, Any] = {} if deployment.dashboard else {"distributed.scheduler.http.routes": []}
    own_host = deployment.dashboard_host not in ("0.0.0.0", "::")
    if own_host and dask.config.get("distributed.dashboard.link") == _DASKS_LINK:  # else a proxy's link
        pages["distributed.dashboard.link"] = _DASKS_LINK.replace("{host}", deployment.dashboard_host)
    return {
        **cluster_of(deployment).settings(),
        **pages,
        # Dask keeps recent messages to each worker, with their tasks: a thousand groups of tasks are gigabytes.
        "distributed.admin.low-level-log-length": 10,
        "distributed.scheduler.allowed-failures": 0,  # the driver counts how often a task's worker died
        **memory_settings(),
        **_nanny_settings(resources.threads),
        "distributed.comm.timeouts.connect": f"{START_TIMEOUT_S:.0f}s",
    }


def _nanny_settings(threads: int) -> dict[str, Any]:
    """Return the environment settings for workers on this machine.

    Dask sets variables that must exist before a process starts in the driver's own environment, where numba would
    refuse to compile once its number of threads has changed.
    """
    variables = thread_variables(threads)
    own = {THREADS_VARIABLE: variables.pop(THREADS_VARIABLE)}
    return {"distributed.nanny.pre-spawn-environ": variables, "distributed.nanny.environ": own}


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Restore, at the end, the driver's environment, which Dask changes for its workers."""
    names = thread_variables(1)
    before = {name: os.environ.get(name) for name in names}
    for name in names.keys() - {THREADS_VARIABLE}:
        os.environ.pop(name, None)  # Dask prefers it to the settings; a cluster of the user's own leaves it behind
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _quiet_logs() -> Iterator[None]:
    """Keep Dask's own log lines out of the progress: outcomes report what matters."""
    if shows_dask():
        yield
        return
    logs = [logging.getLogger(name) for name in ("distributed", "asyncio", "dask_jobqueue", "tornado")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
