"""Runs queued jobs, each as a child process of its own session: ``nmcdist run RECIPE --resume``.

What the child prints is the progress. A job that the service could not see to its end waits again, and continues from
what it has finished: after a restart, after a child was killed, and after the loss of a Dask scheduler.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from nmcdist.datasets.integrity import manifest_hash
from nmcdist.errors import NmcdistError
from nmcdist.log import log
from nmcdist.service.jobs.queue import CANCELLED, DONE, FAILED, Job, Queue
from nmcdist.service.jobs.recipes import without_folder
from nmcdist.service.settings import JobSettings
from nmcdist.wording import one_line, shortened

RECIPE = "recipe.yaml"
JOBS = "jobs"  # in the folder of the queue: one folder for each job
ATTEMPTS = 5
GRACE_S = 30.0  # from SIGTERM to SIGKILL
_PAUSE_S = 10.0  # before an attempt, times the number of those before
_IDLE_S = 0.5  # between two looks at the queue
_EVENT_S = 1.0  # between two kept events of progress
_GONE = "scheduler is gone"
_FINAL = (1, 2)  # exit status: items failed, refused


class Runner:
    """Threads that run one job each.

    Parameters
    ----------
    queue : Queue
    settings : JobSettings
    show : callable
        Called with a job whose store is finished, before the job is done; an error counts as one of the attempt.
    """

    def __init__(self, queue: Queue, settings: JobSettings, show: Callable[[Job], None]) -> None:
        self._queue, self._settings, self._show = queue, settings, show
        self._children: dict[str, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"job-{k}", daemon=True) for k in range(settings.at_once)
        ]

    def start(self) -> None:
        """Let jobs of a service that died wait again, and start the threads."""
        for job in self._queue.running():
            end_orphan(self.command(job.id))
            if self._stopping.is_set():
                return
            self._queue.requeue(job.id, self._queue.last_sign_s(job) * _cores(job), "the service was restarted")
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all children; their jobs wait for the next start of the service."""
        self._stopping.set()
        with self._lock:
            children = list(self._children.values())
        for child in children:
            _end(child)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(GRACE_S + 5)

    def cancel(self, job: str) -> None:
        """End the child of a job, if it has one."""
        with self._lock:
            child = self._children.get(job)
        if child is not None:
            _end(child)

    def folder(self, job: str) -> Path:
        """Return the folder of a job: its recipe, its bundle and its store."""
        return self._settings.folder / JOBS / job

    def store(self, job: Job) -> Path:
        """Return the folder of a job's store."""
        return self.folder(job.id) / f"{job.recipe['name']}.zarr"

    def command(self, job: str) -> list[str]:
        """Return the command of a job's child."""
        folder = self.folder(job)
        command = [sys.executable, "-P", "-m", "nmcdist.cli", "run", str(folder / RECIPE), "--out", str(folder)]
        command += ["--resume"]
        if self._settings.cluster is not None:
            command += ["--cluster", str(self._settings.cluster)]
        return command

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._queue.claim()
                if job is not None:
                    self._run(job)
                    continue
            except Exception:  # a full disk, say: the next look may succeed
                log.exception("queue of jobs")
            self._stopping.wait(_IDLE_S)

    def _run(self, job: Job) -> None:
        """Run a job to its end, and record how it ended."""
        log.info("job %s: %s, attempt %d", job.id, job.recipe["name"], job.attempts)
        start = time.monotonic()
        left_s = 3600 * self._settings.core_hours / _cores(job) - job.used_s / _cores(job)
        overdue = threading.Event()
        last, code = "", None
        try:
            with self._child(job) as child, _deadline(left_s, overdue, child):
                last = self._follow(job, child)
                code = child.wait()
        except OSError as error:
            last = f"the run cannot be started ({error.strerror})"
        self._record(job, code, last, (time.monotonic() - start) * _cores(job), is_overdue=overdue.is_set())

    @contextlib.contextmanager
    def _child(self, job: Job) -> Iterator[subprocess.Popen[str]]:
        child = subprocess.Popen(
            self.command(job.id), cwd=self.folder(job.id), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
        with self._lock:
            self._children[job.id] = child
        try:
            if self._stopping.is_set() or self._queue.get(job.id).cancelling:  # told before the child was known
                _end(child)
            yield child
        finally:
            with self._lock:
                del self._children[job.id]
            if child.poll() is None:
                _kill(child)
            child.wait()
            if child.stdout is not None:
                child.stdout.close()

    def _follow(self, job: Job, child: subprocess.Popen[str]) -> str:
        """Keep what the child says of its progress, and return its last other line."""
        last, total, kept = "", 0, 0.0
        for line in child.stdout or ():
            event = _event(line)
            if event is None:
                last = line.strip() or last
                continue
            total = event.setdefault("total", total) if event["event"] in ("start", "progress") else total
            is_step = event["event"] == "progress" and event.get("done") != total
            if is_step and time.monotonic() - kept < _EVENT_S:
                continue
            kept = time.monotonic()
            self._queue.progress(job.id, {name: self._public(value) for name, value in event.items()})
        return str(self._public(last))

    def _record(self, job: Job, code: int | None, last: str, used_s: float, *, is_overdue: bool) -> None:
        if code == 0:
            try:
                self._show(job)  # first: whoever sees that the job is done finds its store
                self._queue.end(job.id, DONE, used_s, manifest_sha256=manifest_hash(self.store(job)))
                return
            except (NmcdistError, OSError) as error:
                code, last = None, str(self._public(one_line(error)))
        message = shortened(last.removeprefix("nmcdist: error: "))
        if is_overdue:
            limit = f"{self._settings.core_hours:.3g} core hours"
            self._queue.end(job.id, FAILED, used_s, f"stopped: it has used its {limit}")
        elif self._queue.get(job.id).cancelling:
            self._queue.end(job.id, CANCELLED, used_s)
        elif self._stopping.is_set():
            self._queue.requeue(job.id, used_s, "the service stopped")
        elif job.attempts < ATTEMPTS and (code not in _FINAL or _GONE in message):
            self._queue.requeue(job.id, used_s, message or f"the run ended with status {code}", _PAUSE_S * job.attempts)
        else:
            self._queue.end(job.id, FAILED, used_s, message or f"the run ended with status {code}")

    def _public(self, value: Any) -> Any:
        return without_folder(value, self._settings.folder) if isinstance(value, str) else value


def end_orphan(command: list[str]) -> None:
    """End the child of a service that died, so that its store is free: first kindly, then with its workers."""
    for process in psutil.process_iter():
        try:
            if process.cmdline() != command:
                continue
            process.terminate()
            try:
                process.wait(GRACE_S)
            except psutil.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(GRACE_S)
        except psutil.Error:  # gone meanwhile, or of another user
            continue


@contextlib.contextmanager
def _deadline(seconds: float, over: threading.Event, child: subprocess.Popen[str]) -> Iterator[None]:
    """End a child that takes longer than so many seconds, and set the event."""

    def end() -> None:
        over.set()
        _end(child)

    timer = threading.Timer(min(max(0.0, seconds), threading.TIMEOUT_MAX), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(child: subprocess.Popen[str]) -> None:
    """Ask a child to end as by Ctrl-C, which keeps all finished work; kill it and its workers if it does not."""
    if child.poll() is None:
        child.terminate()
        killer = threading.Timer(GRACE_S, _kill, (child,))
        killer.daemon = True
        killer.start()


def _kill(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # it leads its session, so this is its own group


def _event(line: str) -> dict[str, Any] | None:
    """Return the event in a line of progress; None for any other line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else None


def _cores(job: Job) -> int:
    return max(1, int(job.plan["cores"]))
