"""Features of plates: shares of disks in closed form, boxes against the whole, and symmetry."""

import numpy as np
import pytest

from nmcdist.calibration.fibsem.features import EXTENDED_NAMES, HALO_OF, NAMES_OF, shape_features
from nmcdist.calibration.fibsem.plates import ACROSS, PLATE_NAMES, plate_features

RNG = np.random.default_rng(3)
WHOLE = (slice(0, 60),) * 3
CENTRE = (30, 30, 30)
NORMALS = [(1, 0, 0), (0, 0, 1), (1, 1, 0), (1, 2, 3)]


def slab(normal, thickness):
    z, y, x = np.mgrid[:60, :60, :60] - 30
    return abs(np.tensordot(np.array(normal) / np.linalg.norm(normal), [z, y, x], 1)) <= thickness / 2


@pytest.mark.parametrize("normal", NORMALS)
def test_a_plate_of_any_direction_has_full_disks_and_ends(normal):
    """Half the thickness is 4, voxels reach 0.87: a full disk is tilted by at most 24 degrees, 4.87 = 12 sin.

    So the disk at a distance of 12 keeps 12 cos - 4.87 = 6.1 from the middle, outside of the plate.
    """
    found = dict(zip(PLATE_NAMES, plate_features(slab(normal, 8), WHOLE), strict=True))
    assert found["disk 12"][CENTRE] == found["disk 6"][CENTRE] == 1
    assert found["across 12 high"][CENTRE] == 0


def test_no_disk_is_full_in_noise():
    """In noise of share 0.3, the best of 35 disks of 26 voxels has 0.3 + z sd, sd 0.09: far below 1."""
    noise = RNG.random((60, 60, 60)) < 0.3
    best = plate_features(noise, WHOLE)[0][noise]
    assert best.mean() == pytest.approx(0.3 + 2.1 * 0.09, abs=0.09)  # the largest of 35 normal numbers has 2.1 sd
    assert (best == 1).sum() == 0


def test_full_solid_has_full_disks_and_pores_have_nothing():
    solid = np.zeros((30, 30, 30), bool)
    assert not plate_features(solid, (slice(0, 30),) * 3).any()
    assert (plate_features(~solid, (slice(0, 30),) * 3) == 1).all()


@pytest.mark.parametrize("kind", ["paper", "extended"])
def test_a_box_with_its_halo_gives_what_the_whole_gives(kind):
    solid = RNG.random((40, 50, 140)) < 0.4
    box = (slice(3, 40), slice(20, 31), slice(61, 70))
    halo = HALO_OF[kind]
    inside = (box[0], box[1], slice(61 - max(0, 61 - halo), 70 - max(0, 61 - halo)))
    part = solid[:, :, max(0, 61 - halo) : 70 + halo]
    whole = shape_features(solid, kind=kind)[(slice(None), *box)]
    assert np.array_equal(shape_features(part, inside, kind), whole)
    assert len(whole) == len(NAMES_OF[kind])


def test_names_are_one_for_each_feature():
    assert len(PLATE_NAMES) == 3 + 2 * len(ACROSS)
    assert len(set(EXTENDED_NAMES)) == len(EXTENDED_NAMES) == 30
