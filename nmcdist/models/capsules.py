"""Capsules: all points within a radius of a segment, painted into a window of voxels."""

import math

import numpy as np

from nmcdist.jit import Int, kernel


def paint_capsules(
    labels: np.ndarray, start_nm: np.ndarray, end_nm: np.ndarray, radius_nm: np.ndarray, label: int,
    voxel_size_nm: float, origin: tuple[int, int, int],
) -> None:  # fmt: skip
    """Set `labels` to `label` at every voxel centre that lies in a capsule.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
        The window, changed in place.
    start_nm, end_nm : ndarray of float64, shape (n, 3)
        Ends of the axes in absolute coordinates, ordered z, y, x.
    radius_nm : ndarray of float64, shape (n,)
    label : int
        Value to set.
    voxel_size_nm : float
        Voxel edge in nm.
    origin : tuple of int
        Absolute index of the window's first voxel.
    """
    first = np.array(origin, dtype=np.int64)
    _paint(labels, start_nm, end_nm, radius_nm, np.uint8(label), float(voxel_size_nm), first)


@kernel
def _paint(
    labels: np.ndarray, start: np.ndarray, end: np.ndarray, radius: np.ndarray, label: Int, voxel: float,
    origin: np.ndarray,
) -> None:  # fmt: skip
    """Find the run of voxel centres inside the capsule in each row of voxels.

    Everything is computed from absolute indices, so that a voxel's result does not depend on the window.
    """
    nz, ny, nx = labels.shape
    for s in range(len(radius)):
        r = radius[s]
        az, ay, ax = start[s, 0], start[s, 1], start[s, 2]
        dz, dy, dx = end[s, 0] - az, end[s, 1] - ay, end[s, 2] - ax
        z0 = max(origin[0], math.floor((min(az, az + dz) - r) / voxel - 0.5))
        z1 = min(origin[0] + nz, math.ceil((max(az, az + dz) + r) / voxel - 0.5) + 1)
        for iz in range(z0, z1):
            wz = (iz + 0.5) * voxel - az
            first, last = _within(wz, dz, r)
            y_low = ay + min(first * dy, last * dy) - r
            y_high = ay + max(first * dy, last * dy) + r
            y0 = max(origin[1], math.floor(y_low / voxel - 0.5))
            y1 = min(origin[1] + ny, math.ceil(y_high / voxel - 0.5) + 1)
            for iy in range(y0, y1):
                low, high = _run(wz, (iy + 0.5) * voxel - ay, dz, dy, dx, r)
                if low > high:
                    continue
                x0 = max(origin[2], math.ceil((ax + low) / voxel - 0.5))
                x1 = min(origin[2] + nx - 1, math.floor((ax + high) / voxel - 0.5))
                for ix in range(x0, x1 + 1):
                    labels[iz - origin[0], iy - origin[1], ix - origin[2]] = label


@kernel
def _within(w: float, d: float, r: float) -> tuple[float, float]:
    """Return the part of the axis, in shares of its length, that is within r of a plane at a distance w."""
    if abs(d) <= 1e-9 * r:
        return 0.0, 1.0
    one, two = (w - r) / d, (w + r) / d
    return min(max(0.0, min(one, two)), 1.0), max(min(1.0, max(one, two)), 0.0)


@kernel
def _run(wz: float, wy: float, dz: float, dy: float, dx: float, r: float) -> tuple[float, float]:
    """Return where a line along x enters and leaves a capsule: x relative to the start of the axis, or 1, -1.

    A capsule is convex, so the runs of its two balls and its cylinder join to one.
    """
    low, high = math.inf, -math.inf
    square = r * r - wz * wz - wy * wy
    if square >= 0.0:
        half = math.sqrt(square)
        low, high = -half, half
    square = r * r - (wz - dz) * (wz - dz) - (wy - dy) * (wy - dy)
    if square >= 0.0:
        half = math.sqrt(square)
        low, high = min(low, dx - half), max(high, dx + half)
    length = math.sqrt(dz * dz + dy * dy + dx * dx)
    if length > 0.0:
        first, last = _cylinder_run(wz, wy, dz / length, dy / length, dx / length, length, r)
        if first <= last:
            low, high = min(low, first), max(high, last)
    return (low, high) if low <= high else (1.0, -1.0)


@kernel
def _cylinder_run(
    wz: float, wy: float, uz: float, uy: float, ux: float, length: float, r: float
) -> tuple[float, float]:  # fmt: skip
    """Return where the line enters and leaves the cylinder of the axis, cut at the planes across its ends."""
    along = wz * uz + wy * uy
    a, b = uz * uz + uy * uy, ux * along
    c = wz * wz + wy * wy - along * along - r * r
    low, high = -math.inf, math.inf
    if a > 1e-18:
        square = b * b - a * c
        if square < 0.0:
            return 1.0, -1.0
        half = math.sqrt(square)
        low, high = (b - half) / a, (b + half) / a
    elif c > 0.0:
        return 1.0, -1.0
    if abs(ux) > 1e-12:
        one, two = -along / ux, (length - along) / ux
        return max(low, min(one, two)), min(high, max(one, two))
    return (low, high) if 0.0 <= along <= length else (1.0, -1.0)
