"""The process that watches a worker on this machine, and restarts it also if it dies during its start.

Dask's own nanny restarts only a worker that has run; a worker killed earlier ends the whole cluster.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from distributed import Nanny
from distributed.core import Status

START_TIMEOUT_S = 120.0
_MOST_STARTS = 10


@dataclass
class Starts:
    """The exits of a cluster's worker processes during their start.

    Attributes
    ----------
    warn : callable
        Called with one line per restart.
    exits : list of int
        Exit statuses of the dead processes; negative values are signals.
    """

    warn: Callable[[str], None]
    exits: list[int] = field(default_factory=list)

    @property
    def why(self) -> str:
        """How the last process ended, in words."""
        if not self.exits:
            return ""
        last = self.exits[-1]
        how = f"was killed by signal {-last}" if last < 0 else f"exited with status {last}"
        return f"a worker process {how} while it started"


class PatientNanny(Nanny):
    """A nanny that restarts its worker if a signal kills it during its start."""

    def __init__(self, *arguments: Any, starts: Starts, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._starts = starts

    async def instantiate(self) -> Status:
        """Start the worker process, and restart it if it is killed; its own errors are raised at once."""
        if self.status not in (Status.init, Status.starting):
            return await super().instantiate()
        end = time.monotonic() + START_TIMEOUT_S
        for _ in range(_MOST_STARTS):
            before = len(self._starts.exits)
            status = await super().instantiate()
            died = self._starts.exits[before:]
            if status == Status.running or not died or died[-1] >= 0 or time.monotonic() > end:
                break
            self._starts.warn(f"{self._starts.why}; another is started")
        return status

    def _on_worker_exit_sync(self, exitcode: int) -> None:
        if self.status in (Status.init, Status.starting):
            self._starts.exits.append(exitcode)
        super()._on_worker_exit_sync(exitcode)
