"""Make particles: a task draws a batch, writes the records, and renders and measures according to the recipe."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets import statistics
from nmcdist.datasets.files import FileRecord
from nmcdist.datasets.layout import ROW, SAMPLE, Box, Variable
from nmcdist.datasets.particles import read_particle
from nmcdist.datasets.statistics import STATISTICS
from nmcdist.datasets.store import read_rows
from nmcdist.datasets.writing import write_block, write_rows, write_total
from nmcdist.descriptors.grains import (
    COLUMNS,
    PACKING,
    ball_diameters,
    describe_grains,
    describe_packing,
    grain_contacts,
)
from nmcdist.descriptors.sections import chord_lengths, describe_section
from nmcdist.descriptors.shell import measure_shells
from nmcdist.errors import InputError
from nmcdist.geometry.frames import lengths
from nmcdist.models.orientation import crystal_orientations
from nmcdist.models.particle import Particle, ParticleModel
from nmcdist.models.pieces import merge_pieces
from nmcdist.products.particles.layout import PIECES
from nmcdist.products.particles.plan import ParticlePlan, ParticleTask
from nmcdist.products.particles.recipe import GrainSpec, OrientationSpec, ParticleRecipe, label_name
from nmcdist.products.plan import ItemFailed, Job, Made, timed


def make_batch(job: Job, bundle: Bundle | None, task: ParticleTask, seconds: dict[str, float]) -> Made:
    """Make and write a batch.

    Parameters
    ----------
    job : Job
    bundle : Bundle or None
        None if the records are read from a store.
    task : ParticleTask
    seconds : dict
        Receives the wall time of drawing, rendering, measuring and writing.

    Raises
    ------
    ItemFailed
        If an item of the batch cannot be made; it contains the error.
    """
    recipe = job.recipe
    assert isinstance(recipe, ParticleRecipe)
    batch = _Batch(recipe, job.variables, first_row=task.place * _capacity(job.variables))
    model = None if bundle is None else ParticleModel.from_bundle(bundle.with_parameters(**task.changes))
    files: dict[str, FileRecord] = {}
    for item in range(task.sample, task.stop):
        try:
            with timed(seconds, "draw" if model else "read"):
                particle = _drawn(model, recipe, item) if model else _taken(job.source, item)
            batch.add(particle, seconds)
            with timed(seconds, "write"):
                files |= write_labels(job, particle)
        except Exception as error:
            raise ItemFailed(item, error) from error
    with timed(seconds, "write"):
        for name, values in batch.values().items():
            files |= write_rows(job.store, _variable(job.variables, name), task.place, values)
    return Made(files)


def join_batches(plan: ParticlePlan, store: Path) -> set[str]:
    """Write the statistics of the whole run, merged from its batches one by one; return the files."""
    rows = (read_rows(store, STATISTICS, task.place, task.place + 1)[0] for task in plan.tasks)
    values = statistics.totals(statistics.merged(rows, plan.recipe.descriptors), plan.recipe.descriptors)
    for variable in plan.layout.totals:
        write_total(store, variable, values[variable.name])
    return {name for variable in plan.layout.totals for name in variable.files()}


class _Batch:
    """The columns of a batch, filled one particle at a time."""

    def __init__(self, recipe: ParticleRecipe, variables: tuple[Variable, ...], first_row: int) -> None:
        self.recipe, self.next_row = recipe, first_row
        self.parts: dict[str, list[Any]] = {v.name: [] for v in variables if v.dims[0] in (SAMPLE, ROW)}
        self.fill_of_rows = {v.name: v.fill_value for v in variables if v.dims[0] == ROW}
        self.statistics = statistics.nothing(recipe.descriptors)

    def add(self, particle: Particle, seconds: dict[str, float]) -> None:
        """Add one particle: its record, the descriptors of its shell, and the measurements of its grains."""
        stream = self.recipe.stream_of(particle.index)
        rows = grain_columns(particle, self.recipe.orientations, stream)
        item = {**item_values(particle), "first_row": self.next_row, **_shell_values(particle)}
        if self.recipe.descriptors is not None:
            with timed(seconds, "describe"):
                self._measure(particle, self.recipe.descriptors, rows, item)
        else:
            volume = particle.volumes_nm3[particle.kept].astype(np.float64)
            radius = lengths(particle.centroids_nm[particle.kept])
            columns = {"volume_nm3": volume, "equivalent_diameter_nm": ball_diameters(volume), "radius_nm": radius}
            statistics.add_table(self.statistics, "grain", columns, radius)
        shell = {name.removeprefix("shell_"): [value] for name, value in item.items() if name.startswith("shell_")}
        packing = {name: [value] for name, value in item.items() if name in PACKING}
        statistics.add_table(self.statistics, "particle", {**shell, "grains": [item["kept_grains"]], **packing})
        for name, value in item.items():
            self.parts[name].append(value)
        for name, column in rows.items():
            self.parts[name].append(column)
        self.next_row += len(particle.kept)

    def values(self) -> dict[str, np.ndarray]:
        """Return the arrays that the batch writes, by variable."""
        values = {
            name: np.concatenate(parts) if name in self.fill_of_rows else np.array(parts)
            for name, parts in self.parts.items()
            if parts
        }
        return {**values, STATISTICS: statistics.as_row(self.statistics)[None]}

    def _measure(self, particle: Particle, spec: GrainSpec, rows: dict[str, np.ndarray], item: dict[str, Any]) -> None:
        """Measure the grains at the recipe's voxel size, and the sections at its cut heights."""
        labels = particle.voxelize(spec.voxel_size_nm, pieces="keep")
        _, origin = particle.grid(spec.voxel_size_nm)
        moved = merge_pieces(labels)
        contacts = grain_contacts(labels, spec.voxel_size_nm)
        grains = describe_grains(labels, spec.voxel_size_nm, origin, contacts)
        packing = describe_packing(grains, contacts)
        item |= {name: float(packing[name]) for name in PACKING}
        item |= dict(zip(PIECES, moved, strict=True))
        n = len(particle.kept)
        for name in COLUMNS:
            rows[name] = _spread(grains[name].values, grains.label.values - 1, n, self.fill_of_rows[name])
        columns = {name: grains[name].values for name in COLUMNS if grains[name].ndim == 1}
        statistics.add_table(self.statistics, "grain", columns, grains.radius_nm.values)
        mean_radius = particle.coefficients_nm[0] / np.sqrt(4 * np.pi)
        for cut, height in enumerate(spec.cut_heights):
            self._measure_section(particle, spec, statistics.section_table(cut), float(height * mean_radius))

    def _measure_section(self, particle: Particle, spec: GrainSpec, table: str, height_nm: float) -> None:
        if height_nm >= particle.reach_nm or not particle.kept.any():
            return
        labels = particle.section(spec.pixel_size_nm, point_nm=(height_nm, 0.0, 0.0))
        if not labels.any():
            return
        section = describe_section(labels, spec.pixel_size_nm)
        columns = {str(name): section[name].values for name in section.data_vars if section[name].ndim == 1}
        statistics.add_table(self.statistics, table, columns, section.radius_nm.values)
        chords = chord_lengths(labels, spec.pixel_size_nm)
        statistics.add_table(self.statistics, table, {"chord_length_nm": chords})


def grain_columns(particle: Particle, orientations: OrientationSpec | None, stream: int) -> dict[str, np.ndarray]:
    """Return the columns of a particle's record, one row per grain; `stream` is the index of its random streams."""
    n = len(particle.kept)
    rows: dict[str, np.ndarray] = {
        "particle": np.full(n, particle.index),
        "label": np.arange(1, n + 1),
        "seed_nm": particle.seeds_nm,
        "diagonal": particle.diagonals,
        "offset_nm2": particle.offsets_nm2,
        "gamma": particle.gammas,
        "kept": particle.kept,
        "lattice_centroid_nm": particle.centroids_nm,
        "lattice_volume_nm3": np.where(particle.kept, particle.volumes_nm3, np.float32(np.nan)),
    }
    if orientations is not None:
        rows["orientation"] = crystal_orientations(
            particle.seeds_nm, orientations.concentration, particle.seed, stream
        )  # fmt: skip
    return rows


def item_values(particle: Particle) -> dict[str, Any]:
    """Return what a particle's record holds besides its grains, by variable."""
    return {
        "shell_coefficients_nm": particle.coefficients_nm,
        "shell_rejections": particle.rejections,
        "box_nm": particle.box_nm,
        "reach_nm": particle.reach_nm,
        "rows": len(particle.kept),
        "kept_grains": int(particle.kept.sum()),
    }


def label_slabs(particle: Particle, size: float, variable: Variable) -> Iterator[tuple[Box, np.ndarray]]:
    """Yield the voxels of a particle, centred in the cube that all particles share, by slabs of whole files.

    Raises
    ------
    InputError
        If the particle is larger than the cube.
    """
    labels = particle.voxelize(size)
    _, origin = particle.grid(size)
    shape = variable.shape[1:]
    start = [round(o / size - 0.5) + n // 2 for o, n in zip(origin, shape, strict=True)]
    stop = [s + n for s, n in zip(start, labels.shape, strict=True)]
    if min(start) < 0 or any(s > n for s, n in zip(stop, shape, strict=True)):
        raise InputError(f"item {particle.index}: found voxels {start} to {stop} of {variable.name}, expected {shape}")
    depth, ny, nx = variable.file_shape[1], shape[1], shape[2]
    for first in range(0, shape[0], depth):
        end = min(first + depth, shape[0])
        slab = np.zeros((end - first, ny, nx), dtype=np.int32)
        low, high = max(first, start[0]), min(end, stop[0])
        if low < high:
            part = labels[low - start[0] : high - start[0]]
            slab[low - first : high - first, start[1] : stop[1], start[2] : stop[2]] = part
        yield ((first, end), (0, ny), (0, nx)), slab


def write_labels(job: Job, particle: Particle) -> dict[str, FileRecord]:
    """Render the voxel volumes of the recipe and write them."""
    recipe = job.recipe
    assert isinstance(recipe, ParticleRecipe)
    files: dict[str, FileRecord] = {}
    for size in recipe.labels.voxel_sizes_nm:
        variable = _variable(job.variables, label_name(size))
        for box, slab in label_slabs(particle, size, variable):
            files |= write_block(job.store, variable, particle.index, box, slab)
    return files


def _shell_values(particle: Particle) -> dict[str, float]:
    shell = measure_shells(particle.coefficients_nm[None])
    return {f"shell_{name}": float(values[0]) for name, values in shell.items()}


def _spread(values: np.ndarray, places: np.ndarray, n: int, fill: float) -> np.ndarray:
    """Distribute the values of the measured grains to all rows; other rows get the fill value."""
    dtype = np.uint8 if values.dtype.kind == "b" else values.dtype
    column = np.full((n, *values.shape[1:]), fill, dtype=dtype)
    column[places] = values
    return column


def _drawn(model: ParticleModel, recipe: ParticleRecipe, item: int) -> Particle:
    """Draw a particle, whose index in the store differs from that of its random streams if points share these."""
    return replace(model.draw(recipe.seed, recipe.stream_of(item)), index=item)


def _taken(source: Path | None, item: int) -> Particle:
    assert source is not None  # every job without a bundle has one
    return read_particle(source, item)


def _variable(variables: tuple[Variable, ...], name: str) -> Variable:
    return next(v for v in variables if v.name == name)


def _capacity(variables: tuple[Variable, ...]) -> int:
    return _variable(variables, "particle").file_shape[0]
