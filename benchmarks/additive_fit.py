"""How fits of the additive scatter: ``python -m benchmarks.additive_fit [SEEDS [EDGE [FIRST]]]``.

Draws volumes of EDGE^3 voxels of 20 nm (default 400, which takes ten CPU seconds each) with seeds from FIRST (4000),
and fits each from its labels without a bootstrap. Prints bias and standard deviation of each parameter over the seeds,
and the largest error; the same of groups of four, fitted as one sample and averaged; and how far the curve of all
volumes together is from the model. Errors are those of mu, and of the logarithms of the others.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nmcdist.bundle import load_bundle
from nmcdist.calibration.cba.counts import PHASE_LABELS, Counts, count_images, joined
from nmcdist.calibration.cba.fit import coordinates, fit_counts, quantities
from nmcdist.calibration.cba.lags import LONGEST_NM
from nmcdist.images import open_image
from nmcdist.models.cba import generate_cba

VOXEL_NM, GROUP = 20.0, 4


def main() -> None:
    seeds, edge, first = (int(text) for text in (*sys.argv[1:], *("8", "400", "4000")[len(sys.argv) - 1 :]))
    bundle = load_bundle("cba-cathode-2025")
    names, truth = list(quantities(bundle.cba())), coordinates(quantities(bundle.cba()))

    def error(counts: Counts) -> np.ndarray:
        return coordinates(quantities(fit_counts(counts).parameters)) - truth

    errors, counted = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + seeds):
            path = Path(folder) / "labels.npy"
            np.save(path, generate_cba(bundle, (edge,) * 3, VOXEL_NM, seed))
            start = time.process_time()
            counted.append(count_images([open_image(path, VOXEL_NM, "zyx")], PHASE_LABELS, LONGEST_NM))
            errors.append(error(counted[-1]))
            row = ", ".join(f"{name} {value:+.3f}" for name, value in zip(names, errors[-1], strict=True))
            print(f"seed {seed}, {time.process_time() - start:.0f} CPU s: {row}", flush=True)
    groups = range(0, seeds - GROUP + 1, GROUP)
    _print("one", names, errors)
    _print("four, one sample", names, [error(joined(counted[k : k + GROUP])) for k in groups])
    _print("four, averaged", names, [np.mean(errors[k : k + GROUP], axis=0) for k in groups])
    fit = fit_counts(joined(counted)).binder
    print(f"carbon binder of all together: chi2 {fit.solution.chi2:.0f} with {fit.freedom} degrees of freedom")


def _print(what: str, names: list[str], errors: list[np.ndarray]) -> None:
    for name, each in zip(names, np.array(errors).T, strict=True):
        spread = f"sd {each.std(ddof=1):.4f}, " if len(each) > 2 else ""
        print(f"{what}: {name}: mean {each.mean():+.4f}, {spread}largest {np.abs(each).max():.3f} of {len(each)}")


if __name__ == "__main__":
    main()
