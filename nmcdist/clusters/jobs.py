"""Reliable jobs of dask-jobqueue: submissions have a time-out, jobs without a worker are replaced.

dask-jobqueue replaces a job whose worker connected and left. A job that was refused, cancelled while it waited, or
ended before its worker connected would be missing for good, with at most a line in a log.
"""

import asyncio
import contextlib
import getpass
import os
import signal
import time
from collections import Counter
from typing import Any

from distributed.core import Status
from distributed.deploy.adaptive import Adaptive

from nmcdist.clusters.ask import Listing

_COMMAND_TIMEOUT_S = 60.0
_KILLED_TIMEOUT_S = 5.0
_LOOK_S = 5.0
_AGAIN_S = 30.0  # delay before a refused submission is retried


class Reliable:
    """Behaviour of every job in addition to the class of its queue."""

    listing: Listing | None = None
    refusal = ""
    submitted = 0.0
    came = False

    def __init__(self, *arguments: Any, security: Any = None, **options: Any) -> None:
        super().__init__(*arguments, **options)  # without security: a worker finds its credentials in the environment

    @property
    def worker_process_memory(self) -> str:
        """Memory of the worker in units without rounding."""
        return f"{self.worker_memory // 2**20}MiB"  # type: ignore[attr-defined]

    async def _submit_job(self, script_filename: str) -> Any:
        self.submitted = time.monotonic()
        try:
            answer = await super()._submit_job(script_filename)  # type: ignore[misc]
        except (RuntimeError, OSError, TimeoutError) as error:
            self.refusal = " ".join(str(error).split()) or f"no answer within {_COMMAND_TIMEOUT_S:.0f} s"
            self.status = Status.failed  # a cluster does not close while it expects the job to start
            raise
        self.refusal = ""
        return answer

    async def close(self) -> None:
        """Cancel the job; dask-jobqueue leaves its status as running, with which a cluster does not close."""
        try:
            await super().close()  # type: ignore[misc]
        finally:
            self.status = Status.closed

    @staticmethod
    async def _call(cmd: list[str], *, shell: bool = False, **options: Any) -> str:
        """Return the output of a queue's command, with a time-out; dask-jobqueue would wait for ever."""
        start: Any = asyncio.create_subprocess_shell if shell else asyncio.create_subprocess_exec
        pipe = asyncio.subprocess.PIPE
        process = await start(
            *cmd, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True, **options
        )
        try:
            printed, said = await asyncio.wait_for(process.communicate(), _COMMAND_TIMEOUT_S)
        except BaseException:
            # Also what a script has started: it would hold the pipes open, and be waited for.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _KILLED_TIMEOUT_S)
            raise
        if process.returncode:
            raise RuntimeError(said.decode(errors="replace") or f"{cmd[0]}: exit status {process.returncode}")
        return str(printed.decode(errors="replace"))


def reliable(job: type, listing: Listing | None) -> type:
    """Return a job class of dask-jobqueue with the behaviour that every job adds.

    Parameters
    ----------
    job : type
    listing : Listing, optional
        How to list the queue's jobs; without it, a job that ends before its worker connects goes unnoticed.
    """
    return type(job.__name__, (Reliable, job), {"listing": listing})


class Replacing(Adaptive):
    """Keeps the number of jobs constant, also if they end before their worker connects.

    Attributes
    ----------
    says : str
        The queue's report on jobs without a worker, for example "2 PENDING (Resources)".
    refusal : str
        The queue's reason for refusing a job, until it accepts one.
    all_refused : int
        Number of checks in a row that found every job refused.
    ended_early : int
        Jobs that ended before their worker connected.
    stuck : str
        The queue's report on the last job that it could not start, which was then cancelled.
    """

    cluster: Any

    def __init__(self, cluster: Any, **options: Any) -> None:
        super().__init__(cluster, **options)
        self.says = ""
        self.refusal = ""
        self.all_refused = 0
        self.ended_early = 0
        self.stuck = ""
        self._looked = 0.0

    async def recommendations(self, target: int) -> dict[str, Any]:
        """Drop the jobs that will bring no worker, so that others are submitted."""
        self._note_arrivals()
        if time.monotonic() - self._looked >= _LOOK_S:
            await self._forget_ended()
            self._looked = time.monotonic()
        return await super().recommendations(target)

    def _note_arrivals(self) -> None:
        for name in self.observed:
            if name in self.cluster.workers:
                self.cluster.workers[name].came = True

    async def _forget_ended(self) -> None:
        awaited = {name: job for name, job in self.cluster.workers.items() if not job.came}
        self._forget_refused(awaited)
        in_queue = {name: job for name, job in awaited.items() if job.listing and job.job_id}
        states = await self._states(next(iter(in_queue.values())).listing) if in_queue else {}
        if states is None:
            return
        counts: Counter[str] = Counter()
        for name, job in in_queue.items():
            state = states.get(job.job_id)
            stuck = state is not None and job.listing.stuck is not None and job.listing.stuck.search(state)
            if stuck:
                self.stuck = state = f"{state} ({await self._why(job)})"
            if state is None or stuck:
                self.ended_early += 1
                self.cluster.workers.pop(name, None)
                job.status = Status.closed
            if stuck:
                await self._cancel(job)
            if state is not None:
                counts[state] += 1
        self.says = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))

    def _forget_refused(self, awaited: dict[Any, Any]) -> None:
        refused = [job for job in awaited.values() if job.refusal]
        self.refusal = refused[-1].refusal if refused else ""
        self.all_refused = self.all_refused + 1 if len(refused) == len(self.cluster.workers) > 0 else 0
        now = time.monotonic()
        for name, job in awaited.items():
            if job.refusal and now - job.submitted >= _AGAIN_S:
                del self.cluster.workers[name]

    async def _states(self, listing: Listing) -> dict[str, str] | None:
        """Return the state of each waiting or running job of the user; None if the queue does not answer."""
        try:
            text = await Reliable._call([*listing.command, getpass.getuser()])
        except (RuntimeError, OSError, TimeoutError):
            return None
        found = (listing.job.match(line) for line in text.splitlines())
        return {job[1]: job[2].strip() for job in found if job}

    async def _why(self, job: Any) -> str:
        try:
            text = await job._call([*job.listing.why, job.job_id])
        except (RuntimeError, OSError, TimeoutError):
            text = ""
        found = job.listing.reason.search(text)
        return found[1].strip() if found else "for an unknown reason"

    async def _cancel(self, job: Any) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            await job.close()
