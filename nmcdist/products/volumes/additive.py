"""Label volumes of the additive phase: how they are drawn, described and laid out (kind "volumes")."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import Box, Coordinate, Shape
from nmcdist.errors import RecipeError
from nmcdist.models.additive_wishes import ADDITIVE_WISHES
from nmcdist.models.interventions import INTERVENED, INTERVENTIONS
from nmcdist.products.kind import Site
from nmcdist.products.points import by_point, changes_at_points, parameter_coordinate
from nmcdist.products.registry import register
from nmcdist.products.volumes.additive_recipe import DERIVED, GRAPHITE_FRACTION, LARGE_PORE_FRACTION, AdditiveRecipe
from nmcdist.products.volumes.labelled import LabelledKind
from nmcdist.products.volumes.plan import VolumePlan

if TYPE_CHECKING:
    import xarray as xr

    from nmcdist.descriptors.labelled import Scheme

MOST_LAGS = 1000  # voxels; the number of lattice vectors grows with the cube


class Additive(LabelledKind):
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
        if recipe.interventions and not site.draws:
            raise RecipeError(
                f"interventions: found {', '.join(recipe.interventions)}, expected none: they are drawn, and stored "
                "volumes cannot be described again without their parts; run the recipe again"
            )
        return super().plan(recipe, bundle, site)

    def draw(self, bundle: Bundle, recipe: AdditiveRecipe, item: int, window: Box) -> np.ndarray:
        """Draw a window of an item."""
        from nmcdist.models.cba import generate_cba

        shape, origin = _shape_and_origin(window)
        return generate_cba(bundle, shape, recipe.volume.voxel_size_nm, seed=recipe.seed, index=item, origin=origin)

    def draw_bytes(self, recipe: AdditiveRecipe, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the bytes of the germs and the noise of a window."""
        from nmcdist.models.cba import draw_bytes

        return draw_bytes(bundle.cba(), window, recipe.volume.voxel_size_nm, threads)

    def redrawn(self, bundle: Bundle, recipe: AdditiveRecipe, item: int, window: Box) -> dict[str, np.ndarray]:
        """Return the M-factors of the pores under each intervention, shape (interventions, axes)."""
        if not recipe.interventions or recipe.descriptors is None:
            return {}
        from nmcdist.descriptors.labelled import AXES
        from nmcdist.learning.intervention import m_factors_of_parts

        shape, origin = _shape_and_origin(window)
        axes = [AXES.index(name) for name in recipe.descriptors.axes]
        where = bundle.cba(), shape, recipe.volume.voxel_size_nm, recipe.seed, item, origin
        found = [m_factors_of_parts(*where, INTERVENTIONS[name], axes) for name in recipe.interventions]
        return {INTERVENED: np.array(found)}

    def empty(self, recipe: AdditiveRecipe, *, by_blocks: bool) -> "xr.Dataset":
        """Return the descriptors without values, with the M-factors under interventions."""
        found = super().empty(recipe, by_blocks=by_blocks)
        if recipe.interventions and not by_blocks:
            names, axes = list(recipe.interventions), found.sizes["axis"]
            about = {"units": "1", "long_name": "intervention: the realisation is drawn from some of its parts"}
            found[INTERVENED] = (
                ("intervention", "axis"), np.full((len(names), axes), np.nan),
                {**found["m_factor"].attrs, "units": "1", "long_name": "M-factor of the pores under an intervention",
                 "description": "the same realisation, drawn from some of its parts; 0 where nothing conducts"},
            )  # fmt: skip
            found = found.assign_coords(intervention=("intervention", names, about))
        return found

    def describe_bytes(self, recipe: AdditiveRecipe, *, by_blocks: bool) -> float:
        """Return the bytes per voxel of the window that describing needs; a volume stays while it is drawn again."""
        return super().describe_bytes(recipe, by_blocks=by_blocks) + bool(recipe.interventions)

    def summary(self, recipe: AdditiveRecipe) -> str:
        """Return what a store of a recipe holds, with its interventions."""
        drawn = ", ".join(name.replace("_", " ") for name in recipe.interventions)
        more = f" The pores are also solved for with the same realisation drawn again: {drawn}." if drawn else ""
        return super().summary(recipe) + more

    @classmethod
    def scheme(cls) -> "Scheme":
        """Return what the labels mean."""
        from nmcdist.descriptors.cba import SCHEME

        return SCHEME

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


DERIVED_CHANGES = {name: ADDITIVE_WISHES[name] for name in DERIVED}


def _shape_and_origin(window: Box) -> tuple[Shape, Shape]:
    (z, y, x) = window
    return (z[1] - z[0], y[1] - y[0], x[1] - x[0]), (z[0], y[0], x[0])


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
