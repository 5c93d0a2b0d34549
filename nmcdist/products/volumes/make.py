"""Runs that make label volumes of the additive phase: a task makes a volume, or a block of one."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine, resources_for
from nmcdist.datasets.files import FileRecord, readable_bytes
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import read_manifest
from nmcdist.datasets.layout import VOLUME, Box, Shape, Variable, boxes_of, files_in_box
from nmcdist.datasets.store import read_block, remove_files, write_block, write_descriptors
from nmcdist.errors import RecipeError, StoreError
from nmcdist.products.attributes import fingerprint, store_layout, volume_of
from nmcdist.products.memory import USABLE, task_need
from nmcdist.products.plan import Job, Made, Plan, Task, Tasks, timed
from nmcdist.products.recipe import MOST_ITEMS, Recipe
from nmcdist.products.volumes import cba
from nmcdist.runs.journal import Journal, packed, unpacked

MOST_LAGS = 1000  # voxels: the lattice vectors, of which there are as many as the cube of it, are gone through
STORED_PER_VOXEL = 0.25  # bytes after compression, at most: 0.06 at voxels of 10 nm, 0.23 at 160 nm


@dataclass(frozen=True, kw_only=True)
class VolumeTask(Task):
    """A volume, or a block of one.

    Attributes
    ----------
    changes : Mapping of str to float
        Bundle parameters that the sweep sets.
    box : Box
        Voxels that it writes: whole shards.
    window : Box
        Voxels that it draws: the box with the halo that its descriptors look at.
    is_block : bool
        Whether it is only a part of its volume.
    """

    changes: Mapping[str, float]
    box: Box
    window: Box
    is_block: bool


@dataclass(frozen=True, kw_only=True)
class VolumePlan(Plan):
    """A run that makes volumes.

    Attributes
    ----------
    block : tuple of int
        Voxels of what one task makes; the volume's shape where volumes are made whole.
    left_out : tuple of str
        Descriptors that volumes made in blocks do not get.
    drawn_bytes : int
        Memory that the germs and the noise of a task need.
    """

    recipe: Recipe
    tasks: Sequence[VolumeTask] = dataclasses.field(repr=False)
    block: Shape
    left_out: tuple[str, ...]
    drawn_bytes: int

    @property
    def by_blocks(self) -> bool:
        """Whether volumes are made in blocks."""
        return self.block != self.recipe.volume.shape

    @property
    def settings(self) -> dict[str, Any]:
        """The block, so that a run that is resumed elsewhere is cut in the same way."""
        return {"block": list(self.block)}

    @property
    def has_partials(self) -> bool:
        """Whether receipts hold what blocks add to the descriptors of their volume."""
        return self.by_blocks and self.recipe.descriptors is not None

    @property
    def task_text(self) -> str:
        """Voxels of a task."""
        return f"{_x(self.block)} voxels"

    @property
    def cut_text(self) -> str:
        """That volumes are made in blocks."""
        return " even block by block" if self.by_blocks else ""

    @property
    def smaller_text(self) -> str:
        """The setting that bounds a block from below, or what makes any block large."""
        if self.drawn_bytes > self.task_bytes / 2:
            return (
                f"other parameters: germs and noise alone need {readable_bytes(self.drawn_bytes)} "
                "(are lengths in nm and intensities in nm^-3?)"
            )
        return "smaller storage.shard"

    def facts(self) -> dict[str, str]:
        """Return what is to be told of volumes, by heading."""
        recipe, volume = self.recipe, self.layout.variable(VOLUME)
        how = f"in blocks of {_x(self.block)} voxels" if self.by_blocks else "whole"
        levels = f"{len(recipe.levels)} values of {recipe.swept}" if recipe.swept else "no sweep"
        facts = {
            "items": f"{recipe.samples} = {levels} x {recipe.realisations} realisations",
            "volumes": f"{_x(recipe.volume.shape)} voxels of {recipe.volume.voxel_size_nm:g} nm, made {how}",
            "volume files": "none (storage.volumes is false)"
            if volume is None
            else f"shards of {_x(volume.file_shape[1:])}, chunks of {_x(volume.chunks[1:])}",
            "voxel bytes": readable_bytes(recipe.samples * prod(recipe.volume.shape)),
            "descriptors": ", ".join(v.name for v in self.layout.descriptors) or "none",
        }
        if self.left_out:
            facts["left out"] = f"{', '.join(self.left_out)} (they need a whole volume in memory)"
        return facts


def plan_volumes(
    recipe: Recipe, bundle: Bundle, out: Path, deployment: Deployment, machine: Machine, *,
    settings: Mapping[str, Any], draws: bool,
) -> VolumePlan:  # fmt: skip
    """Work out a run that makes volumes: whole where they fit in a worker's memory, else in blocks.

    Parameters
    ----------
    recipe : Recipe
    bundle : Bundle
    out : Path
    deployment : Deployment
    machine : Machine
    settings : Mapping
        What the journal of an earlier run of the recipe recorded; its block is used again if it fits.
    draws : bool
        Whether volumes are drawn, or read from a store that is there.

    Raises
    ------
    BundleError, InputError, RecipeError
        If the recipe asks for what the bundle cannot give, or for more than can be counted.
    """
    shape, voxel_size_nm, options = recipe.volume.shape, recipe.volume.voxel_size_nm, recipe.descriptors
    _check_lags(recipe)
    levels = cba.level_parameters(recipe, bundle)
    volume = volume_of(recipe)
    halo = cba.halo(shape, voxel_size_nm, options)

    def drawn(block: Shape, threads: int) -> float:
        return cba.draw_bytes(levels, _window_of(block, halo, shape), voxel_size_nm, threads) if draws else 0.0

    def need(block: Shape, threads: int) -> int:
        window = _window_of(block, halo, shape)
        return task_need(block, window, options, by_blocks=block != shape, drawn=drawn(block, threads))

    resources = resources_for(deployment, machine, recipe.samples, lambda threads: need(shape, threads) / USABLE)
    usable = USABLE * resources.memory
    block = _recorded_block(settings)
    if block is None or need(block, resources.threads) > usable:
        block = _fitting_block(shape, volume, lambda b: need(b, resources.threads) <= usable)
    _check_tasks(recipe, block)
    by_blocks = block != shape
    layout = store_layout(recipe, bundle, by_blocks=by_blocks)
    return VolumePlan(
        recipe=recipe,
        bundle_name=bundle.name,
        bundle_hash=bundle.content_hash,
        out=out,
        layout=layout,
        tasks=_tasks(recipe, cba.parameter_changes(recipe, bundle), block, halo, layout.variables),
        block=block,
        left_out=cba.left_out_by_blocks(shape, voxel_size_nm, options) if by_blocks else (),
        resources=resources,
        machine=machine,
        on_this_machine=deployment.kind == "local",
        task_bytes=need(block, resources.threads),
        drawn_bytes=int(drawn(block, resources.threads)),
        stored_bytes=_stored_bytes(recipe, layout.descriptors),
        fingerprint=fingerprint(recipe, bundle.content_hash, by_blocks=by_blocks),
    )


def make(job: Job, bundle: Bundle | None, task: VolumeTask, seconds: dict[str, float]) -> Made:
    """Make and write what a task owns.

    Parameters
    ----------
    job : Job
    bundle : Bundle or None
        None where volumes are taken from a store.
    task : VolumeTask
    seconds : dict
        Gets the wall time of drawing, writing and describing.
    """
    assert isinstance(job.recipe, Recipe)
    files: dict[str, FileRecord] = {}
    if job.source is not None:
        with timed(seconds, "read"):
            files |= _taken_files(job, job.source, task)
    window = _window(job, bundle, task, seconds)
    core = tuple(slice(a - w, b - w) for (a, b), (w, _) in zip(task.box, task.window, strict=True))
    volume = next((v for v in job.variables if v.name == VOLUME), None)
    if volume is not None and job.source is None:
        with timed(seconds, "write"):
            files |= write_block(job.store, volume, task.sample, task.box, window[core])
    if job.recipe.descriptors is None:
        return Made(files)
    with timed(seconds, "describe"):
        described = _describe(job, job.recipe, task, window, core)
        return Made(files | described.files, described.partials)


def join(plan: VolumePlan, wip: Path, journal: Journal) -> set[str]:
    """Write the descriptors of volumes that were made in blocks, from what each block adds; return the files."""
    recipe, descriptors = plan.recipe, plan.layout.descriptors
    if not plan.by_blocks or recipe.descriptors is None:
        return set()
    sums: dict[int, dict[str, np.ndarray]] = {}
    for task in plan.tasks:
        partials = unpacked(journal.required_receipt(task.name).partials or {})
        before = sums.setdefault(task.sample, {name: np.zeros_like(a) for name, a in partials.items()})
        sums[task.sample] = {name: before[name] + array for name, array in partials.items()}
    files: set[str] = set()
    for sample, partials in sums.items():
        own = [name for variable in descriptors for name in variable.files(sample)]
        values = cba.describe_from_blocks(
            partials, recipe.volume.shape, recipe.volume.voxel_size_nm, recipe.descriptors
        )
        remove_files(wip, own)
        write_descriptors(wip, descriptors, sample, values)
        files |= set(own)
    return files


def _window(job: Job, bundle: Bundle | None, task: VolumeTask, seconds: dict[str, float]) -> np.ndarray:
    """Return the voxels of a task's window, drawn, or read from the store that they are taken from."""
    assert isinstance(job.recipe, Recipe)
    (z, y, x) = task.window
    if job.source is not None:
        with timed(seconds, "read"):
            return read_block(job.source, task.sample, task.window)
    assert bundle is not None  # every job without a source holds it
    with timed(seconds, "draw"):
        shape, origin = (z[1] - z[0], y[1] - y[0], x[1] - x[0]), (z[0], y[0], x[0])
        voxel_size_nm = job.recipe.volume.voxel_size_nm
        return cba.draw(bundle, task.changes, shape, voxel_size_nm, job.recipe.seed, task.sample, origin)


def _taken_files(job: Job, source: Path, task: VolumeTask) -> dict[str, FileRecord]:
    """Give the files of a task a second name in the new store, and return their records."""
    manifest, taken = read_manifest(source), dict[str, FileRecord]()
    for name in (n for n in task.files if n.startswith(f"{VOLUME}/")):
        if name not in manifest or not Folder(source).matches(name, manifest[name]):
            raise StoreError(f"{source}: {name}: damaged; run `nmcdist verify`, then heal it with --resume")
        Folder.of(job.store).link(Folder(source), name)
        taken[name] = manifest[name]
    return taken


def _describe(job: Job, recipe: Recipe, task: VolumeTask, window: np.ndarray, core: tuple[slice, ...]) -> Made:
    assert recipe.descriptors is not None
    if task.is_block:
        volume = recipe.volume
        return Made(
            {}, packed(cba.describe_block(window, core, volume.shape, volume.voxel_size_nm, recipe.descriptors))
        )
    values = cba.describe(window, recipe.volume.voxel_size_nm, recipe.descriptors)
    return Made(write_descriptors(job.store, [v for v in job.variables if v.name != VOLUME], task.sample, values))


def _check_lags(recipe: Recipe) -> None:
    """Refuse two-point functions of more lags than can be counted."""
    if recipe.descriptors is None:
        return
    voxel = recipe.volume.voxel_size_nm
    lags = min(recipe.descriptors.max_lag_nm, min(recipe.volume.shape) * voxel / 2) / voxel
    if lags > MOST_LAGS:
        raise RecipeError(
            f"descriptors.max_lag_nm: found {recipe.descriptors.max_lag_nm:g} nm, which is {lags:.0f} voxels of "
            f"{voxel:g} nm, expected at most {MOST_LAGS} voxels"
        )


def _check_tasks(recipe: Recipe, block: Shape) -> None:
    tasks = recipe.samples * prod(-(-n // b) for n, b in zip(recipe.volume.shape, block, strict=True))
    if tasks > MOST_ITEMS:
        raise RecipeError(
            f"volume.shape: found {_x(recipe.volume.shape)} voxels, which is {tasks:.3g} tasks of {_x(block)} voxels "
            f"in all, expected at most {MOST_ITEMS:.0e} tasks"
        )


def _window_of(block: Shape, halo: int, shape: Shape) -> Shape:
    """Return the voxels that a block's task draws: a whole volume has no halo."""
    (z, y, x) = (min(b + 2 * halo, n) for b, n in zip(block, shape, strict=True))
    return (z, y, x) if block != shape else block


def _recorded_block(settings: Mapping[str, Any]) -> Shape | None:
    """Return what a task made in the run before, so that its receipts count on another cluster too."""
    block = settings.get("block")
    if isinstance(block, list) and len(block) == 3 and all(isinstance(n, int) for n in block):
        return block[0], block[1], block[2]
    return None


def _stored_bytes(recipe: Recipe, descriptors: Sequence[Variable]) -> int:
    volumes = recipe.samples * prod(recipe.volume.shape) * STORED_PER_VOXEL if recipe.storage.volumes else 0
    return int(volumes + sum(8 * prod(v.shape) + 50 * v.shape[0] for v in descriptors))


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


def _tasks(
    recipe: Recipe, changes: list[dict[str, float]], block: Shape, halo: int, variables: tuple[Variable, ...]
) -> Tasks[VolumeTask]:
    shape = recipe.volume.shape
    boxes = boxes_of(shape, block)
    windows = [_widened(box, halo, shape) for box in boxes]

    def task(place: int) -> VolumeTask:
        sample, number = divmod(place, len(boxes))
        return VolumeTask(
            name=f"item-{sample:06d}" + (f"-block-{number:04d}" if len(boxes) > 1 else ""),
            sample=sample,
            files=tuple(_owned_files(variables, sample, boxes[number], is_block=len(boxes) > 1)),
            changes=changes[sample // recipe.realisations],
            box=boxes[number],
            window=windows[number],
            is_block=len(boxes) > 1,
        )

    return Tasks(recipe.samples * len(boxes), task)


def _owned_files(variables: tuple[Variable, ...], sample: int, box: Box, *, is_block: bool) -> list[str]:
    """Return the files of the store that a task owns: whole shards, and its item's descriptors."""
    files: list[str] = []
    for variable in variables:
        if variable.name == VOLUME:
            files += files_in_box(variable, sample, box)
        elif not is_block:
            files += variable.files(sample)
    return files


def _widened(box: Box, halo: int, shape: Shape) -> Box:
    (z, y, x) = ((max(a - halo, 0), min(b + halo, n)) for (a, b), n in zip(box, shape, strict=True))
    return z, y, x


def _x(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
