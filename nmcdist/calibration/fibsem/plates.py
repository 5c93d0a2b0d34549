"""Features of thin plates: of all disks about a voxel the one that holds most solid, and the profile across it.

In a plate that disk is full, however thin the plate is, and the solid share falls at its faces; in fine structure no
disk is full. Filters that are the same in all directions, as those of the paper, see neither.
"""

import itertools
from functools import lru_cache

import numpy as np

from nmcdist.calibration.boxes import Box, widened
from nmcdist.geometry.sphere import icosphere
from nmcdist.jit import Int, kernel

RADIUS, SMALL, LARGE = 12.0, 6.0, 21.0  # of the disks, in voxels of 20 nm
ACROSS = (12, 8, 6, 4, 3, 2, 1)  # distances of the disks of the profile, in voxels
PLATE_NAMES = (
    "disk 12", "disk 6", "disk 21", *(f"across {step} {side}" for step in ACROSS for side in ("low", "high"))
)  # fmt: skip
PLATE_HALO = 22
_RINGS = (6, 8, 12)  # points on the circles of a disk
_LARGE_RINGS = (6, 10, 14)
_NEXT = 7  # directions of the next finer sphere that are tried


def plate_features(solid: np.ndarray, inner: Box) -> np.ndarray:
    """Return the features of the voxels of a box, as :data:`PLATE_NAMES` says; pores have 0.

    The direction is sought on three spheres of 21, 81 and 321 directions, from coarse to fine. Beyond its edges the
    image continues as in a mirror.

    Parameters
    ----------
    solid : ndarray of bool or number, shape (nz, ny, nx)
        Solid where not 0.
    inner : tuple of slice
        The box that is wanted.

    Returns
    -------
    ndarray of float32, shape (17, ...) with the shape of the box
    """
    wide, _ = widened(inner, solid.shape, PLATE_HALO)
    missing = [
        (PLATE_HALO - (part.start - w.start), PLATE_HALO - (w.stop - part.stop))
        for part, w in zip(inner, wide, strict=True)
    ]
    padded = np.pad((solid[wide] != 0).astype(np.uint8), missing, mode="symmetric")
    box = solid[inner] != 0
    steps = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    places = (np.argwhere(box) + PLATE_HALO) @ steps
    found = np.empty((len(PLATE_NAMES), len(places)), np.float32)
    coarse, middle, fine, across, small, large = ((points @ steps).astype(np.int32) for points in _points())
    _measure(padded.reshape(-1), places, coarse, middle, fine, across, small, large, *_neighbours(), found)
    out = np.zeros((len(PLATE_NAMES), *box.shape), np.float32)
    out[:, box] = found
    return out


def _directions(level: int) -> np.ndarray:
    """Return one of each pair of opposite vertices of an icosphere."""
    vertices = icosphere(level)[0]
    sign = np.where(abs(vertices) < 1e-9, 0, np.sign(vertices)) @ [4, 2, 1]  # by the first entry that is not 0
    return vertices[sign > 0]


def _disk(normal: np.ndarray, radius: float, rings: tuple[int, ...]) -> np.ndarray:
    """Return points on circles about a normal, shape (n, 3)."""
    first = np.cross(normal, np.eye(3)[np.argmin(abs(normal))])
    first /= np.sqrt(first @ first)
    second = np.cross(normal, first)
    points = []
    for k, count in enumerate(rings):
        angle = 2 * np.pi * (np.arange(count) + 0.5 * (k % 2)) / count
        points.append(
            radius * (k + 1) / len(rings) * (np.outer(np.cos(angle), first) + np.outer(np.sin(angle), second))
        )
    return np.concatenate(points)


@lru_cache(maxsize=1)
def _points() -> tuple[np.ndarray, ...]:
    """Return the voxels of the disks for each direction: three spheres, the profile, a small and a large disk."""
    spheres = [_directions(level) for level in (1, 2, 3)]
    disks = [np.stack([_disk(n, RADIUS, _RINGS) for n in sphere]) for sphere in spheres]
    steps = np.array([*(-step for step in ACROSS), *ACROSS])
    shifts = steps[None, :, None, None] * spheres[2][:, None, None, :]
    across = disks[2][:, None] + shifts
    small = np.stack([_disk(n, SMALL, _RINGS) for n in spheres[2]])
    large = np.stack([_disk(n, LARGE, _LARGE_RINGS) for n in spheres[2]])
    return tuple(np.rint(each).astype(np.int64) for each in (*disks, across, small, large))


@lru_cache(maxsize=1)
def _neighbours() -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest directions of the next sphere, for the first and the second sphere."""
    spheres = [_directions(level) for level in (1, 2, 3)]
    near = [
        np.argsort(-abs(one @ two.T).round(9), axis=1, kind="stable")[:, :_NEXT].astype(np.int32)
        for one, two in itertools.pairwise(spheres)
    ]
    return near[0], near[1]


@kernel
def _sum(volume: np.ndarray, place: Int, offsets: np.ndarray) -> Int:
    total = 0
    for k in range(len(offsets)):
        total += volume[place + offsets[k]]
    return total


@kernel
def _fullest(volume: np.ndarray, place: Int, disks: np.ndarray, tried: np.ndarray) -> Int:
    best, most = tried[0], _sum(volume, place, disks[tried[0]])
    for k in tried[1:]:
        total = _sum(volume, place, disks[k])
        if total > most:
            best, most = k, total
    return best


@kernel
def _measure(
    volume: np.ndarray, places: np.ndarray, coarse: np.ndarray, middle: np.ndarray, fine: np.ndarray,
    across: np.ndarray, small: np.ndarray, large: np.ndarray, to_middle: np.ndarray, to_fine: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    every, half = np.arange(len(coarse)).astype(np.int32), across.shape[1] // 2
    for j in range(len(places)):
        place = places[j]
        first = _fullest(volume, place, coarse, every)
        second = _fullest(volume, place, middle, to_middle[first])
        best = _fullest(volume, place, fine, to_fine[second])
        out[0, j] = _sum(volume, place, fine[best]) / fine.shape[1]
        out[1, j] = _sum(volume, place, small[best]) / small.shape[1]
        out[2, j] = _sum(volume, place, large[best]) / large.shape[1]
        for t in range(half):
            one, two = _sum(volume, place, across[best, t]), _sum(volume, place, across[best, half + t])
            out[3 + 2 * t, j] = min(one, two) / across.shape[2]
            out[4 + 2 * t, j] = max(one, two) / across.shape[2]
