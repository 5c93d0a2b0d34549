"""Recipes of label volumes: number, size, sweep and storage."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from nmcdist.products.recipe import (
    MOST_ITEMS,
    BaseRecipe,
    Chunk,
    Frozen,
    Nanometres,
    Shape,
    Shard,
    as_tuple,
    each_once,
)

Levels = Annotated[
    tuple[float, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=1000), AfterValidator(each_once)
]


class VolumeSpec(Frozen):
    """Voxels of one volume along z, y, x, and their edge in nm."""

    shape: Shape = Field(description="Voxels along z, y and x.")
    voxel_size_nm: Nanometres = Field(description="Edge of a voxel in nm.")


class StorageSpec(Frozen):
    """Storage of volumes: edge of a chunk and longest edge of a shard in voxels; or no storage."""

    chunk: Chunk = Field(default=64, description="Edge of a chunk, in voxels.")
    shard: Shard = Field(
        default=512,
        description="Longest edge of a shard (one file), in voxels; at least `chunk`. `none`: each chunk is a file, as "
        "virtual stores need it.",
    )
    volumes: bool = Field(default=True, description="Whether volumes are stored, or only their descriptors.")

    @model_validator(mode="after")
    def _chunk_fits_in_shard(self) -> "StorageSpec":
        if self.shard is not None and self.shard < self.chunk:
            raise ValueError(f"shard: found {self.shard}, expected at least chunk = {self.chunk}")
        return self


class VolumeRecipe(BaseRecipe):
    """A dataset of label volumes; each kind sets the value of `kind` and the type of `descriptors`."""

    volume: VolumeSpec = Field(description="Size of each volume.")
    sweep: dict[str, Levels] = Field(
        default={}, description="One bundle parameter with the list of its values; empty for the unchanged bundle."
    )
    realisations: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = Field(
        default=1, description="Volumes per value of the sweep."
    )
    descriptors: Frozen | None = Field(
        default=Frozen(), description="Descriptor options; `none` for volumes without descriptors."
    )
    storage: StorageSpec = Field(default=StorageSpec(), description="How volumes are stored.")

    @field_validator("sweep")
    @classmethod
    def _sweeps_one_parameter(cls, sweep: dict[str, Levels]) -> dict[str, Levels]:
        if len(sweep) > 1:
            raise ValueError(f"found {sorted(sweep)}, expected one parameter")
        return sweep

    @model_validator(mode="after")
    def _stores_something(self) -> "VolumeRecipe":
        if self.descriptors is None and not self.storage.volumes:
            raise ValueError("storage.volumes: found false and no descriptors, so nothing would be stored")
        if self.samples > MOST_ITEMS:
            raise ValueError(f"realisations: found {self.samples} items in all, expected at most {MOST_ITEMS}")
        return self

    @property
    def levels(self) -> tuple[float | None, ...]:
        """Values of the swept parameter; a single None without a sweep."""
        return next(iter(self.sweep.values()), (None,))

    @property
    def swept(self) -> str | None:
        """Name of the swept parameter."""
        return next(iter(self.sweep), None)

    @property
    def samples(self) -> int:
        """Number of volumes; item = level * realisations + realisation."""
        return len(self.levels) * self.realisations

    def level_of(self, item: int) -> int:
        """Return the number of the level of an item."""
        return item // self.realisations
