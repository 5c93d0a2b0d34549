"""Plans of runs that make particles: batches, and the size of their results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.sizing import resources_for
from nmcdist.datasets.layout import ROW, Variable
from nmcdist.errors import RecipeError
from nmcdist.models.additive_wishes import Value
from nmcdist.models.particle import ParticleModel
from nmcdist.products.attributes import fingerprint
from nmcdist.products.kind import Site
from nmcdist.products.memory import USABLE
from nmcdist.products.particles.layout import DERIVED, is_label_volume, label_shape, particle_layout
from nmcdist.products.particles.memory import particle_task_need
from nmcdist.products.particles.recipe import ParticleRecipe
from nmcdist.products.particles.sizes import CHUNK_ROWS, Sizes, joined, sizes_at_points
from nmcdist.products.plan import Plan, Task, Tasks, metadata_bytes
from nmcdist.products.points import changes_at_points

STORED_PER_ROW = 36.0  # bytes of a grain's record after compression
STORED_PER_MEASURED_ROW = 75.0  # of the record of a measured grain
STORED_PER_ITEM = 1500.0  # shell and descriptors
STORED_PER_LABEL = 0.25


@dataclass(frozen=True, kw_only=True)
class ParticleTask(Task):
    """A batch of particles.

    Attributes
    ----------
    stop : int
        The item after the last one of the batch; the first one is `sample`.
    place : int
        Number of the batch.
    changes : Mapping of str to float or tuple of float
        Bundle parameters that the design sets.
    """

    stop: int
    place: int
    changes: Mapping[str, Value] = field(default_factory=dict)


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
        """Return a batch's share of the run's work: its share of the volume around all particles."""
        if not self.is_exact:
            return super().share(number)
        task, volumes = self.tasks[number], self.sizes.radii_nm**3
        return float(volumes[task.sample : task.stop].sum() / volumes.sum())

    @property
    def is_exact(self) -> bool:
        """Whether all shells were drawn, which makes the layout final."""
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
        """Return the summary's lines about particles, by heading."""
        recipe, sizes = self.recipe, self.sizes
        tables = [v for v in self.layout.variables if v.dims[0] == ROW]
        volumes = [v for v in self.layout.variables if is_label_volume(v)]
        return {
            "items": f"{recipe.samples} particles in batches of {recipe.particles.batch}{self._points}",
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
    def _points(self) -> str:
        recipe = self.recipe
        return f", at {recipe.points} points of {', '.join(recipe.varied)}" if recipe.varied else ""

    @property
    def _estimated(self) -> str:
        return (
            f"sizes, rows and memory from {self.sizes.drawn:,} of {self.recipe.samples:,} shells; "
            "a run draws all of them first"
        )


def plan_particles(recipe: ParticleRecipe, bundle: Bundle, site: Site) -> ParticlePlan:
    """Plan a run that makes particles; their shells are drawn to determine their sizes.

    Parameters
    ----------
    recipe : ParticleRecipe
    bundle : Bundle
    site : Site
        Its `effort` determines the number of drawn shells: see
        :func:`nmcdist.products.particles.sizes.sizes_at_points`.

    Raises
    ------
    BundleError
        If the bundle has no marker law.
    RecipeError
        If a voxel size is larger than a particle, or a varied parameter is unknown or has an impossible value.
    """
    changes = changes_at_points(recipe, bundle, DERIVED)
    levels = [bundle.with_parameters(**change) for change in changes] if recipe.design else [bundle]
    models = [ParticleModel.from_bundle(level) for level in levels]
    for level in levels:
        _check_voxel_sizes(recipe, level)
    parts = sizes_at_points(recipe, levels, site.effort)
    sizes = joined(parts)
    layout = particle_layout(recipe, bundle, sizes, levels)
    need = particle_task_need(
        rows=int(sizes.most_rows.max()),
        measured_voxels=_measured_voxels(recipe, sizes),
        stored_voxels=max((prod(label_shape(sizes, size)) for size in recipe.labels.voxel_sizes_nm), default=0),
        section_pixels=_section_pixels(recipe, sizes),
        evaluated_points=max((2 * p.largest_nm / m.step_nm) ** 3 for p, m in zip(parts, models, strict=True)),
    )
    return ParticlePlan(
        recipe=recipe,
        bundle_name=bundle.name,
        bundle_hash=bundle.content_hash,
        out=site.out,
        layout=layout,
        tasks=_tasks(recipe, layout.variables, changes),
        resources=resources_for(site.deployment, site.machine, recipe.batches, lambda threads: need / USABLE),
        machine=site.machine,
        on_this_machine=cluster_of(site.deployment).on_this_machine,
        task_bytes=need,
        stored_bytes=_stored_bytes(recipe, sizes, layout.variables) + metadata_bytes(layout),
        fingerprint=fingerprint(recipe, bundle.content_hash),
        sizes=sizes,
    )


def _check_voxel_sizes(recipe: ParticleRecipe, bundle: Bundle) -> None:
    """Refuse voxels larger than the smallest shells, which depend on the number of particles."""
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
    voxels = sum(prod(v.shape) for v in variables if is_label_volume(v))
    return int(per_row * sizes.likely_rows + STORED_PER_ITEM * recipe.samples + STORED_PER_LABEL * voxels)


def _tasks(
    recipe: ParticleRecipe, variables: tuple[Variable, ...], changes: Sequence[Mapping[str, Value]]
) -> Tasks[ParticleTask]:  # fmt: skip
    own = [v for v in variables if not is_label_volume(v)]
    volumes = [v for v in variables if is_label_volume(v)]

    def task(place: int) -> ParticleTask:
        start = place * recipe.particles.batch
        stop = min(start + recipe.particles.batch, recipe.samples)
        tables = (name for v in own for name in v.files(place))
        labels = (name for v in volumes for item in range(start, stop) for name in v.files(item))
        return ParticleTask(
            name=f"batch-{place:06d}", sample=start, files=(*tables, *labels), stop=stop, place=place,
            changes=changes[start // recipe.particles.count],
        )  # fmt: skip

    return Tasks(recipe.batches, task)
