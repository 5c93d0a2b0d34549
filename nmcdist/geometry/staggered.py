"""Faces of a staggered grid of velocities: which ones carry flow, and their links to neighbours and walls."""

import numpy as np

from nmcdist.jit import inlined, kernel

SOLID, FLUID, RESERVOIR, MIRROR = 0, 1, 2, 3  # cells; the last two are outside of the volume

_jit = kernel(error_model="numpy")


def padded_cells(fluid: np.ndarray, boundary: str) -> np.ndarray:
    """Return the kinds of cells with one layer outside, shape (nz + 2, ny + 2, nx + 2)."""
    cells = np.zeros(tuple(n + 2 for n in fluid.shape), np.uint8)
    inner = cells[1:-1, 1:-1, 1:-1]
    inner[:] = fluid
    if boundary == "periodic":
        wrap(cells)
        return cells
    if boundary == "open":
        cells[:, [0, -1]] = MIRROR
        cells[:, :, [0, -1]] = MIRROR
    cells[0, 1:-1, 1:-1] = RESERVOIR
    cells[-1, 1:-1, 1:-1] = RESERVOIR
    return cells


@_jit
def wrap(field: np.ndarray) -> None:
    """Copy the first and last layers of a field to the layers outside of the opposite sides."""
    nz, ny, nx = field.shape[0] - 2, field.shape[1] - 2, field.shape[2] - 2
    for j in range(1, ny + 1):
        for i in range(1, nx + 1):
            field[0, j, i], field[nz + 1, j, i] = field[nz, j, i], field[1, j, i]
    for k in range(nz + 2):
        for i in range(1, nx + 1):
            field[k, 0, i], field[k, ny + 1, i] = field[k, ny, i], field[k, 1, i]
        for j in range(ny + 2):
            field[k, j, 0], field[k, j, nx + 1] = field[k, j, nx], field[k, j, 1]


def links_of_faces(
    cells: np.ndarray, axis: int, shape: tuple[int, int, int], weights: np.ndarray, half: np.ndarray, is_periodic: bool
) -> np.ndarray:  # fmt: skip
    """Return the sum of the links of each face across an axis, 0 for faces without flow.

    Parameters
    ----------
    cells : ndarray of uint8, shape (nz + 2, ny + 2, nx + 2)
        See :func:`padded_cells`. The face of a cell is its lower one.
    axis : int
        Of the velocity.
    shape : tuple of int
        Number of faces along each axis.
    weights : ndarray of float32, shape (3,)
        Link of two faces by the axis along which they follow each other.
    half : ndarray of float32
        By plane, the share of the finite volume of its faces that is inside; 1 but for velocities across the first
        and last plane.
    is_periodic : bool

    Returns
    -------
    ndarray of float32, two longer than `shape` along each axis
    """
    found = np.zeros(tuple(n + 2 for n in shape), np.float32)
    _add_ahead(cells, axis, shape, weights[axis], found)
    for across in range(3):
        if across != axis:
            _add_beside(cells, axis, across, shape, weights[across], half, is_periodic, found)
    return found


@inlined
def _is_active(cells: np.ndarray, axis: int, k: int, j: int, i: int) -> bool:
    """Whether fluid flows through the lower face of a cell across an axis."""
    low, high = cells[k - (axis == 0), j - (axis == 1), i - (axis == 2)], cells[k, j, i]
    return (low == 1 or low == 2) and (high == 1 or high == 2) and (low == 1 or high == 1)


@_jit
def _add_ahead(cells: np.ndarray, axis: int, shape: tuple[int, int, int], weight: float, out: np.ndarray) -> None:
    """Add the links along the axis of the velocity: to the next faces, flow or wall, but not into a reservoir."""
    for k in range(1, shape[0] + 1):
        for j in range(1, shape[1] + 1):
            for i in range(1, shape[2] + 1):
                if _is_active(cells, axis, k, j, i):
                    low = cells[k - (axis == 0), j - (axis == 1), i - (axis == 2)]
                    out[k, j, i] += weight * ((low != 2) + (cells[k, j, i] != 2))


@_jit
def _add_beside(
    cells: np.ndarray, axis: int, across: int, shape: tuple[int, int, int], weight: float, half: np.ndarray,
    is_periodic: bool, out: np.ndarray,
) -> None:  # fmt: skip
    """Add the links along one axis across that of the velocity, row by row."""
    length = shape[across]
    step = int(across == 0), int(across == 1), int(across == 2)
    active = np.zeros(length + 2, np.bool_)
    for a in range(1, shape[1 if across == 0 else 0] + 1):
        for b in range(1, shape[1 if across == 2 else 2] + 1):
            k, j, i = (0, a, b) if across == 0 else (a, 0, b) if across == 1 else (a, b, 0)
            for m in range(1, length + 1):
                active[m] = _is_active(cells, axis, k + m * step[0], j + m * step[1], i + m * step[2])
            if is_periodic:
                active[0], active[length + 1] = active[length], active[1]
            for m in range(1, length + 1):
                if active[m]:
                    z, y, x = k + m * step[0], j + m * step[1], i + m * step[2]
                    run = 0 if active[m - 1] and active[m + 1] else _run(active, m, is_periodic)
                    below = 1.0 if active[m - 1] else _link_at_end(cells, axis, z, y, x, step, -1, run)
                    above = 1.0 if active[m + 1] else _link_at_end(cells, axis, z, y, x, step, 1, run)
                    share = half[z] if axis == 0 else np.float32(1)
                    out[z, y, x] += np.float32(weight * share * (below + above))


@inlined
def _run(active: np.ndarray, at: int, is_periodic: bool) -> int:
    """Count the faces with flow that follow each other, this one being the first or the last."""
    length, count = active.size - 2, 1
    direction = 1 if not active[at - 1] else -1
    while count < length:
        at += direction
        if is_periodic:
            at = (at - 1) % length + 1
        if not active[at]:
            break
        count += 1
    return count


@inlined
def _link_at_end(
    cells: np.ndarray, axis: int, k: int, j: int, i: int, step: tuple[int, int, int], side: int, run: int
) -> float:  # fmt: skip
    """Weight of the link from a face to what is beside it, which is no face with flow."""
    dk, dj, di = side * step[0], side * step[1], side * step[2]
    ka, ja, ia = k - (axis == 0), j - (axis == 1), i - (axis == 2)
    low, high = cells[ka + dk, ja + dj, ia + di], cells[k + dk, j + dj, i + di]
    if cells[ka, ja, ia] == 2:  # the half of the finite volume that is inside speaks for the other
        low = high
    elif cells[k, j, i] == 2:
        high = low
    if low == 1 or high == 1:  # a face of a wall, at rest, as far away as a face with flow
        return 1.0
    return 0.0 if low == 3 else 2.0 if low == 2 else 6.0 * run / (3.0 * run - 2.0)
