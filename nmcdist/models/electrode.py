"""An electrode: NMC particles packed in a periodic box, and the additive between them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, ElectrodeParameters, resolved
from nmcdist.errors import InputError
from nmcdist.geometry.elementary import cbrt
from nmcdist.geometry.sphere import star_bounds_of_many, star_volumes
from nmcdist.jit import Int, kernel
from nmcdist.models import streams
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PARTS, PORE, check_window, draw_parts
from nmcdist.models.cba import draw_bytes as additive_bytes
from nmcdist.models.packing import TRIALS, check_density, check_room, count_and_scale
from nmcdist.models.relaxation import TOLERANCE as BALL_TOLERANCE
from nmcdist.models.relaxation import relax
from nmcdist.models.shell import Shell, ShellModel
from nmcdist.models.star_packing import TOLERANCE, relax_stars, rotations, turned

NMC = 3
LABELS = {"pore": PORE, "carbon_binder": CARBON_BINDER, "graphite": GRAPHITE, "nmc": NMC}
MOST_PARTICLES = 100_000
_PARTICLE_BYTES = 40_000.0  # tables of radii, and coefficients


@dataclass(frozen=True)
class Particles:
    """Shells in a periodic box.

    Attributes
    ----------
    coefficients_nm : ndarray of float64, shape (n, (L + 1)^2)
        Turned and scaled shells.
    centre_nm : ndarray of float64, shape (n, 3)
        Star points in [0, edge), ordered z, y, x.
    scale : float
        Common factor of all shells, which gives them the volume wanted.
    depth : float
        Largest depth of a shell in another one, over the radius of a ball with the smaller one's volume.
    trial : int
        Number of packings drawn before this one.
    """

    coefficients_nm: np.ndarray
    centre_nm: np.ndarray
    scale: float
    depth: float
    trial: int


def generate_electrode(
    bundle: Bundle | str | Path, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, index: int = 0
) -> np.ndarray:  # fmt: skip
    """Draw an electrode: packed NMC particles in a periodic box, and the additive between them.

    The packing depends on the size of the box, and not on that of its voxels. The particles are periodic in all
    directions. The additive is a window of an endless realisation: it does not continue across the faces of the box.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A bundle of model "electrode-packed", a built-in name, or the path of a bundle.
    shape : tuple of int
        Voxels of the box along z, y, x.
    voxel_size_nm : float
        Voxel edge in nm.
    seed : int
        Seed in [0, 2^64).
    index : int
        Number of the realisation in [0, 2^32).

    Returns
    -------
    ndarray of uint8, shape `shape`
        0 pore, 1 carbon black and binder, 2 graphite, 3 NMC.

    Raises
    ------
    InputError
        If an argument has an impossible value, the box is too small, the particles are too dense, or no packing
        relaxes.
    BundleError
        If the bundle cannot be loaded or is of another model.
    """
    shape, origin, voxel_size_nm = check_window(shape, (0, 0, 0), voxel_size_nm)
    parameters = resolved(bundle).parameters_as(ElectrodeParameters)
    seed, index = streams.check_key(seed, index)
    particles = pack_particles(parameters, np.array(shape) * voxel_size_nm, seed, index)
    labels = draw_parts(parameters.additive(), shape, voxel_size_nm, seed, index, origin, PARTS)
    paint_particles(labels, particles, voxel_size_nm)
    return labels


def draw_bytes(parameters: ElectrodeParameters, shape: tuple[int, ...], voxel_size_nm: float, threads: int) -> float:
    """Return the bytes needed to draw a box besides its voxels: the additive, one particle's window, and tables.

    A particle's window is at most the box. The number of particles is that of particles of median size.
    """
    volume = float(np.prod(np.array(shape) * voxel_size_nm))
    median = (parameters.shell_location_nm + parameters.shell_scale_nm) / math.sqrt(4 * math.pi)
    count = parameters.nmc_fraction * volume / (4 / 3 * math.pi * max(median, voxel_size_nm) ** 3)
    additive = additive_bytes(parameters.additive(), shape, voxel_size_nm, threads)
    return additive + float(np.prod(shape)) + _PARTICLE_BYTES * count


def pack_particles(parameters: ElectrodeParameters, edges_nm: np.ndarray, seed: int, index: int) -> Particles:
    """Draw packed particles in a periodic box.

    Shells are drawn until they have the volume `nmc_fraction` of the box, and then scaled by a common factor so that
    they have it exactly. They are turned at random, packed as balls of their volumes, and then as shells.

    Parameters
    ----------
    parameters : ElectrodeParameters
    edges_nm : ndarray of float64, shape (3,)
    seed, index : int

    Raises
    ------
    InputError
        If the fraction is above 0.60, the box is too small or too large, or no packing relaxes.
    """
    seed, index = streams.check_key(seed, index)
    check_density("electrode-packed", "nmc_fraction", parameters.nmc_fraction)
    volume = parameters.nmc_fraction * float(edges_nm[0] * edges_nm[1] * edges_nm[2])
    for trial in range(TRIALS):
        rows, radii, scale = _shells(parameters, volume, seed, index, trial)
        check_room("electrode-packed", edges_nm, 2 * float(star_bounds_of_many(rows)[:, 1].max()))
        rows = turned(rows, rotations(streams.draws(seed, streams.ELECTRODE_TURNS, index, trial).normal(len(rows), 4)))
        centres = streams.draws(seed, streams.ELECTRODE, index, trial).uniform(len(rows), 3) * edges_nm
        depth = math.inf
        if relax(centres, radii, edges_nm) <= BALL_TOLERANCE:
            depth = relax_stars(rows, radii, centres, edges_nm)
        if depth <= TOLERANCE:
            return Particles(rows, centres, scale, depth, trial)
    raise InputError(
        f"electrode-packed: found shells deeper in each other in each of {TRIALS} trials, expected at most "
        f"{TOLERANCE:g} radii: take a smaller nmc_fraction"
    )


def paint_particles(labels: np.ndarray, particles: Particles, voxel_size_nm: float) -> int:
    """Set a periodic box to NMC at every voxel centre that lies in a shell.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
        The box, without NMC; changed in place.
    particles : Particles
    voxel_size_nm : float

    Returns
    -------
    int
        Voxel centres that lie in more than one shell, counted once for each shell after the first.
    """
    again = 0
    for row, centre in zip(particles.coefficients_nm, particles.centre_nm, strict=True):
        shell = Shell(row)
        low = np.ceil((centre - shell.largest_radius_nm) / voxel_size_nm - 0.5).astype(np.int64)
        high = np.floor((centre + shell.largest_radius_nm) / voxel_size_nm - 0.5).astype(np.int64)
        nz, ny, nx = (high - low + 1).tolist()
        z, y, x = ((low + 0.5) * voxel_size_nm - centre).tolist()
        inside = shell.contains_grid((nz, ny, nx), voxel_size_nm, (z, y, x))
        again += _stamp(labels, inside, low, np.uint8(NMC))
    return int(again)


def _shells(
    parameters: ElectrodeParameters, volume: float, seed: int, index: int, trial: int
) -> tuple[np.ndarray, np.ndarray, float]:  # fmt: skip
    """Return scaled shells with a volume, the radii of balls of their volumes, and the scale."""
    model = ShellModel.of(parameters)
    shells_seed = int(streams.draws(seed, streams.ELECTRODE_SHELLS, index, trial).uniform(1)[0] * 2.0**53)
    rows, radii, count = np.empty((0, (model.order + 1) ** 2)), np.empty(0), 0
    while count == len(rows):
        if count > MOST_PARTICLES:
            raise InputError(
                f"electrode-packed: found a box for more than {MOST_PARTICLES} particles, expected a smaller box"
            )
        more = model.draw_many(shells_seed, range(count, count + max(64, count)))[0]
        rows = np.concatenate([rows, more])
        radii = np.concatenate([radii, _equivalent_radii(star_volumes(more))])
        count, scale = count_and_scale(radii, volume)
    return rows[:count] * scale, radii[:count] * scale, scale


@kernel
def _equivalent_radii(volumes: np.ndarray) -> np.ndarray:
    radii = np.empty(len(volumes))
    for i in range(len(volumes)):
        radii[i] = cbrt(volumes[i] / (4.0 / 3.0 * math.pi))
    return radii


@kernel
def _stamp(labels: np.ndarray, inside: np.ndarray, low: np.ndarray, label: Int) -> Int:
    """Write a label where a window, which may reach beyond the periodic box, is inside; count where it was."""
    nz, ny, nx = labels.shape
    again = 0
    for i in range(inside.shape[0]):
        z = (low[0] + i) % nz
        for j in range(inside.shape[1]):
            y = (low[1] + j) % ny
            for k in range(inside.shape[2]):
                if inside[i, j, k]:
                    x = (low[2] + k) % nx
                    again += labels[z, y, x] == label
                    labels[z, y, x] = label
    return again
