"""The whole calibration of grains, from sections to a bundle, its results, and the sections for the report."""

import math
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nmcdist.bundle import Bundle, save_bundle
from nmcdist.calibration.grains.central import central_sections
from nmcdist.calibration.grains.comparison import InSections, InSpace, fit_baselines
from nmcdist.calibration.grains.distances import Distance, distances
from nmcdist.calibration.grains.generated import generated_sections
from nmcdist.calibration.grains.laws import Choice, choose, laws_to_fit
from nmcdist.calibration.grains.net_bundle import train_grains
from nmcdist.calibration.grains.prepared import Prepared
from nmcdist.calibration.grains.recipe import GrainRecipe
from nmcdist.calibration.grains.repeats import spread
from nmcdist.calibration.grains.results import (
    NUMBERS,
    Best,
    BundleName,
    ChosenLaw,
    Cost,
    Counts,
    Dimension,
    DistanceRow,
    FittedLaw,
    Law,
    Results,
    SectionNames,
)
from nmcdist.calibration.grains.samples import section_samples
from nmcdist.calibration.grains.sections import SAME_SIZE, Section
from nmcdist.calibration.grains.shown import SECTIONS, ShownSections
from nmcdist.calibration.grains.training import CHECKPOINT, Training, usable_device
from nmcdist.errors import ImageError, InputError, StoreError
from nmcdist.inputs import empty_folder, folder_to_make
from nmcdist.models.grains import GrainModel
from nmcdist.models.intensity import IntensityProfile
from nmcdist.models.particle import ParticleModel

BUNDLE = "bundle"
_SHOWN = 1_000_006  # added to the recipe's seed, for the sections that the report shows

T = TypeVar("T")
Progress = Callable[[dict[str, Any]], None]


def calibrate_grains(
    sections: Sequence[Section],
    recipe: GrainRecipe,
    base: Bundle,
    out: Path,
    *,
    held_out: Sequence[Section] = (),
    truth: Bundle | None = None,
    repeats: int = 0,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress = lambda facts: None,
) -> Bundle:
    """Calibrate the grains of particles on planar sections.

    Writes the bundle, `calibration.json` with all results, `sections.npz` with measured and generated sections, and a
    checkpoint during the training.

    Parameters
    ----------
    sections : sequence of Section
        Sections that do not pass through the centre are left out: see :func:`central_sections`.
    recipe : GrainRecipe
    base : Bundle
        Bundle that supplies the shells.
    out : Path
        New or empty folder, unless the training is resumed.
    held_out : sequence of Section
        Sections to compare the model with, all of them. Default: the training sections.
    truth : Bundle, optional
        Bundle of the phantom from which the sections were cut. If given, grains in space are compared too.
    repeats : int
        Additional trainings with other seeds, to measure how much the distances depend on the random numbers. Each
        takes as long as the first.
    resume : bool
        Whether to continue from the checkpoint in the folder.
    device, threads
        As in :func:`nmcdist.calibration.grains.training.train`.
    progress : callable
        Called after each step with a dictionary that describes it.

    Raises
    ------
    BundleError
        If the base is not a particle bundle, or the truth has no grains.
    ImageError
        If sections cannot be used, or held-out ones have another pixel size or are among the training sections.
    InputError
        If the device cannot be used.
    StoreError
        If the folder is not empty or cannot be made, or there is no checkpoint to continue from.
    """
    _check_folder(out, resume)
    usable_device(device)
    base.particle()
    if truth is not None:
        ParticleModel.from_bundle(truth)
    _refuse_trained_on(held_out, sections)
    kept, dropped = central_sections(sections)
    progress({
        "event": "sections", "kept": _names(kept), "dropped": _names(dropped),
        "cut_by_the_edge": [s.name for s in kept if _meets_edge(s)],
        "notes": {s.name: list(s.notes) for s in sections if s.notes},
    })  # fmt: skip
    _make_folder(out)
    prepared, fit_s = _timed(lambda: Prepared.of(kept))
    progress({"event": "fitted", "matched": prepared.summary().matched, "seconds": fit_s})
    compared = _fitted_held_out(held_out, prepared) if held_out else prepared.sections
    compared_with = f"{len(compared)} held-out sections" if held_out else "the sections of the training"
    data = f"{_data(kept, truth)}; distances from {compared_with}"
    trainer = _Trainer(prepared, recipe, base, data, out, resume, {"device": device, "threads": threads}, progress)
    laws = laws_to_fit(prepared.sections, recipe)
    trained = {law: trainer.train(law, profile, first=law == next(iter(laws))) for law, profile in laws.items()}
    choice = choose(prepared.sections, recipe, {law: bundle for law, (bundle, _) in trained.items()})
    progress({"event": "intensity", "law": choice.law, "why": choice.why})
    bundle, training = trained[choice.law]
    if truth is not None:
        bundle = bundle.model_copy(update={"title": f"{recipe.title}: of the phantom {truth.name}, not of a material"})
    epochs = [epoch for _, each in trained.values() for epoch in each.history]
    step_s = sum(epoch.seconds for epoch in epochs)  # of all epochs, including those before the training was resumed
    train_s = step_s + sum(epoch.assess_seconds or 0.0 for epoch in epochs)
    comparison, begin_s = _timed(lambda: _Comparison.of(prepared, compared, base, recipe, truth))
    (rows, counts), end_s = _timed(lambda: comparison.compare(bundle))
    others = trainer.repeated(choice.law, laws[choice.law], repeats)
    by_training = [comparison.distances(each) for each in (bundle, *others)] if repeats else []
    bundle = _with_distances(bundle, rows)
    generated = generated_sections(GrainModel.from_bundle(bundle), compared, recipe.seed + _SHOWN)
    ShownSections(list(prepared.sections), list(compared), generated, dropped).write(out / SECTIONS)
    assert training.best is not None
    Results(
        recipe=recipe,
        bundle=BundleName(name=bundle.name, sha256=bundle.content_hash),
        intensity_per_nm3=bundle.particle().grain_intensity_per_nm3,
        sections=SectionNames(kept=_names(kept), dropped=_names(dropped), held_out=_names(held_out)),
        compared_with="held-out sections" if held_out else "the sections of the training",
        truth=None if truth is None else truth.name,
        fits=prepared.summary(),
        training=training.history,
        visible_per_pixel=training.visible,
        best=Best(epoch=training.best_epoch, mean_ks=training.best[0]),
        laws=[_law(law, *trained[law], choice) for law in trained],
        chosen=ChosenLaw(law=choice.law, why=choice.why, criteria=list(choice.criteria)),
        distances=rows,
        counts=counts,
        repeats=spread(by_training) if repeats else [],
        cost=Cost(
            device=device, machine=platform.machine(), fit_s=fit_s, train_s=train_s, compare_s=begin_s + end_s,
            steps_per_s=len(epochs) * recipe.steps / step_s,
        ),
    ).write(out / NUMBERS)  # fmt: skip
    shutil.rmtree(out / BUNDLE, ignore_errors=True)
    save_bundle(bundle, out / BUNDLE)
    progress({"event": "calibrated", "bundle": str(out / BUNDLE), "sha256": bundle.content_hash})
    return bundle


@dataclass(frozen=True)
class _Trainer:
    """The shared inputs of all trainings of a calibration."""

    prepared: Prepared
    recipe: GrainRecipe
    base: Bundle
    data: str
    out: Path
    resume: bool
    how: dict[str, Any]
    progress: Progress

    def train(self, law: Law, profile: IntensityProfile | None, *, first: bool) -> tuple[Bundle, Training]:
        """Train a net with a law of the intensity; the checkpoint of the first training identifies the calibration."""
        name = CHECKPOINT if first else f"{law}-{CHECKPOINT}"
        return self._trained(self.recipe, profile, name, {"law": law})

    def repeated(self, law: Law, profile: IntensityProfile | None, count: int) -> list[Bundle]:
        """Train nets with a law of the intensity and other seeds."""
        bundles = []
        for k in range(1, count + 1):
            recipe = self.recipe.model_copy(update={"seed": self.recipe.seed + k})
            bundles.append(self._trained(recipe, profile, f"repeat-{k}-{CHECKPOINT}", {"law": law, "repeat": k})[0])
        return bundles

    def _trained(
        self, recipe: GrainRecipe, profile: IntensityProfile | None, name: str, which: dict[str, Any]
    ) -> tuple[Bundle, Training]:
        checkpoint = self.out / name
        return train_grains(
            self.prepared, recipe, self.base, self.data, date.today().isoformat(), profile, checkpoint=checkpoint,
            resume=self.resume and checkpoint.exists(), **self.how,
            progress=lambda facts: self.progress({"event": "epoch", **which, **facts}),
        )  # fmt: skip


def _law(law: Law, bundle: Bundle, training: Training, choice: Choice) -> FittedLaw:
    assert training.best is not None
    p = bundle.particle()
    return FittedLaw(
        law=law, sha256=bundle.content_hash, epoch=training.best_epoch, mean_ks=training.best[0],
        knots_nm=list(p.grain_intensity_knots_nm) or [0.0],
        per_nm3=[p.grain_intensity_per_nm3 * factor for factor in p.grain_intensity_factors or (1.0,)],
        counts=choice.counts[law],
    )  # fmt: skip


def _names(sections: Sequence[Section]) -> list[str]:
    return [section.name for section in sections]


@dataclass(frozen=True)
class _Comparison:
    """Data for comparisons with models, in sections and, if the truth is known, in space."""

    in_sections: InSections
    in_space: InSpace | None

    @classmethod
    def of(
        cls, prepared: Prepared, measured: Sequence[Section], base: Bundle, recipe: GrainRecipe, truth: Bundle | None
    ) -> "_Comparison":
        baselines = fit_baselines(prepared.sections, truth or base, recipe.seed)
        in_space = None if truth is None else InSpace(truth, baselines, recipe.seed)
        return cls(InSections(measured, baselines, recipe.seed, truth), in_space)

    def compare(self, bundle: Bundle) -> tuple[list[DistanceRow], Counts]:
        rows, two = self.in_sections.compare(bundle)
        others, three = ([], []) if self.in_space is None else self.in_space.compare(bundle)
        return [*rows, *others], Counts(two=two, three=three)

    def distances(self, bundle: Bundle) -> dict[Dimension, dict[str, Distance]]:
        found: dict[Dimension, dict[str, Distance]] = {"2D": self.in_sections.distances(bundle)}
        return found if self.in_space is None else found | {"3D": self.in_space.distances(bundle)}


def _with_distances(bundle: Bundle, rows: Sequence[DistanceRow]) -> Bundle:
    reached = {f"{row.descriptor} ({row.dimension})": round(row.ks, 4) for row in rows}
    return bundle.model_copy(update={"calibration": bundle.calibration.model_copy(update={"distances": reached})})


def _check_folder(out: Path, resume: bool) -> None:
    if resume:
        if not (out / CHECKPOINT).exists():
            raise StoreError(f"{out}: has no {CHECKPOINT} to resume from")
        return
    folder_to_make(out, StoreError)
    if (out / NUMBERS).exists():
        raise StoreError(f"{out}: already holds a calibration, expected a new folder")
    if (out / CHECKPOINT).exists():
        raise StoreError(f"{out}: holds an unfinished training, expected a new folder, or to resume it")
    empty_folder(out, StoreError)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{out}: cannot be made ({error.strerror})") from None


def _refuse_trained_on(held_out: Sequence[Section], sections: Sequence[Section]) -> None:
    """Refuse held-out sections that are also training sections, under any name."""
    for section in held_out:
        for other in sections:
            if np.array_equal(section.labels, other.labels):
                raise ImageError(
                    f"held-out sections: {section.name} equals {other.name} of the training, expected other sections"
                )


def _fitted_held_out(held_out: Sequence[Section], prepared: Prepared) -> Sequence[Section]:
    """Return held-out sections without missing pixels, checked in advance for the comparison."""
    found = Prepared.of(held_out)
    if not math.isclose(found.pixel_size_nm, prepared.pixel_size_nm, rel_tol=SAME_SIZE):
        raise ImageError(
            f"held-out sections: pixel size is {found.pixel_size_nm:g} nm, expected {prepared.pixel_size_nm:g} nm as "
            "in those of the training"
        )
    # A single grain has no distribution to compare with.
    samples = section_samples(found.sections)
    try:
        distances(samples, samples)
    except InputError as error:
        raise ImageError(f"held-out sections: {error}") from None
    return found.sections


def _meets_edge(section: Section) -> bool:
    edges = (section.mask[0], section.mask[-1], section.mask[:, 0], section.mask[:, -1])
    return any(bool(edge.any()) for edge in edges)


def _data(sections: Sequence[Section], truth: Bundle | None) -> str:
    of = "" if truth is None else f" of {truth.name} (sha256 {truth.content_hash})"
    return f"{len(sections)} central planar sections{of}, pixels of {sections[0].pixel_size_nm:g} nm"


def _timed(function: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    value = function()
    return value, time.perf_counter() - start
