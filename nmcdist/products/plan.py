"""What a run consists of, whatever it makes: tasks, the plan that holds them, and the job that workers get."""

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nmcdist.clusters.resources import Machine, Resources
from nmcdist.datasets.files import FileRecord, existing_parent, readable_bytes
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.layout import Box, Layout, Variable
from nmcdist.errors import PlanError, StoreError
from nmcdist.inputs import existing_folder
from nmcdist.products.memory import USABLE
from nmcdist.products.recipe import BaseRecipe


@dataclass(frozen=True, kw_only=True)
class Task:
    """One unit of work, made and written by one worker.

    Attributes
    ----------
    name : str
        Name of its receipt.
    sample : int
        The item it makes, or the first of them; also the index of the item's random streams.
    files : tuple of str
        The files of the store that it owns.
    box : Box, optional
        Voxels of the item's volume that it writes, where it makes one volume or a block of one.
    """

    name: str
    sample: int
    files: tuple[str, ...] = field(repr=False)
    box: Box | None = None


T = TypeVar("T")


class Tasks(Sequence[T]):
    """The tasks of a plan, each worked out when it is asked for: a million take no memory.

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
    """What making a task left behind.

    Attributes
    ----------
    files : dict of str to FileRecord
        What was handed to the disk, by path in the store.
    partials : dict of str to ndarray, or None
        What a block adds to the descriptors of its volume.
    """

    files: dict[str, FileRecord]
    partials: dict[str, np.ndarray] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan(ABC):
    """A run, worked out; each kind of dataset adds to it what it needs.

    Attributes
    ----------
    recipe : BaseRecipe
    bundle_name, bundle_hash : str
    out : Path
        Folder in which the store, its journal and the catalog stand.
    layout : Layout
    tasks : sequence of Task
    resources : Resources
    machine : Machine
    task_bytes : int
        Memory that a task needs.
    stored_bytes : int
        Bytes that the store will take, estimated from above.
    fingerprint : str
        SHA-256 (hex) of all that decides what tasks write; a receipt with another one is void.
    on_this_machine : bool
        Whether the workers share the memory of this machine.
    """

    recipe: BaseRecipe
    bundle_name: str
    bundle_hash: str
    out: Path
    layout: Layout
    tasks: Sequence[Task] = field(repr=False)
    resources: Resources
    machine: Machine
    task_bytes: int
    stored_bytes: int
    fingerprint: str
    on_this_machine: bool

    @property
    def settings(self) -> dict[str, Any]:
        """What the journal records of this run besides its recipe."""
        return {}

    @property
    def has_partials(self) -> bool:
        """Whether receipts hold what the end of the run needs besides files."""
        return False

    @property
    def is_exact(self) -> bool:
        """Whether the layout is that of the store, not an estimate."""
        return True

    def share(self, number: int) -> float:
        """Return what part of the whole run's work a task is."""
        return 1 / len(self.tasks)

    @property
    @abstractmethod
    def task_text(self) -> str:
        """What one task makes, in words."""

    @property
    def cut_text(self) -> str:
        """That tasks are as small as they get, in words, where they were made smaller to fit."""
        return ""

    @property
    @abstractmethod
    def smaller_text(self) -> str:
        """What to change so that a task takes less memory, in words."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Return what is to be told of this kind of dataset, by heading."""

    def validate(self, *, present_bytes: int = 0) -> None:
        """Refuse a run that cannot end well.

        Parameters
        ----------
        present_bytes : int
            What an interrupted run has already written.

        Raises
        ------
        PlanError
            If a task fits no worker, the workers do not fit in the machine, or the disk is too full.
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
        """Return what would run, as text."""
        recipe, resources = self.recipe, self.resources
        lines = {
            "recipe": f"{recipe.name} {recipe.version}: {recipe.title}",
            "bundle": f"{self.bundle_name} (sha256 {self.bundle_hash[:16]})",
            **self.facts(),
            "tasks": f"{len(self.tasks)}; files of the store that each owns: {len(self.tasks[0].files)}",
            "store": f"at most about {readable_bytes(self.stored_bytes)} in {self.out}",
            "files": f"{self.layout.file_count:,}",
            "memory per task": f"{readable_bytes(self.task_bytes)}; a worker has {readable_bytes(resources.memory)}",
            "workers": "none, in this process"
            if resources.workers == 0
            else f"{resources.workers}; threads per worker: {resources.threads}",
        }
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


@dataclass(frozen=True)
class Job:
    """What all tasks of a run share; every worker gets it once.

    Attributes
    ----------
    store : Path or Folder
        The unfinished store, with the epoch in which the job may change it.
    journal : Path
        The folder of the journal.
    bundle_folder : Path or None
        Where workers load the bundle from; None where nothing is drawn.
    bundle_hash, fingerprint : str
    source : Path or None
        A finished store whose items are taken instead of drawn.
    recipe : BaseRecipe
    variables : tuple of Variable
    threads : int
        Threads of the kernels of one task.
    retries : int
        How often a task that failed is tried again on the spot.
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
        """Name of the job among others on a worker: the same run in another folder or turn is another job."""
        epoch = Folder.of(self.store).epoch
        return self.fingerprint if epoch is None else f"{self.fingerprint}-{epoch.value}"


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall time of a block to what is there under a name."""
    start = time.perf_counter()
    yield
    seconds[name] = round(seconds.get(name, 0.0) + time.perf_counter() - start, 3)


class ItemFailed(Exception):  # noqa: N818  (it carries an error, and is none itself)
    """Says which of the items of a task an error is of."""

    def __init__(self, item: int, error: Exception) -> None:
        super().__init__(item, error)
        self.item, self.error = item, error
