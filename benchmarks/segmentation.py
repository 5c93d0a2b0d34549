"""How well phantoms are labelled: ``python -m benchmarks.segmentation [SEED [SETTING [SLICES [EDGE]]]]``.

A virtual FIB-SEM stack goes the way of ``nmcdist calibrate cba --scribbles``, with its true drift: pore and solid (Otsu
beside it), graphite by the features of plates and by those of the paper, and the additive model fitted to the labels.
Scribbles are blobs of the truth over 20 % of every 25th slice (every 50th of a stack of 400), so they are better than a
hand's; agreement is over slices away from them. 400 slices of 800 x 800 pixels are a cube of 8 um, and take about 20
CPU minutes. :mod:`benchmarks.registration` compares what is left of the drift.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage
from skimage.filters import threshold_otsu

from nmcdist.bundle import load_bundle
from nmcdist.calibration.cba.counts import count_images
from nmcdist.calibration.cba.fit import ABSOLUTE, fit_counts, quantities
from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.labelling import HowToLabel, Labelled, label_stack
from nmcdist.calibration.fibsem.ramp import Ramp
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.microscope import FIB_SEM
from nmcdist.calibration.microscope.write import ABOUT, IMAGE, TRUTH, write_fib_sem
from nmcdist.calibration.stages import Stages
from nmcdist.errors import NmcdistError
from nmcdist.images import Image, open_image
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE

BUNDLE, PIXEL_NM, CUBE = load_bundle("cba-cathode-2025"), 10.0, 2  # pixels along an edge of a cubic voxel
SHARE, WIDTH_PX = 0.2, 14.0  # of the scribbles
AWAY = 5  # slices from the nearest one with scribbles


@dataclass(frozen=True, eq=False)
class Phantom:
    """A virtual stack, its labels and drift, scribbles on slices as they were scanned, and slices away from these."""

    image: Image
    truth: np.ndarray
    drift: np.ndarray
    scribbles: dict[int, np.ndarray]
    rows: list[int]


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def in_cubes(plane: np.ndarray, by: np.ndarray | None = None) -> np.ndarray:
    """Return the phases of cubic voxels: solid if more than half of it is, graphite if half of that is.

    With `by`, pixel (y, x) is that of the plane at (y, x) + by, linear between pixels.
    """
    parts = []
    for phase in (CARBON_BINDER, GRAPHITE):
        part = (plane == phase).astype(np.float32)
        if by is not None and by.any():
            part = ndimage.shift(part, -by, order=1, mode="nearest")
        parts.append(part.reshape(plane.shape[0] // CUBE, CUBE, -1, CUBE).sum(axis=(1, 3)))
    solid, graphite = parts[0] + parts[1] > CUBE, parts[1] >= parts[0]
    return np.where(solid, np.where(graphite, GRAPHITE, CARBON_BINDER), PORE).astype(np.uint8)


def scribbled(truth: np.ndarray, chosen: Iterable[int], seed: int) -> dict[int, np.ndarray]:
    """Return blobs of the truth over a fifth of some slices."""
    rng, found = np.random.default_rng(seed + 100), {}
    for z in chosen:
        noise = gaussian(rng.normal(size=truth.shape[1:]).astype(np.float32), WIDTH_PX)
        found[z] = np.where(noise > np.quantile(noise, 1 - SHARE), truth[z].astype(np.int32) + 1, 0)
    return found


def as_scanned(scribbles: dict[int, np.ndarray], image: Image, drift: np.ndarray) -> dict[int, np.ndarray]:
    """Return scribbles on slices as they were scanned, moved by their drift; what comes in is not labelled."""
    return CorrectedStack(image, Ramp(0.0), -drift).moved(scribbles)


def phantom(shape: tuple[int, int, int], setting: str, seed: int, folder: Path) -> Phantom:
    """Return a virtual stack in a folder, with what is true of it and with scribbles."""
    write_fib_sem(BUNDLE, folder, setting, shape, PIXEL_NM, seed)
    truth = tifffile.memmap(folder / TRUTH, mode="r")
    drift = np.array(json.loads((folder / ABOUT).read_text())["drift_px"])
    chosen = range(25, shape[0], 50) if shape[0] >= 400 else range(12, shape[0], 25)
    rows = [z for z in range(shape[0]) if min(abs(z - k) for k in chosen) > AWAY]
    image = open_image(folder / IMAGE)
    return Phantom(image, truth, drift, as_scanned(scribbled(truth, chosen, seed), image, drift), rows)


def study(shape: tuple[int, int, int], setting: str, seed: int, folder: Path) -> None:
    made = phantom(shape, setting, seed, folder)
    truth, rows = made.truth, made.rows
    true = np.stack([in_cubes(plane) for plane in truth])
    print(f"{setting}, seed {seed}: true shares of solid {(true != PORE).mean():.4f} and graphite "
          f"{(true == GRAPHITE).mean():.4f}", flush=True)  # fmt: skip
    for graphite in ("plates", "paper"):
        start = time.process_time()
        how = HowToLabel(drift=made.drift, graphite=graphite)
        labelled = label_stack(made.image, made.scribbles, Stages(folder / "stages"), how)
        took, found = time.process_time() - start, labelled.labels.read()
        if graphite == "plates":
            print(f"  Otsu, pixels {otsu(labelled, truth, rows[:: len(rows) // 8]):.4f}; pore and solid "
                  f"{((found != PORE) == (true != PORE))[rows].mean():.4f}, share {(found != PORE).mean():.4f}; ramp "
                  f"{labelled.facts['ramp']['loss']:.3f}", flush=True)  # fmt: skip
        print(f"  graphite, {graphite}: Dice {dice((found == GRAPHITE)[rows], (true == GRAPHITE)[rows]):.4f}, share "
              f"{(found == GRAPHITE).mean():.4f}; {took:.0f} CPU s", flush=True)  # fmt: skip
        print(f"  refit of found, {graphite}: {refit(labelled.labels)}", flush=True)
    np.save(folder / "true.npy", true)
    print(f"  refit of true labels: {refit(open_image(folder / 'true.npy', CUBE * PIXEL_NM, 'zyx'))}", flush=True)


def otsu(labelled: Labelled, truth: np.ndarray, rows: list[int]) -> float:
    grey = np.stack([labelled.stack.read(slice(z, z + 1))[0] for z in rows])
    return float(((grey > threshold_otsu(grey)) == (truth[rows] != PORE)).mean())


def refit(image: Image) -> str:
    """Return how far the model fitted to labels is off: relative errors, but of mu absolute."""
    truth = quantities(BUNDLE.cba())
    try:
        fit = fit_counts(count_images([image]))
    except NmcdistError as error:
        return str(error)
    found = quantities(fit.parameters)
    errors = {n: found[n] - v if n in ABSOLUTE else found[n] / v - 1 for n, v in truth.items()}
    return ", ".join(f"{n} {v:+.3f}" for n, v in errors.items()) + f"; allowed at each lag {fit.binder.misfit:.0%}"


def asked(slices: int = 100) -> tuple[int, list[str], tuple[int, int, int]]:
    """Return seed, settings (none is all) and shape from the command line."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    slices, edge = (int(sys.argv[k]) if len(sys.argv) > k else least for k, least in ((3, slices), (4, 400)))
    return seed, sys.argv[2:3], (slices, edge, edge)


def main() -> None:
    seed, settings, shape = asked()
    for setting in settings or FIB_SEM:
        with tempfile.TemporaryDirectory() as folder:
            study(shape, setting, seed, Path(folder))


if __name__ == "__main__":
    main()
