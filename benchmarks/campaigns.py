"""How well campaigns meet targets: ``python -m benchmarks.campaigns [TARGETS [EVALUATIONS]]``.

Targets are pairs of M-factors that some structure of the space has: each is the mean of twelve windows at a point that
no campaign sees (of the logarithm for M of the solid). A campaign of Thompson draws looks for each, and its answer is
confirmed by twelve fresh realisations. All windows are 8 um wide, with voxels of 100 nm: M-factors of narrower ones are
too large. Printed: target, predicted, confirmed with its standard error, and the distance in standard deviations of one
evaluation and in standard errors.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nmcdist.bundle import load_bundle
from nmcdist.descriptors.cba import CONDUCTIONS
from nmcdist.descriptors.transport import solve_conduction
from nmcdist.design.space import unit_points
from nmcdist.models.cba import generate_cba
from nmcdist.products.campaigns.recipe import quantity
from nmcdist.products.points import changes_of
from nmcdist.products.stores import build_report
from nmcdist.products.volumes.additive import DERIVED_CHANGES
from nmcdist.runs.public import run

BUNDLE, VOXEL_NM, EDGE, REALISATIONS = load_bundle("cba-cathode-2025"), 100.0, 80, 12
SPACE = {"graphite_fraction": [0.06, 0.20], "mu": [0.0, 1.2], "large_pore_fraction": [0.01, 0.35]}
# Of the points behind the targets: inside of the space, where the solid conducts in nearly every window.
RANGES = {"graphite_fraction": (0.09, 0.17), "mu": (0.2, 1.1), "large_pore_fraction": (0.05, 0.3)}


def wide_means(point: dict[str, float], seed: int) -> tuple[float, float]:
    """Return the mean M-factors of pores and solid of wide windows."""
    bundle = BUNDLE.with_parameters(**changes_of(BUNDLE, point, DERIVED_CHANGES, "point"))
    found = []
    for index in range(REALISATIONS):
        labels = generate_cba(bundle, (EDGE,) * 3, VOXEL_NM, seed, index)
        found.append([np.mean([solve_conduction(labels, CONDUCTIONS[name], axis).m_factor for axis in range(3)])
                      for name in ("pore", "solid")])  # fmt: skip
    pore, solid = np.array(found).T
    return float(pore.mean()), float(quantity("m_factor_solid").mean(solid))


def recipe(number: int, pore: float, solid: float, evaluations: int) -> dict:
    return {
        "kind": "campaign", "name": f"target-{number}", "version": "1.0.0", "title": f"Target {number}",
        "bundle": "cba-cathode-2025", "seed": 100 + number,
        "volume": {"shape": [EDGE] * 3, "voxel_size_nm": VOXEL_NM},
        "space": {"parameters": SPACE},
        "goal": {"targets": {"m_factor_pore": {"value": round(pore, 4), "relative": 0.05},
                             "m_factor_solid": {"value": round(solid, 5), "relative": 0.1}}},
        "proposer": {"kind": "thompson", "initial": 24, "lag": 8}, "evaluations": evaluations,
        "confirm": {"realisations": REALISATIONS},
    }  # fmt: skip


def main() -> None:
    targets, evaluations = (int(sys.argv[k]) if len(sys.argv) > k else n for k, n in ((1, 6), (2, 64)))
    cube = unit_points(len(RANGES), targets, 2026)
    with tempfile.TemporaryDirectory() as folder:
        for number, place in enumerate(cube):
            point = {name: low + u * (high - low) for u, (name, (low, high)) in zip(place, RANGES.items(), strict=True)}
            pore, solid = wide_means({name: float(value) for name, value in point.items()}, 900 + number)
            start = time.perf_counter()
            store = run(recipe(number, pore, solid, evaluations), Path(folder), workers=2).store
            took = time.perf_counter() - start
            build_report(store, Path(folder) / f"answers-{number}")
            facts = json.loads((Path(folder) / f"answers-{number}" / "answer.json").read_text())
            print(f"target {number}, {took:.0f} s with two workers", flush=True)
            for name, found in facts["answers"][0]["quantities"].items():
                noise = facts["noise_of_one_evaluation"][name]
                scale = np.log10 if noise["scale"] == "log10" else np.asarray
                off = abs(float(scale(found["confirmed"]) - scale(found["target"]))) / noise["value"]
                print(
                    f"  {name}: wanted {found['target']:.4g}, predicted {found['predicted']:.4g}, confirmed "
                    f"{found['confirmed']:.4g} +- {found['standard_error']:.2g}: {off:.2f} noise, "
                    f"{abs(found['confirmed'] - found['target']) / found['standard_error']:.2f} standard errors",
                    flush=True,
                )


if __name__ == "__main__":
    main()
