"""Label volumes of the additive phase: how they are drawn, described and laid out (kind "volumes")."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import Box, Coordinate, Shape
from nmcdist.errors import RecipeError
from nmcdist.products.kind import Site
from nmcdist.products.registry import register
from nmcdist.products.volumes.additive_recipe import DERIVED, GRAPHITE_FRACTION, LARGE_PORE_FRACTION, AdditiveRecipe
from nmcdist.products.volumes.kind import VolumeKind
from nmcdist.products.volumes.plan import VolumePlan
from nmcdist.products.volumes.points import by_point, changes_at_points, parameter_coordinate

if TYPE_CHECKING:
    import xarray as xr

MOST_LAGS = 1000  # voxels; the number of lattice vectors grows with the cube

# Bytes per voxel: measured peak resident memory of tasks with 96^3 to 320^3 voxels of 20 and 80 nm, rounded up by at
# least a fifth.
DESCRIBE_BLOCK = 20.0  # masks, configurations and spectra of the pair counts
DESCRIBE_WHOLE = 25.0  # distance transforms, sorted voxels and path lengths
DESCRIBE_TRANSPORT = 45.0  # the multigrid solver


class Additive(VolumeKind):
    """The additive phase, drawn window by window from one infinite realisation."""

    name = "volumes"
    recipe: ClassVar[type[AdditiveRecipe]] = AdditiveRecipe
    own_field = "volume"
    phases = ("pore", "carbon_binder", "graphite")
    divisible: ClassVar[bool] = True
    material: ClassVar[str] = "the binder-conductive additive of a battery cathode"

    def plan(self, recipe: AdditiveRecipe, bundle: Bundle, site: Site) -> VolumePlan:
        """Plan a run; two-point functions with too many lags to count are refused."""
        bundle.cba()
        _check_lags(recipe)
        return super().plan(recipe, bundle, site)

    def draw(self, bundle: Bundle, recipe: AdditiveRecipe, item: int, window: Box) -> np.ndarray:
        """Draw a window of an item."""
        from nmcdist.models.cba import generate_cba

        (z, y, x) = window
        shape, origin = (z[1] - z[0], y[1] - y[0], x[1] - x[0]), (z[0], y[0], x[0])
        return generate_cba(bundle, shape, recipe.volume.voxel_size_nm, seed=recipe.seed, index=item, origin=origin)

    def draw_bytes(self, recipe: AdditiveRecipe, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the bytes of the germs and the noise of a window."""
        from nmcdist.models.cba import draw_bytes

        return draw_bytes(bundle.cba(), window, recipe.volume.voxel_size_nm, threads)

    def describe(self, recipe: AdditiveRecipe, volume: np.ndarray) -> dict[str, np.ndarray]:
        """Return every descriptor of a whole volume, by name."""
        from nmcdist.descriptors.cba import describe_cba

        return _values(describe_cba(volume, recipe.volume.voxel_size_nm, **_options(recipe)))

    def empty(self, recipe: AdditiveRecipe, *, by_blocks: bool) -> "xr.Dataset":
        """Return the descriptors without values."""
        from nmcdist.descriptors.cba import descriptor_layout

        volume = recipe.volume
        return descriptor_layout(volume.shape, volume.voxel_size_nm, **_options(recipe), blockwise_only=by_blocks)

    def halo(self, recipe: AdditiveRecipe) -> int:
        """Return the width in voxels of the halo that the descriptors of a block need."""
        from nmcdist.descriptors.cba import halo_voxels

        return 0 if recipe.descriptors is None else halo_voxels(self.empty(recipe, by_blocks=True))

    def describe_block(
        self, recipe: AdditiveRecipe, window: np.ndarray, core: tuple[slice, ...]
    ) -> dict[str, np.ndarray]:
        """Return the contribution of a block to the descriptors of its volume."""
        from nmcdist.descriptors.cba import block_partials

        return block_partials(window, core, self.empty(recipe, by_blocks=True))

    def describe_from_blocks(self, recipe: AdditiveRecipe, partials: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the descriptors of a volume from the sum of its blocks' contributions."""
        from nmcdist.descriptors.cba import describe_from_partials

        return _values(
            describe_from_partials(partials, self.empty(recipe, by_blocks=True), recipe.volume.voxel_size_nm)
        )

    def describe_bytes(self, recipe: AdditiveRecipe, *, by_blocks: bool) -> float:
        """Return the bytes per voxel of the window that describing needs."""
        if recipe.descriptors is None:
            return 0.0
        if by_blocks:
            return DESCRIBE_BLOCK
        return max(DESCRIBE_TRANSPORT, DESCRIBE_WHOLE) if recipe.descriptors.transport else DESCRIBE_WHOLE

    def changes(self, recipe: AdditiveRecipe, bundle: Bundle) -> list[dict[str, float]]:
        """Return, for each point of the sweep or the design, the bundle parameters that it sets."""
        return changes_at_points(recipe, bundle, DERIVED_CHANGES)

    def grain_diameter_nm(self, bundle: Bundle) -> float | None:
        """Return twice the largest mean half-axis, of graphite plates or large pores."""
        p = bundle.cba()
        return 2 * max(p.alpha_1 / p.gamma_per_nm, p.alpha_2 / p.gamma_per_nm, 1 / p.theta_per_nm)

    def coordinates(self, recipe: AdditiveRecipe, levels: Sequence[Bundle]) -> tuple[Coordinate, ...]:
        """Return graphite intensity and fraction, and the varied parameters with what they set."""
        from nmcdist.models import theory

        sets = {"lambda_Y_per_nm3"} if LARGE_PORE_FRACTION in recipe.varied else set[str]()
        names = {"lambda_X_per_nm3", *recipe.varied, *sets} - set(DERIVED)
        found = [parameter_coordinate(name, recipe, levels) for name in sorted(names)]
        parameters = [level.cba() for level in levels]
        attrs = {"units": "1", "long_name": "volume fraction of graphite by theory, V1"}
        found.append(by_point(GRAPHITE_FRACTION, [theory.graphite_fraction(p) for p in parameters], recipe, attrs))
        if LARGE_PORE_FRACTION in recipe.varied:
            attrs = {"units": "1", "long_name": "volume fraction of the large pores by theory, V3"}
            values = [theory.large_pore_fraction(p) for p in parameters]
            found.append(by_point(LARGE_PORE_FRACTION, values, recipe, attrs))
        return tuple(found)

    def report(
        self, store: Path, recipe: AdditiveRecipe, folder: Path, *, voxel_sizes_nm: tuple[float, ...] = (),
        progress: Callable[[str], None] = lambda line: None,
    ) -> Path:  # fmt: skip
        """Write the report of a sweep: property against structure, with theory and paper."""
        from nmcdist.products.volumes.report import report_volumes

        return report_volumes(store, recipe, folder, voxel_sizes_nm, progress)


def _graphite_intensity(bundle: Bundle, fraction: float) -> dict[str, float]:
    from nmcdist.models.theory import intensity_for_graphite_fraction

    return {"lambda_X_per_nm3": intensity_for_graphite_fraction(bundle.cba(), fraction)}


def _large_pore_intensity(bundle: Bundle, fraction: float) -> dict[str, float]:
    from nmcdist.models.theory import intensity_for_large_pore_fraction

    return {"lambda_Y_per_nm3": intensity_for_large_pore_fraction(bundle.cba(), fraction)}


DERIVED_CHANGES = {GRAPHITE_FRACTION: _graphite_intensity, LARGE_PORE_FRACTION: _large_pore_intensity}


def _options(recipe: AdditiveRecipe) -> dict[str, Any]:
    assert recipe.descriptors is not None
    return recipe.descriptors.model_dump()


def _values(dataset: "xr.Dataset") -> dict[str, np.ndarray]:
    return {str(name): np.asarray(variable.values) for name, variable in dataset.data_vars.items()}


def _check_lags(recipe: AdditiveRecipe) -> None:
    """Refuse two-point functions with too many lags to count."""
    if recipe.descriptors is None:
        return
    voxel = recipe.volume.voxel_size_nm
    lags = min(recipe.descriptors.max_lag_nm, min(recipe.volume.shape) * voxel / 2) / voxel
    if lags > MOST_LAGS:
        raise RecipeError(
            f"descriptors.max_lag_nm: found {recipe.descriptors.max_lag_nm:g} nm, which is {lags:.0f} voxels of "
            f"{voxel:g} nm, expected at most {MOST_LAGS} voxels"
        )


register(Additive())
