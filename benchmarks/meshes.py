"""Print what meshes of a wanted number of tetrahedra are like: ``python -m benchmarks.meshes [CASE ...]``.

Two particles and two volumes of the additive, each with all, half and a quarter of the tetrahedra that voxels of 100 nm
(particles) or their own (volumes) would have. Angles and volumes are computed here from the nodes. Volumes of grains
are compared with those of voxels of 25 nm, volumes of phases with those of their voxels. CPU time and memory are of the
mesh and of the search for its voxel size, of particles with rendering them, on one core.
"""

import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.measure import PeakMemory
from nmcdist import generate_cba, generate_particle, load_bundle
from nmcdist.datasets.export.content import Voxels
from nmcdist.datasets.export.sizing import Source, mesh_with, of_array, of_grains
from nmcdist.geometry.elements import VolumeMesh
from nmcdist.threads import set_thread_count

PARTICLES = {"particle of 425 grains, 4.4 um": 58, "particle of 3,524 grains, 8.6 um": 44}
VOLUMES = {"additive 128^3 at 20 nm": 20.0, "additive 128^3 at 40 nm": 40.0}
PARTS = (1.0, 0.5, 0.25)
PARTICLE_VOXEL_NM, REFERENCE_NM = 100.0, 25.0
ANGLE, MEDIAN, MOST, COUNT = 15.0, 0.01, 0.025, 0.3  # goals
CPU_S, GIB, CELLS = 10.0, 1.0, 1.4e6  # goals for as many tetrahedra, and for fewer
_HEADER = ("case", "asked", "made", "voxel nm", "smallest angle", "volume error median", "95 %", "largest", "lost",
           "inverted", "CPU s", "per 1.4 million", "peak GiB", "goals")  # fmt: skip


class Case(NamedTuple):
    """What to mesh: its source, the voxel size to start from, the volume of each label, and cells of equal voxels."""

    source: Source
    size_nm: float
    volumes: np.ndarray
    uniform: int


class Measured(NamedTuple):
    """A mesh in numbers."""

    angle: float
    errors: np.ndarray
    lost: int
    inverted: int


def main(names: list[str]) -> int:
    """Measure the named cases (default: all) and print a Markdown table; return 1 if a goal was missed."""
    set_thread_count(1)
    missed = False
    print("| " + " | ".join(_HEADER) + " |\n|" + " --- |" * len(_HEADER), flush=True)
    for title, make in _cases():
        if names and not any(name in title for name in names):
            continue
        case = make()
        mesh_with(case.source, case.size_nm, elements=case.uniform // 8, progress=str)  # compiles the kernels
        for part in PARTS:
            row, reached = _row(title, case, round(part * case.uniform))
            print("| " + " | ".join(row) + " |", flush=True)
            missed |= not reached
    return int(missed)


def _cases() -> Iterator[tuple[str, Callable[[], Case]]]:
    for title, index in PARTICLES.items():
        yield title, lambda index=index: _particle(index)
    for title, voxel_nm in VOLUMES.items():
        yield title, lambda voxel_nm=voxel_nm: _additive(voxel_nm)


def _particle(index: int) -> Case:
    particle = generate_particle(load_bundle("nmc811-radial"), seed=1, index=index)

    def render(size_nm: float, _: bool) -> Voxels:
        return Voxels(particle.voxelize(size_nm), (size_nm,) * 3, particle.grid(size_nm)[1])

    start = float(np.ptp(particle.box_nm, axis=0).max()) / 64
    volumes = np.bincount(particle.voxelize(REFERENCE_NM).reshape(-1)) * REFERENCE_NM**3
    uniform = 6 * int(np.count_nonzero(particle.voxelize(PARTICLE_VOXEL_NM)))
    return Case(of_grains(render, start), start, volumes, uniform)


def _additive(voxel_nm: float) -> Case:
    labels = generate_cba(load_bundle("cba-cathode-2025"), (128,) * 3, voxel_nm, seed=1)
    source = of_array(Voxels(labels, (voxel_nm,) * 3, (voxel_nm / 2,) * 3))
    volumes = np.bincount(labels.reshape(-1)) * voxel_nm**3
    return Case(source, voxel_nm, volumes, 6 * int(np.count_nonzero(labels)))


def _row(title: str, case: Case, asked: int) -> tuple[list[str], bool]:
    said: list[str] = []
    with PeakMemory() as memory:
        cpu = time.process_time()
        mesh = mesh_with(case.source, case.size_nm, elements=asked, progress=said.append)
        cpu = time.process_time() - cpu
    gib, made, found = (memory.peak - memory.start) / 2**30, len(mesh.cells), _measured(mesh, case.volumes)
    median, most, largest = (float(np.quantile(found.errors, share)) for share in (0.5, 0.95, 1.0))
    times = max(made / CELLS, 1.0)
    reached = (
        abs(made / asked - 1) <= COUNT and found.angle >= ANGLE and median <= MEDIAN and most <= MOST
        and not found.lost and not found.inverted and cpu <= CPU_S * times and gib <= GIB * times
    )  # fmt: skip
    row = [
        title, f"{asked:,}", f"{made:,}", said[0].split()[-2], f"{found.angle:.2f}", f"{median:.2%}", f"{most:.2%}",
        f"{largest:.1%}", str(found.lost), str(found.inverted), f"{cpu:.1f}", f"{cpu * CELLS / made:.1f}", f"{gib:.2f}",
        "reached" if reached else "missed",
    ]  # fmt: skip
    return row, reached


def _measured(mesh: VolumeMesh, volumes: np.ndarray) -> Measured:
    angle, inside = 180.0, np.zeros(len(volumes))
    inverted = 0
    for start in range(0, len(mesh.cells), 1 << 18):
        p = mesh.points[mesh.cells[start : start + (1 << 18)]]
        six = np.einsum("ij,ij->i", p[:, 1] - p[:, 0], np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 0]))
        inverted += int((six <= 0).sum())
        inside += np.bincount(mesh.grains[start : start + len(p)], weights=six / 6, minlength=len(volumes))
        angle = min(angle, _smallest_angle(p))
    there = np.flatnonzero(volumes[1:]) + 1
    errors = np.abs(inside[there] / volumes[there] - 1)
    return Measured(angle, errors, int((inside[there] == 0).sum()), inverted)


def _smallest_angle(p: np.ndarray) -> float:
    """Return the smallest angle between two faces of tetrahedra, from the normals of the faces."""
    faces = ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))
    normals = [np.cross(p[:, b] - p[:, a], p[:, c] - p[:, a]) for a, b, c in faces]
    units = [normal / np.linalg.norm(normal, axis=1)[:, None] for normal in normals]
    cosines = [-np.einsum("ij,ij->i", units[a], units[b]) for a in range(4) for b in range(a)]
    return float(np.degrees(np.arccos(np.clip(np.max(cosines), -1.0, 1.0))))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
