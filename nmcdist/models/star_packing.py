"""Star-shaped bodies in a periodic box, turned and moved apart until they overlap hardly.

The bodies are first packed as balls of their volumes. Then pairs are moved apart as far as a vertex of one surface
lies below the other surface, measured along the other's radius. Surfaces are tables of radii: one at the vertices of
an icosphere, and one on the faces of a cube, between whose nodes radii are linear.
"""

import math
from functools import lru_cache

import numpy as np

from nmcdist.geometry.sphere import (
    icosphere,
    order_of,
    real_spherical_harmonics,
    sphere_quadrature,
    star_bounds_of_many,
    sum_rows,
)
from nmcdist.jit import Int, kernel
from nmcdist.models.relaxation import near_pairs, offset, push_apart, wrap

TOLERANCE = 5e-3  # depth below another surface that is left, over the smaller radius of balls of equal volume
SWEEPS = 3000
_LEVEL = 3  # of the icosphere: vertices are 8 degrees apart
_NODES = 17  # along an edge of the cube
_BEYOND = 1e-3  # gap that a push leaves, over the smaller radius
_SKIN = 0.1  # pairs are listed up to this gap over the largest radius, until a body has moved by half of it


def turned(coefficients: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return the coefficients of turned bodies: a point x of a body moves to R x.

    The product of the turned radius function and a harmonic is a polynomial on the sphere, so a quadrature is exact.

    Parameters
    ----------
    coefficients : ndarray of float64, shape (n, (order + 1)^2)
    matrices : ndarray of float64, shape (n, 3, 3)
        Rotations R, of vectors ordered z, y, x.
    """
    order = order_of(coefficients)
    rule = sphere_quadrature(2 * order)
    harmonics = real_spherical_harmonics(rule.directions, order)
    found = np.empty_like(coefficients)
    for row, matrix, out in zip(coefficients, matrices, found, strict=True):
        # Written out, because the order in which BLAS adds depends on the machine.
        back = sum(rule.directions[:, k : k + 1] * matrix[k] for k in range(3))
        table = np.ascontiguousarray(real_spherical_harmonics(back, order).T)
        _project(row, table, harmonics, rule.weights, out)
    return found


def rotations(normal: np.ndarray) -> np.ndarray:
    """Return uniform rotations, shape (n, 3, 3), from standard normal numbers, shape (n, 4)."""
    matrices = np.empty((len(normal), 3, 3))
    _fill_rotations(normal, matrices)
    return matrices


def relax_stars(
    coefficients: np.ndarray, radius_nm: np.ndarray, centre_nm: np.ndarray, edges_nm: np.ndarray, sweeps: int = SWEEPS
) -> float:
    """Move star-shaped bodies in a periodic box apart, in place, until they overlap by no more than the tolerance.

    Parameters
    ----------
    coefficients : ndarray of float64, shape (n, (order + 1)^2)
    radius_nm : ndarray of float64, shape (n,)
        Radii of balls of the same volume.
    centre_nm : ndarray of float64, shape (n, 3)
        Star points; changed, in [0, edge) afterwards.
    edges_nm : ndarray of float64, shape (3,)
        At least the extent of the largest body.
    sweeps : int
        Sweeps at most.

    Returns
    -------
    float
        Largest depth of a vertex of a body below the surface of another one, over the smaller radius.
    """
    order = order_of(coefficients)
    vertices = icosphere(_LEVEL)[0]
    points, cube = (_radii(coefficients, directions, order) for directions in (vertices, _cube()))
    most = star_bounds_of_many(coefficients)[:, 1].copy()
    before = centre_nm.copy()
    skin = _SKIN * float(most.max())
    done, depth = 0, math.inf
    while done < sweeps and depth > TOLERANCE:
        wrap(centre_nm, edges_nm)
        pairs = near_pairs(centre_nm, most, edges_nm, skin)
        before[:] = centre_nm
        count, depth = _push(
            centre_nm, before, radius_nm, most, vertices, points, cube, edges_nm, pairs, skin, sweeps - done
        )  # fmt: skip
        done += count
    wrap(centre_nm, edges_nm)
    return depth


@lru_cache(maxsize=1)
def _cube() -> np.ndarray:
    """Return the directions of the nodes on the six faces of a cube, shape (6 nodes^2, 3)."""
    ticks = 2.0 * np.arange(_NODES) / (_NODES - 1) - 1.0
    u, v = np.meshgrid(ticks, ticks, indexing="ij")
    faces = []
    for axis in range(3):
        for sign in (1.0, -1.0):
            face = np.empty((_NODES, _NODES, 3))
            face[:, :, axis], face[:, :, (axis + 1) % 3], face[:, :, (axis + 2) % 3] = sign, u, v
            faces.append(face.reshape(-1, 3))
    return np.concatenate(faces)


def _radii(coefficients: np.ndarray, directions: np.ndarray, order: int) -> np.ndarray:
    table = np.ascontiguousarray(real_spherical_harmonics(directions, order).T)
    radii = np.empty((len(coefficients), len(directions)))
    for row, out in zip(coefficients, radii, strict=True):
        sum_rows(row, table, out)
    return radii


@kernel
def _project(row: np.ndarray, table: np.ndarray, harmonics: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    radii = np.empty(len(weights))
    sum_rows(row, table, radii)
    out[:] = 0.0
    for p in range(len(weights)):
        factor = weights[p] * radii[p]
        for k in range(len(out)):
            out[k] += factor * harmonics[p, k]


@kernel
def _fill_rotations(normal: np.ndarray, matrices: np.ndarray) -> None:
    """Write the matrices of the unit quaternions along vectors of four normal numbers."""
    for i in range(len(normal)):
        a, b, c, d = normal[i, 0], normal[i, 1], normal[i, 2], normal[i, 3]
        s = 2.0 / (a * a + b * b + c * c + d * d)
        m = matrices[i]
        m[0, 0], m[0, 1], m[0, 2] = 1.0 - s * (c * c + d * d), s * (b * c - d * a), s * (b * d + c * a)
        m[1, 0], m[1, 1], m[1, 2] = s * (b * c + d * a), 1.0 - s * (b * b + d * d), s * (c * d - b * a)
        m[2, 0], m[2, 1], m[2, 2] = s * (b * d - c * a), s * (c * d + b * a), 1.0 - s * (b * b + c * c)


@kernel
def _radius_towards(cube: np.ndarray, z: float, y: float, x: float) -> float:
    """Return a radius by linear interpolation on a face of the cube."""
    az, ay, ax = abs(z), abs(y), abs(x)
    if az >= ay and az >= ax:
        face, u, v = (0 if z > 0.0 else 1), y / az, x / az
    elif ay >= ax:
        face, u, v = (2 if y > 0.0 else 3), x / ay, z / ay
    else:
        face, u, v = (4 if x > 0.0 else 5), z / ax, y / ax
    cells = _NODES - 1
    u, v = 0.5 * (u + 1.0) * cells, 0.5 * (v + 1.0) * cells
    i, j = min(int(u), cells - 1), min(int(v), cells - 1)
    u, v = u - i, v - j
    at = (face * _NODES + i) * _NODES + j
    near = cube[at] * (1.0 - v) + cube[at + 1] * v
    far = cube[at + _NODES] * (1.0 - v) + cube[at + _NODES + 1] * v
    return near * (1.0 - u) + far * u


@kernel
def _depth(
    vertices: np.ndarray, points: np.ndarray, cube: np.ndarray, most: float, dz: float, dy: float, dx: float
) -> float:
    """Return how deep a vertex of one body lies at most below the surface of another one at an offset d, or 0."""
    deepest = 0.0
    distance = dz * dz + dy * dy + dx * dx
    for p in range(len(points)):
        r = points[p]
        along = vertices[p, 0] * dz + vertices[p, 1] * dy + vertices[p, 2] * dx
        square = r * r - 2.0 * r * along + distance
        if square >= most * most:
            continue
        z, y, x = r * vertices[p, 0] - dz, r * vertices[p, 1] - dy, r * vertices[p, 2] - dx
        length = math.sqrt(z * z + y * y + x * x)
        if length == 0.0:
            return most
        deepest = max(deepest, _radius_towards(cube, z, y, x) - length)
    return deepest


@kernel
def _push(
    centre: np.ndarray, before: np.ndarray, radius: np.ndarray, most: np.ndarray, vertices: np.ndarray,
    points: np.ndarray, cube: np.ndarray, edges: np.ndarray, pairs: np.ndarray, skin: float, sweeps: int,
) -> tuple[Int, float]:  # fmt: skip
    """Sweep until no pair overlaps, or a body has moved so far that pairs may be missing; return sweeps and depth."""
    depth = math.inf
    for sweep in range(sweeps):
        depth = _sweep(centre, radius, most, vertices, points, cube, edges, pairs, True)
        if depth <= TOLERANCE:
            depth = _sweep(centre, radius, most, vertices, points, cube, edges, pairs, False)
        far = 0.0
        for i in range(len(centre)):
            square = 0.0
            for a in range(3):
                square += (centre[i, a] - before[i, a]) * (centre[i, a] - before[i, a])
            far = max(far, square)
        if 4.0 * far > skin * skin:
            return sweep + 1, math.inf
        if depth <= TOLERANCE:
            return sweep + 1, depth
    return sweeps, depth


@kernel
def _sweep(
    centre: np.ndarray, radius: np.ndarray, most: np.ndarray, vertices: np.ndarray, points: np.ndarray,
    cube: np.ndarray, edges: np.ndarray, pairs: np.ndarray, push: bool,
) -> float:  # fmt: skip
    """Push pairs apart, and return the largest depth met, over the smaller radius; all periodic copies count."""
    deepest = 0.0
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        reach, least = most[i] + most[j], min(radius[i], radius[j])
        for copy in range(27):
            z, y, x, _ = offset(centre, edges, i, j)
            z += (copy // 9 - 1) * edges[0]
            y += (copy // 3 % 3 - 1) * edges[1]
            x += (copy % 3 - 1) * edges[2]
            square = z * z + y * y + x * x
            if square >= reach * reach:
                continue
            depth = max(
                _depth(vertices, points[i], cube[j], most[j], z, y, x),
                _depth(vertices, points[j], cube[i], most[i], -z, -y, -x),
            )
            deepest = max(deepest, depth / least)
            if push and depth > 0.0:
                push_apart(centre, i, j, z, y, x, depth + _BEYOND * least, radius[j] / (radius[i] + radius[j]))
    return deepest
