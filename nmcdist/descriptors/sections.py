"""Planar sections of grains, as in an EBSD image: a table with one row per grain, and chord lengths."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nmcdist.arguments import check_length
from nmcdist.descriptors.chords import runs_within
from nmcdist.descriptors.grain_moments import check_labels, check_origin, count_pieces, find_runs, grain_moments
from nmcdist.descriptors.grains import PAPER, as_dataset, shape_columns
from nmcdist.descriptors.phases import check_pixel_edges
from nmcdist.descriptors.quantity import GEOMETRY, Quantity, by_name

_COUNT = "count of pixels"
_MEAN = "mean of pixel centres"
_MOMENTS = "second moments of the pixels as squares; a half-axis is 2 standard deviations"
_EDGES = "pixels that share an edge"

COLUMNS = by_name(
    Quantity("area_nm2", ("grain",), "nm^2", "size A_cross of the section", _COUNT, f"{PAPER}, Fig. 10"),
    Quantity("equivalent_diameter_nm", ("grain",), "nm", "diameter of the disk of this area", _COUNT, GEOMETRY),
    Quantity(
        "centroid_nm", ("grain", "axis"), "nm", "centre of mass, from the centre of the particle in the plane", _MEAN,
        GEOMETRY,
    ),
    Quantity(
        "radius_nm", ("grain",), "nm", "distance of the centre of mass from the centre of the particle in the plane",
        _MEAN, GEOMETRY,
    ),
    Quantity(
        "principal_axis_lengths_nm", ("grain", "principal_axis"), "nm",
        "axes (twice the half-axes), longer first, of the ellipse with the same second moments", _MOMENTS, GEOMETRY,
    ),
    Quantity(
        "principal_direction", ("grain", "axis"), "1", "unit vector v1 along the longer axis, pointing outwards",
        _MOMENTS, f"{PAPER}, Eq. (4)",
    ),
    Quantity(
        "elongation", ("grain",), "1", "elongation eta = 1 - sqrt(e2 / e1), 0 if not elongated, below 1", _MOMENTS,
        f"{PAPER}, Fig. 10, whose own form is lost",
    ),
    Quantity(
        "elongation_excess", ("grain",), "1", "elongation as sqrt(e1 / e2) - 1, 0 if not elongated, unbounded",
        _MOMENTS, f"{PAPER}, Fig. 10, whose own form is lost",
    ),
    Quantity(
        "angle_to_radius", ("grain",), "rad",
        "orientation alpha: angle between v1 and the vector from the centre, 0 to pi/2", _MOMENTS, f"{PAPER}, Eq. (4)",
    ),
    Quantity("pieces", ("grain",), "1", "connected pieces of the section", _EDGES, GEOMETRY, "int32"),
    Quantity(
        "is_cut", ("grain",), "1", "1 if the edge of the image cuts the section, else 0", _COUNT, GEOMETRY, "bool"
    ),
)  # fmt: skip


def describe_section(
    labels: np.ndarray, pixel_size_nm: float, origin_nm: tuple[float, float] | np.ndarray | None = None
) -> xr.Dataset:
    """Return a table of the grains in a planar section, one row per grain, in ascending order of labels.

    All pixels of a label are one section, even in several pieces. Eigenvalues e1 >= e2 treat pixels as squares, so a
    section one pixel wide has e2 > 0. Where the longer axis or the vector from the centre is undefined (a square, a
    section centred on the particle), direction and angle are NaN.

    Parameters
    ----------
    labels : ndarray of int, shape (ny, nx)
        0 outside; labels of grains are positive, in any order and with any gaps.
    pixel_size_nm : float
        Pixel edge in nm.
    origin_nm : two floats, optional
        Coordinates (row, column) of the first pixel's centre, relative to the projection of the particle's centre
        onto the plane. Default: this projection is the centre of the image.

    Returns
    -------
    xarray.Dataset
        The variables of :data:`COLUMNS` with dimension grain, coordinate label.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    pixel_size_nm, labels = check_length("pixel_size_nm", pixel_size_nm), check_labels(labels, 2)
    origin = check_origin(origin_nm, labels.shape, pixel_size_nm)
    runs = find_runs(labels)
    count, mean, covariance = grain_moments(runs)
    pixel_area = pixel_size_nm * pixel_size_nm
    area = count * pixel_area
    columns = shape_columns(origin + pixel_size_nm * mean[:, 1:], pixel_area * covariance[:, 1:, 1:])
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    columns |= {
        "area_nm2": area,
        "equivalent_diameter_nm": np.sqrt(4 * area / np.pi),
        "elongation_excess": 1 / (1 - columns["elongation"]) - 1,
        "pieces": count_pieces(runs)[0].astype(np.int32),
        "is_cut": np.isin(runs.labels, edge),
    }
    return as_dataset(columns, COLUMNS, runs.labels, ("row", "column"))


def chord_lengths(labels: np.ndarray, pixel_size_nm: float | Sequence[float]) -> np.ndarray:
    """Return the lengths of all chords along the rows, then along the columns.

    A chord is a run of pixels of one grain between two pixels of other labels, including 0. Runs that end at the edge
    of the image are left out, because their full length is unknown.

    Parameters
    ----------
    labels : ndarray of int, shape (ny, nx)
        0 outside; labels of grains are positive, in any order and with any gaps.
    pixel_size_nm : float or (float, float)
        Edge of a pixel in nm, or its edges along y, x.

    Returns
    -------
    ndarray of float64
        In nm: number of pixels times the pixel edge.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    (y_nm, x_nm), labels = check_pixel_edges(pixel_size_nm), check_labels(labels, 2)
    return np.concatenate([x_nm * runs_within(labels[None]), y_nm * runs_within(np.ascontiguousarray(labels.T)[None])])
