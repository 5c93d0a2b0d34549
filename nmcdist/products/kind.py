"""What a kind of dataset is: its recipe, how its items are planned, made, joined, exported and reported."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine
from nmcdist.errors import InputError
from nmcdist.products.plan import Job, Made, Plan, Task
from nmcdist.products.recipe import BaseRecipe

Effort = Literal["whole", "estimate", "least"]
Partials = Callable[[Task], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Site:
    """Where a run would be computed, and what is known there of an earlier one.

    Attributes
    ----------
    out : Path
        Folder of the store.
    deployment : Deployment
    machine : Machine
    settings : Mapping
        What the journal of an earlier run of the recipe recorded.
    draws : bool
        Whether items are drawn, or read from a store that is there.
    effort : {"whole", "estimate", "least"}
        Whether all that decides the layout of the store is drawn, as a run needs it, or only enough for an estimate,
        or for what a run is sure to need.
    """

    out: Path
    deployment: Deployment
    machine: Machine
    settings: Mapping[str, Any] = field(default_factory=dict)
    draws: bool = True
    effort: Effort = "whole"


class Kind(ABC):
    """A kind of dataset; :func:`nmcdist.products.registry.register` makes one known.

    An object of it holds nothing: all that a run needs is in the plan, the job and the task that it is given.

    Attributes
    ----------
    name : str
        As in `kind` of a recipe and of a store.
    recipe : type
        Model of its recipes, whose field `kind` has this name as its only value.
    own_field : str or None
        Field by which a recipe that does not say its kind is known.
    """

    name: ClassVar[str]
    recipe: ClassVar[type[BaseRecipe]]
    own_field: ClassVar[str | None] = None

    @abstractmethod
    def plan(self, recipe: Any, bundle: Bundle, site: Site) -> Plan:
        """Work out a run; nothing is written, and nothing is refused before :meth:`Plan.validate`.

        Raises
        ------
        BundleError, InputError, RecipeError
            If the recipe asks for what the bundle cannot give.
        """

    @abstractmethod
    def make(self, job: Job, bundle: Bundle | None, task: Any, seconds: dict[str, float]) -> Made:
        """Make and write what a task owns, on a worker.

        Parameters
        ----------
        job : Job
        bundle : Bundle or None
            None where items are read from `job.source` instead of drawn.
        task : Task
            One of the plan.
        seconds : dict
            Gets the wall time of each step.

        Raises
        ------
        ItemFailed
            If one of several items of the task cannot be made.
        """

    def join(self, plan: Any, store: Path, partials: Partials) -> set[str]:
        """Write what needs all tasks, when all are done, and return the files; by default there is nothing.

        Parameters
        ----------
        plan : Plan
        store : Path
            The unfinished store.
        partials : callable
            Task -> what it left in its receipt besides files.
        """
        return set()

    @abstractmethod
    def sources(self, recipe: Any) -> tuple[str, ...]:
        """Return the variables of a store that its items can be described again from; empty if it has none."""

    @abstractmethod
    def export(self, store: Path, item: int, file_format: str, target: Path, **options: Any) -> Path:
        """Write an item of a finished store to a file; see :func:`nmcdist.products.stores.export_item`."""

    def report(
        self, store: Path, recipe: Any, folder: Path, *, voxel_sizes_nm: tuple[float, ...] = (),
        progress: Callable[[str], None] = lambda line: None,
    ) -> Path:  # fmt: skip
        """Write figures, tables and a page of a finished store into a folder, and return the page.

        By default every number that an item has, its curves, and slices of its volumes. See
        :func:`nmcdist.products.stores.build_report`.

        Raises
        ------
        InputError
            If a study of resolution is asked for, which the kind does not have.
        """
        from nmcdist.report.plain import report_plain

        if voxel_sizes_nm:
            raise InputError(f"{store}: is of kind {self.name}, which has no resolution study")
        return report_plain(store, folder)
