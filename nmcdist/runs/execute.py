"""Executors: they take tasks and yield outcomes, in this process or on a Dask cluster of local workers."""

import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import Any

from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import StoreError
from nmcdist.runs.cluster import Resources
from nmcdist.runs.groups import GroupSize, next_group
from nmcdist.runs.task import Outcome, hold, release, run_task
from nmcdist.runs.watch import Watch
from nmcdist.runs.work import Job, Task

ATTEMPTS = 3  # of a task whose workers die: in a group, by itself, and alone on the whole cluster
UNREADY_ATTEMPTS = 2  # of a task whose worker did not hold the bundle
START_TIMEOUT_S = 120.0
LOST_TIMEOUT_S = 60.0  # without any worker: a nanny restarts one in a few seconds
CLOSE_TIMEOUT_S = 10.0
_POLL_S = 0.5
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip


def run_here(job: Job, tasks: Iterable[Task]) -> Iterator[Outcome]:
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
    tasks: Iterable[Task],
    resources: Resources,
    task_bytes: int,
    *,
    dashboard: bool = False,
    announce: Callable[[str], None] = lambda link: None,
) -> Iterator[Outcome]:
    """Run tasks on a Dask cluster, one at a time on each worker, and close it at the end.

    Parameters
    ----------
    job : Job
    tasks : iterable of Task
        Taken as they are needed: a bounded number is with the scheduler at any time.
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


def run_group(fingerprint: str, tasks: Sequence[Task]) -> list[Outcome]:
    """Run tasks one after another on a worker."""
    return [run_task(fingerprint, task) for task in tasks]


def _outcomes(client: Any, job: Job, tasks: Iterable[Task], resources: Resources, task_bytes: int) -> Iterator[Outcome]:
    """Run tasks in groups; those whose worker died then one by one, and at last alone, so the guilty one is known.

    When a worker dies, Dask names every task that it held, run or only queued.
    """
    watch = Watch(resources.walltime_s)
    suspects: list[tuple[Task, str]] = []
    for sizes, at_once in ((GroupSize(), 2 * resources.workers), (None, resources.workers), (None, 1)):
        before, suspects = suspects, []
        todo = tasks if sizes is not None else [task for task, _ in before]
        for task, outcome, why in _rounds(client, job, todo, at_once, sizes, watch):
            if outcome is None:
                suspects.append((task, why))
            else:
                yield outcome
        if not suspects:
            return
    for task, why in suspects:
        text = (
            f"the worker died {ATTEMPTS} times on this task, {why}; the task needs about "
            f"{readable_bytes(task_bytes)}, a worker has {readable_bytes(resources.memory)}"
        )
        yield Outcome(task.name, task.sample, text)


def _rounds(
    client: Any, job: Job, tasks: Iterable[Task], at_once: int, sizes: GroupSize | None, watch: Watch
) -> Iterator[tuple[Task, Outcome | None, str]]:
    """Keep a bounded number of groups with the scheduler; yield outcomes as they come, None where a worker died."""
    waiting, again = iter(tasks), list[Task]()
    flying: dict[Any, list[Task]] = {}
    unready: Counter[str] = Counter()
    last_seen = time.monotonic()
    while True:
        while len(flying) < at_once and (group := next_group(again, waiting, sizes.now if sizes else 1)):
            # pure=False: it writes files, so that a result that Dask remembers is not the work done.
            flying[client.submit(run_group, job.fingerprint, group, pure=False)] = group
        if not flying:
            return
        for future in _finished(list(flying)):
            group = flying.pop(future)
            outcomes, why = _group_outcomes(future, group, watch)
            future.release()
            if outcomes is not None and sizes is not None:
                sizes.learn(outcome.seconds for outcome in outcomes)
            ended: Sequence[Outcome | None] = outcomes or [None] * len(group)
            for task, outcome in zip(group, ended, strict=True):
                if outcome is not None and outcome.unready and unready[task.name] < UNREADY_ATTEMPTS:
                    unready[task.name] += 1
                    client.register_plugin(_plugin(job), name=f"{_plugin_name(job)}-{time.monotonic_ns()}")
                    again.append(task)
                else:
                    yield task, outcome, why
        last_seen = _check_workers(client, watch, last_seen)


def _finished(futures: list[Any]) -> list[Any]:
    from distributed import TimeoutError as DaskTimeoutError
    from distributed import wait

    with contextlib.suppress(DaskTimeoutError):
        wait(futures, timeout=_POLL_S, return_when="FIRST_COMPLETED")
    return [future for future in futures if future.done()]


def _group_outcomes(future: Any, group: Sequence[Task], watch: Watch) -> tuple[list[Outcome] | None, str]:
    """Return how the tasks of a group ended; None and the reason where their worker died."""
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result(), ""
    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        return None, watch.why_lost(error.last_worker.address)
    text = f"{type(error).__name__}: {error}" if error else f"task {future.status}"
    return [Outcome(task.name, task.sample, " ".join(text.split()), text) for task in group], ""


def _check_workers(client: Any, watch: Watch, last_seen: float) -> float:
    """Return when workers were last there; after long enough without any, give up."""
    if client.status != "running":
        raise StoreError("the Dask scheduler is gone; the run can be continued with --resume")
    if watch.look(client):
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
