"""Jobs of dask-jobqueue that can be relied on: submissions end in time, jobs that bring no worker are replaced.

dask-jobqueue replaces a job whose worker was there and left. One that was refused, cancelled while it waited, or
ended before its worker came would be missing for good, with a word in a log at most.
"""

import asyncio
import getpass
import time
from collections import Counter
from typing import Any

from dask_jobqueue import htcondor, lsf, pbs, sge, slurm
from distributed.core import Status
from distributed.deploy.adaptive import Adaptive

_SUBMIT_TIMEOUT_S = 60.0
_LOOK_S = 5.0
_AGAIN_S = 30.0  # a refused submission is tried again


class _Reliable:
    """What every job has besides what its queue's own class does."""

    refusal = ""
    submitted = 0.0
    came = False

    @property
    def worker_process_memory(self) -> str:
        return f"{self.worker_memory // 2**20}MiB"  # type: ignore[attr-defined]

    async def _submit_job(self, script_filename: str) -> Any:
        self.submitted = time.monotonic()
        try:
            answer = await asyncio.wait_for(super()._submit_job(script_filename), _SUBMIT_TIMEOUT_S)  # type: ignore[misc]
        except (RuntimeError, OSError, TimeoutError) as error:
            self.refusal = _said(str(error)) or f"no answer within {_SUBMIT_TIMEOUT_S:.0f} s"
            self.status = Status.failed  # a cluster does not close while it takes the job for one that is to start
            raise
        self.refusal = ""
        return answer


def _said(text: str) -> str:
    """Return what the queue said in an error of dask-jobqueue, which quotes it under `stderr`."""
    return " ".join((text.partition("stderr:")[2] or text).split())


class SLURMJob(_Reliable, slurm.SLURMJob):
    """A job of SLURM."""


class PBSJob(_Reliable, pbs.PBSJob):
    """A job of PBS."""


class LSFJob(_Reliable, lsf.LSFJob):
    """A job of LSF."""


class SGEJob(_Reliable, sge.SGEJob):
    """A job of Grid Engine."""


class HTCondorJob(_Reliable, htcondor.HTCondorJob):
    """A job of HTCondor."""


JOBS: dict[str, Any] = {
    "slurm": SLURMJob, "pbs": PBSJob, "lsf": LSFJob, "sge": SGEJob, "htcondor": HTCondorJob,
}  # fmt: skip


class Replacing(Adaptive):
    """Keeps the number of jobs, also where they end before their worker comes.

    Attributes
    ----------
    says : str
        What the queue says of jobs whose worker is not there, as "2 PENDING (Resources)".
    refusal : str
        What the queue said to a job that it refused, until it takes it.
    all_refused : int
        How many looks in a row found every job refused.
    ended_early : int
        Jobs that ended before their worker came.
    """

    cluster: Any

    def __init__(self, cluster: Any, **options: Any) -> None:
        super().__init__(cluster, **options)
        self.says = ""
        self.refusal = ""
        self.all_refused = 0
        self.ended_early = 0
        self._looked = 0.0

    async def recommendations(self, target: int) -> dict[str, Any]:
        """Forget the jobs that will bring no worker, so that they are asked for anew."""
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
        refused = [job for job in awaited.values() if job.refusal]
        self.refusal = refused[-1].refusal if refused else ""
        self.all_refused = self.all_refused + 1 if len(refused) == len(self.cluster.workers) > 0 else 0
        now = time.monotonic()
        for name, job in awaited.items():
            if job.refusal and now - job.submitted >= _AGAIN_S:
                del self.cluster.workers[name]
        in_queue = {name: job for name, job in awaited.items() if isinstance(job, SLURMJob) and job.job_id}
        states = await self._states() if in_queue else {}
        if states is None:
            return
        for name, job in in_queue.items():
            if job.job_id not in states:
                self.ended_early += 1
                self.cluster.workers.pop(name, None)
        counts = Counter(states[job.job_id] for job in in_queue.values() if job.job_id in states)
        self.says = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))

    async def _states(self) -> dict[str, str] | None:
        """Return the state of each of the user's jobs that wait or run; None if the queue does not answer."""
        command = ("squeue", "-h", "-u", getpass.getuser(), "-o", "%A %T (%r)")
        try:
            text = await asyncio.wait_for(SLURMJob._call(command), _SUBMIT_TIMEOUT_S)
        except (RuntimeError, OSError, TimeoutError):
            return None
        found = (line.split(" ", 1) for line in text.splitlines())
        return {job_id: state.strip() for job_id, state in found}
