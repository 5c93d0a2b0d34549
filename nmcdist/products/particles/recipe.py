"""Recipes of particle datasets: number, batches, and data stored besides the analytic records."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from nmcdist.products.design import DesignSpec
from nmcdist.products.recipe import (
    MOST_ITEMS,
    BaseRecipe,
    Chunk,
    Frozen,
    Nanometres,
    Shard,
    as_tuple,
    each_once,
)

VoxelSizes = Annotated[
    tuple[Nanometres, ...], BeforeValidator(as_tuple), Field(max_length=8), AfterValidator(each_once)
]
Heights = Annotated[
    tuple[Annotated[float, Field(ge=0, lt=1)], ...],
    BeforeValidator(as_tuple),
    Field(min_length=1, max_length=16),
    AfterValidator(each_once),
]


def label_name(voxel_size_nm: float) -> str:
    """Return the name of the variable with voxels of this size."""
    return f"labels_{voxel_size_nm:g}nm"


class ParticlesSpec(Frozen):
    """Number of particles, and number per batch; one task makes a batch, and one file contains it."""

    count: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = Field(
        description="Number of particles; with a design, for each of its points."
    )
    batch: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=50,
        description="Particles per batch: one task makes a batch, one file holds it. It divides `count` in a design.",
    )


class GrainSpec(Frozen):
    """How grains and planar sections are measured: voxel, pixel, and cut heights as fractions of the radius."""

    voxel_size_nm: Nanometres = Field(default=100.0, description="Voxel size for measuring grains.")
    pixel_size_nm: Nanometres = Field(default=50.0, description="Pixel size for measuring planar sections.")
    cut_heights: Heights = Field(
        default=(0.0, 0.3, 0.6, 0.8), description="Distances of the sections from the centre over the mean radius."
    )


class LabelSpec(Frozen):
    """Voxel volumes to store besides the records: their voxel sizes, and chunk and shard in voxels."""

    voxel_sizes_nm: VoxelSizes = Field(
        default=(), description="Voxel sizes in nm; each becomes a variable `labels_...nm`."
    )
    chunk: Chunk = Field(default=64, description="Edge of a chunk, in voxels.")
    shard: Shard = Field(
        default=512,
        description="Longest edge of a shard (one file), in voxels; at least `chunk`. `none`: each chunk is a file, as "
        "virtual stores need it.",
    )

    @model_validator(mode="after")
    def _is_sound(self) -> "LabelSpec":
        if self.shard is not None and self.shard < self.chunk:
            raise ValueError(f"shard: found {self.shard}, expected at least chunk = {self.chunk}")
        return self

    @field_validator("voxel_sizes_nm")
    @classmethod
    def _each_has_a_name(cls, sizes: tuple[float, ...]) -> tuple[float, ...]:
        named: dict[str, float] = {}
        for size in sizes:
            name = label_name(size)
            if name in named:
                raise ValueError(
                    f"found {named[name]!r} and {size!r}, whose variables would both be named {name}, expected sizes "
                    "that differ in their first six digits"
                )
            named[name] = size
        return sizes


class OrientationSpec(Frozen):
    """The law of the c axes: concentration about the radius (positive), or in the plane across it (negative)."""

    concentration: Annotated[float, Field(ge=-500, le=500)] = Field(
        description="Concentration of the c axes about the radius (positive), or in the plane across it (negative)."
    )


class ParticleRecipe(BaseRecipe):
    """A dataset of particles, each an analytic record."""

    kind: Literal["particles"] = "particles"

    particles: ParticlesSpec = Field(description="Number of particles, and number per batch.")
    descriptors: GrainSpec | None = Field(
        default=None, description="How grains and sections are measured; without it only shells are described."
    )
    labels: LabelSpec = Field(
        default=LabelSpec(),
        description="Voxel volumes to store besides the records, which render at any voxel size anyway.",
    )
    orientations: OrientationSpec | None = Field(
        default=None, description="Crystal orientations of the grains, an addition to the paper's model."
    )

    design: DesignSpec | None = Field(
        default=None, description="Points in the space of several parameters; each has `particles.count` particles."
    )

    @model_validator(mode="after")
    def _points_have_whole_batches(self) -> "ParticleRecipe":
        count, batch = self.particles.count, self.particles.batch
        if self.design is not None and count % batch:
            raise ValueError(f"particles.batch: found {batch}, expected a divisor of particles.count = {count}")
        if self.samples > MOST_ITEMS:
            raise ValueError(f"particles.count: found {self.samples} items in all, expected at most {MOST_ITEMS}")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_design(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A recipe without a design has the hash, and its store the bytes, that it had before there were designs.
        content: dict[str, Any] = plain(self)
        if self.design is None:
            content.pop("design", None)
        return content

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the parameters that the design varies."""
        return () if self.design is None else tuple(self.design.parameters)

    @property
    def points(self) -> int:
        """Number of points of the design; 1 without."""
        return 1 if self.design is None else self.design.points

    def point_values(self) -> Sequence[Mapping[str, float]]:
        """Return the values of the varied parameters at each point."""
        return [{}] if self.design is None else self.design.values(self.seed)

    @property
    def samples(self) -> int:
        """Number of particles: item = point * count + number at this point."""
        return self.points * self.particles.count

    def items(self) -> np.ndarray:
        """Return point and number at this point of all items, shape (samples, 2)."""
        return np.column_stack(divmod(np.arange(self.samples), self.particles.count))

    def stream_of(self, item: int) -> int:
        """Return the index of the random streams of an item; the points of a grid or a list share them."""
        shares = self.design is not None and self.design.is_coupled
        return item % self.particles.count if shares else item

    @property
    def batches(self) -> int:
        """Number of tasks."""
        return -(-self.samples // self.particles.batch)
