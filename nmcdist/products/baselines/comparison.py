"""Comparisons of generators (kind "comparison"): the additive, and baseline generators that are matched to it."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import SAMPLE, Box, Coordinate, Shape
from nmcdist.errors import InputError
from nmcdist.products.baselines.comparison_recipe import NEURAL, REFERENCE, ComparisonRecipe
from nmcdist.products.baselines.matching import ADDITIVE, drawn_by, matched
from nmcdist.products.kind import Site
from nmcdist.products.points import by_point
from nmcdist.products.registry import register
from nmcdist.products.virtual import Frozen
from nmcdist.products.volumes.labelled import LabelledKind
from nmcdist.products.volumes.layout import WINDOW_RATIO
from nmcdist.products.volumes.plan import VolumePlan

if TYPE_CHECKING:
    from nmcdist.descriptors.labelled import Scheme


class Comparison(LabelledKind):
    """The additive and baseline generators, as two phases."""

    name = "comparison"
    recipe: ClassVar[type[ComparisonRecipe]] = ComparisonRecipe
    own_field = "generators"
    phases = ("pore", "solid")
    material = "the binder-conductive additive of a battery cathode, and of generators that were matched to it"

    def plan(self, recipe: Any, bundle: Bundle, site: Site) -> VolumePlan:
        """Plan a run; a generator that cannot be matched to the bundle is refused."""
        bundle.cba()
        own = {name: matched(name, bundle, recipe) for name in recipe.generators}
        plan = super().plan(recipe, bundle, site)
        if NEURAL not in own:
            return plan
        # Its path in the recipe does not say which bundle it is.
        both = hashlib.sha256(f"{plan.fingerprint} {own[NEURAL].content_hash}".encode()).hexdigest()
        layout = dataclasses.replace(plan.layout, attrs={**plan.layout.attrs, "fingerprint": both})
        return dataclasses.replace(plan, fingerprint=both, layout=layout)

    def draw(self, bundle: Bundle, recipe: Any, item: int, window: Box) -> np.ndarray:
        """Draw an item, as two phases: all but the pores is solid."""
        name = recipe.names[recipe.item(item).point]
        model, own = drawn_by(name, bundle, recipe)
        return np.asarray(model.draw(own, recipe, item, window) != 0, dtype=np.uint8)

    def draw_bytes(self, recipe: Any, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the bytes that the generator with the largest needs takes besides the voxels."""
        models = (drawn_by(name, bundle, recipe) for name in recipe.names)
        return max(model.draw_bytes(recipe, own, window, threads) for model, own in models)

    def changes(self, recipe: Any, bundle: Bundle) -> list[dict[str, float]]:
        """Return no changes: each generator has a bundle of its own."""
        return [{}] * recipe.points

    def coordinates(self, recipe: Any, levels: Sequence[Bundle]) -> tuple[Coordinate, ...]:
        """Return the name of the generator, and how often the largest grains of the reference fit into the window."""
        names = np.array(recipe.names)[recipe.items()[:, 0]]
        about = {"units": "1", "long_name": f"generator; {REFERENCE}: the additive of the bundle"}
        found = [Coordinate("generator", (SAMPLE,), names, about)]
        diameter = ADDITIVE.grain_diameter_nm(levels[0])
        if diameter is not None:
            edge = min(recipe.volume.shape) * recipe.volume.voxel_size_nm
            about = {"units": "1", "long_name": "shortest edge of the window over the mean diameter of the largest "
                     "grains of the reference"}  # fmt: skip
            found.append(by_point(WINDOW_RATIO, [edge / diameter] * recipe.points, recipe, about))
        return tuple(found)

    def summary(self, recipe: Any) -> str:
        """Return what the store holds."""
        return (
            f"{recipe.samples} volumes of {self.material}: {recipe.realisations} of the reference and of each of "
            f"{', '.join(recipe.generators)}. The coordinate generator says which. Phases: 0 pore, 1 solid. Each "
            "volume has descriptors."
        )

    @classmethod
    def scheme(cls) -> "Scheme":
        """Return what the labels mean."""
        from nmcdist.descriptors.labelled import TWO_PHASES

        return TWO_PHASES

    def freeze(self, recipe: Any, bundle: Bundle) -> dict[str, Any]:
        """Refuse virtual comparisons: a chunk may take minutes."""
        raise InputError(f"kind {self.name!r}: has no virtual stores")

    def virtual_plan(self, recipe: Any, bundle: Bundle, frozen: Frozen) -> Any:
        """Refuse virtual comparisons; see :meth:`freeze`."""
        return self.freeze(recipe, bundle)

    def report(
        self, store: Path, recipe: Any, folder: Path, *, voxel_sizes_nm: tuple[float, ...] = (),
        progress: Callable[[str], None] = lambda line: None,
    ) -> Path:  # fmt: skip
        """Write tables, figures and the page of a comparison."""
        from nmcdist.products.baselines.comparison_report import report_comparison

        if voxel_sizes_nm:
            raise InputError(f"{store}: is a comparison, which has no resolution study")
        return report_comparison(store, recipe, folder)


register(Comparison())
