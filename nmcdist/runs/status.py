"""How a run stands, from its journal alone: so also for a run on another machine that shares the folder."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import StoreError
from nmcdist.runs.finalise import Paths
from nmcdist.runs.journal import Journal

_RECENT = 500  # receipts that the rate and the memory are taken from


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes
    ----------
    store : Path
    published : bool
        Whether the finished store is there and none is in the making.
    total, done : int
        Tasks.
    failed : dict of str to str
        Why each task failed that failed.
    started : dict of str to (str, float)
        Worker, and seconds since the start, of tasks that began and did not end: running, or lost with their worker.
    rate : float or None
        Tasks a second, of late.
    peak_bytes : int
        Most memory that a recent task held.
    """

    store: Path
    published: bool
    total: int
    done: int
    failed: dict[str, str]
    started: dict[str, tuple[str, float]]
    rate: float | None
    peak_bytes: int

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done, at the rate of late."""
        return (self.total - self.done) / self.rate if self.rate else None

    def lines(self) -> list[str]:
        """Return it as text."""
        state = "published" if self.published else "in the making"
        lines = [f"{self.store}: {state}, {self.done} of {self.total} tasks done, {len(self.failed)} failed"]
        if self.rate is not None and not self.published:
            left = self.seconds_left
            lines.append(f"rate: {self.rate:.3g} tasks a second" + ("" if left is None else f", {left:.0f} s left"))
        if self.peak_bytes:
            lines.append(f"peak memory of a task: {readable_bytes(self.peak_bytes)}")
        for task, (worker, seconds) in sorted(self.started.items()):
            lines.append(f"started and not ended: {task} on {worker}, {seconds:.0f} s ago")
        lines += [f"failed: {task}: {reason}" for task, reason in sorted(self.failed.items())]
        return lines


def status_of(store: Path) -> Status:
    """Return how the run of a store stands.

    Parameters
    ----------
    store : Path
        The store, finished or not: its name without ``.wip``.

    Raises
    ------
    StoreError
        If no run is recorded beside it.
    """
    paths = Paths(store.absolute())
    journal, settings = Journal(paths.run), Journal(paths.run).settings()
    if "tasks" not in settings:
        raise StoreError(f"{store}: no run is recorded beside it (expected {paths.run})")
    ended = sorted((entry.stat().st_mtime, entry.name) for entry in journal.receipts())
    recent = ended[-_RECENT:]
    receipts = [journal.receipt(name.removesuffix(".json")) for _, name in recent]
    span = recent[-1][0] - recent[0][0] if len(recent) > 1 else 0.0
    return Status(
        store=paths.store,
        published=paths.store.exists() and not paths.wip.exists(),
        total=int(settings["tasks"]),
        done=len(ended),
        failed=journal.failures(),
        started=_started(journal, {name for _, name in ended}),
        rate=(len(recent) - 1) / span if span > 0 else None,
        peak_bytes=max((receipt.peak_memory_bytes for receipt in receipts if receipt), default=0),
    )


def _started(journal: Journal, ended: set[str]) -> dict[str, tuple[str, float]]:
    now, started = time.time(), {}
    for entry in journal.starts():
        if entry.name in ended:
            continue
        try:
            content = json.loads(Path(entry.path).read_text(encoding="utf-8"))
            started[entry.name.removesuffix(".json")] = str(content["worker"]), now - float(content["since"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it ended just now, or its worker died while it wrote this
    return started
