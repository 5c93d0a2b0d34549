"""The paper's rule for the regions of a watershed ("Preprocessing of nano-CT data"), and parts of labelled images.

Small regions (fewer than 10 voxels) and non-spherical ones (sphericity below 0.5) are merged with the neighbour that
shares most faces with them, and neglected if they have none.
"""

import math

import numpy as np

from nmcdist.calibration.shell.graph import touching
from nmcdist.geometry.sphere import icosphere
from nmcdist.geometry.union_find import join, root
from nmcdist.jit import Int, kernel

LEAST_VOXELS, LEAST_SPHERICITY = 10, 0.5
_LEVEL = 5  # icosphere on which the share of each lattice direction is counted


def paper_merged(labels: np.ndarray, count: int, spacing: tuple[float, float, float]) -> np.ndarray:
    """Return the number of the merged region for each region, from 1; 0 for neglected ones.

    Parameters
    ----------
    labels : ndarray of int32
        Regions 1 to `count`, each connected.
    count : int
    spacing : tuple of float
        Edges of a voxel over the cube root of its volume.

    Returns
    -------
    ndarray of int32, shape (count + 1,)
    """
    voxels = np.bincount(labels.reshape(-1), minlength=count + 1)[1:]
    sphericity = math.pi ** (1 / 3) * (6.0 * voxels) ** (2 / 3) / crofton_areas(labels, count, spacing)
    neighbours = touching(labels, count)
    parent = np.arange(count + 1, dtype=np.int32)
    neglected = np.zeros(count + 1, np.bool_)
    neglected[0] = True
    for index in np.argsort(voxels, kind="stable"):
        if voxels[index] >= LEAST_VOXELS and sphericity[index] >= LEAST_SPHERICITY:
            continue
        faces = neighbours[int(index) + 1]
        if faces:
            join(parent, int(index) + 1, max(sorted(faces), key=faces.__getitem__))
        else:
            neglected[index + 1] = True
    roots = np.array([root(parent, label) for label in range(count + 1)])
    used = np.unique(roots[~neglected])
    numbers = np.zeros(count + 1, np.int32)
    numbers[used] = np.arange(1, len(used) + 1)
    return np.asarray(np.where(neglected, 0, numbers[roots]).astype(np.int32))


def crofton_areas(labels: np.ndarray, count: int, spacing: tuple[float, float, float]) -> np.ndarray:
    """Return the surface areas of regions from the crossings of lines in 13 directions (Cauchy and Crofton).

    A direction weighs as much as the directions of space that lie nearest to it.

    Parameters
    ----------
    labels : ndarray of int32
    count : int
    spacing : tuple of float

    Returns
    -------
    ndarray of float64, shape (count,)
        In the unit of `spacing`, squared.
    """
    steps = np.array([
        (z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)
    ], np.int64)  # fmt: skip
    vectors = steps * np.asarray(spacing)
    lengths = np.sqrt((vectors**2).sum(axis=1))
    nearest = np.abs(icosphere(_LEVEL)[0] @ (vectors / lengths[:, None]).T).argmax(axis=1)
    shares = np.bincount(nearest, minlength=len(steps)) / len(nearest)
    areas = np.zeros(count + 1)
    _cross(np.pad(labels, 1), steps, 2.0 * shares * np.prod(spacing) / lengths, areas)
    return areas[1:]


def connected_parts(labels: np.ndarray) -> np.ndarray:
    """Return labels 1 to n of the parts of equal label that are connected by faces, in the order of their voxels."""
    labels = np.ascontiguousarray(labels)
    parts = np.empty(labels.shape, np.int32)
    _connect(labels, np.arange(labels.size, dtype=np.int32), parts)
    return parts


@kernel
def _cross(labels: np.ndarray, steps: np.ndarray, weights: np.ndarray, areas: np.ndarray) -> None:
    """Add the weight of a direction to both regions at each change of label along it; `labels` has a margin of 1."""
    nz, ny, nx = labels.shape
    for z in range(nz - 1):
        for y in range(ny):
            for x in range(nx):
                one = labels[z, y, x]
                for k in range(len(steps)):
                    b, c = y + steps[k, 1], x + steps[k, 2]
                    if not (0 <= b < ny and 0 <= c < nx):
                        continue
                    two = labels[z + steps[k, 0], b, c]
                    if one != two:
                        areas[one] += weights[k]
                        areas[two] += weights[k]


@kernel
def _connect(labels: np.ndarray, parent: np.ndarray, parts: np.ndarray) -> Int:
    nz, ny, nx = labels.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                label, here = labels[z, y, x], (z * ny + y) * nx + x
                if label == 0:
                    continue
                if z and labels[z - 1, y, x] == label:
                    join(parent, here, here - ny * nx)
                if y and labels[z, y - 1, x] == label:
                    join(parent, here, here - nx)
                if x and labels[z, y, x - 1] == label:
                    join(parent, here, here - 1)
    count = 0
    flat, out = labels.reshape(-1), parts.reshape(-1)
    for here in range(len(flat)):
        if flat[here] == 0:
            out[here] = 0
        elif parent[here] == here:
            count += 1
            out[here] = count
        else:
            out[here] = out[root(parent, here)]  # the root comes first, so it has its number
    return count
