"""Runs that make particles: a task draws a batch of them, renders and measures what is asked for, and writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine, resources_for
from nmcdist.datasets import statistics
from nmcdist.datasets.files import FileRecord
from nmcdist.datasets.layout import ROW, SAMPLE, Variable
from nmcdist.datasets.particles import read_particle
from nmcdist.datasets.store import read_rows, write_block, write_rows, write_total
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
from nmcdist.errors import RecipeError
from nmcdist.geometry.frames import lengths
from nmcdist.models.orientation import crystal_orientations
from nmcdist.models.particle import Particle, ParticleModel
from nmcdist.models.pieces import merge_pieces
from nmcdist.products.attributes import fingerprint
from nmcdist.products.memory import USABLE, particle_task_need
from nmcdist.products.particles.layout import (
    CHUNK_ROWS,
    PIECES,
    STATISTICS,
    Shells,
    Sizes,
    label_shape,
    particle_layout,
    sizes_of,
)
from nmcdist.products.particles.recipe import GrainSpec, ParticleRecipe, label_name
from nmcdist.products.plan import ItemFailed, Job, Made, Plan, Task, Tasks, timed
from nmcdist.runs.journal import Journal

STORED_PER_ROW = 36.0  # bytes of a grain's record after compression
STORED_PER_MEASURED_ROW = 75.0  # of a grain that is measured too
STORED_PER_ITEM = 1500.0  # shell and descriptors
STORED_PER_LABEL = 0.25


@dataclass(frozen=True, kw_only=True)
class ParticleTask(Task):
    """A batch of particles.

    Attributes
    ----------
    stop : int
        The item after the last of the batch, which begins with `sample`.
    place : int
        Number of the batch.
    """

    stop: int
    place: int


@dataclass(frozen=True, kw_only=True)
class ParticlePlan(Plan):
    """A run that makes particles.

    Attributes
    ----------
    sizes : Sizes
    """

    recipe: ParticleRecipe
    tasks: Sequence[ParticleTask] = field(repr=False)
    sizes: Sizes = field(repr=False)

    def share(self, number: int) -> float:
        """Return what part of the whole run's work a batch is: that of the volume around its particles."""
        if not self.is_exact:
            return super().share(number)
        task, volumes = self.tasks[number], self.sizes.radii_nm**3
        return float(volumes[task.sample : task.stop].sum() / volumes.sum())

    @property
    def is_exact(self) -> bool:
        """Whether all shells were drawn, so that the layout is that of the store."""
        return self.sizes.drawn == self.recipe.samples

    @property
    def task_text(self) -> str:
        """Particles of a task."""
        return f"{self.recipe.particles.batch} particles"

    @property
    def smaller_text(self) -> str:
        """The settings that make a task smaller."""
        return "a smaller particles.batch, or larger voxels in descriptors and labels"

    def facts(self) -> dict[str, str]:
        """Return what is to be told of particles, by heading."""
        recipe, sizes = self.recipe, self.sizes
        tables = [v for v in self.layout.variables if v.dims[0] == ROW]
        volumes = [v for v in self.layout.variables if v.dims[0] == SAMPLE and v.shards]
        return {
            "items": f"{recipe.samples} particles in batches of {recipe.particles.batch}",
            "grains": f"about {sizes.likely_rows:.2g} rows in {len(tables)} columns, "
            f"files of {sizes.capacity} rows in chunks of {CHUNK_ROWS}",
            "measured": "shells only"
            if recipe.descriptors is None
            else f"shells, grains at {recipe.descriptors.voxel_size_nm:g} nm, sections at "
            f"{recipe.descriptors.pixel_size_nm:g} nm",
            "labels": "; ".join(f"{v.name}: {' x '.join(map(str, v.shape[1:]))} voxels" for v in volumes)
            or "none; the records render at any voxel size",
            "largest": f"a particle within {sizes.largest_nm / 1000:.1f} um of its centre",
            **({} if self.is_exact else {"estimated": self._estimated}),
        }

    @property
    def _estimated(self) -> str:
        return (
            f"sizes, rows and memory from {self.sizes.drawn:,} of {self.recipe.samples:,} shells; a run draws all first"
        )


def plan_particles(
    recipe: ParticleRecipe, bundle: Bundle, out: Path, deployment: Deployment, machine: Machine, *,
    shells: Shells = "all",
) -> ParticlePlan:  # fmt: skip
    """Work out a run that makes particles; their shells are drawn to know how large they get.

    Parameters
    ----------
    recipe : ParticleRecipe
    bundle : Bundle
    out : Path
    deployment : Deployment
    machine : Machine
    shells : {"all", "estimate", "least"}
        As for :func:`nmcdist.products.particles.layout.sizes_of`.

    Raises
    ------
    BundleError
        If the bundle has no marker law.
    RecipeError
        If a voxel size is larger than a particle.
    """
    model = ParticleModel.from_bundle(bundle)
    _check_voxel_sizes(recipe, bundle)
    sizes = sizes_of(recipe, bundle, shells)
    layout = particle_layout(recipe, bundle, sizes)
    need = particle_task_need(
        rows=int(sizes.most_rows.max()),
        measured_voxels=_measured_voxels(recipe, sizes),
        stored_voxels=max((prod(label_shape(sizes, size)) for size in recipe.labels.voxel_sizes_nm), default=0),
        section_pixels=_section_pixels(recipe, sizes),
        evaluated_points=(2 * sizes.largest_nm / model.step_nm) ** 3,
    )
    return ParticlePlan(
        recipe=recipe,
        bundle_name=bundle.name,
        bundle_hash=bundle.content_hash,
        out=out,
        layout=layout,
        tasks=_tasks(recipe, layout.variables),
        resources=resources_for(deployment, machine, recipe.batches, lambda threads: need / USABLE),
        machine=machine,
        on_this_machine=deployment.kind == "local",
        task_bytes=need,
        stored_bytes=_stored_bytes(recipe, sizes, layout.variables),
        fingerprint=fingerprint(recipe, bundle.content_hash),
        sizes=sizes,
    )


def make(job: Job, bundle: Bundle | None, task: ParticleTask, seconds: dict[str, float]) -> Made:
    """Make and write a batch.

    Parameters
    ----------
    job : Job
    bundle : Bundle or None
        None where the records are taken from a store.
    task : ParticleTask
    seconds : dict
        Gets the wall time of drawing, rendering, measuring and writing.

    Raises
    ------
    ItemFailed
        If an item of the batch cannot be made; it carries the error.
    """
    recipe = job.recipe
    assert isinstance(recipe, ParticleRecipe)
    batch = _Batch(recipe, job.variables, first_row=task.place * _capacity(job.variables))
    model = None if bundle is None else ParticleModel.from_bundle(bundle)
    files: dict[str, FileRecord] = {}
    for item in range(task.sample, task.stop):
        try:
            with timed(seconds, "draw" if model else "read"):
                particle = model.draw(recipe.seed, item) if model else _taken(job.source, item)
            batch.add(particle, seconds)
            with timed(seconds, "write"):
                files |= _write_labels(job, particle, item)
        except Exception as error:
            raise ItemFailed(item, error) from error
    with timed(seconds, "write"):
        for name, values in batch.values().items():
            files |= write_rows(job.store, _variable(job.variables, name), task.place, values)
    return Made(files)


def join(plan: ParticlePlan, wip: Path, journal: Journal) -> set[str]:
    """Write the statistics of the whole run from those of its batches, read one by one; return the files."""
    rows = (read_rows(wip, STATISTICS, task.place, task.place + 1)[0] for task in plan.tasks)
    values = statistics.totals(statistics.merged(rows, plan.recipe), plan.recipe)
    for variable in plan.layout.totals:
        write_total(wip, variable, values[variable.name])
    return {name for variable in plan.layout.totals for name in variable.files()}


class _Batch:
    """The columns of a batch while its particles are made one after another."""

    def __init__(self, recipe: ParticleRecipe, variables: tuple[Variable, ...], first_row: int) -> None:
        self.recipe, self.next_row = recipe, first_row
        self.parts: dict[str, list[Any]] = {v.name: [] for v in variables if v.dims[0] in (SAMPLE, ROW)}
        self.fill_of_rows = {v.name: v.fill_value for v in variables if v.dims[0] == ROW}
        self.statistics = statistics.nothing(recipe)

    def add(self, particle: Particle, seconds: dict[str, float]) -> None:
        """Add one particle: its record, its shell's descriptors, and what is measured on its grains."""
        rows, item = self._record(particle), self._item(particle)
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
        """Return what the batch writes, by variable."""
        values = {
            name: np.concatenate(parts) if name in self.fill_of_rows else np.array(parts)
            for name, parts in self.parts.items()
            if parts
        }
        return {**values, STATISTICS: statistics.as_row(self.statistics)[None]}

    def _record(self, particle: Particle) -> dict[str, np.ndarray]:
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
        law = self.recipe.orientations
        if law is not None:
            rows["orientation"] = crystal_orientations(
                particle.seeds_nm, law.concentration, particle.seed, particle.index
            )  # fmt: skip
        return rows

    def _item(self, particle: Particle) -> dict[str, Any]:
        shell = measure_shells(particle.coefficients_nm[None])
        return {
            "shell_coefficients_nm": particle.coefficients_nm,
            "shell_rejections": particle.rejections,
            "box_nm": particle.box_nm,
            "reach_nm": particle.reach_nm,
            "first_row": self.next_row,
            "rows": len(particle.kept),
            "kept_grains": int(particle.kept.sum()),
            **{f"shell_{name}": float(values[0]) for name, values in shell.items()},
        }

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


def _write_labels(job: Job, particle: Particle, item: int) -> dict[str, FileRecord]:
    """Render the voxel volumes that the recipe stores, each in the middle of a cube that all particles share."""
    recipe = job.recipe
    assert isinstance(recipe, ParticleRecipe)
    files: dict[str, FileRecord] = {}
    for size in recipe.labels.voxel_sizes_nm:
        variable = _variable(job.variables, label_name(size))
        cube = np.zeros(variable.shape[1:], dtype=np.int32)
        labels = particle.voxelize(size)
        _, origin = particle.grid(size)
        start = [round(o / size - 0.5) + n // 2 for o, n in zip(origin, cube.shape, strict=True)]
        cube[tuple(slice(s, s + n) for s, n in zip(start, labels.shape, strict=True))] = labels
        z, y, x = cube.shape
        files |= write_block(job.store, variable, item, ((0, z), (0, y), (0, x)), cube)
    return files


def _spread(values: np.ndarray, places: np.ndarray, n: int, fill: float) -> np.ndarray:
    """Put the values of the grains that were seen into all rows; the others get the fill value."""
    dtype = np.uint8 if values.dtype.kind == "b" else values.dtype
    column = np.full((n, *values.shape[1:]), fill, dtype=dtype)
    column[places] = values
    return column


def _taken(source: Path | None, item: int) -> Particle:
    assert source is not None  # every job without a bundle has one
    return read_particle(source, item)


def _variable(variables: tuple[Variable, ...], name: str) -> Variable:
    return next(v for v in variables if v.name == name)


def _capacity(variables: tuple[Variable, ...]) -> int:
    return _variable(variables, "particle").file_shape[0]


def _check_voxel_sizes(recipe: ParticleRecipe, bundle: Bundle) -> None:
    """Refuse voxels that the smallest shells would not hold: the recipe's count decides how small they get."""
    smallest = 2 * (3 * bundle.particle().shell_minimum_volume_nm3 / (4 * np.pi)) ** (1 / 3)
    asked: Mapping[str, tuple[float, ...]] = {
        "descriptors.voxel_size_nm": () if recipe.descriptors is None else (recipe.descriptors.voxel_size_nm,),
        "descriptors.pixel_size_nm": () if recipe.descriptors is None else (recipe.descriptors.pixel_size_nm,),
        "labels.voxel_sizes_nm": recipe.labels.voxel_sizes_nm,
    }
    for name, sizes in asked.items():
        if any(size > smallest for size in sizes):
            raise RecipeError(f"{name}: found {max(sizes):g}, expected at most the smallest particle's {smallest:g} nm")


def _measured_voxels(recipe: ParticleRecipe, sizes: Sizes) -> int:
    if recipe.descriptors is None:
        return 0
    return prod(label_shape(sizes, recipe.descriptors.voxel_size_nm))


def _section_pixels(recipe: ParticleRecipe, sizes: Sizes) -> int:
    if recipe.descriptors is None:
        return 0
    return label_shape(sizes, recipe.descriptors.pixel_size_nm)[0] ** 2


def _stored_bytes(recipe: ParticleRecipe, sizes: Sizes, variables: tuple[Variable, ...]) -> int:
    per_row = STORED_PER_ROW if recipe.descriptors is None else STORED_PER_MEASURED_ROW
    voxels = sum(prod(v.shape) for v in variables if v.dims[0] == SAMPLE and v.shards)
    return int(per_row * sizes.likely_rows + STORED_PER_ITEM * recipe.samples + STORED_PER_LABEL * voxels)


def _tasks(recipe: ParticleRecipe, variables: tuple[Variable, ...]) -> Tasks[ParticleTask]:
    own = [v for v in variables if not (v.dims[0] == SAMPLE and v.shards)]
    volumes = [v for v in variables if v.dims[0] == SAMPLE and v.shards]

    def task(place: int) -> ParticleTask:
        start = place * recipe.particles.batch
        stop = min(start + recipe.particles.batch, recipe.samples)
        tables = (name for v in own for name in v.files(place))
        labels = (name for v in volumes for item in range(start, stop) for name in v.files(item))
        return ParticleTask(
            name=f"batch-{place:06d}", sample=start, files=(*tables, *labels), stop=stop, place=place
        )  # fmt: skip

    return Tasks(recipe.batches, task)
