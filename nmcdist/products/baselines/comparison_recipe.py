"""Recipes of comparisons of generators (kind "comparison")."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from nmcdist.products.recipe import MOST_ITEMS, Line, as_tuple, each_once
from nmcdist.products.volumes.additive_recipe import DescriptorSpec
from nmcdist.products.volumes.recipe import Item, VolumeRecipe

Name = Literal[
    "fibres", "boolean-spheres", "hard-spheres", "soft-spheres", "level-cut", "annealed", "patterns", "neural"
]
NEURAL: Name = "neural"  # is trained before: that takes minutes
ALL: tuple[Name, ...] = (
    "fibres", "boolean-spheres", "hard-spheres", "soft-spheres", "level-cut", "annealed", "patterns",
)  # fmt: skip
REFERENCE = "reference"


class ComparisonRecipe(VolumeRecipe):
    """Volumes of the additive, and of baseline generators matched to it: 0 pore, 1 solid."""

    kind: Literal["comparison"] = "comparison"
    generators: Annotated[
        tuple[Name, ...],
        BeforeValidator(as_tuple),
        Field(min_length=1, max_length=len(ALL) + 1),
        AfterValidator(each_once),
    ] = Field(
        default=ALL,
        description="Baseline generators; each is matched to the additive of the bundle, but `neural`, which is "
        "trained before. Default: all but `neural`.",
    )
    neural: Line | None = Field(
        default=None,
        description="Bundle of the generator `neural`, built-in or the path of a folder, relative to where the command "
        "runs. `nmcdist calibrate baseline --kind neural` trains one, for minutes; a comparison does not.",
    )
    realisations: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = Field(
        default=5, description="Volumes of the additive and of each generator; the report needs three for a spread."
    )
    training: Annotated[int, Field(ge=8, le=1000)] = Field(
        default=100, description="Edge of the training image of `patterns`, in voxels."
    )
    descriptors: DescriptorSpec | None = DescriptorSpec()

    @model_validator(mode="after")
    def _compares_descriptors_at_one_point(self) -> Self:
        for name in ("sweep", "design", "fidelities"):
            if getattr(self, name):
                raise ValueError(f"{name}: found one, expected none: a comparison is made at one point")
        if self.descriptors is None:
            raise ValueError("descriptors: found none, expected options: a comparison needs its quantities")
        if (self.neural is not None) != (NEURAL in self.generators):
            raise ValueError(
                "neural: found none, expected the bundle of the generator of this name (nmcdist calibrate baseline "
                "--kind neural trains one, for minutes)" if self.neural is None
                else f"neural: found a bundle, expected {NEURAL!r} among the generators"
            )  # fmt: skip
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is compared, the reference first."""
        return (REFERENCE, *self.generators)

    @property
    def points(self) -> int:
        """Number of generators, with the reference."""
        return len(self.names)

    @property
    def point_name(self) -> str:
        """What a point is."""
        return "generator"

    def item(self, number: int) -> Item:
        """Return what an item is: its point is the number of its generator."""
        return Item(number // self.realisations, number % self.realisations, 0, number)

    def items(self) -> np.ndarray:
        """Return the table of all items; see :meth:`VolumeRecipe.items`."""
        return np.array([self.item(number) for number in range(self.samples)])

    def streams(self) -> np.ndarray:
        """Return the index of the random streams of each item."""
        return np.arange(self.samples)

    def stream_of(self, number: int) -> int:
        """Return the index of the random streams: each item is a fresh realisation."""
        return number
