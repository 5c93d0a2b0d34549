"""Train a segmenter on windows that are drawn, and keep it as a bundle."""

import datetime
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.bundle.schema import Bundle, Calibration
from nmcdist.bundle.segmenter import LENET_PATCH
from nmcdist.calibration.segmenter.bundles import Segmenter, bundle_of
from nmcdist.calibration.segmenter.draws import Window, drawn_window
from nmcdist.calibration.segmenter.memory import LENET_BATCH, check_memory
from nmcdist.calibration.segmenter.net import Net, halo_of
from nmcdist.calibration.segmenter.networks import Weights, arrays_of, first_weights, scores
from nmcdist.calibration.segmenter.outside import Reference
from nmcdist.calibration.segmenter.recipe import SegmenterRecipe
from nmcdist.calibration.segmenter.statistics import image_statistics
from nmcdist.calibration.segmenter.tiles import mirrored, neighbours
from nmcdist.datasets.files import write_text
from nmcdist.errors import ImageError, InputError, PlanError, RecipeError
from nmcdist.inputs import made_folder
from nmcdist.pytorch import half_precision, nn, reproducible, torch

BUNDLE, RESULTS = "bundle", "results.json"
Progress = Callable[[dict[str, Any]], None]
_PROBE_PX = 48
_DECAY = 1e-4  # of weights
_WARMING = 0.05  # share of the steps in which the learning rate grows
_STRETCH, _SHIFT = 0.1, 0.05  # by which normalised grey values of a patch change at random
_TOLD = 10  # reports of the progress


def train_segmenter(
    recipe: SegmenterRecipe, base: Path, out: Path, progress: Progress = lambda facts: None
) -> dict[str, Any]:  # fmt: skip
    """Train the segmenter of a recipe; write its bundle and ``results.json`` into a new folder.

    Parameters
    ----------
    recipe : SegmenterRecipe
    base : Path
        Folder to which paths of bundles are relative.
    out : Path
    progress : callable
        Called with facts about each step.

    Returns
    -------
    dict
        What ``results.json`` holds.

    Raises
    ------
    BundleError
        If a bundle of the recipe cannot be used.
    RecipeError
        If the training does not fit into the memory of this machine, or a window cannot be drawn.
    """
    bundles = _bundles(recipe, base)
    check_memory(recipe, bundles)
    made_folder(out)
    start = time.process_time()
    windows, statistics = _drawn(recipe, bundles, progress)
    drawn_s, start = time.process_time() - start, time.process_time()
    weights, losses = trained(recipe, windows, progress)
    trained_s = time.process_time() - start
    segmenter = Segmenter(
        Net(recipe.net_widths, weights), recipe.instrument, recipe.classes, recipe.edge_nm,
        recipe.edge_nm * (2 if recipe.instrument == "fib-sem" else 1), Reference.of(np.stack(statistics)),
        _ranges(recipe), windows[0].probe,
    )  # fmt: skip
    bundle = bundle_of(segmenter, recipe.name, recipe.title, recipe.licence, _calibration(recipe))
    save_bundle(bundle, out / BUNDLE)
    results = {
        "recipe": recipe.model_dump(mode="json"), "bundle": {"name": bundle.name, "sha256": bundle.content_hash},
        "weights": int(sum(each.size for each in weights.values())), "losses": losses,
        "cpu_s": {"drawing": round(drawn_s, 1), "training": round(trained_s, 1)},
    }  # fmt: skip
    write_text(out / RESULTS, json.dumps(results, indent=1) + "\n")
    return results


def _drawn(
    recipe: SegmenterRecipe, bundles: Sequence[Bundle], progress: Progress
) -> tuple[list["Patches"], list[np.ndarray]]:
    """Return the windows of a recipe, and their statistics."""
    windows: list[Patches] = []
    statistics, told, start = [], max(1, recipe.windows // _TOLD), time.process_time()
    for number in range(recipe.windows):
        try:
            window = drawn_window(recipe, bundles, number)
        except (ImageError, InputError, PlanError) as error:
            raise RecipeError(f"window {number} of the recipe cannot be drawn: {error}") from error
        statistics.append(image_statistics(window.plain))
        windows.append(Patches(window, halo_of(recipe.net_widths), recipe.planes))
        if len(windows) % told == 0 or len(windows) == recipe.windows:
            progress({"event": "drawn", "windows": len(windows), "of": recipe.windows, "cpu_s": _since(start)})
    return windows, statistics


class Patches:
    """A window from which patches are cut, mirrored at its edges as an image is.

    Parameters
    ----------
    window : Window
    halo : int
        Pixels that the net needs beyond a patch.
    planes : int
        Neighbouring slices that it sees.
    """

    def __init__(self, window: Window, halo: int, planes: int) -> None:
        grey = window.grey.read(slice(None))
        self.labels, self._halo, self._planes = window.labels, halo, planes
        self.probe = _probe(grey, planes)
        y, x = (mirrored(np.arange(-halo, n + halo), n) for n in grey.shape[1:])
        self._grey = grey[:, y[:, None], x]

    def cut(self, at: Sequence[int], edge: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a patch of neighbouring slices with its halo, from a slice, row and column on, and its labels."""
        z, y, x = at
        near = neighbours(z, self._planes, len(self._grey))
        wide = edge + 2 * self._halo
        return self._grey[near, y : y + wide, x : x + wide], self.labels[z, y : y + edge, x : x + edge]


def trained(
    recipe: SegmenterRecipe, windows: Sequence[Patches], progress: Progress
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Return the weights of a net trained on patches of windows, and the mean losses of tenths of the training."""
    how, random = recipe.training, np.random.Generator(np.random.Philox(recipe.seed))
    with reproducible(recipe.seed):
        weights = first_weights(recipe.net_widths, len(recipe.classes), recipe.planes)
        optimiser = torch.optim.AdamW(list(weights.values()), lr=how.learning_rate, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, how.learning_rate, total_steps=how.steps, pct_start=_WARMING
        )
        told, losses, start = max(1, how.steps // _TOLD), [], time.process_time()
        for step in range(1, how.steps + 1):
            losses.append(_learned(recipe, weights, windows, random))
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
            if step % told == 0:
                loss = round(float(np.mean(losses[-told:])), 4)
                progress({"event": "trained", "step": step, "loss": loss, "cpu_s": _since(start)})
        return arrays_of(weights), [float(np.mean(part)) for part in np.array_split(losses, min(_TOLD, len(losses)))]


def _learned(
    recipe: SegmenterRecipe, weights: Weights, windows: Sequence[Patches], random: np.random.Generator
) -> float:
    """Add the gradients of a batch; return its loss."""
    images, labels = batch_of(recipe, windows, random)
    with half_precision():
        found = scores(weights, recipe.net_widths, images)
    loss = nn.functional.cross_entropy(found.float(), labels)
    loss.backward()
    return float(loss.detach())


def batch_of(
    recipe: SegmenterRecipe, windows: Sequence[Patches], random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random patches with their halo, and their labels: mirrored, and of other contrast, at random."""
    is_net = bool(recipe.net_widths)
    edge, count = recipe.training.patch if is_net else 1, recipe.training.batch * (1 if is_net else LENET_BATCH)
    images, labels = [], []
    for _ in range(count):
        window = windows[int(random.integers(len(windows)))]
        at = [int(random.integers(n - e + 1)) for n, e in zip(window.labels.shape, (1, edge, edge), strict=True)]
        image, truth = window.cut(at, edge)
        for axis in (1, 2):
            if random.integers(2) and is_net:
                image, truth = np.flip(image, axis), np.flip(truth, axis - 1)
        stretch, shift = random.uniform(-1, 1, 2)
        images.append(image * np.float32(1 + _STRETCH * stretch) + np.float32(_SHIFT * shift))
        labels.append(truth)
    seen = torch.from_numpy(np.stack(images)[..., :LENET_PATCH, :LENET_PATCH] if not is_net else np.stack(images))
    return seen.contiguous(memory_format=torch.channels_last), torch.from_numpy(np.stack(labels).astype(np.int64))


def _probe(grey: np.ndarray, planes: int) -> np.ndarray:
    z, y, x = ((n - m) // 2 for n, m in zip(grey.shape, (planes, _PROBE_PX, _PROBE_PX), strict=True))
    return grey[z : z + planes, y : y + _PROBE_PX, x : x + _PROBE_PX].copy()


def _bundles(recipe: SegmenterRecipe, base: Path) -> list[Bundle]:
    found = []
    for name in recipe.bases:
        beside = base / name
        bundle = load_bundle(beside if beside.is_dir() else name)
        if recipe.instrument == "fib-sem":
            bundle.cba()
        else:
            bundle.particle()
        found.append(bundle)
    return found


def _ranges(recipe: SegmenterRecipe) -> tuple[str, ...]:
    low, high = recipe.imaging.quality
    lines = [f"quality from {low:g} to {high:g}: 0 as of the setting easy, 1/2 of paper-like, 1 of hard"]
    lines += [f"{name}: that of the quality, times or over up to {factor:g}" for name, factor in recipe.factors.items()]
    lines += [f"{name}: {low:g} to {high:g}" for name, (low, high) in recipe.ranges.items()]
    lines += [f"{name}: times {low:g} to {high:g}" for name, (low, high) in recipe.varied.items()]
    return tuple(lines)


def _calibration(recipe: SegmenterRecipe) -> Calibration:
    return Calibration(
        data=f"{recipe.windows} windows of {recipe.slices} x {recipe.edge} x {recipe.edge} pixels drawn from "
        f"{', '.join(recipe.bases)} (seed {recipe.seed}), imaged by the virtual {recipe.instrument}",
        method=f"{recipe.model}, {recipe.training.steps} steps of {recipe.training.batch} patches; no labels by hand",
        date=datetime.date.today().isoformat(),
    )  # fmt: skip


def _since(start: float) -> float:
    return round(time.process_time() - start, 1)
