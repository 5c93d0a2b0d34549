"""Grains of an EBSD map: neighbours of nearly the same orientation belong together."""

import math
from numbers import Integral

import numpy as np

from nmcdist.calibration.ebsd.scan import Phase, Scan, symmetry_rotations
from nmcdist.errors import InputError
from nmcdist.geometry.union_find import join, root
from nmcdist.jit import kernel


def segment(
    scan: Scan, misorientation_deg: float = 5.0, min_pixels: int = 0, min_confidence: float | None = None
) -> np.ndarray:
    """Label the grains of a map: points of one phase, joined through neighbours of nearly the same orientation.

    Two neighbours (4 on a square grid, 6 on a hexagonal one) join if the smallest rotation between them, over all
    equivalents by the crystal's symmetry, is at most `misorientation_deg`. Unindexed points stay missing.

    Parameters
    ----------
    scan : Scan
    misorientation_deg : float
        In (0, 180].
    min_pixels : int
        Grains of fewer points are treated as noise and become missing; 0 keeps all.
    min_confidence : float, optional
        Points with a lower confidence become missing; see `Scan.filtered`.

    Returns
    -------
    ndarray of int32, shape (rows, columns)
        0 where missing; grains 1..n by their first point, row by row.

    Raises
    ------
    InputError
        If an argument has an impossible value.
    """
    _check_arguments(misorientation_deg, min_pixels)
    if min_confidence is not None:
        scan = scan.filtered(min_confidence)
    rotations, first = _all_rotations(scan.phases)
    labels = _label(
        scan.quaternions(),
        scan.phase,
        rotations,
        first,
        math.sin(math.radians(misorientation_deg) / 2) ** 2,
        scan.grid == "hexagonal",
    )
    return _without_small(labels, min_pixels)


def misorientations(first: np.ndarray, second: np.ndarray, symmetry: str) -> np.ndarray:
    """Return the smallest rotation angle between orientations, over the equivalents by symmetry.

    Parameters
    ----------
    first, second : ndarray of float64, shape (n, 4)
        Unit quaternions w, x, y, z.
    symmetry : str
        As in `Phase`.

    Returns
    -------
    ndarray of float64, shape (n,)
        In degrees.
    """
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(_sin2_all(first, second, symmetry_rotations(symmetry))))))


def _check_arguments(angle: float, min_pixels: int) -> None:
    if not 0 < angle <= 180:
        raise InputError(f"misorientation_deg is {angle}, expected more than 0 and at most 180")
    if not isinstance(min_pixels, Integral) or isinstance(min_pixels, bool) or min_pixels < 0:
        raise InputError(f"min_pixels is {min_pixels}, expected a whole number, 0 or more")


def _all_rotations(phases: tuple[Phase, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rotations of all phases in one array, and the index where each phase starts, with the end."""
    groups = [symmetry_rotations(phase.symmetry) for phase in phases]
    return np.concatenate(groups), np.cumsum([0, *map(len, groups)])


def _without_small(labels: np.ndarray, min_pixels: int) -> np.ndarray:
    sizes = np.bincount(labels.reshape(-1))
    kept = sizes >= min_pixels
    kept[0] = False
    return np.asarray(np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels])


@kernel
def _sin2(p: np.ndarray, q: np.ndarray, rotations: np.ndarray) -> float:
    """Square of the sine of half the smallest angle between two orientations; accurate even if it is tiny."""
    w = p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3]
    x = p[0] * q[1] - p[1] * q[0] - p[2] * q[3] + p[3] * q[2]
    y = p[0] * q[2] + p[1] * q[3] - p[2] * q[0] - p[3] * q[1]
    z = p[0] * q[3] - p[1] * q[2] + p[2] * q[1] - p[3] * q[0]
    best, nearest = -1.0, 0
    for k in range(len(rotations)):
        s = rotations[k]
        cosine = abs(w * s[0] - x * s[1] - y * s[2] - z * s[3])
        if cosine > best:
            best, nearest = cosine, k
    s = rotations[nearest]
    a = w * s[1] + x * s[0] + y * s[3] - z * s[2]
    b = w * s[2] - x * s[3] + y * s[0] + z * s[1]
    c = w * s[3] + x * s[2] - y * s[1] + z * s[0]
    return min(a * a + b * b + c * c, 1.0)


@kernel
def _sin2_all(p: np.ndarray, q: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    values = np.empty(len(p))
    for i in range(len(p)):
        values[i] = _sin2(p[i], q[i], rotations)
    return values


@kernel
def _label(
    quaternions: np.ndarray,
    phase: np.ndarray,
    rotations: np.ndarray,
    first: np.ndarray,
    limit: float,
    hexagonal: bool,
) -> np.ndarray:
    """Join each point to its left and upper neighbours; the root of a grain is its first point."""
    rows, columns = phase.shape
    parent = np.arange(rows * columns)
    for y in range(rows):
        for x in range(columns):
            p = phase[y, x]
            if p == 0:
                continue
            # On a hexagonal grid, above point x of a shifted row are x and x + 1; above that of another row, x - 1
            # and x.
            other = x + 1 if y % 2 == 1 else x - 1
            for k in range(3 if hexagonal else 2):
                v = y if k == 0 else y - 1
                u = x - 1 if k == 0 else (x if k == 1 else other)
                if v < 0 or u < 0 or u >= columns or phase[v, u] != p:
                    continue
                group = rotations[first[p - 1] : first[p]]
                if _sin2(quaternions[y, x], quaternions[v, u], group) <= limit:
                    join(parent, y * columns + x, v * columns + u)
    labels = np.zeros((rows, columns), dtype=np.int32)
    count = 0
    for y in range(rows):
        for x in range(columns):
            if phase[y, x] == 0:
                continue
            i = y * columns + x
            first_point = root(parent, i)
            if first_point == i:
                count += 1
                labels[y, x] = count
            else:
                labels[y, x] = labels[first_point // columns, first_point % columns]
    return labels
