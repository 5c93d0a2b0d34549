"""Recipes of label volumes of the additive phase (kind "volumes")."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from nmcdist.bundle import CbaParameters
from nmcdist.faults import KEYS
from nmcdist.products.design import DesignSpec
from nmcdist.products.recipe import Axes, Frozen, Nanometres
from nmcdist.products.volumes.recipe import Levels, VolumeRecipe

GRAPHITE_FRACTION, LARGE_PORE_FRACTION = "graphite_fraction", "large_pore_fraction"
DERIVED = (GRAPHITE_FRACTION, LARGE_PORE_FRACTION)


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
        description=f"One bundle parameter, `{GRAPHITE_FRACTION}` or `{LARGE_PORE_FRACTION}`, with the list of its "
        "values; empty for the unchanged bundle.",
        json_schema_extra={KEYS: [*DERIVED, *CbaParameters.model_fields]},
    )
    descriptors: DescriptorSpec | None = DescriptorSpec()

    @field_validator("sweep")
    @classmethod
    def _fractions_of_the_sweep_are_possible(cls, sweep: dict[str, Levels]) -> dict[str, Levels]:
        _check_fractions(sweep, "")
        return sweep

    @field_validator("design")
    @classmethod
    def _fractions_of_the_design_are_possible(cls, design: DesignSpec | None) -> DesignSpec | None:
        _check_fractions({} if design is None else design.parameters, "parameters.")
        return design


def _check_fractions(parameters: Mapping[str, tuple[float, ...]], where: str) -> None:
    for name in DERIVED:
        if outside := [value for value in parameters.get(name, ()) if not 0 < value < 1]:
            raise ValueError(f"{where}{name}: found {outside}, expected numbers in (0, 1)")
