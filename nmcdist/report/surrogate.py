"""The page on a surrogate: predictions beside truth, what more points would bring, and what simple rules reach."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.errors import InputError
from nmcdist.json_text import load_json
from nmcdist.learning.targets import TARGETS
from nmcdist.learning.training import RANDOM, RESULTS
from nmcdist.report.effects import ABOUT, TITLE, effect_tables
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.style import SERIES, figure, save
from nmcdist.report.tables import markdown

_BARS = 12  # features in the figure of importance


def report_surrogate(training: Path, folder: Path) -> Path:
    """Write ``report.md`` and its figures on a training.

    Parameters
    ----------
    training : Path
        Folder with the results of :func:`nmcdist.learning.training.train_surrogate`.
    folder : Path
        Of the report.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If the results cannot be read.
    """
    results = load_json(training / RESULTS, InputError)
    make_folder(folder)
    made = [_parity(results, folder / "parity.png"), _curve(results, folder / "learning-curve.png")]
    captions = {
        "parity.png": "Predictions for points that the surrogate never saw, by split; on the line they are right. "
        + ("The band is the noise floor: one standard deviation between realisations of a point."
           if results["noise_floor"] else "No point has several realisations, so the noise floor is unknown."),
        "learning-curve.png": "R2 on one random fold by the number of parameter points in the training."
        + (" Dotted: the ceiling of a model that knows the parameters only." if results["ceiling_r2"] else ""),
    }  # fmt: skip
    if results["importance"]:
        made.append(_importance(results["importance"], folder / "importance.png"))
        captions["importance.png"] = (
            "Fall of R2 if a feature is permuted among untrained rows. Features that say the same share it."
        )
    return write_page(folder, _text(results), made, captions)


def headline(training: Path) -> str:
    """Return the scores on random points that were not trained on, in one line."""
    splits = load_json(training / RESULTS, InputError)["splits"]
    found = [f"{name}: R2 {_number(part['scores']['r2'])}, {_error(name, part['scores'])}, 90 % intervals hold "
             f"{_percent(part['scores']['coverage'])}" for name, part in _targets(splits[RANDOM])]  # fmt: skip
    return "points never seen: " + "; ".join(found)


def _text(results: Mapping[str, Any]) -> list[str]:
    recipe = results["recipe"]
    rows = "axes of volumes" if recipe["model"] == "cnn" or recipe["by_axis"] else "volumes"
    parts = [
        f"# Surrogate {recipe['name']}",
        f"Model `{recipe['model']}` on features `{recipe['features']}` ({len(results['features'])}): {results['rows']} "
        f"{rows} at {results['points']} parameter points, of {', '.join(recipe['stores'])}.",
        *_noise(results),
    ]
    for name in recipe["targets"]:
        header = ["split", "model", "values", "R2", "R2 within points", "error", "90 % intervals hold"]
        lines = [
            line for split, content in results["splits"].items() for line in _lines(name, split, content[name])
        ]  # fmt: skip
        parts += [f"## {TARGETS[name].about}", markdown(header, lines)]
        if TARGETS[name].is_log:
            random = results["splits"][RANDOM][name]
            parts.append(
                f"R2 is of decimal logarithms. {_percent(random['conducting'])} of the rows conduct; the others have "
                f"no logarithm and count only for the probability that a row conducts, whose Brier score is "
                f"{_number(random['brier'])}."
            )
    parts += _interventions(results)
    shares = ", ".join(f"{split}: {_percent(part['out_of_design'])}" for split, part in results["splits"].items())
    parts.append(f"Flagged as out of design among the tested rows: {shares}.")
    return parts


def _interventions(results: Mapping[str, Any]) -> list[str]:
    parts = []
    for store, facts in results["interventions"].items():
        parts += [f"## {TITLE}: {store}", ABOUT, *effect_tables(facts)]
    if any(results["left_out_as_blocked"].values()):
        said = ", ".join(
            f"{number} of {name.replace('_', ' ')}" for name, number in results["left_out_as_blocked"].items()
        )
        parts.append(f"Volumes that the factors were not learned from, as their pores are blocked: {said}.")
    return parts


def _noise(results: Mapping[str, Any]) -> list[str]:
    names = results["recipe"]["targets"]
    if not results["noise_floor"]:
        return ["No parameter point has several realisations: the noise floor and the ceiling of R2 are unknown."]
    floors = [
        f"{name} {_number(floor)}{' (decimal logarithm)' if TARGETS[name].is_log else ''}, ceiling of R2 "
        f"{_number(results['ceiling_r2'].get(name))}"
        for name, floor in zip(names, results["noise_floor"], strict=True)
    ]
    return [
        "Noise floor, the standard deviation between realisations of one point: " + "; ".join(floors) + ". The ceiling "
        "holds for models that know the parameters only; descriptors of the volume itself can exceed it."
    ]


def _lines(name: str, split: str, content: Mapping[str, Any]) -> list[list[str]]:
    rows = [("surrogate", content["scores"]), *content["rules"].items()]
    return [
        [split, model, str(s["count"]), _number(s["r2"]), _number(s["within_r2"]), _error(name, s),
         _percent(s["coverage"])]
        for model, s in rows
    ]  # fmt: skip


def _error(name: str, scores: Mapping[str, Any]) -> str:
    median = f"median {_percent(scores['median_relative_error'])}"
    if not TARGETS[name].is_log or scores["rms"] is None:
        return median
    return f"factor {10 ** scores['rms']:.2f} (root mean square), {median}"


def _targets(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, part) for name, part in content.items() if name in TARGETS]


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.1%}"


def _parity(results: Mapping[str, Any], path: Path) -> Path:
    names, splits = results["recipe"]["targets"], results["splits"]
    floors = dict(zip(names, results["noise_floor"], strict=False))
    with figure(len(names), len(splits), 4.6 * len(splits), 4.4 * len(names)) as (drawing, axes):
        for row, name in zip(axes, names, strict=True):
            for panel, (split, content) in zip(row, splits.items(), strict=True):
                _pairs(panel, name, content[name], floors.get(name))
                panel.set_title(split, loc="left")
        return save(drawing, path)


def _pairs(panel: Any, name: str, content: Mapping[str, Any], floor: float | None) -> None:
    true = np.array(content["true"], dtype=float)
    predicted = np.array(content["predicted"], dtype=float)
    keep = np.isfinite(true) & np.isfinite(predicted) & ((true > 0) | (not TARGETS[name].is_log))
    true, predicted = true[keep], predicted[keep]
    both = np.concatenate([true, predicted]) if keep.any() else np.ones(1)
    spaced = np.geomspace if TARGETS[name].is_log else np.linspace
    along = spaced(float(both.min()), float(both.max()), 50)
    if floor is not None:
        band = (
            (along / 10**floor, along * 10**floor)
            if TARGETS[name].is_log
            else (np.maximum(along - floor, 0), along + floor)
        )
        panel.fill_between(along, *band, color="black", alpha=0.1, linewidth=0)
    panel.plot(along, along, color="black", linewidth=1)
    panel.plot(true, predicted, SERIES[0][1], color=SERIES[0][0], markersize=4, alpha=0.6)
    if TARGETS[name].is_log:
        panel.set(xscale="log", yscale="log")
    panel.set(xlabel=f"{name}, true", ylabel=f"{name}, predicted")


def _curve(results: Mapping[str, Any], path: Path) -> Path:
    with figure(1, 1, 6.4, 4.4) as (drawing, axes):
        panel = axes[0, 0]
        for name, (colour, marker) in zip(results["recipe"]["targets"], SERIES, strict=False):
            points = [(step["points"], step["r2"][name]) for step in results["learning_curve"]]
            known = [(count, r2) for count, r2 in points if r2 is not None]
            panel.plot(*zip(*known, strict=True), marker=marker, color=colour, label=name) if known else None
            if (ceiling := results["ceiling_r2"].get(name)) is not None:
                panel.axhline(ceiling, color=colour, linestyle=":")
        panel.set(xlabel="parameter points in the training", ylabel="R2 on points never seen", ylim=(-0.2, 1.02))
        panel.legend()
        return save(drawing, path)


def _importance(importance: Mapping[str, Mapping[str, float]], path: Path) -> Path:
    with figure(1, len(importance), 6.4 * len(importance), 4.6) as (drawing, axes):
        for panel, (name, falls) in zip(axes[0], importance.items(), strict=True):
            best: Sequence[tuple[str, float]] = sorted(falls.items(), key=lambda pair: -pair[1])[:_BARS][::-1]
            panel.barh([feature for feature, _ in best], [fall for _, fall in best], color=SERIES[0][0])
            panel.set(xlabel=f"fall of R2, {name}")
            panel.tick_params(axis="y", labelsize=9)
        return save(drawing, path)
