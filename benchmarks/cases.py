"""What is compared: for each case the same input for both sides, and how each side computes its answer.

A side is a pair (prepare, run): `prepare` is not timed (imports, compiling our kernels on a small input, handing
over the volume in the form a peer takes); `run` is.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases_fit import ITERATIONS, ours_fit, pyapd_fit, section_image
from benchmarks.cases_flow import PERIOD, PERIODS, POROMICS, ours_permeability, poromics_permeability, spheres
from benchmarks.cases_shell import EDGE, ours_separation, snow_separation, touching_shells
from benchmarks.cases_tessellation import PYAPD, ours_grains, pyapd_grains

VOXEL_NM = 20.0
MAX_LAG = 75
FLUX_SPREAD = 1e-3
ETA_PER_NM = 0.0127
QUANTIMPY = str(Path(__file__).parents[1] / ".venv-quantimpy" / "bin" / "python")


@dataclass(frozen=True)
class Input:
    """What both sides of a case are given.

    Attributes
    ----------
    size : str
        As the table says it.
    make : callable
        Function without arguments that returns the array.
    """

    size: str
    make: Callable[[], np.ndarray]


def _composite(edge: int) -> Input:
    def make() -> np.ndarray:
        from nmcdist import generate_cba, load_bundle

        return generate_cba(load_bundle("cba-cathode-2025"), (edge,) * 3, VOXEL_NM, seed=1)

    return Input(f"{edge}^3", make)


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes
    ----------
    title : str
    ours, peer : callable
        Input -> a function without arguments that is timed and returns an array.
    peer_name : str
    meaning : str
        What the two answers, or their largest difference, are.
    goal : float
        How many times less CPU time ours shall take.
    given : Input
    peer_python : str
        Interpreter of the peer's environment.
    threads : int
        That each side may use.
    scored : bool
        Whether answers say how good a side is, and both are told, not their difference.
    """

    title: str
    ours: Callable[[np.ndarray], Callable[[], Any]]
    peer: Callable[[np.ndarray], Callable[[], Any]]
    peer_name: str
    meaning: str
    goal: float | None
    given: Input
    peer_python: str = sys.executable
    threads: int = 2
    scored: bool = False


def _ours_conduction(conductivities: dict[int, float]) -> Callable[[np.ndarray], Callable[[], Any]]:
    def prepare(volume: np.ndarray) -> Callable[[], Any]:
        from nmcdist.descriptors import solve_conduction

        solve_conduction(volume[:32, :32, :32].copy(), conductivities, 0)

        def run() -> np.ndarray:
            solved = solve_conduction(volume, conductivities, 0, flux_spread=FLUX_SPREAD)
            return np.array([solved.effective_conductivity])

        return run

    return prepare


def _taufactor_pore(volume: np.ndarray) -> Callable[[], Any]:
    import taufactor

    pore = (volume == 0).astype(np.uint8)

    def run() -> np.ndarray:
        solver = taufactor.Solver(pore, device="cpu")
        solver.solve(verbose=False, conv_crit=FLUX_SPREAD)
        return np.asarray(solver.D_eff)

    return run


def _taufactor_solid(volume: np.ndarray) -> Callable[[], Any]:
    import taufactor

    def run() -> np.ndarray:
        solver = taufactor.MultiPhaseSolver(volume, {1: 0.01, 2: 1.0}, device="cpu")
        solver.solve(verbose=False, conv_crit=FLUX_SPREAD, iter_limit=6000)
        return np.asarray(solver.D_eff)

    return run


def _ours_coverage(volume: np.ndarray) -> Callable[[], Any]:
    from nmcdist.descriptors import two_point_coverage

    pore = volume == 0
    two_point_coverage(pore[:32, :32, :32].copy(), VOXEL_NM, 5 * VOXEL_NM)
    return lambda: two_point_coverage(pore, VOXEL_NM, MAX_LAG * VOXEL_NM).coverage


def _porespy_coverage(volume: np.ndarray) -> Callable[[], Any]:
    import porespy

    pore = volume == 0

    def run() -> np.ndarray:
        # Bins of one voxel up to the lag; their centres are the whole lags.
        found = porespy.metrics.two_point_correlation(pore, bins=np.arange(-0.5, MAX_LAG + 1))
        return np.asarray(found.probability)[: MAX_LAG + 1] * pore.mean()  # porespy scales by the porosity

    return run


def _ours_sizes(volume: np.ndarray) -> Callable[[], Any]:
    from nmcdist.descriptors import pore_size_distribution

    pore = volume == 0
    pore_size_distribution(pore[:32, :32, :32].copy(), 1.0)
    return lambda: pore_size_distribution(pore, 1.0, radii_nm=np.arange(1.0, 41.0)).fraction


def _porespy_sizes(volume: np.ndarray) -> Callable[[], Any]:
    import porespy

    pore = volume == 0

    def run() -> np.ndarray:
        thickness = porespy.filters.local_thickness(pore, sizes=range(1, 41))
        return np.array([(thickness[pore] >= r).mean() for r in range(1, 41)])

    return run


def _ours_field(volume: np.ndarray) -> Callable[[], Any]:
    from nmcdist.models.fields import gaussian_field

    gaussian_field(ETA_PER_NM, (16, 16, 16), VOXEL_NM, seed=1)

    def run() -> np.ndarray:
        return _moments(gaussian_field(ETA_PER_NM, volume.shape, VOXEL_NM, seed=1))

    return run


def _gstools_field(volume: np.ndarray) -> Callable[[], Any]:
    import gstools

    class Cauchy(gstools.CovModel):
        def cor(self, h):
            return 1 / (1 + h**2)

        def spectral_density(self, k):
            # Given in closed form: the numerical transform of GSTools misses the singularity at 0.
            scaled = np.maximum(np.asarray(k, dtype=float), 1e-9) * self.len_rescaled
            return self.len_rescaled**3 * np.exp(-scaled) / (4 * np.pi * scaled)

    def run() -> np.ndarray:
        model = Cauchy(dim=3, var=1, len_scale=1 / ETA_PER_NM)
        field = gstools.SRF(model, seed=1, mode_no=1000)
        axes = [np.arange(n) * VOXEL_NM for n in volume.shape]
        return _moments(field.structured(axes))

    return run


def _moments(field: np.ndarray) -> np.ndarray:
    """Covariance at lags 0 to 5 voxels, a check that both sides draw the same law."""
    return np.array([(field[lag:] * field[: len(field) - lag]).mean() for lag in range(6)])


def _ours_paths(volume: np.ndarray) -> Callable[[], Any]:
    from nmcdist.descriptors import geodesic_tortuosity

    pore = volume == 0
    geodesic_tortuosity(pore[:32, :32, :32].copy(), axis=0)
    return lambda: np.array([geodesic_tortuosity(pore, axis=0)])


def _dijkstra_paths(volume: np.ndarray) -> Callable[[], Any]:
    import dijkstra3d

    pore = np.asfortranarray(volume == 0)
    sources = [(volume.shape[0] - 1, int(y), int(x)) for y, x in np.argwhere(pore[-1])]

    def run() -> np.ndarray:
        distance = dijkstra3d.euclidean_distance_field(pore, sources)
        first = distance[0][(volume[0] == 0) & np.isfinite(distance[0])]
        return np.array([first.mean() / (volume.shape[0] - 1)])

    return run


def _ours_intrinsic(volume: np.ndarray) -> Callable[[], Any]:
    from nmcdist.descriptors import intrinsic_volumes

    solid = volume > 0
    intrinsic_volumes(solid[:32, :32, :32].copy(), 1.0)
    return lambda: np.array(intrinsic_volumes(solid, 1.0)[1:2])


def _quantimpy_intrinsic(volume: np.ndarray) -> Callable[[], Any]:
    from quantimpy import minkowski

    solid = volume > 0

    def run() -> np.ndarray:
        # Functionals in quantimpy's normalisation: the second is an eighth of the surface.
        return np.array([minkowski.functionals(solid)[1] * 8 / solid.size])

    return run


CUBE_200, CUBE_128 = _composite(200), _composite(128)
SHELLS = Input(f"{EDGE}^3, 350 particles that touch", touching_shells)
SPHERES = Input(f"{PERIODS} x {PERIOD}^3", spheres)
SECTION = Input("section of some 270 grains", section_image)

CASES = {
    "conduction-pore": Case(
        "M-factor, pore phase", _ours_conduction({0: 1.0}), _taufactor_pore, "taufactor", "effective conductivity",
        5, CUBE_200,
    ),
    "conduction-solid": Case(
        "M-factor, two-phase solid 1 : 0.01", _ours_conduction({2: 1.0, 1: 0.01}), _taufactor_solid, "taufactor",
        "effective conductivity", 10, CUBE_200,
    ),
    "permeability": Case(
        "permeability of simple cubic spheres, one thread", ours_permeability, poromics_permeability, "poromics",
        "share of the published value", 10, SPHERES, POROMICS, threads=1, scored=True,
    ),
    "two-point": Case(
        "two-point coverage, 75 lags", _ours_coverage, _porespy_coverage, "porespy", "probability", 20, CUBE_200
    ),
    "pore-size": Case(
        "pore size distribution, integer radii", _ours_sizes, _porespy_sizes, "porespy local_thickness", "share", 3,
        CUBE_200,
    ),
    "field": Case(
        "Gaussian field, Cauchy covariance", _ours_field, _gstools_field, "GSTools, 1000 modes",
        "empirical covariance (independent draws)", 50, CUBE_128,
    ),
    "paths": Case(
        "geodesic distance, pore", _ours_paths, _dijkstra_paths, "dijkstra3d", "mean tortuosity", None, CUBE_200
    ),
    "intrinsic": Case(
        "intrinsic volumes", _ours_intrinsic, _quantimpy_intrinsic, "quantimpy", "surface per voxel", None, CUBE_200,
        QUANTIMPY,
    ),
    "grains": Case(
        "GBPD of 4,000 grains", ours_grains, pyapd_grains, "PyAPD", "voxels of a grain", 100, CUBE_128, PYAPD
    ),
    "fit": Case(
        "2D tessellation fitted, a tenth missing, one thread", ours_fit, pyapd_fit, f"PyAPD, {ITERATIONS} iterations",
        "matched share", None, SECTION, PYAPD, threads=1, scored=True,
    ),
    "separation": Case(
        "separation of touching particles", ours_separation, snow_separation, "porespy SNOW",
        "share of particles found, IoU > 0.8", None, SHELLS, threads=1, scored=True,
    ),
}  # fmt: skip
