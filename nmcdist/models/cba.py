"""The binder-conductive additive: graphite, carbon black with binder, and large pores, combined by Eq. (4)."""

from collections.abc import Collection
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.arguments import check_length, check_one_of
from nmcdist.bundle import Bundle, CbaParameters, resolved
from nmcdist.errors import InputError
from nmcdist.models import boolean, fields, streams
from nmcdist.threads import thread_map
from nmcdist.wording import shown

Place = tuple[int, int, int]

PORE, CARBON_BINDER, GRAPHITE = 0, 1, 2
PARTS = ("graphite", "large_pores", "field")
_BLOCK_NM = 4000.0  # edge of a block of work: much longer than the taps of the noise, small in memory
_GERM_BYTES = 220.0  # per germ: in the tables of tiles, in the joined table, and as a grain
_TILE_BYTES = 400.0  # per empty table
_FIELD_BYTES = 150.0 * 2**20  # per block of work: measured at 256^3 voxels, and rounded up
_BALL = 1  # working label of the large pores while a block is made


def generate_cba(
    bundle: Bundle | str | Path,
    shape: tuple[int, int, int],
    voxel_size_nm: float,
    seed: int,
    index: int = 0,
    origin: tuple[int, int, int] = (0, 0, 0),
    *,
    gamma_law: str = "physical",
) -> np.ndarray:
    """Draw a window of a realisation of the additive phase, Eq. (4) of the CBA paper.

    `seed` and `index` determine one infinite realisation: overlapping windows agree bit for bit, and another voxel
    size samples the same structure at other points.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A trained bundle of model "cba", a built-in name, or the path of a bundle.
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
    gamma_law : {"physical", "voxel-rescaled"}
        "physical" uses the same law of the half-axes at every voxel size. "voxel-rescaled" changes its spread with
        the voxel size like the paper (shapes divided by the voxel size, same rate per voxel); for comparison only.

    Returns
    -------
    ndarray of uint8, shape `shape`
        0 pore, 1 carbon black and binder, 2 graphite.

    Raises
    ------
    InputError
        If an argument has an impossible value.
    BundleError
        If the bundle cannot be loaded or is of another model.
    """
    shape, origin, voxel_size_nm = check_window(shape, origin, voxel_size_nm)
    parameters = _parameters(resolved(bundle), voxel_size_nm, gamma_law)
    return draw_parts(parameters, shape, voxel_size_nm, *streams.check_key(seed, index), origin, PARTS)


def draw_parts(
    parameters: CbaParameters, shape: Place, voxel_size_nm: float, seed: int, index: int, origin: Place,
    parts: Collection[str],
) -> np.ndarray:  # fmt: skip
    """Draw a window of a realisation from some of its parts; each part is the same with and without the others.

    Parameters
    ----------
    parameters : CbaParameters
    shape, voxel_size_nm, seed, index, origin
        See :func:`generate_cba`.
    parts : collection of {"graphite", "large_pores", "field"}
        Without "field" there is no carbon black and binder.

    Returns
    -------
    ndarray of uint8, shape `shape`
    """
    low = (np.array(origin) + 0.5) * voxel_size_nm
    high = low + (np.array(shape) - 1) * voxel_size_nm
    graphite = boolean.oblate_spheroids(parameters, low, high, seed, index)
    large_pores = boolean.balls(parameters, low, high, seed, index)
    volume = np.empty(shape, dtype=np.uint8)

    def draw(block: tuple[slice, slice, slice]) -> None:
        z, y, x = block
        start = (origin[0] + z.start, origin[1] + y.start, origin[2] + x.start)
        size = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
        volume[block] = _draw_block(
            parameters, graphite, large_pores, size, voxel_size_nm, seed, index, start, parts
        )  # fmt: skip

    thread_map(draw, _blocks(shape, voxel_size_nm))
    return volume


def draw_bytes(parameters: CbaParameters, shape: tuple[int, ...], voxel_size_nm: float, threads: int) -> float:
    """Return the bytes needed to draw a window besides its voxels: germs, and noise and fields per thread.

    Parameters
    ----------
    parameters : CbaParameters
    shape : tuple of int
        Voxels of the window.
    voxel_size_nm : float
    threads : int
    """
    germs, tiles = boolean.expected_germs(parameters, np.array(shape) * voxel_size_nm)
    side = _block_side(voxel_size_nm)
    block = [min(n, side) for n in shape]
    scales = fields.mixture(parameters.eta_per_nm)
    sites = [fields.noise_sites(scales, n * voxel_size_nm) for n in block]
    noise = 4.0 * sites[0] * sites[1] * (sites[2] + block[2])
    return _GERM_BYTES * germs + _TILE_BYTES * tiles + threads * (noise + _FIELD_BYTES)


def check_window(shape: Any, origin: Any, voxel_size_nm: Any) -> tuple[Place, Place, float]:
    """Return shape, origin and voxel size as plain numbers, or raise InputError."""
    shape = _three_integers("shape", shape)
    if min(shape) < 1:
        raise InputError(f"shape: found {shape}, expected three positive integers")
    origin = _three_integers("origin", origin)
    if max(abs(v) for v in origin) + max(shape) > 2**30:
        raise InputError(f"origin: found {origin}, expected the window to stay within 2^30 voxels of zero")
    return shape, origin, check_length("voxel_size_nm", voxel_size_nm)


def voxel_rescaled(
    parameters: CbaParameters, voxel_size_nm: float, calibration_voxel_nm: float = 20.0
) -> CbaParameters:
    """Return the half-axis law rescaled like the paper: shapes divided by the voxel size, same rate per voxel.

    The mean half-axes are unchanged; their relative spread grows with the square root of the voxel size.
    """
    ratio = calibration_voxel_nm / voxel_size_nm
    return parameters.model_copy(
        update={
            "alpha_1": parameters.alpha_1 * ratio,
            "alpha_2": parameters.alpha_2 * ratio,
            "gamma_per_nm": parameters.gamma_per_nm * ratio,
        }
    )


def _draw_block(
    parameters: CbaParameters, graphite: boolean.Spheroids, large_pores: boolean.Spheroids, shape: Place,
    voxel_size_nm: float, seed: int, index: int, origin: Place, parts: Collection[str],
) -> np.ndarray:  # fmt: skip
    low = (np.array(origin) + 0.5) * voxel_size_nm
    high = low + (np.array(shape) - 1) * voxel_size_nm
    labels: np.ndarray = np.zeros(shape, dtype=np.uint8)
    if "field" in parts:
        field = fields.gaussian_field(parameters.eta_per_nm, shape, voxel_size_nm, seed, index, origin)
        covered = np.zeros(shape, dtype=np.uint8)
        if "large_pores" in parts:
            boolean.paint(covered, large_pores.near(low, high), _BALL, voxel_size_nm, origin)
        labels = ((field >= np.float32(parameters.mu)) & (covered != _BALL)).astype(np.uint8)
    if "graphite" in parts:
        boolean.paint(labels, graphite.near(low, high), GRAPHITE, voxel_size_nm, origin)
    return labels


def _blocks(shape: tuple[int, int, int], voxel_size_nm: float) -> list[tuple[slice, slice, slice]]:
    side = _block_side(voxel_size_nm)
    cuts = [[slice(a, min(a + side, n)) for a in range(0, n, side)] for n in shape]
    return list(product(cuts[0], cuts[1], cuts[2]))


def _block_side(voxel_size_nm: float) -> int:
    return int(np.clip(_BLOCK_NM / voxel_size_nm, 16, 256))


def _parameters(bundle: Bundle, voxel_size_nm: float, gamma_law: str) -> CbaParameters:
    parameters = bundle.cba()
    law = check_one_of("gamma_law", gamma_law, ("physical", "voxel-rescaled"))
    return parameters if law == "physical" else voxel_rescaled(parameters, voxel_size_nm)


def _three_integers(name: str, value: Any) -> tuple[int, int, int]:
    try:
        parts = tuple(value)
    except TypeError:
        parts = ()
    if len(parts) != 3 or not all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in parts):
        raise InputError(f"{name}: found {shown(value)}, expected three integers (z, y, x)")
    return int(parts[0]), int(parts[1]), int(parts[2])
