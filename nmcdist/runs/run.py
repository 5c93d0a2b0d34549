"""Make the dataset of a recipe: from the recipe to a finished store, resumable at any point."""

from pathlib import Path
from typing import TYPE_CHECKING

from nmcdist.bundle import Bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.execution.journal import Journal
from nmcdist.products.recipe import BaseRecipe
from nmcdist.runs.paths import Paths
from nmcdist.runs.production import RETRIES, Crew, Production, Result
from nmcdist.runs.progress import Progress

if TYPE_CHECKING:
    from distributed import Client


def run_recipe(
    recipe: BaseRecipe,
    bundle: Bundle,
    out: Path,
    deployment: Deployment | None = None,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    retries: int = RETRIES,
    max_failures: int | None = None,
    client: "Client | None" = None,
) -> Result:
    """Make the dataset of a recipe and add it to the catalog of its folder.

    Parameters
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    out : Path
        Folder of the store, its journal and ``catalog.yaml``.
    deployment : Deployment, optional
        Default: as many workers on this machine as fit.
    resume : bool
        Continue an interrupted run, or repair a finished store: only missing or damaged parts are made again,
        or everything if the recipe, the bundle or the version changed.
    progress : Progress, optional
    retries : int
        How often a failed task is retried at once; tasks that kill workers are counted separately.
    max_failures : int, optional
        Once more than this many tasks have failed, no more start; default: all are tried.
    client : distributed.Client, optional
        Client of a Dask cluster to use in place of the deployment.

    Returns
    -------
    Result
        `failed` holds the failed items; the store is finished only if it is empty.

    Raises
    ------
    PlanError
        If the run does not fit in memory or on the disk.
    CatalogError
        If nmcdist did not write the catalog of the folder.
    StoreError
        If the dataset already exists, another run works on it, or its files cannot be written.
    """
    crew, paths = Crew.of(deployment, progress, client), Paths.of(recipe, out)
    paths.refuse_strangers()
    production = Production.of(recipe, bundle, out, crew, Journal(paths.run).settings() if resume else None)
    if not resume:
        production.refuse_existing()
    with production.opened(resumes=resume):
        if not resume:
            production.refuse_existing()
        elif production.is_there():
            if production.is_whole():
                return production.found_whole()
            production.open_again()
        store = production.prepare()
        result = production.do(store, production.left(), retries=retries, max_failures=max_failures)
        return production.seal(result)
