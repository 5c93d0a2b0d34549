"""Contacts between the phases of a planar label image: boundaries and triple points. Pixels may have two edges."""

from collections.abc import Sequence

import numpy as np

from nmcdist.descriptors.contacts import check_labels, check_phases, part_from_face
from nmcdist.descriptors.phases import check_image_axis, check_pixel_edges
from nmcdist.descriptors.planar import planar_intrinsic_volumes


def planar_interface_length(
    labels: np.ndarray, phases: tuple[int, int], pixel_size_nm: float | Sequence[float]
) -> float:  # fmt: skip
    """Return the length of the boundary between two phases in a planar image per area, in 1/nm.

    Half of what the perimeters of the two have more than that of their union. Errors are those of the perimeter in
    :func:`planar_intrinsic_volumes`. In isotropic structures, the area of the interface per volume is 4 / pi times
    this.

    Parameters
    ----------
    labels : ndarray of int, shape (ny, nx)
        At least two pixels along both axes.
    phases : (int, int)
        Labels of the two phases.
    pixel_size_nm : float or (float, float)
        Edge of a pixel in nm, or its edges along y, x.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    labels, (one, two) = check_labels(labels, 2), check_phases(phases, 2)
    return length_between(labels == one, labels == two, check_pixel_edges(pixel_size_nm))


def planar_triple_points(
    labels: np.ndarray, phases: tuple[int, int, int], pixel_size_nm: float | Sequence[float]
) -> float:  # fmt: skip
    """Return the number of points where three phases meet in a planar image, per area, in 1/nm^2.

    Points are corners of pixels at which all three meet, counted over the (ny - 1)(nx - 1) rectangles between pixel
    centres. Points between sectors of 90 degrees or more count once; beside a sector of 30 degrees, one in five counts
    twice. In isotropic structures, the length of the triple lines per volume is twice this number.

    Parameters
    ----------
    labels : ndarray of int, shape (ny, nx)
        At least two pixels along both axes.
    phases : (int, int, int)
        Labels of the three phases.
    pixel_size_nm : float or (float, float)
        Edge of a pixel in nm, or its edges along y, x.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    labels, meeting = check_labels(labels, 2), check_phases(phases, 3)
    y_nm, x_nm = check_pixel_edges(pixel_size_nm)
    bits: np.ndarray = np.zeros(labels.shape, np.uint8)
    for number, label in enumerate(meeting):
        bits[labels == label] = 1 << number
    return float(np.mean(triple_corners(bits)) / (y_nm * x_nm))


def triple_corners(bits: np.ndarray) -> np.ndarray:
    """Return at which inner corners of pixels three phases meet, whose pixels have the bits 1, 2 and 4."""
    rows = bits[1:] | bits[:-1]
    return np.asarray((rows[:, 1:] | rows[:, :-1]) == 7)


def planar_active_length(
    labels: np.ndarray, phases: tuple[int, int], pixel_size_nm: float | Sequence[float], axis: int = 0
) -> float:  # fmt: skip
    """Return the length of the boundary between the connected parts of two phases in an image per area, in 1/nm.

    As :func:`active_area`: of the first phase, the part counts that is connected to the side at index 0, of the
    second, that connected to the opposite side, over pixel edges.

    Parameters
    ----------
    labels : ndarray of int, shape (ny, nx)
        At least two pixels along both axes.
    phases : (int, int)
        Labels of the two phases.
    pixel_size_nm : float or (float, float)
        Edge of a pixel in nm, or its edges along y, x.
    axis : {0, 1}
        0 or 1 for y or x.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    labels, (one, two) = check_labels(labels, 2), check_phases(phases, 2)
    edges, axis = check_pixel_edges(pixel_size_nm), check_image_axis(axis)
    return length_between(part_from_face(labels == one, axis, 0), part_from_face(labels == two, axis, -1), edges)


def length_between(one: np.ndarray, two: np.ndarray, edges: tuple[float, float]) -> float:
    """Return the length of the boundary between two masks without a common pixel, per area."""
    lengths = [planar_intrinsic_volumes(mask, edges).perimeter for mask in (one, two, one | two)]
    return (lengths[0] + lengths[1] - lengths[2]) / 2
