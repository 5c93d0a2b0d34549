"""The parameters of each model, with their units, and the registry of further models."""

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from nmcdist.errors import BundleError
from nmcdist.faults import proposal
from nmcdist.wording import shown

HARMONIC_DEGREES = 9  # l = 1..9; Z_00 has a separate law
MOST_UNEQUAL = 100.0  # ratio of intensities in a bundle; the densest seeds determine the lattice spacing everywhere


class Parameters(BaseModel):
    """A frozen record of a model's parameters, each a number or a tuple of numbers, made by :func:`quantity`.

    A model whose bundles have arrays gives their units in `array_units`.
    """

    array_units: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    def check_arrays(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless a bundle with arrays of these names and shapes is one of this model."""


def as_tuple(value: Any) -> Any:
    """Return a list, as it is in a file, as a tuple; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def _of_some_size(value: float) -> float:
    """Refuse numbers with cubes that overflow: they are implausible in any unit of length."""
    if value and not 1e-40 <= abs(value) <= 1e40:
        raise ValueError("expected 0 or a magnitude from 1e-40 to 1e40")
    return value


def _of_sane_freedom(values: tuple[float, ...]) -> tuple[float, ...]:
    """Refuse degrees of freedom for which Student's law overflows, or is practically the normal law."""
    if not all(0.1 <= value <= 1e9 for value in values):
        raise ValueError("expected numbers from 0.1 to 1e9")
    return values


def quantity(unit: str, meaning: str, **options: Any) -> Any:
    """Return the field of a parameter.

    Parameters
    ----------
    unit : str
        "1" for pure numbers.
    meaning : str
    **options
        Options of `pydantic.Field`: a default, for optional parameters; bounds.
    """
    return Field(description=meaning, json_schema_extra={"unit": unit}, **options)


Finite = Annotated[float, AfterValidator(_of_some_size)]
Positive = Annotated[Finite, Field(gt=0)]
NotNegative = Annotated[Finite, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)] | None
ShapeParameter = Annotated[float, Field(gt=0, ge=1e-3, le=1e9)]
LogDeviation = Annotated[float, Field(ge=0, le=10)]  # exp(10) is a spread of four decades
PerDegree = Annotated[
    tuple[Positive, ...],
    Field(min_length=HARMONIC_DEGREES, max_length=HARMONIC_DEGREES),
    BeforeValidator(as_tuple),
]


class AdditiveParameters(Parameters):
    """The eight parameters of the additive phase, Eq. (5) of the CBA paper, in physical units."""

    lambda_X_per_nm3: Positive = quantity("nm^-3", "intensity of the graphite germs")
    alpha_1: ShapeParameter = quantity("1", "shape of the gamma law of half-axis a of the spheroids")
    alpha_2: ShapeParameter = quantity("1", "shape of the gamma law of half-axis c of the spheroids")
    gamma_per_nm: Positive = quantity("nm^-1", "rate of both gamma laws")
    mu: Finite = quantity("1", "threshold of the Gaussian field")
    eta_per_nm: Positive = quantity("nm^-1", "inverse correlation length of the Gaussian field")
    theta_per_nm: Positive = quantity("nm^-1", "rate of the exponential radius of the large pores")
    lambda_Y_per_nm3: Positive = quantity("nm^-3", "intensity of the germs of the large pores")


class CbaParameters(AdditiveParameters):
    """Parameters of the additive phase alone."""


class ShellParameters(Parameters):
    """The outer shell of a particle, Eqs. (3) to (5) of the NMC811 paper."""

    shell_location_nm: Finite = quantity("nm", "location of Z_00 = location + scale exp(sigma N(0, 1))")
    shell_scale_nm: Positive = quantity("nm", "scale of Z_00")
    shell_sigma: Annotated[LogDeviation, Field(gt=0)] = quantity("1", "shape of Z_00")
    shell_nu: Annotated[PerDegree, AfterValidator(_of_sane_freedom)] = quantity(
        "1", "degrees of freedom of the Student laws, l = 1..9"
    )
    shell_harmonic_scale_nm: PerDegree = quantity("nm", "scales of the Student laws, l = 1..9")
    shell_minimum_volume_nm3: NotNegative = quantity("nm^3", "smaller shells are rejected")


class ParticleParameters(ShellParameters):
    """The outer shell, Eqs. (3) to (5) of the NMC811 paper, and the intensity of the seeds of the grains.

    Without knots the intensity is constant, as in the paper. With knots it is `grain_intensity_per_nm3` times a
    factor that is linear in the distance from the centre between knots, and constant before the first and beyond the
    last.
    """

    grain_intensity_per_nm3: Positive = quantity("nm^-3", "intensity of the seeds")
    grain_intensity_knots_nm: tuple[NotNegative, ...] = quantity(
        "nm", "distances from the centre at which the intensity is given; none where it is constant", default=(),
        max_length=1000,
    )  # fmt: skip
    grain_intensity_factors: tuple[Positive, ...] = quantity(
        "1", "intensity at the knots over grain_intensity_per_nm3", default=(), max_length=1000
    )  # fmt: skip

    @model_validator(mode="after")
    def _knots_have_factors(self) -> "ParticleParameters":
        knots, factors = self.grain_intensity_knots_nm, self.grain_intensity_factors
        if len(knots) != len(factors):
            raise ValueError(
                f"grain_intensity_factors: found {len(factors)} numbers, expected one per knot, of which there are "
                f"{len(knots)}"
            )
        if any(b <= a for a, b in itertools.pairwise(knots)):
            raise ValueError(f"grain_intensity_knots_nm: found {list(knots)}, expected ascending distances")
        if factors and max(factors) > MOST_UNEQUAL * min(factors):
            raise ValueError(
                f"grain_intensity_factors: found {min(factors):g} to {max(factors):g}, expected a ratio of "
                f"at most {MOST_UNEQUAL:g}"
            )
        return self


class RadialParameters(ParticleParameters):
    """Half-axes of the grains' metric as an explicit function of the distance from the centre.

    Half-axis a(rho) = outer + (inner - outer) exp(-(rho / transition)^2), times log-normal noise; D = 1 / a^2.
    """

    radial_scale_inner: Positive = quantity("1", "radial half-axis at the centre")
    radial_scale_outer: Positive = quantity("1", "radial half-axis far out")
    tangential_scale_inner: Positive = quantity("1", "tangential half-axes at the centre")
    tangential_scale_outer: Positive = quantity("1", "tangential half-axes far out")
    scale_transition_nm: Positive = quantity("nm", "distance over which the half-axes change")
    scale_noise: LogDeviation = quantity("1", "standard deviation of the log half-axes, before cutting at 2.5 of it")
    offset_range_nm2: NotNegative = quantity("nm^2", "offsets r are uniform on [0, range]")
    offset_large_share: Share = quantity(
        "1", "share of the seeds with r = range, the others having r = 0: grains of two sizes", default=None
    )  # fmt: skip


class NetParameters(ParticleParameters):
    """Ranges of the outputs of the marker net, Algorithm 1 of the NMC811 paper; its weights are arrays."""

    length_unit_nm: Positive = quantity("nm", "length in which the net measures displacements")
    diagonal_low: Positive = quantity("1", "smallest entry of D")
    diagonal_high: Positive = quantity("1", "largest entry of D")
    offset_low: Finite = quantity("length_unit^2", "smallest offset r")
    offset_high: Finite = quantity("length_unit^2", "largest offset r")

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> "NetParameters":
        for name in ("diagonal", "offset"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if high < low:
                raise ValueError(f"{name}_high: found {high}, expected at least {name}_low = {low}")
        return self


class SurrogateParameters(Parameters):
    """What a surrogate says beside its arrays and texts: how far to trust it, and where it applies."""

    interval_factors: Annotated[tuple[float, ...], BeforeValidator(as_tuple)] = quantity(
        "1", "half the width of a 90 % interval over the predicted standard deviation, by target"
    )
    noise_floor: Annotated[tuple[float, ...], BeforeValidator(as_tuple)] = quantity(
        "1", "standard deviation between realisations of one point, by target, as it is learned; none if unknown",
        default=(),
    )  # fmt: skip
    voxel_sizes_nm: Annotated[tuple[float, ...], BeforeValidator(as_tuple)] = quantity(
        "nm", "voxel sizes of the training", default=()
    )


_MODELS: dict[str, type[Parameters]] = {
    "cba": CbaParameters,
    "particle-radial": RadialParameters,
    "particle-net": NetParameters,
    "surrogate": SurrogateParameters,
}


def _is_imported_again(first: type[Parameters], again: type[Parameters]) -> bool:
    """Return whether two classes have the same definition, from one file under two module names."""
    same = first.__qualname__ == again.__qualname__ and first.__module__ != again.__module__
    return same and first.model_json_schema() == again.model_json_schema()


def register_model(name: str, parameters: type[Parameters]) -> None:
    """Register a further model for bundles, in this process.

    Registering a class again, or a newer definition of it, is allowed.

    Parameters
    ----------
    name : str
        Name of the model in bundles.
    parameters : type
        A subclass of :class:`Parameters`, whose fields are made by :func:`quantity`.

    Raises
    ------
    BundleError
        If another model has this name, the class is not such a record, or a field has no unit.

    Examples
    --------
    >>> class RodParameters(Parameters):
    ...     intensity_per_nm3: Positive = quantity("nm^-3", "intensity of the rods")
    >>> register_model("rods", RodParameters)
    """
    if not (isinstance(parameters, type) and issubclass(parameters, Parameters)):
        raise BundleError(f"model {name!r}: found parameters {shown(parameters)}, expected a subclass of Parameters")
    for field in parameters.model_fields:
        if not unit_of(parameters, field):
            raise BundleError(f"model {name!r}: parameter {field!r} has no unit, expected a field made by quantity()")
    taken = _MODELS.get(name)
    if taken is not None and _is_imported_again(taken, parameters):
        return
    if taken is not None and (taken.__module__, taken.__qualname__) != (parameters.__module__, parameters.__qualname__):
        raise BundleError(f"model {name!r}: is already registered, with {taken.__qualname__}, expected another name")
    _MODELS[name] = parameters


def model_names(kind: type[Parameters] = Parameters) -> list[str]:
    """Return the names of the known models, or of those whose parameters derive from a class."""
    return [name for name, parameters in _MODELS.items() if issubclass(parameters, kind)]


def parameters_of_model(name: str) -> type[Parameters]:
    """Return the class of the parameters of a model; BundleError if the model is unknown."""
    if name not in _MODELS:
        raise BundleError(f"model {shown(name)}: unknown{proposal(str(name), _MODELS)}")
    return _MODELS[name]


def model_of(parameters: type[Parameters]) -> str:
    """Return the name of the model with this class of parameters; BundleError if it is not registered."""
    for name, known in _MODELS.items():
        if known is parameters:
            return name
    raise BundleError(f"parameters {parameters.__qualname__}: found no model, expected one that is registered")


def unit_of(parameters: type[Parameters], name: str) -> str:
    """Return the unit of a parameter, empty if it has none."""
    more = parameters.model_fields[name].json_schema_extra
    return str(more.get("unit", "")) if isinstance(more, dict) else ""
