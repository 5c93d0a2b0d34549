"""A kind of dataset whose items are label volumes of one model."""

from pathlib import Path
from typing import Any

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import UNWRITTEN, VOLUME
from nmcdist.datasets.store import holds, is_virtual
from nmcdist.datasets.volumes import Volumes
from nmcdist.products.kind import Kind, Partials, Site
from nmcdist.products.plan import Job, Made
from nmcdist.products.registry import recipe_of_store
from nmcdist.products.virtual import Frozen
from nmcdist.products.volumes.drawn import DrawnVolumes
from nmcdist.products.volumes.make import join_blocks, make_volume
from nmcdist.products.volumes.model import VolumeModel
from nmcdist.products.volumes.plan import VolumePlan, VolumeTask, plan_volumes
from nmcdist.products.volumes.virtual import VirtualVolumes, check_virtual, virtual_volumes
from nmcdist.wording import shown


class VolumeKind(VolumeModel, Kind):
    """Label volumes, drawn and described by one model.

    A new kind defines `name`, `recipe`, `phases`, `draw` and `quantities`. If its descriptors are more than numbers,
    it overrides `empty` and `describe`. If volumes can be drawn window by window and descriptors add up over blocks,
    `divisible`, `halo`, `describe_block` and `describe_from_blocks` allow volumes that do not fit in memory.
    """

    def fault(self) -> str:
        """Refuse phases that are not names of labels."""
        phases = getattr(self, "phases", None)
        named = isinstance(phases, tuple) and all(isinstance(phase, str) and phase.isidentifier() for phase in phases)
        if not named or not 2 <= len(phases or ()) <= UNWRITTEN:
            return f"phases: found {shown(phases)}, expected a tuple of the names of the labels 0, 1, ..."
        return ""

    def plan(self, recipe: Any, bundle: Bundle, site: Site) -> VolumePlan:
        """Plan a run; see :meth:`Kind.plan`."""
        return plan_volumes(self, recipe, bundle, site)

    def make(self, job: Job, bundle: Bundle | None, task: VolumeTask, seconds: dict[str, float]) -> Made:
        """Make and write a volume or a block; see :meth:`Kind.make`."""
        return make_volume(self, job, bundle, task, seconds)

    def join(self, plan: VolumePlan, store: Path, partials: Partials) -> set[str]:
        """Write the descriptors of volumes made in blocks, from the contributions of the blocks."""
        return join_blocks(self, plan, store, partials)

    def sources(self, recipe: Any) -> tuple[str, ...]:
        """Return the volumes, if they are stored."""
        return (VOLUME,) if recipe.storage.volumes else ()

    def freeze(self, recipe: Any, bundle: Bundle) -> dict[str, Any]:
        """Return nothing: the recipe alone fixes the sizes of volumes; see :meth:`Kind.freeze`."""
        check_virtual(recipe)
        return {}

    def virtual_plan(self, recipe: Any, bundle: Bundle, frozen: Frozen) -> VirtualVolumes:
        """Plan a virtual store; see :meth:`Kind.virtual_plan`."""
        return virtual_volumes(self, recipe, bundle, frozen)

    def export(self, store: Path, item: int, file_format: str, target: Path, **options: Any) -> Path:
        """Write the voxels of a volume to a file."""
        from nmcdist.datasets.export.volumes import export_volume_item

        volumes = self.opened(store, recipe_of_store(store))
        return export_volume_item(store, item, file_format, target, volumes=volumes, **options)

    def opened(self, store: Path, recipe: Any) -> Volumes | None:
        """Return what reads or draws the volumes of a store; see :meth:`Kind.opened`."""
        if is_virtual(store):
            return DrawnVolumes.by(self, store, recipe)
        return Volumes.of(store) if holds(store, VOLUME) else None
