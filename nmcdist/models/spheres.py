"""A Boolean model of balls: Poisson germs that carry balls, anywhere in space."""

from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, SphereParameters, resolved
from nmcdist.models import boolean, streams
from nmcdist.models.cba import check_window
from nmcdist.models.radii import draw_radii, largest_radius

PORE, BALL = 0, 1
TILE_RADII = 16.0  # edge of a tile of germs in mean radii
_GERM_BYTES, _TILE_BYTES = 250.0, 400.0  # measured, and rounded up


def generate_spheres(
    bundle: Bundle | str | Path,
    shape: tuple[int, int, int],
    voxel_size_nm: float,
    seed: int,
    index: int = 0,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Draw a window of a realisation of a Boolean model of balls.

    `seed` and `index` determine one infinite realisation: overlapping windows agree bit for bit, and another voxel
    size samples the same structure at other points.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A bundle of model "spheres-boolean", a built-in name, or the path of a bundle.
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size_nm : float
        Voxel edge in nm.
    seed : int
        Seed in [0, 2^64).
    index : int
        Number of the realisation in [0, 2^32).
    origin : tuple of int
        Absolute index (z, y, x) of the window's first voxel; may be negative.

    Returns
    -------
    ndarray of uint8, shape `shape`
        0 pore, 1 ball.

    Raises
    ------
    InputError
        If an argument has an impossible value.
    BundleError
        If the bundle cannot be loaded or is of another model.
    """
    shape, origin, voxel_size_nm = check_window(shape, origin, voxel_size_nm)
    parameters = resolved(bundle).parameters_as(SphereParameters)
    seed, index = streams.check_key(seed, index)
    low = (np.array(origin) + 0.5) * voxel_size_nm
    grains = balls(parameters, low, low + (np.array(shape) - 1) * voxel_size_nm, seed, index)
    labels = np.zeros(shape, dtype=np.uint8)
    boolean.paint_slabs(labels, grains, BALL, voxel_size_nm, origin)
    return labels


def balls(
    parameters: SphereParameters, low_nm: np.ndarray, high_nm: np.ndarray, seed: int, index: int
) -> boolean.Spheroids:  # fmt: skip
    """Draw the balls that may reach the box [low, high]."""

    def radii(marks: boolean.Marks, count: int) -> np.ndarray:
        return draw_radii(parameters, marks(0), count)[:, None]

    table = boolean.marked_germs(
        parameters.intensity_per_nm3, radii, 1, largest_radius(parameters), low_nm, high_nm,
        seed, streams.SPHERES, index, TILE_RADII * parameters.radius_mean_nm,
    )  # fmt: skip
    return boolean.Spheroids.balls(table[:, :3], table[:, 3]).near(low_nm, high_nm)


def draw_bytes(parameters: SphereParameters, shape: tuple[int, ...], voxel_size_nm: float) -> float:
    """Return the bytes needed to draw a window besides its voxels."""
    germs, tiles = boolean.germs_in_tiles(
        parameters.intensity_per_nm3, np.array(shape) * voxel_size_nm, largest_radius(parameters),
        TILE_RADII * parameters.radius_mean_nm,
    )  # fmt: skip
    return _GERM_BYTES * germs + _TILE_BYTES * tiles
