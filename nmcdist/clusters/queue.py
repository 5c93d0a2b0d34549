"""Queues of dask-jobqueue: one job runs one worker, and lost jobs are replaced.

A worker runs one task at a time, whose kernels use all cores of the job.
"""

import contextlib
import logging
import re
import shlex
import shutil
import time
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nmcdist.clusters import credentials
from nmcdist.clusters.ask import Listing
from nmcdist.clusters.cluster import Cluster
from nmcdist.clusters.environment import as_environment, memory_settings, thread_variables
from nmcdist.clusters.fields import LOOPBACK, DeploymentFields
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import CANCEL_TIMEOUT_S, DEATH_TIMEOUT_S, NAME, Start, interrupts_for_the_driver_alone
from nmcdist.errors import PlanError, StoreError
from nmcdist.extras import need
from nmcdist.log import shows_dask

if TYPE_CHECKING:
    from nmcdist.clusters.jobs import Replacing

SHORTEST_WALLTIME_S = 120
_POLL_S = 0.5
_TOO_MANY = 3  # jobs per worker that may end before their worker connects
_UNKNOWN_SCHEDULER = "tls://SCHEDULER:PORT"
_UNKNOWN_FOLDER = Path("CREDENTIALS")  # made when a run starts


class Queue(Cluster):
    """A queue that dask-jobqueue can submit to.

    A kind defines the class of its jobs (:meth:`plain_job`) and their resource requests (:meth:`requests`); the rest
    is shared.

    Attributes
    ----------
    listing : Listing, optional
        How to list waiting and running jobs; without it, a job that ends before its worker connects goes unnoticed.
    log_folder_with_blanks : bool
        Whether the path of the log folder may have blanks, which end a path in the directives of most queues.
    """

    takes: ClassVar[frozenset[str]] = Cluster.takes | {
        "dashboard_host", "walltime", "queue", "project", "interface", "python", "prologue", "directives",
        "log_folder", "local_folder", "gpus_per_worker", "patience",
    }  # fmt: skip
    needs: ClassVar[tuple[str, ...]] = ("workers", "memory_per_worker", "walltime")
    listing: ClassVar[Listing | None] = None
    log_folder_with_blanks: ClassVar[bool] = False

    @abstractmethod
    def plain_job(self) -> type:
        """Return the job class of dask-jobqueue, imported on demand."""

    @abstractmethod
    def requests(self, deployment: DeploymentFields, resources: Resources) -> dict[str, Any]:
        """Return the arguments of the job class for the resources that a job requests."""

    def ask_queue(self, deployment: DeploymentFields, resources: Resources, script: str) -> None:
        """Ask the queue whether it would accept a job, if it has a command for that.

        Raises
        ------
        PlanError
            The message names the field of the deployment to change.
        """

    def faults(self, deployment: DeploymentFields) -> list[str]:
        """Return also a walltime that is too short for a worker to do anything."""
        found = super().faults(deployment)
        if deployment.walltime is not None and deployment.walltime < SHORTEST_WALLTIME_S:
            found.append(f"walltime: found {deployment.walltime} s, expected at least {SHORTEST_WALLTIME_S} s")
        return found

    def script(self, deployment: DeploymentFields, resources: Resources) -> str:
        """Return the script of one job; no file is written."""
        job = self.job_class()
        security = credentials.configured_security() or credentials.security_in(_UNKNOWN_FOLDER)
        options = self.job_options(deployment, resources, security)
        return str(job(_UNKNOWN_SCHEDULER, name=NAME, protocol="tls://", **options).job_script())

    def preflight(self, deployment: DeploymentFields, resources: Resources) -> None:
        """Check that this host has the network interface and the queue's command, and ask the queue."""
        script = self.script(deployment, resources)
        _check_interface(deployment)
        command = self.job_class().submit_command
        if shutil.which(command) is None:
            raise PlanError(
                f"kind: {self.kind} needs the command {command}, which this host lacks; run on a login node"
            )
        self.ask_queue(deployment, resources, script)

    def start(self, deployment: DeploymentFields, resources: Resources, start: Start) -> Any:
        """Submit the jobs and wait for the first worker; more connect, and are replaced, meanwhile."""
        job = self.job_class()
        from dask_jobqueue.core import JobQueueCluster

        from nmcdist.clusters.jobs import Replacing

        deployment.log_folder.mkdir(parents=True, exist_ok=True)
        security = credentials.configured_security()
        if security is None:
            security, written = credentials.written_security((start.folder or deployment.log_folder).absolute())
            start.stack.callback(credentials.remove, written)
        with interrupts_for_the_driver_alone():
            cluster = JobQueueCluster(
                job_cls=job,
                name=NAME,
                security=security,
                scheduler_options={
                    "dashboard_address": f"{deployment.dashboard_host}:0",
                    "dashboard": deployment.dashboard,
                },
                silence_logs=False if shows_dask() else logging.CRITICAL,
                **self.job_options(deployment, resources, security),
            )
        start.stack.callback(_closed_in_time, cluster)
        client = start.client_of(cluster)
        n = resources.workers
        replacing = cluster.adapt(Adaptive=Replacing, minimum=n, maximum=n, interval="1s")
        self._wait_for_a_worker(client, deployment, replacing, _TOO_MANY * n, start)
        return client

    def state(self, client: Any) -> str:
        """Return the queue's report on jobs whose worker is missing, or its reason for refusing one."""
        replacing: Replacing = client.cluster._adaptive
        return f"the queue refused a job: {replacing.refusal}" if replacing.refusal else replacing.says

    def job_class(self) -> Any:
        """Return the class of the jobs.

        Raises
        ------
        MissingPackageError
            If dask-jobqueue is not installed.
        """
        need("cluster", f"kind: {self.kind}")
        from nmcdist.clusters.jobs import reliable

        return reliable(self.plain_job(), self.listing)

    def job_options(self, deployment: DeploymentFields, resources: Resources, security: Any) -> dict[str, Any]:
        """Return the arguments of the job class.

        Parameters
        ----------
        deployment : DeploymentFields
        resources : Resources
        security : distributed.Security
            Jobs find the names of its files in the environment: a command line cannot hold a path with a blank.

        Raises
        ------
        PlanError
            If the queue does not support the log folder.
        """
        seconds, spread = lifetime(deployment.walltime or 0)
        extra = ["--lifetime", f"{seconds}s", "--lifetime-stagger", f"{spread}s", "--no-lifetime-restart"]
        extra += ["--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0"]  # the address of the health page
        if deployment.gpus_per_worker:
            extra += ["--resources", f"GPU={deployment.gpus_per_worker}"]
        settings = {**memory_settings(), **credentials.worker_tls_settings(security)}
        environment = {**thread_variables(resources.threads), **as_environment(settings)}
        exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        return {
            "job_name": NAME,
            "cores": 1,  # threads of Dask: the tasks that a worker runs at once
            "processes": 1,
            "memory": resources.memory,
            "nanny": True,
            "interface": deployment.interface,
            "python": deployment.python,
            "death_timeout": DEATH_TIMEOUT_S,
            "local_directory": deployment.local_folder,
            "worker_extra_args": extra,
            "job_script_prologue": [*deployment.prologue, f"export {exports}"],
            **self.requests(deployment, resources),
        }

    def log_folder(self, deployment: DeploymentFields) -> Path:
        """Return the log folder as it is passed to the queue.

        Raises
        ------
        PlanError
            If its path has a blank and the queue does not support blanks.
        """
        folder = deployment.log_folder.absolute()
        if not self.log_folder_with_blanks and re.search(r"\s", str(folder)):
            raise PlanError(f"log_folder: found '{folder}', expected a path without blanks for kind {self.kind}")
        return folder

    def _wait_for_a_worker(
        self, client: Any, deployment: DeploymentFields, replacing: "Replacing", too_many: int, start: Start
    ) -> None:
        begin, said = time.monotonic(), ""
        while not client.scheduler_info(n_workers=-1)["workers"]:
            if replacing.all_refused > 1:
                raise StoreError(f"{self.kind} refuses the jobs: {replacing.refusal}")
            if replacing.ended_early >= too_many:
                raise StoreError(
                    f"{replacing.ended_early} jobs ended before their worker connected; "
                    f"{self._why(deployment, replacing)}"
                )
            if time.monotonic() - begin > deployment.patience:
                raise StoreError(
                    f"no worker connected within {deployment.patience} s; {self.kind} says: "
                    f"{replacing.says or 'nothing'}. If jobs wait, raise patience or choose another "
                    "queue; if they run, see their logs in "
                    f"{deployment.log_folder}"
                )
            if replacing.says != said:
                said = replacing.says
                start.waiting(said)
            time.sleep(_POLL_S)

    def _why(self, deployment: DeploymentFields, replacing: "Replacing") -> str:
        if replacing.stuck:
            return f"{self.kind} says: {replacing.stuck} (log_folder and directives must be valid on the nodes)"
        logs = f"their logs in {deployment.log_folder} say why"
        return f"{logs} (python, prologue and interface must be valid on the nodes)"


def lifetime(walltime_s: int) -> tuple[int, int]:
    """Return the lifetime of a worker in seconds and its random spread: all workers leave before the walltime.

    A task that the worker holds then goes to another worker.
    """
    reserve, spread = min(300, max(30, walltime_s // 10)), min(300, walltime_s // 20)
    return walltime_s - reserve - spread, spread


def _check_interface(deployment: DeploymentFields) -> None:
    if deployment.interface is None:
        return
    import socket

    from distributed.utils import get_ip_interface

    try:
        get_ip_interface(deployment.interface)
    except ValueError:
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise PlanError(
            f"interface: found {deployment.interface!r}, expected one of this host with an IPv4 address: {names}"
        ) from None


def _closed_in_time(cluster: Any) -> None:
    """Cancel the jobs; if a busy queue keeps some, they end by themselves without their scheduler."""
    with contextlib.suppress(TimeoutError, RuntimeError):
        cluster.close(timeout=CANCEL_TIMEOUT_S)
