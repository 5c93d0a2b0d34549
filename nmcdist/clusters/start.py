"""Inputs to the start of a cluster besides its deployment: resources to close at the end, and callbacks."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

NAME = "nmcdist"  # name of jobs, pods and their logs
START_TIMEOUT_S = 120.0
CLOSE_TIMEOUT_S = 10.0
CANCEL_TIMEOUT_S = 60.0  # for all jobs or pods together
DEATH_TIMEOUT_S = 60  # a worker ends itself once its driver is gone for this long

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Start:
    """Inputs to the start of a cluster besides its deployment.

    Attributes
    ----------
    stack : contextlib.ExitStack
        Closes the started processes at the end.
    folder : Path or None
        Folder for credentials, visible to driver and workers.
    waiting : callable
        Called with the cluster's report while no worker is connected, whenever it changes.
    warn : callable
        Called with warnings.
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
    """Block SIGINT in the threads that start here, and so in the processes that these start now or later.

    A terminal sends Ctrl-C to every process; the driver must close the workers before they die of it, and a command
    of the queue must finish its work.
    """
    resource_tracker.ensure_running()  # starting it later would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
