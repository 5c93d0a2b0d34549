"""Segmenters on images that they are not made for: ``python -m benchmarks.micrographs [BUNDLE]``.

The two micrographs with scribbles of people in tests/data/micrographs show an alloy and round particles, no electrode.
Beside the forest of ``nmcdist calibrate segment``: the segmenter with its last layers tuned on the same scribbles, and
a small U-Net trained on them alone, from random weights. Then phantoms of the additive with pixels of twice the edge.
Printed are the share of pixels that agree with the reference (of phantoms, whose pore or solid is right), CPU seconds,
and the distance of the image from the training of the segmenter, beyond whose limit it warns. BUNDLE is a built-in name
or a path, by default fib-sem-unet-2026; "none" leaves the segmenter out.
"""

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.segmenter import BASE, FIRST_SEED, PIXEL_NM, SHAPE
from nmcdist.calibration.fibsem.agreement import agreement
from nmcdist.calibration.fibsem.pictures import open_pixels
from nmcdist.calibration.fibsem.ramp import Ramp
from nmcdist.calibration.fibsem.scribbles import read_scribbles
from nmcdist.calibration.fibsem.slicewise import segment_slice, train_on
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.microscope import FIB_SEM, fib_sem
from nmcdist.calibration.microscope.sections import needed_shape
from nmcdist.calibration.segmenter.bundles import Segmenter, load_segmenter
from nmcdist.calibration.segmenter.draws import Window, held, normal_stack
from nmcdist.calibration.segmenter.net import Net, halo_of
from nmcdist.calibration.segmenter.normal import NormalStack, fit_levels
from nmcdist.calibration.segmenter.recipe import SegmenterRecipe
from nmcdist.calibration.segmenter.segment import segmented
from nmcdist.calibration.segmenter.statistics import image_statistics
from nmcdist.calibration.segmenter.tiles import box_probabilities, labels_of
from nmcdist.calibration.segmenter.training import Patches, trained
from nmcdist.calibration.segmenter.tuning import tuned_weights
from nmcdist.models.cba import generate_cba

DATA = Path(__file__).parents[1] / "tests" / "data" / "micrographs"
SMALL, SEED = (8, 16, 32), 1
HOW = {"steps": 300, "batch": 1, "patch": 384}  # patches so large that each has labels
NOT_LABELLED = -100  # what the loss of PyTorch leaves out


def micrograph(name: str, segmenter: Segmenter | None) -> None:
    image = open_pixels(DATA / f"{name}.tif")
    scribbles = read_scribbles(DATA / f"{name}_labels.tif", image)
    reference = open_pixels(DATA / f"{name}_ground_truth.tif").read()
    classes = np.unique(reference[reference > 0])
    stack = CorrectedStack(image, Ramp(0.0))
    grey = NormalStack(stack, fit_levels(stack))
    numbered = {z: np.where(plane > 0, np.searchsorted(classes, plane) + 1, 0) for z, plane in scribbles.items()}
    print(f"{name}.tif, {len(classes)} classes", flush=True)

    start = time.process_time()
    trees = train_on(image, scribbles, SEED).forest
    told("forest", trees.labels(segment_slice(image, trees, 0))[None], reference, start)
    start = time.process_time()
    told("small U-Net, scribbles alone", by(small_net(grey, numbered, len(classes)), grey, classes), reference, start)
    if segmenter is not None:
        start = time.process_time()
        learned = tuned_weights(segmenter.net, grey, numbered, SEED)
        tuned = segmenter.with_weights({**segmenter.net.weights, **learned}).net
        told("segmenter, last layers tuned", by(tuned, grey, classes), reference, start)
        distance = segmenter.reference.distance(image_statistics(grey))
        print(f"  distance {distance:.1f}, limit {segmenter.reference.limit:.1f}", flush=True)


def small_net(grey: NormalStack, scribbles: dict[int, np.ndarray], classes: int) -> Net:
    """Return a small net trained on the labelled pixels of an image."""
    labels = np.full(grey.shape, NOT_LABELLED, np.int16)
    for z, plane in scribbles.items():
        labels[z][plane > 0] = plane[plane > 0] - 1
    recipe = SegmenterRecipe.model_validate({
        "name": "small", "instrument": "fib-sem" if classes == 3 else "nano-ct", "widths": list(SMALL),
        "windows": 2, "edge": HOW["patch"], "training": HOW, "seed": SEED,
    })  # fmt: skip
    patches = Patches(Window(grey, grey, labels, {}), halo_of(SMALL), recipe.planes)
    return Net(SMALL, trained(recipe, [patches], lambda facts: None)[0])


def by(net: Net, grey: NormalStack, classes: np.ndarray) -> np.ndarray:
    """Return the classes of an image by a net; what it has more than the image counts as the last one."""
    found = labels_of(box_probabilities(net, grey, tuple(slice(0, n) for n in grey.shape)))
    return classes[np.minimum(found, len(classes) - 1)]


def told(name: str, labels: np.ndarray, reference: np.ndarray, start: float) -> None:
    found = agreement(labels, reference)
    error = "" if found.standard_error is None else f" +- {found.standard_error:.3f}"
    dice = ", ".join(f"{value:.3f}" for value in found.dice.values())
    print(f"  {name}: {found.share:.3f}{error}; Dice {dice}; {time.process_time() - start:.1f} CPU s", flush=True)


def other_scale(segmenter: Segmenter, factor: int) -> None:
    """Print how phantoms fare whose pixels have another edge than those of the training."""
    settings, shares, distances = FIB_SEM["paper-like"], [], []
    for seed in (FIRST_SEED, FIRST_SEED + 1):
        structure = generate_cba(BASE, needed_shape(SHAPE, settings), factor * PIXEL_NM, seed)
        phantom = fib_sem(structure, settings, seed)
        labels = labels_of(segmented(phantom.grey, segmenter, drift_px=phantom.drift_px))
        shares.append(((labels == 0) == (phantom.labels == 0)).mean())
        image = held(phantom.grey, tuple(factor * PIXEL_NM * k for k in (2, 1, 1)))
        distances.append(segmenter.reference.distance(image_statistics(normal_stack(image, ramp=True)[1])))
    told_distances = ", ".join(f"{value:.1f}" for value in distances)
    print(f"pixels of {factor * PIXEL_NM:g} nm: pore or solid {np.mean(shares):.3f}; distances {told_distances}, limit "
          f"{segmenter.reference.limit:.1f}", flush=True)  # fmt: skip


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "fib-sem-unet-2026"
    segmenter = None if name == "none" else load_segmenter(name)
    for micrograph_name in ("0", "1"):
        micrograph(micrograph_name, segmenter)
    if segmenter is not None:
        for factor in (1, 2):
            other_scale(segmenter, factor)


if __name__ == "__main__":
    main()
