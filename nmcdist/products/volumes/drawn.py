"""The volumes of a virtual store, drawn when they are asked for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.bundle import load_bundle
from nmcdist.datasets.layout import Box
from nmcdist.datasets.volumes import Volumes
from nmcdist.products.virtual import BUNDLE_FOLDER
from nmcdist.products.volumes.model import VolumeModel
from nmcdist.products.volumes.recipe import VolumeRecipe
from nmcdist.products.volumes.virtual import VirtualVolumes, virtual_volumes


@dataclass(frozen=True)
class DrawnVolumes(Volumes):
    """The volumes that the chunks of a virtual store hold, without these chunks.

    Attributes
    ----------
    plan : VirtualVolumes
    """

    plan: VirtualVolumes

    @classmethod
    def by(cls, model: VolumeModel, store: Path, recipe: VolumeRecipe) -> "DrawnVolumes":
        """Return the volumes of a virtual store.

        Raises
        ------
        BundleError, StoreError
            If the store is damaged.
        """
        said = Volumes.of(store)
        plan = virtual_volumes(model, recipe, load_bundle(store / BUNDLE_FOLDER), {})
        return cls(store, said.count, said.shape, said.voxel_size_nm, said.names, plan)

    def block(self, item: int, box: Box | None = None) -> np.ndarray:
        """Draw one volume, or a box of it; the model decides whether it must draw the whole volume for that."""
        self.check(item)
        nz, ny, nx = self.shape
        whole: Box = ((0, nz), (0, ny), (0, nx))
        box = box or whole
        plan, recipe = self.plan, self.plan.recipe
        bundle = plan.bundle.with_parameters(**plan.changes[recipe.item(item).point])
        if plan.model.divisible:
            return plan.model.draw(bundle, recipe, recipe.stream_of(item), box)
        z, y, x = (slice(*part) for part in box)
        return plan.model.draw(bundle, recipe, recipe.stream_of(item), whole)[z, y, x]
