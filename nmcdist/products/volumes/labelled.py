"""Kinds of label volumes that are described as a scheme of phases says."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.products.volumes.kind import VolumeKind

if TYPE_CHECKING:
    import xarray as xr

    from nmcdist.descriptors.labelled import Scheme

# Bytes per voxel: measured peak resident memory of tasks with 96^3 to 320^3 voxels of 20 and 80 nm, rounded up by at
# least a fifth.
DESCRIBE_BLOCK = 20.0  # masks, configurations and spectra of the pair counts
DESCRIBE_WHOLE = 25.0  # distance transforms, sorted voxels and path lengths
DESCRIBE_TRANSPORT = 45.0  # the multigrid solver


class LabelledKind(VolumeKind):
    """Label volumes whose descriptors are those of phases and conduction problems.

    A new kind also defines `scheme`.
    """

    @classmethod
    @abstractmethod
    def scheme(cls) -> "Scheme":
        """Return what the labels mean; not an attribute, so that a recipe is read without the descriptors."""

    def describe(self, recipe: Any, volume: np.ndarray) -> dict[str, np.ndarray]:
        """Return every descriptor of a whole volume, by name."""
        from nmcdist.descriptors.labelled import describe

        return _values(describe(self.scheme(), volume, recipe.volume.voxel_size_nm, **_options(recipe)))

    def empty(self, recipe: Any, *, by_blocks: bool) -> "xr.Dataset":
        """Return the descriptors without values."""
        from nmcdist.descriptors.labelled import layout_of

        volume = recipe.volume
        return layout_of(
            self.scheme(), volume.shape, volume.voxel_size_nm, **_options(recipe), blockwise_only=by_blocks
        )

    def halo(self, recipe: Any) -> int:
        """Return the width in voxels of the halo that the descriptors of a block need."""
        from nmcdist.descriptors.labelled import halo_voxels

        return 0 if recipe.descriptors is None else halo_voxels(self.empty(recipe, by_blocks=True))

    def describe_block(self, recipe: Any, window: np.ndarray, core: tuple[slice, ...]) -> dict[str, np.ndarray]:
        """Return the contribution of a block to the descriptors of its volume."""
        from nmcdist.descriptors.labelled import partials_of

        return partials_of(self.scheme(), window, core, self.empty(recipe, by_blocks=True))

    def describe_from_blocks(self, recipe: Any, partials: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the descriptors of a volume from the sum of its blocks' contributions."""
        from nmcdist.descriptors.labelled import from_partials

        empty = self.empty(recipe, by_blocks=True)
        return _values(from_partials(self.scheme(), partials, empty, recipe.volume.voxel_size_nm))

    def describe_bytes(self, recipe: Any, *, by_blocks: bool) -> float:
        """Return the bytes per voxel of the window that describing needs."""
        if recipe.descriptors is None:
            return 0.0
        if by_blocks:
            return DESCRIBE_BLOCK
        return max(DESCRIBE_TRANSPORT, DESCRIBE_WHOLE) if recipe.descriptors.transport else DESCRIBE_WHOLE


def _options(recipe: Any) -> dict[str, Any]:
    options: dict[str, Any] = recipe.descriptors.model_dump()
    return options


def _values(dataset: "xr.Dataset") -> dict[str, np.ndarray]:
    return {str(name): np.asarray(variable.values) for name, variable in dataset.data_vars.items()}
