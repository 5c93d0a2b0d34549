"""Make volumes: a task draws or reads its window, writes its voxels, and describes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets.files import FileRecord
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import read_manifest
from nmcdist.datasets.layout import VOLUME
from nmcdist.datasets.store import read_block
from nmcdist.datasets.writing import remove_files, write_block, write_descriptors
from nmcdist.errors import InputError, StoreError
from nmcdist.products.kind import Partials
from nmcdist.products.plan import Job, Made, timed
from nmcdist.products.volumes.model import VolumeModel
from nmcdist.products.volumes.plan import VolumePlan, VolumeTask
from nmcdist.products.volumes.recipe import VolumeRecipe


def make_volume(
    model: VolumeModel, job: Job, bundle: Bundle | None, task: VolumeTask, seconds: dict[str, float]
) -> Made:
    """Make and write the files of a task; arguments as in :meth:`nmcdist.products.kind.Kind.make`."""
    assert isinstance(job.recipe, VolumeRecipe)
    recipe = job.recipe.at_fidelity(task.fidelity)
    files: dict[str, FileRecord] = {}
    changed: Bundle | None = None
    if job.source is not None:
        with timed(seconds, "read"):
            files |= _taken_files(job, job.source, task)
            window = read_block(job.source, task.sample, task.window)
    else:
        assert bundle is not None  # every job without a source holds it
        with timed(seconds, "draw"):
            changed = bundle.with_parameters(**task.changes)
            window = model.draw(changed, recipe, task.stream, task.window)
            _check_labels(model, window, tuple(stop - start for start, stop in task.window))
    core = tuple(slice(a - w, b - w) for (a, b), (w, _) in zip(task.box, task.window, strict=True))
    volume = next((v for v in job.variables if v.name == VOLUME), None)
    if volume is not None and job.source is None:
        with timed(seconds, "write"):
            files |= write_block(job.store, volume, task.sample, task.box, window[core])
    if recipe.descriptors is None:
        return Made(files)
    with timed(seconds, "describe"):
        if task.is_block:
            return Made(files, model.describe_block(recipe, window, core))
        values = model.describe(recipe, window)
        descriptors = [v for v in job.variables if v.name != VOLUME]
        if len(job.recipe.specs) > 1:  # the store leaves out what depends on the voxel size
            values = {v.name: values[v.name] for v in descriptors if v.name in values}
        values = {**values, **model.recorded(recipe, task.point)}
        if changed is not None:
            values |= model.redrawn(changed, recipe, task.stream, task.window)
        written = write_descriptors(job.store, descriptors, task.sample, values)
        return Made(files | written, model.results(job.recipe, values))


def _check_labels(model: VolumeModel, labels: Any, shape: tuple[int, ...]) -> None:
    """Refuse the result of a model if it is not a volume of the window's labels: it would be stored as other data."""
    is_array = isinstance(labels, np.ndarray) and labels.dtype == np.uint8 and labels.shape == shape
    most = len(model.phases) - 1
    if is_array and labels.max() <= most:
        return
    found = f"labels up to {labels.max()}" if is_array else type(labels).__name__
    if isinstance(labels, np.ndarray) and not is_array:
        found = f"{labels.dtype} of shape {labels.shape}"
    raise InputError(f"kind {model.name!r}: draw: found {found}, expected uint8 of shape {shape}, labels 0 to {most}")


def join_blocks(model: VolumeModel, plan: VolumePlan, store: Path, partials: Partials) -> set[str]:
    """Write the descriptors of volumes made in blocks, from the contributions of the blocks; return the files."""
    if not plan.has_partials:
        return set()
    sums: dict[int, dict[str, np.ndarray]] = {}
    for task in plan.tasks:
        added = partials(task)
        before = sums.setdefault(task.sample, {name: np.zeros_like(a) for name, a in added.items()})
        sums[task.sample] = {name: before[name] + array for name, array in added.items()}
    files: set[str] = set()
    for sample, summed in sums.items():
        files |= _write_joined(plan, store, sample, model.describe_from_blocks(plan.recipe, summed))
    return files


def _write_joined(plan: VolumePlan, store: Path, sample: int, values: Mapping[str, np.ndarray]) -> set[str]:
    descriptors = plan.layout.descriptors
    own = [name for variable in descriptors for name in variable.files(sample)]
    remove_files(store, own)
    write_descriptors(store, descriptors, sample, dict(values))
    return set(own)


def _taken_files(job: Job, source: Path, task: VolumeTask) -> dict[str, FileRecord]:
    """Link the files of a task into the new store, and return their records."""
    manifest, taken = read_manifest(source), dict[str, FileRecord]()
    for name in (n for n in task.files if n.startswith(f"{VOLUME}/")):
        if name not in manifest or not Folder(source).matches(name, manifest[name]):
            raise StoreError(f"{source}: {name}: damaged; run `nmcdist verify`, then repair it with --resume")
        Folder.of(job.store).link(Folder(source), name)
        taken[name] = manifest[name]
    return taken
