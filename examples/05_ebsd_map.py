"""Read an EBSD map, find its grains by misorientation, and compare them with the truth.

The map is of a phantom, a particle of a known law, written as a vendor's program would write it: with a tenth of the
pixels missing and orientations off by half a degree. For a map of your own, only `ebsd.read` changes. From such
grains `nmcdist calibrate grains` trains a model; here nothing is trained.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

import nmcdist
from nmcdist import descriptors
from nmcdist.calibration import ebsd
from nmcdist.calibration.grains.phantom import phantom_sections, write_scan


def main(folder: Path) -> None:
    """Write a map, read it, measure its grains, save a picture."""
    bundle = nmcdist.load_bundle("nmc811-radial").with_parameters(shell_scale_nm=10000.0, shell_sigma=0.1)
    truth = phantom_sections(bundle, seed=1, count=1, pixel_size_nm=50.0)[0]
    write_scan(folder / "map.ang", truth, orientation_noise_deg=0.5)

    scan = ebsd.read(folder / "map.ang")
    grains = ebsd.segment(scan, misorientation_deg=5.0)  # 1, 2, ... per grain; 0 where nothing was indexed

    # A misoriented pixel more or less makes a grain of its own: leave out the smallest on both sides.
    rows = []
    for name, labels in (("truth", truth.labels), ("map", grains)):
        areas = descriptors.describe_section(np.maximum(labels, 0), truth.pixel_size_nm).area_nm2.values / 1e6
        large = areas[areas > 4 * 0.05**2]
        rows.append((name, len(large), large.mean(), np.median(large)))
    print(f"{'':6} {'grains':>7} {'mean area':>10} {'median':>8}  (um^2)")
    for name, count, mean, median in rows:
        print(f"{name:6} {count:7d} {mean:10.4f} {median:8.4f}")

    colours = np.random.default_rng(1).permutation(int(grains.max()) + 1)
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
    axes[0].imshow(np.where(grains > 0, 0, 1), cmap="gray", interpolation="nearest")
    axes[0].set_title("black: indexed points")
    axes[1].imshow(np.ma.masked_where(grains == 0, colours[grains]), cmap="turbo", interpolation="nearest")
    axes[1].set_title(f"{rows[1][1]} grains of the map")
    for axis in axes:
        axis.set(xlabel="x in pixels of 50 nm", ylabel="y in pixels of 50 nm")
    figure.savefig(folder / "05_ebsd_map.png", dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
