"""Harmonics, meshes and quadrature of the sphere, and star-shaped bodies, refereed by closed forms and scipy."""

import itertools
import math

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from scipy.integrate import quad
from scipy.special import gamma, sph_harm_y

from nmcdist.errors import InputError
from nmcdist.geometry import sphere

RNG = np.random.default_rng(20250)
DIRECTIONS = sphere.unit_vectors(RNG.standard_normal((200, 3)))
POLES = np.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0]])


def by_scipy(units, order):
    z, y, x = units.T
    theta, phi = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    values = np.empty((len(units), (order + 1) ** 2))
    for degree in range(order + 1):
        for m in range(-degree, degree + 1):
            complex_value = sph_harm_y(degree, abs(m), theta, phi) * (-1) ** m
            real = math.sqrt(2) * (complex_value.imag if m < 0 else complex_value.real)
            values[:, degree * degree + degree + m] = real if m else complex_value.real
    return values


def some_body(rng, roughness=0.1, order=9):
    degree = np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)
    row = rng.standard_normal((order + 1) ** 2) * roughness / (1 + degree)
    row[0] = math.sqrt(4 * math.pi)
    return row * 3000.0


def projected(radius, order):
    """Project a radius function on the harmonics."""
    rule = sphere.sphere_quadrature(4 * order)
    return (sphere.real_spherical_harmonics(rule.directions, order).T * rule.weights) @ radius(rule.directions)


def ellipsoid(half_axes, order):
    return projected(lambda u: 1 / np.sqrt(((u / half_axes) ** 2).sum(axis=1)), order)


def ellipsoid_area(a, b, c):
    return quad(
        lambda t: 4 * quad(
            lambda p: math.sqrt(
                (1 - t * t) * (a * a * b * b * t * t / (1 - t * t) + c * c * (
                    (b * math.cos(p)) ** 2 + (a * math.sin(p)) ** 2))
            ), 0, math.pi / 2,
        )[0], -1, 1,
    )[0]  # fmt: skip


def on_mesh(row, level):
    """Volume and area of the polyhedron on an icosphere."""
    directions, faces = sphere.icosphere(level)
    a, b, c = np.moveaxis((directions * sphere.star_radii(row, directions)[:, None])[faces], 1, 0)
    normal = np.cross(b - a, c - a)
    return (normal * a).sum() / 6, np.sqrt((normal**2).sum(axis=1)).sum() / 2


# Harmonics


@pytest.mark.parametrize("order", [0, 1, 9, 60])
def test_harmonics_are_those_of_scipy(order):
    units = np.concatenate([DIRECTIONS, POLES])
    np.testing.assert_allclose(sphere.real_spherical_harmonics(units, order), by_scipy(units, order), atol=2e-12)


def test_first_harmonics_lie_along_y_z_and_x():
    values = sphere.real_spherical_harmonics(DIRECTIONS, 1)
    np.testing.assert_allclose(values[:, 0], 1 / math.sqrt(4 * math.pi))
    np.testing.assert_allclose(values[:, 1:], math.sqrt(3 / (4 * math.pi)) * DIRECTIONS[:, [1, 0, 2]], atol=1e-15)


@pytest.mark.parametrize("order", [9, 30])
def test_harmonics_are_orthonormal(order):
    rule = sphere.sphere_quadrature(2 * order)
    values = sphere.real_spherical_harmonics(rule.directions, order)
    np.testing.assert_allclose((values.T * rule.weights) @ values, np.eye((order + 1) ** 2), atol=1e-13)


def test_squares_of_a_degree_sum_to_a_constant_even_at_high_order():
    values = sphere.real_spherical_harmonics(np.concatenate([DIRECTIONS[:20], POLES]), 150) ** 2
    for degree in (0, 1, 9, 75, 150):
        total = values[:, degree**2 : (degree + 1) ** 2].sum(axis=1)
        np.testing.assert_allclose(total, (2 * degree + 1) / (4 * math.pi), rtol=1e-11)


def test_lengths_of_directions_do_not_matter():
    far = DIRECTIONS * RNG.uniform(0.01, 1e5, (len(DIRECTIONS), 1))
    np.testing.assert_allclose(
        sphere.real_spherical_harmonics(far), sphere.real_spherical_harmonics(DIRECTIONS), atol=1e-13
    )


def test_gradients_are_tangent_and_equal_central_differences():
    units = np.concatenate([DIRECTIONS[:50], POLES])
    gradients = sphere.real_spherical_harmonic_gradients(units)
    np.testing.assert_allclose(np.einsum("nki,ni->nk", gradients, units), 0, atol=1e-13)
    step = 1e-5
    for axis in np.eye(3):
        difference = sphere.real_spherical_harmonics(units + step * axis) - sphere.real_spherical_harmonics(
            units - step * axis
        )
        np.testing.assert_allclose(gradients @ axis, difference / (2 * step), atol=1e-7)


def test_squared_gradients_of_a_degree_sum_to_a_constant():
    squares = (sphere.real_spherical_harmonic_gradients(np.concatenate([DIRECTIONS, POLES])) ** 2).sum(axis=2)
    for degree in range(10):
        total = squares[:, degree**2 : (degree + 1) ** 2].sum(axis=1)
        np.testing.assert_allclose(total, degree * (degree + 1) * (2 * degree + 1) / (4 * math.pi), atol=1e-11)


# Meshes and quadrature


@pytest.mark.parametrize("level", range(5))
def test_icosphere_is_a_closed_surface_oriented_outwards(level):
    vertices, faces = sphere.icosphere(level)
    assert vertices.shape == (10 * 4**level + 2, 3)
    assert faces.shape == (20 * 4**level, 3)
    np.testing.assert_allclose((vertices**2).sum(axis=1), 1)
    assert (np.linalg.det(vertices[faces]) > 0).all()
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    there, back = ({tuple(edge) for edge in way} for way in (edges.tolist(), edges[:, ::-1].tolist()))
    assert there == back
    assert len(there) == len(edges) == 2 * (len(vertices) + len(faces) - 2)


def test_paper_has_642_directions():
    assert len(sphere.icosphere(3)[0]) == 642


def test_volume_of_icospheres_tends_to_that_of_the_ball():
    # The deficit falls by four from level to level.
    deficits = [4 * math.pi / 3 - np.linalg.det(v[f]).sum() / 6 for v, f in map(sphere.icosphere, (4, 5))]
    assert 3.98 < deficits[0] / deficits[1] < 4.02


def test_every_direction_has_a_vertex_within_the_covering_angle():
    vertices, faces = sphere.icosphere(3)
    middles = vertices[faces].sum(axis=1)
    units = np.concatenate([DIRECTIONS, middles / np.linalg.norm(middles, axis=1, keepdims=True)])
    nearest = np.arccos((units @ vertices.T).max(axis=1))
    assert 0.98 * sphere._covering_angle(3) < nearest.max() <= sphere._covering_angle(3)


@pytest.mark.parametrize("degree", [0, 1, 2, 7, 12])
def test_quadrature_is_exact_for_all_monomials_up_to_its_degree(degree):
    directions, weights = sphere.sphere_quadrature(degree)
    for powers in itertools.product(range(degree + 1), repeat=3):
        if sum(powers) <= degree:
            # Folland (2001), doi:10.1080/00029890.2001.11919774.
            half = [(p + 1) / 2 for p in powers]
            exact = 2 * math.prod(map(gamma, half)) / gamma(sum(half)) if not any(p % 2 for p in powers) else 0.0
            np.testing.assert_allclose((directions**powers).prod(axis=1) @ weights, exact, atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 5, 14, 64])
def test_gauss_legendre_nodes_and_weights_are_those_of_numpy(n):
    nodes, weights = sphere._gauss_legendre(n)
    expected_nodes, expected_weights = np.polynomial.legendre.leggauss(n)
    np.testing.assert_allclose(nodes, expected_nodes, atol=1e-15)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-14)


def test_shared_tables_are_read_only():
    for table in (*sphere.icosphere(2), *sphere.sphere_quadrature(3), sphere.icosphere_harmonics(3)):
        with pytest.raises(ValueError, match="read-only"):
            table.flat[0] = 1


# Star-shaped bodies


def test_radius_is_the_sum_of_harmonics():
    row = some_body(RNG)
    np.testing.assert_allclose(sphere.star_radii(row, DIRECTIONS * 7), by_scipy(DIRECTIONS, 9) @ row, rtol=1e-13)


def test_a_direction_has_the_same_radius_bit_for_bit_alone_and_among_others():
    row = some_body(RNG)
    together = sphere.star_radii(row, DIRECTIONS)
    for size in (1, 3, 63, 64, 65):
        parts = [sphere.star_radii(row, DIRECTIONS[k : k + size]) for k in range(0, len(DIRECTIONS), size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)


def test_ball_has_its_volume_area_and_moments():
    row = np.zeros(100)
    row[0] = 5.0 * math.sqrt(4 * math.pi)
    moments = sphere.star_moments([row])
    np.testing.assert_allclose(moments.volume_nm3, 4 * math.pi / 3 * 125)
    np.testing.assert_allclose(moments.area_nm2, 4 * math.pi * 25)
    np.testing.assert_allclose(moments.centre_nm, 0, atol=1e-13)
    np.testing.assert_allclose(moments.covariance_nm2[0], 5 * np.eye(3), atol=1e-12)
    np.testing.assert_allclose(sphere.star_volumes([row]), 4 * math.pi / 3 * 125)
    np.testing.assert_allclose(sphere.star_bounds(row), 5, rtol=1e-8)


def test_body_of_revolution_has_its_volume_area_and_moments():
    # P = a + b cos(theta).
    a, b = 3.0, 1.2
    row = np.zeros(100)
    row[0], row[2] = a * math.sqrt(4 * math.pi), b * math.sqrt(4 * math.pi / 3)
    moments = sphere.star_moments([row])
    t, p = Polynomial([0, 1]), Polynomial([a, b])

    def integral(polynomial):
        whole = polynomial.integ()
        return 2 * math.pi * (whole(1) - whole(-1))

    volume = integral(p**3) / 3
    centre = integral(t * p**4) / 4 / volume
    along, across = integral(t**2 * p**5) / 5 / volume - centre**2, integral((1 - t**2) * p**5) / 10 / volume
    area = 2 * math.pi * quad(lambda t: (a + b * t) * math.sqrt(a * a + b * b + 2 * a * b * t), -1, 1)[0]
    np.testing.assert_allclose(moments.volume_nm3, volume)
    np.testing.assert_allclose(moments.area_nm2, area, rtol=1e-9)
    np.testing.assert_allclose(moments.centre_nm[0], [centre, 0, 0], atol=1e-13)
    np.testing.assert_allclose(moments.covariance_nm2[0], np.diag([along, across, across]), atol=1e-12)


def test_ellipsoid_has_its_volume_area_and_moments():
    half_axes = np.array([1.4, 1.0, 1.2])
    moments = sphere.star_moments([ellipsoid(half_axes, 24)])
    np.testing.assert_allclose(moments.volume_nm3, 4 * math.pi / 3 * half_axes.prod(), rtol=1e-7)
    np.testing.assert_allclose(moments.area_nm2, ellipsoid_area(*half_axes), rtol=1e-6)
    np.testing.assert_allclose(moments.covariance_nm2[0], np.diag(half_axes**2 / 5), atol=1e-6)


def test_area_of_the_test_s_ellipsoid_is_that_of_a_spheroid():
    e = math.sqrt(1 - 1 / 4)
    assert ellipsoid_area(1.0, 1.0, 2.0) == pytest.approx(2 * math.pi * (1 + 2 / e * math.asin(e)))


def test_volume_and_area_are_the_limit_of_those_of_fine_meshes():
    for _ in range(3):
        row = some_body(RNG)
        coarse, fine = (np.array(on_mesh(row, level)) for level in (5, 6))
        # Polyhedra err in the square of their edges.
        limit = (4 * fine - coarse) / 3
        moments = sphere.star_moments([row])
        np.testing.assert_allclose([moments.volume_nm3[0], moments.area_nm2[0]], limit, rtol=3e-6)
        assert moments.volume_nm3[0] == pytest.approx(sphere.star_volumes([row])[0], rel=1e-14)


def test_bodies_have_the_same_moments_bit_for_bit_alone_and_in_a_batch():
    rows = np.array([some_body(RNG) for _ in range(5)])
    for batch, *alone in zip(sphere.star_moments(rows), *(sphere.star_moments([r]) for r in rows), strict=True):
        np.testing.assert_array_equal(batch, np.concatenate(alone))
    np.testing.assert_array_equal(
        sphere.star_volumes(rows), np.concatenate([sphere.star_volumes([r]) for r in rows])
    )  # fmt: skip


@pytest.mark.parametrize("roughness", [0.05, 0.5, 2.0])
def test_no_direction_leaves_the_bounds_and_they_are_close(roughness):
    units = RNG.standard_normal((100_000, 3))
    for _ in range(3):
        row = some_body(RNG, roughness)
        radii = sphere.star_radii(row, units)
        low, high = sphere.star_bounds(row)
        assert low <= radii.min() <= radii.max() <= high
        assert high - low <= 1.12 * (radii.max() - radii.min())


def test_bounds_of_many_are_those_of_each():
    rows = np.array([some_body(RNG, roughness) for roughness in (0.05, 0.5, 2.0)])
    found = sphere.star_bounds_of_many(rows)
    np.testing.assert_allclose(found, [sphere.star_bounds(row) for row in rows], rtol=1e-12)


def test_bounds_hold_for_each_harmonic_alone():
    units = np.concatenate([RNG.standard_normal((20_000, 3)), POLES])
    values = sphere.real_spherical_harmonics(units)
    for k, row in enumerate(np.eye(100)):
        low, high = sphere.star_bounds(row)
        assert low <= values[:, k].min() <= values[:, k].max() <= high


def test_points_inside_are_those_nearer_than_the_surface():
    row = some_body(RNG, 0.3)
    directions = RNG.standard_normal((5000, 3))
    radii = sphere.star_radii(row, directions)
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    for factor, expected in ((1e-9, True), (0.5, True), (1 - 1e-9, True), (1 + 1e-9, False), (3.0, False)):
        inside = sphere.star_contains(row, units * (factor * radii)[:, None])
        np.testing.assert_array_equal(inside, expected)
    assert sphere.star_contains(row, np.zeros((1, 3))).all()


def test_points_of_an_ellipsoid_are_those_of_its_equation():
    half_axes = np.array([1.4, 1.0, 1.2])
    points = RNG.uniform(-1.5, 1.5, (20_000, 3))
    level = ((points / half_axes) ** 2).sum(axis=1)
    clear = np.abs(level - 1) > 1e-5
    inside = sphere.star_contains(ellipsoid(half_axes, 30), points)
    np.testing.assert_array_equal(inside[clear], level[clear] < 1)


def test_a_grid_holds_what_its_points_hold():
    row = some_body(RNG, 0.3)
    z, y, x = (np.arange(n) * 400.0 - 200.0 * n for n in (24, 17, 21))
    points = np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1)
    inside = sphere.star_contains_grid(row, z, y, x)
    assert inside.any() and not inside.all()
    np.testing.assert_array_equal(inside.ravel(), sphere.star_contains(row, points.reshape(-1, 3)))
    np.testing.assert_array_equal(inside.ravel(), sphere.star_contains(row, points.reshape(-1, 3), (0.0, 1e9)))


# Failure


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sphere.real_spherical_harmonics(np.zeros((1, 3))), "directions: found a vector of length zero"),
        (lambda: sphere.real_spherical_harmonics(np.ones((4, 2))), r"directions: found shape \(4, 2\)"),
        (lambda: sphere.real_spherical_harmonics([[np.nan, 0, 1]]), "directions: found nan"),
        (lambda: sphere.real_spherical_harmonics(POLES, -1), "order: found -1"),
        (lambda: sphere.real_spherical_harmonics(POLES, 2.5), "order: found 2.5"),
        (lambda: sphere.sphere_quadrature(True), "degree: found True"),
        (lambda: sphere.icosphere(12), "level: found 12"),
        (lambda: sphere.star_radii(np.ones(99), POLES), "coefficients: found 99 of a body"),
        (lambda: sphere.star_volumes(np.full((1, 4), np.inf)), "coefficients: found inf"),
        (lambda: sphere.star_contains(np.ones(100), np.ones(3)), "points: found shape"),
    ],
)
def test_impossible_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
