"""What registration leaves: ``python -m benchmarks.registration [SEED [SETTING [SLICES [EDGE [TREES]]]]]``.

A virtual FIB-SEM stack goes the way of ``nmcdist calibrate cba --scribbles`` with its true drift, with the estimated
one, and with none corrected. What is left of the drift displaces a slice, so labels are compared with the truth twice:
in the frame of each slice, that is, with the truth displaced by what was left in this slice, and in the common frame,
the truth in its place. The first says how well a slice is labelled, the second how well the stack is put together. The
fit needs no frame. A rim of 16 pixels is left out. Scribbles are those of :mod:`benchmarks.segmentation`.

The default, 200 slices of 400 x 400 pixels and 20 trees, is about the least that can be fitted: 3 CPU minutes. 400
slices of 800 x 800 pixels and the 50 trees of the command (``21 paper-like 400 800 50``) should take half an hour.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.segmentation import CUBE, PIXEL_NM, Phantom, asked, dice, in_cubes, phantom, refit
from nmcdist.calibration.fibsem.labelling import HowToLabel, label_stack
from nmcdist.calibration.stages import Stages
from nmcdist.errors import ImageError
from nmcdist.images import open_image
from nmcdist.models.cba import GRAPHITE, PORE

RIM = 16 // CUBE  # cubic voxels


def study(shape: tuple[int, int, int], setting: str, seed: int, trees: int, folder: Path) -> None:
    made = phantom(shape, setting, seed, folder)
    true = np.stack([in_cubes(plane) for plane in made.truth])
    print(f"{setting}, seed {seed}, {' x '.join(map(str, shape))}: true porosity {(true == PORE).mean():.4f}, drift: "
          f"{described(made.drift)}", flush=True)  # fmt: skip
    for name, drift in (("true", made.drift), ("estimate", "estimate"), ("none", "none")):
        start = time.process_time()
        try:
            how = HowToLabel(drift=drift, trees=trees)
            labelled = label_stack(made.image, made.scribbles, Stages(folder / "stages"), how)
        except ImageError as error:
            print(f"  {name}: {error}", flush=True)
            continue
        shifts, facts = labelled.stack.shifts_px, labelled.facts["drift"]
        left, found = made.drift - (0 if shifts is None else shifts), labelled.labels.read()
        said = f"; {reported(facts)}" if name == "estimate" else ""
        print(f"  {name}: left {described(left)}{said}; {time.process_time() - start:.0f} CPU s", flush=True)
        displaced = np.stack([in_cubes(plane, by) for plane, by in zip(made.truth, left, strict=True)])
        print(f"    in the frame of the slice: {agreement(found, displaced, made)}", flush=True)
        print(f"    in the common frame: {agreement(found, true, made)}; "
              f"porosity {(found == PORE).mean() - (true == PORE).mean():+.4f}", flush=True)  # fmt: skip
        print(f"    refit: {refit(labelled.labels)}", flush=True)
    np.save(folder / "true.npy", true)
    print(f"  refit of true labels: {refit(open_image(folder / 'true.npy', CUBE * PIXEL_NM, 'zyx'))}", flush=True)


def reported(facts: dict[str, Any]) -> str:
    """Return what the command reports of an estimate."""
    y, x = facts["shear_px"]
    return (
        f"reported: shifts {facts['rms_px']:.3f} px, bands differ by {facts['disagreement_px']:.3f} px; left in: shear "
        f"{y:+.4f}, {x:+.4f} px a slice, slow part {facts['slow_px']:.3f} px"
    )


def agreement(found: np.ndarray, truth: np.ndarray, made: Phantom) -> str:
    """Return the share of voxels with the right one of pore and solid, and the Dice of graphite."""
    one, two = (each[made.rows, RIM:-RIM, RIM:-RIM] for each in (found, truth))
    return (
        f"pore and solid {((one == PORE) == (two == PORE)).mean():.4f}, Dice of graphite "
        f"{dice(one == GRAPHITE, two == GRAPHITE):.4f}"
    )


def described(places: np.ndarray) -> str:
    """Return the root mean square of the steps between slices and of the places without their line, and the line."""
    at = np.arange(len(places)) - (len(places) - 1) / 2
    slope = at @ places / (at @ at)
    wander = places - places.mean(axis=0) - at[:, None] * slope
    step = np.diff(places, axis=0)
    return (
        f"steps {np.sqrt((step**2).mean()):.3f} px, wander {np.sqrt((wander**2).mean()):.3f} px, "
        f"line {slope[0]:+.4f}, {slope[1]:+.4f} px a slice"
    )


def main() -> None:
    seed, settings, shape = asked(slices=200)
    trees = int(sys.argv[5]) if len(sys.argv) > 5 else 20
    with tempfile.TemporaryDirectory() as folder:
        study(shape, (settings or ["paper-like"])[0], seed, trees, Path(folder))


if __name__ == "__main__":
    main()
