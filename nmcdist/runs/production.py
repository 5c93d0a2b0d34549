"""A run of one store, from its recipe to its seal; every command that makes a store uses it."""

import contextlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmcdist.bundle import Bundle
from nmcdist.clusters.client import deployment_of
from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.guard import stop_if_imported_by_a_worker
from nmcdist.datasets.catalog import CATALOG_FILE, add_entry, check_catalog
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import manifest_hash
from nmcdist.datasets.store import read_attributes
from nmcdist.errors import StoreError
from nmcdist.execution.journal import Journal
from nmcdist.log import log
from nmcdist.products.plan import Plan, Task
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import checked_plan
from nmcdist.runs.healing import is_there, is_whole, open_again, size_of
from nmcdist.runs.locks import alone, locked
from nmcdist.runs.paths import Paths
from nmcdist.runs.progress import Progress, Silent
from nmcdist.runs.sealing import finalise
from nmcdist.runs.signals import interruptible, stop_if_asked
from nmcdist.runs.swap import put_in_place, undo_half_a_swap
from nmcdist.runs.tasks import job_of, outcomes_of, tasks_to_do
from nmcdist.runs.unfinished import keep_bundle, prepare

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 1
PREPARE_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes
    ----------
    store : Path
        The finished store; does not exist yet if items failed.
    made, kept : int
        Tasks done by this run, and by earlier runs.
    failed : dict of int to str
        Failed items, each with the reason.
    manifest_sha256 : str
        Checksum of the whole store; empty if items failed.
    journal : Path
        Folder with receipts and failures.
    """

    store: Path
    made: int
    kept: int
    failed: dict[int, str]
    manifest_sha256: str
    journal: Path


@dataclass(frozen=True)
class Crew:
    """The workers of a run, and the receiver of its progress.

    Attributes
    ----------
    deployment : Deployment
    progress : Progress
    client : distributed.Client, optional
        Client of the caller's own cluster: it is used in place of the deployment, and not closed.
    """

    deployment: Deployment
    progress: Progress
    client: "Client | None" = None

    @classmethod
    def of(cls, deployment: Deployment | None, progress: Progress | None, client: "Client | None" = None) -> "Crew":
        """Return a crew with defaults in place of None; a process that is to become a worker ends here."""
        stop_if_imported_by_a_worker()
        if client is not None:
            deployment = deployment_of(client, (deployment or Deployment()).threads_per_worker or 1)
        return cls(deployment or Deployment(), progress or Silent(), client)


@dataclass(frozen=True)
class Production:
    """A run of one store.

    Attributes
    ----------
    plan : Plan
    bundle : Bundle
    paths : Paths
    journal : Journal
        Holds its receipts.
    wip : Path
        The unfinished store.
    crew : Crew
    """

    plan: Plan
    bundle: Bundle
    paths: Paths
    journal: Journal
    wip: Path
    crew: Crew

    @classmethod
    def of(
        cls, recipe: BaseRecipe, bundle: Bundle, out: Path, crew: Crew, settings: Mapping[str, Any] | None = None
    ) -> "Production":
        """Plan the run of a recipe; refuse it here if it cannot succeed. Nothing is written.

        Parameters
        ----------
        recipe : BaseRecipe
        bundle : Bundle
        out : Path
            Folder of the store, its journal and ``catalog.yaml``.
        crew : Crew
        settings : Mapping, optional
            Records of the journal of an earlier run.

        Raises
        ------
        PlanError
            If the run cannot fit in memory or on the disk, or the cluster would not take its workers.
        CatalogError
            If nmcdist did not write the catalog of the folder.
        StoreError
            If the name of the store or its journal is taken by something else.
        """
        paths = Paths.of(recipe, out)
        paths.refuse_strangers()
        check_catalog(paths.folder)
        plan = checked_plan(
            recipe, bundle, paths.folder, crew.deployment, settings=settings, present_bytes=size_of(paths.wip)
        )  # fmt: skip
        log.info("planned %d tasks of %s, fingerprint %s", len(plan.tasks), plan.task_text, plan.fingerprint)
        return cls(plan, bundle, paths, Journal(paths.run), paths.wip, crew)

    @contextlib.contextmanager
    def opened(self, part: tuple[int, int] | None = None, *, resumes: bool = False) -> Iterator[None]:
        """Lock out other drivers, let signals end the run, and repair a swap that a dead driver left half done.

        Parameters
        ----------
        part : (k, n), optional
            Only the k-th of n parts: drivers of the others may work at the same time.
        resumes : bool
            Whether this run continues or repairs an earlier one.

        Raises
        ------
        PlanError
            If the cluster would not take the workers.
        StoreError
            If another driver works on the run.
        """
        if self.crew.client is None:
            cluster_of(self.crew.deployment).preflight(self.crew.deployment, self.plan.resources)
        with locked(self.paths.run, part), interruptible():
            with self.alone() if part else contextlib.nullcontext():
                undo_half_a_swap(self.paths, Journal(self.paths.run), self.plan.fingerprint if resumes else None)
            yield

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Lock out other parts while the unfinished store is prepared; they wait."""
        return alone(self.paths.run / "prepare.lock", PREPARE_TIMEOUT_S, f"{self.paths.run}: another part")

    def refuse_existing(self) -> None:
        """Refuse to start if a finished or an unfinished store exists.

        Raises
        ------
        StoreError
            The message describes what --resume would do.
        """
        store, recipe = self.paths.store, self.plan.recipe
        if store.exists():
            found = read_attributes(store)
            same = (found.get("recipe_hash"), found.get("bundle_hash")) == (
                recipe.content_hash, self.bundle.content_hash
            )  # fmt: skip
            what = "this recipe" if same else "another recipe or bundle"
            then = "checks and repairs it" if same else "replaces it when the new one is whole"
            raise StoreError(f"{store}: already exists, made from {what}; --resume {then}")
        if self.wip.exists():
            raise StoreError(f"{self.wip}: an unfinished run is here; --resume continues it")

    def is_there(self) -> bool:
        """Return whether the finished store exists and belongs to this plan."""
        return is_there(self.plan, self.paths.store, self.journal)

    def is_whole(self) -> bool:
        """Return whether the finished store is whole: every file exists and matches its manifest."""
        return is_whole(self.plan, self.paths.store, self.journal)

    def open_again(self) -> None:
        """Turn the damaged store into the unfinished one, to keep its undamaged parts."""
        self.crew.progress.event(
            "damaged",
            store=str(self.paths.store),
            what="changed since it was sealed, incomplete, or with the metadata of an earlier version",
        )
        open_again(self.plan, self.paths, self.journal)

    def prepare(self, **settings: Any) -> Folder:
        """Prepare the unfinished store for tasks; see :func:`nmcdist.runs.unfinished.prepare`."""
        self.paths.refuse_what_bars_a_swap()
        return prepare(self.plan, self.wip, self.journal, self.crew.progress, **settings)

    def left(self, part: tuple[int, int] = (1, 1), only: Container[str] | None = None) -> Sequence[Task]:
        """Return the tasks without a valid receipt; see :func:`nmcdist.runs.tasks.tasks_to_do`."""
        return tasks_to_do(self.plan, self.wip, self.journal, part, only)

    def do(
        self, store: Folder, todo: Sequence[Task], *, total: int | None = None, source: Path | None = None,
        retries: int = RETRIES, max_failures: int | None = None,
    ) -> Result:  # fmt: skip
        """Do tasks; a failed task does not stop the others.

        Parameters
        ----------
        store : Folder
            The unfinished store, as :meth:`prepare` returned it.
        todo : sequence of Task
        total : int, optional
            Number of tasks of which `todo` is the rest; default: all of the plan.
        source : Path, optional
            A finished store from which items are read instead of drawn.
        retries : int
            How often a failed task is retried at once.
        max_failures : int, optional
            Once more than this many tasks have failed, no more start; default: all are tried.

        Raises
        ------
        StoreError
            If the disk fails, or no worker is left.
        """
        crew, failed = self.crew, dict[int, str]()
        total = len(self.plan.tasks) if total is None else total
        kept = done = total - len(todo)
        log.info("%s: %d of %d tasks to do, on %s", self.wip, len(todo), total, crew.deployment.kind)
        folder = None if source else keep_bundle(self.bundle, self.paths.run / "bundle")
        job = job_of(self.plan, store, self.journal, bundle_folder=folder, source=source, retries=retries)
        with contextlib.ExitStack() as stack:
            crew.progress.start(total, done)
            stack.callback(crew.progress.finish)
            outcomes = outcomes_of(self.plan, job, todo, crew.deployment, crew.progress, crew.client, self.journal)
            for outcome in stack.enter_context(contextlib.closing(outcomes)):
                if outcome.hopeless:
                    raise StoreError(f"item {outcome.sample}: {outcome.error}; once that is fixed, use --resume")
                if outcome.error:
                    self.journal.write_failure(outcome.task, outcome.details or outcome.error)
                    failed.setdefault(outcome.sample, outcome.error)
                    crew.progress.event("failed", item=outcome.sample, error=outcome.error)
                else:
                    done += 1
                crew.progress.advance(done)
                stop_if_asked()
                if max_failures is not None and len(failed) > max_failures:
                    crew.progress.event("stopped", reason=f"more than {max_failures} items failed")
                    break
        return Result(self.paths.store, done - kept, kept, failed, "", self.journal.folder)

    def seal(self, result: Result, *, known: bool = True, listed: bool = True) -> Result:
        """Complete the store if no task failed, put it in place, and add it to the catalog of its folder.

        Parameters
        ----------
        result : Result
            Result of the tasks.
        known : bool
            Whether this process has seen every file whole, written or compared; otherwise all are compared.
        listed : bool
            Whether to add it to the catalog.

        Raises
        ------
        StoreError
            If a task is not done, or a file is damaged.
        """
        if result.failed:
            return result
        check_catalog(self.paths.folder)
        self.paths.refuse_what_bars_a_swap()
        digest = finalise(self.plan, self.wip, self.journal, known=known)
        log.info("%s: sealed, manifest %s", self.wip, digest)
        put_in_place(self.paths, self.wip, Journal(self.paths.run))
        if listed:
            add_entry(self.paths.folder / CATALOG_FILE, self.paths.store)
        self.crew.progress.event("finished", store=str(self.paths.store), manifest_sha256=digest)
        kept = len(self.plan.tasks) - result.made
        return replace(result, kept=kept, manifest_sha256=digest, journal=self.paths.run)

    def found_whole(self) -> Result:
        """Return the result of a run whose store is whole, and add it to the catalog of its folder."""
        add_entry(self.paths.folder / CATALOG_FILE, self.paths.store)
        self.crew.progress.event("nothing to do", store=str(self.paths.store))
        digest = manifest_hash(self.paths.store)
        return Result(self.paths.store, 0, len(self.plan.tasks), {}, digest, self.paths.run)
