"""Run a recipe from Python: ``nmcdist.run`` and ``nmcdist.plan``, which the command line uses too."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmcdist.clusters.deployment import Deployment, load_deployment
from nmcdist.errors import PlanError, RecipeError
from nmcdist.inputs import local_path
from nmcdist.products.plan import Plan
from nmcdist.products.registry import RecipeLike, loaded_recipe, make_plan
from nmcdist.runs.partition import run_part
from nmcdist.runs.production import RETRIES, Result
from nmcdist.runs.progress import Progress, progress_on
from nmcdist.runs.run import run_recipe
from nmcdist.wording import shown

if TYPE_CHECKING:
    from distributed import Client


def run(
    recipe: RecipeLike,
    out: str | Path = ".",
    *,
    cluster: str | Path | Deployment | None = None,
    workers: int | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    client: "Client | None" = None,
    resume: bool = False,
    partition: str | None = None,
    retries: int = RETRIES,
    max_failures: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Make the dataset of a recipe, check it, and add it to the catalog of its folder.

    Call this under ``if __name__ == "__main__":`` in a script, because its workers import the script.

    Parameters
    ----------
    recipe : str, Path, Mapping or BaseRecipe
        A recipe file, or its content; a relative bundle path starts at its folder, or at the current one.
    out : str or Path
        Folder of the store, its journal and ``catalog.yaml``.
    cluster : str, Path or Deployment, optional
        Deployment file; default: as many workers on this machine as fit.
    workers : int, optional
        Number of workers, overriding the deployment; on this machine 0 computes in this process, without Dask.
    threads : int, optional
        Threads per task; a worker runs one task at a time.
    memory : int or str, optional
        Memory per worker in bytes, or as text such as "8GiB".
    client : distributed.Client, optional
        Client of your own Dask cluster, to use in place of a deployment; it is not closed.
    resume : bool
        Continue an interrupted run, or repair a finished store: only missing or damaged parts are made again.
    partition : str, optional
        "K/N": make part K of N; :func:`nmcdist.runs.finalise_store` then seals the store.
    retries : int
        How often a failed task is retried at once.
    max_failures : int, optional
        Once more than this many tasks have failed, no more start; default: all are tried.
    progress : Progress, optional
        Default: a bar with the time left on a terminal and in a notebook; nothing elsewhere.

    Returns
    -------
    Result
        `store` is the path of the finished store; `failed` holds the failed items.

    Raises
    ------
    RecipeError
        One line per error in the recipe or the deployment.
    PlanError
        If the run does not fit in memory or on the disk, or the cluster would refuse it.
    StoreError
        If the dataset already exists, another run works on it, or its files cannot be written.
    GuardError
        If the script that calls this has no ``if __name__ == "__main__":``.
    """
    loaded, bundle, where = loaded_recipe(recipe)
    deployment = deployment_from(cluster, workers, threads, memory)
    how: dict[str, Any] = {
        "progress": progress or progress_on(), "retries": retries, "max_failures": max_failures, "client": client,
    }  # fmt: skip
    with naming_faults(where):
        if partition is not None:
            return run_part(loaded, bundle, local_path(out), parsed_partition(partition), deployment, **how)
        return run_recipe(loaded, bundle, local_path(out), deployment, resume=resume, **how)


def plan(
    recipe: RecipeLike,
    out: str | Path = ".",
    *,
    cluster: str | Path | Deployment | None = None,
    workers: int | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
) -> Plan:
    """Plan the run of a recipe; nothing is written.

    Parameters
    ----------
    recipe, out, cluster, workers, threads, memory
        As for :func:`run`.

    Returns
    -------
    Plan
        ``print(plan.summary())`` shows it; ``plan.validate()`` raises PlanError if the run does not fit. For many
        particles, sizes are estimated from the first ones.

    Raises
    ------
    RecipeError
        One line per error in the recipe or the deployment.
    """
    loaded, bundle, where = loaded_recipe(recipe)
    deployment = deployment_from(cluster, workers, threads, memory)
    with naming_faults(where):
        return make_plan(loaded, bundle, local_path(out), deployment, effort="estimate")


def deployment_from(
    cluster: str | Path | Deployment | None, workers: int | None, threads: int | None, memory: int | str | None
) -> Deployment:
    """Return a deployment from its file; arguments override the file."""
    changes = {"workers": workers, "threads_per_worker": threads, "memory_per_worker": memory}
    if not isinstance(cluster, Deployment):
        return load_deployment(cluster, **changes)
    given = {name: value for name, value in changes.items() if value is not None}
    return Deployment.model_validate({**cluster.model_dump(exclude_unset=True), **given}) if given else cluster


@contextlib.contextmanager
def naming_faults(where: str) -> Iterator[None]:
    """Add the file's name to errors of a plan in its recipe."""
    try:
        yield
    except RecipeError as error:
        if not where:
            raise
        raise RecipeError("\n".join(f"{where}: {line}" for line in str(error).splitlines())) from None


def parsed_partition(text: str) -> tuple[int, int]:
    """Return K and N of "K/N".

    Raises
    ------
    PlanError
        If it has another form, or 1 <= K <= N does not hold.
    """
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise PlanError(f"partition: found {shown(text)}, expected K/N with 1 <= K <= N, for example 2/8")
    return int(found[1]), int(found[2])
