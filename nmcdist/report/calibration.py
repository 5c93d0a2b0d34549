"""The report of a calibration of grains: sections side by side, how far the model is from the truth, and its cost."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nmcdist.calibration.recipe import GrainRecipe
from nmcdist.calibration.sections import Section
from nmcdist.errors import StoreError
from nmcdist.report import calibration_figures as figures
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.tables import markdown, write_csv

NUMBERS = "calibration.json"
SECTIONS = "sections.npz"

# What a model is aimed at: the Kolmogorov-Smirnov distance in sections and in space, of these descriptors.
AIMS = {
    "2D": (0.03, ("area_nm2", "elongation", "angle_to_radius", "chord_length_nm")),
    "3D": (0.05, ("volume_nm3", "elongation", "angle_to_radius")),
}
FLOORS = 2.0  # noise floors, which nothing need be nearer than
TIMES = 5.0  # that a baseline is to be further, by the 1-Wasserstein distance ...
OF_SHAPE = ("elongation", "angle_to_radius")  # ... of these

_NAMES = {
    "area_nm2": "area A_cross", "elongation": "elongation", "angle_to_radius": "angle to the radius",
    "chord_length_nm": "chord length", "volume_nm3": "volume", "equivalent_diameter_nm": "equivalent diameter",
    "neighbours": "neighbours", "boundary_area_nm2": "boundary area",
}  # fmt: skip
_BASELINES = {"voronoi": "Poisson-Voronoi", "isotropic": "isotropic power diagram"}


def report_calibration(folder: Path, out: Path) -> Path:
    """Write the report of a calibration.

    Parameters
    ----------
    folder : Path
        As :func:`nmcdist.calibration.calibrate.calibrate_grains` leaves it.
    out : Path
        Folder for figures (PNG), tables (CSV) and the page.

    Returns
    -------
    Path
        The page ``report.md``.

    Raises
    ------
    StoreError
        If the folder lacks a file, or one is damaged.
    InputError
        If the folder of the report cannot be made.
    """
    folder, out = Path(folder), Path(out)
    numbers = _read_numbers(folder / NUMBERS)
    seen = _Seen.read(folder / SECTIONS, numbers)
    make_folder(out)
    write_csv(out / "distances.csv", *_distances(numbers.distances))
    return write_page(out, list(_text(numbers, seen)), _figures(numbers, seen, out), _captions(numbers))


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Distances(_Read):
    """Distances of a baseline; `times` is how much further it is than the model."""

    ks: float
    w1: float
    profile_ks: float | None
    profile_w1: float | None
    times: float | None


class _Row(_Read):
    """A row of :func:`nmcdist.calibration.validation.table`, with its baselines by name."""

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
    baselines: dict[str, _Distances]

    @model_validator(mode="before")
    @classmethod
    def _gather_baselines(cls, row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        names = [key.removesuffix("_times") for key in row if key.endswith("_times")]
        fields = _Distances.model_fields
        return {**row, "baselines": {n: {f: row[f"{n}_{f}"] for f in fields if f"{n}_{f}" in row} for n in names}}

    @property
    def name(self) -> str:
        return _NAMES.get(self.descriptor, self.descriptor)


class _Epoch(_Read):
    epoch: int
    loss: float
    visible: float
    intensity: float
    seconds: float
    discriminator_loss: float | None = None
    distances: dict[str, float] | None = None


class _FitOf(_Read):
    name: str
    grains: int
    pixels: int
    matched: float
    boundary_distance_nm: float
    area_error: float
    lost_grains: int


class _Fits(_Read):
    sections: list[_FitOf]
    matched: float
    seconds: float


class _Names(_Read):
    kept: list[str]
    dropped: list[str]
    held_out: list[str]

    @property
    def compared(self) -> list[str]:
        return self.held_out or self.kept


class _OfBundle(_Read):
    name: str
    sha256: str


class _Best(_Read):
    epoch: int
    mean_ks: float


class _Cost(_Read):
    device: str
    machine: str
    fit_s: float
    train_s: float
    compare_s: float
    steps_per_s: float


class _Numbers(_Read):
    recipe: GrainRecipe
    bundle: _OfBundle
    intensity_per_nm3: float
    sections: _Names
    compared_with: str
    truth: str | None
    fits: _Fits
    training: list[_Epoch] = Field(min_length=1)
    visible_per_pixel: float
    best: _Best
    distances: list[_Row]
    cost: _Cost

    def rows(self, dimension: str) -> list[_Row]:
        return [row for row in self.distances if row.dimension == dimension]


@dataclass(frozen=True)
class _Seen:
    """Sections: of the training, those that the model is compared with, generated ones, and dropped ones."""

    kept: list[Section]
    measured: list[Section]
    generated: list[Section]
    dropped: list[Section]

    @classmethod
    def read(cls, path: Path, numbers: _Numbers) -> "_Seen":
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


def _read_numbers(path: Path) -> _Numbers:
    try:
        numbers = _Numbers.model_validate(json.loads(path.read_text(encoding="utf-8")))
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


def _figures(numbers: _Numbers, seen: _Seen, out: Path) -> list[Path]:
    ks = {row.descriptor: (row.ks, row.floor_ks) for row in numbers.rows("2D")}
    epochs, target = [epoch.model_dump() for epoch in numbers.training], numbers.visible_per_pixel
    return [
        figures.sections(seen.measured, seen.generated, out / "sections.png"),
        figures.descriptors(seen.measured, seen.generated, ks, out / "descriptors.png"),
        figures.orientations(seen.kept, seen.dropped, seen.generated, out / "orientations.png"),
        figures.training(epochs, numbers.best.epoch, target, seen.pixel_size_nm, out / "training.png"),
    ]  # fmt: skip


def _captions(numbers: _Numbers) -> dict[str, str]:
    training = " and of its rival, the discriminator" if numbers.recipe.method == "adversarial" else ""
    return {
        "sections.png": f"Sections of measured particles ({numbers.compared_with}; missing pixels filled from the fit) "
        "and freshly drawn grains whose centres lie in the same outlines, at one scale. Grains that point to the "
        "centre are dark, grains across it light, and those without an orientation grey.",
        "descriptors.png": "Grains in sections (the paper's Figure 10b): one generated section for each measured one. "
        "The Kolmogorov-Smirnov distances are those of the table, for which more sections were generated. The "
        "elongation's form is lost in print; this one is assumed.",
        "orientations.png": "Orientation of the grains in each section (the paper's Figure 2d), by a kernel that is "
        "reflected at both ends. Measured are the sections of the training; dropped are those taken not to go through "
        "the centre.",
        "training.png": f"The training by epoch: the loss of the generator{training}; grains seen a square micrometre "
        "of generated and of measured windows; the intensity of the seeds, which follows them; and the distances of "
        "the states that were assessed on the sections of the training, the best of which was chosen.",
    }


def _text(numbers: _Numbers, seen: _Seen) -> Iterator[str]:
    recipe, names = numbers.recipe, numbers.sections
    yield f"# {recipe.title}"
    yield (
        f"Recipe `{recipe.name}` {recipe.version}, seed {recipe.seed}: "
        f"{'energy distances' if recipe.method == 'energy' else 'a discriminator'} of windows of {recipe.window} "
        f"pixels, {len(numbers.training)} epochs of {recipe.steps} steps; the state after epoch {numbers.best.epoch} "
        f"was chosen (mean distance {numbers.best.mean_ks:.3f}). Bundle `{numbers.bundle.name}`, sha256 "
        f"`{numbers.bundle.sha256}`, {1e9 * numbers.intensity_per_nm3:.3g} seeds a cubic micrometre."
    )
    yield f"Trained on {len(names.kept)} sections of pixels of {seen.pixel_size_nm:g} nm. {_dropped(names)}"
    yield f"## Distances in sections\n\n{_compared(numbers)}"
    yield from _tables(numbers.rows("2D"))
    if numbers.rows("3D"):
        yield (
            "## Grains in space\n\nGrains of whole particles of the model, against those of the phantom "
            f"`{numbers.truth}`, of which the model saw sections only."
        )
        yield from _tables(numbers.rows("3D"))
    yield "All distances: [distances.csv](distances.csv), a row a descriptor."
    yield (
        "## Fits\n\nTessellations fitted to the sections of the training: "
        f"{numbers.fits.matched:.2%} of the pixels matched on average."
    )
    yield markdown(
        ["section", "grains", "pixels", "matched", "boundary distance / nm", "area error", "grains lost"],
        ([_escaped(f.name), f"{f.grains}", f"{f.pixels}", f"{f.matched:.2%}", f"{f.boundary_distance_nm:.3g}",
          f"{f.area_error:.2%}", f"{f.lost_grains}"] for f in numbers.fits.sections),
    )  # fmt: skip
    yield "## Cost"
    cost = numbers.cost
    yield markdown(
        ["what", f"on {cost.device} ({cost.machine})"],
        [
            ["steps a second", f"{cost.steps_per_s:.3g}"],
            ["fits / s", f"{cost.fit_s:.3g}"],
            ["training, with assessments / s", f"{cost.train_s:.4g}"],
            ["baselines and distances / s", f"{cost.compare_s:.4g}"],
        ],
    )


def _dropped(names: _Names) -> str:
    if not names.dropped:
        return "None was dropped for not going through the centre."
    return f"Dropped for not going through the centre: {', '.join(f'`{name}`' for name in names.dropped)}."


def _compared(numbers: _Numbers) -> str:
    names = numbers.sections
    if names.held_out:
        with_ = f"{len(names.held_out)} sections that were held out"
    else:
        with_ = f"the {len(names.kept)} sections that it was trained on, which flatters it"
    of = "the truth" if numbers.truth else "the model, as the truth is not known"
    return (
        f"The model is compared with {with_}. KS is the largest difference of the distribution functions "
        "(Kolmogorov-Smirnov), W1 the area between them (1-Wasserstein) in standard deviations of what is measured. "
        f"The noise floor is the mean distance between independent draws of {of}. The baselines know only the sizes "
        "of the grains in the same sections; *times* is their W1 over the model's."
    )


def _tables(rows: Sequence[_Row]) -> Iterator[str]:
    """Yield the table of distances, that within bins of radius, and what is reached of the aims."""
    if not rows:
        return
    yield _table(rows, "")
    radial = [row for row in rows if row.profile_ks is not None]
    if radial:
        yield "Against the distance from the centre: means of the same distances within five bins of it."
        yield _table(radial, "profile_")
    yield _verdict(rows)


def _table(rows: Sequence[_Row], prefix: str) -> str:
    """Return the distances as Markdown: those of all grains, or with the prefix those within bins of radius."""
    header = ["descriptor", "KS", "noise floor", "W1", "noise floor"]
    for name in rows[0].baselines:
        header += [f"{_baseline(name)}: KS", "W1", "times"]
    lines = []
    for row in rows:
        ks, w1 = (getattr(row, prefix + name) for name in ("ks", "w1"))
        floors = (getattr(row, f"floor_{prefix}{name}") for name in ("ks", "w1"))
        line = [row.name]
        for value, floor in zip((ks, w1), floors, strict=True):
            line += [_rounded(value, 3), _rounded(floor, 3)]
        for other in row.baselines.values():
            further = getattr(other, prefix + "w1")
            times = further / w1 if further is not None and w1 else None
            line += [_rounded(getattr(other, prefix + "ks"), 3), _rounded(further, 3), _rounded(times, 1)]
        lines.append(line)
    return markdown(header, lines)


def _verdict(rows: Sequence[_Row]) -> str:
    """Say what the model is aimed at, and which rows miss it by how much."""
    aim, names = AIMS[rows[0].dimension]
    text = (
        f"Aimed at: KS of at most {aim:g}, or {FLOORS:g} times the noise floor where that is more, in "
        f"{_listed([_NAMES[name] for name in names])}; baselines at least {TIMES:g} times further, by W1, in "
        f"{_listed([_NAMES[name] for name in OF_SHAPE])}."
    )
    missed = [*_too_far(rows, aim, names), *_too_near(rows)]
    text += " **Missed:**\n\n" + "\n".join(f"- {line}" for line in missed) if missed else " All is reached."
    level = [
        f"{_baseline(label)} in {row.name}"
        for row, label, other in _baselines(rows)
        if not _is_beyond_noise(row, other)
    ]
    if level:
        text += (
            f"\n\nNo model can be {TIMES:g} times nearer where a baseline is itself within {FLOORS:g} times the noise "
            f"floor: {_listed(level)}."
        )
    return text


def _too_far(rows: Sequence[_Row], aim: float, names: Sequence[str]) -> Iterator[str]:
    for row in rows:
        most = max(aim, FLOORS * row.floor_ks)
        if row.descriptor in names and not row.ks <= most:
            yield f"{row.name}: KS is {row.ks:.3f}, at most {most:.3f} is aimed at (noise floor {row.floor_ks:.3f})"


def _too_near(rows: Sequence[_Row]) -> Iterator[str]:
    for row, label, other in _baselines(rows):
        if _is_beyond_noise(row, other) and other.times is not None and not other.times >= TIMES:
            yield (
                f"{row.name}: {_baseline(label)} is {other.times:.2f} times further, {TIMES:g} are aimed at (a model "
                f"at the noise floor would have {other.w1 / row.floor_w1:.1f})"
            )


def _baselines(rows: Sequence[_Row]) -> Iterator[tuple[_Row, str, _Distances]]:
    for row in rows:
        if row.descriptor in OF_SHAPE:
            yield from ((row, label, other) for label, other in row.baselines.items())


def _is_beyond_noise(row: _Row, other: _Distances) -> bool:
    return other.w1 > FLOORS * row.floor_w1


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _baseline(name: str) -> str:
    return _BASELINES.get(name, name)


def _rounded(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _escaped(name: str) -> str:
    return name.replace("|", "\\|")


def _distances(rows: Sequence[_Row]) -> tuple[list[str], list[list[Any]]]:
    """Return header and rows of the table of all distances, as the calibration keeps them."""
    lines = [_flat(row) for row in rows]
    header = list(dict.fromkeys(key for line in lines for key in line))
    return header, [[line.get(key) for key in header] for line in lines]


def _flat(row: _Row) -> dict[str, Any]:
    own = row.model_dump(exclude={"baselines"})
    return own | {f"{name}_{key}": v for name, of in row.baselines.items() for key, v in of.model_dump().items()}
