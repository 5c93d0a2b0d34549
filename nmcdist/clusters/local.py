"""Workers on this machine."""

import functools
import logging
import tempfile
from typing import Any

from nmcdist.clusters import credentials
from nmcdist.clusters.cluster import Cluster
from nmcdist.clusters.deployment import LOOPBACK, Deployment
from nmcdist.clusters.guard import GUARD_STATUS, guard_error
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import CLOSE_TIMEOUT_S, START_TIMEOUT_S, Start, interrupts_for_the_driver_alone
from nmcdist.errors import StoreError
from nmcdist.log import shows_dask

_LOST_TIMEOUT_S = 60.0  # a nanny restarts a worker in a few seconds


class Local(Cluster):
    """Worker processes on this machine, as many as fit where the deployment does not say."""

    kind = "local"
    takes = Cluster.takes | {"dashboard_host"}
    needs = ()
    on_this_machine = True

    def start(self, deployment: Deployment, resources: Resources, start: Start) -> Any:
        """Start the workers, which only this run can reach, and wait for all of them.

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
        # Dask's own place may be another user's folder, who could change what is in it.
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
                    dashboard_address=f"{deployment.dashboard_host}:0",  # also without one: else it takes port 8787
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
        """Let nannies take their time: Dask would close one that restarts its worker, and nothing here replaces it."""
        return {"distributed.deploy.lost-worker-timeout": "30d"}

    def patience_s(self, deployment: Deployment) -> float:
        """Return how long a run goes on without any worker, which is not for the deployment to say."""
        return _LOST_TIMEOUT_S


CLUSTER = Local()
