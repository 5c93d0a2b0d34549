"""Mirror images of windows: a window with its images is periodic, and its opposite faces match."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nmcdist.errors import InputError
from nmcdist.wording import shown

if TYPE_CHECKING:
    from nmcdist.geometry.elements import VolumeMesh

# Orders of nodes that mirror an element and a face, by number of nodes.
MIRRORED_CELL = {4: [0, 2, 1, 3], 8: [0, 3, 2, 1, 4, 7, 6, 5]}
MIRRORED_FACE = {3: [0, 2, 1], 4: [0, 3, 2, 1]}
_AXES = {"z": 0, "y": 1, "x": 2}
_LEEWAY = 1e-6  # of a voxel: nodes on the faces of a box are where rounding leaves them


def axes_of(mirror: str) -> list[int]:
    """Return the axes (0, 1, 2 for z, y, x) of a text such as x,z.

    Raises
    ------
    InputError
        If it is anything but different axes.
    """
    names = [name.strip() for name in mirror.split(",")] if isinstance(mirror, str) else []
    if not names or len(set(names)) < len(names) or not set(names) <= set(_AXES):
        raise InputError(f"mirror: found {shown(mirror)}, expected axes such as x or x,y,z")
    return [_AXES[name] for name in names]


def labels_with_images(labels: np.ndarray, mirror: str) -> np.ndarray:
    """Return a label volume followed by its mirror image along each of some axes."""
    for axis in axes_of(mirror):
        labels = np.concatenate([labels, np.flip(labels, axis)], axis=axis)
    return labels


def mesh_with_images(
    mesh: "VolumeMesh",
    labels: np.ndarray,
    spacing: float | tuple[float, float, float],
    origin: tuple[float, float, float],
    mirror: str,
) -> "VolumeMesh":
    """Return the mesh of a label volume with its mirror image beyond the last face along each of some axes."""
    for axis in axes_of(mirror):
        edge = float(np.broadcast_to(spacing, 3)[axis])
        mesh = _with_image(mesh, axis, origin[axis] + (labels.shape[axis] - 0.5) * edge, _LEEWAY * edge)
    return mesh


def _with_image(mesh: "VolumeMesh", axis: int, plane: float, leeway: float) -> "VolumeMesh":
    """Return a mesh with its mirror image, which shares the nodes in the plane.

    Elements and their images have the same label, so no interface lies in the plane. Meshes keep the order of labels.
    """
    count = len(mesh.points)
    shared = np.abs(mesh.points[:, axis] - plane) <= leeway
    points = mesh.points.copy()
    points[shared, axis] = plane
    images = points[~shared]
    images[:, axis] = 2 * plane - images[:, axis]
    numbers = np.where(shared, np.arange(count), count - 1 + np.cumsum(~shared)).astype(np.int32)
    order = np.argsort(np.tile(mesh.grains, 2), kind="stable")
    rows = np.empty(len(order), dtype=np.int32)
    rows[order] = np.arange(len(order), dtype=np.int32)
    open_faces = ~shared[mesh.outer].all(axis=1)
    return replace(
        mesh,
        points=np.concatenate([points, images]),
        cells=_doubled(mesh.cells, numbers, MIRRORED_CELL)[order],
        grains=np.tile(mesh.grains, 2)[order],
        outer=_doubled(mesh.outer[open_faces], numbers, MIRRORED_FACE),
        outer_cells=_rows_of_both(mesh.outer_cells[open_faces], rows),
        interfaces=_doubled(mesh.interfaces, numbers, MIRRORED_FACE),
        interface_grains=np.tile(mesh.interface_grains, (2, 1)),
        interface_cells=_rows_of_both(mesh.interface_cells, rows),
    )


def _doubled(nodes: np.ndarray, numbers: np.ndarray, orders: dict[int, list[int]]) -> np.ndarray:
    """Return elements followed by their images."""
    return np.concatenate([nodes, numbers[nodes][:, orders[nodes.shape[1]]]])


def _rows_of_both(cells: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rows of cells, and of their images, in the order of the labels."""
    return np.concatenate([rows[cells], rows[cells + len(rows) // 2]])
