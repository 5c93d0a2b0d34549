"""What is known of workers that were lost: how long they were seen, and how full their memory was at last."""

import time
from dataclasses import dataclass, field
from typing import Any

from nmcdist.datasets.files import readable_bytes

_NEARLY_FULL = 0.75  # of its limit, as last seen: memory grows between two looks
_NEARLY_OVER_S = 180.0  # a worker that is lost in the last minutes of its walltime was ended by the queue
_LOOK_S = 1.0


@dataclass
class _Seen:
    since: float
    memory: float = 0.0
    limit: float = 0.0


@dataclass
class Watch:
    """Looks at the workers now and then, so that the loss of one can be explained.

    Attributes
    ----------
    walltime_s : float, optional
        After which the queue ends a job.
    """

    walltime_s: float | None = None
    _workers: dict[str, _Seen] = field(default_factory=dict)
    _last: float = 0.0
    _here: int = 0

    def look(self, client: Any) -> int:
        """Take note of the workers that are there, once a second at most, and return how many were there at last."""
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
        """Return, in words, what ended a worker, as far as what was seen of it tells."""
        seen = self._workers.get(address)
        if seen is None:
            return "it died before it was seen"
        age = time.monotonic() - seen.since
        if seen.limit and seen.memory >= _NEARLY_FULL * seen.limit:
            used, limit = readable_bytes(seen.memory), readable_bytes(seen.limit)
            return f"probably out of memory: it held {used} of {limit} when last seen"
        if self.walltime_s is not None and age >= self.walltime_s - _NEARLY_OVER_S:
            return f"its walltime of {self.walltime_s:.0f} s was over"
        used = f"{readable_bytes(seen.memory)} of {readable_bytes(seen.limit)}" if seen.limit else "unknown memory"
        return f"killed from outside or crashed, after {age:.0f} s, with {used} when last seen"
