"""Virtual stores of volumes: a task makes a chunk of a divisible model, or all chunks of a volume of any other."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import VIRTUAL_ATTRIBUTE, VOLUME, Box, Layout, Variable
from nmcdist.errors import InputError, RecipeError
from nmcdist.products.virtual import Frozen, VirtualPlan
from nmcdist.products.volumes.layout import store_layout
from nmcdist.products.volumes.model import VolumeModel
from nmcdist.products.volumes.plan import VolumeTask
from nmcdist.products.volumes.recipe import VolumeRecipe
from nmcdist.wording import shown


@dataclass(frozen=True)
class VirtualVolumes(VirtualPlan):
    """Windows of volumes, computed one by one.

    Attributes
    ----------
    changes : sequence of Mapping
        For each level of the sweep, the bundle parameters that it sets.
    divisible : bool
        Whether a chunk can be drawn without the rest of its volume.
    """

    recipe: VolumeRecipe
    changes: Sequence[Mapping[str, float]]
    divisible: bool

    def task(self, variable: Variable, index: tuple[int, ...]) -> VolumeTask:
        """Return the task that makes a chunk."""
        sample = index[0]
        shape = self.recipe.volume.shape
        box: Box = ((0, shape[0]), (0, shape[1]), (0, shape[2]))
        name, files = f"item-{sample}", tuple(variable.files(sample)) if not self.divisible else ()
        if self.divisible:
            (z, y, x) = (
                (k * c, min((k + 1) * c, n)) for k, c, n in zip(index[1:], variable.chunks[1:], shape, strict=True)
            )
            box, files = (z, y, x), (variable.file(index),)
            name += "-chunk-" + "-".join(map(str, index[1:]))
        return VolumeTask(
            name=name, sample=sample, files=files, changes=self.changes[self.recipe.level_of(sample)], box=box,
            window=box, is_block=self.divisible,
        )  # fmt: skip

    def witnesses(self) -> tuple[VolumeTask, ...]:
        """Return the task of the last chunk of the last volume: no chunk is smaller."""
        (variable,) = self.layout.variables
        last = tuple(-(-n // c) - 1 for n, c in zip(variable.shape, variable.chunks, strict=True))
        return (self.task(variable, last),)


def check_virtual(recipe: VolumeRecipe) -> None:
    """Refuse a recipe of more than volumes whose chunks are files.

    Raises
    ------
    RecipeError
    """
    if recipe.descriptors is not None:
        raise RecipeError("descriptors: found options, expected none: a virtual store holds volumes only")
    if recipe.storage.shard is not None:
        raise RecipeError(
            f"storage.shard: found {recipe.storage.shard}, expected none: each chunk of a virtual store is a file"
        )


def virtual_volumes(model: VolumeModel, recipe: VolumeRecipe, bundle: Bundle, frozen: Frozen) -> VirtualVolumes:
    """Plan a virtual store of volumes; arguments and errors as in :meth:`nmcdist.products.kind.Kind.virtual_plan`."""
    check_virtual(recipe)
    if frozen:
        raise InputError(
            f"frozen: found {shown(dict(frozen))}, expected nothing: the recipe fixes the sizes of volumes"
        )
    changes = model.changes(recipe, bundle)
    levels = [bundle.with_parameters(**change) for change in changes]
    layout = store_layout(model, recipe, bundle, levels, by_blocks=False)
    return VirtualVolumes(recipe, _in_few_chunks(layout), changes, model.divisible)


def _in_few_chunks(layout: Layout) -> Layout:
    """Return a layout each of whose coordinates is one chunk, so that opening a store reads few files."""
    coordinates = tuple(dataclasses.replace(c, chunk=None) for c in layout.coordinates)
    volumes = tuple(v for v in layout.variables if v.name == VOLUME)
    return dataclasses.replace(
        layout, variables=volumes, coordinates=coordinates, attrs={**layout.attrs, VIRTUAL_ATTRIBUTE: 1}
    )
