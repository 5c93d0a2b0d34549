"""Crystal orientations, refereed by Watson's law, the uniform law of rotations and scipy's rotations."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.transform import Rotation

from nmcdist.errors import InputError
from nmcdist.models.orientation import c_axes, crystal_orientations, watson_cosines

N = 20_000
SEEDS = np.random.default_rng(4).standard_normal((N, 3)) * 2000.0
RADIAL = SEEDS / np.linalg.norm(SEEDS, axis=1, keepdims=True)


def moment(power, concentration):
    """Mean of t^power on [-1, 1] by numerical integration; scaled so that the density peaks at 1."""
    top = max(concentration, 0.0)
    near = 1 - 20 / (abs(concentration) + 20) if concentration > 0 else 20 / math.sqrt(abs(concentration) + 400)
    integrals = [
        quad(lambda t, p=p: t**p * math.exp(concentration * t * t - top), 0, 1, points=[near], epsabs=0)[0]
        for p in (power, 0)
    ]
    return integrals[0] / integrals[1]


@pytest.mark.parametrize("concentration", [-1e4, -40.0, -1.0, 0.0, 1e-9, 0.5, 8.0, 200.0, 1e4])
def test_cosines_have_the_moments_of_watson_s_law(concentration):
    cosine = (c_axes(crystal_orientations(SEEDS, concentration, 7)) * RADIAL).sum(axis=1)
    for power in (2, 4):
        spread = math.sqrt(max(moment(2 * power, concentration) - moment(power, concentration) ** 2, 0.0))
        assert abs((cosine**power).mean() - moment(power, concentration)) < 4 * spread / math.sqrt(N)
    assert abs(cosine.mean()) < 4 * math.sqrt(moment(2, concentration) / N)


@pytest.mark.parametrize("concentration", [-300.0, -2.0, 0.0, 3.0, 300.0])
def test_cosines_invert_the_distribution_function(concentration):
    uniform = np.array([1e-12, 0.01, 0.3, 0.499, 0.501, 0.77, 0.999])
    top = max(concentration, 0.0)

    def integral(end):
        return quad(lambda t: math.exp(concentration * t * t - top), 0, end, points=[end * 0.9], epsabs=0)[0]

    cosines = watson_cosines(uniform, concentration)
    found = [0.5 + 0.5 * math.copysign(integral(abs(t)) / integral(1), t) for t in cosines]
    np.testing.assert_allclose(found, uniform, atol=1e-10)
    assert (np.diff(cosines) > 0).all()


def test_c_axes_turn_uniformly_about_the_radius():
    seeds = np.tile([0.0, 0.0, 500.0], (N, 1))
    axes = c_axes(crystal_orientations(seeds, 2.0, 3))
    angle = np.arctan2(axes[:, 0], axes[:, 1])
    for k in (1, 2, 3):
        assert abs(np.exp(1j * k * angle).mean()) < 4 / math.sqrt(N)


def test_without_concentration_rotations_are_uniform():
    turns = crystal_orientations(SEEDS, 0.0, 5)
    # Squares of quaternion components have mean 1/4 and variance 1/16; entries of the matrix mean 0, square 1/3.
    np.testing.assert_allclose((turns**2).mean(axis=0), 1 / 4, atol=4 * 0.25 / math.sqrt(N))
    matrices = Rotation.from_quat(turns, scalar_first=True).as_matrix()
    assert np.abs(matrices.mean(axis=0)).max() < 4 * math.sqrt(1 / 3 / N)
    assert np.abs((matrices**2).mean(axis=0) - 1 / 3).max() < 4 * math.sqrt(4 / 45 / N)


def test_turns_about_the_c_axis_are_uniform():
    # All c axes within a degree of z, so that the a axes lie in the x-y plane.
    seeds = np.tile([900.0, 0.0, 0.0], (N, 1))
    turns = crystal_orientations(seeds, 1e4, 6)
    up = c_axes(turns)[:, 0] > 0
    a_axes = Rotation.from_quat(turns[up], scalar_first=True).apply([1.0, 0, 0])
    angle = np.arctan2(a_axes[:, 1], a_axes[:, 0])
    for k in (1, 2, 3):
        assert abs(np.exp(1j * k * angle).mean()) < 4 / math.sqrt(up.sum())


def test_quaternions_are_of_unit_length_and_turn_z_to_the_c_axis():
    turns = crystal_orientations(SEEDS[:500], -3.0, 8)
    np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1)
    assert (turns[:, 0] >= 0).all()
    turned = Rotation.from_quat(turns, scalar_first=True).apply([0.0, 0, 1.0])
    np.testing.assert_allclose(c_axes(turns), turned[:, ::-1], atol=1e-14)


def test_an_orientation_depends_on_its_row_alone():
    whole = crystal_orientations(SEEDS[:1000], 12.0, 9, 3)
    np.testing.assert_array_equal(crystal_orientations(SEEDS[:117], 12.0, 9, 3), whole[:117])
    assert not np.any(crystal_orientations(SEEDS[:1000], 12.0, 9, 4) == whole)


def test_seeds_at_the_centre_and_on_the_axes_have_orientations():
    seeds = np.array([[0.0, 0, 0], [1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0]])
    axes = c_axes(crystal_orientations(seeds, 1e4, 2))
    expected = np.array([1.0, 1, 1, 1, 1])
    radial = np.where(np.abs(seeds).sum(axis=1, keepdims=True) > 0, seeds, [1.0, 0, 0])
    np.testing.assert_allclose(np.abs((axes * radial).sum(axis=1)), expected, atol=1e-3)


def test_no_grains_have_no_orientations():
    assert crystal_orientations(np.empty((0, 3)), 3.0, 1).shape == (0, 4)


@pytest.mark.parametrize("concentration", [math.nan, math.inf, 2e4, -2e4])
def test_impossible_concentrations_are_refused(concentration):
    with pytest.raises(InputError, match="concentration: found"):
        crystal_orientations(SEEDS[:3], concentration, 1)


def test_seeds_of_a_wrong_shape_are_refused():
    with pytest.raises(InputError, match="seeds_nm: found shape"):
        crystal_orientations(np.ones((3, 2)), 1.0, 1)
