"""How well phantoms are labelled: ``python -m benchmarks.segmentation [SEED [SETTING [SLICES [EDGE]]]]``.

A virtual FIB-SEM stack goes the way of ``nmcdist calibrate cba --scribbles``, with its true drift: pore and solid (Otsu
beside it), graphite by the features of plates and by those of the paper, and the additive model fitted to the labels.
Scribbles are blobs of the truth over 20 % of every 25th slice (every 50th of a stack of 400), so they are better than a
hand's; agreement is over slices away from them. 400 slices of 800 x 800 pixels are a cube of 8 um, and take about 20
CPU minutes.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from skimage.filters import threshold_otsu

from nmcdist.bundle import load_bundle
from nmcdist.calibration.cba.counts import count_images
from nmcdist.calibration.cba.fit import ABSOLUTE, fit_counts, quantities
from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.labelling import HowToLabel, Labelled, label_stack
from nmcdist.calibration.microscope import FIB_SEM
from nmcdist.calibration.microscope.write import ABOUT, IMAGE, TRUTH, write_fib_sem
from nmcdist.calibration.stages import Stages
from nmcdist.errors import NmcdistError
from nmcdist.images import Image, open_image
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE

BUNDLE, PIXEL_NM, CUBE = load_bundle("cba-cathode-2025"), 10.0, 2  # pixels along an edge of a cubic voxel
SHARE, WIDTH_PX = 0.2, 14.0  # of the scribbles
AWAY = 5  # slices from the nearest one with scribbles


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def in_cubes(plane: np.ndarray) -> np.ndarray:
    """Return the phases of cubic voxels: solid if more than half of it is, graphite if half of that is."""
    parts = [
        (plane == phase).reshape(plane.shape[0] // CUBE, CUBE, -1, CUBE).sum(axis=(1, 3))
        for phase in (CARBON_BINDER, GRAPHITE)
    ]
    solid, graphite = parts[0] + parts[1] > CUBE, parts[1] >= parts[0]
    return np.where(solid, np.where(graphite, GRAPHITE, CARBON_BINDER), PORE).astype(np.uint8)


def scribbled(truth: np.ndarray, chosen: range, seed: int, drift: np.ndarray) -> dict[int, np.ndarray]:
    """Return scribbles on slices as they were scanned, moved by their drift."""
    rng, found = np.random.default_rng(seed + 100), {}
    for z in chosen:
        noise = gaussian(rng.normal(size=truth.shape[1:]).astype(np.float32), WIDTH_PX)
        labels = np.where(noise > np.quantile(noise, 1 - SHARE), truth[z].astype(np.int32) + 1, 0)
        found[z] = np.roll(labels, -np.rint(drift[z]).astype(int), axis=(0, 1))
    return found


def study(shape: tuple[int, int, int], setting: str, seed: int, folder: Path) -> None:
    write_fib_sem(BUNDLE, folder, setting, shape, PIXEL_NM, seed)
    image, truth = open_image(folder / IMAGE), tifffile.memmap(folder / TRUTH, mode="r")
    drift = np.array(json.loads((folder / ABOUT).read_text())["drift_px"])
    chosen = range(25, shape[0], 50) if shape[0] >= 400 else range(12, shape[0], 25)
    scribbles = scribbled(truth, chosen, seed, drift)
    rows = [z for z in range(shape[0]) if min(abs(z - k) for k in chosen) > AWAY]
    true = np.stack([in_cubes(plane) for plane in truth])
    print(f"{setting}, seed {seed}: true shares of solid {(true != PORE).mean():.4f} and graphite "
          f"{(true == GRAPHITE).mean():.4f}", flush=True)  # fmt: skip
    for graphite in ("plates", "paper"):
        start = time.process_time()
        how = HowToLabel(drift=drift, graphite=graphite)
        labelled = label_stack(image, scribbles, Stages(folder / "stages"), how)
        took, found = time.process_time() - start, labelled.labels.read()
        if graphite == "plates":
            print(f"  Otsu, pixels {otsu(labelled, truth, rows[:: len(rows) // 8]):.4f}; pore and solid "
                  f"{((found != PORE) == (true != PORE))[rows].mean():.4f}, share {(found != PORE).mean():.4f}; ramp "
                  f"{labelled.facts['ramp']['loss']:.3f}", flush=True)  # fmt: skip
        print(f"  graphite, {graphite}: Dice {dice((found == GRAPHITE)[rows], (true == GRAPHITE)[rows]):.4f}, share "
              f"{(found == GRAPHITE).mean():.4f}; {took:.0f} CPU s", flush=True)  # fmt: skip
        refit(f"found, {graphite}", labelled.labels)
    np.save(folder / "true.npy", true)
    refit("true labels", open_image(folder / "true.npy", CUBE * PIXEL_NM, "zyx"))


def otsu(labelled: Labelled, truth: np.ndarray, rows: list[int]) -> float:
    grey = np.stack([labelled.stack.read(slice(z, z + 1))[0] for z in rows])
    return float(((grey > threshold_otsu(grey)) == (truth[rows] != PORE)).mean())


def refit(name: str, image: Image) -> None:
    truth = quantities(BUNDLE.cba())
    try:
        fit = fit_counts(count_images([image]))
    except NmcdistError as error:
        print(f"  refit of {name}: {error}", flush=True)
        return
    found = quantities(fit.parameters)
    errors = {n: found[n] - v if n in ABSOLUTE else found[n] / v - 1 for n, v in truth.items()}
    print(f"  refit of {name}: " + ", ".join(f"{n} {v:+.3f}" for n, v in errors.items())
          + f"; allowed at each lag {fit.binder.misfit:.0%}", flush=True)  # fmt: skip


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    slices, edge = (int(sys.argv[k]) if len(sys.argv) > k else least for k, least in ((3, 100), (4, 400)))
    for setting in sys.argv[2:3] or FIB_SEM:
        with tempfile.TemporaryDirectory() as folder:
            study((slices, edge, edge), setting, seed, Path(folder))


if __name__ == "__main__":
    main()
