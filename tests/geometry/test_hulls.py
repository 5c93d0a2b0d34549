"""Volumes of convex hulls, refereed by Qhull and by solids of known volume."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from nmcdist.bundle import load_bundle
from nmcdist.descriptors.shell import describe_shell, measure_shells
from nmcdist.geometry.hulls import star_hull_volume
from nmcdist.geometry.sphere import icosphere, star_radii
from nmcdist.models.particle import ParticleModel

DIRECTIONS = icosphere(3)[0]


@pytest.mark.parametrize("roughness", [0.001, 0.03, 0.3, 1.0])
@pytest.mark.parametrize("stretch", [(1.0, 1.0, 1.0), (0.3, 1.0, 3.0)])
def test_rough_bodies(roughness, stretch):
    rng = np.random.default_rng(1)
    for _ in range(50):
        points = DIRECTIONS * np.exp(roughness * rng.normal(size=(len(DIRECTIONS), 1))) * stretch
        assert star_hull_volume(points) == pytest.approx(ConvexHull(points).volume, rel=1e-12)


def test_points_in_any_order_twice_and_inside():
    rng = np.random.default_rng(2)
    for count in (100, 2000):
        points = rng.normal(size=(count, 3)) * 10.0 ** rng.uniform(-2, 2, size=(count, 1))
        found = star_hull_volume(points)
        assert found == pytest.approx(ConvexHull(points).volume, rel=1e-12)
        assert star_hull_volume(np.concatenate([points, points, 0.5 * points])) == pytest.approx(found, rel=1e-12)


def test_shells_of_the_model():
    coefficients, _ = ParticleModel.from_bundle(load_bundle("nmc811-stereological")).shells.draw_many(5, range(50))
    compactness = measure_shells(coefficients)["compactness"]
    directions, faces = icosphere(3)
    for row, found in zip(coefficients, compactness, strict=True):
        points = directions * star_radii(row, directions)[:, None]
        a, b, c = points[faces].transpose(1, 0, 2)
        enclosed = (a * np.cross(b, c)).sum() / 6
        assert found == pytest.approx(enclosed / ConvexHull(points).volume, rel=1e-12)


def test_solids_whose_points_lie_in_few_planes():
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    cube = DIRECTIONS / np.abs(DIRECTIONS).max(axis=1, keepdims=True)
    tetrahedron = signs[signs.prod(axis=1) > 0]
    for points, volume in (
        (signs, 8.0),
        (np.concatenate([cube, signs]), 8.0),
        (tetrahedron, 8 / 3),
    ):
        assert star_hull_volume(points) == pytest.approx(volume, rel=1e-12)


def test_points_on_one_side_of_the_origin_have_none():
    assert star_hull_volume(DIRECTIONS + np.array([0.0, 0.0, 5.0])) == -1.0
    assert star_hull_volume(DIRECTIONS * np.array([1.0, 1.0, 0.0]) + np.array([0.0, 0.0, 1e-9])) == -1.0


def test_a_ball_is_compact():
    """A ball whose points in 642 directions share planes."""
    assert float(describe_shell(np.array([np.sqrt(4 * np.pi) * 3000.0])).compactness) == pytest.approx(1, rel=1e-12)
