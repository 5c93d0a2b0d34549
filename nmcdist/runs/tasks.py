"""The tasks of a plan: which are left, what they share, and how to run them."""

from array import array
from collections.abc import Container, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.folder import Folder
from nmcdist.execution.execute import run_here, run_on_dask
from nmcdist.execution.journal import Journal, is_done
from nmcdist.execution.worker import Outcome
from nmcdist.kernels import compilation_said_by
from nmcdist.products.plan import Job, Plan, Task, Tasks
from nmcdist.runs.progress import Progress

if TYPE_CHECKING:
    from distributed import Client


def tasks_to_do(
    plan: Plan, store: Path, journal: Journal, part: tuple[int, int] = (1, 1), only: Container[str] | None = None
) -> Tasks[Task]:
    """Return the tasks without a valid receipt.

    Parameters
    ----------
    plan : Plan
    store : Path
    journal : Journal
    part : (k, n)
        Every n-th task from the k-th on.
    only : container of str, optional
        Names of the tasks to consider; default: all.
    """
    k, n = part
    numbers = array("q")
    for number in range(k - 1, len(plan.tasks), n):
        task = plan.tasks[number]
        if only is not None and task.name not in only:
            continue
        if not is_done(journal, store, task.name, plan.fingerprint, task.box, task.files):
            numbers.append(number)
    return Tasks(len(numbers), lambda place: plan.tasks[numbers[place]])


def job_of(
    plan: Plan,
    wip: Path | Folder,
    journal: Journal,
    *,
    bundle_folder: Path | None = None,
    source: Path | None = None,
    retries: int = 0,
) -> Job:
    """Return the job that the tasks of a plan share; paths are absolute, since workers may start elsewhere."""
    return Job(
        store=wip.absolute() if isinstance(wip, Path) else wip,
        journal=journal.folder.absolute(),
        bundle_folder=bundle_folder.absolute() if bundle_folder else None,
        bundle_hash=plan.bundle_hash,
        fingerprint=plan.fingerprint,
        source=source.absolute() if source else None,
        recipe=plan.recipe,
        variables=plan.layout.variables,
        threads=plan.resources.threads,
        retries=retries,
    )


def outcomes_of(
    plan: Plan,
    job: Job,
    todo: Sequence[Task],
    deployment: Deployment,
    progress: Progress,
    client: "Client | None",
    journal: Journal,
) -> Generator[Outcome, None, None]:
    """Do tasks in this process or on Dask, as planned, and yield their outcomes."""
    if not todo:
        return
    ready = plan.readied(todo, journal)
    if client is None and plan.resources.workers == 0:
        with compilation_said_by(lambda text: progress.event("compiling", text=text)):
            yield from run_here(job, ready)
        return
    yield from run_on_dask(
        job,
        ready,
        plan.resources,
        plan.task_bytes,
        deployment,
        client=client,
        announce=lambda name, text: progress.event(name, **{_ANNOUNCED[name]: text}),
    )


_ANNOUNCED = {"dashboard": "link", "waiting": "queue", "warning": "text", "compiling": "text"}
