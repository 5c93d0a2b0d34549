"""Campaigns of the additive (kind "campaign"): descriptors of every evaluated volume and of every confirmation."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.bundle.parameters import unit_of
from nmcdist.datasets.layout import Coordinate, Shape
from nmcdist.descriptors.cba import CONDUCTIONS, PHASES
from nmcdist.errors import InputError
from nmcdist.products.campaigns.plan import RESULTS, CampaignPlan
from nmcdist.products.campaigns.recipe import QUANTITIES, CampaignRecipe
from nmcdist.products.kind import Site
from nmcdist.products.points import changes_of
from nmcdist.products.registry import register
from nmcdist.products.virtual import Frozen
from nmcdist.products.volumes.additive import DERIVED_CHANGES, Additive
from nmcdist.products.volumes.additive_recipe import AdditiveRecipe

if TYPE_CHECKING:
    import xarray as xr

_ABOUT = {
    "graphite_fraction": "volume fraction of graphite by theory, V1",
    "large_pore_fraction": "volume fraction of the large pores by theory, V3",
}


class Campaign(Additive):
    """Evaluations of the additive, each at a point that earlier results chose."""

    name = "campaign"
    recipe: ClassVar[type[AdditiveRecipe]] = CampaignRecipe
    own_field = "goal"
    divisible = False

    def plan(self, recipe: Any, bundle: Bundle, site: Site) -> CampaignPlan:
        """Plan a campaign; a space with impossible parameters is refused."""
        _corners(recipe, bundle)
        plan = super().plan(recipe, bundle, site)
        return CampaignPlan(**vars(plan), bundle=bundle)

    def changes(self, recipe: Any, bundle: Bundle) -> list[dict[str, float]]:
        """Return no changes: points are chosen later."""
        return [{}] * recipe.points

    def draw_bytes(self, recipe: Any, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the most bytes that drawing needs at a corner of the space."""
        corners = _corners(recipe, bundle)
        return max(Additive.draw_bytes(self, recipe, corner, window, threads) for corner in corners)

    def coordinates(self, recipe: Any, levels: Sequence[Bundle]) -> tuple[Coordinate, ...]:
        """Return none: parameters are recorded with each item."""
        return ()

    def grain_diameter_nm(self, bundle: Bundle) -> float | None:
        """Return None: it differs between the points."""
        return None

    def empty(self, recipe: Any, *, by_blocks: bool) -> "xr.Dataset":
        """Return descriptors and the parameters of the space, without values."""
        found = super().empty(recipe, by_blocks=by_blocks)
        for name in recipe.varied:
            unit = unit_of(CbaParameters, name) if name in CbaParameters.model_fields else "1"
            about = _ABOUT.get(name) or CbaParameters.model_fields[name].description
            found[name] = ((), np.nan, {"units": unit, "long_name": str(about)})
        return found

    def describe(self, recipe: Any, volume: np.ndarray) -> dict[str, np.ndarray]:
        """Return every descriptor of a volume, by name."""
        found = super().describe(recipe, volume)
        return {name: values for name, values in found.items() if name not in recipe.varied}

    def recorded(self, recipe: Any, point: Mapping[str, float]) -> Mapping[str, np.ndarray]:
        """Return the parameters of an item's point."""
        return {name: np.array(value) for name, value in point.items()}

    def results(self, recipe: Any, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the quantities of the goal."""
        return {RESULTS: np.array([_quantity(values, name) for name in recipe.goal.names])}

    def summary(self, recipe: Any) -> str:
        """Return what the store holds."""
        goal = ", ".join(recipe.goal.names)
        confirmed = recipe.confirm.answers * recipe.confirm.realisations
        again = "".join(
            f"{len(recipe.pairs(recipe.evaluations))} of their volumes drawn again with voxels of "
            f"{fidelity.voxel_size_nm:g} nm, the same realisations in the same windows (fidelity 1), "
            for fidelity in recipe.fidelities
        )
        return (
            f"{recipe.samples} virtual volumes of {self.material}: {recipe.evaluations} points of the parameters "
            f"{', '.join(recipe.varied)}, chosen one after another for {goal}, {again}and {confirmed} fresh volumes "
            f"that confirm the answers (fidelity {len(recipe.specs) - 1}). Each volume has descriptors."
        )

    def freeze(self, recipe: Any, bundle: Bundle) -> dict[str, Any]:
        """Refuse virtual campaigns: an item depends on others."""
        raise InputError(f"kind {self.name!r}: has no virtual stores, because its points depend on results")

    def virtual_plan(self, recipe: Any, bundle: Bundle, frozen: Frozen) -> Any:
        """Refuse virtual campaigns; see :meth:`freeze`."""
        return self.freeze(recipe, bundle)

    def report(
        self, store: Path, recipe: Any, folder: Path, *, voxel_sizes_nm: tuple[float, ...] = (),
        progress: Callable[[str], None] = lambda line: None,
    ) -> Path:  # fmt: skip
        """Write answers, bundles, figures and the page of a campaign."""
        from nmcdist.products.campaigns.report import report_campaign

        if voxel_sizes_nm:
            raise InputError(f"{store}: is a campaign, which has no resolution study")
        return report_campaign(store, recipe, folder)


def _quantity(values: Mapping[str, np.ndarray], name: str) -> float:
    variable, label, _ = QUANTITIES[name]
    labels = tuple(CONDUCTIONS) if variable == "m_factor_mean" else PHASES
    return float(values[variable][labels.index(label)])


def _corners(recipe: CampaignRecipe, bundle: Bundle) -> list[Bundle]:
    """Return the bundle at the corners of the space."""
    bundle.cba()
    space, found = recipe.space.space, []
    for unit in itertools.product((0.0, 1.0), repeat=space.dimensions):
        changes = changes_of(bundle, space.point(np.array(unit)), DERIVED_CHANGES, "space.parameters")
        found.append(bundle.with_parameters(**changes))
    return found


register(Campaign())
