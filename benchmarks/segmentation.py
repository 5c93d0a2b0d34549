"""How well phantoms are segmented: ``python -m benchmarks.segmentation [SEED [SETTING ...]]``.

Pore and solid by the forest and by Otsu, and graphite by the features of the CBA paper, on a virtual FIB-SEM stack with
its true ramp and drift taken out. Labels are blobs of the truth in three slices, so they are better than a hand's;
agreement is over slices away from them.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import shift
from skimage.filters import threshold_otsu

from nmcdist.calibration.fibsem.clean import closed_by_box, coarsened, without_islands
from nmcdist.calibration.fibsem.features import NAMES, slice_features
from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.forest import train_forest
from nmcdist.calibration.fibsem.graphite import graphite_mask, graphite_probability, train_graphite
from nmcdist.calibration.microscope import FIB_SEM, fib_sem
from nmcdist.calibration.microscope.sections import needed_shape
from nmcdist.models.cba import GRAPHITE, PORE, generate_cba

SHAPE, PIXEL_NM, LABELLED = (60, 384, 384), 10.0, (10, 30, 50)
RAMP = 0.3  # of every setting
MEGAPIXELS = np.prod(SHAPE) / 1e6


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return work(), time.process_time() - start


def blob(rng: np.random.Generator, shape: tuple[int, ...], width: float, share: float) -> np.ndarray:
    noise = gaussian(rng.normal(size=shape).astype(np.float32), width)
    return noise > np.quantile(noise, 1 - share)


def away(distance: int) -> list[int]:
    return [z for z in range(SHAPE[0]) if min(abs(z - k) for k in LABELLED) > distance]


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def study(labels: np.ndarray, setting: str, seed: int) -> None:
    phantom, rng = fib_sem(labels, FIB_SEM[setting], seed), np.random.default_rng(seed + 100)
    truth = phantom.labels != PORE
    ramp = 1 - RAMP * np.arange(SHAPE[1], dtype=np.float32) / (SHAPE[1] - 1)
    flat = phantom.grey.astype(np.float32) / ramp[:, None]
    image = np.stack([shift(s, d, order=1, mode="nearest") for s, d in zip(flat, phantom.drift_px, strict=True)])
    parts = [(z, blob(rng, SHAPE[1:], 12.0, 0.15)) for z in LABELLED]
    features = np.concatenate([slice_features(image[z])[:, on].T for z, on in parts])
    classes = np.concatenate([truth[z][on] + 1 for z, on in parts])
    trained, train_s = timed(lambda: train_forest(features, classes, NAMES, 1))
    planes, features_s = timed(lambda: [slice_features(plane) for plane in image])
    solid, predict_s = timed(lambda: np.stack([trained.forest.probabilities(plane)[1] for plane in planes]))
    rows = away(2)
    agree = {
        "forest": solid > 0.5, "Otsu": image > threshold_otsu(image),
        "forest, cleaned": without_islands(closed_by_box(solid > 0.5)),
    }  # fmt: skip
    print(f"{setting}, seed {seed}: " + ", ".join(f"{k} {(v == truth)[rows].mean():.3f}" for k, v in agree.items()))
    print(f"  CPU s: training {train_s:.1f}; a megapixel: features {features_s / MEGAPIXELS:.2f}, "
          f"prediction {predict_s / MEGAPIXELS:.2f}", flush=True)  # fmt: skip
    coarse, graphite = coarsened(solid, (1, 2, 2)) > 0.5, coarsened(phantom.labels == GRAPHITE, (1, 2, 2)) > 0.5
    scribbles = {
        z: np.where(blob(rng, coarse.shape[1:], 8.0, 0.3), np.where(graphite[z], 1, 2), 0) for z in LABELLED
    }  # fmt: skip
    of_graphite, train_s = timed(lambda: train_graphite(coarse, scribbles, 1))
    share = graphite_probability(coarse, of_graphite.forest)
    rows = away(5)
    rules: dict[str, dict[str, float]] = {"p > 0.5": {}, "p > 0.7": {"threshold": 0.7}, "85 %": {"quantile": 0.85}}
    found = {name: dice(graphite_mask(coarse, share, **rule)[rows], graphite[rows]) for name, rule in rules.items()}
    print(f"  graphite {graphite.mean():.3f}, Dice: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()), flush=True)


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    labels = generate_cba("cba-cathode-2025", needed_shape(SHAPE, FIB_SEM["easy"]), PIXEL_NM, seed)
    for setting in sys.argv[2:] or FIB_SEM:
        study(labels, setting, seed)


if __name__ == "__main__":
    main()
