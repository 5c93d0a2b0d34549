"""The recipe of refined volumes, which ``nmcdist refine`` writes."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from nmcdist.faults import spelt
from nmcdist.products.recipe import Line, as_tuple
from nmcdist.products.volumes.additive_recipe import DescriptorSpec
from nmcdist.products.volumes.recipe import Fidelities, VolumeRecipe

_DIGEST = spelt("[0-9a-f]{64}", "a SHA-256 in hexadecimal digits")


def _as_tuples(value: Any) -> Any:
    return {name: as_tuple(part) for name, part in value.items()} if isinstance(value, dict) else value


class RefinedRecipe(VolumeRecipe):
    """Volumes of a store or an image, refined by a net: 0 pore, 1 carbon black and binder, 2 graphite."""

    kind: Literal["refined"] = "refined"
    source: Line = Field(description="Path of the store or the image, relative to the folder of the new store.")
    source_sha256: Annotated[str, _DIGEST] = Field(
        description="SHA-256 of the manifest of the store, or of the voxels of the image."
    )
    phases: Annotated[
        dict[Line, Annotated[tuple[int, ...], BeforeValidator(as_tuple)]], BeforeValidator(_as_tuples)
    ] = Field(description="Labels in the source that each phase consists of.")
    axes: Literal["zyx", "zxy", "yzx", "yxz", "xzy", "xyz"] | None = Field(
        default=None, description="Order of the axes of an image that does not say it."
    )
    labels: Literal["likeliest", "drawn"] = Field(
        default="likeliest",
        description="likeliest: the label with the largest probability, which loses surface; drawn: labels drawn from "
        "the probabilities.",
    )
    sweep: dict[str, tuple[float, ...]] = Field(default={}, max_length=0, description="None for this kind.")
    design: None = Field(default=None, description="None for this kind.")
    fidelities: Fidelities = Field(default=(), max_length=0, description="None for this kind.")
    descriptors: DescriptorSpec | None = Field(
        default=None, description="Descriptor options; `none` for volumes without descriptors."
    )

    @model_validator(mode="after")
    def _volumes_are_stored(self) -> "RefinedRecipe":
        if not self.storage.volumes:
            raise ValueError("storage.volumes: found false, expected true")
        return self
