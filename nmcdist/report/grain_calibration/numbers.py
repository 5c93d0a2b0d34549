"""What the report of a calibration reads: the numbers of ``calibration.json``, and the sections beside it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nmcdist.calibration.grains.recipe import GrainRecipe
from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import StoreError

NUMBERS = "calibration.json"
SECTIONS = "sections.npz"
NAMES = {
    "area_nm2": "area A_cross", "elongation": "elongation", "angle_to_radius": "angle to the radius",
    "chord_length_nm": "chord length", "volume_nm3": "volume", "equivalent_diameter_nm": "equivalent diameter",
    "neighbours": "neighbours", "boundary_area_nm2": "boundary area", "flatness": "flatness",
    "short_axis_angle": "angle of the short axis",
}  # fmt: skip


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Distances(_Read):
    """Distances of a baseline; `times` is how much further it is than the model."""

    ks: float
    w1: float
    profile_ks: float | None
    profile_w1: float | None
    times: float | None


class Row(_Read):
    """A row of :func:`nmcdist.calibration.grains.validation.table`, with its baselines by name."""

    descriptor: str
    dimension: Literal["2D", "3D"]
    unit: str
    ks: float
    w1: float
    w1_own: float
    profile_ks: float | None
    profile_w1: float | None
    n_found: int
    n_truth: int
    floor_ks: float
    floor_w1: float
    floor_ks_largest: float
    floor_w1_largest: float
    floor_profile_ks: float | None
    floor_profile_w1: float | None
    error_ks: float | None
    error_w1: float | None
    error_profile_ks: float | None
    error_profile_w1: float | None
    baselines: dict[str, Distances]

    @model_validator(mode="before")
    @classmethod
    def _gather_baselines(cls, row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        names = [key.removesuffix("_times") for key in row if key.endswith("_times")]
        fields = Distances.model_fields
        return {**row, "baselines": {n: {f: row[f"{n}_{f}"] for f in fields if f"{n}_{f}" in row} for n in names}}

    @property
    def name(self) -> str:
        """The descriptor in words."""
        return NAMES.get(self.descriptor, self.descriptor)


class Count(_Read):
    """Grains per area (or volume) in a bin of distance from the centre, generated over measured (or true) ones."""

    from_nm: float
    to_nm: float
    ratio: float | None
    error: float | None


class LawOf(_Read):
    """A law of the seeds' intensity that was fitted, with its grains by distance in sections of the training."""

    law: str
    sha256: str
    epoch: int
    mean_ks: float
    knots_nm: list[float] = Field(min_length=1)
    per_nm3: list[float] = Field(min_length=1)
    counts: list[Count]


class Chosen(_Read):
    """Which law was taken, and why."""

    law: str
    why: str
    criteria: list[float]


class Counts(_Read):
    """Grains by distance in sections, and in space where the truth is known."""

    two: list[Count] = Field(alias="2D")
    three: list[Count] = Field(alias="3D")


class Repeated(_Read):
    """The distances of one descriptor in trainings that differ in their seeds."""

    dimension: Literal["2D", "3D"]
    descriptor: str
    ks: list[float] = Field(min_length=1)
    mean: float
    error: float | None


class Epoch(_Read):
    """An epoch of the training."""

    epoch: int
    loss: float
    visible: float
    intensity: float
    seconds: float
    discriminator_loss: float | None = None
    distances: dict[str, float] | None = None


class FitOf(_Read):
    """How well the tessellation of one section fits."""

    name: str
    grains: int
    pixels: int
    matched: float
    boundary_distance_nm: float
    area_error: float
    lost_grains: int


class Fits(_Read):
    """How well all fit."""

    sections: list[FitOf]
    matched: float
    seconds: float


class Names(_Read):
    """Which sections went where."""

    kept: list[str]
    dropped: list[str]
    held_out: list[str]

    @property
    def compared(self) -> list[str]:
        """Names of the sections that the model is compared with."""
        return self.held_out or self.kept


class OfBundle(_Read):
    """The bundle."""

    name: str
    sha256: str


class Best(_Read):
    """The state that was chosen."""

    epoch: int
    mean_ks: float


class Cost(_Read):
    """Seconds, and on what."""

    device: str
    machine: str
    fit_s: float
    train_s: float
    compare_s: float
    steps_per_s: float


class Numbers(_Read):
    """All of ``calibration.json`` that the report shows."""

    recipe: GrainRecipe
    bundle: OfBundle
    intensity_per_nm3: float
    sections: Names
    compared_with: str
    truth: str | None
    fits: Fits
    training: list[Epoch] = Field(min_length=1)
    visible_per_pixel: float
    best: Best
    laws: list[LawOf] = Field(min_length=1)
    chosen: Chosen
    distances: list[Row]
    counts: Counts
    repeats: list[Repeated]
    cost: Cost

    def rows(self, dimension: str) -> list[Row]:
        """Return the rows of "2D" or "3D"."""
        return [row for row in self.distances if row.dimension == dimension]


@dataclass(frozen=True)
class Seen:
    """Sections: of the training, those that the model is compared with, generated ones, and dropped ones."""

    kept: list[Section]
    measured: list[Section]
    generated: list[Section]
    dropped: list[Section]

    @classmethod
    def read(cls, path: Path, numbers: Numbers) -> "Seen":
        """Read them; StoreError if one is lacking or damaged."""
        try:
            # Opened here, since numpy leaves a damaged archive open.
            with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except FileNotFoundError:
            raise StoreError(f"{path}: there is no such file, expected the sections of a calibration") from None
        except Exception as error:  # numpy raises what it likes on damaged archives, errors of tokens among it
            raise StoreError(f"{path}: damaged ({' '.join(str(error).split())}), expected arrays") from None
        names = numbers.sections
        groups = (
            ("kept", names.kept),
            ("measured", names.compared),
            ("generated", names.compared),
            ("dropped", names.dropped),
        )
        return cls(*([_section(path, arrays, f"{g}_{k}", n) for k, n in enumerate(of)] for g, of in groups))

    @property
    def pixel_size_nm(self) -> float:
        """Edge of the pixels of all sections."""
        return self.kept[0].pixel_size_nm


def _section(path: Path, arrays: dict[str, np.ndarray], key: str, name: str) -> Section:
    for lacking in (key, f"{key}_place"):
        if lacking not in arrays:
            raise StoreError(f"{path}: lacks {lacking!r}, expected it for section {name!r} of {NUMBERS}")
    labels, place = arrays[key], arrays[f"{key}_place"]
    if labels.ndim != 2 or labels.dtype.kind != "i" or not (labels > 0).any():
        raise StoreError(
            f"{path}: {key} is {labels.dtype} of shape {labels.shape}, expected an image of labelled grains"
        )
    if place.shape != (3,) or not np.isfinite(place).all() or not place[0] > 0:
        raise StoreError(
            f"{path}: {key}_place is {place.tolist()}, expected a pixel size and the row and column of a centre"
        )
    return Section(name, labels.astype(np.int32), float(place[0]), (float(place[1]), float(place[2])))


def read_numbers(path: Path) -> Numbers:
    """Read ``calibration.json``; StoreError if it cannot be read or lacks a number."""
    try:
        numbers = Numbers.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}, expected the numbers of a calibration") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise StoreError(f"{path}: {field + ': ' if field else ''}{first['msg']}") from None
    except ValueError as error:
        raise StoreError(f"{path}: damaged ({error}), expected JSON") from None
    if not numbers.sections.compared:
        raise StoreError(f"{path}: sections: names none, expected at least one")
    if not any(epoch.distances for epoch in numbers.training):
        raise StoreError(f"{path}: training: found no epoch with distances, expected at least the last")
    return numbers
