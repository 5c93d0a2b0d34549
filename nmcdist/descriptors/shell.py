"""Size and form of outer shells, from the coefficients of their radius function or from a closed mesh."""

import math
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial import ConvexHull, QhullError

from nmcdist.arguments import finite_array, plain_array
from nmcdist.descriptors.grains import PAPER
from nmcdist.descriptors.quantity import Quantity, by_name
from nmcdist.errors import InputError
from nmcdist.geometry import sphere
from nmcdist.geometry.eigen import eigen_symmetric
from nmcdist.geometry.elementary import cbrt
from nmcdist.geometry.hulls import star_hull_volume
from nmcdist.jit import kernel

LEVEL = 3  # icosphere with the 642 directions of the paper

_QUADRATURE = "exact quadrature of the radius function"
_VERTICES = "surface points in 642 directions"

VARIABLES = by_name(
    Quantity("d_max_nm", (), "nm", "largest diameter", f"largest distance between {_VERTICES}", f"{PAPER}, Eq. (17)"),
    Quantity(
        "compactness", (), "1", "compactness: volume over volume of the convex hull",
        f"polyhedra on {_VERTICES}, both of them", f"{PAPER}, Eq. (18)",
    ),
    Quantity(
        "aspect_ratio", (), "1", "aspect ratio: shortest over longest principal extent",
        "extents of the ellipsoid with the same second moments, by exact quadrature of the radius function",
        f"{PAPER}, Eq. (19), whose form is lost: assumed",
    ),
    Quantity(
        "sphericity", (), "1", "sphericity pi^(1/3) (6 V)^(2/3) / A", "quadrature of the radius function",
        f"{PAPER}, Eq. (20)",
    ),
    Quantity("volume_nm3", (), "nm^3", "volume", _QUADRATURE, PAPER),
    Quantity(
        "area_nm2", (), "nm^2", "surface area", "quadrature of the radius function, which converges exponentially",
        PAPER,
    ),
)  # fmt: skip

_FROM_MESH = "closed mesh of triangles"


def describe_shell(coefficients_nm: np.ndarray) -> xr.Dataset:
    """Measure an outer shell, Eqs. (17) to (20) of the NMC811 paper.

    The aspect ratio is that of the ellipsoid with the same second moments about the centre of mass: for an ellipsoid,
    the ratio of its shortest to its longest half-axis; for a box, that of its edges.

    Parameters
    ----------
    coefficients_nm : ndarray, shape ((L + 1)^2,)
        Coefficients of the real orthonormal spherical harmonics, Y_lm at index l^2 + l + m.

    Returns
    -------
    xarray.Dataset
        d_max_nm, compactness, aspect_ratio, sphericity, volume_nm3, area_nm2, without dimensions, each with
        units, estimator and source.

    Raises
    ------
    InputError
        If a shape is wrong, a value is not finite, or the radius is not positive in one of 642 directions.
    """
    values = measure_shells(finite_array("coefficients_nm", coefficients_nm, ("(L + 1)^2",))[None])
    return xr.Dataset({name: ((), values[name][0], column.attrs) for name, column in VARIABLES.items()})


def describe_shells(coefficients_nm: np.ndarray) -> xr.Dataset:
    """Measure many outer shells like :func:`describe_shell`, along the dimension "particle".

    Parameters
    ----------
    coefficients_nm : ndarray, shape (n, (L + 1)^2)

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    InputError
        As :func:`describe_shell`.
    """
    values = measure_shells(coefficients_nm)
    return xr.Dataset({name: (("particle",), values[name], column.attrs) for name, column in VARIABLES.items()})


def describe_mesh(vertices_nm: np.ndarray, faces: np.ndarray) -> xr.Dataset:
    """Measure a body given by a closed mesh of its surface, like :func:`describe_shell`.

    Parameters
    ----------
    vertices_nm : ndarray, shape (n, 3)
    faces : ndarray of int, shape (m, 3)
        Triangles, all oriented outwards in the order of the columns, or all inwards.

    Returns
    -------
    xarray.Dataset
        The variables of :func:`describe_shell`.

    Raises
    ------
    InputError
        If a shape is wrong, a value is not finite, an index has no vertex, or the mesh is not closed, not
        consistently oriented or without volume.
    """
    vertices = finite_array("vertices_nm", vertices_nm, ("n", 3))
    triangles = vertices[_check_faces(faces, len(vertices))]
    volume, area, covariance = _polyhedron(triangles)
    diameter = float(np.sqrt(_largest_distance2(vertices)))
    values = _form(diameter, volume / _hull_volume(vertices), volume, area, covariance)
    return xr.Dataset(
        {
            name: ((), np.float64(values[name]), column.attrs | {"estimator": _FROM_MESH})
            for name, column in VARIABLES.items()
        }
    )


def measure_shells(coefficients_nm: np.ndarray) -> dict[str, np.ndarray]:
    """Return the values of :func:`describe_shells` as arrays of shape (n,), by the names in `VARIABLES`."""
    rows = sphere.check_coefficients(coefficients_nm, "coefficients_nm")
    moments = sphere.star_moments(rows)
    diameter, compactness = np.empty((2, len(rows)))
    for i, row in enumerate(rows):
        diameter[i], compactness[i] = _measure_vertices(row)
    return _form(diameter, compactness, moments.volume_nm3, moments.area_nm2, moments.covariance_nm2)


def _form(diameter: Any, compactness: Any, volume: Any, area: Any, covariance: np.ndarray) -> dict[str, Any]:
    moments = eigen_symmetric(covariance.reshape(-1, 3, 3))[0].reshape(covariance.shape[:-1])
    extents = np.sqrt(moments)
    return {
        "d_max_nm": diameter,
        "compactness": compactness,
        "aspect_ratio": extents[..., -1] / extents[..., 0],
        "sphericity": _areas_of_balls(np.atleast_1d(volume)).reshape(np.shape(volume)) / area,
        "volume_nm3": volume,
        "area_nm2": area,
    }


def _measure_vertices(row: np.ndarray) -> tuple[float, float]:
    directions, faces = sphere.icosphere(LEVEL)
    radii = np.empty(len(directions))
    sphere.sum_rows(row, sphere.icosphere_harmonics(LEVEL, sphere.order_of(row)), radii)
    if radii.min() <= 0:
        raise InputError(f"coefficients_nm: found a radius of {radii.min():g} nm, expected positive radii")
    vertices = directions * radii[:, None]
    hull_volume = star_hull_volume(vertices)
    if hull_volume < 0:
        hull_volume = _hull_volume(vertices)
    diameter = float(np.sqrt(_largest_distance2(vertices)))
    # The hull contains the polyhedron; where they coincide, rounding can make it the smaller one.
    return diameter, min(1.0, _enclosed(vertices, faces) / hull_volume)


def _hull_volume(vertices: np.ndarray) -> float:
    """Return the volume of the convex hull of any points."""
    try:
        return float(ConvexHull(vertices).volume)
    except (QhullError, ValueError):
        raise InputError(f"vertices_nm: found {len(vertices)} points in a plane, expected a body") from None


def _polyhedron(triangles: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return volume, surface area and covariance of a polyhedron, from the tetrahedra around its middle."""
    middle = triangles.mean(axis=(0, 1))
    a, b, c = (triangles[:, k] - middle for k in range(3))
    volumes = (a * np.cross(b, c)).sum(axis=1) / 6
    volume = volumes.sum()
    if volume == 0:
        raise InputError("faces: found a mesh without volume, expected a closed surface of a body")
    area = np.sqrt((np.cross(b - a, c - a) ** 2).sum(axis=1)).sum() / 2
    total = a + b + c
    centre = (volumes[:, None] * total).sum(axis=0) / (4 * volume)
    # A tetrahedron with a corner at 0: 1/20 of its volume times the sum of corners squared, plus their sum squared.
    second = sum(np.einsum("n,ni,nj->ij", volumes, p, p) for p in (a, b, c, total)) / (20 * volume)
    return abs(float(volume)), float(area), second - np.outer(centre, centre)


def _check_faces(given: Any, n: int) -> np.ndarray:
    faces = plain_array("faces", given)
    if faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0 or faces.dtype.kind not in "ui":
        raise InputError(f"faces: found {faces.dtype} of shape {faces.shape}, expected integers of shape (m, 3)")
    if faces.min() < 0 or faces.max() >= n:
        raise InputError(f"faces: found index {faces.min()} to {faces.max()}, expected 0 to {n - 1}")
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64)
    _, edge = np.unique(edges.min(axis=1) * n + edges.max(axis=1), return_inverse=True)
    runs = np.bincount(edge, weights=np.where(edges[:, 0] < edges[:, 1], 1, -1))
    if runs.any():
        raise InputError(
            f"faces: found {np.count_nonzero(runs)} edges that are not used once in each direction, "
            "expected a closed, consistently oriented surface"
        )
    return faces


@kernel
def _areas_of_balls(volumes: np.ndarray) -> np.ndarray:
    """Return the surface areas pi^(1/3) (6 V)^(2/3) of the balls of given volumes."""
    areas = np.empty(len(volumes))
    for i in range(len(volumes)):
        root = cbrt(6.0 * volumes[i])
        areas[i] = cbrt(math.pi) * root * root
    return areas


@kernel
def _enclosed(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Return the volume that a closed mesh encloses."""
    volume = 0.0
    for k in range(len(faces)):
        a, b, c = vertices[faces[k, 0]], vertices[faces[k, 1]], vertices[faces[k, 2]]
        volume += a[0] * (b[1] * c[2] - b[2] * c[1])
        volume += a[1] * (b[2] * c[0] - b[0] * c[2])
        volume += a[2] * (b[0] * c[1] - b[1] * c[0])
    return volume / 6.0


@kernel
def _largest_distance2(points: np.ndarray) -> float:
    """Return the square of the largest distance between points, the farthest from the origin first."""
    lengths = np.sqrt(points[:, 0] ** 2 + points[:, 1] ** 2 + points[:, 2] ** 2)
    order = np.argsort(-lengths)
    largest = 0.0
    for i in range(len(points)):
        z, y, x = points[order[i]]
        for j in range(i):
            reach = (lengths[order[i]] + lengths[order[j]]) * (1.0 + 1e-12)  # no distance exceeds it, rounded
            if reach * reach < largest:
                break
            dz, dy, dx = points[order[j], 0] - z, points[order[j], 1] - y, points[order[j], 2] - x
            largest = max(largest, dz * dz + dy * dy + dx * dx)
    return largest
