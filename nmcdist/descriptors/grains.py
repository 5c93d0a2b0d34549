"""Grains of a labelled particle, one row each, and their packing."""

import math

import numpy as np
import xarray as xr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nmcdist.arguments import check_length
from nmcdist.descriptors.grain_contacts import GrainContacts, contacts_of_runs, grain_contacts
from nmcdist.descriptors.grain_moments import (
    check_labels,
    check_origin,
    count_pieces,
    find_runs,
    grain_moments,
    principal_axes,
)
from nmcdist.descriptors.quantity import GEOMETRY, OHSER, Quantity, by_name
from nmcdist.errors import InputError
from nmcdist.geometry.elementary import atan2, cbrt
from nmcdist.geometry.frames import lengths
from nmcdist.jit import kernel

__all__ = ["COLUMNS", "PACKING", "GrainContacts", "describe_grains", "describe_packing", "grain_contacts"]

_COUNT = "count of voxels"
_MOMENTS = "second moments of the voxels as cubes; a half-axis is sqrt(5) standard deviations"
_CROFTON = "Crofton's formula over 13 directions of the lattice"
_FACES = "voxels that share a face"
PAPER = "Fuchs et al. (2025), doi:10.1038/s43246-024-00728-5"


COLUMNS = by_name(
    Quantity("volume_nm3", ("grain",), "nm^3", "volume", _COUNT, GEOMETRY),
    Quantity("equivalent_diameter_nm", ("grain",), "nm", "diameter of the ball of this volume", _COUNT, GEOMETRY),
    Quantity(
        "centroid_nm", ("grain", "axis"), "nm", "centre of mass, from the centre of the particle",
        "mean of voxel centres", GEOMETRY,
    ),
    Quantity(
        "radius_nm", ("grain",), "nm", "distance of the centre of mass from the centre of the particle",
        "mean of voxel centres", GEOMETRY,
    ),
    Quantity(
        "principal_axis_lengths_nm", ("grain", "principal_axis"), "nm",
        "axes (twice the half-axes), longest first, of the ellipsoid with the same second moments", _MOMENTS, GEOMETRY,
    ),
    Quantity(
        "principal_direction", ("grain", "axis"), "1", "unit vector along the longest axis, pointing outwards",
        _MOMENTS, GEOMETRY,
    ),
    Quantity(
        "elongation", ("grain",), "1", "1 - second axis / longest axis, 0 if not elongated", _MOMENTS,
        f"{PAPER}, elongation eta of a section, on the two longest axes",
    ),
    Quantity("flatness", ("grain",), "1", "1 - shortest axis / second axis, 0 if not flat", _MOMENTS, GEOMETRY),
    Quantity(
        "angle_to_radius", ("grain",), "rad", "angle between the longest axis and the radius, 0 to pi/2", _MOMENTS,
        f"{PAPER}, Eq. (4)",
    ),
    Quantity("neighbours", ("grain",), "1", "grains that share a face", _FACES, GEOMETRY, "int32"),
    Quantity("boundary_area_nm2", ("grain",), "nm^2", "area shared with other grains", _CROFTON, OHSER),
    Quantity("surface_area_nm2", ("grain",), "nm^2", "area shared with the outside", _CROFTON, OHSER),
    Quantity("boundary_fraction", ("grain",), "1", "share of a grain's area that other grains cover", _CROFTON, OHSER),
    Quantity(
        "is_surface", ("grain",), "1", "1 if the grain shares a face with the outside, else 0", _FACES, GEOMETRY,
        "bool",
    ),
    Quantity("pieces", ("grain",), "1", "connected pieces of the grain", _FACES, GEOMETRY, "int32"),
    Quantity(
        "largest_piece_share", ("grain",), "1", "share of the grain's volume in its largest piece", _FACES, GEOMETRY
    ),
)  # fmt: skip

PACKING = by_name(
    Quantity("grains", (), "1", "number of grains", _COUNT, GEOMETRY),
    Quantity("grain_volume_nm3", (), "nm^3", "volume of all grains", _COUNT, GEOMETRY),
    Quantity("grain_boundary_area_nm2", (), "nm^2", "area between grains, each side once", _CROFTON, OHSER),
    Quantity("grain_boundary_per_volume", (), "nm^-1", "area between grains per volume of grains", _CROFTON, OHSER),
    Quantity("outer_area_nm2", (), "nm^2", "area between grains and the outside", _CROFTON, OHSER),
    Quantity("surface_grain_share", (), "1", "share of the grains that touch the outside", _FACES, GEOMETRY),
    Quantity("neighbours_mean", (), "1", "mean number of grains that share a face with a grain", _FACES, GEOMETRY),
    Quantity("split_grains", (), "1", "grains in more than one piece", _FACES, GEOMETRY),
    Quantity("clusters", (), "1", "clusters of grains that touch", _FACES, GEOMETRY),
    Quantity("largest_cluster", (), "1", "grains in the largest cluster", _FACES, GEOMETRY),
)


def describe_grains(
    labels: np.ndarray,
    voxel_size_nm: float,
    origin_nm: tuple[float, float, float] | np.ndarray | None = None,
    contacts: GrainContacts | None = None,
) -> xr.Dataset:
    """Return a table of the grains in a label array, one row per grain, in ascending order of labels.

    Everything beyond the array is outside. Where the longest axis or the radius is undefined (a cube, a ball, a grain
    centred on the particle), direction and angle are NaN. Areas: see :func:`grain_contacts`; a grain without a face
    to the outside has no surface, and all its area is boundary. Pieces: sharp corners break into voxels that share no
    face, in 4 % of convex grains 8 voxels across; the share of the largest piece distinguishes such grains from those
    that fall apart.

    Parameters
    ----------
    labels : ndarray of int, shape (nz, ny, nx)
        0 outside; labels of grains are positive, in any order and with any gaps.
    voxel_size_nm : float
        Voxel edge in nm.
    origin_nm : three floats, optional
        Coordinates z, y, x of the first voxel's centre, relative to the particle's centre. Default: the particle's
        centre is the centre of the array.
    contacts : GrainContacts, optional
        Result of :func:`grain_contacts` for these labels, if already known.

    Returns
    -------
    xarray.Dataset
        The variables of :data:`COLUMNS` with dimension grain, coordinate label.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    voxel_size_nm, labels = check_length("voxel_size_nm", voxel_size_nm), check_labels(labels, 3)
    origin = check_origin(origin_nm, labels.shape, voxel_size_nm)
    runs = find_runs(labels)
    if contacts is None:
        contacts = contacts_of_runs(runs, voxel_size_nm)
    elif not isinstance(contacts, GrainContacts):
        raise InputError(f"contacts: found {type(contacts).__name__}, expected the GrainContacts of the labels")
    elif not np.array_equal(np.union1d(contacts.label, [0]), np.union1d(runs.labels, [0])):
        raise InputError("contacts: found pairs of other labels, expected those of the label array")
    count, mean, covariance = grain_moments(runs)
    columns = _sizes(count, voxel_size_nm)
    columns |= shape_columns(origin + voxel_size_nm * mean, voxel_size_nm * voxel_size_nm * covariance)
    columns |= _contact_columns(runs.labels, contacts)
    pieces, largest = count_pieces(runs)
    columns |= {"pieces": pieces.astype(np.int32), "largest_piece_share": largest / count}
    return as_dataset(columns, COLUMNS, runs.labels, ("z", "y", "x"))


def describe_packing(grains: xr.Dataset, contacts: GrainContacts) -> xr.Dataset:
    """Return totals and means over the grains of a particle.

    Parameters
    ----------
    grains : xarray.Dataset
        Result of :func:`describe_grains`.
    contacts : GrainContacts
        Contacts of the same labels.

    Returns
    -------
    xarray.Dataset
        The scalars of :data:`PACKING`; ratios are NaN if there are no grains.

    Raises
    ------
    InputError
        If an argument has another type.
    """
    if not isinstance(grains, xr.Dataset) or not set(COLUMNS) <= set(grains.data_vars):
        raise InputError(f"grains: found {type(grains).__name__}, expected a table of describe_grains")
    if not isinstance(contacts, GrainContacts):
        raise InputError(f"contacts: found {type(contacts).__name__}, expected the GrainContacts of the labels")
    number, volume = grains.sizes["grain"], math.fsum(grains.volume_nm3.values.tolist())
    inner = contacts.label[:, 0] > 0
    between = math.fsum(contacts.area_nm2[inner].tolist())
    sizes = _cluster_sizes(grains.label.values, contacts)
    values = {
        "grains": number,
        "grain_volume_nm3": volume,
        "grain_boundary_area_nm2": between,
        "grain_boundary_per_volume": between / volume if number else np.nan,
        "outer_area_nm2": math.fsum(contacts.area_nm2[~inner].tolist()),
        "surface_grain_share": int(grains.is_surface.sum()) / number if number else np.nan,
        "neighbours_mean": int(grains.neighbours.sum()) / number if number else np.nan,
        "split_grains": int((grains.pieces > 1).sum()),
        "clusters": len(sizes),
        "largest_cluster": int(sizes.max(initial=0)),
    }
    return xr.Dataset({name: ((), value, PACKING[name].attrs) for name, value in values.items()})


def shape_columns(centroid_nm: np.ndarray, covariance_nm2: np.ndarray) -> dict[str, np.ndarray]:
    """Return place, axes and orientation of ellipsoids (or ellipses) with given centroids and second moments.

    Parameters
    ----------
    centroid_nm : ndarray of float64, shape (n, k)
    covariance_nm2 : ndarray of float64, shape (n, k, k)
    """
    moments, direction = principal_axes(covariance_nm2)
    radius = lengths(centroid_nm)
    along = (direction * centroid_nm).sum(axis=1)
    across = np.sqrt(_squared_cross(direction, centroid_nm))
    # A half-axis of a ball in k dimensions is sqrt(k + 2) standard deviations.
    axes = 2 * np.sqrt((centroid_nm.shape[1] + 2) * moments)
    ratios = 1 - axes[:, 1:] / axes[:, :-1]
    # Rounding moves a centred grain off the centre; a millionth of its length is far more than that.
    central = radius <= 1e-6 * axes[:, 0]
    return {
        "centroid_nm": centroid_nm,
        "radius_nm": radius,
        "principal_axis_lengths_nm": axes,
        "principal_direction": np.where(along < 0, -1.0, 1.0)[:, None] * direction,
        "elongation": ratios[:, 0],
        **({"flatness": ratios[:, 1]} if ratios.shape[1] > 1 else {}),
        "angle_to_radius": np.where(central, np.nan, _angles(across, np.abs(along))),
    }


def as_dataset(
    columns: dict[str, np.ndarray], about: dict[str, Quantity], labels: np.ndarray, axes: tuple[str, ...]
) -> xr.Dataset:
    """Return columns as a dataset, in the order and with the metadata of their descriptions."""
    variables = {name: (column.dims, columns[name], column.attrs) for name, column in about.items()}
    return xr.Dataset(variables, coords={"label": ("grain", labels), "axis": ("axis", list(axes))})


def ball_diameters(volumes: np.ndarray) -> np.ndarray:
    """Return the diameters of the balls of given volumes, shape (n,)."""
    diameters = np.empty(len(volumes))
    _fill_diameters(volumes, diameters)
    return diameters


@kernel
def _fill_diameters(volumes: np.ndarray, diameters: np.ndarray) -> None:
    for i in range(len(volumes)):
        diameters[i] = cbrt(6.0 * volumes[i] / math.pi)


@kernel
def _angles(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    angles = np.empty(len(across))
    for i in range(len(across)):
        angles[i] = atan2(across[i], along[i])
    return angles


def _sizes(count: np.ndarray, voxel_size_nm: float) -> dict[str, np.ndarray]:
    volume = count * (voxel_size_nm * voxel_size_nm * voxel_size_nm)
    return {"volume_nm3": volume, "equivalent_diameter_nm": ball_diameters(volume)}


def _contact_columns(labels: np.ndarray, contacts: GrainContacts) -> dict[str, np.ndarray]:
    grains = len(labels)
    known = np.concatenate([np.zeros(1, labels.dtype), labels])
    pair = np.searchsorted(known, contacts.label)
    outer, touch = pair[:, 0] == 0, contacts.faces > 0

    def total(of: np.ndarray, weight: np.ndarray) -> np.ndarray:
        ends = pair[of].ravel()
        return np.bincount(ends, np.repeat(weight[of], 2), grains + 1)[1:]

    is_surface = total(outer & touch, np.ones(len(pair))) > 0
    area, exposed = total(np.ones(len(pair), bool), contacts.area_nm2), total(outer, contacts.area_nm2)
    surface = np.where(is_surface, exposed, 0.0)
    return {
        "neighbours": total(~outer & touch, np.ones(len(pair))).astype(np.int32),
        "boundary_area_nm2": area - surface,
        "surface_area_nm2": surface,
        "boundary_fraction": 1 - surface / area,
        "is_surface": is_surface,
    }


def _cluster_sizes(labels: np.ndarray, contacts: GrainContacts) -> np.ndarray:
    joined = contacts.label[(contacts.label[:, 0] > 0) & (contacts.faces > 0)]
    a, b = np.searchsorted(labels, joined.T)
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(len(labels), len(labels)))
    return np.bincount(connected_components(graph, directed=False)[1]) if len(labels) else np.zeros(0, np.int64)


def _squared_cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return |a|^2 |b|^2 - (a b)^2, row by row, without its cancellation."""
    dimensions = a.shape[1]
    pairs = [(i, j) for i in range(dimensions) for j in range(i)]
    return sum(((a[:, i] * b[:, j] - a[:, j] * b[:, i]) ** 2 for i, j in pairs), np.zeros(len(a)))
