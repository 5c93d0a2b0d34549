"""A packing of particles in voxels: shells of a bundle, largest first, each moved until it is close to another."""

import math
from dataclasses import dataclass

import numpy as np

from nmcdist.arguments import check_length, machine_memory
from nmcdist.bundle import Bundle
from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import InputError, PlanError
from nmcdist.geometry.elementary import sin_cos
from nmcdist.jit import kernel
from nmcdist.models import streams
from nmcdist.models.draws import Stream
from nmcdist.models.shell import Shell, ShellModel

_STREAM = 802
_TRIALS = 200  # positions that are tried for a particle
_MOST = 20_000  # particles
_WIDEST_GAP = 64.0  # voxels
_BYTES_PER_VOXEL = 25  # of the labels and of the grey values made of them


@dataclass(frozen=True)
class Packing:
    """Particles in a window.

    Attributes
    ----------
    labels : ndarray of int32, shape (nz, ny, nx)
        0 outside; particle k of the lists has label k + 1.
    items : list of int
        Number of the shell of each particle, as for :meth:`ShellModel.draw` with the seed of the packing.
    centres_px : ndarray of float64, shape (n, 3)
        Star point of each along z, y, x; the centre of the first voxel is at 0. It may lie outside the window.
    dropped : int
        Shells for which no place was found.
    """

    labels: np.ndarray
    items: list[int]
    centres_px: np.ndarray
    dropped: int


def pack(
    bundle: Bundle, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, share: float = 0.35, gap: float = 0.0
) -> Packing:
    """Fill a window with particles that do not overlap, and mostly touch, or mostly lie a gap apart.

    Shells 0, 1, ... of the seed are taken until their volumes reach the share of the window. The largest is placed
    first. Each goes to a random free position, and from there in a random direction until it would overlap another.

    Parameters
    ----------
    bundle : Bundle
        A particle bundle.
    shape : tuple of int
    voxel_size_nm : float
    seed : int
        Seed in [0, 2^64).
    share : float
        Share of the window, up to 0.5, of all shells, of which some lie partly outside.
    gap : float
        Voxels of two particles are further apart than this, in voxels; 0 lets them touch.

    Returns
    -------
    Packing

    Raises
    ------
    InputError
        If the share is not in (0, 0.5], the gap not in [0, 64], or more than 20,000 particles are needed.
    PlanError
        If the window and its largest particle do not fit into the memory of this machine.
    """
    if not 0 < share <= 0.5:
        raise InputError(f"share: found {share}, expected a number above 0, at most 0.5")
    if not 0 <= gap <= _WIDEST_GAP:
        raise InputError(f"gap: found {gap}, expected a number from 0 to {_WIDEST_GAP:g} voxels")
    _check_window(shape)
    shells = _enough(
        ShellModel.from_bundle(bundle), seed, share * math.prod(shape) * check_length("voxel", voxel_size_nm) ** 3
    )
    largest = max(shells, key=lambda shell: shell.largest_radius_nm)
    _check_particle(shape, 2 * _half(largest, voxel_size_nm) + 1, voxel_size_nm, gap)
    labels, taken = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
    items: list[int] = []
    centres: list[np.ndarray] = []
    for item in sorted(range(len(shells)), key=lambda k: -shells[k].volume_nm3):
        stream = streams.draws(seed, _STREAM, item)
        centre = _placed(labels, taken, shells[item], voxel_size_nm, stream, len(items) + 1, gap)
        if centre is not None:
            items.append(item)
            centres.append(centre)
    return Packing(labels, items, np.array(centres).reshape(-1, 3), len(shells) - len(items))


def _check_window(shape: tuple[int, int, int]) -> None:
    needed = _BYTES_PER_VOXEL * math.prod(shape)
    if needed > machine_memory():
        raise PlanError(
            f"shape: found {' x '.join(map(str, shape))} voxels, which need {readable_bytes(needed)} of memory, "
            f"expected at most the {readable_bytes(machine_memory())} of this machine: a smaller --shape"
        )


def _check_particle(shape: tuple[int, int, int], edge: int, voxel_size_nm: float, gap: float) -> None:
    """Refuse voxels so small that the largest particle, which is drawn whole, does not fit into memory."""
    needed = 5 * math.prod(shape) + edge**3
    if gap:
        needed += 6 * (edge + 2 * math.ceil(gap)) ** 3  # with the distances to the particle
    if needed > machine_memory():
        raise PlanError(
            f"voxel-size-nm: found {voxel_size_nm:g}, at which the largest particle is drawn in {edge} x {edge} x "
            f"{edge} voxels and needs {readable_bytes(needed)} of memory, expected at most the "
            f"{readable_bytes(machine_memory())} of this machine: a larger --voxel-size-nm"
        )


def _half(shell: Shell, voxel_size_nm: float) -> int:
    """Return how many voxels the box of a particle reaches to each side of the voxel with its star point."""
    return math.ceil(shell.largest_radius_nm / voxel_size_nm) + 1


def _enough(model: ShellModel, seed: int, volume_nm3: float) -> list[Shell]:
    shells: list[Shell] = []
    while volume_nm3 > 0:
        if len(shells) == _MOST:
            raise InputError(f"shape: found a window for over {_MOST} particles, expected a smaller one")
        shells.append(model.draw(seed, len(shells)))
        volume_nm3 -= shells[-1].volume_nm3
    return shells


def _placed(
    labels: np.ndarray, taken: np.ndarray, shell: Shell, voxel_size_nm: float, stream: Stream, label: int, gap: float
) -> np.ndarray | None:
    """Write one particle, and the voxels that it takes from others; return its star point, None without room."""
    half = _half(shell, voxel_size_nm)
    part = stream.uniform(3)  # position of the star point within its voxel
    first = tuple(float(v) for v in (-half - part + 0.5) * voxel_size_nm)
    inside = shell.contains_grid((2 * half + 1,) * 3, voxel_size_nm, (first[0], first[1], first[2]))
    for _ in range(_TRIALS):
        corner = np.floor(stream.uniform(3) * labels.shape).astype(np.int64) - half
        if _is_free(taken, inside, corner):
            corner = _moved(taken, inside, corner, _direction(stream))
            _write(labels, inside, corner, label)
            width = math.ceil(gap)
            _write(taken, _widened(inside, gap, width), corner - width, 1)
            return np.asarray(corner + half + part - 0.5)
    return None


def _widened(inside: np.ndarray, gap: float, width: int) -> np.ndarray:
    """Return the voxels within a gap of a particle, with a margin of `width` voxels."""
    import edt

    padded = np.pad(inside, width)
    return padded if gap == 0 else np.asarray(edt.edt(~padded, black_border=False, parallel=1) <= gap)


def _direction(stream: Stream) -> np.ndarray:
    u, v = stream.uniform(2)
    height, (sine, cosine) = 2 * u - 1, sin_cos(2 * math.pi * v)
    flat = math.sqrt(max(0.0, 1 - height * height))
    return np.array([height, flat * sine, flat * cosine])


def _moved(taken: np.ndarray, inside: np.ndarray, corner: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the last free position along a direction, before an overlap or at the latest after its own size."""
    for step in range(1, len(inside)):
        there = corner + np.rint(step * direction).astype(np.int64)
        if not _is_free(taken, inside, there):
            break
        last = there
    else:
        return corner
    return last if step > 1 else corner


@kernel
def _is_free(taken: np.ndarray, inside: np.ndarray, corner: np.ndarray) -> bool:
    for z in range(max(0, -corner[0]), min(inside.shape[0], taken.shape[0] - corner[0])):
        for y in range(max(0, -corner[1]), min(inside.shape[1], taken.shape[1] - corner[1])):
            for x in range(max(0, -corner[2]), min(inside.shape[2], taken.shape[2] - corner[2])):
                if inside[z, y, x] and taken[z + corner[0], y + corner[1], x + corner[2]] != 0:
                    return False
    return True


@kernel
def _write(labels: np.ndarray, inside: np.ndarray, corner: np.ndarray, label: int) -> None:
    for z in range(max(0, -corner[0]), min(inside.shape[0], labels.shape[0] - corner[0])):
        for y in range(max(0, -corner[1]), min(inside.shape[1], labels.shape[1] - corner[1])):
            for x in range(max(0, -corner[2]), min(inside.shape[2], labels.shape[2] - corner[2])):
                if inside[z, y, x]:
                    labels[z + corner[0], y + corner[1], x + corner[2]] = label
