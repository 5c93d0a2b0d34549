"""Plans of runs that make volumes: whole if they fit into a worker's memory, else in blocks of whole shards."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from nmcdist.bundle import Bundle
from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.sizing import resources_for
from nmcdist.datasets.files import readable_bytes
from nmcdist.datasets.layout import VOLUME, Box, Shape, Variable, boxes_of, files_in_box
from nmcdist.errors import RecipeError
from nmcdist.products.attributes import fingerprint
from nmcdist.products.kind import Site
from nmcdist.products.memory import USABLE
from nmcdist.products.plan import Plan, Task, Tasks, metadata_bytes
from nmcdist.products.recipe import MOST_ITEMS
from nmcdist.products.volumes.layout import store_layout, volume_of
from nmcdist.products.volumes.memory import task_need
from nmcdist.products.volumes.model import VolumeModel
from nmcdist.products.volumes.recipe import VolumeRecipe

STORED_PER_VOXEL = 0.25  # bytes after compression, at most: 0.06 at voxels of 10 nm, 0.23 at 160 nm


@dataclass(frozen=True, kw_only=True)
class VolumeTask(Task):
    """A volume, or a block of a volume.

    Attributes
    ----------
    changes : Mapping of str to float
        Bundle parameters that the sweep or the design sets.
    stream : int
        Index of the random streams.
    fidelity : int
        Number of the size of the volume, 0 for that of the recipe.
    point : Mapping of str to float
        What is recorded with the item of the point that was chosen for it.
    box : Box
        Voxels that it writes: whole shards.
    window : Box
        Voxels that it draws: the box with the halo that its descriptors need.
    is_block : bool
        Whether it is only a part of its volume.
    """

    changes: Mapping[str, float]
    stream: int
    fidelity: int
    box: Box
    window: Box
    is_block: bool
    point: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VolumePlan(Plan):
    """A run that makes volumes.

    Attributes
    ----------
    block : tuple of int
        Voxels per task; the volume's shape if volumes are made whole.
    left_out : tuple of str
        Descriptors that volumes made in blocks lack.
    drawn_bytes : int
        Memory that drawing needs besides the voxels of a task.
    """

    recipe: VolumeRecipe
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
        """The block, so that a run resumed elsewhere is cut in the same way."""
        return {"block": list(self.block)}

    @property
    def has_partials(self) -> bool:
        """Whether receipts hold the contributions of blocks to the descriptors of their volume."""
        return self.by_blocks and self.recipe.descriptors is not None

    @property
    def task_text(self) -> str:
        """Voxels of a task."""
        return f"{_x(self.block)} voxels"

    @property
    def cut_text(self) -> str:
        """A note that volumes are made in blocks."""
        return " even block by block" if self.by_blocks else ""

    @property
    def smaller_text(self) -> str:
        """The setting that determines the smallest block, or that makes every block large."""
        if self.drawn_bytes > self.task_bytes / 2:
            return (
                f"other parameters: germs and noise alone need {readable_bytes(self.drawn_bytes)} "
                "(are lengths in nm and intensities in nm^-3?)"
            )
        if self.recipe.whole_only:
            return "a smaller volume.shape, or neither fidelities nor interventions, which need whole volumes"
        return "smaller storage.chunk" if self.recipe.storage.shard is None else "smaller storage.shard"

    def facts(self) -> dict[str, str]:
        """Return the summary's lines about volumes, by heading."""
        recipe, volume = self.recipe, self.layout.variable(VOLUME)
        how = f"in blocks of {_x(self.block)} voxels" if self.by_blocks else "whole"
        what = "points of" if recipe.design else "values of"
        points = f"{recipe.points} {what} {', '.join(recipe.varied)}" if recipe.varied else "no sweep"
        points = f"{recipe.points} {recipe.point_name}s" if recipe.points > 1 and not recipe.varied else points
        again = "".join(f", and {sum(recipe.items()[:, 2] == number)} with voxels of {fidelity.voxel_size_nm:g} nm"
                        for number, fidelity in enumerate(recipe.fidelities, 1))  # fmt: skip
        facts = {
            "items": f"{recipe.samples} = {points} x {recipe.realisations} realisations{again}",
            "volumes": f"{_x(recipe.volume.shape)} voxels of {recipe.volume.voxel_size_nm:g} nm, made {how}",
            "volume files": "none (storage.volumes is false)"
            if volume is None
            else f"shards of {_x(volume.file_shape[1:])}, chunks of {_x(volume.chunks[1:])}"
            if volume.shards
            else f"chunks of {_x(volume.chunks[1:])}",
            "voxel bytes": readable_bytes(recipe.samples * prod(recipe.volume.shape)),
            "descriptors": ", ".join(v.name for v in self.layout.descriptors) or "none",
        }
        if self.left_out:
            why = "they need a whole volume in memory" if self.by_blocks else "they depend on the voxel size"
            facts["left out"] = f"{', '.join(self.left_out)} ({why})"
        return facts


def plan_volumes(model: VolumeModel, recipe: VolumeRecipe, bundle: Bundle, site: Site) -> VolumePlan:
    """Plan a run that makes volumes of a kind; arguments and errors as in :meth:`nmcdist.products.kind.Kind.plan`.

    The block of an earlier run of the recipe is reused if it fits.
    """
    shape = recipe.volume.shape
    changes = model.changes(recipe, bundle)
    levels = [bundle.with_parameters(**change) for change in changes]
    volume, halo, further = volume_of(model, recipe), model.halo(recipe), len(recipe.specs) - 1

    def drawn(block: Shape, threads: int) -> float:
        window = _window_of(block, halo, shape)
        return max(model.draw_bytes(recipe, level, window, threads) for level in levels) if site.draws else 0.0

    def need(block: Shape, threads: int) -> int:
        described = model.describe_bytes(recipe, by_blocks=block != shape)
        least = task_need(block, _window_of(block, halo, shape), described=described, drawn=drawn(block, threads))
        return max([least, *(_need_again(model, recipe, n + 1, levels, threads) for n in range(further))])

    resources = resources_for(
        site.deployment, site.machine, recipe.samples, lambda threads: need(shape, threads) / USABLE
    )  # fmt: skip
    usable = USABLE * resources.memory
    block = _recorded_block(site.settings, recipe)
    if recipe.whole_only:
        block = shape
    elif block is None or need(block, resources.threads) > usable:
        block = _fitting_block(shape, volume, lambda b: not model.divisible or need(b, resources.threads) <= usable)
    _check_tasks(recipe, block)
    by_blocks = block != shape
    layout = store_layout(model, recipe, bundle, levels, by_blocks=by_blocks)
    return VolumePlan(
        recipe=recipe,
        bundle_name=bundle.name,
        bundle_hash=bundle.content_hash,
        out=site.out,
        layout=layout,
        tasks=_tasks(recipe, changes, block, halo, layout.variables),
        block=block,
        left_out=tuple(layout.attrs.get("descriptors_left_out", ())),
        resources=resources,
        machine=site.machine,
        on_this_machine=cluster_of(site.deployment).on_this_machine,
        task_bytes=need(block, resources.threads),
        drawn_bytes=int(drawn(block, resources.threads)),
        stored_bytes=_stored_bytes(recipe, layout.descriptors) + metadata_bytes(layout),
        fingerprint=fingerprint(recipe, bundle.content_hash, by_blocks=by_blocks),
    )


def _need_again(model: VolumeModel, recipe: VolumeRecipe, fidelity: int, levels: Sequence[Bundle], threads: int) -> int:
    """Return the bytes that a volume of a further voxel size needs."""
    seen = recipe.at_fidelity(fidelity)
    shape = seen.volume.shape
    drawn = max(model.draw_bytes(seen, level, shape, threads) for level in levels)
    return task_need(shape, shape, described=model.describe_bytes(seen, by_blocks=False), drawn=drawn)


def _check_tasks(recipe: VolumeRecipe, block: Shape) -> None:
    tasks = recipe.samples * prod(-(-n // b) for n, b in zip(recipe.volume.shape, block, strict=True))
    if tasks > MOST_ITEMS:
        raise RecipeError(
            f"volume.shape: found {_x(recipe.volume.shape)} voxels, which is {tasks:.3g} tasks of {_x(block)} voxels "
            f"in all, expected at most {MOST_ITEMS:.0e} tasks"
        )


def _window_of(block: Shape, halo: int, shape: Shape) -> Shape:
    """Return the voxels that the task of a block draws; a whole volume has no halo."""
    (z, y, x) = (min(b + 2 * halo, n) for b, n in zip(block, shape, strict=True))
    return (z, y, x) if block != shape else block


def _recorded_block(settings: Mapping[str, Any], recipe: VolumeRecipe) -> Shape | None:
    """Return the block of an earlier run of the recipe, so that its receipts are valid on another cluster too."""
    if settings.get("recipe", recipe.content) != recipe.content:  # its volumes may have another shape
        return None
    block = settings.get("block")
    if isinstance(block, list) and len(block) == 3 and all(isinstance(n, int) for n in block):
        return block[0], block[1], block[2]
    return None


def _stored_bytes(recipe: VolumeRecipe, descriptors: Sequence[Variable]) -> int:
    volumes = recipe.samples * prod(recipe.volume.shape) * STORED_PER_VOXEL if recipe.storage.volumes else 0
    return int(volumes + sum(8 * prod(v.shape) + 50 * v.shape[0] for v in descriptors))


def _fitting_block(shape: Shape, volume: Variable, fits: Callable[[Shape], bool]) -> Shape:
    """Halve the volume along its longest axis, by whole shards, until it fits or is a single shard."""
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
    recipe: VolumeRecipe, changes: Sequence[Mapping[str, float]], block: Shape, halo: int,
    variables: tuple[Variable, ...],
) -> Tasks[VolumeTask]:  # fmt: skip
    shape = recipe.volume.shape
    boxes = boxes_of(shape, block)
    windows = [_widened(box, halo, shape) for box in boxes]

    def task(place: int) -> VolumeTask:
        sample, number = divmod(place, len(boxes))
        item = recipe.item(sample)
        box, window = boxes[number], windows[number]
        if item.fidelity:
            z, y, x = recipe.at_fidelity(item.fidelity).volume.shape
            box = window = ((0, z), (0, y), (0, x))
        return VolumeTask(
            name=f"item-{sample:06d}" + (f"-block-{number:04d}" if len(boxes) > 1 else ""),
            sample=sample,
            files=tuple(_owned_files(variables, sample, boxes[number], is_block=len(boxes) > 1)),
            changes=changes[item.point],
            stream=recipe.stream_of(sample),
            fidelity=item.fidelity,
            box=box,
            window=window,
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
