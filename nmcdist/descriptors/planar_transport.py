"""Paths, currents and flow through a phase in a planar image. Pixels may have two edges.

The image is measured as one layer of voxels, which no path, current or flow leaves: paths lead over 8 neighbours, and
the image stands for a volume that continues it unchanged across the plane. Other volumes that show the same section are
joined across it, so their phases are connected better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nmcdist.arguments import check_one_of, plain_array
from nmcdist.descriptors.contacts import ConnectedFractions, connected_fractions
from nmcdist.descriptors.paths import geodesic_tortuosity, percolates
from nmcdist.descriptors.permeability import Boundary, Permeability, solve_permeability
from nmcdist.descriptors.phases import check_image, check_image_axis, layer_edges
from nmcdist.descriptors.transport import effective_conductivity
from nmcdist.errors import InputError
from nmcdist.geometry.stokes import BOUNDARIES

_NEIGHBOURS = {4: 6, 8: 26}  # of a pixel, and of the voxel of a layer


def planar_percolates(phase: np.ndarray, axis: int = 0, connectivity: int = 8) -> bool:
    """Return whether a phase in a planar image joins the two sides of an axis.

    Parameters
    ----------
    phase : ndarray of bool, shape (ny, nx)
    axis : {0, 1}
        0 or 1 for y or x.
    connectivity : {8, 4}
        8 neighbours, as in :func:`planar_geodesic_tortuosity`, or 4 across pixel edges, as in conduction.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    phase, axis = check_image(phase), check_image_axis(axis)
    return percolates(phase[None], axis + 1, _NEIGHBOURS[check_one_of("connectivity", connectivity, (4, 8))])


def planar_connected_fractions(phase: np.ndarray, axis: int = 0) -> ConnectedFractions:
    """Return the shares of a phase in a planar image that are connected to the sides of an axis.

    As :func:`connected_fractions`, over pixel edges.

    Parameters
    ----------
    phase : ndarray of bool, shape (ny, nx)
    axis : {0, 1}
        0 or 1 for y or x.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    phase, axis = check_image(phase), check_image_axis(axis)
    return connected_fractions(phase[None], axis + 1)


def planar_geodesic_tortuosity(
    phase: np.ndarray, axis: int = 0, pixel_size_nm: float | Sequence[float] = 1.0
) -> float:  # fmt: skip
    """Return the mean geodesic tortuosity of a phase in a planar image along an axis.

    As :func:`geodesic_tortuosity`, over 8 neighbours. Paths in a plane are longer than those in the volume that it
    cuts, or there are none.

    Parameters
    ----------
    phase : ndarray of bool, shape (ny, nx)
    axis : {0, 1}
        0 or 1 for y or x.
    pixel_size_nm : float or (float, float)
        Edge of a pixel in nm, or its edges along y, x; only their ratio counts.

    Returns
    -------
    float
        At least 1; NaN if the phase does not join the two sides.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    phase, axis = check_image(phase), check_image_axis(axis)
    return geodesic_tortuosity(phase[None], axis + 1, layer_edges(pixel_size_nm))


def planar_effective_conductivity(
    labels: np.ndarray, conductivities: Mapping[int, float], axis: int = 0,
    pixel_size_nm: float | Sequence[float] = 1.0,
) -> float:  # fmt: skip
    """Compute the effective conductivity of a planar image along an axis.

    As :func:`effective_conductivity`, for currents in the plane: that of a volume which continues the image unchanged
    across the plane.

    Parameters
    ----------
    labels : ndarray of int or bool, shape (ny, nx)
        Phase of each pixel.
    conductivities : mapping of int to float
        Conductivity of each phase, in any unit; phases not named do not conduct.
    axis : {0, 1}
        Direction of the flux: 0 or 1 for y or x.
    pixel_size_nm : float or (float, float)
        Edge of a pixel in nm, or its edges along y, x; only their ratio counts.

    Returns
    -------
    float
        In the unit of `conductivities`; 0 if no path over pixel edges joins the two sides.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    labels, axis = plain_array("labels", labels), check_image_axis(axis)
    if labels.ndim != 2:
        raise InputError(f"labels: found {labels.ndim} dimensions, expected 2")
    return effective_conductivity(labels[None], conductivities, axis + 1, layer_edges(pixel_size_nm))


def planar_permeability(
    phase: np.ndarray, pixel_size_nm: float | Sequence[float], axis: int = 0, boundary: Boundary = "open"
) -> float:  # fmt: skip
    """Compute the permeability of a phase in a planar image along an axis, in nm^2.

    As :func:`permeability`, for flow in the plane: around cylinders, not grains.

    Parameters
    ----------
    phase : ndarray of bool, shape (ny, nx)
        Where fluid flows.
    pixel_size_nm : float or (float, float)
        Edge of a pixel in nm, or its edges along y, x.
    axis : {0, 1}
        Direction of the mean flow.
    boundary : {"open", "periodic", "walls"}
        "open": pressure is given, and tangential velocity zero, at the two sides of the axis; no friction at the other
        two. "walls": the same with walls at those two. "periodic": the image continues itself in both directions.

    Returns
    -------
    float
        0 if no path over pixel edges joins the two sides.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    return solve_planar_permeability(phase, pixel_size_nm, axis, boundary).permeability_nm2


def solve_planar_permeability(
    phase: np.ndarray, pixel_size_nm: float | Sequence[float], axis: int = 0, boundary: Boundary = "open"
) -> Permeability:  # fmt: skip
    """Compute the permeability of a phase in a planar image, with details of the solution.

    Arguments and errors are those of :func:`planar_permeability`; the result is that of
    :func:`nmcdist.descriptors.permeability.solve_permeability` for one layer of voxels.
    """
    phase, axis = check_image(phase), check_image_axis(axis)
    edges, layer = layer_edges(pixel_size_nm), phase[None]
    if check_one_of("boundary", boundary, BOUNDARIES) != "walls":
        return solve_permeability(layer, edges, axis + 1, boundary)
    # Walls beside the image, none across it.
    lined = np.pad(layer, [(0, 0), *((int(each != axis),) * 2 for each in range(2))])
    found = solve_permeability(lined, edges, axis + 1, "open")
    return replace(found, permeability_nm2=found.permeability_nm2 * lined.size / layer.size, boundary="walls")
