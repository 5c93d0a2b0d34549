"""How well the neural generator draws the additive: ``python -m benchmarks.neural [BUNDLE [SEEDS [EDGE]]]``.

Draws windows of EDGE^3 voxels of 40 nm (default 200, which are 8 um), SEEDS of them (default 4) of the additive and of
the net, and prints means with standard errors, standard deviations between windows, CPU seconds, and whether each
bound holds: of the two-point coverages (root mean square up to 1.2 um along the axes) and of other quantities.
Isotropy is measured on the two-point coverage, in two ways: how far it is along one axis from the mean of the axes, and
how far, in the mean of all directions of one kind, along (1, 2, 2) and (0, 3, 4) from the axes, whose lattice vectors
have the same lengths. The additive is isotropic, so its values in as many windows are sampling errors: the bound is
twice that. Takes about half a CPU minute per seed.

``python -m benchmarks.neural train OUT [STEPS [apart]]`` trains a bundle as the built-in one was, for about five CPU
minutes: on all sections of one volume of the additive of 256^3 voxels, with axes that are alike. With ``apart`` each
plane has sections of its own, and the net may tell the axes apart.
"""

import sys
import time
from collections.abc import Callable
from datetime import date
from itertools import permutations, product
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
OBLIQUE = ((1, 2, 2), (0, 3, 4))  # of lengths 3 and 5 voxels
TRAINED_ON, FIRST = (256, 100), 500  # edge and seed of the training volume; first seed of the windows
FRACTION, TWO_POINT, SURFACE = 0.02, (0.03, 0.015, 0.02), 0.1  # bounds
ISOTROPY = 2.0  # bound, in sampling errors of the additive
STEPS = 1500


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
            found[f"oblique {name}"] = oblique_coverage(phase)
        corner = volume[tuple(slice(0, n // 2) for n in volume.shape)]  # the whole would take most of the time
        found["tortuosity of pore, along z, of an eighth"] = geodesic_tortuosity(corner == 0)
        found["M of pore, along z, of an eighth"] = effective_conductivity(corner, {0: 1.0}, axis=0)
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in rows.items()}


def oblique_coverage(phase: np.ndarray) -> np.ndarray:
    """Return the mean coverage over the directions of each kind of :data:`OBLIQUE`, less that along the axes."""
    apart = []
    axes = directional_coverage(phase, np.eye(3, dtype=int), LAGS).mean(axis=0)
    for kind in OBLIQUE:
        length = round(float(np.linalg.norm(kind)))
        curve = directional_coverage(phase, directions(kind), LAGS // length).mean(axis=0)
        apart.extend(curve[1:] - axes[length::length])
    return np.array(apart)


def directions(kind: tuple[int, int, int]) -> np.ndarray:
    """Return the lattice vectors that the symmetries of the cube make of one, each line once."""
    found = {tuple(s * v for s, v in zip(signs, order, strict=True))
             for order in permutations(kind) for signs in product((1, -1), repeat=3)}  # fmt: skip
    return np.array(sorted(vector for vector in found if vector > (0, 0, 0)))


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
        for what, apart in (("one axis", _axes_apart), ("oblique directions", _oblique_apart)):
            mine, theirs = (apart(each, phase) for each in (own, reference))
            missed += _bound(f"coverage of {phase} along {what}, from that of the axes", mine, ISOTROPY * theirs)
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


def _axes_apart(each: dict[str, np.ndarray], phase: str) -> float:
    """Return how far the mean coverage along z, y or x is from the mean of all three: the largest over lags."""
    curves = each[f"two-point {phase}"]
    return float(np.abs(curves.mean(axis=0) - curves.mean(axis=(0, 1))).max())


def _oblique_apart(each: dict[str, np.ndarray], phase: str) -> float:
    """Return how far the mean coverage along oblique directions is from that of the axes: the largest over lags."""
    return float(np.abs(each[f"oblique {phase}"].mean(axis=0)).max())


def train(out: Path, steps: int, *, isotropic: bool) -> None:
    edge, seed = TRAINED_ON
    sections = Sections.of_volumes([generate_cba(ADDITIVE, (edge,) * 3, VOXEL_NM, seed)])
    recipe = Recipe.of_steps(steps, sections, isotropic=isotropic)
    start = time.process_time()

    def progress(facts: dict[str, float]) -> None:
        if facts["step"] % 25 == 0:
            print(", ".join(f"{name} {value:.4g}" for name, value in facts.items()), file=sys.stderr, flush=True)

    bundle = fit_neural(
        sections, VOXEL_NM, recipe, name=NET, licence="MIT", progress=progress,
        about=f"sections of one volume of {ADDITIVE} of {edge} voxels of {VOXEL_NM:g} nm along each edge, seed {seed}",
        date=date.today().isoformat(),
    )  # fmt: skip
    save_bundle(bundle, out)
    print(f"{out}: {time.process_time() - start:.0f} CPU s\n{bundle.calibration.method}")


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["train"]:
        steps = int(arguments[2]) if len(arguments) > 2 else STEPS
        train(Path(arguments[1]), steps, isotropic=arguments[3:] != ["apart"])
        return 0
    name, seeds, edge = (*arguments, *(NET, "4", "200")[len(arguments) :])
    return compare(name, int(seeds), int(edge))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
