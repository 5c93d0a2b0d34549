"""The page of a finished campaign, with its answers as bundles."""

import math
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.datasets.store import open_store
from nmcdist.design.goal import Target
from nmcdist.models.cba import generate_cba
from nmcdist.products.campaigns.answer import ANSWER, Campaigned, write_answer
from nmcdist.products.campaigns.recipe import CampaignRecipe
from nmcdist.products.points import changes_of
from nmcdist.products.volumes.additive import DERIVED_CHANGES
from nmcdist.report import campaign as figures
from nmcdist.report.pages import bundle_of, make_folder, write_page
from nmcdist.report.tables import markdown, write_samples

_MOST_VOXELS = 256  # along an edge of a slice


def report_campaign(store: Path, recipe: CampaignRecipe, folder: Path) -> Path:
    """Write answers, bundles, figures and the page of a campaign; see :func:`nmcdist.products.stores.build_report`."""
    data, bundle = open_store(store).load(), bundle_of(store)
    make_folder(folder)
    done = Campaigned.of(recipe, data)
    bundles = write_answer(done, bundle, folder)
    write_samples(data, folder / "samples.csv")
    made, captions = _figures(done, bundle, folder)
    return write_page(folder, _text(done, bundles), made, captions)


def _figures(done: Campaigned, bundle: Bundle, folder: Path) -> tuple[list[Path], dict[str, str]]:
    recipe, goal = done.recipe, done.recipe.goal.goal
    labels = [name.replace("_", " ") for name in recipe.goal.names]
    wanted = [each.value if isinstance(each, Target) else None for each in goal]
    made = [figures.history(labels, done.results, recipe.proposer.initial, wanted, folder / "history.png")]
    corrected = ", corrected to the fine voxels" if done.lines else ""
    captions = {"history.png": f"Each quantity by the number of its evaluation{corrected}. Single evaluations scatter: "
                "the answers come from the emulator, never from the luckiest evaluation."}  # fmt: skip
    if len(labels) > 1:
        predicted = np.column_stack([q.physical(done.predicted[:, k]) for k, q in enumerate(done.emulator.quantities)])
        made.append(figures.reached(labels, done.results, predicted, done.confirmed_mean, done.standard_error,
                                    wanted, folder / "reached.png"))  # fmt: skip
        captions["reached.png"] = ("Evaluations, and answers as the emulator predicts them and as fresh realisations "
                                   "confirm them; bars: two standard errors.")  # fmt: skip
    if done.sample is not None:
        space = recipe.space.space
        sample = np.array([list(space.point(place).values()) for place in done.sample])
        made.append(figures.corner(space.names, sample, np.array(space.low), np.array(space.high),
                                   folder / "parameters.png"))  # fmt: skip
        captions["parameters.png"] = ("Parameters that meet the targets, by the emulator, over the whole ranges: 1,000 "
                                      "points, as likely as they meet them.")  # fmt: skip
    made.append(_gallery(done, bundle, folder / "answers.png"))
    captions["answers.png"] = "A slice through a fresh realisation of each answer: carbon binder grey, graphite orange."
    return made, captions


def _gallery(done: Campaigned, bundle: Bundle, path: Path) -> Path:
    spec, slices, titles = done.recipe.specs[-1], [], []
    for number, place in enumerate(done.answers):
        point = done.recipe.space.space.point(place)
        changed = bundle.with_parameters(**changes_of(bundle, point, DERIVED_CHANGES, "space.parameters"))
        first = done.recipe.first_confirmation + number * done.recipe.confirm.realisations
        ny, nx = (min(n, _MOST_VOXELS) for n in spec.shape[1:])
        middle = (spec.shape[0] // 2, 0, 0)
        labels = generate_cba(changed, (1, ny, nx), spec.voxel_size_nm, done.recipe.seed, first, middle)
        slices.append(labels[0])
        titles.append(f"answer {number + 1}: " + ", ".join(f"{v:.3g}" for v in point.values()))
    return figures.gallery(slices, titles, path)


def _correction(done: Campaigned) -> list[str]:
    """Return what says how evaluations were corrected."""
    recipe, rows = done.recipe, []
    (fidelity,) = recipe.fidelities
    for line in done.lines:
        scale = "log10" if line.quantity.is_log else "linear"
        left_out = f" ({line.left_out} left out)" if line.left_out else ""
        numbers = [f"{line.a:.4g}", f"{line.b:.4g}", *(_or_dash(v) for v in (line.correlation, line.scatter))]
        rows.append([line.quantity.name, scale, f"{line.pairs}{left_out}", *numbers])
    header = ["quantity", "scale", "pairs", "a", "b", "correlation", "scatter"]
    return [
        f"{len(recipe.pairs(recipe.evaluations))} of {recipe.first_fidelity_samples} volumes were drawn again with "
        f"voxels of {fidelity.voxel_size_nm:g} nm. The line fine = a + b * coarse through these pairs corrects every "
        "evaluation, so wanted and predicted values are at the fine voxels.",
        markdown(header, rows),
        "Scatter: standard deviation of the pairs about the line. The error of the line is not part of the ranges of "
        "predicted values. Left out: pairs in which nothing conducts at one of the voxel sizes, or without a value.",
    ]


def _or_dash(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _text(done: Campaigned, bundles: list[Path]) -> list[str]:
    recipe, facts = done.recipe, done.facts()
    evaluated, spec = recipe.specs[-2:]
    count = "one realisation" if recipe.realisations == 1 else f"{recipe.realisations} realisations"
    parts = [
        f"# {recipe.title}",
        f"Campaign `{recipe.name}` {recipe.version}: {recipe.evaluations} points of "
        f"{' x '.join(map(str, recipe.volume.shape))} voxels of {recipe.volume.voxel_size_nm:g} nm "
        f"({count} each), bundle `{recipe.bundle}`, seed {recipe.seed}. Each answer is "
        f"confirmed by {recipe.confirm.realisations} fresh realisations of {' x '.join(map(str, spec.shape))} voxels "
        f"of {spec.voxel_size_nm:g} nm.",
        "## Answers",
    ]
    header = ["answer", *recipe.varied, "quantity", "wanted", "predicted", "confirmed", ""]
    rows = []
    for number, answer in enumerate(facts["answers"], 1):
        point = [f"{value:.4g}" for value in answer["point"].values()]
        for name, q in answer["quantities"].items():
            wanted = f"{q['target']:g} ± {q['tolerance']:.2g}" if "target" in q else q["aim"]
            met = "" if "is_met" not in q else "met" if q["is_met"] else "**not met**"
            rows.append([str(number), *point, name, wanted,
                         f"{q['predicted']:.4g} ({q['predicted_low']:.3g} to {q['predicted_high']:.3g})",
                         f"{q['confirmed']:.4g} ± {q['standard_error']:.2g}", met])  # fmt: skip
    parts += [
        markdown(header, rows),
        "Predicted: by the emulator, with two standard deviations to either side. Confirmed: mean of the fresh "
        "realisations and its standard error; of M of the solid, the mean of its logarithm. Met: within the tolerance, "
        "or within two standard errors.",
    ]
    noise = ", ".join(f"{name} {each['value']:.3g}" + (" (log10)" if each["scale"] == "log10" else "")
                      for name, each in facts["noise_of_one_evaluation"].items())  # fmt: skip
    parts.append(f"Standard deviation of one evaluation about the emulator: {noise}.")
    if done.lines:
        parts += ["## From coarse voxels to fine ones", *_correction(done)]
    if spec != evaluated:
        parts.append("Evaluations and confirmations differ in voxels or window, and so in what they measure: "
                     "smaller windows give larger M-factors.")  # fmt: skip
    if done.sample is not None:
        free = facts["not_fixed_by_the_targets"]
        parts.append(f"The targets do not fix {', '.join(f'`{name}`' for name in free)}: any value may do." if free
                     else "The targets fix every parameter to less than its whole range.")  # fmt: skip
    named = ", ".join(f"`{path.name}`" for path in bundles)
    parts.append(f"Bundles of the answers: {named}. Numbers: [{ANSWER}]({ANSWER}), with the sample of parameters; "
                 "[samples.csv](samples.csv), one row per volume.")  # fmt: skip
    return parts
