"""Bunge's Euler angles, refereed by scipy's rotations."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nmcdist.errors import InputError
from nmcdist.geometry.rotations import bunge_euler, bunge_quaternions, frame_axes

TURNS = Rotation.random(2000, random_state=3)
QUATERNIONS = TURNS.as_quat(scalar_first=True)


def test_angles_are_the_intrinsic_zxz_angles():
    found = bunge_euler(QUATERNIONS)
    expected = TURNS.as_euler("ZXZ") % (2 * math.pi)
    assert np.abs(np.angle(np.exp(1j * (found - expected)))).max() < 1e-9
    assert found.min() >= 0
    assert found[:, [0, 2]].max() < 2 * math.pi
    assert found[:, 1].max() <= math.pi


def test_axes_are_the_columns_of_the_rotation():
    np.testing.assert_allclose(frame_axes(3 * QUATERNIONS), TURNS.as_matrix().transpose(0, 2, 1), atol=1e-12)


def test_quaternions_come_back_whatever_their_sign():
    for given in (QUATERNIONS, -QUATERNIONS):
        found = bunge_quaternions(bunge_euler(given))
        assert (found[:, 0] >= 0).all()
        np.testing.assert_allclose(np.abs((found * QUATERNIONS).sum(axis=1)), 1, atol=1e-12)


@pytest.mark.parametrize("phi", [0.0, math.pi])
@pytest.mark.parametrize("turn", [0.0, 0.3, 3.0, 6.0])
def test_angles_without_a_second_turn_where_only_one_is_defined(phi, turn):
    quaternion = Rotation.from_euler("ZXZ", [turn, phi, 0.0]).as_quat(scalar_first=True)[None]
    assert bunge_euler(quaternion)[0] == pytest.approx([turn, phi, 0.0], abs=1e-9)


@pytest.mark.parametrize("axis", [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, -1, 0, 0)])
def test_half_turns_about_axes_come_back(axis):
    given = np.array([axis], dtype=float)
    turned = frame_axes(bunge_quaternions(bunge_euler(given)))
    np.testing.assert_allclose(turned, frame_axes(given), atol=1e-15)


def test_a_tiny_negative_turn_stays_below_a_full_one():
    given = Rotation.from_euler("ZXZ", [[-1e-17, 0.5, 0.0]]).as_quat(scalar_first=True)
    assert bunge_euler(given)[0, 0] < 2 * math.pi


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 4)), "quaternions: found 0, 0, 0, 0"),
        (np.ones(4), r"quaternions: found shape \(4,\)"),
        (np.full((1, 4), np.nan), "quaternions: found nan"),
    ],
)
def test_what_is_no_orientation_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        bunge_euler(given)
