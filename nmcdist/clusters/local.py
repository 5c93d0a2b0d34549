"""Workers on this machine."""

import functools
import logging
import tempfile
from typing import Any

from nmcdist.clusters import credentials
from nmcdist.clusters.cluster import Cluster
from nmcdist.clusters.fields import LOOPBACK, DeploymentFields
from nmcdist.clusters.guard import GUARD_STATUS, guard_error
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import CLOSE_TIMEOUT_S, START_TIMEOUT_S, Start, interrupts_for_the_driver_alone
from nmcdist.errors import StoreError
from nmcdist.log import shows_dask

_LOST_TIMEOUT_S = 60.0  # a nanny restarts a worker in a few seconds


class Local(Cluster):
    """Worker processes on this machine; by default as many as fit."""

    kind = "local"
    takes = Cluster.takes | {"dashboard_host"}
    needs = ()
    on_this_machine = True

    def start(self, deployment: DeploymentFields, resources: Resources, start: Start) -> Any:
        """Start workers that only this run can reach, and wait for all of them.

        Raises
        ------
        GuardError
            If the script that starts the run has no ``if __name__ == "__main__":``.
        StoreError
            If a worker process dies while it starts.
        """
        from distributed import LocalCluster

        from nmcdist.clusters.nanny import PatientNanny, Starts

        starts = Starts(start.warn)
        # Dask's default folder may belong to another user, who could change its files.
        scratch = start.stack.enter_context(
            tempfile.TemporaryDirectory(prefix="nmcdist-dask-", ignore_cleanup_errors=True)
        )
        try:
            with interrupts_for_the_driver_alone():
                cluster = LocalCluster(
                    n_workers=resources.workers,
                    threads_per_worker=1,
                    processes=True,
                    worker_class=functools.partial(PatientNanny, starts=starts),
                    memory_limit=resources.memory,
                    local_directory=scratch,
                    dashboard_address=f"{deployment.dashboard_host}:0",  # even without one: else port 8787
                    scheduler_kwargs={"dashboard": deployment.dashboard},
                    host=LOOPBACK,
                    security=credentials.temporary_security(),
                    silence_logs=False if shows_dask() else logging.CRITICAL,
                )
        except (TimeoutError, RuntimeError):
            if GUARD_STATUS in starts.exits:
                raise guard_error() from None
            if starts.exits:
                raise StoreError(f"the Dask workers did not start: {starts.why}") from None
            raise
        start.stack.callback(cluster.close, timeout=CLOSE_TIMEOUT_S)
        client = start.client_of(cluster)
        client.wait_for_workers(resources.workers, timeout=START_TIMEOUT_S)
        return client

    def settings(self) -> dict[str, Any]:
        """Give nannies time: Dask would close one that restarts its worker, and nothing replaces it here."""
        return {"distributed.deploy.lost-worker-timeout": "30d"}

    def patience_s(self, deployment: DeploymentFields) -> float:
        """Return how long a run continues without any worker; the deployment does not set this."""
        return _LOST_TIMEOUT_S


CLUSTER = Local()
