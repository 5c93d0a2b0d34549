"""The status of a run, from its journal alone: this also works for a run on another machine that shares the folder."""

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nmcdist.datasets.files import readable_bytes
from nmcdist.datasets.folder import Folder, refuse_all_but_folders
from nmcdist.datasets.integrity import manifest_hash
from nmcdist.datasets.store import MANIFEST, read_attributes
from nmcdist.errors import StoreError
from nmcdist.execution.journal import Journal, Receipt
from nmcdist.inputs import local_path
from nmcdist.runs.locks import Driver, drivers_of
from nmcdist.runs.paths import Paths

_RECENT = 500  # receipts from which the rate and the memory are computed
_PAUSE_S = 300.0  # the shortest pause, for example between a stopped run and its --resume
_PAUSE_TASKS = 4  # a pause is longer than this many times the longest task


@dataclass(frozen=True)
class Status:
    """The status of a run.

    Attributes
    ----------
    store : Path
    state : str
        "finished"; "running"; "interrupted": started, and no driver works on it; "never started": planned by a
        part or a driver that died before its first task.
    drivers : tuple of Driver
        Drivers that work on it, or that died while they did.
    total, done : int
        Numbers of tasks.
    failed : dict of str to str
        The reason for each failed task.
    started : dict of str to (str, float)
        Worker, and seconds since the start, of started tasks: running, or lost with their worker.
    rate : float or None
        Recent tasks per second, since the last pause: a time without a receipt longer than four times the longest
        recent task, and longer than five minutes.
    idle : float or None
        Seconds since a task last started or ended, if that is long enough to be a pause.
    last_sign : float
        Unix time at which a task last started or ended, or a driver acquired its lock.
    peak_bytes : int
        Largest memory of a recent task.
    resealed : bool
        Whether the finished store has another manifest than the run sealed it with.
    """

    store: Path
    state: str
    drivers: tuple[Driver, ...]
    total: int
    done: int
    failed: dict[str, str]
    started: dict[str, tuple[str, float]]
    rate: float | None
    idle: float | None
    last_sign: float
    peak_bytes: int
    resealed: bool

    @property
    def published(self) -> bool:
        """Whether the finished store exists, and no replacement is being made."""
        return self.state == "finished"

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all tasks are done, at the recent rate; None also if no worker is running."""
        if not any(driver.holds for driver in self.drivers) or not self.rate or self.idle is not None:
            return None
        return (self.total - self.done) / self.rate

    def lines(self) -> list[str]:
        """Return the status as lines of text."""
        state = "finished and published" if self.published else self.state
        lines = [f"{self.store}: {state}, {self.done} of {self.total} tasks done, {len(self.failed)} failed"]
        if self.resealed:
            again = Paths(self.store).resume
            lines.append(f"its manifest is not the one that the run sealed it with; repair it with: {again}")
        lines += [self._about(driver) for driver in self.drivers]
        if self.state == "running":
            lines += self._pace()
        elif self.state != "finished":
            lines.append(f"continue with: {self._how()}")
        if self.peak_bytes:
            lines.append(f"peak memory of a task: {readable_bytes(self.peak_bytes)}")
        for task, (worker, seconds) in sorted(self.started.items()):
            lines.append(f"started: {task} on {worker}, {seconds:.0f} s ago")
        lines += [f"failed: {task}: {reason}" for task, reason in sorted(self.failed.items())]
        return lines

    def _about(self, driver: Driver) -> str:
        if driver.holds:
            return f"running: {driver}"
        if driver.is_here:
            return f"died: {driver}"
        age = time.time() - self.last_sign
        return f"started by {driver}, on another host; last activity {age:.0f} s ago"

    def _how(self) -> str:
        if self.total and self.done == self.total:
            return f"nmcdist finalise {self.store}"
        if self.failed and self.done + len(self.failed) == self.total:
            return f"nmcdist retry-failed {self.store}"
        return Paths(self.store).resume

    def _pace(self) -> list[str]:
        if self.idle is not None and self.done < self.total:
            return [f"no task started or ended for {self.idle:.0f} s: no worker seems to be running"]
        if self.rate is None:
            return []
        left = self.seconds_left
        return [f"rate: {self.rate:.3g} tasks per second" + ("" if left is None else f", {left:.0f} s left")]


def status_of(store: Path) -> Status:
    """Return the status of the run of a store.

    Parameters
    ----------
    store : Path
        The store, finished or not; its name may end in the ``.wip`` of an unfinished one.

    Raises
    ------
    StoreError
        If no run is recorded beside it, or the path is not a store.
    """
    store = local_path(store, StoreError).absolute()
    paths = Paths(store.with_suffix("") if store.suffix == ".wip" else store)
    refuse_all_but_folders(paths.wip, paths.run)
    Journal(paths.run).refuse_strangers()
    journal, settings = Journal(paths.run), Journal(paths.run).settings()
    resealed = False
    if os.path.lexists(paths.store):
        attributes = read_attributes(paths.store)
        own = attributes.get("fingerprint") == settings.get("fingerprint")
        resealed = own and (paths.store / MANIFEST).exists() and journal.is_sealed_otherwise(manifest_hash(paths.store))
    total = settings.get("tasks")
    anything = any(os.path.lexists(path) for path in (paths.store, paths.wip, paths.old))
    if not anything or not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise StoreError(_no_run(paths))
    ended = _ended(journal)
    recent = ended[-_RECENT:]
    read = [journal.receipt(name.removesuffix(".json")) for _, name in recent]
    receipts = [receipt for receipt in read if receipt]
    times, pause = [time_s for time_s, _ in recent], _pause(receipts)
    started = _started(journal, {name for _, name in ended})
    drivers = tuple(drivers_of(paths.run))
    signs = [*times, *(time.time() - seconds for _, seconds in started.values()), *(d.since for d in drivers)]
    last_sign = max(signs, default=0.0)
    return Status(
        store=paths.store,
        state=_state(paths, drivers, bool(ended or started), time.time() - last_sign < pause),
        drivers=drivers,
        total=total,
        done=len(ended),
        failed=journal.failures(),
        started=started,
        rate=_rate(times, pause),
        idle=_idle(times, started, pause),
        last_sign=last_sign,
        peak_bytes=max((receipt.peak_memory_bytes for receipt in receipts), default=0),
        resealed=resealed,
    )


def _state(paths: Paths, drivers: Sequence[Driver], begun: bool, lively: bool) -> str:
    """Return the state of a run; a lock on another machine may be held although it looks free from here."""
    if any(driver.holds or (lively and not driver.is_here) for driver in drivers):
        return "running"
    if paths.store.exists() and not paths.wip.exists():
        return "finished"
    return "interrupted" if begun else "never started"


def _no_run(paths: Paths) -> str:
    """Return the reason why a run has no status."""
    if drivers := [str(driver) for driver in drivers_of(paths.run) if driver.holds]:
        return f"{paths.store}: {', '.join(drivers)} is preparing its run"
    where = f"{paths.store}: no run is recorded beside it (expected {paths.run})"
    if not paths.store.exists():
        if paths.run.exists():
            return f"{paths.store}: no such store, only the journal {paths.run} of a run that made none"
        return f"{where}: no such store"
    if not (paths.store / MANIFEST).is_file():
        return f"{where}; it has no {MANIFEST}, so it was never finished"
    return f"{where}; it is finished, and `nmcdist verify` checks it"


def _ended(journal: Journal) -> list[tuple[float, str]]:
    """Return the receipts in the order of writing, without those that vanish meanwhile."""
    found = []
    for entry in journal.receipts():
        with contextlib.suppress(FileNotFoundError):  # its task is being repeated
            found.append((entry.stat().st_mtime, entry.name))
    return sorted(found)


def _pause(receipts: Sequence[Receipt]) -> float:
    """Return the seconds without a receipt after which no worker seems to be running."""
    longest = max((sum(receipt.seconds.values()) for receipt in receipts), default=0.0)
    return max(_PAUSE_S, _PAUSE_TASKS * longest)


def _rate(times: Sequence[float], pause: float) -> float | None:
    last = next((k for k in range(len(times) - 1, 0, -1) if times[k] - times[k - 1] > pause), 0)
    since = times[last:]
    span = since[-1] - since[0] if since else 0.0
    return (len(since) - 1) / span if span > 0 else None


def _idle(times: Sequence[float], started: dict[str, tuple[str, float]], pause: float) -> float | None:
    """Return the seconds of the current pause; without a receipt the length of a task is unknown."""
    if not times:
        return None
    silence = min([time.time() - times[-1], *(seconds for _, seconds in started.values())])
    return silence if silence > pause else None


def _started(journal: Journal, ended: set[str]) -> dict[str, tuple[str, float]]:
    now, started = time.time(), {}
    for entry in journal.starts():
        if entry.name in ended:
            continue
        try:
            content = json.loads(Folder(journal.folder).read(f"started/{entry.name}"))
            started[entry.name.removesuffix(".json")] = str(content["worker"]), now - float(content["since"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it ended just now, or its worker died while it wrote this
    return started
