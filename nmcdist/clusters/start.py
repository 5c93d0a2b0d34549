"""What the start of a cluster needs besides its deployment: what to close at the end, and whom to inform."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

NAME = "nmcdist"  # of jobs, pods and their logs
START_TIMEOUT_S = 120.0
CLOSE_TIMEOUT_S = 10.0
CANCEL_TIMEOUT_S = 60.0  # of all jobs or pods together
DEATH_TIMEOUT_S = 60  # a worker whose driver is gone for so long ends itself

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Start:
    """What the start of a cluster needs besides its deployment.

    Attributes
    ----------
    stack : contextlib.ExitStack
        Closes at the end what was started.
    folder : Path or None
        Folder for credentials that driver and workers see.
    waiting : callable
        Gets what the cluster says while no worker is there, whenever that changes.
    warn : callable
        Gets what else is worth a line.
    """

    stack: contextlib.ExitStack
    folder: Path | None
    waiting: Announce
    warn: Announce

    def client_of(self, cluster: Any) -> Any:
        """Return a client of a cluster or an address; it is closed at the end."""
        from distributed import Client

        client = Client(cluster, timeout=START_TIMEOUT_S, set_as_default=False)
        self.stack.callback(client.close, timeout=CLOSE_TIMEOUT_S)
        return client


@contextlib.contextmanager
def interrupts_for_the_driver_alone() -> Iterator[None]:
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
