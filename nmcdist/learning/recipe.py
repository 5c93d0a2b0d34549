"""The recipe of a surrogate: stores, targets, features, model and split, checked before the training starts."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from nmcdist.faults import NAME, one_line
from nmcdist.inputs import folder_name
from nmcdist.learning.splits import read_condition


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError(f"found {', '.join(values)}, expected each once")
    return values


def _conditions(region: dict[str, str]) -> dict[str, str]:
    for text in region.values():
        read_condition(text)
    return region


def _random(split: Any) -> Any:
    return {} if split == "random" else split


Target = Literal["m_factor_pore", "m_factor_solid", "conductivity_solid"]
_List = BeforeValidator(_as_tuple)


class Split(_Frozen):
    """Which points test the surrogate: random ones, and a region or the values of a label besides."""

    folds: Annotated[int, Field(ge=2, le=50)] = Field(
        default=5, description="Number of random folds; all volumes with the same parameters are in one."
    )
    region: Annotated[dict[str, str], AfterValidator(_conditions)] | None = Field(
        default=None, description='Conditions of a region that is tested apart, such as {mu: ">0.9"}.'
    )
    by: str | None = Field(
        default=None, description='Label whose values are tested one by one: "bundle", "store" or a parameter.'
    )


class SurrogateRecipe(_Frozen):
    """The recipe of a surrogate."""

    kind: Literal["surrogate"] = Field(default="surrogate", description="Kind of the recipe.")
    name: Annotated[str, Field(max_length=100), NAME, AfterValidator(folder_name)] = Field(
        description="Name of the bundle: small letters, digits and hyphens."
    )
    title: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(one_line)] = Field(
        default="Surrogate from structure to property", description="Title of the bundle: one line."
    )
    stores: Annotated[tuple[str, ...], _List, Field(min_length=1), AfterValidator(_distinct)] = Field(
        description="Folders of finished stores of volumes, relative to the recipe file."
    )
    targets: Annotated[tuple[Target, ...], _List, Field(min_length=1), AfterValidator(_distinct)] = Field(
        description="Properties to predict."
    )
    features: Literal["parameters", "cheap", "all", "volume"] = Field(
        default="all",
        description="parameters: those of the model; cheap: fractions, surfaces and two-point coverages; all: also "
        "curvatures, paths and bottlenecks; volume: the voxels, for the model cnn. The model product takes parameters.",
    )
    model: Literal["gp", "ridge", "cnn", "product"] = Field(
        default="gp",
        description="gp: Gaussian process; ridge: linear; cnn: convolutional net; product: M without graphite times M "
        "of graphite alone, from stores with these interventions.",
    )
    by_axis: bool = Field(
        default=False, description="Whether each axis of a volume is a row of its own; always so for the model cnn."
    )
    split: Annotated[Split, BeforeValidator(_random)] = Field(
        default=Split(), description="Which points test the surrogate; random: folds alone."
    )
    seed: Annotated[int, Field(ge=0, lt=2**64)] = Field(default=1, description="Seed of folds and of the net.")

    @model_validator(mode="after")
    def _model_suits_the_features(self) -> "SurrogateRecipe":
        if (self.model == "cnn") != (self.features == "volume"):
            raise ValueError(
                f"features: found {self.features!r} with model: {self.model}, expected 'volume' for cnn alone"
            )
        return self

    @model_validator(mode="after")
    def _product_is_of_the_pores(self) -> "SurrogateRecipe":
        if self.model == "product":
            if self.features != "parameters":
                raise ValueError(f"features: found {self.features!r} with model: product, expected 'parameters'")
            if self.targets != ("m_factor_pore",):
                raise ValueError(
                    f"targets: found {', '.join(self.targets)} with model: product, expected m_factor_pore alone"
                )
        return self

    @property
    def rows_by_axis(self) -> bool:
        """Whether each axis is a row."""
        return self.by_axis or self.model == "cnn"
