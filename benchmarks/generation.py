"""Print how fast particles are generated, beside what the paper on them reports: `python -m benchmarks.generation`.

The paper's figures (2.37e-3 s a shell, 7.06e-6 s a grain, analytic form only, averaged over 10^6) are of a Ryzen 9
5900X with an RTX A4000; ours are of the cores of this machine, without a GPU. The marker net has the paper's input
(12 neighbours, 60 numbers), two hidden layers of 64 and random weights, which cost what trained ones cost.
"""

import resource
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from nmcdist.bundle import NetParameters, load_bundle
from nmcdist.descriptors import describe_grains, describe_packing, describe_section, describe_shell, grain_contacts
from nmcdist.models.grains import GrainModel
from nmcdist.models.markers import MarkerNet, RadialMarkers, marker_law
from nmcdist.models.particle import ParticleModel
from nmcdist.models.shell import ShellModel
from nmcdist.threads import set_thread_count

SHELLS, GRAINS = 100_000, 1_000_000
INTENSITY_PER_NM3 = 1.44e-8
TEN_UM = (1, 7)  # seed and index of a particle of 10 um with 7,152 grains
VOXEL_NM = 50.0


def main() -> int:
    """Measure and print a Markdown table; return 1 if a goal was missed."""
    print("| task | threads | wall s | CPU s | goal, wall s | the paper, s |\n| --- | --- | --- | --- | --- | --- |")
    missed = [
        _row("a shell, of 10^5", 2, SHELLS, 1e-4, "2.37e-3", _shells()),
        _row("a grain, of 10^6, marker net 60-64-64-4", 2, GRAINS, 7.06e-6, "7.06e-6", _grains(_net())),
        _row("a grain, of 10^6, radial markers", 2, GRAINS, None, "", _grains(_radial())),
        _row("a particle of 10 um at 50 nm: drawn, rasterised, cut, described", 1, 1, 15.0, "", _particle),
    ]
    print(f"\npeak memory of all this: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    return int(any(missed))


def _row(title: str, threads: int, count: int, goal: float | None, paper: str, run: Callable[[], object]) -> bool:
    set_thread_count(threads)
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    wall, cpu = (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count
    asked = "" if goal is None else f"{goal:.3g}"
    print(f"| {title} | {threads} | {wall:.3g} | {cpu:.3g} | {asked} | {paper} |", flush=True)
    return goal is not None and wall >= goal


def _shells() -> Callable[[], object]:
    model = ShellModel.from_bundle(load_bundle("nmc811-radial"))
    model.draw_many(0, range(4))
    return lambda: model.draw_many(1, range(SHELLS))


def _grains(law: MarkerNet | RadialMarkers) -> Callable[[], object]:
    model = GrainModel(INTENSITY_PER_NM3, law)
    radius = (3 * GRAINS / (4 * np.pi * INTENSITY_PER_NM3)) ** (1 / 3)
    model.draw(3000.0, 0)
    return lambda: model.draw(radius, 1)


def _radial() -> RadialMarkers:
    law = marker_law(load_bundle("nmc811-radial"))
    assert isinstance(law, RadialMarkers)
    return law


def _net() -> MarkerNet:
    rng = np.random.default_rng(1)
    shapes = [(outputs, inputs) for inputs, outputs in pairwise((60, 64, 64, 4))]
    weights = tuple((rng.standard_normal(shape) / np.sqrt(shape[1])).astype(np.float32) for shape in shapes)
    biases = tuple((0.1 * rng.standard_normal(shape[0])).astype(np.float32) for shape in shapes)
    shared = load_bundle("nmc811-radial").parameters.model_dump()
    ranges = {
        "length_unit_nm": 50.0,
        "diagonal_low": 1.0,
        "diagonal_high": 10.0,
        "offset_low": 0.0,
        "offset_high": 50.0,
    }
    content = {name: shared[name] for name in NetParameters.model_fields if name in shared}
    return MarkerNet(NetParameters(**content, **ranges), weights, biases)


def _particle() -> object:
    """Do all that is done with one particle."""
    seed, index = TEN_UM
    particle = ParticleModel.from_bundle(load_bundle("nmc811-radial")).draw(seed, index)
    labels = particle.voxelize(VOXEL_NM)
    contacts = grain_contacts(labels, VOXEL_NM)
    grains = describe_grains(labels, VOXEL_NM, particle.grid(VOXEL_NM)[1], contacts)
    section = describe_section(particle.section(VOXEL_NM), VOXEL_NM)
    return describe_shell(particle.coefficients_nm), grains, describe_packing(grains, contacts), section


if __name__ == "__main__":
    raise SystemExit(main())
