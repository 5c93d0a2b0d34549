"""Recipes of label volumes of the additive phase (kind "volumes")."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from nmcdist.bundle import CbaParameters
from nmcdist.faults import KEYS
from nmcdist.products.design import DesignSpec
from nmcdist.products.recipe import Axes, Frozen, Nanometres, as_tuple, each_once
from nmcdist.products.volumes.recipe import Levels, VolumeRecipe

GRAPHITE_FRACTION, LARGE_PORE_FRACTION = "graphite_fraction", "large_pore_fraction"
DERIVED = (GRAPHITE_FRACTION, LARGE_PORE_FRACTION)
_DETERMINES = {GRAPHITE_FRACTION: "lambda_X_per_nm3", LARGE_PORE_FRACTION: "lambda_Y_per_nm3"}
Interventions = Annotated[
    tuple[Literal["without_graphite", "graphite_alone", "without_large_pores"], ...],
    BeforeValidator(as_tuple), Field(max_length=3), AfterValidator(each_once),
]  # fmt: skip


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
    interventions: Interventions = Field(
        default=(),
        description="Draw each volume again without some of its parts, and solve for the pores: "
        "`m_factor_pore_intervened`; needs `descriptors.transport`.",
    )
    descriptors: DescriptorSpec | None = DescriptorSpec()

    @model_validator(mode="after")
    def _interventions_have_a_solver(self) -> Self:
        if self.interventions and not (self.descriptors and self.descriptors.transport):
            raise ValueError("interventions: found some without M-factors, expected descriptors.transport = true")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_interventions(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A recipe without interventions has the hash, and its store the bytes, that it had before there were any.
        content: dict[str, Any] = plain(self)
        if not self.interventions:
            content.pop("interventions", None)
        return content

    @property
    def whole_only(self) -> bool:
        """Whether volumes cannot be made in blocks."""
        return super().whole_only or bool(self.interventions)

    @field_validator("sweep")
    @classmethod
    def _fractions_of_the_sweep_are_possible(cls, sweep: dict[str, Levels]) -> dict[str, Levels]:
        _check_fractions(sweep, "")
        return sweep

    @field_validator("design")
    @classmethod
    def _fractions_of_the_design_are_possible(cls, design: DesignSpec | None) -> DesignSpec | None:
        _check_fractions({} if design is None else design.parameters, "parameters.")
        check_contradictions(() if design is None else design.parameters, "parameters.")
        return design


def check_contradictions(names: Collection[str], where: str) -> None:
    """Refuse a volume fraction beside the intensity that it determines.

    Raises
    ------
    ValueError
    """
    for fraction, intensity in _DETERMINES.items():
        if fraction in names and intensity in names:
            raise ValueError(
                f"{where}{intensity}: found one beside {fraction}, which determines it; expected one of them"
            )


def _check_fractions(parameters: Mapping[str, tuple[float, ...]], where: str) -> None:
    for name in DERIVED:
        if outside := [value for value in parameters.get(name, ()) if not 0 < value < 1]:
            raise ValueError(f"{where}{name}: found {outside}, expected numbers in (0, 1)")
