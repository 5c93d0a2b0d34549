"""The recipe of a net for super-resolution, checked before the training starts."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nmcdist.bundle.superres import FACTOR, MOST_CHANNELS, MOST_LAYERS
from nmcdist.faults import NAME, one_line
from nmcdist.inputs import folder_name


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class NetSpec(_Frozen):
    """Size of the net."""

    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS)] = Field(
        default=4, description="Convolutions of 3 x 3 x 3 voxels: the net sees so many voxels in each direction."
    )
    channels: Annotated[int, Field(ge=1, le=MOST_CHANNELS)] = Field(default=32, description="Channels of each layer.")


class SuperresRecipe(_Frozen):
    """The recipe of a net for super-resolution."""

    kind: Literal["superres"] = Field(default="superres", description="Kind of the recipe.")
    name: Annotated[str, Field(max_length=100), NAME, AfterValidator(folder_name)] = Field(
        description="Name of the new bundle: small letters, digits and hyphens."
    )
    title: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(one_line)] = Field(
        default="Super-resolution of the additive", description="Title of the new bundle: one line."
    )
    bundle: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Bundle of the additive that is drawn: a built-in one, or a folder, relative to the recipe file."
    )
    voxel_size_nm: Annotated[float, Field(ge=0.1, le=1e6)] = Field(description="Edge of a fine voxel in nm.")
    factor: Literal[2] = Field(
        default=FACTOR, description="Edge of a coarse voxel over that of a fine one; only 2 is possible."
    )
    coarse: Literal["centre", "majority"] = Field(
        default="centre",
        description="What a coarse voxel shows. centre: the phase at its centre, as sections of a FIB-SEM and the "
        "volumes of this package do; majority: the phase of most of its parts, as a segmented tomogram does.",
    )
    net: NetSpec = Field(default=NetSpec(), description="Size of the net.")
    steps: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1500, description="Steps of the training; each sees a new window."
    )
    window: Annotated[int, Field(ge=8, le=96)] = Field(
        default=32, description="Coarse voxels along an edge of the window of a step."
    )
    rate: Annotated[float, Field(gt=0, le=1)] = Field(
        default=3e-3, description="Largest learning rate, reached after a tenth of the steps."
    )
    seed: Annotated[int, Field(ge=0, lt=2**64)] = Field(default=1, description="Seed of the windows and of the net.")
