"""The kind of a dataset: its recipe, and how its items are planned, made, joined, exported and reported."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nmcdist.bundle import Bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine
from nmcdist.datasets.layout import VOLUME
from nmcdist.datasets.particles import Records
from nmcdist.datasets.volumes import Volumes
from nmcdist.errors import InputError
from nmcdist.products.plan import Job, Made, Plan, Task
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.virtual import Frozen, VirtualPlan

Effort = Literal["whole", "estimate", "least"]
Partials = Callable[[Task], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Site:
    """The location of a planned run, and the records of an earlier run there.

    Attributes
    ----------
    out : Path
        Folder of the store.
    deployment : Deployment
    machine : Machine
    settings : Mapping
        Records of the journal of an earlier run of the recipe.
    draws : bool
        Whether items are drawn, or read from an existing store.
    effort : {"whole", "estimate", "least"}
        Whether to draw everything that determines the layout of the store, as needed for a run, or only enough for an
        estimate or a lower bound.
    """

    out: Path
    deployment: Deployment
    machine: Machine
    settings: Mapping[str, Any] = field(default_factory=dict)
    draws: bool = True
    effort: Effort = "whole"


@dataclass(frozen=True)
class Sections:
    """Planar sections through items, at one pixel size.

    Attributes
    ----------
    labels : list of ndarray, shape (rows, columns)
        Labels of one item each: of its phases, or of its grains.
    pixel_nm : float
    outside : bool
        Whether label 0 is outside the item, and the others are grains.
    phases : tuple of str
        Names of the labels 0, 1, ...; empty for grains.
    """

    labels: list[np.ndarray]
    pixel_nm: float
    outside: bool = False
    phases: tuple[str, ...] = ()


class Kind(ABC):
    """A kind of dataset; :func:`nmcdist.products.registry.register` adds one.

    Kinds have no state: the plan, the job and the task contain everything that a run needs.

    Attributes
    ----------
    name : str
        The value of `kind` in recipes and stores.
    recipe : type
        Model of its recipes; `name` is the only value of their field `kind`.
    own_field : str or None
        Field that identifies a recipe without `kind`.
    reads_files : bool
        Whether its recipes name files of this machine, so that the service takes none.
    """

    name: ClassVar[str]
    recipe: ClassVar[type[BaseRecipe]]
    own_field: ClassVar[str | None] = None
    reads_files: ClassVar[bool] = False

    @abstractmethod
    def plan(self, recipe: Any, bundle: Bundle, site: Site) -> Plan:
        """Plan a run; nothing is written, and nothing is refused before :meth:`Plan.validate`.

        Raises
        ------
        BundleError, InputError, RecipeError
            If the bundle does not support the recipe.
        """

    @abstractmethod
    def make(self, job: Job, bundle: Bundle | None, task: Any, seconds: dict[str, float]) -> Made:
        """Make and write the files of a task, on a worker.

        Parameters
        ----------
        job : Job
        bundle : Bundle or None
            None if items are read from `job.source` instead of drawn.
        task : Task
            One of the plan.
        seconds : dict
            Receives the wall time of each step.

        Raises
        ------
        ItemFailed
            If one of several items of the task cannot be made.
        """

    def fault(self) -> str:
        """Return the fault of the kind itself, as "attribute: found ..., expected ..."; empty if it has none."""
        return ""

    def join(self, plan: Any, store: Path, partials: Partials) -> set[str]:
        """Write the files that need the results of all tasks, and return their records; by default none.

        Parameters
        ----------
        plan : Plan
        store : Path
            The unfinished store.
        partials : callable
            Task -> the partial results in its receipt.
        """
        return set()

    @abstractmethod
    def sources(self, recipe: Any) -> tuple[str, ...]:
        """Return the variables of a store from which items can be described again; empty if there are none."""

    def descriptor_fields(self) -> dict[str, FieldInfo]:
        """Return the fields of `descriptors` in its recipes, by name."""
        annotation = self.recipe.model_fields["descriptors"].annotation
        models = [part for part in (annotation, *get_args(annotation)) if isinstance(part, type)]
        return {name: field for m in models if issubclass(m, BaseModel) for name, field in m.model_fields.items()}

    def freeze(self, recipe: Any, bundle: Bundle) -> dict[str, Any]:
        """Return the numbers that fix the sizes of a virtual store of the recipe, as plain data.

        Raises
        ------
        RecipeError
            If the recipe describes what a virtual store cannot hold.
        InputError
            If the kind has no virtual stores.
        """
        raise InputError(f"kind {self.name!r}: has no virtual stores")

    def virtual_plan(self, recipe: Any, bundle: Bundle, frozen: Frozen) -> VirtualPlan:
        """Plan a virtual store without drawing anything.

        Parameters
        ----------
        recipe : BaseRecipe
        bundle : Bundle
        frozen : Mapping
            The result of :meth:`freeze`.

        Raises
        ------
        RecipeError, InputError
            As :meth:`freeze`, or if `frozen` holds other numbers than those.
        """
        raise InputError(f"kind {self.name!r}: has no virtual stores")

    def make_virtual(self, job: Job, bundle: Bundle, task: Any) -> Made:
        """Make and write the files of a task of a virtual store; by default as :meth:`make` does.

        Raises
        ------
        ItemFailed
            If one of several items of the task cannot be made.
        InputError
            If an item exceeds the frozen sizes.
        """
        return self.make(job, bundle, task, {})

    @abstractmethod
    def export(self, store: Path, item: int, file_format: str, target: Path, **options: Any) -> Path:
        """Write an item of a store to a file; see :func:`nmcdist.products.stores.export_item`."""

    def opened(self, store: Path, recipe: Any) -> Records | Volumes | None:
        """Return what reads or draws the items of a store one by one, finished or virtual; None if nothing does.

        By default what reads the volumes of a finished store.

        Raises
        ------
        BundleError, StoreError
            If the store is damaged.
        """
        from nmcdist.datasets.store import holds, is_virtual

        return None if is_virtual(store) or not holds(store, VOLUME) else Volumes.of(store)

    def sections(self, store: Path, recipe: Any, count: int, pixels: int) -> Sections | None:
        """Return sections through the first items of a finished store, for its picture; None if it cannot be cut.

        By default the middle slices, normal to z, of its volumes.

        Parameters
        ----------
        store : Path
        recipe : BaseRecipe
        count : int
            Number of items, at most.
        pixels : int
            Width of a section in pixels, at most.
        """
        from nmcdist.datasets.store import holds, open_lazily

        if not holds(store, VOLUME):
            return None
        volumes = open_lazily(store, {})[VOLUME]
        phases = str(volumes.attrs.get("flag_meanings", "")).split()
        pixel_nm = float(volumes.attrs.get("voxel_size_nm") or recipe.volume.voxel_size_nm)
        cut = volumes[:count, volumes.shape[1] // 2, :pixels, :pixels]
        return Sections([section.values for section in cut], pixel_nm, phases=tuple(phases))

    def report(
        self, store: Path, recipe: Any, folder: Path, *, voxel_sizes_nm: tuple[float, ...] = (),
        progress: Callable[[str], None] = lambda line: None,
    ) -> Path:  # fmt: skip
        """Write figures, tables and a page of a finished store into a folder, and return the page.

        The default report contains all numbers of the items, their curves, and slices of their volumes. See
        :func:`nmcdist.products.stores.build_report`.

        Raises
        ------
        InputError
            If a resolution study is requested, and the kind has none.
        """
        from nmcdist.report.plain import report_plain

        if voxel_sizes_nm:
            raise InputError(f"{store}: is of kind {self.name}, which has no resolution study")
        return report_plain(store, folder)
