"""What a run will do: its tasks, the files each owns, and what it takes, checked before anything starts."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from nmcdist.bundle import Bundle
from nmcdist.datasets.files import existing_parent, readable_bytes
from nmcdist.datasets.layout import VOLUME, Box, Layout, Shape, Variable, boxes_of, files_in_box
from nmcdist.errors import PlanError, StoreError
from nmcdist.runs import cba
from nmcdist.runs.cluster import Deployment, Machine, Resources, resources_for, this_machine
from nmcdist.runs.memory import USABLE, task_need
from nmcdist.runs.published import fingerprint, store_layout, volume_of
from nmcdist.runs.recipe import Recipe

STORED_PER_VOXEL = 0.25  # bytes after compression, at most: 0.06 at voxels of 10 nm, 0.23 at 160 nm


@dataclass(frozen=True)
class Task:
    """One unit of work: a volume, or a block of one, made and written by one worker.

    Attributes
    ----------
    name : str
        Name of its receipt.
    sample : int
        Item it belongs to; also the index of the item's random streams.
    changes : Mapping of str to float
        Bundle parameters that the sweep sets.
    box : Box
        Voxels that it writes: whole shards.
    window : Box
        Voxels that it draws: the box with the halo that its descriptors look at.
    """

    name: str
    sample: int
    changes: Mapping[str, float]
    box: Box
    window: Box


@dataclass(frozen=True)
class Plan:
    """A run, worked out.

    Attributes
    ----------
    recipe : Recipe
    bundle_name, bundle_hash : str
    out : Path
        Folder in which the store, its journal and the catalog stand.
    layout : Layout
    tasks : tuple of Task
    block : tuple of int
        Voxels of what one task makes; the volume's shape where volumes are made whole.
    left_out : tuple of str
        Descriptors that volumes made in blocks do not get.
    resources : Resources
    machine : Machine
    task_bytes : int
        Memory that a task needs.
    """

    recipe: Recipe
    bundle_name: str
    bundle_hash: str
    out: Path
    layout: Layout
    tasks: tuple[Task, ...] = field(repr=False)
    block: Shape
    left_out: tuple[str, ...]
    resources: Resources
    machine: Machine
    task_bytes: int

    @property
    def by_blocks(self) -> bool:
        """Whether volumes are made in blocks."""
        return self.block != self.recipe.volume.shape

    @property
    def raw_bytes(self) -> int:
        """Bytes of all voxels."""
        return self.recipe.samples * prod(self.recipe.volume.shape)

    @property
    def stored_bytes(self) -> int:
        """Bytes that the store will take, estimated from above."""
        volumes = self.raw_bytes * STORED_PER_VOXEL if self.recipe.storage.volumes else 0
        numbers = sum(8 * prod(v.shape) + 50 * v.shape[0] for v in self.layout.descriptors)
        return int(volumes + numbers)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that decides what tasks write; a receipt with another one is void."""
        return fingerprint(self.recipe, self.bundle_hash, by_blocks=self.by_blocks)

    def files(self, task: Task) -> list[str]:
        """Return the files of the store that a task owns."""
        return owned_files(self.layout.variables, task, by_blocks=self.by_blocks)

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
            cut = " even block by block" if self.by_blocks else ""
            raise PlanError(
                f"memory: a task of {_x(self.block)} voxels needs {readable_bytes(self.task_bytes)}{cut}, a worker "
                f"has {readable_bytes(usable)} (of {readable_bytes(self.resources.memory)}); "
                "take fewer or larger workers, or smaller storage.shard"
            )
        together = self.resources.processes * self.resources.memory
        if self.resources.workers > 1 and together > self.machine.memory * 1.01:
            raise PlanError(
                f"memory: {self.resources.workers} workers of {readable_bytes(self.resources.memory)} need "
                f"{readable_bytes(together)}, this machine has {readable_bytes(self.machine.memory)}"
            )
        parent = existing_parent(self.out)
        if not parent.is_dir():
            raise StoreError(f"{self.out}: {parent} is not a folder")
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
        volume = self.layout.variable(VOLUME)
        own = len(self.files(self.tasks[0]))
        how = f"in blocks of {_x(self.block)} voxels" if self.by_blocks else "whole"
        levels = f"{len(recipe.levels)} values of {recipe.swept}" if recipe.swept else "no sweep"
        lines = {
            "recipe": f"{recipe.name} {recipe.version}: {recipe.title}",
            "bundle": f"{self.bundle_name} (sha256 {self.bundle_hash[:16]})",
            "items": f"{recipe.samples} = {levels} x {recipe.realisations} realisations",
            "volumes": f"{_x(recipe.volume.shape)} voxels of {recipe.volume.voxel_size_nm:g} nm, made {how}",
            "tasks": f"{len(self.tasks)}; files of the store that each owns: {own}",
            "volume files": "none (storage.volumes is false)" if volume is None
            else f"shards of {_x(volume.file_shape[1:])}, chunks of {_x(volume.chunks[1:])}",
            "voxel bytes": readable_bytes(self.raw_bytes),
            "store": f"at most about {readable_bytes(self.stored_bytes)} in {self.out}",
            "memory a task": f"{readable_bytes(self.task_bytes)}; a worker has {readable_bytes(resources.memory)}",
            "workers": "none, in this process" if resources.workers == 0
            else f"{resources.workers}; threads of each: {resources.threads}",
            "descriptors": ", ".join(v.name for v in self.layout.descriptors) or "none",
        }  # fmt: skip
        if self.left_out:
            lines["left out"] = f"{', '.join(self.left_out)} (they need a whole volume in memory)"
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def make_plan(
    recipe: Recipe,
    bundle: Bundle,
    out: Path,
    deployment: Deployment | None = None,
    *,
    block: Shape | None = None,
    machine: Machine | None = None,
    draws: bool = True,
) -> Plan:
    """Work out a run; nothing is written, and nothing is refused before :meth:`Plan.validate`.

    Parameters
    ----------
    recipe : Recipe
    bundle : Bundle
    out : Path
        Folder of the store.
    deployment : Deployment, optional
        Default: what suits this machine.
    block : tuple of int, optional
        What one task makes, as an earlier run of the recipe had it; used if it fits.
    machine : Machine, optional
        Default: this one.
    draws : bool
        Whether volumes are drawn, or read from a store that is there.

    Raises
    ------
    BundleError, InputError
        If the sweep or an option of the descriptors is impossible for this bundle.
    """
    machine = machine or this_machine()
    shape, voxel_size_nm, options = recipe.volume.shape, recipe.volume.voxel_size_nm, recipe.descriptors
    volume = volume_of(recipe)
    halo = cba.halo(shape, voxel_size_nm, options)

    def need(block: Shape, threads: int) -> int:
        window = tuple(min(b + 2 * halo, n) for b, n in zip(block, shape, strict=True))
        cut = block != shape
        return task_need(block, window if cut else block, options, threads, by_blocks=cut, draws=draws)

    resources = resources_for(
        deployment or Deployment(), machine, recipe.samples, lambda threads: need(shape, threads) / USABLE
    )
    usable = USABLE * resources.memory
    if block is None or need(block, resources.threads) > usable:
        block = _fitting_block(shape, volume, lambda b: need(b, resources.threads) <= usable)
    by_blocks = block != shape
    layout = store_layout(recipe, bundle, by_blocks=by_blocks)
    return Plan(
        recipe=recipe,
        bundle_name=bundle.name,
        bundle_hash=bundle.content_hash,
        out=out,
        layout=layout,
        tasks=_tasks(recipe, cba.parameter_changes(recipe, bundle), block, halo),
        block=block,
        left_out=cba.left_out_by_blocks(shape, voxel_size_nm, options) if by_blocks else (),
        resources=resources,
        machine=machine,
        task_bytes=need(block, resources.threads),
    )


def owned_files(variables: tuple[Variable, ...], task: Task, *, by_blocks: bool) -> list[str]:
    """Return the files of the store that a task owns: whole shards, and its item's descriptors."""
    files: list[str] = []
    for variable in variables:
        if variable.name == VOLUME:
            files += files_in_box(variable, task.sample, task.box)
        elif not by_blocks:
            files += variable.files(task.sample)
    return files


def _fitting_block(shape: Shape, volume: Variable, fits: Callable[[Shape], bool]) -> Shape:
    """Halve the volume along its longest axis, by whole shards, until it fits or is one shard."""
    block = shape
    shard = volume.file_shape[1:]
    while not fits(block):
        counts = [-(-b // s) for b, s in zip(block, shard, strict=True)]
        if max(counts) == 1:
            break
        axis = counts.index(max(counts))
        cut = list(block)
        cut[axis] = -(-counts[axis] // 2) * shard[axis]
        block = (cut[0], cut[1], cut[2])
    return block


def _tasks(recipe: Recipe, changes: list[dict[str, float]], block: Shape, halo: int) -> tuple[Task, ...]:
    shape = recipe.volume.shape
    boxes = boxes_of(shape, block)
    windows = [_widened(box, halo, shape) for box in boxes]
    return tuple(
        Task(
            name=f"item-{sample:06d}" + (f"-block-{number:04d}" if len(boxes) > 1 else ""),
            sample=sample,
            changes=changes[sample // recipe.realisations],
            box=box,
            window=windows[number],
        )
        for sample in range(recipe.samples)
        for number, box in enumerate(boxes)
    )


def _widened(box: Box, halo: int, shape: Shape) -> Box:
    (z, y, x) = ((max(a - halo, 0), min(b + halo, n)) for (a, b), n in zip(box, shape, strict=True))
    return z, y, x


def _x(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
