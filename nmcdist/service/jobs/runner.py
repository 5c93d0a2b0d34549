"""Runs queued jobs, each as a child process of its own session: ``nmcdist run RECIPE --resume``.

What the child prints is the progress. A job that the service could not see to its end waits again, and continues from
what it has finished: after a restart, after a child was killed, and after the loss of a Dask scheduler. What a run may
need is a shared cluster, which starts before the child and outlives it.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmcdist.datasets.integrity import manifest_hash
from nmcdist.errors import NmcdistError, StoreError
from nmcdist.log import log
from nmcdist.service.jobs.cluster import Host, SharedCluster
from nmcdist.service.jobs.lines import event_of
from nmcdist.service.jobs.processes import GRACE_S, deadline, end, end_orphans, kill
from nmcdist.service.jobs.queue import CANCELLED, DONE, FAILED, Job, Queue, QueueError
from nmcdist.service.jobs.recipes import without_folder
from nmcdist.service.settings import JobSettings
from nmcdist.wording import one_line, shortened

RECIPE = "recipe.yaml"
JOBS = "jobs"  # in the folder of the queue: one folder for each job
STRIKES = 5  # attempts in a row without a finished task
_PAUSE_S = 10.0  # before an attempt, times the number of those in vain
_CLI = "nmcdist.cli"
_IDLE_S = 0.5  # between two looks at the queue
_AGAIN_S = 5.0  # after the queue could not be read or written
_EVENT_S = 1.0  # between two kept events of progress
# What a run says when it is not to blame.
_ACCIDENTS = ("continue the run with --resume", "no Dask scheduler answers")
_FINAL = (1, 2)  # exit status: items failed, refused


@dataclass
class Attempt:
    """One run of a child.

    Attributes
    ----------
    job : Job
        As it was before.
    begin : float
        Monotonic time of the start.
    seconds : float
        How long it ran.
    code : int or None
        Exit status; None if it has not run.
    last : str
        Its last line that is no event.
    overdue : threading.Event
        Whether it was stopped because it had used its core hours.
    is_cluster_lost : bool
        Whether the shared cluster ended before it.
    """

    job: Job
    begin: float = 0.0
    seconds: float = 0.0
    code: int | None = None
    last: str = ""
    overdue: threading.Event = field(default_factory=threading.Event)
    is_cluster_lost: bool = False


class Runner:
    """Threads that run one job each.

    Parameters
    ----------
    queue : Queue
    settings : JobSettings
    show : callable
        Called with a job whose store is finished, before the job is done; an error counts as one of the attempt.
    cluster : SharedCluster, optional
        None: each run starts its own workers.
    """

    def __init__(
        self, queue: Queue, settings: JobSettings, show: Callable[[Job], None], cluster: SharedCluster | None = None
    ) -> None:
        self._queue, self._settings, self._show, self._cluster = queue, settings, show, cluster
        self._children: dict[str, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"job-{k}", daemon=True) for k in range(settings.at_once)
        ]

    def start(self) -> None:
        """Let jobs of a service that died wait again, and start the threads."""
        for job in self._queue.running():
            end_orphans(_CLI, str(self.folder(job.id) / RECIPE))
            if self._stopping.is_set():
                return
            used_s, why = job.attempt_s * _cores(job), "the service was restarted"
            self._surely(functools.partial(self._queue.requeue, job.id, used_s, why))
            if job.cancelling:
                self.clear(job.id)
        if self._cluster is not None:
            self._cluster.end_orphans()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all children; their jobs wait for the next start of the service."""
        self._stopping.set()
        with self._lock:
            children = list(self._children.values())
        for child in children:
            end(child)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(GRACE_S + 5)
        if self._cluster is not None:
            self._cluster.close()

    def cancel(self, job: str) -> None:
        """End the child of a job, if it has one."""
        with self._lock:
            child = self._children.get(job)
        if child is not None:
            end(child)

    def clear(self, job: str) -> None:
        """Remove the folder of a cancelled job."""
        shutil.rmtree(self.folder(job), ignore_errors=True)

    def folder(self, job: str) -> Path:
        """Return the folder of a job: its recipe, its bundle and its store."""
        return self._settings.folder / JOBS / job

    def store(self, job: Job) -> Path:
        """Return the folder of a job's store."""
        return self.folder(job.id) / f"{job.recipe['name']}.zarr"

    def command(self, job: str) -> list[str]:
        """Return the command of a job's child."""
        folder = self.folder(job)
        command = [sys.executable, "-P", "-m", _CLI, "run", str(folder / RECIPE), "--out", str(folder)]
        command += ["--resume"]
        cluster = self._settings.cluster if self._cluster is None else self._cluster.deployment
        return command if cluster is None else [*command, "--cluster", str(cluster)]

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._queue.claim()
                if job is not None:
                    self._run(job)
                    continue
            except Exception:  # a full disk, say: the next look may succeed
                log.exception("queue of jobs")
                self._stopping.wait(_AGAIN_S)
            self._stopping.wait(_IDLE_S)

    def _run(self, job: Job) -> None:
        """Run a job to its end, and record how it ended."""
        log.info("job %s: %s, attempt %d", job.id, job.recipe["name"], job.attempts)
        attempt = Attempt(job)
        try:
            with self._workers(job) as host:
                if host is not None or self._cluster is None:
                    self._follow(attempt, host)
        except StoreError as error:  # the shared cluster does not start
            attempt.last = str(self._public(str(error)))
        except OSError as error:
            attempt.last = f"the run cannot be started ({one_line(error)})"
        except Exception as error:  # whatever it is, the job must not stay as if it ran
            log.exception("job %s", job.id)
            attempt.last = f"the run cannot be followed ({one_line(error)})"
        self._surely(functools.partial(self._record, attempt))

    def _workers(self, job: Job) -> contextlib.AbstractContextManager[Host | None]:
        """Keep the shared cluster open; None if there is none, or the job was told to end before it was ready."""
        if self._cluster is None:
            return contextlib.nullcontext()
        return self._cluster.used(lambda: self._is_told_to_end(job), lambda event: self._keep(Attempt(job), event))

    def _is_told_to_end(self, job: Job) -> bool:
        return self._stopping.is_set() or self._queue.get(job.id).cancelling

    def _follow(self, attempt: Attempt, host: Host | None) -> None:
        """Start the child and keep what it says, until it ends."""
        job = attempt.job
        left_s = (3600 * self._settings.core_hours - job.used_s) / _cores(job)
        attempt.begin = time.monotonic()
        with self._child(job, host) as child, deadline(left_s, attempt.overdue, child):
            self._listen(attempt, child)
            attempt.code = child.wait()
            attempt.is_cluster_lost = host is not None and host.is_gone()
        attempt.seconds = time.monotonic() - attempt.begin

    @contextlib.contextmanager
    def _child(self, job: Job, host: Host | None) -> Iterator[subprocess.Popen[str]]:
        child = subprocess.Popen(
            self.command(job.id), cwd=self.folder(job.id), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace", start_new_session=True,
            env=os.environ | (host.environment if host is not None else {}),
        )  # fmt: skip
        with self._lock:
            self._children[job.id] = child
        try:
            if self._is_told_to_end(job):  # before the child was known
                end(child)
            yield child
        finally:
            with self._lock:
                del self._children[job.id]
            if child.poll() is None:
                kill(child)
            child.wait()
            if child.stdout is not None:
                child.stdout.close()

    def _listen(self, attempt: Attempt, child: subprocess.Popen[str]) -> None:
        """Keep what the child says of its progress, and its last other line."""
        total, kept = 0, 0.0
        for line in child.stdout or ():
            event = event_of(line)
            if event is None:
                attempt.last = str(self._public(line.strip())) or attempt.last
                continue
            total = event.setdefault("total", total) if event["event"] in ("start", "progress") else total
            is_step = event["event"] == "progress" and event.get("done") != total
            if is_step and time.monotonic() - kept < _EVENT_S:
                continue
            kept = time.monotonic()
            self._keep(attempt, event)

    def _keep(self, attempt: Attempt, event: dict[str, Any]) -> None:
        public = {name: self._public(value) for name, value in event.items()}
        seconds = time.monotonic() - attempt.begin if attempt.begin else 0.0
        try:
            self._queue.progress(attempt.job.id, public, seconds)
        except QueueError as error:  # the run goes on without
            log.error("job %s: %s", attempt.job.id, error)

    def _record(self, attempt: Attempt) -> None:
        """Record how an attempt ended."""
        job, used_s = self._queue.get(attempt.job.id), attempt.seconds * _cores(attempt.job)
        code, last = attempt.code, attempt.last
        if code == 0:
            try:
                self._show(job)  # first: whoever sees that the job is done finds its store
                sha256 = manifest_hash(self.store(job))
            except (NmcdistError, OSError) as error:
                code, last = None, str(self._public(one_line(error)))
            else:
                self._queue.end(job.id, DONE, used_s, manifest_sha256=sha256)
                return
        message = shortened(last.removeprefix("nmcdist: error: ")) or f"the run ended with status {code}"
        is_accident = code not in _FINAL or attempt.is_cluster_lost or any(text in message for text in _ACCIDENTS)
        strikes = 0 if job.done > attempt.job.done else job.strikes + 1
        if attempt.overdue.is_set():
            limit = f"{self._settings.core_hours:.3g} core hours"
            self._queue.end(job.id, FAILED, used_s, f"stopped: it has used its {limit}")
        elif job.cancelling:
            self.clear(job.id)
            self._queue.end(job.id, CANCELLED, used_s)
        elif self._stopping.is_set():
            self._queue.requeue(job.id, used_s, "the service stopped")
        elif is_accident and strikes < STRIKES:
            self._queue.requeue(job.id, used_s, message, strikes=strikes, pause_s=_PAUSE_S * max(1, strikes))
        else:
            self._queue.end(job.id, FAILED, used_s, message)

    def _surely(self, write: Callable[[], None]) -> None:
        """Write to the queue; on a full disk, try again until there is room, or the service stops."""
        while True:
            try:
                write()
                break
            except QueueError as error:
                log.error("%s; tried again", error)
                if self._stopping.wait(_AGAIN_S):
                    break

    def _public(self, value: Any) -> Any:
        return without_folder(value, self._settings.folder) if isinstance(value, str) else value


def _cores(job: Job) -> int:
    return max(1, int(job.plan["cores"]))
