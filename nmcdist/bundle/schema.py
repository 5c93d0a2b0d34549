"""What a trained model bundle holds: parameters with unit and provenance, arrays, and how they came to be."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nmcdist.errors import BundleError

SCHEMA_VERSION = 1

Provenance = Literal["published", "fitted", "assumed"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _quantity(unit: str, meaning: str) -> Any:
    return Field(description=meaning, json_schema_extra={"unit": unit})


Positive = Annotated[float, Field(gt=0)]


class CbaParameters(_Frozen):
    """The eight parameters of the additive phase, Eq. (5) of the CBA paper, in physical units."""

    lambda_X_per_nm3: Positive = _quantity("nm^-3", "intensity of the graphite germs")
    alpha_1: Positive = _quantity("1", "shape of the gamma law of half-axis a of the spheroids")
    alpha_2: Positive = _quantity("1", "shape of the gamma law of half-axis c of the spheroids")
    gamma_per_nm: Positive = _quantity("nm^-1", "rate of both gamma laws")
    mu: float = _quantity("1", "threshold of the Gaussian field")
    eta_per_nm: Positive = _quantity("nm^-1", "inverse correlation length of the Gaussian field")
    theta_per_nm: Positive = _quantity("nm^-1", "rate of the exponential radius of the large pores")
    lambda_Y_per_nm3: Positive = _quantity("nm^-3", "intensity of the germs of the large pores")


PARAMETERS_OF_MODEL: dict[str, type[_Frozen]] = {"cba": CbaParameters}


class ParameterRecord(_Frozen):
    """One parameter as it stands in the file: value, unit, and where the value comes from."""

    value: float
    unit: str
    provenance: Provenance
    source: str = ""


class ArrayRecord(_Frozen):
    """One array of ``arrays.safetensors``: what it must look like, and its digest."""

    shape: tuple[int, ...]
    dtype: str
    unit: str
    provenance: Provenance
    sha256: str
    source: str = ""


class Calibration(_Frozen):
    """What the bundle was calibrated on, by what, and when."""

    data: str
    method: str
    date: str
    reference: str = ""


class Bundle(_Frozen):
    """A trained model bundle.

    Attributes
    ----------
    name, title, description, licence : str
        Identity, and under which terms the values may be used.
    model : str
        Which model the parameters belong to: "cba".
    values : dict of str to ParameterRecord
        The parameters with unit and provenance.
    arrays : dict of str to ArrayRecord
        What stands in ``arrays.safetensors`` beside the description.
    calibration : Calibration
        Origin of the values as a whole.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    title: str
    description: str = ""
    licence: str
    model: Literal["cba"]
    values: dict[str, ParameterRecord] = Field(alias="parameters")
    arrays: dict[str, ArrayRecord] = {}
    calibration: Calibration

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @model_validator(mode="after")
    def _parameters_fit_the_model(self) -> "Bundle":
        expected = PARAMETERS_OF_MODEL[self.model]
        expected.model_validate({name: record.value for name, record in self.values.items()})
        for name, record in self.values.items():
            unit = expected.model_fields[name].json_schema_extra["unit"]  # type: ignore[index]
            if record.unit != unit:
                raise ValueError(f"parameters.{name}.unit: found {record.unit!r}, expected {unit!r}")
        return self

    @property
    def parameters(self) -> Any:
        """The parameters as the frozen record of their model (`CbaParameters` for "cba")."""
        return PARAMETERS_OF_MODEL[self.model](**{name: record.value for name, record in self.values.items()})

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) of what decides an item: model, parameter values, and the digests of the arrays."""
        content = {
            "model": self.model,
            "parameters": {name: record.value for name, record in sorted(self.values.items())},
            "arrays": {name: record.sha256 for name, record in sorted(self.arrays.items())},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

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

    def with_parameters(self, **changes: float) -> "Bundle":
        """Return a copy with some parameter values changed, marked as assumed.

        Raises
        ------
        BundleError
            If a name is unknown or a value is impossible.
        """
        unknown = sorted(set(changes) - set(self.values))
        if unknown:
            raise BundleError(
                f"bundle {self.name!r}: unknown parameter {unknown[0]!r}, expected one of {sorted(self.values)}"
            )
        values = dict(self.values)
        for name, value in changes.items():
            values[name] = values[name].model_copy(
                update={"value": value, "provenance": "assumed", "source": "set by the caller"}
            )
        return validated({**self.model_dump(by_alias=True), "parameters": _dump(values)}, f"bundle {self.name!r}")


def validated(content: Mapping[str, Any], where: str) -> Bundle:
    """Return the bundle that `content` describes; every fault in it is named in one BundleError."""
    try:
        return Bundle.model_validate(content)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc'])) or 'bundle'}: {_reason(e)}" for e in error.errors()]
        raise BundleError(f"{where}: " + "; ".join(faults)) from None


def array_digest(array: np.ndarray) -> str:
    """Return the SHA-256 (hex) of an array's little-endian bytes in C order."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.tobytes()).hexdigest()


def _reason(error: Any) -> str:
    found = error.get("input")
    shown = "" if isinstance(found, dict) else f" (found {found!r})"
    return error["msg"].removeprefix("Value error, ") + shown


def _dump(values: Mapping[str, ParameterRecord]) -> dict[str, Any]:
    return {name: record.model_dump() for name, record in values.items()}
