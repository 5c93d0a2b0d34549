"""The measured cost of a run: a few of its tasks are done on this machine, in a temporary folder."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nmcdist.bundle import Bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.queue import lifetime
from nmcdist.datasets.files import readable_bytes
from nmcdist.datasets.writing import create_store
from nmcdist.errors import PlanError
from nmcdist.execution.execute import run_here
from nmcdist.execution.journal import Journal
from nmcdist.products.plan import Plan
from nmcdist.runs.tasks import job_of
from nmcdist.runs.unfinished import keep_bundle

ENOUGH_S = 20.0  # no further task starts after this time


@dataclass(frozen=True)
class Cost:
    """The cost of a whole run, extrapolated from a few of its tasks.

    Attributes
    ----------
    tasks : int
        Number of tasks that were done.
    share : float
        Their share of the run's work.
    task_s : float
        Seconds of the longest task.
    work_s : float
        Seconds of all tasks of the run, one after another.
    wall_s : float
        Seconds of the run on all its workers.
    stored_bytes : int
        Bytes of the files that tasks write.
    peak_bytes : int
        Largest memory of a task.
    """

    tasks: int
    share: float
    task_s: float
    work_s: float
    wall_s: float
    stored_bytes: int
    peak_bytes: int

    def lines(self, plan: Plan) -> list[str]:
        """Return the estimate as lines of text."""
        workers = max(1, plan.resources.workers)
        return [
            f"measured here: {self.tasks} of {len(plan.tasks)} tasks, {100 * self.share:.2g} % of the work; longest "
            f"took {readable_seconds(self.task_s)}, the largest {readable_bytes(self.peak_bytes)} of memory",
            f"the whole run: {readable_bytes(self.stored_bytes)} in {plan.layout.file_count:,} files, "
            f"{readable_seconds(self.work_s)} of work, {readable_seconds(self.wall_s)} on {workers} workers as fast "
            f"as this machine",
        ]


def measure(plan: Plan, bundle: Bundle, deployment: Deployment) -> Cost:
    """Do tasks of a run, spread over its items, until they took long enough; at least one, however long it takes.

    Parameters
    ----------
    plan : Plan
    bundle : Bundle
    deployment : Deployment

    Raises
    ------
    PlanError
        If a task fails, or takes longer than a worker lives.
    """
    with TemporaryDirectory(prefix="nmcdist-trial-") as folder:
        store, journal = Path(folder) / "trial.zarr", Journal(Path(folder) / "trial.run")
        create_store(store, plan.layout)
        job = job_of(plan, store, journal, bundle_folder=keep_bundle(bundle, journal.folder / "bundle"))
        numbers, seconds = [], []
        for number in _until_enough(_spread(len(plan.tasks))):
            (outcome,) = run_here(job, [plan.tasks[number]])
            if outcome.error:
                raise PlanError(f"item {outcome.sample}: {outcome.error}")
            numbers.append(number)
            seconds.append(outcome.seconds)
        if len(seconds) > 1:  # the first task compiles
            numbers, seconds = numbers[1:], seconds[1:]
        receipts = [journal.required_receipt(plan.tasks[number].name) for number in numbers]
    share = sum(map(plan.share, numbers))
    work = sum(seconds) / share
    cost = Cost(
        tasks=len(numbers),
        share=share,
        task_s=max(seconds),
        work_s=work,
        wall_s=max(max(seconds), work / max(1, plan.resources.workers)),
        stored_bytes=int(sum(record.size for receipt in receipts for record in receipt.files.values()) / share),
        peak_bytes=max(receipt.peak_memory_bytes for receipt in receipts),
    )
    _check_walltime(cost, plan, deployment)
    return cost


def readable_seconds(seconds: float) -> str:
    """Return a duration in a readable unit, such as "4.2 h"."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.2g} s"


def _spread(count: int) -> Iterator[int]:
    """Yield every task once, the first ones far apart: a van der Corput sequence."""
    seen = set()
    for number in (int(count * _reversed_bits(k)) for k in range(4 * count)):
        if number not in seen:
            seen.add(number)
            yield number


def _reversed_bits(k: int) -> float:
    value, half = 0.0, 0.5
    while k:
        value, k, half = value + half * (k & 1), k >> 1, half / 2
    return value


def _until_enough(numbers: Iterator[int]) -> Iterator[int]:
    start = time.perf_counter()
    for number in numbers:
        yield number
        if time.perf_counter() - start > ENOUGH_S:
            return


def _check_walltime(cost: Cost, plan: Plan, deployment: Deployment) -> None:
    if deployment.walltime is None:
        return
    alive, spread = lifetime(deployment.walltime)
    if cost.task_s > alive - spread:
        raise PlanError(
            f"walltime: a task of {plan.task_text} takes {readable_seconds(cost.task_s)}, a worker leaves after "
            f"{readable_seconds(alive - spread)}; use a longer walltime, more threads, or {plan.smaller_text}"
        )
