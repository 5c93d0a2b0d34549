"""The last known state of lost workers: how long they lived, and how full their memory was."""

import time
from dataclasses import dataclass, field
from typing import Any

from nmcdist.datasets.files import readable_bytes

_NEARLY_FULL = 0.75  # share of its limit when last sampled: memory grows between two samples
_NEARLY_OVER_S = 180.0  # a worker lost in the last minutes of its walltime was ended by the queue
_LOOK_S = 1.0


@dataclass
class _Seen:
    since: float
    memory: float = 0.0
    limit: float = 0.0


@dataclass
class Watch:
    """Samples the state of the workers, to explain the loss of one.

    Attributes
    ----------
    walltime_s : float, optional
        Time after which the queue ends a job.
    """

    walltime_s: float | None = None
    _workers: dict[str, _Seen] = field(default_factory=dict)
    _last: float = 0.0
    _here: int = 0

    def look(self, client: Any) -> int:
        """Record the connected workers, at most once per second, and return how many there were."""
        now = time.monotonic()
        if now - self._last >= _LOOK_S or not self._here:
            self._last = now
            found = client.scheduler_info(n_workers=-1)["workers"]
            for address, about in found.items():
                seen = self._workers.setdefault(address, _Seen(now))
                seen.memory = max(float(about.get("metrics", {}).get("memory", 0) or 0), 0.7 * seen.memory)
                seen.limit = float(about.get("memory_limit") or 0)
            self._here = len(found)
        return self._here

    def why_lost(self, address: str) -> str:
        """Return the likely reason for the loss of a worker, in words."""
        seen = self._workers.get(address)
        if seen is None:
            return "it died before it was measured"
        age = time.monotonic() - seen.since
        if seen.limit and seen.memory >= _NEARLY_FULL * seen.limit:
            used, limit = readable_bytes(seen.memory), readable_bytes(seen.limit)
            return f"probably out of memory: it held {used} of {limit} when last seen"
        if self.walltime_s is not None and age >= self.walltime_s - _NEARLY_OVER_S:
            return f"its walltime of {self.walltime_s:.0f} s was over"
        used = f"{readable_bytes(seen.memory)} of {readable_bytes(seen.limit)}" if seen.limit else "unknown memory"
        return f"killed from outside or crashed, after {age:.0f} s, with {used} when last seen"
