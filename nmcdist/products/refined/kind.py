"""Refined volumes as a kind of dataset: windows of a store or an image, refined by the net of a bundle."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.bundle import Bundle, SuperresParameters
from nmcdist.bundle.superres import FACTOR
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.layout import Box, Shape
from nmcdist.errors import InputError, StoreError
from nmcdist.products.kind import Kind, Site
from nmcdist.products.plan import Job, Made
from nmcdist.products.refined.recipe import RefinedRecipe
from nmcdist.products.registry import register
from nmcdist.products.virtual import Frozen
from nmcdist.products.volumes.labelled import LabelledKind
from nmcdist.products.volumes.plan import VolumePlan, VolumeTask
from nmcdist.version import __version__

if TYPE_CHECKING:
    from nmcdist.descriptors.labelled import Scheme
    from nmcdist.products.refined.source import Source


class Refined(LabelledKind):
    """Volumes of a store or an image with voxels of half the edge."""

    name, recipe = "refined", RefinedRecipe
    phases = ("pore", "carbon_binder", "graphite")
    divisible = True
    reads_files = True

    def plan(self, recipe: RefinedRecipe, bundle: Bundle, site: Site) -> VolumePlan:
        """Plan a run; a bundle of another model, and a source that the recipe does not describe, are refused."""
        from nmcdist.learning.refine.net import Net

        bundle.parameters_as(SuperresParameters)
        check_net(Net.of(bundle), bundle)
        if site.draws:
            _check_source(located(recipe, site.out))
        plan = super().plan(recipe, bundle, site)
        said = f"computed by nmcdist {__version__} with the net of the bundle {bundle.name}: {bundle.title}"
        layout = dataclasses.replace(plan.layout, attrs={**plan.layout.attrs, "source": said})
        return dataclasses.replace(plan, layout=layout)

    def make(self, job: Job, bundle: Bundle | None, task: VolumeTask, seconds: dict[str, float]) -> Made:
        """Make and write a volume or a block; its source is found from the folder of the store."""
        assert isinstance(job.recipe, RefinedRecipe)
        recipe = located(job.recipe, Folder.of(job.store).path.parent)
        return super().make(dataclasses.replace(job, recipe=recipe), bundle, task, seconds)

    def draw(self, bundle: Bundle, recipe: RefinedRecipe, item: int, window: Box) -> np.ndarray:
        """Refine a window of an item."""
        from nmcdist.learning.refine.net import Net
        from nmcdist.learning.refine.windows import refined
        from nmcdist.products.refined.source import as_phases

        source = _opened(recipe)

        def read(box: Box) -> np.ndarray:
            return as_phases(source.read(item, box), recipe.phases, self.phases)

        return refined(Net.of(bundle), read, source.shape, window, recipe.labels, recipe.seed, item)

    def draw_bytes(self, recipe: RefinedRecipe, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the bytes of the window of the source, and of the tiles of the net."""
        from nmcdist.learning.refine.net import Net
        from nmcdist.learning.refine.windows import refined_bytes

        return refined_bytes(Net.of(bundle), window, threads)

    def summary(self, recipe: RefinedRecipe) -> str:
        """Return what a store of a recipe holds."""
        size, coarse = recipe.volume.voxel_size_nm, FACTOR * recipe.volume.voxel_size_nm
        labels = ", ".join(f"{label} {name}" for label, name in enumerate(self.phases))
        voxels = " x ".join(map(str, recipe.volume.shape))
        how = "the likeliest label" if recipe.labels == "likeliest" else "labels drawn from its probabilities"
        described = "" if recipe.descriptors is None else " Each volume has descriptors."
        return (
            f"{recipe.samples} volumes with voxels of {coarse:g} nm, refined by a net to {voxels} voxels of {size:g} "
            f"nm along z, y, x: {how}. The voxels of volume hold phases: {labels}.{described}"
        )

    @classmethod
    def scheme(cls) -> "Scheme":
        """Return what the labels mean."""
        from nmcdist.descriptors.cba import SCHEME

        return SCHEME

    def freeze(self, recipe: Any, bundle: Bundle) -> dict[str, Any]:
        """Refuse virtual stores: they hold their inputs, and this kind reads another store or an image."""
        return Kind.freeze(self, recipe, bundle)

    def virtual_plan(self, recipe: Any, bundle: Bundle, frozen: Frozen) -> Any:
        """Refuse virtual stores."""
        return Kind.virtual_plan(self, recipe, bundle, frozen)


def check_net(net: Any, bundle: Bundle) -> None:
    """Raise InputError unless a net knows the phases of this kind."""
    if net.phases != Refined.phases:
        raise InputError(
            f"bundle {bundle.name!r}: found a net of {', '.join(net.phases)}, expected {', '.join(Refined.phases)}"
        )


def located(recipe: RefinedRecipe, folder: Path) -> RefinedRecipe:
    """Return a recipe whose source is found from the current folder, not from that of its store."""
    # By text alone, as the recipe's path was made: the folder may not exist yet, and ".." would not be found in it.
    return recipe.model_copy(update={"source": os.path.normpath(folder.absolute() / recipe.source)})


def _opened(recipe: RefinedRecipe) -> "Source":
    from nmcdist.products.refined.source import is_store, open_source

    path, size = Path(recipe.source), FACTOR * recipe.volume.voxel_size_nm
    return open_source(path) if is_store(path) else open_source(path, size, recipe.axes)


def _check_source(recipe: RefinedRecipe) -> None:
    """Refuse a source that is not the one that the recipe describes."""
    source = _opened(recipe)
    shape, size = tuple(FACTOR * n for n in source.shape), source.voxel_size_nm / FACTOR
    found = source.count, shape, round(size, 9)
    expected = recipe.samples, recipe.volume.shape, round(recipe.volume.voxel_size_nm, 9)
    if found != expected:
        raise InputError(
            f"{source.path}: found volumes, voxels and nm after refinement {found}, expected {expected}, as in the "
            "recipe"
        )
    if source.digest() != recipe.source_sha256:
        raise StoreError(
            f"{source.path}: is not as it was when its refinement was described: run `nmcdist refine` again"
        )


register(Refined())
