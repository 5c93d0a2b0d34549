"""How well phantoms are segmented: ``python -m benchmarks.segmentation [SEED [SETTING [SLICES [EDGE]]]]``.

Pore and solid by the forest and by Otsu, graphite by its shape, and the additive model fitted to the labels found, on a
virtual FIB-SEM stack with its true ramp and drift taken out. Labels are blobs of the truth in every 25th slice (every
50th of a stack of 400), so they are better than a hand's; agreement is over slices away from them. 400 slices of 800 x
800 pixels are a cube of 8 um, and take about 20 CPU minutes and 6 GB.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import shift
from skimage.filters import threshold_otsu

from nmcdist.bundle import load_bundle
from nmcdist.calibration.cba.counts import PHASE_LABELS, count_images
from nmcdist.calibration.cba.fit import ABSOLUTE, fit_counts, quantities
from nmcdist.calibration.cba.graphite import ALPHA_1
from nmcdist.calibration.cba.lags import LONGEST_NM
from nmcdist.calibration.fibsem.clean import coarsened
from nmcdist.calibration.fibsem.features import NAMES, slice_features
from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.forest import train_forest
from nmcdist.calibration.fibsem.graphite import CLOSING_VOXELS, graphite_mask, graphite_probability, train_graphite
from nmcdist.calibration.images import open_image
from nmcdist.calibration.microscope import FIB_SEM
from nmcdist.calibration.microscope.sections import drifts_px, fib_sem_slice, needed_shape
from nmcdist.errors import NmcdistError
from nmcdist.models.cba import GRAPHITE, PORE, generate_cba

BUNDLE, PIXEL_NM, PIECE = "cba-cathode-2025", 10.0, 40
RAMP = 0.3  # of every setting


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return work(), time.process_time() - start


def blob(rng: np.random.Generator, shape: tuple[int, ...], width: float, share: float) -> np.ndarray:
    noise = gaussian(rng.normal(size=shape).astype(np.float32), width)
    return noise > np.quantile(noise, 1 - share)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def phantom(shape: tuple[int, int, int], setting: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the stack without its true ramp and drift, float32, and the labels of its slices."""
    settings, (count, edge, _) = FIB_SEM[setting], shape
    step, depth, rim = settings.pixels_per_slice, settings.depth_px, settings.margin_px
    image, truth = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    drift = drifts_px(count, settings, seed)
    ramp = (1 - RAMP * np.arange(edge, dtype=np.float32) / (edge - 1))[:, None]
    for first in range(0, count, PIECE):
        number = min(PIECE, count - first)
        window = needed_shape((number, edge, edge), settings)
        labels = generate_cba(BUNDLE, window, PIXEL_NM, seed, origin=(first * step, -rim, -rim))
        for k in range(number):
            grey = fib_sem_slice(labels[step * k : step * k + depth], first + k, drift[first + k], settings, seed)
            image[first + k] = shift(grey.astype(np.float32) / ramp, drift[first + k], order=1, mode="nearest")
        truth[first : first + number] = labels[: step * number : step, rim:-rim, rim:-rim]
    return image, truth


def study(shape: tuple[int, int, int], setting: str, seed: int) -> None:
    image, labels = phantom(shape, setting, seed)
    labelled = range(25, shape[0], 50) if shape[0] >= 400 else range(12, shape[0], 25)
    truth, rng, mega = labels != PORE, np.random.default_rng(seed + 100), image.size / 1e6
    parts = [(z, blob(rng, shape[1:], 12.0, 0.15)) for z in labelled]
    values = np.concatenate([slice_features(image[z])[:, on].T for z, on in parts])
    classes = np.concatenate([truth[z][on] + 1 for z, on in parts])
    trained, train_s = timed(lambda: train_forest(values, classes, NAMES, 1))
    share, predict_s = timed(lambda: np.stack([
        np.rint(255 * trained.forest.probabilities(slice_features(plane))[1]).astype(np.uint8) for plane in image
    ]))  # fmt: skip
    rows = away(shape[0], labelled, 2)
    found = {"p > 1/2": share > 127, "unbiased": share > 255 * trained.threshold, "Otsu": image > threshold_otsu(image)}
    for name, each in found.items():
        print(f"{setting}, seed {seed}: {name} {(each == truth)[rows].mean():.4f}, share {each.mean():.3f}", flush=True)
    print(f"  true share {truth.mean():.3f}; CPU s: training {train_s:.1f}, a megapixel {predict_s / mega:.2f}")
    coarse, whole, graphite = (
        np.concatenate([coarsened(part[None], (1, 2, 2)) for part in each])
        for each in (share, truth, labels == GRAPHITE)
    )
    solid, whole, graphite = coarse > 255 * trained.threshold, whole > 0.5, graphite > 0.5
    marks = {z: np.where(blob(rng, solid.shape[1:], 8.0, 0.3), np.where(graphite[z], 1, 2), 0) for z in labelled}
    rows = away(shape[0], labelled, 5)
    for features, mask in (("extended", {}), ("paper", {"smoothing": 0.0, "closing": CLOSING_VOXELS})):
        forest = train_graphite(solid, marks, 1, features=features)
        chance, took = timed(lambda of=forest.forest: graphite_probability(solid, of))
        plates = graphite_mask(solid, chance, 1 - forest.threshold, **mask)
        print(f"  graphite, {features}: Dice {dice(plates[rows], graphite[rows]):.3f}, share {plates.mean():.4f}, true "
              f"{graphite.mean():.4f}, CPU s {took:.0f}", flush=True)  # fmt: skip
        refit(f"found, {features}", np.where(plates, 2, solid))
    refit("true labels", np.where(graphite, 2, whole))


def away(count: int, labelled: range, distance: int) -> list[int]:
    return [z for z in range(count) if min(abs(z - k) for k in labelled) > distance]


def refit(name: str, labels: np.ndarray) -> None:
    truth = quantities(load_bundle(BUNDLE).cba())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.npy"
        np.save(path, labels.astype(np.uint8))
        try:
            counts = count_images([open_image(path, 2 * PIXEL_NM, "zyx")], PHASE_LABELS, LONGEST_NM)
            found = quantities(fit_counts(counts, ALPHA_1).parameters)
        except NmcdistError as error:
            print(f"  refit of {name}: {error}", flush=True)
            return
    errors = {n: found[n] - v if n in ABSOLUTE else found[n] / v - 1 for n, v in truth.items()}
    print(f"  refit of {name}: " + ", ".join(f"{n} {v:+.3f}" for n, v in errors.items()), flush=True)


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    slices, edge = (int(sys.argv[k]) if len(sys.argv) > k else least for k, least in ((3, 100), (4, 400)))
    for setting in sys.argv[2:3] or FIB_SEM:
        study((slices, edge, edge), setting, seed)


if __name__ == "__main__":
    main()
