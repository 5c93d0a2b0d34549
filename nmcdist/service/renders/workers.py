"""A few processes that render: a request never waits for one that hangs, and one that dies is replaced.

Threads of the service each take a process for one task. A process that does not answer in time is killed; one that
died is noticed at once. Either way the request gets an error after which it may be sent again, and the next task
starts a new process.
"""

import contextlib
import multiprocessing
import resource
import signal
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from nmcdist.errors import Busy, InputError, NmcdistError, PlanError, StoreError
from nmcdist.service.renders.places import MOST_BYTES
from nmcdist.wording import one_line

_CLOSING_S = 2.0
_RETRY_S = 5.0


class Workers:
    """Processes for tasks of :mod:`nmcdist.service.renders.tasks`.

    Parameters
    ----------
    count : int
        Most processes; each is started when it is first needed.
    """

    def __init__(self, count: int) -> None:
        self._idle: list[_Worker] = [_Worker() for _ in range(count)]
        self._all = tuple(self._idle)
        self._free = threading.Condition()
        self._is_closed = False

    def run(self, name: str, arguments: tuple[Any, ...], deadline_s: float) -> Any:
        """Return what a task returns; called in a thread, which waits.

        Parameters
        ----------
        name : str
            Name of the task.
        arguments : tuple
            The first two say what item it is about; a process that had this item last is preferred.
        deadline_s : float
            Longest time from now.

        Raises
        ------
        Busy
            If it takes longer, or the process dies.
        InputError, StoreError
            As the task does.
        """
        end = time.monotonic() + deadline_s
        worker = self._taken(arguments[:2], end)
        try:
            return worker.run(name, arguments, end)
        finally:
            with self._free:
                self._idle.append(worker)
                self._free.notify()

    def warm(self, tasks: list[tuple[Any, ...]], deadline_s: float) -> None:
        """Start a process, and run the task "warm" in it with each of some arguments, in the background.

        Errors are ignored: a request that needs the same gets them. Further processes start when they are needed.
        """

        def start() -> None:
            for arguments in tasks:
                with contextlib.suppress(NmcdistError):
                    self.run("warm", arguments, deadline_s)

        threading.Thread(target=start, name="warm-renderer", daemon=True).start()

    def close(self) -> None:
        """End all processes."""
        with self._free:
            self._is_closed = True
            self._free.notify_all()
        for worker in self._all:
            worker.end()

    def processes(self) -> list[int]:
        """Return the numbers of the running processes."""
        return [worker.pid for worker in self._all if worker.pid]

    def _taken(self, about: tuple[Any, ...], end: float) -> "_Worker":
        with self._free:
            while not self._idle and not self._is_closed:
                if not self._free.wait(max(0.0, end - time.monotonic())):
                    raise Busy("busy: all renderers are at work; try again later", _RETRY_S)
            if self._is_closed:
                raise Busy("the service stops; try again later", _RETRY_S)
            best = next((worker for worker in self._idle if worker.about == about), None)
            started = next((worker for worker in reversed(self._idle) if worker.pid), None)
            worker = best or started or self._idle[-1]
            self._idle.remove(worker)
            worker.about = about
            return worker


class _Worker:
    """One process, which is started when it gets a task and is not there; used by one thread at a time."""

    def __init__(self) -> None:
        self.about: tuple[Any, ...] = ()
        self._process: Any = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Number of the process, None if it does not run."""
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    def run(self, name: str, arguments: tuple[Any, ...], end: float) -> Any:
        """Run a task; see :meth:`Workers.run`."""
        try:
            pipe = self._started()
            pipe.send((name, arguments))
            if not pipe.poll(max(0.0, end - time.monotonic())):
                self.end(at_once=True)
                raise Busy("the item takes too long to draw; try again later, or ask for less of it", _RETRY_S)
            is_made, found = pipe.recv()
        except Busy:
            raise
        except (EOFError, OSError):
            self.end(at_once=True)
            raise Busy("the process that draws has died; try again", 1.0) from None
        if not is_made:
            raise found
        return found

    def end(self, *, at_once: bool = False) -> None:
        """End the process, at once or when its task is done."""
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            if at_once:
                process.kill()
            else:
                process.terminate()
            process.join(_CLOSING_S)

    def _started(self) -> Connection:
        if self._process is not None and not self._process.is_alive():
            self.end(at_once=True)
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other,), name="nmcdist-renderer", daemon=True)
            self._process.start()
            other.close()
        return self._pipe


def _serve(pipe: Connection) -> None:
    """Run tasks in this process until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends its processes
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that becomes too large is an error of its writer
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    from nmcdist.service.renders import tasks
    from nmcdist.threads import set_thread_count

    set_thread_count(1)
    while True:
        try:
            name, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        answer: tuple[bool, Any]
        try:
            answer = (True, tasks.run(name, arguments))
        except (InputError, PlanError) as error:
            answer = (False, error)
        except Exception as error:  # kinds, codecs and drawing raise any type
            what = str(error) if isinstance(error, NmcdistError) else f"{type(error).__name__}: {one_line(error)}"
            answer = (False, StoreError(what))
        with contextlib.suppress(OSError):
            pipe.send(answer)
