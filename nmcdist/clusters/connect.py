"""Dask clients for deployments, and the settings and environment of Dask that a run needs meanwhile.

Clusters that the run starts itself let in only those who have its credentials (:mod:`nmcdist.clusters.credentials`).
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
    """Start or reach the workers of a deployment; at the end, close what was started.

    Parameters
    ----------
    deployment : Deployment
    resources : Resources
    folder : Path, optional
        Where jobs of a queue find their credentials; seen by driver and nodes. Default: the folder of their logs.
    waiting : callable
        Gets what the cluster says while no worker is there, whenever that changes.
    warn : callable
        Gets what else is worth a line.

    Yields
    ------
    distributed.Client
        On this machine all workers are there; elsewhere one at least, and more come and are replaced meanwhile.

    Raises
    ------
    StoreError
        If no worker comes in time, with what the queue says.
    PlanError
        If a package that speaks to the cluster is missing, or its scheduler cannot be reached.
    GuardError
        If the script that starts the run has no ``if __name__ == "__main__":``.
    """
    import dask

    # Its defaults have to be there before any is changed: else they would go with the changes at the end.
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
    """Make writing to a socket that the other end has closed an error again, as Python does when it starts.

    Libraries that the user's process holds, Gmsh for one, set the signal back to what ends the process.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _settings(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    import dask

    # A scheduler without a dashboard would still show its logs and tasks to who asks.
    pages: dict[str, Any] = {} if deployment.dashboard else {"distributed.scheduler.http.routes": []}
    own_host = deployment.dashboard_host not in ("0.0.0.0", "::")
    if own_host and dask.config.get("distributed.dashboard.link") == _DASKS_LINK:  # else a proxy's
        pages["distributed.dashboard.link"] = _DASKS_LINK.replace("{host}", deployment.dashboard_host)
    return {
        **cluster_of(deployment).settings(),
        **pages,
        # What was sent to each worker of late is kept, tasks and all: a thousand groups of tasks are gigabytes.
        "distributed.admin.low-level-log-length": 10,
        "distributed.scheduler.allowed-failures": 0,  # the driver counts how often a task's worker died
        **memory_settings(),
        **_nanny_settings(resources.threads),
        "distributed.comm.timeouts.connect": f"{START_TIMEOUT_S:.0f}s",
    }


def _nanny_settings(threads: int) -> dict[str, Any]:
    """Return what workers of this machine find in their environment.

    Dask sets what has to be there before a process starts in the driver's own environment, where numba would
    refuse to compile once its number of threads has changed.
    """
    variables = thread_variables(threads)
    own = {THREADS_VARIABLE: variables.pop(THREADS_VARIABLE)}
    return {"distributed.nanny.pre-spawn-environ": variables, "distributed.nanny.environ": own}


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Give the driver back, at the end, the environment that Dask sets for its workers."""
    names = thread_variables(1)
    before = {name: os.environ.get(name) for name in names}
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
    """Keep Dask's own log lines off the progress: what matters comes back as outcomes."""
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
