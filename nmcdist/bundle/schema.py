"""The content of a trained model bundle: parameters with unit and provenance, arrays, and calibration."""

import hashlib
import json
import math
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from nmcdist.bundle.parameters import (
    CbaParameters,
    Parameters,
    ParticleParameters,
    as_tuple,
    model_names,
    model_of,
    parameters_of_model,
    unit_of,
)
from nmcdist.errors import BundleError, NmcdistError
from nmcdist.faults import MOST_FAULTS, proposal, spelt
from nmcdist.html_text import card, image
from nmcdist.inputs import folder_name
from nmcdist.wording import shown

SCHEMA_VERSION = 1
NET_NEIGHBOURS = 12
_NAME = spelt(r"[a-z0-9][a-z0-9.-]*", "small letters, digits, dots and hyphens, a letter or digit first")
NET_INPUTS = NET_NEIGHBOURS * (3 + 2)  # a displacement and two noises per neighbour
NET_MORE = (0, 1, 2, 3)  # optional further inputs: |s|, which makes their number odd, then the grain's own two noises
NET_OUTPUTS = 4  # the diagonal and the offset
_SHOWN = 9  # numbers of a parameter that a notebook shows

P = TypeVar("P", bound=Parameters)
Provenance = Literal["published", "fitted", "assumed", "chosen"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def _printable(text: str) -> str:
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise ValueError("expected printable text")
    return text


def _of_one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line of printable text")
    return text


def _known_model(name: str) -> str:
    if name not in model_names():
        raise ValueError(f"unknown model{proposal(name, model_names())}")
    return name


Text = Annotated[str, AfterValidator(_printable)]
Line = Annotated[str, AfterValidator(_of_one_line)]


class ParameterRecord(_Frozen):
    """One parameter in the file: value, unit, and provenance."""

    value: Annotated[float | tuple[float, ...], BeforeValidator(as_tuple)]
    unit: Line
    provenance: Provenance
    source: Text = ""


class ArrayRecord(_Frozen):
    """One array of ``arrays.safetensors``: its type and shape, and its digest."""

    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=2**31)], ...], BeforeValidator(as_tuple)]
    dtype: Annotated[str, spelt("float(32|64)", "float32 or float64")]
    unit: Line
    provenance: Provenance
    sha256: Annotated[str, spelt("[0-9a-f]{64}", "64 digits from 0 to 9 and a to f")]
    source: Text = ""

    @classmethod
    def of(cls, array: np.ndarray, unit: str, provenance: Provenance, source: str = "") -> "ArrayRecord":
        """Return the record of an array."""
        return cls(**_record(array, unit, provenance, source))


class Calibration(_Frozen):
    """The calibration of a bundle: data, method and date.

    Attributes
    ----------
    data, method, date, reference : str
    distances : dict of str to float
        Kolmogorov-Smirnov distance between the model and the compared data, by descriptor.
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
        Identity, and terms of use.
    model : str
        Model of the parameters: "cba", "particle-radial", "particle-net", those of
        :mod:`nmcdist.bundle.reconstructions`, or a registered one (:func:`nmcdist.bundle.register_model`).
    values : dict of str to ParameterRecord
        The parameters with unit and provenance.
    array_records : dict of str to ArrayRecord
        Records of the arrays in ``arrays.safetensors``; "arrays" in the file.
    texts : dict of str to tuple of str
        Lists of names of models that have any, such as the features of a surrogate. The file has them only if there
        are some, and so has the hash.
    calibration : Calibration
        Origin of the values as a whole.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(max_length=100), _NAME, AfterValidator(folder_name)]
    title: Line
    description: Text = ""
    licence: Line
    model: Annotated[str, AfterValidator(_known_model)]
    values: dict[str, ParameterRecord] = Field(alias="parameters")
    array_records: dict[str, ArrayRecord] = Field(default={}, alias="arrays")
    texts: dict[Text, Annotated[tuple[Text, ...], BeforeValidator(as_tuple)]] = Field(default={})
    calibration: Calibration
    _arrays: dict[str, np.ndarray] = PrivateAttr(default_factory=dict)

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, populate_by_name=True)

    @classmethod
    def of(
        cls, name: str, title: str, parameters: Parameters, *, licence: str, description: str = "",
        provenance: Provenance = "assumed", source: str = "", calibration: Calibration | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
    ) -> "Bundle":  # fmt: skip
        """Return a bundle made from a record of parameters and its arrays, all with one provenance.

        Parameters
        ----------
        name, title, licence, description : str
        parameters : Parameters
            Parameters of a built-in or registered model. Parameters at their default are left out.
        provenance : {"published", "fitted", "assumed", "chosen"}
        source : str
            Source of the values.
        calibration : Calibration, optional
            Default: no calibration.
        arrays : dict of str to ndarray, optional
            Arrays of float32 or float64, with the units that the class of the parameters gives.

        Raises
        ------
        BundleError
            If the model is not registered, or an argument has an impossible value.
        """
        model = type(parameters)
        records = {
            field: {"value": value, "unit": unit_of(model, field), "provenance": provenance, "source": source}
            for field, value in parameters.model_dump(exclude_defaults=True).items()
        }
        calibrated = calibration or Calibration(data="none", method="none", date="")
        content = {
            "name": name, "title": title, "description": description, "licence": licence, "model": model_of(model),
            "parameters": records, "calibration": calibrated.model_dump(), "arrays": {
                each: _record(array, model.array_units.get(each, "1"), provenance, source)
                for each, array in (arrays or {}).items()
            },
        }  # fmt: skip
        bundle = validated(content, f"bundle {name!r}")
        return bundle.with_arrays(arrays) if arrays else bundle

    @model_serializer(mode="wrap")
    def _without_empty_texts(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = plain(self)
        if not self.texts:
            content.pop("texts", None)
        return content

    @model_validator(mode="after")
    def _parameters_fit_the_model(self) -> "Bundle":
        expected = parameters_of_model(self.model)
        parameters = expected.model_validate({name: record.value for name, record in self.values.items()})
        for name, record in self.values.items():
            unit = unit_of(expected, name)
            if record.unit != unit:
                raise ValueError(f"parameters.{name}.unit: found {record.unit!r}, expected {unit!r}")
        parameters.check_arrays({name: record.shape for name, record in self.array_records.items()})
        return self

    @model_validator(mode="after")
    def _weights_fit_the_net(self) -> "Bundle":
        if self.model == "particle-net":
            _check_layers(self.array_records)
        return self

    def __eq__(self, other: object) -> bool:
        # Comparing arrays gives no single truth value; the records hold their digests.
        return isinstance(other, Bundle) and self.model_dump() == other.model_dump()

    @property
    def parameters(self) -> Parameters:
        """The parameters as the frozen record of their model; BundleError if the model is not registered."""
        return parameters_of_model(self.model)(**{name: record.value for name, record in self.values.items()})

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays by name, read-only; empty in a bundle that was read without them."""
        return MappingProxyType(self._arrays)

    def with_arrays(self, arrays: Mapping[str, np.ndarray], where: str = "") -> "Bundle":
        """Return a copy with these arrays.

        Raises
        ------
        BundleError
            If they do not match the bundle's records; the message begins with `where`.
        """
        _check_arrays(self.array_records, arrays, where or f"bundle {self.name!r}")
        return self._carrying(arrays)

    def _carrying(self, arrays: Mapping[str, np.ndarray]) -> "Bundle":
        copy = self.model_copy()
        copy._arrays = {name: _read_only(array) for name, array in arrays.items()}
        return copy

    def _repr_html_(self) -> str:
        """Return what the bundle is, its parameters and a picture of what it draws, for notebooks."""
        found = _picture_of(self)
        rows = [
            ("title", self.title),
            ("model", self.model),
            ("calibrated on", self.calibration.data),
            ("reference", self.calibration.reference),
            ("licence", self.licence),
            ("content", f"sha256 {self.content_hash[:16]}"),
        ]
        more = [(name, _described(record)) for name, record in self.values.items()]
        more += [(name, f"array of shape {record.shape}") for name, record in self.array_records.items()]
        return card(f"Bundle {self.name}", rows, image(*found) if found else "", more)

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the content that determines an item: model, parameter values, texts, digests of arrays."""
        values = {name: record.value for name, record in self.values.items()}
        digests = {name: record.sha256 for name, record in self.array_records.items()}
        return content_hash(self.model, values, digests, self.texts)

    def cba(self) -> CbaParameters:
        """Return the parameters of the additive; BundleError if the bundle is of another model."""
        return self.parameters_as(CbaParameters)

    def particle(self) -> ParticleParameters:
        """Return the parameters shared by all particle models; BundleError if the bundle is of another model."""
        return self.parameters_as(ParticleParameters)

    def parameters_as(self, kind: type[P]) -> P:
        """Return the parameters as a record of a class or a subclass.

        Raises
        ------
        BundleError
            If the bundle is of another model.
        """
        parameters = self.parameters
        if not isinstance(parameters, kind):
            expected = " or ".join(map(repr, model_names(kind))) or f"one with {kind.__name__}"
            raise BundleError(f"bundle {self.name!r}: found model {self.model!r}, expected {expected}")
        return parameters

    def with_parameters(self, **changes: float | tuple[float, ...]) -> "Bundle":
        """Return a copy with some parameters changed, or optional ones added, marked as assumed.

        Raises
        ------
        BundleError
            If a name is unknown, a value is impossible, or a parameter of several numbers gets a single one.
        """
        return self._changed(changes, "assumed", "set by the caller")

    def with_choices(self, changes: Mapping[str, float | tuple[float, ...]], source: str) -> "Bundle":
        """Return a copy like :meth:`with_parameters`, with the changed parameters marked as chosen for this reason."""
        return self._changed(changes, "chosen", source)

    def _changed(
        self, changes: Mapping[str, float | tuple[float, ...]], provenance: Provenance, source: str
    ) -> "Bundle":  # fmt: skip
        model = parameters_of_model(self.model)
        fields = model.model_fields
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
            record = content["parameters"].setdefault(name, {"unit": unit_of(model, name)})
            record.update(value=value, provenance=provenance, source=source)
        return validated(content, f"bundle {self.name!r}")._carrying(self._arrays)


def validated(content: Mapping[str, Any], where: str) -> Bundle:
    """Return the bundle in `content`; one BundleError names every fault."""
    try:
        return Bundle.model_validate(content)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc'])) or 'bundle'}: {_reason(e)}" for e in error.errors()]
        more = [f"and {len(faults) - MOST_FAULTS} more faults"] if len(faults) > MOST_FAULTS else []
        raise BundleError(f"{where}: " + "; ".join(faults[:MOST_FAULTS] + more)) from None


def content_hash(
    model: Any, values: Mapping[str, Any], digests: Mapping[str, Any], texts: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Return the SHA-256 (hex) of a bundle's model, its parameters, the digests of its arrays, and texts if any."""
    content = {"model": model, "parameters": dict(values), "arrays": dict(digests)}
    content |= {"texts": dict(texts)} if texts else {}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def array_digest(array: np.ndarray) -> str:
    """Return the SHA-256 (hex) of an array's little-endian bytes in C order."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.tobytes()).hexdigest()


def _picture_of(bundle: Bundle) -> tuple[np.ndarray, str] | None:
    """Return a picture of what a bundle draws, with its description; None without one."""
    draw = import_module("nmcdist.models.pictures").bundle_picture  # by name, as models are built on bundles
    try:
        found: tuple[np.ndarray, str] | None = draw(bundle)
    except NmcdistError:  # parameters with which nothing can be drawn
        return None
    return found


def _described(record: ParameterRecord) -> str:
    values = record.value if isinstance(record.value, tuple) else (record.value,)
    numbers = ", ".join(f"{value:.4g}" for value in values[:_SHOWN]) + ", ..." * (len(values) > _SHOWN)
    return f"{numbers}{f' {record.unit}' if record.unit != '1' else ''}, {record.provenance}"


_FIELDS = {field.alias or name: field for name, field in Bundle.model_fields.items()}


def _reason(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        parameters = (name for model in model_names() for name in parameters_of_model(model).model_fields)
        near = proposal(str(error["loc"][-1]), {**_FIELDS, **dict.fromkeys(parameters)})
        return "unknown field" + (near if near.startswith(";") else "")
    found, said = error.get("input"), str(error["msg"].removeprefix("Value error, "))
    return said if isinstance(found, dict) or said.startswith("found") else f"{said} (found {shown(found)})"


def _record(array: np.ndarray, unit: str, provenance: str, source: str) -> dict[str, Any]:
    return {
        "shape": array.shape, "dtype": str(array.dtype), "unit": unit, "provenance": provenance,
        "sha256": array_digest(array), "source": source,
    }  # fmt: skip


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

    Its inputs are NET_INPUTS and, optionally, those of NET_MORE: the distance from the centre, and the grain's own
    two noises.
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
