"""The parts of every run: its tasks, the plan that holds them, and the job that workers load."""

import contextlib
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from nmcdist.clusters.resources import Machine, Resources
from nmcdist.datasets.files import FileRecord, existing_parent, readable_bytes
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.layout import Box, Layout, Variable
from nmcdist.errors import PlanError, StoreError
from nmcdist.html_text import bars, card
from nmcdist.inputs import existing_folder
from nmcdist.products.memory import USABLE
from nmcdist.products.recipe import BaseRecipe


@dataclass(frozen=True, kw_only=True)
class Task:
    """One unit of work, done by one worker.

    Attributes
    ----------
    name : str
        Name of its receipt.
    sample : int
        The item that it makes, or the first one of several; also the index of the item's random streams.
    files : tuple of str
        Files of the store that it owns.
    box : Box, optional
        Voxels of the item's volume that it writes, if it makes a volume or a block.
    """

    name: str
    sample: int
    files: tuple[str, ...] = field(repr=False)
    box: Box | None = None


T = TypeVar("T")


class Tasks(Sequence[T]):
    """The tasks of a plan, computed on demand, so that a million tasks use no memory.

    Parameters
    ----------
    count : int
    make : callable
        Number of a task -> the task.
    """

    def __init__(self, count: int, make: Callable[[int], T]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self._make(k) for k in range(*number.indices(self._count))]
        if not -self._count <= number < self._count:
            raise IndexError(number)
        return self._make(number % self._count)


@dataclass(frozen=True)
class Made:
    """The result of a task.

    Attributes
    ----------
    files : dict of str to FileRecord
        Written files, by path in the store.
    partials : dict of str to ndarray, or None
        The contribution of a block to the descriptors of its volume.
    """

    files: dict[str, FileRecord]
    partials: dict[str, np.ndarray] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan(ABC):
    """A planned run; each kind of dataset adds its own fields.

    Attributes
    ----------
    recipe : BaseRecipe
    bundle_name, bundle_hash : str
    out : Path
        Folder of the store, its journal and the catalog.
    layout : Layout
    tasks : sequence of Task
    resources : Resources
    machine : Machine
    task_bytes : int
        Memory that a task needs.
    stored_bytes : int
        Upper estimate of the bytes of the store.
    fingerprint : str
        SHA-256 (hex) of everything that determines the files of tasks; receipts with another fingerprint are void.
    on_this_machine : bool
        Whether the workers share the memory of this machine.
    """

    recipe: BaseRecipe
    bundle_name: str
    bundle_hash: str
    out: Path
    layout: Layout = field(repr=False)
    tasks: Sequence[Task] = field(repr=False)
    resources: Resources
    machine: Machine
    task_bytes: int
    stored_bytes: int
    fingerprint: str
    on_this_machine: bool

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that the journal records besides the recipe."""
        return {}

    @property
    def has_partials(self) -> bool:
        """Whether receipts hold partial results for the end of the run."""
        return False

    @property
    def is_exact(self) -> bool:
        """Whether the layout is final, not an estimate."""
        return True

    def readied(self, tasks: Sequence[Task], history: "History") -> Iterable[Task | None]:
        """Yield the tasks as they can start, and None while the next one waits for results; by default all can."""
        return tasks

    def share(self, number: int) -> float:
        """Return a task's share of the run's work."""
        return 1 / len(self.tasks)

    @property
    @abstractmethod
    def task_text(self) -> str:
        """The result of one task, in words."""

    @property
    def cut_text(self) -> str:
        """A note that tasks cannot be smaller, in words, if they were cut to fit."""
        return ""

    @property
    @abstractmethod
    def smaller_text(self) -> str:
        """The settings that make tasks smaller, in words."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Return the summary's lines about this kind of dataset, by heading."""

    def validate(self, *, present_bytes: int = 0) -> None:
        """Refuse a run that cannot succeed.

        Parameters
        ----------
        present_bytes : int
            Bytes that an interrupted run has already written.

        Raises
        ------
        PlanError
            If a task does not fit in a worker, the workers do not fit in the machine, or the disk is too full.
        StoreError
            If the folder cannot be written.
        """
        usable = int(USABLE * self.resources.memory)
        if self.task_bytes > usable:
            raise PlanError(
                f"memory: a task of {self.task_text} needs {readable_bytes(self.task_bytes)}{self.cut_text}, a worker "
                f"has {readable_bytes(usable)} (of {readable_bytes(self.resources.memory)}); "
                f"use fewer or larger workers, or {self.smaller_text}"
            )
        together = self.resources.processes * self.resources.memory
        if self.on_this_machine and self.resources.workers > 1 and together > self.machine.memory * 1.01:
            raise PlanError(
                f"memory: {self.resources.workers} workers of {readable_bytes(self.resources.memory)} need "
                f"{readable_bytes(together)}, this machine has {readable_bytes(self.machine.memory)}"
            )
        parent = existing_parent(self.out)
        existing_folder(parent, StoreError)
        if not os.access(parent, os.W_OK | os.X_OK):
            raise StoreError(f"{self.out}: cannot be written (no permission, or read-only)")
        needed, free = self.stored_bytes - present_bytes, shutil.disk_usage(parent).free
        if needed > free:
            raise PlanError(
                f"disk: {self.out}: the store needs about {readable_bytes(needed)}, {readable_bytes(free)} are free"
            )

    def summary(self) -> str:
        """Return the plan as text."""
        lines = self._lines()
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())

    def _lines(self) -> dict[str, str]:
        recipe, resources = self.recipe, self.resources
        return {
            "recipe": f"{recipe.name} {recipe.version}: {recipe.title}",
            "bundle": f"{self.bundle_name} (sha256 {self.bundle_hash[:16]})",
            **self.facts(),
            "tasks": f"{len(self.tasks)}, each of which writes {len(self.tasks[0].files)} files",
            "store": f"at most about {readable_bytes(self.stored_bytes)} in {self.out}",
            "files": f"{self.layout.file_count:,}",
            "memory per task": f"{readable_bytes(self.task_bytes)}; a worker has {readable_bytes(resources.memory)}",
            "workers": "none, in this process"
            if resources.workers == 0
            else f"{resources.workers}; threads per worker: {resources.threads}",
        }

    def _repr_html_(self) -> str:
        """Return the plan and bars of the memory and the disk that it needs, for notebooks."""
        usable = int(USABLE * self.resources.memory)
        shares = {f"memory: {readable_bytes(self.task_bytes)} of {readable_bytes(usable)}": self.task_bytes / usable}
        with contextlib.suppress(OSError, StoreError):  # a folder that cannot be reached yet
            free = shutil.disk_usage(existing_parent(self.out)).free
            needed = f"{readable_bytes(self.stored_bytes)} of {readable_bytes(free)} free"
            shares[f"disk: {needed}"] = self.stored_bytes / max(free, 1)
        return card("Plan", self._lines().items(), bars(shares.items()))


class History(Protocol):
    """What a run remembers of its tasks, for those that depend on others."""

    def result(self, task: str, fingerprint: str) -> dict[str, np.ndarray] | None:
        """Return the partial results of a finished task; None if it has not ended well."""

    def has_failed(self, task: str) -> bool:
        """Return whether a task was given up."""

    def drop_receipt(self, task: str) -> None:
        """Forget how a task ended."""

    def proposal(self, name: str) -> dict[str, Any] | None:
        """Return what was recorded under a name; None if there is nothing, or it is damaged."""

    def keep_proposal(self, name: str, content: dict[str, Any]) -> None:
        """Record plain data under a name."""


@dataclass(frozen=True)
class Job:
    """The data that all tasks of a run share; every worker loads it once.

    Attributes
    ----------
    store : Path or Folder
        The unfinished store, with the epoch during which the job may change it.
    journal : Path
        The folder of the journal.
    bundle_folder : Path or None
        Folder from which workers load the bundle; None if no item is drawn.
    bundle_hash, fingerprint : str
    source : Path or None
        A finished store from which items are read instead of drawn.
    recipe : BaseRecipe
    variables : tuple of Variable
    threads : int
        Kernel threads per task.
    retries : int
        Number of immediate retries of a failed task.
    """

    store: Path | Folder
    journal: Path
    bundle_folder: Path | None
    bundle_hash: str
    fingerprint: str
    source: Path | None
    recipe: BaseRecipe
    variables: tuple[Variable, ...]
    threads: int
    retries: int = 0

    @property
    def key(self) -> str:
        """Name of the job on a worker; the same run in another folder or turn is another job."""
        epoch = Folder.of(self.store).epoch
        return self.fingerprint if epoch is None else f"{self.fingerprint}-{epoch.value}"


def metadata_bytes(layout: Layout) -> int:
    """Return an upper bound on the bytes of a store's metadata and manifest."""
    return 4096 * len(layout.nodes) + 256 * layout.file_count


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall time of a block to the entry of a name."""
    start = time.perf_counter()
    yield
    seconds[name] = round(seconds.get(name, 0.0) + time.perf_counter() - start, 3)


class ItemFailed(Exception):  # noqa: N818  (it carries an error, and is none itself)
    """The error of one item of a task."""

    def __init__(self, item: int, error: Exception) -> None:
        super().__init__(item, error)
        self.item, self.error = item, error
