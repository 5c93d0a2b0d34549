"""The particles of a virtual store, drawn when they are asked for."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import load_bundle
from nmcdist.datasets.particles import Records
from nmcdist.errors import StoreError
from nmcdist.models.orientation import crystal_orientations
from nmcdist.models.particle import Particle, ParticleModel
from nmcdist.products.particles.recipe import ParticleRecipe
from nmcdist.products.virtual import BUNDLE_FOLDER


class DrawnRecords(Records):
    """The records that the chunks of a virtual store hold, without these chunks.

    Parameters
    ----------
    store : Path
    recipe : ParticleRecipe
        The recipe of the store.

    Raises
    ------
    BundleError
        If the bundle of the store is damaged.
    """

    def __init__(self, store: Path, recipe: ParticleRecipe) -> None:
        self.store, self._recipe = store, recipe
        self._last: Particle | None = None  # its grains and its orientations are asked for one after the other
        self._model = ParticleModel.from_bundle(load_bundle(store / BUNDLE_FOLDER))

    def particle(self, item: int) -> Particle:
        """Draw one particle; StoreError if there is no such item."""
        if not 0 <= item < self._recipe.samples:
            raise StoreError(f"{self.store}: item {item} does not exist, expected 0 to {self._recipe.samples - 1}")
        if self._last is None or self._last.index != item:
            self._last = self._model.draw(self._recipe.seed, item)
        return self._last

    def orientations(self, item: int) -> dict[int, np.ndarray]:
        """Draw the crystal orientations of one particle, by label; empty if the recipe has none."""
        if self._recipe.orientations is None:
            return {}
        turns = crystal_orientations(
            self.particle(item).seeds_nm, self._recipe.orientations.concentration, self._recipe.seed, item
        )  # fmt: skip
        return dict(enumerate(turns.astype(np.float32), start=1))

    def grains(self, item: int) -> Any:
        """Raise StoreError: the grains of a virtual store are not measured."""
        raise StoreError(f"{self.store}: is virtual, so its grains were not measured; make a store with `nmcdist run`")
