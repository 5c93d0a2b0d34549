"""Descriptors of outer shells, refereed by ellipsoids, boxes and balls in closed form and by fine meshes."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nmcdist.descriptors.shell import VARIABLES, describe_mesh, describe_shell, describe_shells
from nmcdist.errors import InputError
from nmcdist.geometry.sphere import icosphere, star_radii

CUBE = np.array([(z, y, x) for z in (0.0, 1.0) for y in (0.0, 1.0) for x in (0.0, 1.0)])
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
CUBE_FACES = np.array([t for a, b, c, d in QUADS for t in ((a, b, c), (a, c, d))])


def rough_bodies(n, seed=0, roughness=250.0):
    rng = np.random.default_rng(seed)
    degree = np.repeat(np.arange(10), 2 * np.arange(10) + 1)
    rows = rng.standard_normal((n, 100)) * roughness * 2.0 ** -np.maximum(degree - 2, 0)
    rows[:, 0] = rng.uniform(6000.0, 20000.0, n)
    return rows


def turned(vertices, seed=1):
    return vertices @ Rotation.random(rng=np.random.default_rng(seed)).as_matrix().T + [300.0, -20.0, 1000.0]


def notched_prism():
    """Extrude an L of three unit squares by 1."""
    outline = np.array([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)], dtype=float)
    caps = [(0, 1, 2), (0, 2, 3), (0, 3, 5), (3, 4, 5)]
    vertices = np.concatenate([np.column_stack([np.full(6, z), outline]) for z in (0.0, 1.0)])
    sides = [t for a in range(6) for b in [(a + 1) % 6] for t in ((a, b, a + 6), (b, b + 6, a + 6))]
    faces = [*[f[::-1] for f in caps], *[tuple(i + 6 for i in f) for f in caps], *sides]
    return vertices, np.array(faces)


def spheroid_area(a, c):
    """Area of a prolate spheroid with half-axes a, a, c."""
    e = math.sqrt(1 - (a / c) ** 2)
    return 2 * math.pi * a * a * (1 + c / (a * e) * math.asin(e))


# Closed forms


def test_ball_of_harmonics():
    row = np.zeros(100)
    row[0] = 3000.0 * math.sqrt(4 * math.pi)
    d = describe_shell(row)
    assert d.d_max_nm == pytest.approx(6000.0)
    assert d.compactness == pytest.approx(1.0)
    assert d.aspect_ratio == pytest.approx(1.0)
    assert d.sphericity == pytest.approx(1.0)
    assert d.volume_nm3 == pytest.approx(4 * math.pi / 3 * 3000.0**3)
    assert d.area_nm2 == pytest.approx(4 * math.pi * 3000.0**2)


def test_mesh_of_a_ball():
    vertices, faces = icosphere(5)
    d = describe_mesh(turned(vertices * 3000.0), faces)
    assert d.d_max_nm == pytest.approx(6000.0)
    assert d.compactness == pytest.approx(1.0)
    assert d.aspect_ratio == pytest.approx(1.0)
    # The error of a mesh of edges h R is of the order of h^2, here 1.3e-3.
    assert d.sphericity == pytest.approx(1.0, abs=1e-3)
    assert d.volume_nm3 == pytest.approx(4 * math.pi / 3 * 3000.0**3, rel=2e-3)


def test_mesh_of_an_ellipsoid():
    vertices, faces = icosphere(5)
    half_axes = np.array([1000.0, 2500.0, 1000.0])
    d = describe_mesh(turned(vertices * half_axes), faces)
    volume, area = 4 * math.pi / 3 * half_axes.prod(), spheroid_area(1000.0, 2500.0)
    assert d.d_max_nm == pytest.approx(5000.0, rel=1e-3)
    assert d.compactness == pytest.approx(1.0)
    assert d.aspect_ratio == pytest.approx(0.4)
    assert d.sphericity == pytest.approx(math.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area, rel=2e-3)
    assert d.volume_nm3 == pytest.approx(volume, rel=2e-3)
    assert d.area_nm2 == pytest.approx(area, rel=2e-3)


def test_cube():
    d = describe_mesh(turned(CUBE * 7.0), CUBE_FACES)
    assert d.d_max_nm == pytest.approx(7 * math.sqrt(3))
    assert d.compactness == pytest.approx(1.0)
    assert d.aspect_ratio == pytest.approx(1.0)
    assert d.sphericity == pytest.approx((math.pi / 6) ** (1 / 3))
    assert d.volume_nm3 == pytest.approx(343.0)
    assert d.area_nm2 == pytest.approx(294.0)


def test_box_has_the_aspect_ratio_of_its_edges():
    d = describe_mesh(turned(CUBE * [2.0, 5.0, 3.0]), CUBE_FACES)
    assert d.aspect_ratio == pytest.approx(0.4)
    assert d.d_max_nm == pytest.approx(math.sqrt(38))


def test_notched_prism_is_less_compact_than_its_hull():
    vertices, faces = notched_prism()
    d = describe_mesh(turned(vertices), faces)
    assert d.volume_nm3 == pytest.approx(3.0)
    assert d.area_nm2 == pytest.approx(14.0)
    assert d.compactness == pytest.approx(3 / 3.5)
    assert d.d_max_nm == pytest.approx(3.0)


def test_order_of_the_corners_of_all_triangles_does_not_matter():
    out, inward = describe_mesh(CUBE, CUBE_FACES), describe_mesh(CUBE, CUBE_FACES[:, ::-1])
    for name in VARIABLES:
        assert float(out[name]) == pytest.approx(float(inward[name]))


# Independent: meshes of the shells


def test_shells_have_the_descriptors_of_fine_meshes():
    directions, faces = icosphere(5)
    for row in rough_bodies(4):
        shell = describe_shell(row)
        mesh = describe_mesh(turned(directions * star_radii(row, directions)[:, None]), faces)
        for name, tolerance in (
            ("volume_nm3", 3e-3), ("area_nm2", 3e-3), ("sphericity", 3e-3), ("aspect_ratio", 2e-3),
            ("compactness", 1e-2), ("d_max_nm", 1e-2),
        ):  # fmt: skip
            assert float(shell[name]) == pytest.approx(float(mesh[name]), rel=tolerance)


def test_shells_at_the_papers_directions_have_the_diameter_and_compactness_of_that_mesh():
    directions, faces = icosphere(3)
    for row in rough_bodies(4, roughness=700.0):
        shell = describe_shell(row)
        vertices = directions * star_radii(row, directions)[:, None]
        apart = np.sqrt(((vertices[:, None] - vertices) ** 2).sum(axis=2)).max()
        assert float(shell.d_max_nm) == pytest.approx(apart)
        assert float(shell.compactness) == pytest.approx(float(describe_mesh(vertices, faces).compactness))
        assert float(shell.compactness) < 0.999


def test_size_scales_and_form_does_not():
    rows = rough_bodies(3)
    small, large = describe_shells(rows), describe_shells(rows * 4)
    for name, factor in (
        ("d_max_nm", 4), ("volume_nm3", 64), ("area_nm2", 16), ("sphericity", 1), ("aspect_ratio", 1),
        ("compactness", 1),
    ):  # fmt: skip
        np.testing.assert_allclose(large[name], factor * small[name], rtol=1e-9)


def test_a_shell_is_described_the_same_bit_for_bit_alone_and_among_many():
    rows = rough_bodies(7)
    many = describe_shells(rows)
    assert many.sizes == {"particle": 7}
    for i, row in enumerate(rows):
        alone = describe_shell(row)
        for name in VARIABLES:
            assert alone[name].item() == many[name].values[i]


def test_each_value_says_its_units_estimator_and_source():
    for described in (describe_shell(rough_bodies(1)[0]), describe_mesh(CUBE, CUBE_FACES)):
        assert list(described) == list(VARIABLES)
        for name in described:
            assert all(described[name].attrs[key] for key in ("units", "long_name", "estimator", "source"))
        assert described.d_max_nm.attrs["units"] == "nm"


# Failure


def test_a_radius_that_is_not_positive_is_refused():
    row = np.zeros(100)
    row[0], row[2] = 1000.0, 5000.0
    with pytest.raises(InputError, match="coefficients_nm: found a radius of -"):
        describe_shell(row)


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (CUBE[:, :2], CUBE_FACES, "vertices_nm: found shape"),
        (CUBE, CUBE_FACES + 1, "faces: found index 1 to 8, expected 0 to 7"),
        (CUBE, CUBE_FACES * 1.0, "faces: found float64"),
        (CUBE, CUBE_FACES[:, :2], "faces: found int64 of shape"),
        (CUBE, np.concatenate([CUBE_FACES, CUBE_FACES[:, ::-1]]), "faces: found a mesh without volume"),
        (CUBE, CUBE_FACES[1:], "faces: found 3 edges"),
        (CUBE, np.concatenate([CUBE_FACES[:1, ::-1], CUBE_FACES[1:]]), "faces: found 3 edges"),
    ],
)
def test_impossible_meshes_are_refused(vertices, faces, message):
    with pytest.raises(InputError, match=message):
        describe_mesh(vertices, faces)
