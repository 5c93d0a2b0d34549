"""The queue on the disk: an SQLite file with jobs and their events, whole at every moment, however the service ends."""

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmcdist.errors import NmcdistError, StoreError

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)
LONGEST_PAUSE_S = 3600.0  # before another attempt
MOST_EVENTS = 1000  # of one job; older ones are dropped
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL, recipe TEXT NOT NULL,
    plan TEXT NOT NULL, state TEXT NOT NULL, cancelling INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL,
    started REAL, ended REAL, not_before REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    strikes INTEGER NOT NULL DEFAULT 0, attempt_s REAL NOT NULL DEFAULT 0, used_s REAL NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '', manifest_sha256 TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, number);
CREATE TABLE IF NOT EXISTS events (
    job INTEGER NOT NULL, number INTEGER NOT NULL, time REAL NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (job, number)) WITHOUT ROWID;
"""


class FullError(NmcdistError):
    """As many jobs wait as may."""


class QueueError(NmcdistError, OSError):
    """The file of the queue cannot be written, on a full disk, say; nothing has changed."""


@dataclass(frozen=True)
class Job:
    """A job as the queue holds it.

    Attributes
    ----------
    number : int
        Place in the order of submission.
    id : str
        Random name, which is also that of the job's folder.
    owner : str
        Name of the token that submitted it.
    recipe, plan : dict
        The recipe with every default written out, and what its plan said.
    state : str
        "queued", "running", "done", "failed" or "cancelled".
    cancelling : bool
        Whether it runs, but has been told to end.
    created, started, ended : float or None
        Unix times; `started` is that of the latest attempt.
    attempts : int
    strikes : int
        Attempts in a row that ended without a finished task.
    attempt_s : float
        Seconds of the latest attempt until its last event.
    used_s : float
        Core seconds of all attempts that have ended.
    done, total : int
        Tasks.
    message : str
        Why it failed, or waits again.
    manifest_sha256 : str
        Identifies the finished store.
    """

    number: int
    id: str
    owner: str
    recipe: dict[str, Any]
    plan: dict[str, Any]
    state: str
    cancelling: bool
    created: float
    started: float | None
    ended: float | None
    attempts: int
    strikes: int
    attempt_s: float
    used_s: float
    done: int
    total: int
    message: str
    manifest_sha256: str


_COLUMNS = ", ".join(Job.__dataclass_fields__)


class Queue:
    """Jobs in the order of submission.

    Parameters
    ----------
    path : Path
        The file; made if it is missing.

    Raises
    ------
    StoreError
        If it is no queue, or one of another version.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            (version,) = self._base.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise StoreError(f"{path}: is a queue of version {version}, expected {_VERSION}")
            self._base.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be opened as a queue of jobs ({error})") from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    def add(self, job: str, owner: str, recipe: Mapping[str, Any], plan: Mapping[str, Any], waiting: int) -> Job:
        """Add a job at the end.

        Parameters
        ----------
        job : str
            Its id, from :func:`new_id`.
        owner : str
        recipe, plan : Mapping
        waiting : int
            Most jobs that wait.

        Raises
        ------
        FullError
            If as many wait already.
        """
        with self._changing() as base:
            (count,) = base.execute("SELECT count(*) FROM jobs WHERE state = ?", (QUEUED,)).fetchone()
            if count >= waiting:
                raise FullError(f"{count} jobs wait, as many as may; try again later")
            base.execute(
                "INSERT INTO jobs (id, owner, recipe, plan, state, created) VALUES (?, ?, ?, ?, ?, ?)",
                (job, owner, json.dumps(dict(recipe)), json.dumps(dict(plan)), QUEUED, time.time()),
            )
            self._say(base, job, QUEUED)
        return self.get(job)

    def get(self, job: str) -> Job:
        """Return a job; KeyError if there is none."""
        found = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", job)
        if not found:
            raise KeyError(job)
        return _job(found[0])

    def newest(self, before: int, limit: int) -> list[Job]:
        """Return jobs with a number below `before`, the newest first."""
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?", before, limit)
        return [_job(row) for row in rows]

    def ahead(self, job: Job) -> int:
        """Return how many queued jobs come before a queued one."""
        return int(self._read("SELECT count(*) FROM jobs WHERE state = ? AND number < ?", QUEUED, job.number)[0][0])

    def claim(self) -> Job | None:
        """Return the next queued job, which is running from now on; None if there is none."""
        with self._changing() as base:
            row = base.execute(
                "SELECT id FROM jobs WHERE state = ? AND (not_before <= ? OR not_before > ?) ORDER BY number LIMIT 1",
                (QUEUED, now := time.time(), now + LONGEST_PAUSE_S),  # later: the clock was set back
            ).fetchone()
            if row is None:
                return None
            base.execute(
                "UPDATE jobs SET state = ?, started = ?, attempts = attempts + 1, attempt_s = 0, message = '' "
                "WHERE id = ?",
                (RUNNING, now, row[0]),
            )
            self._say(base, row[0], RUNNING)
        return self.get(row[0])

    def progress(self, job: str, event: Mapping[str, Any], attempt_s: float = 0.0) -> None:
        """Keep an event of a running job, with the number of tasks that it tells, and the seconds until then."""
        with self._changing() as base:
            base.execute("UPDATE jobs SET attempt_s = ? WHERE id = ?", (attempt_s, job))
            done, total = event.get("done"), event.get("total")
            if isinstance(done, int) and isinstance(total, int):
                base.execute("UPDATE jobs SET done = ?, total = ? WHERE id = ?", (done, total, job))
            self._keep(base, job, event)

    def requeue(
        self, job: str, used_s: float, message: str = "", *, strikes: int | None = None, pause_s: float = 0.0
    ) -> None:
        """Let a running job wait again; one that was to be cancelled is cancelled.

        Parameters
        ----------
        job : str
        used_s : float
            Core seconds of the attempt.
        message : str
            Why.
        strikes : int, optional
            Attempts in a row without a finished task; default: as before.
        pause_s : float
            Seconds before it may start.
        """
        with self._changing() as base:
            state = CANCELLED if self._is_cancelling(base, job) else QUEUED
            ended = time.time() if state == CANCELLED else None
            base.execute(
                "UPDATE jobs SET state = ?, ended = ?, cancelling = 0, not_before = ?, used_s = used_s + ?, "
                "strikes = coalesce(?, strikes), message = ? WHERE id = ? AND state = ?",
                (state, ended, time.time() + pause_s, used_s, strikes, message, job, RUNNING),
            )
            self._say(base, job, state, message)

    def end(self, job: str, state: str, used_s: float, message: str = "", manifest_sha256: str = "") -> None:
        """Record how a running job ended."""
        with self._changing() as base:
            base.execute(
                "UPDATE jobs SET state = ?, ended = ?, cancelling = 0, used_s = used_s + ?, message = ?, "
                "manifest_sha256 = ? WHERE id = ?",
                (state, time.time(), used_s, message, manifest_sha256, job),
            )
            self._say(base, job, state, message)

    def cancel(self, job: str) -> Job:
        """Cancel a queued job, or note that a running one is to end; an ended one stays as it is."""
        with self._changing() as base:
            ended = base.execute(
                "UPDATE jobs SET state = ?, ended = ? WHERE id = ? AND state = ?",
                (CANCELLED, time.time(), job, QUEUED),
            ).rowcount
            if ended:
                self._say(base, job, CANCELLED)
            else:
                base.execute("UPDATE jobs SET cancelling = 1 WHERE id = ? AND state = ?", (job, RUNNING))
        return self.get(job)

    def running(self) -> list[Job]:
        """Return the jobs that run, or ran when the service died."""
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE state = ? ORDER BY number", RUNNING)
        return [_job(row) for row in rows]

    def finished(self) -> list[Job]:
        """Return the jobs that are done, the newest first."""
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE state = ? ORDER BY ended DESC, number DESC", DONE)
        return [_job(row) for row in rows]

    def kept(self) -> list[Job]:
        """Return the jobs that have not been cancelled, the oldest first."""
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE state != ? ORDER BY number", CANCELLED)
        return [_job(row) for row in rows]

    def events(self, job: Job, after: int, limit: int = MOST_EVENTS) -> list[tuple[int, dict[str, Any]]]:
        """Return the events of a job with numbers above `after`, the oldest first."""
        rows = self._read(
            "SELECT number, time, content FROM events WHERE job = ? AND number > ? ORDER BY number LIMIT ?",
            job.number, after, limit,
        )  # fmt: skip
        return [(number, {**json.loads(content), "time": moment}) for number, moment, content in rows]

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Change several rows at once, or none."""
        with self._lock:
            try:
                self._base.execute("BEGIN IMMEDIATE")
                yield self._base
                self._base.execute("COMMIT")
            except BaseException as error:
                if self._base.in_transaction:  # SQLite itself has ended some that failed
                    self._base.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise QueueError(f"the queue cannot be written ({error})") from None
                raise

    def _read(self, text: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._base.execute(text, values).fetchall()

    def _is_cancelling(self, base: sqlite3.Connection, job: str) -> bool:
        row = base.execute("SELECT cancelling FROM jobs WHERE id = ?", (job,)).fetchone()
        return bool(row and row[0])

    def _say(self, base: sqlite3.Connection, job: str, state: str, message: str = "") -> None:
        """Keep the change of a job's state as an event."""
        self._keep(base, job, {"event": "state", "state": state, **({"message": message} if message else {})})

    def _keep(self, base: sqlite3.Connection, job: str, event: Mapping[str, Any]) -> None:
        (number,) = base.execute("SELECT number FROM jobs WHERE id = ?", (job,)).fetchone()
        (last,) = base.execute("SELECT coalesce(max(number), 0) FROM events WHERE job = ?", (number,)).fetchone()
        base.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (number, last + 1, time.time(), json.dumps(dict(event))))
        base.execute("DELETE FROM events WHERE job = ? AND number <= ?", (number, last + 1 - MOST_EVENTS))


def new_id() -> str:
    """Return a new random id of a job."""
    return uuid.uuid4().hex


def _job(row: tuple[Any, ...]) -> Job:
    values = dict(zip(Job.__dataclass_fields__, row, strict=True))
    return Job(**{
        **values, "recipe": json.loads(values["recipe"]), "plan": json.loads(values["plan"]),
        "cancelling": bool(values["cancelling"]),
    })  # fmt: skip
