"""Balls packed in a periodic box: placed at random, then moved apart until none overlap more than allowed.

Soft balls are a hard packing of their cores, which are the balls with radii reduced by the allowed overlap.
"""

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, PackingParameters, resolved
from nmcdist.errors import InputError
from nmcdist.geometry.elementary import cbrt
from nmcdist.jit import Int, kernel
from nmcdist.models import boolean, streams
from nmcdist.models.cba import check_window
from nmcdist.models.draws import Stream
from nmcdist.models.radii import draw_radii, radius_moments
from nmcdist.models.relaxation import SWEEPS, TOLERANCE, relax

PORE, BALL = 0, 1
DENSEST = 0.60  # volume of cores over the volume of the box; random packings of equal balls jam at 0.64
TRIALS = 5  # packings that are drawn, each from a stream of its own, before an error
MOST_BALLS = 10_000_000
_BALL_BYTES = 1200.0


@dataclass(frozen=True)
class Packing:
    """Balls in a periodic box.

    Attributes
    ----------
    centre_nm : ndarray of float64, shape (n, 3)
        Centres in [0, edge), ordered z, y, x.
    radius_nm : ndarray of float64, shape (n,)
    overlap : float
        Largest overlap of two cores, over the smaller of their radii.
    trial : int
        Number of packings drawn before this one.
    """

    centre_nm: np.ndarray
    radius_nm: np.ndarray
    overlap: float
    trial: int


def generate_packing(
    bundle: Bundle | str | Path, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, index: int = 0
) -> np.ndarray:  # fmt: skip
    """Draw packed balls in a periodic box.

    The packing depends on the size of the box, and not on that of its voxels.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A bundle of model "spheres-packed", a built-in name, or the path of a bundle.
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
        0 pore, 1 ball; periodic in all directions.

    Raises
    ------
    InputError
        If an argument has an impossible value, the box is too small, the balls are too dense, or no packing relaxes.
    BundleError
        If the bundle cannot be loaded or is of another model.
    """
    shape, _, voxel_size_nm = check_window(shape, (0, 0, 0), voxel_size_nm)
    parameters = resolved(bundle).parameters_as(PackingParameters)
    edges = np.array(shape) * voxel_size_nm
    packing = pack_balls(parameters, edges, seed, index)
    labels = np.zeros(shape, dtype=np.uint8)
    grains = periodic_images(packing, edges)
    boolean.paint_slabs(labels, grains, BALL, voxel_size_nm, (0, 0, 0))
    return labels


def pack_balls(parameters: PackingParameters, edges_nm: np.ndarray, seed: int, index: int) -> Packing:
    """Draw packed balls in a periodic box.

    Radii are drawn until their balls have the volume `ball_fraction` of the box, and then scaled by a common factor so
    that they have it exactly.

    Parameters
    ----------
    parameters : PackingParameters
    edges_nm : ndarray of float64, shape (3,)
    seed, index : int

    Raises
    ------
    InputError
        If the cores have a volume fraction above 0.60, the box is too small or too large, or no packing relaxes.
    """
    seed, index = streams.check_key(seed, index)
    share = 1.0 - parameters.overlap
    check_density("spheres-packed", "ball_fraction", parameters.ball_fraction * share * share * share)
    volume, expected = float(edges_nm[0] * edges_nm[1] * edges_nm[2]), _expected_balls(parameters, edges_nm)
    if expected > MOST_BALLS:
        raise InputError(
            f"spheres-packed: found a box for {expected:.3g} balls, expected at most {MOST_BALLS}: take a smaller box"
        )
    for trial in range(TRIALS):
        draws = streams.draws(seed, streams.PACKING, index, trial)
        radii = _radii(parameters, draws, parameters.ball_fraction * volume)
        check_room("spheres-packed", edges_nm, 2 * float(radii.max()))
        centres = draws.uniform(len(radii), 3) * edges_nm
        overlap = relax(centres, share * radii, edges_nm)
        if overlap <= TOLERANCE:
            return Packing(centres, radii, overlap, trial)
    raise InputError(
        f"spheres-packed: found larger overlaps after {SWEEPS} sweeps in each of {TRIALS} trials, expected at most "
        f"{TOLERANCE:g} radii: take a smaller ball_fraction or a larger overlap"
    )


def draw_bytes(parameters: PackingParameters, shape: tuple[int, ...], voxel_size_nm: float) -> float:
    """Return the bytes needed to draw a box besides its voxels: balls, pairs and periodic copies."""
    return _BALL_BYTES * _expected_balls(parameters, np.array(shape) * voxel_size_nm)


def check_density(model: str, name: str, fraction: float) -> None:
    """Raise InputError if bodies are too dense to be packed at random."""
    if fraction > DENSEST:
        raise InputError(
            f"{model}: found hard bodies with a volume fraction of {fraction:.4g} by {name}, expected at most {DENSEST}"
        )


def check_room(model: str, edges_nm: np.ndarray, least_nm: float) -> None:
    """Raise InputError if a periodic box is so small that a body meets itself."""
    if edges_nm.min() < least_nm:
        raise InputError(
            f"{model}: found a box with an edge of {edges_nm.min():g} nm, expected at least {least_nm:.5g} nm, "
            "the extent of the largest body"
        )


def periodic_images(packing: Packing, edges_nm: np.ndarray) -> boolean.Spheroids:
    """Return the balls and those of their periodic copies that may reach the box."""
    radii = packing.radius_nm
    shifts = [np.array(shift) * edges_nm for shift in product((-1, 0, 1), repeat=3)]
    copies = [boolean.Spheroids.balls(packing.centre_nm + s, radii).near(np.zeros(3), edges_nm) for s in shifts]
    centres, sizes = (np.concatenate([getattr(c, part) for c in copies]) for part in ("centre_nm", "short_nm"))
    return boolean.Spheroids.balls(centres, sizes)


def _expected_balls(parameters: PackingParameters, edges_nm: np.ndarray) -> float:
    volume = float(edges_nm[0] * edges_nm[1] * edges_nm[2])
    return parameters.ball_fraction * volume / (4 / 3 * math.pi * radius_moments(parameters)[2])


def _radii(parameters: PackingParameters, draws: Stream, volume: float) -> np.ndarray:
    """Draw radii until their balls have a volume, and scale them so that they have it exactly."""
    radii, count = np.empty(0), 0
    while count == len(radii):
        radii = np.concatenate([radii, draw_radii(parameters, draws, max(64, len(radii)))])
        count, scale = count_and_scale(radii, volume)
    return radii[:count] * scale


def count_and_scale(radii: np.ndarray, volume: float) -> tuple[int, float]:
    """Return how many of the first balls have a volume, nearly, and the factor of their radii that makes it exact.

    All are returned if they have less than the volume.
    """
    wanted = volume / (4 / 3 * math.pi)
    count, have = _sum_of_cubes(radii, wanted)
    return int(count), float(cbrt(wanted / have))


@kernel
def _sum_of_cubes(radii: np.ndarray, wanted: float) -> tuple[Int, float]:
    """Return how many radii give the sum of cubes nearest to the wanted one, and the sum; all if it stays below."""
    total = 0.0
    for i in range(len(radii)):
        cube = radii[i] * radii[i] * radii[i]
        if total + cube >= wanted:
            if i > 0 and wanted - total < total + cube - wanted:
                return i, total
            return i + 1, total + cube
        total += cube
    return len(radii), total
