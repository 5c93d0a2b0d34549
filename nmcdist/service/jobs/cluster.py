"""The Dask cluster that all jobs share: started for the first one, started again after it died, closed once idle."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nmcdist.clusters.shared import DEPLOYMENT, FAILED, READY
from nmcdist.errors import StoreError
from nmcdist.service.jobs.lines import event_of
from nmcdist.service.jobs.processes import end_orphans

_HOST = "nmcdist.clusters.shared"
_LOOK_S = 0.2
_GRACE_S = 90.0  # for a queue to cancel the jobs of the workers
_MOST_NEWS = 100


class Host:
    """The process with the scheduler, and on this machine with the workers.

    Attributes
    ----------
    environment : dict of str to str
        What runs need to connect, once it is ready.
    ready : threading.Event
    last : str
        The reason why it ended, as far as it said one.
    news : collections.deque
        Events that nobody has read yet.
    """

    def __init__(self, command: list[str]) -> None:
        self.environment: dict[str, str] = {}
        self.ready = threading.Event()
        self.last = ""
        self.news: deque[dict[str, Any]] = deque(maxlen=_MOST_NEWS)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, name="cluster", daemon=True).start()

    def is_gone(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None

    def end(self) -> None:
        """End the workers, then the process; kill it if that takes too long."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
            self._process.terminate()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._process.stdin, self._process.stdout:  # to the end of the process
            self._read(self._process.stdout)

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            event = event_of(line)
            if event is None or event["event"] == FAILED:
                self.last = str((event or {}).get("text", line.strip())) or self.last
            elif event["event"] == READY:
                self.environment = dict(event["environment"])
                self.ready.set()
            else:
                self.news.append(event)


class SharedCluster:
    """The cluster of all jobs.

    Parameters
    ----------
    deployment : Path
        Deployment file of the workers.
    folder : Path
        Gets the deployment file of the jobs, and their credentials.
    idle_s : float
        How long the cluster stays open without any job.
    """

    def __init__(self, deployment: Path, folder: Path, idle_s: float) -> None:
        self._folder, self._idle_s = folder, idle_s
        self.command = [sys.executable, "-P", "-m", _HOST, str(folder), str(deployment)]
        self._lock = threading.Lock()
        self._host: Host | None = None
        self._users = 0
        self._timer: threading.Timer | None = None

    @property
    def deployment(self) -> Path:
        """Deployment file of the jobs."""
        return self._folder / DEPLOYMENT

    @contextlib.contextmanager
    def used(self, is_over: Callable[[], bool], say: Callable[[dict[str, Any]], None]) -> Iterator[Host | None]:
        """Keep the cluster open, once its workers have started.

        Parameters
        ----------
        is_over : callable
            Whether to wait no longer for the workers.
        say : callable
            Takes events while the workers start.

        Yields
        ------
        Host or None
            None if the wait is over before the cluster is ready.

        Raises
        ------
        StoreError
            If the workers do not start.
        """
        host = self._enter()
        try:
            while not host.ready.wait(_LOOK_S) and not is_over():
                while host.news:
                    say(host.news.popleft())
                if host.is_gone():
                    raise StoreError(f"the Dask cluster does not start: {host.last or 'its process ended'}")
            yield host if host.ready.is_set() else None
        finally:
            self._leave()

    def end_orphans(self) -> None:
        """End what a service that died left behind."""
        end_orphans(_HOST, str(self._folder))

    def close(self) -> None:
        """End the cluster."""
        with self._lock:
            self._close()

    def _enter(self) -> Host:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._host is None or self._host.is_gone():
                shutil.rmtree(self._folder, ignore_errors=True)  # the credentials of the one before
                self._folder.mkdir(mode=0o700)
                self._host = Host(self.command)
            self._users += 1
            return self._host

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._timer = threading.Timer(self._idle_s, self._close_if_idle)
                self._timer.daemon = True
                self._timer.start()

    def _close_if_idle(self) -> None:
        with self._lock:
            if not self._users:
                self._close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._host is not None:
            self._host.end()
            shutil.rmtree(self._folder, ignore_errors=True)
        self._host = None
