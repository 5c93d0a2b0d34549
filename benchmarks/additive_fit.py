"""How fits of the additive scatter: ``python -m benchmarks.additive_fit [SEEDS [EDGE [FIRST]]]``.

Draws volumes of EDGE^3 voxels of 20 nm (default 400, which takes ten CPU seconds each) with seeds from FIRST (4000),
and fits each from its labels without a bootstrap. Prints bias and standard deviation of each parameter over the seeds,
and the largest error; the same of groups of four, fitted as one sample and averaged; and how far the curve of all
volumes together is from the model. Errors are those of mu, and of the logarithms of the others.

Then each volume, and each group, is judged as a bootstrap with the others as its replicates would judge it: their mean
error is subtracted, their scatter gives the 95 % interval. Prints in how many the interval covers the truth, and the
errors, relative but that of mu, that are over the limits.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import t

from nmcdist.bundle import load_bundle
from nmcdist.calibration.cba.bootstrap import FEWEST
from nmcdist.calibration.cba.counts import PHASE_LABELS, Counts, count_images, joined
from nmcdist.calibration.cba.fit import ABSOLUTE, Fit, coordinates, fit_counts, fractions, quantities
from nmcdist.calibration.cba.lags import LONGEST_NM
from nmcdist.images import open_image
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, generate_cba

VOXEL_NM, GROUP = 20.0, 4
# Largest errors wanted of one volume of 400^3 voxels, and of four as one sample.
LIMITS = {
    "lambda_X": (0.60, 0.40), "mean_a": (0.12, 0.06), "mean_c": (0.25, 0.12), "mu": (0.05, 0.03), "eta": (0.03, 0.01),
    "theta": (0.15, 0.10), "lambda_Y": (0.40, 0.25),
}  # fmt: skip
FIRST_JUDGED = 20  # volumes


def main() -> None:
    seeds, edge, first = (int(text) for text in (*sys.argv[1:], *("8", "400", "4000")[len(sys.argv) - 1 :]))
    bundle = load_bundle("cba-cathode-2025")
    names, truth = list(quantities(bundle.cba())), coordinates(quantities(bundle.cba()))

    def error(fit: Fit) -> np.ndarray:
        return coordinates(quantities(fit.parameters)) - truth

    errors, counted, off = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + seeds):
            path = Path(folder) / "labels.npy"
            np.save(path, generate_cba(bundle, (edge,) * 3, VOXEL_NM, seed))
            start = time.process_time()
            counted.append(count_images([open_image(path, VOXEL_NM, "zyx")], PHASE_LABELS, LONGEST_NM))
            fit = fit_counts(counted[-1])
            errors.append(error(fit))
            off.append(_off_fractions(fit, counted[-1]))
            row = ", ".join(f"{name} {value:+.3f}" for name, value in zip(names, errors[-1], strict=True))
            print(f"seed {seed}, {time.process_time() - start:.0f} CPU s: {row}", flush=True)
    groups = [fit_counts(joined(counted[k : k + GROUP])) for k in range(0, seeds - GROUP + 1, GROUP)]
    _print("one", names, errors)
    _print("four, one sample", names, [error(fit) for fit in groups])
    _print("four, averaged", names, [np.mean(errors[k * GROUP : (k + 1) * GROUP], axis=0) for k in range(len(groups))])
    binder = fit_counts(joined(counted)).binder
    print(f"carbon binder of all together: chi2 {binder.solution.chi2:.0f} with {binder.freedom} degrees of freedom")
    print(f"volume fractions: fitted and counted differ by up to {max(off):.2%} of the counted ones")
    if seeds >= FIRST_JUDGED:
        _judge("one", names, np.array(errors), 0)
    if len(groups) >= FEWEST:
        _judge("four, one sample", names, np.array([error(fit) for fit in groups]), 1)


def _off_fractions(fit: Fit, counts: Counts) -> float:
    """Return the largest relative error of the fitted fractions of graphite, of carbon binder, and of both."""
    fitted = fractions(fit.parameters)
    graphite, solid = fitted["graphite"], fitted["solid"]
    found = np.array([solid - graphite, graphite, solid])
    shares = counts.voxels.sum(axis=0) / counts.voxels.sum()
    true = np.array([shares[CARBON_BINDER], shares[GRAPHITE], shares[CARBON_BINDER] + shares[GRAPHITE]])
    return float(np.abs(found / true - 1).max())


def _judge(what: str, names: list[str], errors: np.ndarray, limit: int) -> None:
    judged = min(len(errors), FIRST_JUDGED)
    for column, name in enumerate(names):
        if name not in LIMITS:
            continue
        covered, over, largest = 0, [], 0.0
        for k in range(judged):
            others = np.delete(errors[:, column], k)
            left = errors[k, column] - others.mean()
            half = t.ppf(0.975, len(others) - 1) * others.std(ddof=1) * np.sqrt(1 + 1 / len(others))
            size = abs(left if name in ABSOLUTE else np.expm1(left))
            covered, largest = covered + (abs(left) <= half), max(largest, size)
            over += [f"{size:.3f}"] if size > LIMITS[name][limit] else []
        beyond = f"over it: {', '.join(over)}" if over else "none over it"
        print(f"{what}: {name}: interval covers the truth in {covered} of {judged}; largest error {largest:.3f}, "
              f"limit {LIMITS[name][limit]:.2f}, {beyond}")  # fmt: skip


def _print(what: str, names: list[str], errors: list[np.ndarray]) -> None:
    for name, each in zip(names, np.array(errors).T, strict=True):
        spread = f"sd {each.std(ddof=1):.4f}, " if len(each) > 2 else ""
        print(f"{what}: {name}: mean {each.mean():+.4f}, {spread}largest {np.abs(each).max():.3f} of {len(each)}")


if __name__ == "__main__":
    main()
