"""What a volume of voxels with three edges costs: ``python -m benchmarks.boxes [EDGE]``.

Pores and solid of the additive, EDGE^3 voxels of 20 x 10 x 10 nm (default 400), by every descriptor that a measurement
of a whole volume needs, along three axes; beside it the same number of cubes of 10 nm. Each row has CPU and wall
seconds for both phases together.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from nmcdist import descriptors, generate_cba, load_bundle
from nmcdist.descriptors.pore_size import squared_distance
from nmcdist.products.memory import peak_memory_bytes

CUBE, BOX = (10.0, 10.0, 10.0), (20.0, 10.0, 10.0)
LONGEST_NM = 3000.0
Edges = tuple[float, float, float]


def rows(edges: Edges, longest_nm: float) -> dict[str, Callable[[np.ndarray], object]]:
    """Return the descriptors of a phase."""

    def along(function: Callable[[np.ndarray, int], object]) -> Callable[[np.ndarray], object]:
        return lambda phase: [function(phase, axis) for axis in range(3)]

    def sizes(phase: np.ndarray) -> object:
        distance2 = squared_distance(phase, edges)
        of_axes = [descriptors.bottleneck_radius(phase, edges, axis, distance2) for axis in range(3)]
        return descriptors.pore_size_distribution(phase, edges, squared_distance=distance2), of_axes

    return {
        "intrinsic volumes": lambda phase: descriptors.intrinsic_volumes(phase, edges),
        "two-point coverage": lambda phase: descriptors.two_point_coverage(phase, edges, longest_nm),
        "sizes and bottlenecks": sizes,
        "chord lengths": along(lambda phase, axis: descriptors.phase_chord_lengths(phase, edges, axis)),
        "connected fractions": along(descriptors.connected_fractions),
        "geodesic tortuosity": along(lambda phase, axis: descriptors.geodesic_tortuosity(phase, axis, edges)),
        "conduction": along(lambda phase, axis: descriptors.solve_conduction(phase, {1: 1.0}, axis, edges)),
    }


def main(edge: int) -> None:
    """Measure and print a Markdown table."""
    cubes = generate_cba(load_bundle("cba-cathode-2025"), (2 * edge, edge, edge), CUBE[0], seed=1) == 0
    volumes = {CUBE: np.ascontiguousarray(cubes[:edge]), BOX: np.ascontiguousarray(cubes[::2])}
    del cubes
    longest = min(LONGEST_NM, edge * CUBE[0] / 2)
    print(f"| descriptor, {edge}^3, lags to {longest:g} nm | CPU s, boxes | wall s | CPU s, cubes | wall s |")
    print("| --- | --- | --- | --- | --- |")
    total = np.zeros(4)
    for name in rows(BOX, longest):
        times = np.array([_timed(name, edges, longest, volumes[edges]) for edges in (BOX, CUBE)]).ravel()
        total += times
        _print(name, times)
    _print("all", total)
    print(f"\npeak memory: {peak_memory_bytes() / 2**30:.2f} GiB")


def _timed(name: str, edges: Edges, longest_nm: float, pore: np.ndarray) -> tuple[float, float]:
    rows(edges, 100.0)[name](pore[:24, :24, :24].copy())  # compiles
    measure = rows(edges, longest_nm)[name]
    wall, cpu = time.perf_counter(), time.process_time()
    for phase in (pore, ~pore):
        measure(phase)
    return time.process_time() - cpu, time.perf_counter() - wall


def _print(name: str, times: np.ndarray) -> None:
    print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in times) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
