"""Executors: they take tasks and yield outcomes, in this process or on a Dask cluster of local workers."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import StoreError
from nmcdist.runs.cluster import Resources
from nmcdist.runs.connect import connected, patience_s, queue_state
from nmcdist.runs.deployment import Deployment
from nmcdist.runs.groups import GroupSize, next_group
from nmcdist.runs.task import Outcome, hold, release, run_task
from nmcdist.runs.watch import Watch
from nmcdist.runs.work import Job, Task

Announce = Callable[[str, str], None]

ATTEMPTS = 3  # of a task whose workers die: in a group, by itself, and alone on the whole cluster
UNREADY_ATTEMPTS = 2  # of a task whose worker did not hold the bundle
_POLL_S = 0.5


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
    deployment: Deployment,
    *,
    announce: Announce = lambda name, text: None,
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
    deployment : Deployment
    announce : callable
        Gets what is to be told: "dashboard" and its link, "waiting" and what the queue says.

    Raises
    ------
    StoreError
        If the workers do not start, or are gone for good.
    """
    with connected(deployment, resources, waiting=lambda state: announce("waiting", state)) as client:
        if deployment.dashboard and client.dashboard_link:
            announce("dashboard", client.dashboard_link)
        client.register_plugin(_plugin(job), name=_plugin_name(job))
        yield from _outcomes(client, job, tasks, resources, task_bytes, patience_s(deployment))


def run_group(fingerprint: str, tasks: Sequence[Task]) -> list[Outcome]:
    """Run tasks one after another on a worker."""
    return [run_task(fingerprint, task) for task in tasks]


def _outcomes(
    client: Any, job: Job, tasks: Iterable[Task], resources: Resources, task_bytes: int, patience: float
) -> Iterator[Outcome]:
    """Run tasks in groups; those whose worker died then one by one, and at last alone, so the guilty one is known.

    When a worker dies, Dask names every task that it held, run or only queued.
    """
    watch = Watch(resources.walltime_s)
    suspects: list[tuple[Task, str]] = []
    for sizes, at_once in ((GroupSize(), 2 * resources.workers), (None, resources.workers), (None, 1)):
        before, suspects = suspects, []
        todo = tasks if sizes is not None else [task for task, _ in before]
        for task, outcome, why in _rounds(client, job, todo, at_once, sizes, watch, patience):
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
    client: Any, job: Job, tasks: Iterable[Task], at_once: int, sizes: GroupSize | None, watch: Watch, patience: float
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
        last_seen = _check_workers(client, watch, last_seen, patience)


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


def _check_workers(client: Any, watch: Watch, last_seen: float, patience: float) -> float:
    """Return when workers were last there; after long enough without any, give up."""
    if client.status != "running":
        raise StoreError("the Dask scheduler is gone; the run can be continued with --resume")
    if watch.look(client):
        return time.monotonic()
    if time.monotonic() - last_seen > patience:
        says = f" ({state})" if (state := queue_state(client)) else ""
        raise StoreError(f"no worker for {patience:.0f} s{says}; the run can be continued with --resume")
    return last_seen


def _plugin(job: Job) -> Any:
    from nmcdist.runs.plugin import HoldJob

    return HoldJob(job)


def _plugin_name(job: Job) -> str:
    return f"nmcdist-{job.fingerprint}"
