"""The interface of models of label volumes, which plans, layouts and tasks of a kind use."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import Box, Coordinate, Shape
from nmcdist.descriptors.quantity import Quantity
from nmcdist.products.points import changes_at_points, parameter_coordinate

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Labels:
    """A label volume, the argument of the functions that measure quantities.

    Attributes
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
    voxel_size_nm : float
    """

    labels: np.ndarray
    voxel_size_nm: float


class VolumeModel(ABC):
    """A model whose items are label volumes: how they are drawn, described and laid out.

    Attributes
    ----------
    name : str
        Name of the kind of dataset.
    phases : tuple of str
        Names of the labels 0, 1, ...
    quantities : tuple of Quantity
        Descriptors, each with a function that measures it on :class:`Labels`.
    divisible : bool
        Whether volumes can be made in blocks.
    material : str
        What the volumes show, for the readers of a store; may be empty.
    """

    name: ClassVar[str]
    phases: ClassVar[tuple[str, ...]]
    quantities: ClassVar[tuple[Quantity, ...]] = ()
    divisible: ClassVar[bool] = False
    material: ClassVar[str] = ""

    @abstractmethod
    def draw(self, bundle: Bundle, recipe: Any, item: int, window: Box) -> np.ndarray:
        """Draw a window of an item.

        Parameters
        ----------
        bundle : Bundle
            Bundle with the parameters set by the sweep.
        recipe : VolumeRecipe
        item : int
            Index of the random streams, the same for all values of a sweep.
        window : Box
            Voxels along z, y, x; for a kind that is not divisible always the whole volume.

        Returns
        -------
        ndarray of uint8
        """

    def empty(self, recipe: Any, *, by_blocks: bool) -> "xr.Dataset":
        """Return the descriptors of an item without values: their names, dimensions, types, units and coordinates.

        Parameters
        ----------
        recipe : VolumeRecipe
            Its `descriptors` are not None.
        by_blocks : bool
            Whether to return only those that add up over the blocks of a volume.
        """
        import xarray as xr

        return xr.Dataset({row.name: ((), np.zeros((), row.dtype), row.attrs) for row in self.quantities})

    def describe(self, recipe: Any, volume: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return every descriptor of a whole volume, by name."""
        labels = Labels(volume, recipe.volume.voxel_size_nm)
        return {row.name: np.asarray(row.measure(labels), row.dtype) for row in self.quantities if row.measure}

    def recorded(self, recipe: Any, point: Mapping[str, float]) -> Mapping[str, np.ndarray]:
        """Return further values of an item, by name: what its task was given; by default none."""
        return {}

    def redrawn(self, bundle: Bundle, recipe: Any, item: int, window: Box) -> Mapping[str, np.ndarray]:
        """Return further values of an item, by name, for which it is drawn again; arguments as of :meth:`draw`.

        By default none. They need whole volumes: see `whole_only` of the recipe.
        """
        return {}

    def results(self, recipe: Any, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """Return what the receipt of an item says of its descriptors; by default nothing."""
        return None

    def summary(self, recipe: Any) -> str:
        """Return what a store of a recipe holds, in a few sentences for its readers."""
        voxels, size = " x ".join(map(str, recipe.volume.shape)), recipe.volume.voxel_size_nm
        labels = ", ".join(f"{label} {name}" for label, name in enumerate(self.phases))
        what = f"virtual volumes of {self.material}" if self.material else "virtual volumes"
        parts = [
            f"{recipe.samples} {what}, drawn from a stochastic model: {voxels} voxels of {size:g} nm along z, y, x."
        ]
        parts.append(f"The voxels of volume hold phases: {labels}." if recipe.storage.volumes else f"Phases: {labels}.")
        if recipe.varied:
            several = "model parameters" if len(recipe.varied) > 1 else "model parameter"
            takes = "are varied over" if len(recipe.varied) > 1 else "takes"
            what = "points" if recipe.design else "values"
            counts = f"{recipe.points} {what}, with {recipe.realisations} realisations of each"
            parts.append(f"The {several} {', '.join(recipe.varied)} {takes} {counts}.")
        parts += [
            f"Every {fidelity.every} volumes, one is drawn again with voxels of {fidelity.voxel_size_nm:g} nm: the "
            "same realisation in the same window."
            for fidelity in recipe.fidelities
        ]
        if recipe.descriptors is not None:
            parts.append("Each volume has descriptors.")
        return " ".join(parts)

    def halo(self, recipe: Any) -> int:
        """Return the width in voxels of the halo that the descriptors of a block need."""
        return 0

    def describe_block(self, recipe: Any, window: np.ndarray, core: tuple[slice, ...]) -> dict[str, np.ndarray]:
        """Return the contribution of a block to the descriptors of its volume."""
        raise NotImplementedError(f"{self.name}: is not divisible")

    def describe_from_blocks(self, recipe: Any, partials: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the descriptors of a volume from the sum of its blocks' contributions."""
        raise NotImplementedError(f"{self.name}: is not divisible")

    def describe_bytes(self, recipe: Any, *, by_blocks: bool) -> float:
        """Return the bytes per voxel of the window that describing needs."""
        return 0.0 if recipe.descriptors is None else 25.0

    def draw_bytes(self, recipe: Any, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the bytes that drawing a window needs besides its voxels."""
        return 0.0

    def changes(self, recipe: Any, bundle: Bundle) -> list[dict[str, float]]:
        """Return, for each point of the sweep or the design, the bundle parameters that it sets.

        Raises
        ------
        RecipeError
            If a varied parameter is unknown or has an impossible value.
        """
        return changes_at_points(recipe, bundle)

    def grain_diameter_nm(self, bundle: Bundle) -> float | None:
        """Return the mean diameter of the largest grains, which a window should hold several times; None without."""
        return None

    def coordinates(self, recipe: Any, levels: Sequence[Bundle]) -> tuple[Coordinate, ...]:
        """Return the coordinates of the samples that are known in advance: by default the varied parameters."""
        return tuple(parameter_coordinate(name, recipe, levels) for name in recipe.varied)
