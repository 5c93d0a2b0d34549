"""Colours of the inverse pole figure: those of DAMASK, pure at the corners, and the same for equal crystals."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nmcdist.errors import InputError
from nmcdist.geometry.pole_figures import direction_colours, pole_colours

RNG = np.random.default_rng(6)
THIRTY = np.sqrt(3) / 2, 0.5


def symmetry(*generators):
    """Return the group that some orthogonal matrices generate."""
    group = [np.eye(3)]
    for found in group:  # grows while it is read
        for made in (generator @ found for generator in generators):
            if not any(np.allclose(made, known) for known in group):
                group.append(made)
    return group


SIXFOLD, THREEFOLD = (Rotation.from_euler("z", angle, degrees=True).as_matrix() for angle in (60, 120))
ABOUT_A = Rotation.from_euler("x", 180, degrees=True).as_matrix()
INVERSION = -np.eye(3)


@pytest.mark.parametrize("direction", [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.3, -0.5, 0.8)])
def test_colours_are_those_of_damask(direction):
    import damask

    turns = Rotation.random(2000, rng=RNG)
    quaternions = turns.as_quat(canonical=True, scalar_first=True)
    theirs = damask.Orientation.from_quaternion(quaternions, family="hexagonal").IPF_color(np.array(direction))
    assert np.abs(pole_colours(quaternions, direction) - theirs).max() < 1e-6


@pytest.mark.parametrize(
    ("direction", "colour"),
    [
        ((0, 0, 1), (1, 0, 0)),
        ((0, 0, -3), (1, 0, 0)),
        ((1, 0, 0), (0, 1, 0)),
        ((*THIRTY, 0), (0, 0, 1)),
        ((0, 1, 0), (0, 0, 1)),  # [01-10] is equal to [10-10]
        ((1, 0, 1), (1, 1, 0)),  # as much of c as of a
        # the sum of the three corners
        ((1 + THIRTY[0], THIRTY[1], 1), (1, 1, 1)),
        # 1 of c and 8 of a: cube roots 1 and 2
        ((8, 0, 1), (0.5, 1, 0)),
    ],
)
def test_corners_are_pure_and_components_mix(direction, colour):
    found = direction_colours(np.array([direction], dtype=float))
    np.testing.assert_allclose(found, [colour], atol=1e-9)


def test_equal_directions_of_the_crystal_have_one_colour():
    """All 24 images under 6/mmm, of which -3m has 12: the crystals of the particles are among them."""
    hexagonal, trigonal = symmetry(SIXFOLD, ABOUT_A, INVERSION), symmetry(THREEFOLD, ABOUT_A, INVERSION)
    assert (len(hexagonal), len(trigonal)) == (24, 12)
    directions = RNG.normal(size=(500, 3))
    expected = direction_colours(directions)
    for operation in (*hexagonal, *trigonal):
        assert np.abs(direction_colours(directions @ operation.T) - expected).max() < 1e-6


def test_directions_that_differ_have_different_colours():
    """Inside the triangle, the colour gives back the direction: components are the cubes of the colour."""
    parts = RNG.uniform(0.05, 1, size=(500, 3))
    corners = np.array([[0, 0, 1], [1, 0, 0], [*THIRTY, 0]])
    directions = parts @ corners
    found = direction_colours(directions) ** 3 @ corners
    np.testing.assert_allclose(
        found / np.linalg.norm(found, axis=1, keepdims=True),
        directions / np.linalg.norm(directions, axis=1, keepdims=True),
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: direction_colours([[0.0, 0.0, 0.0]]), "directions: found 0, 0, 0"),
        (lambda: direction_colours([0.0, 0.0, 1.0]), r"directions: found shape \(3,\)"),
        (lambda: pole_colours([[1.0, 0, 0, 0]], (0.0, 0.0, 0.0)), "direction: found 0, 0, 0"),
        (lambda: pole_colours([[0.0, 0, 0, 0]], (0.0, 0.0, 1.0)), "quaternions: found 0, 0, 0, 0"),
    ],
)
def test_what_has_no_direction_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
