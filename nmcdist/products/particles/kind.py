"""Datasets of particles, each an analytic record (kind "particles")."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nmcdist.bundle import Bundle
from nmcdist.datasets.particles import RECORD_ITEMS, RECORD_ROWS, Records
from nmcdist.datasets.store import is_virtual
from nmcdist.errors import InputError
from nmcdist.products.kind import Kind, Partials, Sections, Site
from nmcdist.products.particles.drawn import DrawnRecords
from nmcdist.products.particles.make import join_batches, make_batch
from nmcdist.products.particles.plan import ParticlePlan, ParticleTask, plan_particles
from nmcdist.products.particles.recipe import ParticleRecipe
from nmcdist.products.particles.virtual import (
    VirtualParticles,
    VirtualParticleTask,
    frozen_sizes,
    make_virtual_particles,
    virtual_particles,
)
from nmcdist.products.plan import Job, Made
from nmcdist.products.registry import recipe_of_store, register
from nmcdist.products.virtual import Frozen


class Particles(Kind):
    """Particles in batches: one task makes one batch."""

    name = "particles"
    recipe = ParticleRecipe
    own_field = "particles"

    def plan(self, recipe: ParticleRecipe, bundle: Bundle, site: Site) -> ParticlePlan:
        """Plan a run; see :meth:`Kind.plan`."""
        return plan_particles(recipe, bundle, site)

    def make(self, job: Job, bundle: Bundle | None, task: ParticleTask, seconds: dict[str, float]) -> Made:
        """Make and write a batch; see :meth:`Kind.make`."""
        return make_batch(job, bundle, task, seconds)

    def join(self, plan: ParticlePlan, store: Path, partials: Partials) -> set[str]:
        """Write the statistics of the whole run, merged from those of its batches."""
        return join_batches(plan, store)

    def sources(self, recipe: ParticleRecipe) -> tuple[str, ...]:
        """Return the variables that hold the records."""
        return (*RECORD_ITEMS, *RECORD_ROWS)

    def freeze(self, recipe: ParticleRecipe, bundle: Bundle) -> dict[str, Any]:
        """Return bounds on the sizes of all particles; see :meth:`Kind.freeze`."""
        return frozen_sizes(recipe, bundle)

    def virtual_plan(self, recipe: ParticleRecipe, bundle: Bundle, frozen: Frozen) -> VirtualParticles:
        """Plan a virtual store; see :meth:`Kind.virtual_plan`."""
        return virtual_particles(recipe, bundle, frozen)

    def make_virtual(self, job: Job, bundle: Bundle, task: VirtualParticleTask) -> Made:
        """Make and write shells, or a whole particle; see :meth:`Kind.make_virtual`."""
        return make_virtual_particles(job, bundle, task)

    def export(self, store: Path, item: int, file_format: str, target: Path, **options: Any) -> Path:
        """Render a particle from its record into a file, or write the table of its grains."""
        from nmcdist.datasets.export.particles import export_particle_item

        recipe = recipe_of_store(store)
        assert isinstance(recipe, ParticleRecipe)
        records = self.opened(store, recipe)
        return export_particle_item(store, item, file_format, target, records=records, **options)

    def opened(self, store: Path, recipe: ParticleRecipe) -> Records:
        """Return what reads or draws the particles of a store; see :meth:`Kind.opened`."""
        return DrawnRecords(store, recipe) if is_virtual(store) else Records(store)

    def sections(self, store: Path, recipe: ParticleRecipe, count: int, pixels: int) -> Sections | None:
        """Cut the first particles through their centres; see :meth:`Kind.sections`."""
        records = self.opened(store, recipe)
        particles = [records.particle(item) for item in range(min(count, recipe.samples))]
        pixel_nm = 2 * max(particle.reach_nm for particle in particles) / (pixels - 2)
        if not pixel_nm > 0:
            return None
        return Sections([particle.section(pixel_nm) for particle in particles], pixel_nm, outside=True)

    def report(
        self, store: Path, recipe: ParticleRecipe, folder: Path, *, voxel_sizes_nm: tuple[float, ...] = (),
        progress: Callable[[str], None] = lambda line: None,
    ) -> Path:  # fmt: skip
        """Write the report of a collection: sizes, shapes, grains, sections."""
        from nmcdist.products.particles.design_report import report_particle_design
        from nmcdist.products.particles.report import report_particles

        if voxel_sizes_nm:
            raise InputError(f"{store}: holds particles, expected volumes for a resolution study")
        if recipe.design is not None:
            return report_particle_design(store, recipe, folder)
        return report_particles(store, recipe, folder)


register(Particles())
