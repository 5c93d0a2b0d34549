"""Recipes of label volumes: number, size, sweep and storage."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, NamedTuple, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from nmcdist.models import streams
from nmcdist.products.design import DesignSpec
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


class FidelitySpec(Frozen):
    """Another voxel size at which some of the volumes are drawn again."""

    voxel_size_nm: Nanometres = Field(description="Edge of a voxel in nm; the edges of the volume are multiples of it.")
    every: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = Field(
        default=8, description="One of so many successive volumes is drawn again, chosen at random."
    )


Fidelities = Annotated[tuple[FidelitySpec, ...], BeforeValidator(as_tuple), Field(max_length=4)]


class Item(NamedTuple):
    """What an item of a recipe is.

    Attributes
    ----------
    point : int
        Number of the point of its sweep or design.
    realisation : int
        Number of the realisation at this point.
    fidelity : int
        0, or the number of the fidelity, from 1, at which it is drawn again.
    partner : int
        The item of the same realisation at the voxel size of the recipe.
    """

    point: int
    realisation: int
    fidelity: int
    partner: int


@lru_cache(maxsize=64)
def partners(count: int, every: int, seed: int, number: int) -> np.ndarray:
    """Return one of every so many volumes, at random: each so many-th point of a Sobol sequence fills but a half."""
    first = np.arange(0, count, every)
    share = streams.draws(seed, streams.PARTNERS, number).uniform(len(first))
    return np.asarray(first + np.floor(share * np.minimum(every, count - first)).astype(np.int64))


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
    design: DesignSpec | None = Field(
        default=None, description="Points in the space of several parameters, in place of a sweep."
    )
    realisations: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = Field(
        default=1, description="Volumes per value of the sweep, or per point of the design."
    )
    fidelities: Fidelities = Field(
        default=(),
        description="Further voxel sizes at which some volumes are drawn again, the same realisations in the same "
        "window; then `storage.volumes` is false, and curves are left out.",
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
        if self.sweep and self.design is not None:
            raise ValueError("design: found one beside a sweep, expected one of them")
        if self.samples > MOST_ITEMS:
            raise ValueError(f"realisations: found {self.samples} items in all, expected at most {MOST_ITEMS}")
        return self

    @model_validator(mode="after")
    def _fidelities_are_possible(self) -> "VolumeRecipe":
        if self.fidelities and self.storage.volumes:
            raise ValueError(
                "storage.volumes: found true, expected false with fidelities, whose volumes differ in shape"
            )
        sizes = [self.volume.voxel_size_nm]
        for number, fidelity in enumerate(self.fidelities):
            where, size = f"fidelities.{number}.voxel_size_nm", fidelity.voxel_size_nm
            if size in sizes:
                raise ValueError(f"{where}: found {size:g} twice, expected each voxel size once")
            if any(n * self.volume.voxel_size_nm % size for n in self.volume.shape):
                edges = " x ".join(f"{n * self.volume.voxel_size_nm:g}" for n in self.volume.shape)
                raise ValueError(f"{where}: found {size:g}, expected a divisor of the edges, {edges} nm")
            sizes.append(size)
        return self

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the parameters that the sweep or the design varies."""
        return tuple(self.sweep if self.design is None else self.design.parameters)

    @property
    def swept(self) -> str | None:
        """Name of the parameter of the sweep."""
        return next(iter(self.sweep), None)

    @property
    def points(self) -> int:
        """Number of points of the sweep or the design; 1 without either."""
        return len(next(iter(self.sweep.values()), (None,))) if self.design is None else self.design.points

    @property
    def point_name(self) -> str:
        """What a point is."""
        return "value that the swept parameter takes" if self.design is None else "point of the design"

    def point_values(self) -> Sequence[Mapping[str, float]]:
        """Return the values of the varied parameters at each point."""
        if self.design is not None:
            return self.design.values(self.seed)
        return [{name: value} for name, values in self.sweep.items() for value in values] or [{}]

    @property
    def first_fidelity_samples(self) -> int:
        """Number of volumes at the voxel size of the recipe."""
        return self.points * self.realisations

    @property
    def samples(self) -> int:
        """Number of volumes: item = point * realisations + realisation, then those of each further voxel size."""
        return self.first_fidelity_samples + sum(-(-self.first_fidelity_samples // f.every) for f in self.fidelities)

    def _partners(self, number: int) -> np.ndarray:
        """Return the volumes that are drawn again at a fidelity."""
        return partners(self.first_fidelity_samples, self.fidelities[number].every, self.seed, number)

    def item(self, number: int) -> Item:
        """Return what an item is."""
        fidelity, partner, rest = 0, number, number - self.first_fidelity_samples
        while rest >= 0:
            partners = self._partners(fidelity)
            fidelity, partner = fidelity + 1, int(partners[min(rest, len(partners) - 1)])
            rest -= len(partners)
        return Item(partner // self.realisations, partner % self.realisations, fidelity, partner)

    def items(self) -> np.ndarray:
        """Return the table of all items, shape (samples, 4), with the columns of :class:`Item`."""
        partner = [np.arange(self.first_fidelity_samples)]
        partner += [self._partners(number) for number in range(len(self.fidelities))]
        fidelity = np.repeat(np.arange(len(partner)), [len(part) for part in partner])
        all_partners = np.concatenate(partner)
        return np.column_stack(
            [all_partners // self.realisations, all_partners % self.realisations, fidelity, all_partners]
        )

    def streams(self) -> np.ndarray:
        """Return the index of the random streams of each item; see :meth:`stream_of`."""
        column = 1 if self.design is None or self.design.is_coupled else 3
        return np.asarray(self.items()[:, column])

    def stream_of(self, number: int) -> int:
        """Return the index of the random streams of an item.

        The values of a sweep, a grid or a list share their realisations, so that differences between them are not
        those between realisations. The points of a Sobol sequence do not: a surrogate needs independent noise.
        """
        item = self.item(number)
        is_coupled = self.design is None or self.design.is_coupled
        return item.realisation if is_coupled else item.partner

    @property
    def specs(self) -> tuple[VolumeSpec, ...]:
        """Voxels of the volumes, and of those of each fidelity, in the same window."""
        found = [self.volume]
        for fidelity in self.fidelities:
            size = fidelity.voxel_size_nm
            z, y, x = (round(n * self.volume.voxel_size_nm / size) for n in self.volume.shape)
            found.append(VolumeSpec(shape=(z, y, x), voxel_size_nm=size))
        return tuple(found)

    @property
    def whole_only(self) -> bool:
        """Whether volumes cannot be made in blocks: what differs between voxel sizes is measured on whole ones."""
        return len(self.specs) > 1

    def at_fidelity(self, fidelity: int) -> Self:
        """Return the recipe with the voxels of a fidelity."""
        return self if fidelity == 0 else self.model_copy(update={"volume": self.specs[fidelity]})
