"""Executors: run tasks in this process or on the workers of a Dask client, and yield their outcomes."""

import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nmcdist.clusters.client import lent
from nmcdist.clusters.cluster import Cluster, cluster_of
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Resources
from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import NmcdistError, StoreError
from nmcdist.execution.group_size import GroupSize, next_group
from nmcdist.execution.lost_workers import Watch
from nmcdist.execution.plugin import COMPILING, HoldJob
from nmcdist.execution.worker import Outcome, hold, release, run_task
from nmcdist.products.plan import Job, Task

if TYPE_CHECKING:
    from distributed import Client

Announce = Callable[[str, str], None]

ATTEMPTS = 3  # per task whose workers die: in a group, by itself, and alone on the whole cluster
UNREADY_ATTEMPTS = 2  # per task whose worker did not hold the bundle
_POLL_S = 0.5
_ANSWER_TIMEOUT_S = 5.0  # wait for a result; it never comes if the last worker is gone
_TAKE_BACK_TIMEOUT_S = 10.0
_GONE = "the Dask scheduler is gone; continue the run with --resume"


def run_here(job: Job, tasks: Iterable[Task | None]) -> Iterator[Outcome]:
    """Run tasks in this process, one after another, until none is left or the next one must wait (None)."""
    from nmcdist.threads import set_thread_count, thread_count

    threads = thread_count()
    hold(job)
    try:
        for task in tasks:
            if task is None:  # for a result that no task of this run gives
                return
            yield run_task(job.key, task)
    finally:
        release(job.key)
        set_thread_count(threads)  # tasks set their own


def run_on_dask(
    job: Job,
    tasks: Iterable[Task | None],
    resources: Resources,
    task_bytes: int,
    deployment: Deployment,
    *,
    client: "Client | None" = None,
    announce: Announce = lambda name, text: None,
) -> Iterator[Outcome]:
    """Run tasks on a Dask cluster, one at a time on each worker.

    Parameters
    ----------
    job : Job
    tasks : iterable of Task or None
        Consumed as needed: a bounded number is with the scheduler at any time. None: the next one waits for outcomes.
    resources : Resources
    task_bytes : int
        Memory that a task needs, for the message when a worker dies.
    deployment : Deployment
        The cluster to start for these tasks, and to close at the end.
    client : distributed.Client, optional
        The caller's own client, used instead and not closed; the deployment is
        :func:`nmcdist.clusters.client.deployment_of` of it.
    announce : callable
        Called with an event and its text: "dashboard" and its link, "waiting" and the state of the cluster,
        "warning" and the reason, "compiling" and how long.

    Raises
    ------
    StoreError
        If the workers do not start, cannot load the job, or are gone for good.
    """
    cluster = cluster_of(deployment)
    if client is not None:
        reached = lent(client, resources)
    else:
        reached = connected(
            deployment,
            resources,
            folder=job.journal,
            waiting=lambda state: announce("waiting", state),
            warn=lambda text: announce("warning", text),
        )
    go_on = client is not None or cluster.outlives_the_run
    with reached as client:
        if deployment.dashboard and client.dashboard_link:
            announce("dashboard", client.dashboard_link)
        handed = _Handed(client, job)
        workers = _Workers(client, cluster, cluster.patience_s(deployment), Watch(resources.walltime_s))
        try:
            client.subscribe_topic(COMPILING, _once(lambda text: announce("compiling", text)))
            handed.out()
            yield from _outcomes(handed, workers, tasks, resources, task_bytes)
        finally:
            if go_on:  # other workers end with the run
                handed.back()


def _once(say: Callable[[str], None]) -> Callable[[tuple[float, str]], None]:
    """Return a handler of Dask events that passes on the first event."""
    said: list[str] = []

    def handler(event: tuple[float, str]) -> None:
        if not said:
            said.append(event[1])
            say(event[1])

    return handler


def run_group(key: str, tasks: Sequence[Task]) -> list[Outcome]:
    """Run tasks one after another on a worker."""
    return [run_task(key, task) for task in tasks]


class _Handed:
    """The job that the workers of a client hold."""

    def __init__(self, client: Any, job: Job) -> None:
        self.client = client
        self.job = job
        self._names: list[str] = []

    def out(self) -> None:
        """Send the job to all workers, under a new name each time, so that no task meets a worker without it."""
        from distributed.comm.core import CommClosedError

        name = f"nmcdist-{self.job.key}-{len(self._names)}"
        self._names.append(name)
        try:
            self.client.register_plugin(_plugin(self.job), name=name)
        except CommClosedError:  # a worker died meanwhile; its replacement gets the job
            return
        except NmcdistError:
            raise
        except Exception as error:  # errors of workers that lack a module have no common base
            text = " ".join(str(error).split()) or type(error).__name__
            raise StoreError(
                f"the workers cannot load the job: {text}; install the same nmcdist in their environment or image"
            ) from None

    def back(self) -> None:
        """Remove the job from the workers, and its events from the client."""
        if self.client.status != "running":
            return
        with contextlib.suppress(ValueError):  # it has not been sent out yet
            self.client.unsubscribe_topic(COMPILING)
        for name in self._names:
            with contextlib.suppress(Exception):  # errors of a scheduler that closes have no common base
                forget = self.client.scheduler.unregister_worker_plugin
                self.client.sync(forget, name=name, callback_timeout=_TAKE_BACK_TIMEOUT_S)


def _outcomes(
    handed: _Handed, workers: "_Workers", tasks: Iterable[Task | None], resources: Resources, task_bytes: int
) -> Iterator[Outcome]:
    """Run tasks; those that had to wait until a task whose worker died was repeated come after it."""
    waiting = iter(tasks)
    while (first := next(waiting, None)) is not None:
        yield from _outcomes_of_ready(handed, workers, itertools.chain([first], waiting), resources, task_bytes)


def _outcomes_of_ready(
    handed: _Handed, workers: "_Workers", tasks: Iterator[Task | None], resources: Resources, task_bytes: int
) -> Iterator[Outcome]:
    """Run tasks in groups; repeat those whose worker died one by one, and finally alone, to find the guilty one.

    When a worker dies, Dask names every task that it held, run or only queued.
    """
    suspects: list[tuple[Task, str]] = []
    for sizes, at_once in ((GroupSize(), 2 * resources.workers), (None, resources.workers), (None, 1)):
        before, suspects = suspects, []
        todo: Iterable[Task | None] = tasks if sizes is not None else [task for task, _ in before]
        for task, outcome, why in _rounds(handed, workers, todo, at_once, sizes):
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
    handed: _Handed, workers: "_Workers", tasks: Iterable[Task | None], at_once: int, sizes: GroupSize | None
) -> Iterator[tuple[Task, Outcome | None, str]]:
    """Keep a bounded number of groups with the scheduler; yield outcomes as they come, None if a worker died."""
    client, waiting, again = handed.client, iter(tasks), list[Task]()
    flying: dict[Any, list[Task]] = {}
    unready: Counter[str] = Counter()
    while True:
        while len(flying) < at_once and (group := next_group(again, waiting, sizes.now if sizes else 1)):
            # pure=False: the task writes files, so a result that Dask remembers does not replace the work.
            flying[client.submit(run_group, handed.job.key, group, pure=False)] = group
        if not flying:
            return
        for future in _finished(list(flying)):
            if (how := _group_outcomes(future, flying[future], workers.watch)) is None:
                continue
            group, (outcomes, why) = flying.pop(future), how
            future.release()
            if outcomes is not None and sizes is not None:
                sizes.learn(outcome.seconds for outcome in outcomes)
            ended: Sequence[Outcome | None] = outcomes or [None] * len(group)
            for task, outcome in zip(group, ended, strict=True):
                if outcome is not None and outcome.unready and unready[task.name] < UNREADY_ATTEMPTS:
                    unready[task.name] += 1
                    handed.out()
                    again.append(task)
                else:
                    yield task, outcome, why
        workers.check()


def _finished(futures: list[Any]) -> list[Any]:
    from distributed import TimeoutError as DaskTimeoutError
    from distributed import wait

    try:
        with contextlib.suppress(DaskTimeoutError):
            wait(futures, timeout=_POLL_S, return_when="FIRST_COMPLETED")
    except CancelledError:  # a client does so when it loses its scheduler
        raise StoreError(_GONE) from None
    return [future for future in futures if future.done()]


def _group_outcomes(future: Any, group: Sequence[Task], watch: Watch) -> tuple[list[Outcome] | None, str] | None:
    """Return the outcomes of a group's tasks, or None and the reason if their worker died.

    Returns None alone if the worker died with the results; the group is then repeated.
    """
    from distributed import KilledWorker

    if future.status not in ("finished", "error"):
        return None
    try:
        return future.result(timeout=_ANSWER_TIMEOUT_S), ""
    except CancelledError:
        raise StoreError(_GONE) from None
    except KilledWorker as error:
        return None, watch.why_lost(error.last_worker.address)
    except Exception as error:
        if isinstance(error, OSError) and future.status != "error":  # an error of the transfer, not of the tasks
            return None
        text = f"{type(error).__name__}: {error}"
    return [Outcome(task.name, task.sample, " ".join(text.split()), text) for task in group], ""


@dataclass
class _Workers:
    """The workers of a client, and how long the run continues without any.

    Attributes
    ----------
    client : distributed.Client
    cluster : Cluster
    patience_s : float
    watch : Watch
    last_seen : float
        Time at which workers were last connected.
    """

    client: Any
    cluster: Cluster
    patience_s: float
    watch: Watch
    last_seen: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Stop the run if its scheduler is gone, or if no worker has been connected for too long.

        Raises
        ------
        StoreError
            With the cluster's reason for the missing workers.
        """
        if self.client.status != "running":
            raise StoreError(_GONE)
        try:
            if self.watch.look(self.client):
                self.last_seen = time.monotonic()
                return
        except OSError:
            raise StoreError(_GONE) from None
        if time.monotonic() - self.last_seen > self.patience_s:
            says = f" ({state})" if (state := self.cluster.state(self.client)) else ""
            raise StoreError(f"no worker for {self.patience_s:.0f} s{says}; continue the run with --resume")


def _plugin(job: Job) -> Any:
    return HoldJob(job)
