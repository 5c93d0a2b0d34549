"""Dask clients for deployments: workers of this machine, jobs of a queue, pods, or a scheduler that runs already.

Clusters that the run starts itself take nobody but who has their credentials (:mod:`nmcdist.clusters.credentials`).
"""

import contextlib
import functools
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from nmcdist.clusters import batch, credentials
from nmcdist.clusters.deployment import QUEUES, Deployment
from nmcdist.clusters.guard import GUARD_STATUS, guard_error
from nmcdist.clusters.preflight import ask_scheduler
from nmcdist.clusters.resources import Resources
from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import NmcdistError, StoreError
from nmcdist.kernels import THREADS_VARIABLE

START_TIMEOUT_S = 120.0
CLOSE_TIMEOUT_S = 10.0
CANCEL_TIMEOUT_S = 60.0  # of all jobs together
_LOST_TIMEOUT_S = 60.0  # on this machine a nanny restarts a worker in a few seconds
_POLL_S = 0.5
_DASKS_LINK = "{scheme}://{host}:{port}/status"
_TOO_MANY = 3  # jobs for each worker that end before their worker came

Announce = Callable[[str], None]


@dataclass(frozen=True)
class _Start:
    """What the start of a cluster needs besides its deployment.

    Attributes
    ----------
    stack : contextlib.ExitStack
        Lets go of everything at the end.
    folder : Path or None
        Seen by driver and workers, for credentials.
    waiting, warn : callable
    """

    stack: contextlib.ExitStack
    folder: Path | None
    waiting: Announce
    warn: Announce


@contextlib.contextmanager
def connected(
    deployment: Deployment,
    resources: Resources,
    *,
    folder: Path | None = None,
    waiting: Announce = lambda state: None,
    warn: Announce = lambda text: None,
) -> Iterator[Any]:
    """Start or reach the workers of a deployment, and let go of them at the end.

    Parameters
    ----------
    deployment : Deployment
    resources : Resources
    folder : Path, optional
        Where jobs of a queue find their credentials; seen by driver and nodes. Default: the folder of their logs.
    waiting : callable
        Gets what the queue says while no worker is there, whenever that changes.
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
    kind = "queue" if deployment.kind in QUEUES else deployment.kind
    settings = _settings(deployment, resources)
    with _own_environment(), dask.config.set(settings), _quiet_logs(), contextlib.ExitStack() as stack:
        try:
            client = _STARTS[kind](deployment, resources, _Start(stack, folder, waiting, warn))
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


def patience_s(deployment: Deployment) -> float:
    """Return how long a run goes on without any worker."""
    return _LOST_TIMEOUT_S if deployment.kind == "local" else float(deployment.patience)


def queue_state(client: Any) -> str:
    """Return what the queue says of the workers that are not there, as "2 PENDING (Resources)"; mostly nothing."""
    replacing: Any = getattr(client.cluster, "_adaptive", None)
    if getattr(replacing, "refusal", ""):
        return f"the queue refused a job: {replacing.refusal}"
    return str(getattr(replacing, "says", ""))


def _start_here(deployment: Deployment, resources: Resources, start: _Start) -> Any:
    from distributed import LocalCluster

    from nmcdist.clusters.nanny import PatientNanny, Starts

    starts = Starts(start.warn)
    # Dask's own place may be another user's folder, who could change what is in it.
    scratch = start.stack.enter_context(tempfile.TemporaryDirectory(prefix="nmcdist-dask-", ignore_cleanup_errors=True))
    try:
        with _interrupts_for_the_driver_alone():
            cluster = LocalCluster(
                n_workers=resources.workers,
                threads_per_worker=1,
                processes=True,
                worker_class=functools.partial(PatientNanny, starts=starts),
                memory_limit=resources.memory,
                local_directory=scratch,
                dashboard_address=f"{deployment.dashboard_host}:0",  # also without: it would take port 8787, or warn
                scheduler_kwargs={"dashboard": deployment.dashboard},
                host="127.0.0.1",
                security=credentials.temporary_security(),
                silence_logs=logging.CRITICAL,
            )
    except (TimeoutError, RuntimeError):
        if GUARD_STATUS in starts.exits:
            raise guard_error() from None
        if starts.exits:
            raise StoreError(f"the Dask workers did not start: {starts.why}") from None
        raise
    start.stack.callback(cluster.close, timeout=CLOSE_TIMEOUT_S)
    client = _client_of(cluster, start.stack)
    client.wait_for_workers(resources.workers, timeout=START_TIMEOUT_S)
    return client


def _start_jobs(deployment: Deployment, resources: Resources, start: _Start) -> Any:
    from dask_jobqueue import JobQueueCluster

    job, options = batch.job_class(deployment)
    from nmcdist.clusters.jobs import Replacing

    deployment.log_folder.mkdir(parents=True, exist_ok=True)
    security = credentials.configured_security()
    if security is None:
        security, written = credentials.written_security((start.folder or deployment.log_folder).absolute())
        start.stack.callback(credentials.remove, written)
    with _interrupts_for_the_driver_alone():
        cluster = JobQueueCluster(
            job_cls=job,
            name=batch.NAME,
            security=security,
            scheduler_options={
                "dashboard_address": f"{deployment.dashboard_host}:0",
                "dashboard": deployment.dashboard,
            },
            silence_logs=logging.CRITICAL,
            **batch.job_options(deployment, resources, security),
            **options,
        )
    start.stack.callback(_closed_in_time, cluster)
    client = _client_of(cluster, start.stack)
    n = resources.workers
    replacing = cluster.adapt(Adaptive=Replacing, minimum=n, maximum=n, interval="1s")
    _wait_for_a_worker(client, deployment, replacing, _TOO_MANY * n, start.waiting)
    return client


def _wait_for_a_worker(client: Any, deployment: Deployment, replacing: Any, too_many: int, waiting: Announce) -> None:
    start, told = time.monotonic(), ""
    while not client.scheduler_info(n_workers=-1)["workers"]:
        if replacing.all_refused > 1:
            raise StoreError(f"{deployment.kind} refuses the jobs: {replacing.refusal}")
        if replacing.ended_early >= too_many:
            raise StoreError(
                f"{replacing.ended_early} jobs ended before their worker came; {_why(deployment, replacing)}"
            )
        if time.monotonic() - start > deployment.patience:
            says = replacing.says or "nothing"
            raise StoreError(
                f"no worker came within {deployment.patience} s; {deployment.kind} says: {says}. Jobs that wait need "
                f"more patience or another queue; of jobs that run, see the logs in {deployment.log_folder}"
            )
        if replacing.says != told:
            told = replacing.says
            waiting(told)
        time.sleep(_POLL_S)


def _why(deployment: Deployment, replacing: Any) -> str:
    if replacing.stuck:
        return f"{deployment.kind} says: {replacing.stuck} (log_folder and directives must be right on the nodes)"
    logs = f"their logs in {deployment.log_folder} tell why"
    return f"{logs} (python, prologue and interface must be right on the nodes)"


def _start_pods(deployment: Deployment, resources: Resources, start: _Start) -> Any:
    import uuid

    manifest = batch.manifest(deployment, resources, f"{batch.NAME}-{uuid.uuid4().hex[:8]}")
    from dask_kubernetes.operator import KubeCluster

    try:
        cluster = KubeCluster(
            custom_cluster_spec=manifest,
            namespace=deployment.namespace,
            resource_timeout=int(START_TIMEOUT_S),
            shutdown_on_close=True,
            quiet=True,
        )
    except Exception as error:  # what a client of Kubernetes raises has no common base
        text = " ".join(str(error).split()) or type(error).__name__
        raise StoreError(f"the Dask scheduler did not start on Kubernetes: {text}") from None
    start.stack.callback(cluster.close, timeout=CANCEL_TIMEOUT_S)
    start.warn("the Dask operator uses no TLS: whoever reaches the pods can run code in them; see docs/security.md")
    client = _client_of(cluster, start.stack)
    client.wait_for_workers(1, timeout=deployment.patience)
    return client


def _reach_scheduler(deployment: Deployment, resources: Resources, start: _Start) -> Any:
    address = batch.scheduler_address(deployment)
    ask_scheduler(address)
    if not address.startswith("tls://"):
        start.warn(
            f"{address} asks for no credentials: whoever reaches it can run code on its workers and in this process; "
            "a tls:// one takes only who has its certificate; see docs/security.md"
        )
    client = _client_of(address, start.stack)
    client.wait_for_workers(1, timeout=deployment.patience)
    for worker, found in client.scheduler_info(n_workers=-1)["workers"].items():
        if found["nthreads"] != 1:
            raise StoreError(
                f"worker {worker}: takes {found['nthreads']} tasks at once, expected one: start it with --nthreads 1"
            )
        if 0 < found["memory_limit"] < resources.memory * 0.99:
            raise StoreError(
                f"worker {worker}: found a memory limit of {readable_bytes(found['memory_limit'])}, the deployment "
                f"says {readable_bytes(resources.memory)}"
            )
    return client


_STARTS: dict[str, Callable[..., Any]] = {
    "local": _start_here, "queue": _start_jobs, "kubernetes": _start_pods, "scheduler": _reach_scheduler,
}  # fmt: skip


def _client_of(cluster: Any, stack: contextlib.ExitStack) -> Any:
    from distributed import Client

    client = Client(cluster, timeout=START_TIMEOUT_S, set_as_default=False)
    stack.callback(client.close, timeout=CLOSE_TIMEOUT_S)
    return client


def _closed_in_time(cluster: Any) -> None:
    """Cancel the jobs; those that a busy queue keeps end by themselves when they miss their scheduler."""
    with contextlib.suppress(TimeoutError, RuntimeError):
        cluster.close(timeout=CANCEL_TIMEOUT_S)


@contextlib.contextmanager
def _interrupts_for_the_driver_alone() -> Iterator[None]:
    """Block SIGINT in the threads that start here, and so in the processes that they start now or later.

    A terminal sends Ctrl-C to every process; workers are to be closed by the driver, not to die of it, and a
    command of the queue is to end its work.
    """
    resource_tracker.ensure_running()  # starting it later would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settings(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    import dask

    # Dask would close a nanny that is still restarting its worker then, and nothing on this machine replaces it.
    never_lost = {"distributed.deploy.lost-worker-timeout": "30d"} if deployment.kind == "local" else {}
    # A scheduler without a dashboard would still show its logs and tasks to who asks.
    pages: dict[str, Any] = {} if deployment.dashboard else {"distributed.scheduler.http.routes": []}
    own_host = deployment.dashboard_host not in ("0.0.0.0", "::")
    if own_host and dask.config.get("distributed.dashboard.link") == _DASKS_LINK:  # else a proxy's
        pages["distributed.dashboard.link"] = _DASKS_LINK.replace("{host}", deployment.dashboard_host)
    return {
        **never_lost,
        **pages,
        # What was sent to each worker of late is kept, tasks and all: a thousand groups of tasks are gigabytes.
        "distributed.admin.low-level-log-length": 10,
        "distributed.scheduler.allowed-failures": 0,  # the driver counts how often a task's worker died
        **batch.worker_settings(),
        **_nanny_settings(resources.threads),
        "distributed.comm.timeouts.connect": f"{START_TIMEOUT_S:.0f}s",
    }


def _nanny_settings(threads: int) -> dict[str, Any]:
    """Return what workers of this machine find in their environment.

    Dask sets what has to be there before a process starts in the driver's own environment, where numba would
    refuse to compile once its number of threads has changed.
    """
    variables = batch.thread_variables(threads)
    own = {THREADS_VARIABLE: variables.pop(THREADS_VARIABLE)}
    return {"distributed.nanny.pre-spawn-environ": variables, "distributed.nanny.environ": own}


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Give the driver back, at the end, the environment that Dask sets for its workers."""
    names = batch.thread_variables(1)
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
    logs = [logging.getLogger(name) for name in ("distributed", "asyncio", "dask_jobqueue", "tornado")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
