"""Trials of a bundle: a few realisations, and what is measured on them."""

import math
from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import Bundle, ElectrodeParameters, ShellParameters
from nmcdist.descriptors.grain_moments import find_runs, grain_moments
from nmcdist.descriptors.grains import ball_diameters, shape_columns
from nmcdist.errors import InputError
from nmcdist.geometry.sphere import star_volumes
from nmcdist.models.additive_wishes import additive_of
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PARTS, draw_parts
from nmcdist.models.particle import Particle, ParticleModel
from nmcdist.models.particle_sizes import median_diameter_nm
from nmcdist.models.shell import ShellModel

_SEED = 2026  # not that of the search for wishes
_SHELLS = 400
_PARTICLES = 50  # of a box whose edge is told
_GRAINS = 1500  # particles are drawn until so many grains are expected
_CANDIDATES = 64  # shells of which those nearest to the median are filled with grains
_PER_SPACING = 4  # voxels per spacing of the seeds: elongations are 0.01 below those of fine voxels at most
_WINDOWS, _VOXELS = 8, 48


@dataclass(frozen=True)
class GrainTrial:
    """The measurements of the grains of a few particles on coarse voxels.

    Attributes
    ----------
    particles, grains : int
        Numbers of them.
    voxel_size_nm : float
    elongation : float
        Mean of 1 - second / longest axis, as :func:`nmcdist.descriptors.grains.describe_grains` measures it.
    mean_diameter_nm : float
        Mean of the diameters of balls of the grains' volumes.
    diameter_of_mean_nm : float
        Diameter of the ball of the grains' mean volume.
    """

    particles: int
    grains: int
    voxel_size_nm: float
    elongation: float
    mean_diameter_nm: float
    diameter_of_mean_nm: float


def measure_grains(bundle: Bundle, seed: int = _SEED) -> GrainTrial:
    """Measure all grains of a few particles of about median size, until about 1500 grains are expected.

    The elongation depends on the size of a particle, as the core has no radial direction. Which particles are drawn
    depends on their shells alone, so that it is the same for other forms of the grains.

    Raises
    ------
    BundleError
        If the bundle has no marker law.
    InputError
        If no particle has a grain.
    """
    model = ParticleModel.from_bundle(bundle)
    voxel = model.grains.spacing_nm / _PER_SPACING
    sizes = model.shells.draw_many(seed, range(_CANDIDATES))[0][:, 0]
    expected, volumes, elongations = 0.0, list[np.ndarray](), list[np.ndarray]()
    middle = math.sqrt(math.pi) * median_diameter_nm(bundle.particle())
    for index in np.argsort(np.abs(sizes - middle), kind="stable").tolist():
        if expected >= _GRAINS:
            break
        particle = model.draw(seed, index)
        radius = (3 * particle.shell.volume_nm3 / (4 * math.pi)) ** (1 / 3)
        expected += float(model.grains.seeds_within(np.array([radius]))[0])
        volume, elongation = _grains_of(particle, voxel)
        volumes.append(volume)
        elongations.append(elongation)
    volume = np.concatenate(volumes)
    if not len(volume):
        raise InputError(f"bundle {bundle.name!r}: found no grain in {len(volumes)} particles, expected smaller grains")
    return GrainTrial(
        len(volumes), len(volume), voxel, float(np.concatenate(elongations).mean()),
        float(ball_diameters(volume).mean()), float(ball_diameters(volume.mean(keepdims=True))[0]),
    )  # fmt: skip


def _grains_of(particle: Particle, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """Return volumes and elongations of the grains of a particle."""
    if not particle.kept.any():
        return np.empty(0), np.empty(0)
    count, mean, covariance = grain_moments(find_runs(particle.voxelize(voxel, pieces="keep")))
    return count * voxel**3, shape_columns(voxel * mean, voxel * voxel * covariance)["elongation"]


def particle_facts(bundle: Bundle, *, grains: bool) -> str:
    """Return, in words, measurements of fresh shells, and of the grains of fresh particles."""
    said = _shell_facts(_fresh_shells(bundle))
    if not grains:
        return said
    trial = measure_grains(bundle)
    count = f"{trial.particles} fresh particle{'s' if trial.particles > 1 else ''} of about median size"
    return (
        f"{said}; {trial.grains} grains of {count}, on voxels of {trial.voxel_size_nm:.3g} nm, have the mean volume of "
        f"a ball of {trial.diameter_of_mean_nm:.4g} nm, a mean diameter of {trial.mean_diameter_nm:.4g} nm and a mean "
        f"elongation of {trial.elongation:.3f}"
    )


def electrode_facts(bundle: Bundle) -> str:
    """Return, in words, measurements of fresh shells, the box that 50 of them need, and shares of fresh additive."""
    rows = _fresh_shells(bundle)
    share = bundle.parameters_as(ElectrodeParameters).nmc_fraction
    edge = (_PARTICLES * float(star_volumes(rows).mean()) / share) ** (1 / 3) / 1000
    return (
        f"{_shell_facts(rows)}; {_PARTICLES} of them fill a box of about {edge:.3g} um; of the additive, "
        f"{additive_facts(bundle)}"
    )


def _fresh_shells(bundle: Bundle) -> np.ndarray:
    """Return the coefficients of fresh shells, shape (400, (L + 1)^2)."""
    return ShellModel.of(bundle.parameters_as(ShellParameters)).draw_many(_SEED, range(_SHELLS))[0]


def _shell_facts(rows: np.ndarray) -> str:
    diameters = np.sort(rows[:, 0] / math.sqrt(math.pi) / 1000)
    spread = round(math.sqrt(_SHELLS) / 2)  # ranks in a standard error of the median
    middle = _SHELLS // 2
    error = (diameters[middle + spread] - diameters[middle - spread]) / 2
    return f"{_SHELLS} fresh shells have a median mean diameter of {np.median(diameters):.4g} um ± {error:.2g} um"


def additive_facts(bundle: Bundle) -> str:
    """Return, in words, the volume fractions of fresh windows of the additive."""
    p = additive_of(bundle)
    voxel = 1 / p.eta_per_nm  # fractions need no fine voxels
    labels = [draw_parts(p, (_VOXELS,) * 3, voxel, _SEED, index, (0, 0, 0), PARTS) for index in range(_WINDOWS)]
    shares = {
        "graphite": [np.mean(volume == GRAPHITE) for volume in labels],
        "solid": [np.mean((volume == GRAPHITE) | (volume == CARBON_BINDER)) for volume in labels],
    }
    said = " and ".join(
        f"{name} {np.mean(values):.4f} ± {np.std(values, ddof=1) / math.sqrt(_WINDOWS):.2g}"
        for name, values in shares.items()
    )
    return f"{_WINDOWS} fresh windows of {_VOXELS}^3 voxels of {voxel:.3g} nm have volume fractions of {said}"
