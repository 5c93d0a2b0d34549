"""Train a surrogate and test it on points that it never saw."""

import datetime
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import save_bundle
from nmcdist.bundle.schema import Calibration
from nmcdist.datasets.store import open_store, readable
from nmcdist.errors import InputError
from nmcdist.inputs import made_folder
from nmcdist.learning.bundles import bundle_of
from nmcdist.learning.effects import facts_of
from nmcdist.learning.product import blocked_of, product_rows
from nmcdist.learning.recipe import SurrogateRecipe
from nmcdist.learning.rows import Rows, read_rows, rows_of
from nmcdist.learning.rules import rules_of
from nmcdist.learning.scores import scores
from nmcdist.learning.splits import FEWEST, Fold, group_folds, random_folds, region_folds
from nmcdist.learning.surrogate import Prediction, Surrogate
from nmcdist.learning.targets import TARGETS

RESULTS = "results.json"
RANDOM = "random"  # name of the split into random folds
Progress = Callable[[dict[str, Any]], None]
_SHARES = (0.125, 0.25, 0.5, 1.0)  # of the points of training, for the learning curve


def train_surrogate(
    recipe: SurrogateRecipe, base: Path, out: Path, progress: Progress = lambda facts: None
) -> dict[str, Any]:  # fmt: skip
    """Train the surrogate of a recipe; write its bundle and ``results.json`` into a new folder.

    Parameters
    ----------
    recipe : SurrogateRecipe
    base : Path
        Folder to which the paths of stores are relative.
    out : Path
    progress : callable
        Called with facts about each step.

    Returns
    -------
    dict
        What ``results.json`` holds.

    Raises
    ------
    StoreError, InputError
        If a store cannot be read, or lacks what the recipe needs.
    """
    reader = product_rows if recipe.model == "product" else rows_of
    stores = [base / store for store in recipe.stores]
    rows = read_rows(stores, recipe.targets, recipe.features, recipe.rows_by_axis, reader)
    folds = folds_of(recipe, rows)
    made_folder(out)
    results: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json"), "rows": len(rows), "points": len(np.unique(rows.groups)),
        "features": list(rows.features), "interventions": _interventions(recipe.stores, stores),
        "left_out_as_blocked": blocked_of(rows), "splits": {},
    }  # fmt: skip
    for name, parts in folds.items():
        fitted = [_fit(recipe, rows.part(fold.train)) for fold in parts]
        results["splits"][name] = evaluated(recipe, rows, parts, fitted)
        progress({"event": "tested", "split": name, "folds": len(parts)})
        if name == RANDOM:
            results["importance"] = importance(recipe, rows, parts, fitted)
    results["learning_curve"] = learning_curve(recipe, rows, folds[RANDOM][0])
    progress({"event": "training", "rows": len(rows)})
    surrogate = _fit(recipe, rows)
    results["noise_floor"] = list(surrogate.noise_floor)
    results["ceiling_r2"] = _ceilings(recipe.targets, rows, surrogate.noise_floor)
    save_bundle(bundle_of(surrogate, recipe.name, recipe.title, _calibration(recipe, results)), out / "bundle")
    (out / RESULTS).write_text(json.dumps(_plain(results), indent=1) + "\n", encoding="utf-8")
    return results


def folds_of(recipe: SurrogateRecipe, rows: Rows) -> dict[str, list[Fold]]:
    """Return the folds of each split of a recipe by its name."""
    folds = {RANDOM: random_folds(rows.groups, recipe.split.folds, recipe.seed)}
    if recipe.split.region:
        folds["region"] = region_folds(rows.groups, rows.labels, recipe.split.region)
    if recipe.split.by:
        folds[f"by {recipe.split.by}"] = group_folds(rows.labels, recipe.split.by)
    return folds


def evaluated(
    recipe: SurrogateRecipe, rows: Rows, folds: Sequence[Fold], fitted: Sequence[Surrogate]
) -> dict[str, Any]:  # fmt: skip
    """Return, by target, the scores of surrogates on rows that they were not trained on, of rules, and the values."""
    order, found = [], []
    ruled: list[dict[str, dict[str, np.ndarray]]] = []
    for fold, surrogate in zip(folds, fitted, strict=True):
        train, test = rows.part(fold.train), rows.part(fold.test)
        found.append(surrogate.predict_rows(test.x))
        order.append(np.flatnonzero(fold.test))
        ruled.append({
            name: {rule: law(test.morphology) for rule, law in rules_of(name, train, train.y[:, k]).items()}
            for k, name in enumerate(recipe.targets)
        })  # fmt: skip
    test = rows.part(np.concatenate(order))
    joined = Prediction(
        *(np.concatenate([getattr(f, part) for f in found]) for part in Prediction.__dataclass_fields__)
    )
    result: dict[str, Any] = {"out_of_design": float(joined.outside.mean())}
    for k, name in enumerate(recipe.targets):
        laws = {rule: np.concatenate([fold[name][rule] for fold in ruled]) for rule in ruled[0][name]
                if all(rule in fold[name] for fold in ruled)}  # fmt: skip
        result[name] = _of_target(name, test, k, joined, laws)
    return result


def learning_curve(recipe: SurrogateRecipe, rows: Rows, fold: Fold) -> list[dict[str, Any]]:
    """Return the R2 of each target on one fold by the number of points in the training."""
    names = np.unique(rows.groups[fold.train])
    order = np.random.Generator(np.random.Philox(recipe.seed)).permutation(names)
    test, curve = rows.part(fold.test), []
    for count in sorted({max(FEWEST, round(share * len(names))) for share in _SHARES}):
        try:
            surrogate = _fit(recipe, rows.part(fold.train & np.isin(rows.groups, order[:count])))
        except InputError:  # too few values of a target
            continue
        found = surrogate.predict_rows(test.x)
        own = [_of_target(name, test, k, found, {})["scores"]["r2"] for k, name in enumerate(recipe.targets)]
        curve.append({"points": int(count), "r2": dict(zip(recipe.targets, own, strict=True))})
    return curve


def importance(
    recipe: SurrogateRecipe, rows: Rows, folds: Sequence[Fold], fitted: Sequence[Surrogate]
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Return by target and feature how much R2 falls on untrained rows whose feature is permuted.

    Empty for a net, which has no features. Features that say the same share their importance.
    """
    if rows.x.ndim != 2:
        return {}
    random = np.random.Generator(np.random.Philox(recipe.seed))
    fall = np.zeros((len(recipe.targets), rows.x.shape[1]))
    for fold, surrogate in zip(folds, fitted, strict=True):
        test = rows.part(fold.test)
        before = _misfits(recipe.targets, test, surrogate.predict_rows(test.x))
        for column in range(rows.x.shape[1]):
            x = test.x.copy()
            x[:, column] = random.permutation(x[:, column])
            fall[:, column] += _misfits(recipe.targets, test, surrogate.predict_rows(x)) - before
    learned = [TARGETS[name].learned(rows.y[:, k]) for k, name in enumerate(recipe.targets)]
    total = np.array([max(np.nansum((y - np.nanmean(y)) ** 2), 1e-300) for y in learned])
    return {
        name: dict(zip(rows.features, (fall[k] / total[k]).tolist(), strict=True))
        for k, name in enumerate(recipe.targets)
    }


def _interventions(names: Sequence[str], stores: Sequence[Path]) -> dict[str, Any]:
    """Return what the interventions of each store that has any do, by its name."""
    with readable(*stores):
        found = {name: facts_of(open_store(store)) for name, store in zip(names, stores, strict=True)}
    return {name: facts for name, facts in found.items() if facts["effects"]}


def _fit(recipe: SurrogateRecipe, rows: Rows) -> Surrogate:
    return Surrogate.fit(rows, recipe.targets, recipe.model, recipe.rows_by_axis, recipe.seed)


def _of_target(
    name: str, test: Rows, k: int, found: Prediction, laws: Mapping[str, np.ndarray]
) -> dict[str, Any]:  # fmt: skip
    target, true = TARGETS[name], test.y[:, k]
    own = target.learned(true)
    bounds = found.low[:, k], found.high[:, k]
    result: dict[str, Any] = {
        "scores": scores(true, found.value[:, k], (own, target.learned(found.value[:, k])), test.groups, bounds),
        "rules": {
            rule: scores(true, values, (own, target.learned(values)), test.groups) for rule, values in laws.items()
        },
        "true": true.tolist(),
        "predicted": found.value[:, k].tolist(),
    }
    if target.is_log:
        known = np.isfinite(true)
        result["conducting"] = float((true[known] > 0).mean())
        result["brier"] = float(((found.positive[known, k] - (true[known] > 0)) ** 2).mean())
    return result


def _misfits(targets: Sequence[str], test: Rows, found: Prediction) -> np.ndarray:
    pairs = [(TARGETS[n].learned(test.y[:, k]), TARGETS[n].learned(found.value[:, k])) for k, n in enumerate(targets)]
    return np.array([np.nansum((true - predicted) ** 2) for true, predicted in pairs])


def _ceilings(targets: Sequence[str], rows: Rows, floor: Sequence[float]) -> dict[str, float]:
    """Return the greatest R2 of a model that knows the parameters only, by target; empty without replicates."""
    learned = [TARGETS[name].learned(rows.y[:, k]) for k, name in enumerate(targets)]
    return {n: float(1 - f**2 / np.nanvar(y)) for n, y, f in zip(targets, learned, floor, strict=False)}


def _calibration(recipe: SurrogateRecipe, results: Mapping[str, Any]) -> Calibration:
    random = results["splits"][RANDOM]
    found = ", ".join(f"{name} {random[name]['scores']['r2']:.3f}" for name in recipe.targets)
    return Calibration(
        data=f"{results['rows']} rows at {results['points']} parameter points of {len(recipe.stores)} stores",
        method=f"{recipe.model} on {recipe.features}; R2 on points never seen: {found}",
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def _plain(content: Any) -> Any:
    """Return content that JSON can hold: null for numbers that are not finite."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
