"""The unit sphere: real harmonics, meshes and quadrature on it, and star-shaped bodies with a radius in harmonics.

Components of points and directions are ordered z, y, x. The polar angle theta is measured from the z axis,
component 0, and the azimuth phi in the x-y plane from x, component 2, towards y, component 1. Y_lm is in column l^2 +
l + m; negative m go with sin(|m| phi), positive m with cos(m phi), without the sign (-1)^m.

Sums are taken in a fixed order, one direction at a time, so a value does not depend on the other directions.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.errors import InputError
from nmcdist.geometry.elementary import acos, sin_cos
from nmcdist.geometry.frames import lengths
from nmcdist.jit import Int, kernel

_BLOCK = 64  # points that a kernel evaluates side by side
_AREA_DEGREE = 81  # least degree of the rule for surface areas: within 2e-6 for shells of the NMC811 model
_WIDEST_STEP = 0.5  # largest angle, times the order, between a direction and the nearest vertex used for bounds
_SLACK = 1e-9  # relative; far above rounding


class Quadrature(NamedTuple):
    """Nodes and weights of a rule on the unit sphere.

    Attributes
    ----------
    directions : ndarray of float64, shape (n, 3)
        Unit vectors, ordered z, y, x.
    weights : ndarray of float64, shape (n,)
        They sum to 4 pi.
    """

    directions: np.ndarray
    weights: np.ndarray


class StarMoments(NamedTuple):
    """Integrals over star-shaped bodies and their surfaces, one row per body.

    Attributes
    ----------
    volume_nm3, area_nm2 : ndarray of float64, shape (n,)
    centre_nm : ndarray of float64, shape (n, 3)
        Centres of mass.
    covariance_nm2 : ndarray of float64, shape (n, 3, 3)
        Second moments about the centre of mass, over the volume.
    """

    volume_nm3: np.ndarray
    area_nm2: np.ndarray
    centre_nm: np.ndarray
    covariance_nm2: np.ndarray


def real_spherical_harmonics(directions: np.ndarray, order: int = 9) -> np.ndarray:
    """Return the real orthonormal spherical harmonics up to an order, Eq. (2) of the NMC811 paper.

    Parameters
    ----------
    directions : ndarray, shape (n, 3)
        Non-zero vectors of any length, ordered z, y, x.
    order : int

    Returns
    -------
    ndarray of float64, shape (n, (order + 1)^2)
        Y_lm in column l^2 + l + m.

    Raises
    ------
    InputError
        If a direction is zero or not finite, a shape is wrong, or the order is not a whole number >= 0.
    """
    order = _check_order(order)
    units = unit_vectors(directions)
    values = np.empty((len(units), (order + 1) ** 2))
    _fill_harmonics(units, *_recurrence(order), values)
    return values


def real_spherical_harmonic_gradients(directions: np.ndarray, order: int = 9) -> np.ndarray:
    """Return the gradients of the harmonics along the unit sphere.

    Parameters
    ----------
    directions : ndarray, shape (n, 3)
        As for :func:`real_spherical_harmonics`.
    order : int

    Returns
    -------
    ndarray of float64, shape (n, (order + 1)^2, 3)
        Tangent vectors, ordered z, y, x.

    Raises
    ------
    InputError
        As :func:`real_spherical_harmonics`.
    """
    order = _check_order(order)
    units = unit_vectors(directions)
    gradients = np.empty((len(units), (order + 1) ** 2, 3))
    _fill_gradients(units, *_recurrence(order), gradients)
    return gradients


def unit_vectors(directions: np.ndarray) -> np.ndarray:
    """Return directions at unit length.

    Parameters
    ----------
    directions : ndarray, shape (n, 3)

    Returns
    -------
    ndarray of float64, shape (n, 3)

    Raises
    ------
    InputError
        If a direction is zero or not finite, or the shape is wrong.
    """
    vectors = finite_array("directions", directions, ("n", 3))
    length = lengths(vectors)
    if not np.all(length > 0):
        raise InputError("directions: found a vector of length zero, expected none")
    return np.asarray(vectors / length[:, None])


def check_coefficients(coefficients: Any, name: str = "coefficients") -> np.ndarray:
    """Return coefficients as a contiguous float64 array of shape (n, (order + 1)^2), one row per body, or raise."""
    rows = finite_array(name, coefficients, ("n", "(order + 1)^2"))
    if rows.shape[1] == 0 or math.isqrt(rows.shape[1]) ** 2 != rows.shape[1]:
        raise InputError(f"{name}: found {rows.shape[1]} of a body, expected a square number, (order + 1)^2")
    return rows


@lru_cache(maxsize=8)
def icosphere(level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the icosahedron with each triangle split into four `level` times, and all vertices on the unit sphere.

    Parameters
    ----------
    level : int
        642 vertices at level 3.

    Returns
    -------
    vertices : ndarray of float64, shape (10 * 4^level + 2, 3)
        Read-only.
    faces : ndarray of int32, shape (20 * 4^level, 3)
        Read-only. Outward in the order of the columns: det(v0, v1, v2) > 0. If the columns are reordered to x, y, z,
        triangles must be reversed too.

    Raises
    ------
    InputError
        If the level is not a whole number from 0 to 9.
    """
    if isinstance(level, bool) or not isinstance(level, int | np.integer) or not 0 <= level <= 9:
        raise InputError(f"level: found {level!r}, expected a whole number from 0 to 9")
    vertices, faces = _icosahedron()
    for _ in range(level):
        vertices, faces = _split(vertices, faces)
    vertices.setflags(write=False)
    faces.setflags(write=False)
    return vertices, faces


@lru_cache(maxsize=8)
def sphere_quadrature(degree: int) -> Quadrature:
    """Return a rule that integrates polynomials up to a degree over the unit sphere exactly.

    The rule is Gauss-Legendre in z times the trapezoidal rule in phi; no node is a pole.

    Parameters
    ----------
    degree : int

    Returns
    -------
    Quadrature
        (degree // 2 + 1) (degree + 1) nodes, read-only.

    Raises
    ------
    InputError
        If the degree is not a whole number >= 0.
    """
    degree = _check_order(degree, "degree")
    heights, weights = _gauss_legendre(degree // 2 + 1)
    turns = degree + 1
    angles = [2 * math.pi * k / turns for k in range(turns)]
    circle = np.array([sin_cos(a) for a in angles])
    directions = np.empty((len(heights), turns, 3))
    directions[:, :, 0] = heights[:, None]
    directions[:, :, 1:] = np.sqrt((1 - heights) * (1 + heights))[:, None, None] * circle
    rule = Quadrature(directions.reshape(-1, 3), np.repeat(weights * (2 * math.pi / turns), turns))
    for part in rule:
        part.setflags(write=False)
    return rule


@lru_cache(maxsize=8)
def icosphere_harmonics(level: int, order: int = 9) -> np.ndarray:
    """Return the harmonics at the vertices of an icosphere, read-only, shape ((order + 1)^2, vertices)."""
    return _transposed(real_spherical_harmonics(icosphere(level)[0], order))


def star_radii(coefficients: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return the radius P of a star-shaped body in directions, Eq. (3) of the NMC811 paper.

    Parameters
    ----------
    coefficients : ndarray, shape ((order + 1)^2,)
        Coefficients of the real harmonics.
    directions : ndarray, shape (n, 3)
        Vectors other than zero, ordered z, y, x.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    InputError
        As :func:`real_spherical_harmonics`.
    """
    row = _one(coefficients)
    units = unit_vectors(directions)
    radii = np.empty(len(units))
    _sum_at(units, row, *_recurrence(order_of(row)), radii)
    return radii


def star_contains(
    coefficients: np.ndarray, points: np.ndarray, bounds: tuple[float, float] | None = None
) -> np.ndarray:
    """Return which points lie in a star-shaped body or on its surface: |x| <= P(x / |x|).

    Parameters
    ----------
    coefficients : ndarray, shape ((order + 1)^2,)
    points : ndarray, shape (n, 3)
        Relative to the star point, ordered z, y, x.
    bounds : tuple of float, optional
        Result of :func:`star_bounds`, if known.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    InputError
        If a shape is wrong or a value is not finite.
    """
    row = _one(coefficients)
    points = finite_array("points", points, ("n", 3))
    low, high = bounds or star_bounds(row)
    inside = np.empty(len(points), dtype=np.bool_)
    _contains_points(points, row, *_recurrence(order_of(row)), low, high, inside)
    return inside


def star_contains_grid(
    coefficients: np.ndarray,
    z: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    bounds: tuple[float, float] | None = None,
) -> np.ndarray:
    """Return which points of a grid lie in a star-shaped body, like :func:`star_contains` without a list of points.

    Parameters
    ----------
    coefficients : ndarray, shape ((order + 1)^2,)
    z, y, x : ndarray, shapes (nz,), (ny,), (nx,)
        Coordinates along the axes, relative to the star point.
    bounds : tuple of float, optional
        Result of :func:`star_bounds`, if known.

    Returns
    -------
    ndarray of bool, shape (nz, ny, nx)

    Raises
    ------
    InputError
        If a shape is wrong or a value is not finite.
    """
    row = _one(coefficients)
    z, y, x = (finite_array(name, axis, ("n",)) for name, axis in (("z", z), ("y", y), ("x", x)))
    low, high = bounds or star_bounds(row)
    inside = np.empty((len(z), len(y), len(x)), dtype=np.bool_)
    _contains_grid(z, y, x, row, *_recurrence(order_of(row)), low, high, inside)
    return inside


def star_bounds(coefficients: np.ndarray) -> tuple[float, float]:
    """Return a lower and an upper bound on the radius of a star-shaped body over all directions.

    Along a great circle, P - c is a trigonometric polynomial of degree at most L. If its largest modulus M is at
    angle 0, its modulus at an angle t <= pi / L is at least M cos(L t) (M. Riesz). So M is at most the largest
    modulus at the vertices of an icosphere over cos(L h), if every direction has a vertex within the angle h.

    Parameters
    ----------
    coefficients : ndarray, shape ((order + 1)^2,)

    Returns
    -------
    low, high : float
        In the unit of the coefficients.

    Raises
    ------
    InputError
        If the coefficients have a wrong shape or are not finite.
    """
    row = _one(coefficients)
    radii = star_radii(row, icosphere(_bounding_level(order_of(row))[0])[0])
    low, high = _bounds(radii.min(), radii.max(), order_of(row))
    return float(low), float(high)


def star_bounds_of_many(coefficients: np.ndarray) -> np.ndarray:
    """Return the results of :func:`star_bounds` for many bodies at once, except for rounding.

    Parameters
    ----------
    coefficients : ndarray, shape (n, (order + 1)^2)

    Returns
    -------
    ndarray of float64, shape (n, 2)

    Raises
    ------
    InputError
        If the coefficients have a wrong shape or are not finite.
    """
    rows = check_coefficients(coefficients)
    order = order_of(rows)
    harmonics = icosphere_harmonics(_bounding_level(order)[0], order)
    extremes = np.empty((len(rows), 2))
    _extremes(rows, harmonics, extremes)
    return np.column_stack(_bounds(extremes[:, 0], extremes[:, 1], order))


def star_volumes(coefficients: np.ndarray) -> np.ndarray:
    """Return the volumes of star-shaped bodies, exactly: the integral of P^3 / 3 over directions.

    Parameters
    ----------
    coefficients : ndarray, shape (n, (order + 1)^2)

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    InputError
        If the coefficients have a wrong shape or are not finite.
    """
    rows = check_coefficients(coefficients)
    volumes = np.empty(len(rows))
    _volumes(rows, *volume_rule(order_of(rows)), volumes)
    return volumes


def star_moments(coefficients: np.ndarray) -> StarMoments:
    """Return volume, surface area, centre of mass and covariance of star-shaped bodies.

    Volume and moments are exact, as powers of P are polynomials. The area, the integral of
    P sqrt(P^2 + |grad P|^2), converges faster than any power of the number of nodes.

    Parameters
    ----------
    coefficients : ndarray, shape (n, (order + 1)^2)

    Returns
    -------
    StarMoments

    Raises
    ------
    InputError
        If the coefficients have a wrong shape or are not finite.
    """
    rows = check_coefficients(coefficients)
    sums = np.empty((len(rows), 11))
    directions, weights, harmonics, towards_theta, towards_phi = _moment_rule(order_of(rows))
    _moments(rows, directions, weights, harmonics, towards_theta, towards_phi, sums)
    volume = sums[:, 0]
    centre = sums[:, 2:5] / volume[:, None]
    about_star_point = sums[:, [5, 6, 7, 6, 8, 9, 7, 9, 10]].reshape(-1, 3, 3) / volume[:, None, None]
    covariance = about_star_point - centre[:, :, None] * centre[:, None, :]
    return StarMoments(volume.copy(), sums[:, 1].copy(), centre, covariance)


@lru_cache(maxsize=4)
def volume_rule(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the harmonics, shape ((order + 1)^2, nodes), and weights of the rule that is exact for P^3."""
    rule = sphere_quadrature(3 * order)
    return _transposed(real_spherical_harmonics(rule.directions, order)), rule.weights


def order_of(coefficients: np.ndarray) -> int:
    """Return the order L of rows of (L + 1)^2 coefficients."""
    return math.isqrt(coefficients.shape[-1]) - 1


@lru_cache(maxsize=4)
def _moment_rule(order: int) -> tuple[np.ndarray, ...]:
    """Return nodes, weights, harmonics and their derivatives towards theta and phi, for P^5 u u and the area."""
    rule = sphere_quadrature(max(9 * order, _AREA_DEGREE))
    gradients = real_spherical_harmonic_gradients(rule.directions, order)
    z, y, x = rule.directions.T
    s = np.sqrt(x * x + y * y)
    towards_theta = np.column_stack([-s, z * y / s, z * x / s])
    towards_phi = np.column_stack([np.zeros_like(z), x / s, -y / s])
    # Written out, because the order in which BLAS adds depends on the machine and the number of threads.
    slopes = [
        _transposed(sum(gradients[:, :, k] * tangent[:, k : k + 1] for k in range(3)))
        for tangent in (towards_theta, towards_phi)
    ]
    harmonics = _transposed(real_spherical_harmonics(rule.directions, order))
    return (np.ascontiguousarray(rule.directions.T), rule.weights, harmonics, *slopes)


def _bounds(least: Any, most: Any, order: int) -> tuple[Any, Any]:
    """Return the bounds of radius functions from their extremes at the vertices of the bounding icosphere."""
    middle = (most + least) / 2
    reach = np.maximum(most - middle, middle - least) / sin_cos(order * _bounding_level(order)[1])[1]
    slack = _SLACK * (np.abs(middle) + reach)
    return middle - reach - slack, middle + reach + slack


@kernel
def _extremes(rows: np.ndarray, harmonics: np.ndarray, extremes: np.ndarray) -> None:
    """Find the least and the largest value of each series; `harmonics` has one row per function."""
    values = np.empty(harmonics.shape[1])
    for i in range(len(rows)):
        values[:] = rows[i, 0] * harmonics[0]
        for k in range(1, rows.shape[1]):
            c = rows[i, k]
            for v in range(len(values)):
                values[v] += c * harmonics[k, v]
        extremes[i, 0], extremes[i, 1] = values.min(), values.max()


@lru_cache(maxsize=8)
def _bounding_level(order: int) -> tuple[int, float]:
    """Return a level of icosphere fine enough to bound a radius function, and its covering angle."""
    level = 3
    while order * _covering_angle(level) > _WIDEST_STEP:
        level += 1
    return level, _covering_angle(level)


@lru_cache(maxsize=8)
def _covering_angle(level: int) -> float:
    """Return an angle within which every direction has a vertex: the widest circumcircle of a triangle."""
    vertices, faces = icosphere(level)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    cosine = np.abs((normal * a).sum(axis=1)) / lengths(normal)
    return float(acos(min(1.0, float(cosine.min())))) * (1 + _SLACK)


def _one(coefficients: Any) -> np.ndarray:
    return np.asarray(check_coefficients(finite_array("coefficients", coefficients, ("(order + 1)^2",))[None])[0])


def _check_order(order: Any, name: str = "order") -> int:
    if isinstance(order, bool) or not isinstance(order, int | np.integer) or order < 0:
        raise InputError(f"{name}: found {order!r}, expected a whole number from 0")
    return int(order)


def _transposed(table: np.ndarray) -> np.ndarray:
    """Return a table with the direction as the last, contiguous index, the innermost loop of kernels."""
    turned = np.ascontiguousarray(table.T)
    turned.setflags(write=False)
    return turned


def _icosahedron() -> tuple[np.ndarray, np.ndarray]:
    g = (1 + math.sqrt(5)) / 2
    corners = np.array([(0.0, s, t * g) for s in (-1, 1) for t in (-1, 1)])
    vertices = np.concatenate([np.roll(corners, k, axis=1) for k in range(3)]) / math.sqrt(1 + g * g)
    near = ((vertices[:, None] - vertices) ** 2).sum(axis=2) < 1.5 * 4 / (1 + g * g)
    faces = [
        (i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]
    ]  # fmt: skip
    outward = [f if _is_outward(*vertices[list(f)]) else f[::-1] for f in faces]
    return vertices, np.array(outward, dtype=np.int32)


def _is_outward(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> bool:
    return bool((a * np.cross(b, c)).sum() > 0)


def _split(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, number = np.unique(edges, axis=0, return_inverse=True)
    middles = vertices[edges[:, 0]] + vertices[edges[:, 1]]
    middles /= lengths(middles)[:, None]
    a, b, c = faces.T
    ab, bc, ca = (len(vertices) + number.reshape(-1, 3)).T.astype(np.int32)
    parts = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    finer = np.concatenate([np.column_stack(part) for part in parts])
    return np.concatenate([vertices, middles]), finer


def _gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    nodes = np.array([-sin_cos(math.pi * (k + 0.75) / (n + 0.5))[1] for k in range(n)])
    weights = np.empty(n)
    _polish_legendre(nodes, weights)
    return nodes, weights


@lru_cache(maxsize=8)
def _recurrence(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return diagonal q_m, shape (order + 1,), and factors a, b of index (m, l) of a stable recurrence.

    Q_lm = a z Q_(l-1)m - b Q_(l-2)m from Q_mm = q_m, where Y_lm = Q_lm(z) Re or Im (x + i y)^|m|
    (Holmes and Featherstone 2002, Eqs. (11)-(13), without the power of sin theta, so that poles are not special).
    """
    diagonal = np.empty(order + 1)
    diagonal[0] = 1 / math.sqrt(4 * math.pi)
    for m in range(1, order + 1):
        diagonal[m] = diagonal[m - 1] * math.sqrt((2 * m + 1) / (2 * m) if m > 1 else 3.0)
    a, b = np.zeros((2, order + 1, order + 1))
    for m in range(order + 1):
        for n in range(m + 1, order + 1):
            a[m, n] = math.sqrt((2 * n - 1) * (2 * n + 1) / ((n - m) * (n + m)))
            if n > m + 1:
                b[m, n] = math.sqrt((2 * n + 1) * (n + m - 1) * (n - m - 1) / ((n - m) * (n + m) * (2 * n - 3)))
    return diagonal, a, b


@kernel
def sum_rows(row: np.ndarray, harmonics: np.ndarray, values: np.ndarray) -> None:
    """Write the products of one body's coefficients and a table ((order + 1)^2, n) of harmonics to values, (n,)."""
    values[:] = 0.0
    for k in range(len(row)):
        factor = row[k]
        line = harmonics[k]
        for p in range(len(values)):
            values[p] += factor * line[p]


@kernel
def volume_from_radii(radii: np.ndarray, weights: np.ndarray) -> float:
    """Return the volume of one body from its radii at the nodes of :func:`volume_rule`."""
    volume = 0.0
    for p in range(len(weights)):
        volume += weights[p] * radii[p] * radii[p] * radii[p]
    return volume / 3.0


@kernel
def _polish_legendre(nodes: np.ndarray, weights: np.ndarray) -> None:
    n = len(nodes)
    for k in range(n):
        x = nodes[k]
        slope = 1.0
        for _ in range(100):
            before, value = 1.0, x
            for degree in range(2, n + 1):
                before, value = value, ((2 * degree - 1) * x * value - (degree - 1) * before) / degree
            slope = n * (before - x * value) / ((1.0 - x) * (1.0 + x))
            step = value / slope
            x -= step
            if abs(step) < 1e-15:
                break
        nodes[k] = x
        weights[k] = 2.0 / ((1.0 - x) * (1.0 + x) * slope * slope)


@kernel
def _fill_harmonics(units: np.ndarray, diagonal: np.ndarray, a: np.ndarray, b: np.ndarray, values: np.ndarray) -> None:
    order = len(diagonal) - 1
    for p in range(len(units)):
        z, y, x = units[p]
        c, s = 1.0, 0.0
        for m in range(order + 1):
            q, before = diagonal[m], 0.0
            for n in range(m, order + 1):
                if n > m:
                    q, before = a[m, n] * z * q - b[m, n] * before, q
                centre = n * n + n
                if m > 0:
                    values[p, centre - m] = q * s
                values[p, centre + m] = q * c
            c, s = c * x - s * y, s * x + c * y


@kernel
def _fill_gradients(
    units: np.ndarray, diagonal: np.ndarray, a: np.ndarray, b: np.ndarray, gradients: np.ndarray
) -> None:
    order = len(diagonal) - 1
    for p in range(len(units)):
        z, y, x = units[p]
        c, s, c_less, s_less = 1.0, 0.0, 0.0, 0.0
        for m in range(order + 1):
            q, before, dq, d_before = diagonal[m], 0.0, 0.0, 0.0
            for n in range(m, order + 1):
                if n > m:
                    dq, d_before = a[m, n] * (q + z * dq) - b[m, n] * d_before, dq
                    q, before = a[m, n] * z * q - b[m, n] * before, q
                centre = n * n + n
                if m > 0:
                    _tangent(dq * s, q * m * c_less, q * m * s_less, z, y, x, gradients[p, centre - m])
                _tangent(dq * c, -q * m * s_less, q * m * c_less, z, y, x, gradients[p, centre + m])
            c_less, s_less = c, s
            c, s = c * x - s * y, s * x + c * y


@kernel
def _tangent(gz: float, gy: float, gx: float, z: float, y: float, x: float, out: np.ndarray) -> None:
    along = gz * z + gy * y + gx * x
    out[0], out[1], out[2] = gz - along * z, gy - along * y, gx - along * x


@kernel
def _sum_block(
    n: Int, z: np.ndarray, y: np.ndarray, x: np.ndarray, row: np.ndarray, diagonal: np.ndarray, a: np.ndarray,
    b: np.ndarray, work: np.ndarray, total: np.ndarray,
) -> None:  # fmt: skip
    """Sum the harmonics at the first n of a block of unit vectors; their loops are the innermost."""
    order = len(diagonal) - 1
    c, s, q, before, with_c, with_s = work[0], work[1], work[2], work[3], work[4], work[5]
    for p in range(n):
        c[p], s[p], total[p] = 1.0, 0.0, 0.0
    for m in range(order + 1):
        centre = m * m + m
        for p in range(n):
            q[p], before[p] = diagonal[m], 0.0
            with_c[p], with_s[p] = row[centre + m] * diagonal[m], row[centre - m] * diagonal[m]
        for degree in range(m + 1, order + 1):
            centre = degree * degree + degree
            f, g = a[m, degree], b[m, degree]
            r_c, r_s = row[centre + m], row[centre - m]
            for p in range(n):
                following = f * z[p] * q[p] - g * before[p]
                before[p] = q[p]
                q[p] = following
                with_c[p] += r_c * following
                with_s[p] += r_s * following
        for p in range(n):
            total[p] += with_c[p] * c[p] + with_s[p] * s[p]
            turned = c[p] * x[p] - s[p] * y[p]
            s[p] = s[p] * x[p] + c[p] * y[p]
            c[p] = turned


@kernel
def _sum_at(
    units: np.ndarray, row: np.ndarray, diagonal: np.ndarray, a: np.ndarray, b: np.ndarray, radii: np.ndarray
) -> None:
    work, total = np.empty((9, _BLOCK)), np.empty(_BLOCK)
    for start in range(0, len(units), _BLOCK):
        n = min(_BLOCK, len(units) - start)
        for p in range(n):
            for k in range(3):
                work[6 + k, p] = units[start + p, k]
        _sum_block(n, work[6], work[7], work[8], row, diagonal, a, b, work, total)
        for p in range(n):
            radii[start + p] = total[p]


@kernel
def _settle_block(
    n: Int, places: np.ndarray, distance: np.ndarray, row: np.ndarray, diagonal: np.ndarray, a: np.ndarray,
    b: np.ndarray, work: np.ndarray, total: np.ndarray, inside: np.ndarray,
) -> None:  # fmt: skip
    _sum_block(n, work[6], work[7], work[8], row, diagonal, a, b, work, total)
    for p in range(n):
        inside[places[p]] = distance[p] <= total[p]


@kernel
def _contains_points(
    points: np.ndarray, row: np.ndarray, diagonal: np.ndarray, a: np.ndarray, b: np.ndarray, low: float, high: float,
    inside: np.ndarray,
) -> None:  # fmt: skip
    work, total, distance = np.empty((9, _BLOCK)), np.empty(_BLOCK), np.empty(_BLOCK)
    places, n = np.empty(_BLOCK, np.int64), np.int64(0)  # with a plain 0, the blocks would be compiled twice
    for i in range(len(points)):
        z, y, x = points[i, 0], points[i, 1], points[i, 2]
        r = np.sqrt(z * z + y * y + x * x)
        if r > high or r < low or r == 0.0:
            inside[i] = r <= high
            continue
        places[n], distance[n], work[6, n], work[7, n], work[8, n] = i, r, z / r, y / r, x / r
        n += 1
        if n == _BLOCK:
            _settle_block(n, places, distance, row, diagonal, a, b, work, total, inside)
            n = np.int64(0)
    _settle_block(n, places, distance, row, diagonal, a, b, work, total, inside)


@kernel
def _contains_grid(
    zs: np.ndarray, ys: np.ndarray, xs: np.ndarray, row: np.ndarray, diagonal: np.ndarray, a: np.ndarray,
    b: np.ndarray, low: float, high: float, inside: np.ndarray,
) -> None:  # fmt: skip
    work, total, distance = np.empty((9, _BLOCK)), np.empty(_BLOCK), np.empty(_BLOCK)
    places, n = np.empty(_BLOCK, np.int64), np.int64(0)  # with a plain 0, the blocks would be compiled twice
    flat = inside.reshape(-1)
    i = -1
    for z in zs:
        for y in ys:
            for x in xs:
                i += 1
                r = np.sqrt(z * z + y * y + x * x)
                if r > high or r < low or r == 0.0:
                    flat[i] = r <= high
                    continue
                places[n], distance[n], work[6, n], work[7, n], work[8, n] = i, r, z / r, y / r, x / r
                n += 1
                if n == _BLOCK:
                    _settle_block(n, places, distance, row, diagonal, a, b, work, total, flat)
                    n = np.int64(0)
    _settle_block(n, places, distance, row, diagonal, a, b, work, total, flat)


@kernel
def _volumes(rows: np.ndarray, harmonics: np.ndarray, weights: np.ndarray, volumes: np.ndarray) -> None:
    radii = np.empty(len(weights))
    for i in range(len(rows)):
        sum_rows(rows[i], harmonics, radii)
        volumes[i] = volume_from_radii(radii, weights)


@kernel
def _moments(
    rows: np.ndarray, directions: np.ndarray, weights: np.ndarray, harmonics: np.ndarray, theta: np.ndarray,
    phi: np.ndarray, sums: np.ndarray,
) -> None:  # fmt: skip
    n = len(weights)
    radii, d_theta, d_phi = np.empty(n), np.empty(n), np.empty(n)
    uz, uy, ux = directions[0], directions[1], directions[2]
    for i in range(len(rows)):
        sum_rows(rows[i], harmonics, radii)
        sum_rows(rows[i], theta, d_theta)
        sum_rows(rows[i], phi, d_phi)
        total = sums[i]
        total[:] = 0.0
        for p in range(n):
            r, w = radii[p], weights[p]
            third = w * r * r * r / 3.0
            total[0] += third
            total[1] += w * r * np.sqrt(r * r + d_theta[p] * d_theta[p] + d_phi[p] * d_phi[p])
            fourth = third * r * 0.75
            total[2] += fourth * uz[p]
            total[3] += fourth * uy[p]
            total[4] += fourth * ux[p]
            fifth = fourth * r * 0.8
            total[5] += fifth * uz[p] * uz[p]
            total[6] += fifth * uz[p] * uy[p]
            total[7] += fifth * uz[p] * ux[p]
            total[8] += fifth * uy[p] * uy[p]
            total[9] += fifth * uy[p] * ux[p]
            total[10] += fifth * ux[p] * ux[p]
