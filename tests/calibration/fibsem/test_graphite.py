"""Closings against scipy, plates among fine structure, and boxes against the whole."""

import numpy as np
import pytest
from scipy import ndimage

from nmcdist.calibration.fibsem.clean import closed_by_ball, closed_by_box
from nmcdist.calibration.fibsem.graphite import box_probability, smoothed_over, train_graphite
from nmcdist.errors import ImageError, InputError

RNG = np.random.default_rng(2)


def whole(array):
    return tuple(slice(0, n) for n in array.shape)


def test_closing_by_a_ball_is_that_of_scipy():
    phase = np.zeros((24, 26, 28), bool)
    phase[4:20, 4:22, 4:24] = RNG.random((16, 18, 20)) < 0.05
    z, y, x = np.ogrid[-4:5, -4:5, -4:5]
    ball = z * z + y * y + x * x <= 16
    expected = ndimage.binary_closing(np.pad(phase, 6), ball)[6:-6, 6:-6, 6:-6]
    assert np.array_equal(closed_by_ball(phase, 4.0), expected)
    assert closed_by_ball(np.ones((5, 5, 5), bool), 3.0).all()


def test_closing_by_a_box_fills_a_pore_of_a_voxel():
    phase = np.ones((5, 5, 5), bool)
    phase[2, 2, 2] = phase[0, 0, 0] = False
    assert closed_by_box(phase).all()


@pytest.fixture(scope="module")
def plates():
    """Two plates 12 voxels thick among blobs of 3 voxels."""
    fine = ndimage.gaussian_filter(RNG.normal(size=(40, 100, 110)), 1.5)
    solid = fine > np.quantile(fine, 0.75)
    plate = np.zeros_like(solid)
    plate[:, 20:32] = plate[:, 70:82] = True
    scribbles = {20: np.where(RNG.random(plate.shape[1:]) < 0.2, np.where(plate[20], 1, 2), 0)}
    return solid | plate, plate, scribbles


@pytest.mark.parametrize("features", ["paper", "extended"])
def test_plates_are_found_among_fine_structure(plates, features):
    solid, plate, scribbles = plates
    forest = train_graphite(solid, scribbles, 1, trees=20, features=features).forest
    found = (box_probability(solid, forest, whole(solid)) > 0.5) & solid
    assert 2 * (found & plate).sum() / (found.sum() + plate.sum()) > 0.9


@pytest.mark.parametrize("features", ["paper", "extended"])
def test_boxes_give_what_the_whole_gives(plates, features):
    solid, _, scribbles = plates
    forest = train_graphite(solid, scribbles, 1, trees=5, features=features).forest
    found, box = box_probability(solid, forest, whole(solid)), (slice(8, 30), slice(40, 90), slice(0, 64))
    part = box_probability(solid, forest, box)
    assert (abs(part - found[box]) > 1e-6).mean() < 1e-3  # sums of another length at thresholds


def test_noise_of_the_probability_is_averaged_over_the_solid():
    """A pore beside a voxel takes no part in its mean: a slab of constant probability keeps it."""
    solid = np.zeros((30, 30, 30), bool)
    solid[:, 5:20] = True
    probability = np.where(solid, 0.6, 0).astype(np.float32)
    assert smoothed_over(solid, probability, 1.0) == pytest.approx(probability, rel=1e-6)
    noisy = probability + np.where(solid, RNG.normal(0, 0.1, solid.shape), 0).astype(np.float32)
    assert smoothed_over(solid, noisy, 1.0)[solid].std() < 0.03


def test_unknown_features_are_refused():
    with pytest.raises(InputError, match="features: found 'most', expected one of paper, extended"):
        train_graphite(np.ones((4, 5, 6), bool), {}, 1, features="most")


def test_labels_of_one_class_are_refused():
    with pytest.raises(ImageError, match=r"scribbles of graphite: found labels \[2\], expected 1 \(graphite\) and 2"):
        train_graphite(np.ones((4, 5, 6), bool), {0: np.full((5, 6), 2)}, 1)
