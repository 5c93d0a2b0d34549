"""Reconstruction of a two-phase medium from its two-point coverage by simulated annealing, in a periodic box.

Pairs of a solid and a pore voxel are exchanged until the numbers of pairs of solid voxels, at each lag along each
direction, are those wanted. All numbers are whole: an exchange changes each by the few pairs that it touches, so they
never drift. After a few sweeps only voxels at the interface are exchanged: elsewhere hardly any exchange helps.

References
----------
Yeong and Torquato, Phys. Rev. E 57 (1998) 495; the moves at the interface are those of Zhao et al., Phys. Rev. E 76
(2007) 041107, in simple form.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.bundle import AnnealedParameters, Bundle, resolved
from nmcdist.descriptors.directional import check_directions
from nmcdist.errors import BundleError, InputError
from nmcdist.geometry.elementary import log
from nmcdist.jit import Int, kernel
from nmcdist.models import streams
from nmcdist.models.cba import check_window
from nmcdist.models.draws import next_below, next_uniform
from nmcdist.models.reconstruction import arrays_of, check_voxel_size
from nmcdist.wording import shown

FREE_SWEEPS = 3  # sweeps with exchanges of any voxels
COOLING = 0.5  # temperature after a sweep over that before
_TRIALS = 2000  # exchanges that the first temperature is found from
_HEAT = 0.5  # first temperature over the mean change of these
_TRIES = 64  # voxels that are drawn for one at the interface


@dataclass(frozen=True)
class Annealed:
    """A reconstructed volume.

    Attributes
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
        0 pore, 1 solid.
    energy : float
        Sum over directions and lags of the squared errors of the coverage; above the bundle's `energy` if annealing
        ended before it got there.
    sweeps : float
        Exchanges that were tried, per voxel.
    lattice_vectors : ndarray of int64, shape (m, 3)
        Vectors between the voxels of the pairs that were counted.
    pairs, wanted : ndarray of int64, shape (m,)
        Pairs of solid voxels in the periodic box, and their wanted numbers.
    """

    labels: np.ndarray
    energy: float
    sweeps: float
    lattice_vectors: np.ndarray
    pairs: np.ndarray
    wanted: np.ndarray


def generate_annealed(
    bundle: Bundle | str | Path, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, index: int = 0
) -> np.ndarray:
    """Draw a periodic volume with the two-point coverage of the bundle; see :func:`anneal`, which also tells how well.

    Returns
    -------
    ndarray of uint8, shape `shape`
        0 pore, 1 solid.
    """
    return anneal(bundle, shape, voxel_size_nm, seed, index).labels


def anneal(
    bundle: Bundle | str | Path, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, index: int = 0
) -> Annealed:
    """Draw a periodic volume with the two-point coverage of the bundle.

    Lags beyond half of an edge are left out: in a periodic box they are those of the other side.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A bundle of model "annealed", with its arrays.
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size_nm : float
        Voxel edge in nm, which must be that of the bundle.
    seed, index : int
        Numbers that identify the volume.

    Raises
    ------
    InputError
        If an argument has an impossible value.
    BundleError
        If the bundle cannot be loaded, is of another model, or its curves are impossible.
    """
    shape, _, voxel_size_nm = check_window(shape, (0, 0, 0), voxel_size_nm)
    bundle = resolved(bundle)
    parameters = bundle.parameters_as(AnnealedParameters)
    check_voxel_size(voxel_size_nm, parameters.voxel_size_nm)
    seed, index = streams.check_key(seed, index)
    directions, coverage = _curves(bundle)
    vectors, values = _within_half(directions, coverage, shape)
    voxels = int(np.prod(shape))
    solid, wanted = round(float(coverage[0, 0]) * voxels), np.rint(values * voxels).astype(np.int64)
    if not 0 < solid < voxels:
        raise InputError(f"shape: found {shape}, expected more voxels for a volume fraction of {coverage[0, 0]:g}")
    padding = np.maximum(1, np.abs(vectors).max(axis=0))
    box = np.zeros(tuple(np.array(shape) + 2 * padding), dtype=np.uint8)
    state = streams.draws(seed, streams.ANNEALING, index).state
    places = _filled(box, padding, solid, state)
    pairs = _count_pairs(box, places[:solid], _steps(vectors, box.shape))
    low = parameters.energy * voxels**2
    most = int(parameters.most_sweeps * voxels)
    tried = _anneal(box, padding, places, solid, _steps(vectors, box.shape), pairs, wanted, low, most, state)
    z, y, x = (slice(p, p + n) for p, n in zip(padding, shape, strict=True))
    energy = int(((pairs - wanted) ** 2).sum()) / voxels**2
    return Annealed(np.ascontiguousarray(box[z, y, x]), energy, tried / voxels, vectors, pairs, wanted)


def draw_bytes(shape: tuple[int, ...], lags: int) -> float:
    """Return the bytes needed to draw a volume besides its voxels, with lattice vectors of up to `lags` voxels."""
    return float(np.prod(np.array(shape) + 2 * lags) + 4 * np.prod(shape))


def _curves(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions and curves of a bundle, shape (d, 3) and (d, lags + 1)."""
    where = f"bundle {bundle.name!r}: arrays"
    arrays = arrays_of(bundle)
    try:
        directions = check_directions(arrays["directions"])
    except InputError as error:
        raise BundleError(f"{where}.{error}") from None
    coverage = arrays["coverage"].astype(np.float64)
    fraction = coverage[0, 0]
    if not 0 < fraction < 1 or (coverage[:, 0] != fraction).any():
        found = shown(coverage[:, 0].tolist())
        raise BundleError(f"{where}.coverage: found {found} at lag 0, expected one fraction in (0, 1)")
    if coverage.min() < max(0.0, 2 * fraction - 1) - 1e-9 or coverage.max() > fraction + 1e-9:
        raise BundleError(
            f"{where}.coverage: found {coverage.min():g} to {coverage.max():g}, expected numbers from "
            f"{max(0.0, 2 * fraction - 1):g} to the fraction {fraction:g}"
        )
    return directions, coverage


def _within_half(
    directions: np.ndarray, coverage: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lattice vectors from lag 1 that reach at most half-way through the box, and their coverage."""
    lags = np.arange(1, coverage.shape[1])
    vectors = directions[:, None, :] * lags[:, None]
    fits = np.all(2 * np.abs(vectors) <= np.array(shape), axis=2)
    if not fits[:, 0].all():
        raise InputError(f"shape: found {shape}, expected edges of at least twice the bundle's lattice vectors")
    return vectors[fits], coverage[:, 1:][fits]


def _steps(vectors: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the lattice vectors as steps in the flattened box."""
    return np.asarray((vectors[:, 0] * shape[1] + vectors[:, 1]) * shape[2] + vectors[:, 2])


@kernel
def _filled(box: np.ndarray, padding: np.ndarray, solid: int, state: np.ndarray) -> np.ndarray:
    """Make random voxels solid, and return the places of all in the flattened box, solid ones first."""
    nz, ny, nx = box.shape[0] - 2 * padding[0], box.shape[1] - 2 * padding[1], box.shape[2] - 2 * padding[2]
    places = np.empty(nz * ny * nx, dtype=np.int32)
    for k in range(len(places)):
        z, y, x = k // (ny * nx) + padding[0], k // nx % ny + padding[1], k % nx + padding[2]
        places[k] = (z * box.shape[1] + y) * box.shape[2] + x
    for k in range(solid):
        other = k + next_below(state, len(places) - k)
        places[k], places[other] = places[other], places[k]
        _set(box, padding, places[k], 1)
    return places


@kernel
def _set(box: np.ndarray, padding: np.ndarray, place: int, value: int) -> None:
    """Set a voxel and its images in the padding."""
    _, wide, long = box.shape
    nz, ny, nx = box.shape[0] - 2 * padding[0], wide - 2 * padding[1], long - 2 * padding[2]
    z, y, x = place // (wide * long), place // long % wide, place % long
    for dz in range(-nz, nz + 1, nz):
        if 0 <= z + dz < box.shape[0]:
            for dy in range(-ny, ny + 1, ny):
                if 0 <= y + dy < wide:
                    for dx in range(-nx, nx + 1, nx):
                        if 0 <= x + dx < long:
                            box[z + dz, y + dy, x + dx] = value


@kernel
def _count_pairs(box: np.ndarray, solid: np.ndarray, steps: np.ndarray) -> np.ndarray:
    flat = box.reshape(-1)
    pairs = np.zeros(len(steps), dtype=np.int64)
    for place in solid:
        for m in range(len(steps)):
            pairs[m] += flat[place + steps[m]]
    return pairs


@kernel
def _change(flat: np.ndarray, old: int, new: int, steps: np.ndarray, excess: np.ndarray, changes: np.ndarray) -> int:
    """Write the change of each number of pairs, and return that of the sum of their squared errors.

    The voxel `old` is already empty.
    """
    total = np.int64(0)
    for m in range(len(steps)):
        step = steps[m]
        change = np.int64(flat[new + step]) + flat[new - step] - flat[old + step] - flat[old - step]
        changes[m] = change
        total += change * (2 * excess[m] + change)
    return int(total)


@kernel
def _at_interface(flat: np.ndarray, place: Int, row: int, plane: int) -> bool:
    near = np.int64(flat[place - 1]) + flat[place + 1] + flat[place - row] + flat[place + row]
    near += np.int64(flat[place - plane]) + flat[place + plane]
    return near < 6 if flat[place] else near > 0


@kernel
def _drawn(
    flat: np.ndarray, places: np.ndarray, first: int, count: int, row: int, plane: int, free: bool, state: np.ndarray
) -> int:
    """Return a number from `first` of a voxel, at the interface unless `free` or if that is hardly found."""
    for _ in range(_TRIES):
        k = first + next_below(state, count)
        if free or _at_interface(flat, int(places[k]), row, plane):
            break
    return k


@kernel
def _anneal(
    box: np.ndarray, padding: np.ndarray, places: np.ndarray, solid: int, steps: np.ndarray, pairs: np.ndarray,
    wanted: np.ndarray, low: float, most: int, state: np.ndarray,
) -> int:  # fmt: skip
    """Exchange voxels until the sum of squared errors is at most `low`, and return how many exchanges were tried."""
    flat, voxels = box.reshape(-1), len(places)
    row = box.shape[2]
    plane = box.shape[1] * row
    excess, changes = pairs - wanted, np.empty(len(steps), dtype=np.int64)
    energy = (excess * excess).sum()
    heat, tried = 0.0, 0
    while tried < most and energy > low:
        free = tried < FREE_SWEEPS * voxels
        i = _drawn(flat, places, 0, solid, row, plane, free, state)
        j = _drawn(flat, places, solid, voxels - solid, row, plane, free, state)
        old, new = places[i], places[j]
        _set(box, padding, old, 0)
        change = _change(flat, old, new, steps, excess, changes)
        if tried < _TRIALS:
            heat += _HEAT / _TRIALS * abs(change)
        elif tried % voxels == 0:
            heat *= COOLING
        tried += 1
        if change <= 0 or (tried > _TRIALS and change < -heat * log(next_uniform(state))):
            _set(box, padding, new, 1)
            places[i], places[j] = new, old
            excess += changes
            energy += change
        else:
            _set(box, padding, old, 1)
    pairs[:] = wanted + excess
    return tried
