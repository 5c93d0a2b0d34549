"""What a finished campaign answers: predicted and confirmed values of each answer, and how far targets fix it."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nmcdist.bundle import Bundle, load_bundle, save_bundle
from nmcdist.bundle.schema import Calibration
from nmcdist.datasets.files import write_text
from nmcdist.design.answers import free_parameters, posterior
from nmcdist.design.emulator import Emulator
from nmcdist.design.fidelity import Correction, at_fine, corrections
from nmcdist.design.goal import Aim, Target, means
from nmcdist.products.campaigns.recipe import QUANTITIES, CampaignRecipe
from nmcdist.products.points import changes_of
from nmcdist.products.volumes.additive import DERIVED_CHANGES

ANSWER, CONFIRMED_WITHIN = "answer.json", 2.0  # standard errors


@dataclass(frozen=True)
class Campaigned:
    """A finished campaign.

    Attributes
    ----------
    recipe : CampaignRecipe
    places, results : ndarray, shape (evaluations, d) and (evaluations, quantities)
        In the unit cube, and means over realisations, at the fine voxels where some volumes were drawn again.
    lines : tuple of Correction
        By which results were corrected, by quantity; empty if no volume was drawn again.
    emulator : Emulator
    answers : ndarray, shape (answers, d)
        In the unit cube.
    predicted, deviation : ndarray, shape (answers, quantities)
        Learned quantities by the emulator.
    confirmed : ndarray, shape (answers, realisations, quantities)
        Physical quantities of the fresh volumes.
    sample : ndarray, shape (1000, d), or None
        Places that meet the targets; None for a Pareto front.
    """

    recipe: CampaignRecipe
    places: np.ndarray
    results: np.ndarray
    lines: tuple[Correction, ...]
    emulator: Emulator
    answers: np.ndarray
    predicted: np.ndarray
    deviation: np.ndarray
    confirmed: np.ndarray
    sample: np.ndarray | None

    @classmethod
    def of(cls, recipe: CampaignRecipe, data: xr.Dataset) -> "Campaigned":
        """Return what a store says; its values in memory."""
        space = recipe.space.space
        items = recipe.items()
        units = np.column_stack([_unit(data[name].values, k, recipe) for k, name in enumerate(space.names)])
        values = np.column_stack([_values(data, name) for name in recipe.goal.names])
        first, last = recipe.first_fidelity_samples, recipe.first_confirmation
        rows = np.arange(recipe.evaluations) * recipe.realisations
        places, answers = units[rows], units[last :: recipe.confirm.realisations]
        quantities, pairs = recipe.proposer_of_points.quantities, recipe.pairs(recipe.evaluations)
        lines = corrections(quantities, *(values[column] for column in pairs.T)) if len(pairs) else ()
        fine = at_fine(lines, values[:first]) if lines else values[:first]
        results = means(quantities, fine.reshape(recipe.evaluations, recipe.realisations, -1))
        assert len(items) == len(values)
        emulator = Emulator.fit(quantities, places, results)
        mean, variance = emulator.predict(answers)
        targets = tuple(each for each in recipe.goal.goal if isinstance(each, Target))
        return cls(
            recipe, places, results, lines, emulator, answers, mean, np.sqrt(variance),
            values[last:].reshape(recipe.confirm.answers, recipe.confirm.realisations, -1),
            posterior(space, targets, emulator, recipe.seed) if targets else None,
        )  # fmt: skip

    @property
    def confirmed_mean(self) -> np.ndarray:
        """Mean of the confirmations on the scale of each quantity, as a value, shape (answers, quantities)."""
        return means(self.emulator.quantities, self.confirmed)

    @property
    def standard_error(self) -> np.ndarray:
        """Standard error of that mean, to first order, shape (answers, quantities)."""
        is_log = np.array([q.is_log for q in self.emulator.quantities])
        return self.learned_error * np.where(is_log, math.log(10) * self.confirmed_mean, 1.0)

    @property
    def learned_error(self) -> np.ndarray:
        """Standard error of the mean of the confirmations on the scale of each quantity."""
        learned = [q.learned(self.confirmed[:, :, k]) for k, q in enumerate(self.emulator.quantities)]
        return np.stack([values.std(axis=1, ddof=1) / math.sqrt(values.shape[1]) for values in learned], axis=-1)

    def facts(self) -> dict[str, Any]:
        """Return the answers as plain data."""
        recipe, space = self.recipe, self.recipe.space.space
        found = [
            {"point": space.point(place), "quantities": {
                quantity.name: self._of_quantity(row, k) for k, quantity in enumerate(self.emulator.quantities)}}
            for row, place in enumerate(self.answers)
        ]  # fmt: skip
        facts: dict[str, Any] = {
            "campaign": recipe.name, "recipe_hash": recipe.content_hash, "evaluations": recipe.evaluations,
            "confirmations": recipe.confirm.realisations, "answers": found,
            "noise_of_one_evaluation": {
                q.name: {"value": float(noise), "scale": "log10" if q.is_log else "linear"}
                for q, noise in zip(self.emulator.quantities, self.emulator.noise, strict=True)},
        }  # fmt: skip
        if self.lines:
            facts["correction"] = {line.quantity.name: _of_line(line) for line in self.lines}
        if self.sample is not None:
            facts["not_fixed_by_the_targets"] = free_parameters(space, self.sample)
            points = [space.point(place) for place in self.sample]
            facts["posterior"] = {name: [float(f"{point[name]:.6g}") for point in points] for name in space.names}
        return facts

    def _of_quantity(self, row: int, k: int) -> dict[str, Any]:
        quantity, each = self.emulator.quantities[k], self.recipe.goal.goal[k]
        mean, deviation = self.predicted[row, k], self.deviation[row, k]
        low, value, high = quantity.physical(np.array([mean - 2 * deviation, mean, mean + 2 * deviation])).tolist()
        confirmed, error = float(self.confirmed_mean[row, k]), float(self.standard_error[row, k])
        facts: dict[str, Any] = {
            "predicted": value, "predicted_low": low, "predicted_high": high, "confirmed": confirmed,
            "standard_error": error,
        }  # fmt: skip
        if isinstance(each, Aim):
            return {**facts, "aim": each.direction}
        width = each.tolerance * each.value if quantity.is_log else each.tolerance
        is_met = bool(abs(confirmed - each.value) <= max(CONFIRMED_WITHIN * error, width))
        return {**facts, "target": each.value, "tolerance": width, "is_met": is_met}


def _of_line(line: Correction) -> dict[str, Any]:
    return {
        "scale": "log10" if line.quantity.is_log else "linear", "pairs": line.pairs, "left_out": line.left_out,
        "a": line.a, "b": line.b, "correlation": _known(line.correlation), "scatter": _known(line.scatter),
    }  # fmt: skip


def _known(value: float) -> float | None:
    """Return a number as JSON takes it: null in place of NaN."""
    return None if math.isnan(value) else value


def _unit(values: np.ndarray, k: int, recipe: CampaignRecipe) -> np.ndarray:
    """Return places of the unit cube from the parameters of the items."""
    space = recipe.space.space
    low, high = space.low[k], space.high[k]
    if space.logarithmic[k]:
        return np.asarray(np.round(np.log(values / low) / np.log(high / low), 6))
    return np.asarray(np.round((values - low) / (high - low), 6))


def _values(data: xr.Dataset, name: str) -> np.ndarray:
    variable, label, _ = QUANTITIES[name]
    dim = next(str(d) for d in data[variable].dims if d != "sample")
    return np.asarray(data[variable].sel({dim: label}).values, dtype=float)


def write_answer(done: Campaigned, bundle: Bundle, folder: Path) -> list[Path]:
    """Write ``answer.json`` and a bundle of each answer into a folder; return the bundles."""
    facts = done.facts()
    write_text(folder / ANSWER, json.dumps(facts, indent=1) + "\n")
    bundles = []
    for number, answer in enumerate(facts["answers"], 1):
        path = folder / f"designed-{done.recipe.name}-{number}"
        designed = _designed(done, bundle, number, answer)
        # The page may be made again: its bundles are the same then.
        if not path.is_dir():
            save_bundle(designed, path)
        elif load_bundle(path).content_hash != designed.content_hash:  # an answer of the recipe as it was before
            shutil.rmtree(path)
            save_bundle(designed, path)
        bundles.append(path)
    return bundles


def _designed(done: Campaigned, bundle: Bundle, number: int, answer: dict[str, Any]) -> Bundle:
    recipe = done.recipe
    changes = changes_of(bundle, answer["point"], DERIVED_CHANGES, "space.parameters")
    said = "; ".join(
        f"{name} predicted {q['predicted']:.4g}, confirmed {q['confirmed']:.4g} ± {q['standard_error']:.2g}"
        for name, q in answer["quantities"].items()
    )
    calibration = Calibration(
        data=f"none: chosen by the campaign {recipe.name} {recipe.version} (recipe sha256 {recipe.content_hash})",
        method=f"{recipe.evaluations} evaluations and {recipe.confirm.realisations} fresh realisations of "
        f"{' x '.join(map(str, recipe.specs[-1].shape))} voxels of {recipe.specs[-1].voxel_size_nm:g} nm: {said}",
        date="", reference=bundle.calibration.reference,
    )  # fmt: skip
    goal = ", ".join(recipe.goal.names)
    return bundle.with_parameters(**changes).model_copy(update={
        "name": f"designed-{recipe.name}-{number}", "title": f"Answer {number} of {recipe.title}",
        "description": f"Parameters found for {goal}, from the bundle {bundle.name}. {said}.",
        "calibration": calibration,
    })  # fmt: skip
