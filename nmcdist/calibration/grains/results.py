"""The content of ``calibration.json``: the results of a calibration of grains, written and read."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from nmcdist.calibration.grains.recipe import GrainRecipe
from nmcdist.errors import StoreError

NUMBERS = "calibration.json"

Dimension = Literal["2D", "3D"]
Law = Literal["constant", "by-distance"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaselineDistances(_Record):
    """Distances of a baseline; `times` is its w1 over that of the model, None if that is 0."""

    ks: float
    w1: float
    profile_ks: float | None
    profile_w1: float | None
    times: float | None


class DistanceRow(_Record):
    """The distances of one descriptor, with the noise floor and the distances of the baselines.

    In the file, the distances of a baseline are entries of the row with the baseline's name as prefix.

    Attributes
    ----------
    descriptor, dimension, unit : str
        Descriptor of grains in sections ("2D") or in space ("3D").
    ks, w1, profile_ks, profile_w1, w1_own : float
        See :class:`nmcdist.calibration.grains.distances.Distance`; `w1` is in standard deviations of the truth,
        `w1_own` in the unit.
    n_found, n_truth : int
        Sizes of the samples.
    error_ks, error_w1, error_profile_ks, error_profile_w1 : float or None
        Half the widths of their intervals, None if unknown.
    floor_ks, floor_w1, ... : float
        The noise floor, and the largest of its repetitions.
    baselines : dict of str to BaselineDistances
    """

    descriptor: str
    dimension: Dimension
    unit: str
    ks: float
    w1: float
    profile_ks: float | None
    profile_w1: float | None
    w1_own: float
    n_found: int
    n_truth: int
    error_ks: float | None
    error_w1: float | None
    error_profile_ks: float | None
    error_profile_w1: float | None
    floor_ks: float
    floor_w1: float
    floor_profile_ks: float | None
    floor_profile_w1: float | None
    floor_ks_largest: float
    floor_w1_largest: float
    baselines: dict[str, BaselineDistances]

    @model_validator(mode="before")
    @classmethod
    def _gather_baselines(cls, row: Any) -> Any:
        if not isinstance(row, dict) or "baselines" in row:
            return row
        names = [key.removesuffix("_times") for key in row if key.endswith("_times")]
        of = {f"{name}_{field}": (name, field) for name in names for field in BaselineDistances.model_fields}
        baselines: dict[str, dict[str, Any]] = {name: {} for name in names}
        for key in row.keys() & of:
            name, field = of[key]
            baselines[name][field] = row[key]
        return {key: value for key, value in row.items() if key not in of} | {"baselines": baselines}

    @model_serializer(mode="wrap")
    def _spread_baselines(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        row: dict[str, Any] = handler(self)
        baselines = row.pop("baselines")
        return row | {f"{name}_{field}": value for name, of in baselines.items() for field, value in of.items()}


class Count(_Record):
    """Grains per area or volume in a bin of distance from the centre, and their ratio to those of the data.

    Attributes
    ----------
    from_nm, to_nm : float
    generated : float or None
        Grains per um^2 or um^3.
    ratio : float or None
        Generated grains over those of the data, None if either is 0.
    error : float or None
        Half the width of its interval, None if unknown.
    """

    from_nm: float
    to_nm: float
    generated: float | None
    ratio: float | None
    error: float | None


class CountInSections(Count):
    """The same beside the measured grains per um^2."""

    measured: float | None


class CountInSpace(Count):
    """The same beside the true grains per um^3."""

    truth: float | None


class Counts(_Record):
    """Grains by distance in sections, and in space if the truth is known."""

    two: list[CountInSections] = Field(validation_alias=AliasChoices("2D", "two"), serialization_alias="2D")
    three: list[CountInSpace] = Field(validation_alias=AliasChoices("3D", "three"), serialization_alias="3D")


class FittedLaw(_Record):
    """A fitted law of the seeds' intensity, with its grains by distance in the training sections."""

    law: Law
    sha256: str
    epoch: int
    mean_ks: float
    knots_nm: list[float] = Field(min_length=1)
    per_nm3: list[float] = Field(min_length=1)
    counts: list[CountInSections]


class ChosenLaw(_Record):
    """The chosen law, the reason, and the criteria of 1, 2, ... knots."""

    law: Law
    why: str
    criteria: list[float]


class RepeatedDistance(_Record):
    """The distances of one descriptor in trainings that differ in their seeds.

    Attributes
    ----------
    dimension, descriptor : str
    ks : list of float
        One per training.
    mean : float
    error : float or None
        Half the width of the 95 % interval of the mean by Student's law; None with two trainings or fewer.
    """

    dimension: Dimension
    descriptor: str
    ks: list[float] = Field(min_length=1)
    mean: float
    error: float | None


class Epoch(_Record):
    """An epoch of a training. Values that do not apply are None here and missing in the file.

    Attributes
    ----------
    epoch : int
        From 1.
    loss, gradient, visible : float
        Means over its steps: loss of the generator, length of its gradient, visible grains per pixel.
    discriminator_loss, discriminator_steps : float or None
        Means over its steps, if there is a discriminator.
    intensity : float
        Seeds per cubed pixel at its end; the greatest if the intensity varies.
    knots, intensities : list of float or None
        Distances in pixels and the intensity there, if it varies.
    seconds : float
    assess_seconds : float or None
    distances : dict of str to float or None
        Distances of its last state by descriptor, if assessed.
    """

    epoch: int
    loss: float
    gradient: float
    visible: float
    discriminator_loss: float | None = None
    discriminator_steps: float | None = None
    intensity: float
    knots: list[float] | None = None
    intensities: list[float] | None = None
    seconds: float
    assess_seconds: float | None = None
    distances: dict[str, float] | None = None

    @model_serializer(mode="wrap")
    def _leave_out_what_does_not_apply(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class SectionFit(_Record):
    """The quality of the fit to one section: see :class:`nmcdist.calibration.grains.tessellation_fit.Fit`."""

    name: str
    grains: int
    pixels: int
    matched: float
    boundary_distance_nm: float
    area_error: float
    lost_grains: int


class Fits(_Record):
    """The quality of all fits, the mean share of matched pixels, and the duration in seconds."""

    sections: list[SectionFit]
    matched: float
    seconds: float


class SectionNames(_Record):
    """The names of the sections by use."""

    kept: list[str]
    dropped: list[str]
    held_out: list[str]

    @property
    def compared(self) -> list[str]:
        """Names of the sections with which the model is compared."""
        return self.held_out or self.kept


class BundleName(_Record):
    """The bundle."""

    name: str
    sha256: str


class Best(_Record):
    """The chosen state."""

    epoch: int
    mean_ks: float


class Cost(_Record):
    """Durations in seconds, and the hardware."""

    device: str
    machine: str
    fit_s: float
    train_s: float
    compare_s: float
    steps_per_s: float


class Results(_Record):
    """All of ``calibration.json``."""

    recipe: GrainRecipe
    bundle: BundleName
    intensity_per_nm3: float
    sections: SectionNames
    compared_with: str
    truth: str | None
    fits: Fits
    training: list[Epoch] = Field(min_length=1)
    visible_per_pixel: float
    best: Best
    laws: list[FittedLaw] = Field(min_length=1)
    chosen: ChosenLaw
    distances: list[DistanceRow]
    counts: Counts
    repeats: list[RepeatedDistance]
    cost: Cost

    def rows(self, dimension: Dimension) -> list[DistanceRow]:
        """Return the rows of "2D" or "3D"."""
        return [row for row in self.distances if row.dimension == dimension]

    def write(self, path: Path) -> None:
        """Write the file."""
        path.write_text(json.dumps(self.model_dump(by_alias=True), indent=1) + "\n", encoding="utf-8")


def read_results(path: Path) -> Results:
    """Read ``calibration.json``; StoreError if it cannot be read or lacks a value."""
    try:
        results = Results.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}, expected the numbers of a calibration") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise StoreError(f"{path}: {field + ': ' if field else ''}{first['msg']}") from None
    except ValueError as error:
        raise StoreError(f"{path}: damaged ({error}), expected JSON") from None
    if not results.sections.compared:
        raise StoreError(f"{path}: sections: names none, expected at least one")
    if not any(epoch.distances for epoch in results.training):
        raise StoreError(f"{path}: training: found no epoch with distances, expected at least the last")
    return results
