"""Train a net for super-resolution, choose how it draws labels, and test it on realisations that it never saw."""

import datetime
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.arguments import machine_memory
from nmcdist.bundle import Bundle, list_bundles, load_bundle, save_bundle
from nmcdist.bundle.schema import Calibration
from nmcdist.bundle.superres import FACTOR, LONGEST, SHORTEST
from nmcdist.datasets.files import readable_bytes
from nmcdist.descriptors.intrinsic import intrinsic_volumes
from nmcdist.errors import RecipeError
from nmcdist.inputs import local_path, made_folder
from nmcdist.learning.refine.fitting import fitted
from nmcdist.learning.refine.interpolation import nearest, trilinear
from nmcdist.learning.refine.labels import drawn, likeliest
from nmcdist.learning.refine.net import Net
from nmcdist.learning.refine.pairs import PHASES, pair
from nmcdist.learning.refine.recipe import SuperresRecipe
from nmcdist.models.cba import draw_bytes

RESULTS = "results.json"
Progress = Callable[[dict[str, Any]], None]
_STUDIED, _TESTED = 2, 4  # realisations after those of the steps: for the correlation length, and for the test
_SIDE = 2  # windows of a realisation of the training, along an edge
_EDGE = 48  # coarse voxels along an edge of these
_LENGTHS = tuple(SHORTEST * (LONGEST / SHORTEST) ** (k / 8) for k in range(9))  # in fine voxels
# Bytes per channel and coarse voxel of a layer, and per score; two to eight layers with bfloat16 needed up to 23.
_PER_VALUE, _PER_SCORE = 32, 32
_TOLD = 20  # reports of the progress


def train_superres(
    recipe: SuperresRecipe, base: Path, out: Path, progress: Progress = lambda facts: None
) -> dict[str, Any]:  # fmt: skip
    """Train the net of a recipe; write its bundle and ``results.json`` into a new folder.

    Parameters
    ----------
    recipe : SuperresRecipe
    base : Path
        Folder to which the path of the recipe's bundle is relative.
    out : Path
    progress : callable
        Called with facts about the training.

    Returns
    -------
    dict
        What ``results.json`` holds.

    Raises
    ------
    BundleError
        If the bundle cannot be loaded, or is not of the additive.
    """
    source = additive_bundle(recipe, base)
    made_folder(out)
    start = time.process_time()
    net = _fitted(recipe, source, progress)
    drawn_so_far = -(-recipe.steps // _SIDE**3)
    studied = [_pair(recipe, source, net.reach, drawn_so_far + k) for k in range(_STUDIED)]
    scored = [(net.scores(coarse), fine) for coarse, fine in studied]
    errors = [surface_error(scored, length, recipe.seed) for length in _LENGTHS]
    net = replace(net, correlation_nm=unbiased(_LENGTHS, errors) * recipe.voxel_size_nm)
    tested = [_pair(recipe, source, net.reach, drawn_so_far + _STUDIED + k) for k in range(_TESTED)]
    shares = agreement(net, tested)
    results = {
        "recipe": recipe.model_dump(mode="json"),
        "agreement": shares,
        "correlation_nm": net.correlation_nm,
        "surface_error_by_correlation": [
            {"correlation_nm": length * recipe.voxel_size_nm, "error": error}
            for length, error in zip(_LENGTHS, errors, strict=True)
        ],
        "cpu_s": round(time.process_time() - start, 1),
    }
    bundle = net.bundle(
        recipe.name, recipe.title, recipe.coarse, source.name, _calibration(recipe, net, source, shares)
    )  # fmt: skip
    save_bundle(bundle, out / "bundle")
    (out / RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def additive_bundle(recipe: SuperresRecipe, base: Path) -> Bundle:
    """Return the bundle of the additive that a recipe names.

    Raises
    ------
    BundleError
        If it cannot be loaded, or is of another model.
    RecipeError
        If a window of the training is smaller than the structure, or too large to draw or to learn from.
    """
    source = load_bundle(recipe.bundle if recipe.bundle in list_bundles() else base / local_path(recipe.bundle))
    parameters, edge_nm = source.cba(), recipe.factor * recipe.voxel_size_nm * recipe.window
    if edge_nm * parameters.eta_per_nm < 1 or edge_nm * parameters.eta_per_nm > 1e4:
        raise RecipeError(
            f"voxel_size_nm: found {recipe.voxel_size_nm:g}, a window of {edge_nm:g} nm, expected one of 1 to 10,000 "
            f"times the correlation length of the binder, {1 / parameters.eta_per_nm:.3g} nm"
        )
    edge = recipe.factor * (max(_SIDE * recipe.window, _EDGE) + 2 * recipe.net.layers)
    needed = edge**3 + draw_bytes(parameters, (edge,) * 3, recipe.voxel_size_nm, 1)
    _check_memory(
        f"voxel_size_nm: found {recipe.voxel_size_nm:g}, at which a realisation of {edge} voxels along an edge", needed
    )
    _check_memory(f"window, net: found {recipe.window} voxels and {recipe.net}, whose step", step_bytes(recipe))
    return source


def step_bytes(recipe: SuperresRecipe) -> int:
    """Return about how many bytes a step of the training needs."""
    layers, channels = recipe.net.layers, recipe.net.channels
    values = channels * sum((recipe.window + 2 * k) ** 3 for k in range(layers))
    return _PER_VALUE * values + _PER_SCORE * len(PHASES) * (recipe.factor * recipe.window) ** 3


def _check_memory(what: str, needed: float) -> None:
    if needed > machine_memory():
        raise RecipeError(
            f"{what} needs {readable_bytes(int(needed))} of memory, expected at most the "
            f"{readable_bytes(machine_memory())} of this machine"
        )


def surface_error(scored: Sequence[tuple[np.ndarray, np.ndarray]], length: float, seed: int) -> float:
    """Return the relative error of the surface of drawn labels, summed over phases and realisations.

    Parameters
    ----------
    scored : sequence of (ndarray of float32, ndarray of uint8)
        Scores of the phases, and the true labels.
    length : float
        Correlation length of the field that draws, in voxels of the result.
    seed : int
        Of the field.
    """
    found = true = 0.0
    for index, (scores, fine) in enumerate(scored):
        found += _surface(drawn(scores, length, 1.0, seed, index, (0, 0, 0)), len(scores))
        true += _surface(fine, len(scores))
    return found / true - 1


def unbiased(lengths: Sequence[float], errors: Sequence[float]) -> float:
    """Return the length at which the error of the surface is 0, between the lengths; else that of the least error."""
    for (a, b), (before, after) in zip(pairwise(lengths), pairwise(errors), strict=True):
        if before >= 0 > after:
            share = before / (before - after)
            return math.exp((1 - share) * math.log(a) + share * math.log(b))
    return lengths[int(np.argmin(np.abs(errors)))]


def agreement(net: Net, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Return the share of voxels with the true label: of the net, of interpolation, and of the nearest voxel."""
    found: dict[str, list[float]] = {"nearest": [], "trilinear": [], "net": []}
    for coarse, fine in pairs:
        near, one = _without(coarse, net.reach), _without(coarse, net.reach - 1)
        results = nearest(near), trilinear(one, len(net.phases)), likeliest(net.scores(coarse))
        for shares, labels in zip(found.values(), results, strict=True):
            shares.append(float((labels == fine).mean()))
    return {name: float(np.mean(shares)) for name, shares in found.items()}


def _fitted(recipe: SuperresRecipe, source: Bundle, progress: Progress) -> Net:
    losses: list[float] = []

    def told(step: int, loss: float) -> None:
        losses.append(loss)
        if step % max(1, recipe.steps // _TOLD) == 0:
            progress({"event": "training", "step": step, "of": recipe.steps, "loss": round(float(np.mean(losses)), 4)})
            losses.clear()

    @lru_cache(maxsize=1)
    def realisation(index: int) -> tuple[np.ndarray, np.ndarray]:
        size = _SIDE * recipe.window, recipe.net.layers, recipe.voxel_size_nm
        return pair(source, *size, recipe.coarse, recipe.seed, index)

    def window(step: int) -> tuple[np.ndarray, np.ndarray]:
        # Eight windows of one realisation take a third of the time of drawing eight realisations.
        index, corner = divmod(step, _SIDE**3)
        coarse, fine = realisation(index)
        first = [recipe.window * at for at in np.unravel_index(corner, (_SIDE,) * 3)]
        near = tuple(slice(a, a + recipe.window + 2 * recipe.net.layers) for a in first)
        return coarse[near], fine[tuple(slice(FACTOR * a, FACTOR * (a + recipe.window)) for a in first)]

    layers = fitted(
        window, len(PHASES), recipe.net.layers, recipe.net.channels, recipe.steps, recipe.rate, recipe.seed, told
    )
    return Net(layers, PHASES, recipe.voxel_size_nm, recipe.voxel_size_nm)


def _pair(recipe: SuperresRecipe, source: Bundle, rim: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    return pair(source, _EDGE, rim, recipe.voxel_size_nm, recipe.coarse, recipe.seed, index)


def _surface(labels: np.ndarray, phases: int) -> float:
    return sum(intrinsic_volumes(labels == phase, 1.0).surface_area for phase in range(phases))


def _without(labels: np.ndarray, rim: int) -> np.ndarray:
    inside = slice(rim, len(labels) - rim)
    return labels[inside, inside, inside]


def _calibration(recipe: SuperresRecipe, net: Net, source: Bundle, shares: dict[str, float]) -> Calibration:
    found = ", ".join(f"{name} {share:.4f}" for name, share in shares.items())
    return Calibration(
        data=f"{recipe.steps} windows of {recipe.window}^3 voxels, drawn from the bundle {source.name} at "
        f"{net.coarse_voxel_nm:g} and {net.fine_voxel_nm:g} nm",
        method=f"cross-entropy; agreement on {_TESTED} realisations never seen: {found}",
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
