"""Recipes of label volumes of the additive phase (kind "volumes")."""

from typing import Literal

from pydantic import Field, field_validator

from nmcdist.bundle import CbaParameters
from nmcdist.faults import KEYS
from nmcdist.products.recipe import Axes, Frozen, Nanometres
from nmcdist.products.volumes.recipe import Levels, VolumeRecipe

GRAPHITE_FRACTION = "graphite_fraction"


class DescriptorSpec(Frozen):
    """Options of the descriptors, and the ends of their curves."""

    max_lag_nm: Nanometres = Field(default=3000.0, description="Largest lag of the two-point functions.")
    max_radius_nm: Nanometres = Field(default=1500.0, description="Largest radius of the size distributions.")
    axes: Axes = Field(default=("z", "y", "x"), description="Axes along which directional descriptors are computed.")
    transport: bool = Field(default=True, description="Compute the M-factors.")


class AdditiveRecipe(VolumeRecipe):
    """A dataset of label volumes of the additive phase: 0 pore, 1 carbon black and binder, 2 graphite."""

    kind: Literal["volumes"] = "volumes"
    sweep: dict[str, Levels] = Field(
        default={},
        description=f"One bundle parameter, or `{GRAPHITE_FRACTION}`, with the list of its values; empty for the "
        "unchanged bundle.",
        json_schema_extra={KEYS: [GRAPHITE_FRACTION, *CbaParameters.model_fields]},
    )
    descriptors: DescriptorSpec | None = DescriptorSpec()

    @field_validator("sweep")
    @classmethod
    def _fractions_are_possible(cls, sweep: dict[str, Levels]) -> dict[str, Levels]:
        outside = [v for v in sweep.get(GRAPHITE_FRACTION, ()) if not 0 < v < 1]
        if outside:
            raise ValueError(f"{GRAPHITE_FRACTION}: found {outside}, expected numbers in (0, 1)")
        return sweep
