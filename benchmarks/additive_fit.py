"""How fits of the additive scatter: ``python -m benchmarks.additive_fit [SEEDS [EDGE]]``.

Draws volumes of EDGE^3 voxels of 20 nm (default 400, which takes a minute each), fits each from its labels without a
bootstrap, and prints bias and standard deviation of each parameter over the seeds, and the largest error.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nmcdist.bundle import load_bundle
from nmcdist.calibration.cba.counts import PHASE_LABELS, count_images
from nmcdist.calibration.cba.fit import ABSOLUTE, fit_counts, quantities
from nmcdist.calibration.cba.graphite import ALPHA_1
from nmcdist.calibration.cba.lags import LONGEST_NM
from nmcdist.calibration.images import open_image
from nmcdist.models.cba import generate_cba

FIRST, VOXEL_NM = 4000, 20.0


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    edge = int(sys.argv[2]) if len(sys.argv) > 2 else 400
    bundle = load_bundle("cba-cathode-2025")
    truth, errors = quantities(bundle.cba()), []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(FIRST, FIRST + seeds):
            path = Path(folder) / "labels.npy"
            np.save(path, generate_cba(bundle, (edge,) * 3, VOXEL_NM, seed))
            image, start = open_image(path, VOXEL_NM, "zyx"), time.process_time()
            found = quantities(fit_counts(count_images([image], PHASE_LABELS, LONGEST_NM), ALPHA_1).parameters)
            took = time.process_time() - start
            errors.append([found[n] - v if n in ABSOLUTE else found[n] / v - 1 for n, v in truth.items()])
            row = ", ".join(f"{name} {error:+.3f}" for name, error in zip(truth, errors[-1], strict=True))
            print(f"seed {seed}, {took:.0f} CPU s: {row}", flush=True)
    for name, each in zip(truth, np.array(errors).T, strict=True):
        spread = f"sd {each.std(ddof=1):.3f}, " if len(each) > 2 else ""
        print(f"{name}: mean {each.mean():+.3f}, {spread}largest {np.abs(each).max():.3f} of {len(each)}")


if __name__ == "__main__":
    main()
