"""How well a net that saw no label by hand segments phantoms: ``python -m benchmarks.segmenter [BUNDLE [COUNT]]``.

Fresh realisations of the additive, of seeds that no training has, are imaged with each frozen setting, and with eta
doubled; their true drift is taken out. Printed per setting, as means over the realisations: the share of pixels whose
pore or solid is right, Dice of graphite, errors of the shares of pore, of the surface and of the M-factor of the pores;
and Dice of all realisations together, as some have little graphite. Then the CPU seconds per megapixel, of slices of
1024 x 1024 pixels; and the distances of the image statistics from those of the training, also with twice the noise and
twice the blur, with the area under the curve. BUNDLE is a built-in name or a path, by default fib-sem-unet-2026; COUNT
realisations, by default four, of 16 slices of 320 x 320 pixels, take about a minute each.
"""

import dataclasses
import sys
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.segmentation import dice
from nmcdist.bundle import Bundle, load_bundle
from nmcdist.calibration.fibsem.cubes import mean_in_cubes
from nmcdist.calibration.microscope import FIB_SEM, FibSem, FibSemPhantom, fib_sem
from nmcdist.calibration.microscope.sections import needed_shape
from nmcdist.calibration.segmenter.bundles import Segmenter, load_segmenter
from nmcdist.calibration.segmenter.draws import held, normal_stack
from nmcdist.calibration.segmenter.segment import segmented
from nmcdist.calibration.segmenter.statistics import image_statistics
from nmcdist.calibration.segmenter.tiles import labels_of
from nmcdist.descriptors import effective_conductivity, intrinsic_volumes
from nmcdist.models.cba import GRAPHITE, PORE, generate_cba

SHAPE, PIXEL_NM, FIRST_SEED = (16, 320, 320), 10.0, 9001
SLICES = (4, 1024, 1024)  # on which the time is taken
BASE = load_bundle("cba-cathode-2025")
NAMES = ("accuracy", "Dice", "pore", "surface", "M")


def phantoms(count: int, settings: FibSem, bundle: Bundle = BASE, first: int = FIRST_SEED) -> Iterator[FibSemPhantom]:
    for seed in range(first, first + count):
        structure = generate_cba(bundle, needed_shape(SHAPE, settings), PIXEL_NM, seed)
        yield fib_sem(structure, settings, seed)


def judged(found: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return accuracy, Dice, and relative errors of porosity, surface and M-factor of the pores."""
    ours, true = properties(found == PORE), properties(truth == PORE)
    errors = [a / b - 1 for a, b in zip(ours, true, strict=True)]
    return [float(((found == PORE) == (truth == PORE)).mean()), dice(found == GRAPHITE, truth == GRAPHITE), *errors]


def properties(pore: np.ndarray) -> list[float]:
    """Return share and surface of the pores, and their M-factor in cubic voxels of 20 nm."""
    cubes = mean_in_cubes(pore.astype(np.uint8) * 255, (1, 2, 2)) > 127
    surface = intrinsic_volumes(cubes, 2 * PIXEL_NM)
    conducting = effective_conductivity(cubes.astype(np.uint8), {1: 1.0}, axis=2)
    return [float(pore.mean()), float(surface.surface_area), float(conducting)]


def study(name: str, segmenter: Segmenter, count: int, settings: FibSem, bundle: Bundle = BASE) -> None:
    rows, pixels = [], []
    for phantom in phantoms(count, settings, bundle):
        found = labels_of(segmented(phantom.grey, segmenter, drift_px=phantom.drift_px))
        rows.append(judged(found, phantom.labels))
        pixels.append((found == GRAPHITE, phantom.labels == GRAPHITE))
    means = ", ".join(f"{n} {v:+.4f}" for n, v in zip(NAMES, np.mean(rows, axis=0), strict=True))
    together = dice(*(np.stack(each) for each in zip(*pixels, strict=True)))
    print(f"{name}: {means}; Dice of all together {together:.4f}", flush=True)
    for k, about in enumerate(("accuracy", "Dice")):
        print(f"   {about} of each: " + ", ".join(f"{row[k]:.4f}" for row in rows), flush=True)
    shares = ", ".join(f"{true.mean():.3f}" for _, true in pixels)
    print(f"   share of graphite in each: {shares}", flush=True)


def speed(segmenter: Segmenter) -> None:
    """Print the CPU seconds of a phantom that is repeated to the size of a box, the least of three runs."""
    grey = next(phantoms(1, FIB_SEM["paper-like"])).grey[: SLICES[0]]
    image = np.tile(grey, (1, 4, 4))[:, : SLICES[1], : SLICES[2]]
    took = []
    for _ in range(3):
        start = time.process_time()
        segmented(image, segmenter)
        took.append(time.process_time() - start)
    print(f"{min(took) / image.size * 1e6:.2f} CPU s per megapixel", flush=True)


def distances(segmenter: Segmenter, count: int) -> None:
    inside, outside = [], []
    for name, settings in FIB_SEM.items():
        noisy = dataclasses.replace(settings, dose=settings.dose / 4, read_noise=2 * settings.read_noise)
        blurred = dataclasses.replace(settings, blur_px=2 * settings.blur_px)
        for kind, how, where in (("as it is", settings, inside), ("twice the noise", noisy, outside),
                                 ("twice the blur", blurred, outside)):  # fmt: skip
            found = [_distance(segmenter, phantom) for phantom in phantoms(count, how)]
            where += found
            print(f"{name}, {kind}: distances {', '.join(f'{value:.2f}' for value in found)}", flush=True)
    area = np.mean([(a < b) + (a == b) / 2 for a in inside for b in outside])
    print(f"area under the curve {area:.3f}; limit of the warning {segmenter.reference.limit:.2f}", flush=True)


def _distance(segmenter: Segmenter, phantom: FibSemPhantom) -> float:
    image = held(phantom.grey, (2 * PIXEL_NM, PIXEL_NM, PIXEL_NM))
    return segmenter.reference.distance(image_statistics(normal_stack(image, ramp=True)[1]))


def main() -> None:
    segmenter = load_segmenter(sys.argv[1] if len(sys.argv) > 1 else "fib-sem-unet-2026")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    for name, settings in FIB_SEM.items():
        study(name, segmenter, count, settings)
    finer = BASE.with_parameters(eta_per_nm=2 * BASE.cba().eta_per_nm)
    study("paper-like, eta doubled", segmenter, count, FIB_SEM["paper-like"], finer)
    speed(segmenter)
    distances(segmenter, count)


if __name__ == "__main__":
    main()
