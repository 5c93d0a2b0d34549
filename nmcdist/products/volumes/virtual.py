"""Virtual stores of volumes: a task makes a chunk of a divisible model, or all chunks of a volume of any other."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import VIRTUAL_ATTRIBUTE, Box, Layout, Variable
from nmcdist.errors import InputError, RecipeError
from nmcdist.products.virtual import Frozen, VirtualPlan
from nmcdist.products.volumes.layout import store_layout, volume_of
from nmcdist.products.volumes.model import VolumeModel
from nmcdist.products.volumes.plan import VolumeTask
from nmcdist.products.volumes.recipe import VolumeRecipe
from nmcdist.wording import shown


@dataclass(frozen=True)
class VirtualVolumes(VirtualPlan):
    """Windows of volumes, computed one by one; whole volumes, if the model is not divisible.

    Attributes
    ----------
    model : VolumeModel
    changes : sequence of Mapping
        For each point of the sweep or the design, the bundle parameters that it sets.
    """

    recipe: VolumeRecipe
    model: VolumeModel
    changes: Sequence[Mapping[str, float]]

    def layout(self) -> Layout:
        """Return the layout of a run, but with coordinates of one chunk, so that opening a store reads few files."""
        levels = [self.bundle.with_parameters(**change) for change in self.changes]
        layout = store_layout(self.model, self.recipe, self.bundle, levels, by_blocks=False)
        coordinates = tuple(dataclasses.replace(c, chunk=None) for c in layout.coordinates)
        return dataclasses.replace(
            layout, variables=self.variables, coordinates=coordinates, attrs={**layout.attrs, VIRTUAL_ATTRIBUTE: 1}
        )

    def task(self, variable: Variable, index: tuple[int, ...]) -> VolumeTask:
        """Return the task that makes a chunk."""
        sample = index[0]
        shape = self.recipe.volume.shape
        box: Box = ((0, shape[0]), (0, shape[1]), (0, shape[2]))
        name, files = f"item-{sample}", tuple(variable.files(sample)) if not self.model.divisible else ()
        if self.model.divisible:
            (z, y, x) = (
                (k * c, min((k + 1) * c, n)) for k, c, n in zip(index[1:], variable.chunks[1:], shape, strict=True)
            )
            box, files = (z, y, x), (variable.file(index),)
            name += "-chunk-" + "-".join(map(str, index[1:]))
        return VolumeTask(
            name=name, sample=sample, files=files, changes=self.changes[self.recipe.item(sample).point], box=box,
            window=box, is_block=self.model.divisible, stream=self.recipe.stream_of(sample), fidelity=0,
        )  # fmt: skip

    def witnesses(self) -> tuple[VolumeTask, ...]:
        """Return the task of the last chunk of the last volume: no chunk is smaller."""
        (variable,) = self.variables
        last = tuple(-(-n // c) - 1 for n, c in zip(variable.shape, variable.chunks, strict=True))
        return (self.task(variable, last),)


def check_virtual(recipe: VolumeRecipe) -> None:
    """Refuse a recipe of more than volumes whose chunks are files.

    Raises
    ------
    RecipeError
    """
    if recipe.descriptors is not None:
        raise RecipeError("descriptors: found options, expected none: a virtual store of volumes holds no descriptors")
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
    return VirtualVolumes(recipe, bundle, (volume_of(model, recipe),), model, model.changes(recipe, bundle))
