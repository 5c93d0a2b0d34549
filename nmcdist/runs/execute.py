"""Executors: they take tasks and yield outcomes, in this process or on a Dask cluster of local workers."""

import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import Any

from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import StoreError
from nmcdist.runs.cluster import Resources
from nmcdist.runs.task import Outcome, hold, release, run_task
from nmcdist.runs.work import Job, Task

WORKER_LOSSES = 2  # how often a task is tried again after its worker died
START_TIMEOUT_S = 120.0
LOST_TIMEOUT_S = 60.0  # without any worker: a nanny restarts one in a few seconds
CLOSE_TIMEOUT_S = 10.0
_POLL_S = 0.5
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip


def run_here(job: Job, tasks: Sequence[Task]) -> Iterator[Outcome]:
    """Run tasks in this process, one after another."""
    from nmcdist.threads import set_thread_count, thread_count

    threads = thread_count()
    hold(job)
    try:
        for task in tasks:
            yield run_task(job.fingerprint, task)
    finally:
        release(job.fingerprint)
        set_thread_count(threads)  # tasks set their own


def run_on_dask(
    job: Job,
    tasks: Sequence[Task],
    resources: Resources,
    task_bytes: int,
    *,
    dashboard: bool = False,
    announce: Callable[[str], None] = lambda link: None,
) -> Iterator[Outcome]:
    """Run tasks on a Dask cluster on this machine, one at a time on each worker, and close it at the end.

    Parameters
    ----------
    job : Job
    tasks : sequence of Task
    resources : Resources
    task_bytes : int
        What a task needs, for the message when a worker dies.
    dashboard : bool
        Whether to serve the dashboard.
    announce : callable
        Gets the link of the dashboard.

    Raises
    ------
    StoreError
        If the workers do not start, or are gone for good.
    """
    with _client(resources, dashboard=dashboard) as client:
        if dashboard and client.dashboard_link:
            announce(client.dashboard_link)
        client.register_plugin(_plugin(job), name=_plugin_name(job))
        yield from _outcomes(client, job, tasks, resources, task_bytes)


def _outcomes(client: Any, job: Job, tasks: Sequence[Task], resources: Resources, task_bytes: int) -> Iterator[Outcome]:
    """Run tasks together; those whose worker died are then tried alone, so that the guilty one is known.

    When a worker dies, Dask names every task that it held, run or only queued.
    """
    suspects: list[Task] = []
    for task, outcome in _rounds(client, job, tasks, 2 * resources.workers):
        if outcome is None:
            suspects.append(task)
        else:
            yield outcome
    for task in suspects:
        for _ in range(WORKER_LOSSES):
            ((_, outcome),) = _rounds(client, job, [task], 1)
            if outcome is not None:
                break
        text = (
            f"the worker died {WORKER_LOSSES + 1} times on this task, probably out of memory: it needs about "
            f"{readable_bytes(task_bytes)}, a worker has {readable_bytes(resources.memory)}"
        )
        yield outcome or Outcome(task.name, task.sample, text)


def _rounds(client: Any, job: Job, tasks: Sequence[Task], at_once: int) -> Iterator[tuple[Task, Outcome | None]]:
    """Keep a bounded number of tasks with the scheduler, and yield outcomes as they come; None: worker died."""
    waiting = list(reversed(tasks))
    flying: dict[Any, Task] = {}
    unready: Counter[str] = Counter()
    last_seen = time.monotonic()
    while waiting or flying:
        while waiting and len(flying) < at_once:
            task = waiting.pop()
            # pure=False: it writes files, so that a result that Dask remembers is not the work done.
            flying[client.submit(run_task, job.fingerprint, task, pure=False)] = task
        for future in _finished(list(flying)):
            task = flying.pop(future)
            outcome = _outcome(future, task)
            future.release()
            if outcome is not None and outcome.unready and unready[task.name] < WORKER_LOSSES:
                unready[task.name] += 1
                client.register_plugin(_plugin(job), name=f"{_plugin_name(job)}-{time.monotonic_ns()}")
                waiting.append(task)
            else:
                yield task, outcome
        last_seen = _check_workers(client, last_seen)


def _finished(futures: list[Any]) -> list[Any]:
    from distributed import TimeoutError as DaskTimeoutError
    from distributed import wait

    with contextlib.suppress(DaskTimeoutError):
        wait(futures, timeout=_POLL_S, return_when="FIRST_COMPLETED")
    return [future for future in futures if future.done()]


def _outcome(future: Any, task: Task) -> Outcome | None:
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        return None
    text = f"{type(error).__name__}: {error}" if error else f"task {future.status}"
    return Outcome(task.name, task.sample, " ".join(text.split()), text)


def _check_workers(client: Any, last_seen: float) -> float:
    """Return when workers were last there; after long enough without any, give up."""
    if client.status != "running":
        raise StoreError("the Dask scheduler is gone; the run can be continued with --resume")
    if client.cluster.scheduler.workers:
        return time.monotonic()
    if time.monotonic() - last_seen > LOST_TIMEOUT_S:
        raise StoreError(f"no worker for {LOST_TIMEOUT_S:.0f} s; the run can be continued with --resume")
    return last_seen


@contextlib.contextmanager
def _client(resources: Resources, *, dashboard: bool) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set(_settings(resources)), _quiet_logs(), contextlib.ExitStack() as stack:
        try:
            with _interrupts_for_the_driver_alone():
                cluster = LocalCluster(
                    n_workers=resources.workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=resources.memory,
                    dashboard_address="127.0.0.1:0" if dashboard else None,
                    host="127.0.0.1",
                    silence_logs=logging.CRITICAL,
                )
            stack.callback(cluster.close, timeout=CLOSE_TIMEOUT_S)
            client = Client(cluster, timeout=START_TIMEOUT_S, set_as_default=False)
            stack.callback(client.close, timeout=CLOSE_TIMEOUT_S)
            client.wait_for_workers(resources.workers, timeout=START_TIMEOUT_S)
        except (TimeoutError, RuntimeError, OSError) as error:
            raise StoreError(f"the Dask workers did not start: {type(error).__name__}: {error}") from None
        stack.enter_context(client.as_current())
        yield client


@contextlib.contextmanager
def _interrupts_for_the_driver_alone() -> Iterator[None]:
    """Block SIGINT in the threads that start here, and so in the workers that they start now or later.

    A terminal sends Ctrl-C to every process; the workers are to be closed by the driver, not to die of it.
    """
    resource_tracker.ensure_running()  # starting it later would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settings(resources: Resources) -> dict[str, Any]:
    threads = dict.fromkeys(_THREAD_VARIABLES, str(resources.threads))
    return {
        "distributed.scheduler.allowed-failures": 0,  # the driver counts: see _outcomes
        # Tasks return next to nothing, so a worker has nothing to spill, and a paused one would only stall.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95,
        # Set before the worker's process imports anything; Dask's own value is one thread for BLAS.
        "distributed.nanny.pre-spawn-environ": {"MALLOC_TRIM_THRESHOLD_": "65536", **threads},
        "distributed.comm.timeouts.connect": f"{START_TIMEOUT_S:.0f}s",
    }


@contextlib.contextmanager
def _quiet_logs() -> Iterator[None]:
    """Keep Dask's own log lines off the progress: what matters comes back as outcomes."""
    logs = [logging.getLogger(name) for name in ("distributed", "asyncio")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def _plugin(job: Job) -> Any:
    from nmcdist.runs.plugin import HoldJob

    return HoldJob(job)


def _plugin_name(job: Job) -> str:
    return f"nmcdist-{job.fingerprint}"
