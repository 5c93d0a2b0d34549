"""What a trained model bundle holds: parameters with unit and provenance, arrays, and how they came to be."""

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from nmcdist.errors import BundleError
from nmcdist.faults import MOST_FAULTS, proposal, spelt
from nmcdist.inputs import folder_name
from nmcdist.wording import shown

SCHEMA_VERSION = 1
HARMONIC_DEGREES = 9  # l = 1..9; Z_00 has a law of its own
NET_NEIGHBOURS = 12
_NAME = spelt(r"[a-z0-9][a-z0-9.-]*", "small letters, digits, dots and hyphens, a letter or digit first")
NET_INPUTS = NET_NEIGHBOURS * (3 + 2)  # a displacement and two noises for each neighbour
NET_MORE = (0, 1, 2, 3)  # inputs that may follow: |s|, which makes their number odd, then the grain's own two noises
NET_OUTPUTS = 4  # the diagonal and the offset
MOST_UNEQUAL = 100.0  # ratio of the intensities of a bundle: lattices are as fine as the densest seeds need everywhere

Provenance = Literal["published", "fitted", "assumed"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _of_some_size(value: float) -> float:
    """Refuse numbers whose cubes overflow: no unit of length makes them out of sound ones."""
    if value and not 1e-40 <= abs(value) <= 1e40:
        raise ValueError("expected 0 or a magnitude from 1e-40 to 1e40")
    return value


def _of_sane_freedom(values: tuple[float, ...]) -> tuple[float, ...]:
    """Refuse degrees of freedom at which Student's law overflows, or is the normal law many times over."""
    if not all(0.1 <= value <= 1e9 for value in values):
        raise ValueError("expected numbers from 0.1 to 1e9")
    return values


def _printable(text: str) -> str:
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise ValueError("expected printable text")
    return text


def _quantity(unit: str, meaning: str, **options: Any) -> Any:
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
    BeforeValidator(_as_tuple),
]
Text = Annotated[str, AfterValidator(_printable)]


class CbaParameters(_Frozen):
    """The eight parameters of the additive phase, Eq. (5) of the CBA paper, in physical units."""

    lambda_X_per_nm3: Positive = _quantity("nm^-3", "intensity of the graphite germs")
    alpha_1: ShapeParameter = _quantity("1", "shape of the gamma law of half-axis a of the spheroids")
    alpha_2: ShapeParameter = _quantity("1", "shape of the gamma law of half-axis c of the spheroids")
    gamma_per_nm: Positive = _quantity("nm^-1", "rate of both gamma laws")
    mu: Finite = _quantity("1", "threshold of the Gaussian field")
    eta_per_nm: Positive = _quantity("nm^-1", "inverse correlation length of the Gaussian field")
    theta_per_nm: Positive = _quantity("nm^-1", "rate of the exponential radius of the large pores")
    lambda_Y_per_nm3: Positive = _quantity("nm^-3", "intensity of the germs of the large pores")


class ParticleParameters(_Frozen):
    """The outer shell, Eqs. (3) to (5) of the NMC811 paper, and the intensity of the seeds of the grains.

    The intensity is constant, as the paper's, unless there are knots: then it is `grain_intensity_per_nm3` times a
    factor that is linear in the distance from the centre between knots, and constant before the first and beyond the
    last.
    """

    shell_location_nm: Finite = _quantity("nm", "location of Z_00 = location + scale exp(sigma N(0, 1))")
    shell_scale_nm: Positive = _quantity("nm", "scale of Z_00")
    shell_sigma: Annotated[LogDeviation, Field(gt=0)] = _quantity("1", "shape of Z_00")
    shell_nu: Annotated[PerDegree, AfterValidator(_of_sane_freedom)] = _quantity(
        "1", "degrees of freedom of the Student laws, l = 1..9"
    )
    shell_harmonic_scale_nm: PerDegree = _quantity("nm", "scales of the Student laws, l = 1..9")
    shell_minimum_volume_nm3: NotNegative = _quantity("nm^3", "smaller shells are rejected")
    grain_intensity_per_nm3: Positive = _quantity("nm^-3", "intensity of the seeds")
    grain_intensity_knots_nm: tuple[NotNegative, ...] = _quantity(
        "nm", "distances from the centre at which the intensity is given; none where it is constant", default=(),
        max_length=1000,
    )  # fmt: skip
    grain_intensity_factors: tuple[Positive, ...] = _quantity(
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
                f"{MOST_UNEQUAL:g} at most"
            )
        return self


class RadialParameters(ParticleParameters):
    """Half-axes of the grains' metric as an explicit function of the distance from the centre.

    Half-axis a(rho) = outer + (inner - outer) exp(-(rho / transition)^2), times a log-normal noise; D = 1 / a^2.
    """

    radial_scale_inner: Positive = _quantity("1", "radial half-axis at the centre")
    radial_scale_outer: Positive = _quantity("1", "radial half-axis far out")
    tangential_scale_inner: Positive = _quantity("1", "tangential half-axes at the centre")
    tangential_scale_outer: Positive = _quantity("1", "tangential half-axes far out")
    scale_transition_nm: Positive = _quantity("nm", "distance over which the half-axes change")
    scale_noise: LogDeviation = _quantity("1", "standard deviation of the log half-axes, before cutting at 2.5 of it")
    offset_range_nm2: NotNegative = _quantity("nm^2", "offsets r are uniform on [0, range]")
    offset_large_share: Share = _quantity(
        "1", "share of the seeds with r = range, the others having r = 0: grains of two sizes", default=None
    )  # fmt: skip


class NetParameters(ParticleParameters):
    """Ranges of the outputs of the marker net, Algorithm 1 of the NMC811 paper; its weights are arrays."""

    length_unit_nm: Positive = _quantity("nm", "length in which the net measures displacements")
    diagonal_low: Positive = _quantity("1", "smallest entry of D")
    diagonal_high: Positive = _quantity("1", "largest entry of D")
    offset_low: Finite = _quantity("length_unit^2", "smallest offset r")
    offset_high: Finite = _quantity("length_unit^2", "largest offset r")

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> "NetParameters":
        for name in ("diagonal", "offset"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if high < low:
                raise ValueError(f"{name}_high: found {high}, expected at least {name}_low = {low}")
        return self


PARAMETERS_OF_MODEL: dict[str, type[_Frozen]] = {
    "cba": CbaParameters,
    "particle-radial": RadialParameters,
    "particle-net": NetParameters,
}


class ParameterRecord(_Frozen):
    """One parameter as it stands in the file: value, unit, and where the value comes from."""

    value: Annotated[float | tuple[float, ...], BeforeValidator(_as_tuple)]
    unit: Text
    provenance: Provenance
    source: Text = ""


class ArrayRecord(_Frozen):
    """One array of ``arrays.safetensors``: what it must look like, and its digest."""

    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=2**31)], ...], BeforeValidator(_as_tuple)]
    dtype: Annotated[str, spelt("float(32|64)", "float32 or float64")]
    unit: Text
    provenance: Provenance
    sha256: Annotated[str, spelt("[0-9a-f]{64}", "64 digits from 0 to 9 and a to f")]
    source: Text = ""

    @classmethod
    def of(cls, array: np.ndarray, unit: str, provenance: Provenance, source: str = "") -> "ArrayRecord":
        """Return the record of an array."""
        shape, digest = tuple(array.shape), array_digest(array)
        return cls(
            shape=shape, dtype=str(array.dtype), unit=unit, provenance=provenance, sha256=digest, source=source
        )  # fmt: skip


class Calibration(_Frozen):
    """What the bundle was calibrated on, by what, and when.

    Attributes
    ----------
    data, method, date, reference : str
    distances : dict of str to float
        Kolmogorov-Smirnov distance of the model from data that it was compared with, by descriptor.
    """

    data: Text
    method: Text
    date: Text
    reference: Text = ""
    distances: dict[Text, float] = Field(default_factory=dict)


class Bundle(_Frozen):
    """A trained model bundle.

    Attributes
    ----------
    name, title, description, licence : str
        Identity, and under which terms the values may be used.
    model : str
        Which model the parameters belong to: "cba", "particle-radial" or "particle-net".
    values : dict of str to ParameterRecord
        The parameters with unit and provenance.
    array_records : dict of str to ArrayRecord
        What stands in ``arrays.safetensors`` beside the description; "arrays" in the file.
    calibration : Calibration
        Origin of the values as a whole.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(max_length=100), _NAME, AfterValidator(folder_name)]
    title: Text
    description: Text = ""
    licence: Text
    model: Literal["cba", "particle-radial", "particle-net"]
    values: dict[str, ParameterRecord] = Field(alias="parameters")
    array_records: dict[str, ArrayRecord] = Field(default={}, alias="arrays")
    calibration: Calibration
    _arrays: dict[str, np.ndarray] = PrivateAttr(default_factory=dict)

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, populate_by_name=True)

    @model_validator(mode="after")
    def _parameters_fit_the_model(self) -> "Bundle":
        expected = PARAMETERS_OF_MODEL[self.model]
        expected.model_validate({name: record.value for name, record in self.values.items()})
        for name, record in self.values.items():
            unit = _unit(expected.model_fields[name])
            if record.unit != unit:
                raise ValueError(f"parameters.{name}.unit: found {record.unit!r}, expected {unit!r}")
        return self

    @model_validator(mode="after")
    def _weights_fit_the_net(self) -> "Bundle":
        if self.model == "particle-net":
            _check_layers(self.array_records)
        return self

    def __eq__(self, other: object) -> bool:
        # Arrays do not compare as one truth value; their digests, which stand in the records, do.
        return isinstance(other, Bundle) and self.model_dump() == other.model_dump()

    @property
    def parameters(self) -> Any:
        """The parameters as the frozen record of their model (`CbaParameters` for "cba")."""
        return PARAMETERS_OF_MODEL[self.model](**{name: record.value for name, record in self.values.items()})

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays by name, not writeable; empty in a bundle that was read without them."""
        return MappingProxyType(self._arrays)

    def with_arrays(self, arrays: Mapping[str, np.ndarray], where: str = "") -> "Bundle":
        """Return a copy that carries these arrays.

        Raises
        ------
        BundleError
            If they are not those that the bundle describes; the message begins with `where`.
        """
        _check_arrays(self.array_records, arrays, where or f"bundle {self.name!r}")
        return self._carrying(arrays)

    def _carrying(self, arrays: Mapping[str, np.ndarray]) -> "Bundle":
        copy = self.model_copy()
        copy._arrays = {name: _read_only(array) for name, array in arrays.items()}
        return copy

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) of what decides an item: model, parameter values, and the digests of the arrays."""
        values = {name: record.value for name, record in self.values.items()}
        return content_hash(self.model, values, {name: record.sha256 for name, record in self.array_records.items()})

    def parameters_of(self, model: str) -> Any:
        """Return the parameters if the bundle is of this model.

        Raises
        ------
        BundleError
            If the bundle is of another model.
        """
        if self.model != model:
            raise BundleError(f"bundle {self.name!r}: found model {self.model!r}, expected {model!r}")
        return self.parameters

    def with_parameters(self, **changes: float | tuple[float, ...]) -> "Bundle":
        """Return a copy with some parameter values changed, or optional ones added, marked as assumed.

        Raises
        ------
        BundleError
            If a name is unknown, a value is impossible, or one number is given for a parameter of several.
        """
        fields = PARAMETERS_OF_MODEL[self.model].model_fields
        unknown = sorted(set(changes) - set(fields))
        if unknown:
            raise BundleError(
                f"bundle {self.name!r}: unknown parameter {unknown[0]!r}{proposal(unknown[0], sorted(fields))}"
            )
        content = self.model_dump(by_alias=True)
        for name, value in changes.items():
            several = self.values[name].value if name in self.values else fields[name].default
            if isinstance(several, tuple) and not isinstance(value, tuple | list):
                count = len(several) or "several"
                raise BundleError(f"bundle {self.name!r}: parameter {name!r} takes {count} numbers, found {value!r}")
            record = content["parameters"].setdefault(name, {"unit": _unit(fields[name])})
            record.update(value=value, provenance="assumed", source="set by the caller")
        return validated(content, f"bundle {self.name!r}")._carrying(self._arrays)


def validated(content: Mapping[str, Any], where: str) -> Bundle:
    """Return the bundle that `content` describes; every fault in it is named in one BundleError."""
    try:
        return Bundle.model_validate(content)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc'])) or 'bundle'}: {_reason(e)}" for e in error.errors()]
        more = [f"and {len(faults) - MOST_FAULTS} more faults"] if len(faults) > MOST_FAULTS else []
        raise BundleError(f"{where}: " + "; ".join(faults[:MOST_FAULTS] + more)) from None


def content_hash(model: Any, values: Mapping[str, Any], digests: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a bundle's model, the values of its parameters and the digests of its arrays."""
    content = {"model": model, "parameters": dict(values), "arrays": dict(digests)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def array_digest(array: np.ndarray) -> str:
    """Return the SHA-256 (hex) of an array's little-endian bytes in C order."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.tobytes()).hexdigest()


def _unit(field: Any) -> str:
    return str(field.json_schema_extra["unit"])


_FIELDS = {field.alias or name: field for name, field in Bundle.model_fields.items()}


def _reason(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        parameters = (name for model in PARAMETERS_OF_MODEL.values() for name in model.model_fields)
        near = proposal(str(error["loc"][-1]), {**_FIELDS, **dict.fromkeys(parameters)})
        return "unknown field" + (near if near.startswith(";") else "")
    found = error.get("input")
    also = "" if isinstance(found, dict) else f" (found {shown(found)})"
    return error["msg"].removeprefix("Value error, ") + also


def _read_only(array: np.ndarray) -> np.ndarray:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _check_arrays(records: Mapping[str, ArrayRecord], arrays: Mapping[str, np.ndarray], where: str) -> None:
    if set(arrays) != set(records):
        raise BundleError(f"{where}: found arrays {sorted(arrays)}, expected {sorted(records)}")
    for name, record in records.items():
        array = arrays[name]
        if array.shape != record.shape or str(array.dtype) != record.dtype:
            raise BundleError(
                f"{where}: array {name!r} is {array.dtype} {array.shape}, expected {record.dtype} {record.shape}"
            )
        if not np.isfinite(array).all():
            raise BundleError(f"{where}: array {name!r} has entries that are not finite numbers")
        if array_digest(array) != record.sha256:
            raise BundleError(f"{where}: array {name!r} does not match its sha256, expected {record.sha256}")


def _check_layers(records: Mapping[str, ArrayRecord]) -> None:
    """Raise ValueError unless the records are those of a fully connected net to NET_OUTPUTS.

    It comes from NET_INPUTS and NET_MORE: the distance from the centre, the grain's own two noises, neither or both.
    """
    layers = max(1, math.ceil(len(records) / 2))
    names = [f"{kind}_{layer}" for layer in range(layers) for kind in ("weight", "bias")]
    if set(records) != set(names):
        raise ValueError(f"arrays: found {sorted(records)}, expected weight_0, bias_0, weight_1, bias_1, ...")
    for name in names:
        if records[name].dtype != "float32":
            raise ValueError(f"arrays.{name}: found {records[name].dtype}, expected float32")
    first = records["weight_0"].shape
    width = NET_INPUTS + (first[1] - NET_INPUTS if len(first) == 2 and first[1] - NET_INPUTS in NET_MORE else 0)
    for layer in range(layers):
        weight, bias = records[f"weight_{layer}"].shape, records[f"bias_{layer}"].shape
        rows: int | str = NET_OUTPUTS if layer == layers - 1 else weight[0] if len(weight) == 2 and weight[0] else "n"
        if weight != (rows, width):
            raise ValueError(f"arrays.weight_{layer}: found shape {weight}, expected ({rows}, {width})")
        if bias != (rows,):
            raise ValueError(f"arrays.bias_{layer}: found shape {bias}, expected ({rows},)")
        width = weight[0]
