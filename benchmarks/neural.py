"""How well the neural generator draws the additive: ``python -m benchmarks.neural [BUNDLE [SEEDS [EDGE]]]``.

Draws windows of EDGE^3 voxels of 40 nm (default 200, which are 8 um), SEEDS of them (default 4) of the additive and of
the net, and prints means with standard errors, standard deviations between windows, CPU seconds, and whether each
bound holds: of the two-point coverages (root mean square up to 1.2 um along the axes) and of other quantities. How far
the coverage along an axis is from the mean of the axes is printed beside that of the additive, which is isotropic.
Takes about half a CPU minute per seed.

``python -m benchmarks.neural train OUT [STEPS]`` trains a bundle as the built-in one was: on all sections of one volume
of the additive of 256^3 voxels, for about four CPU minutes.
"""

import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.calibration.neural.fit import fit_neural
from nmcdist.calibration.neural.sections import Sections
from nmcdist.calibration.neural.training import Recipe
from nmcdist.descriptors import effective_conductivity, geodesic_tortuosity
from nmcdist.descriptors.directional import directional_coverage
from nmcdist.descriptors.intrinsic import intrinsic_volumes
from nmcdist.models.cba import generate_cba
from nmcdist.models.neural import generate_neural
from nmcdist.threads import set_thread_count

ADDITIVE, NET, VOXEL_NM = "cba-cathode-2025", "neural-cba-40nm", 40.0
LAGS = 30  # voxels
PHASES = ("pore", "binder", "graphite")
TRAINED_ON, FIRST = (256, 100), 500  # edge and seed of the training volume; first seed of the windows
FRACTION, TWO_POINT, SURFACE = 0.02, (0.03, 0.015, 0.02), 0.1  # bounds
STEPS = 700


def measured(draw: Callable[[int], np.ndarray], seeds: int) -> dict[str, np.ndarray]:
    """Return each quantity of each window, with a CPU time in front."""
    rows: dict[str, list[object]] = {}
    for seed in range(FIRST, FIRST + seeds):
        start = time.process_time()
        volume = draw(seed)
        found: dict[str, object] = {"CPU s": time.process_time() - start}
        for label, name in enumerate(PHASES):
            phase = volume == label
            values = intrinsic_volumes(phase, VOXEL_NM)
            found[f"fraction {name}"] = values.volume_fraction
            found[f"surface {name}"] = values.surface_area * 1e3
            found[f"Euler {name}"] = values.euler_number_26 * 1e9
            found[f"two-point {name}"] = directional_coverage(phase, np.eye(3, dtype=int), LAGS)
        corner = volume[tuple(slice(0, n // 2) for n in volume.shape)]  # the whole would take most of the time
        found["tortuosity of pore, along z, of an eighth"] = geodesic_tortuosity(corner == 0)
        found["M of pore, along z, of an eighth"] = effective_conductivity(corner, {0: 1.0}, axis=0)
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in rows.items()}


def compare(name: str, seeds: int, edge: int) -> int:
    set_thread_count(1)
    shape, net = (edge,) * 3, load_bundle(name)
    generate_neural(net, (4, 4, 4), VOXEL_NM, 1)  # compiles
    reference = measured(lambda seed: generate_cba(ADDITIVE, shape, VOXEL_NM, seed), seeds)
    own = measured(lambda seed: generate_neural(net, shape, VOXEL_NM, seed), seeds)
    print(f"{seeds} windows of {edge}^3 voxels of {VOXEL_NM:g} nm each: mean and standard error (sd between windows)\n")
    print("| quantity | additive | neural |\n| --- | --- | --- |")
    for quantity, values in reference.items():
        if values.ndim == 1:
            print(f"| {quantity} | {_text(values)} | {_text(own[quantity])} |")
    missed = 0
    for k, phase in enumerate(PHASES):
        missed += _bound(f"fraction of {phase}", _apart(own, reference, f"fraction {phase}"), FRACTION)
        curves = own[f"two-point {phase}"].mean(axis=(0, 1)) - reference[f"two-point {phase}"].mean(axis=(0, 1))
        missed += _bound(f"two-point rmse of {phase}", float(np.sqrt((curves**2).mean())), TWO_POINT[k])
        if phase != "graphite":
            surface = f"surface {phase}"
            missed += _bound(
                f"relative error of the {surface}", _apart(own, reference, surface) / reference[surface].mean(), SURFACE
            )
        mine, theirs = (_axes_apart(each[f"two-point {phase}"]) for each in (own, reference))
        print(f"- coverage of {phase} along z, y, x, from the mean of the axes: {mine}; of the additive: {theirs}")
    missed += _bound("Euler number of pore", float(own["Euler pore"].mean()), 0.0)
    return int(missed > 0)


def _text(values: np.ndarray) -> str:
    sd = values.std(ddof=1)
    return f"{values.mean():.4g} ± {sd / np.sqrt(len(values)):.2g} ({sd:.2g})"


def _apart(own: dict[str, np.ndarray], reference: dict[str, np.ndarray], name: str) -> float:
    return float(abs(own[name].mean() - reference[name].mean()))


def _bound(what: str, found: float, most: float) -> bool:
    print(f"- {what}: {found:.4g}, expected at most {most:g}: {'holds' if found <= most else 'MISSED'}")
    return found > most


def _axes_apart(curves: np.ndarray) -> str:
    """Return how far the mean coverage along z, y and x is from the mean of all three: the largest over lags."""
    apart = curves.mean(axis=0) - curves.mean(axis=(0, 1))
    return ", ".join(f"{v:.2g}" for v in np.abs(apart).max(axis=1))


def train(out: Path, steps: int) -> None:
    edge, seed = TRAINED_ON
    sections = Sections.of_volumes([generate_cba(ADDITIVE, (edge,) * 3, VOXEL_NM, seed)])
    start = time.process_time()

    def progress(facts: dict[str, float]) -> None:
        if facts["step"] % 25 == 0:
            print(", ".join(f"{name} {value:.4g}" for name, value in facts.items()), file=sys.stderr, flush=True)

    bundle = fit_neural(
        sections, VOXEL_NM, Recipe.of_steps(steps, sections), name=NET, licence="MIT", progress=progress,
        about=f"sections of one volume of {ADDITIVE} of {edge} voxels of {VOXEL_NM:g} nm along each edge, seed {seed}",
        date=date.today().isoformat(),
    )  # fmt: skip
    save_bundle(bundle, out)
    print(f"{out}: {time.process_time() - start:.0f} CPU s\n{bundle.calibration.method}")


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["train"]:
        train(Path(arguments[1]), int(arguments[2]) if len(arguments) > 2 else STEPS)
        return 0
    name, seeds, edge = (*arguments, *(NET, "4", "200")[len(arguments) :])
    return compare(name, int(seeds), int(edge))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
