"""Make the dataset of a recipe: from a recipe to a finished store, continued where it stopped."""

from pathlib import Path
from typing import TYPE_CHECKING

from nmcdist.bundle import Bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.products.recipe import BaseRecipe
from nmcdist.runs.journal import Journal
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
    """Make the dataset of a recipe and list it in the catalog of its folder.

    Parameters
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    out : Path
        Folder of the store, its journal and ``catalog.yaml``.
    deployment : Deployment, optional
        Default: workers on this machine, as many as fit.
    resume : bool
        Continue an interrupted run, or heal a finished store: only what is missing or damaged is made again,
        or everything if the recipe, the bundle or the version changed.
    progress : Progress, optional
    retries : int
        How often a task that failed is tried again on the spot; what kills workers is counted apart.
    max_failures : int, optional
        After more failures than this no more tasks begin; default: all are tried.
    client : distributed.Client, optional
        Of a Dask cluster to use in place of the deployment's.

    Returns
    -------
    Result
        Items that could not be made are in its `failed`; the store is finished only if there are none.

    Raises
    ------
    PlanError
        If the run cannot fit in memory or on the disk.
    CatalogError
        If the catalog of the folder holds what nmcdist does not write.
    StoreError
        If the dataset is there already, another run works on it, or its files cannot be written.
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
