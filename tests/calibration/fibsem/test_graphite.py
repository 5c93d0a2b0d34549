"""Clean-up against scipy, plates among fine structure, and boxes against the whole."""

import numpy as np
import pytest
from scipy import ndimage

from nmcdist.calibration.fibsem import graphite as module
from nmcdist.calibration.fibsem.clean import closed_by_ball, closed_by_box, coarsened, without_islands
from nmcdist.calibration.fibsem.graphite import graphite_mask, graphite_probability, train_graphite
from nmcdist.errors import ImageError, InputError

RNG = np.random.default_rng(2)


def test_small_pieces_go():
    phase = np.zeros((6, 7, 8), bool)
    phase[0, 0, :3] = phase[3:5, 3:5, 3:5] = True
    phase[5, 6, 7] = True
    assert without_islands(phase, 3).sum() == 11
    assert without_islands(phase).sum() == 8
    assert not without_islands(np.zeros((3, 3, 3), bool)).any()


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


def test_coarse_voxels_are_means():
    values = np.arange(2 * 5 * 4).reshape(2, 5, 4)
    assert coarsened(values, (1, 2, 2))[1, 1, 1] == values[1, 2:4, 2:4].mean()
    assert coarsened(values, (1, 2, 2)).shape == (2, 2, 2)
    with pytest.raises(InputError, match="factors"):
        coarsened(values, (3, 1, 1))


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
    found = graphite_mask(solid, graphite_probability(solid, forest))
    assert 2 * (found & plate).sum() / (found.sum() + plate.sum()) > 0.95
    assert not (found & ~solid).any()


def test_boxes_give_what_the_whole_gives(plates, monkeypatch):
    solid, _, scribbles = plates
    forest = train_graphite(solid, scribbles, 1, trees=5).forest
    whole = graphite_probability(solid, forest)
    monkeypatch.setattr(module, "_BOX", 64)
    assert np.array_equal(graphite_probability(solid, forest), whole)


def test_the_quantile_of_the_paper_fixes_the_share():
    probability = RNG.random((30, 40, 50)).astype(np.float32)
    probability[:, :20] += 1
    solid = np.ones(probability.shape, bool)
    share = graphite_mask(solid, probability, quantile=0.5, smoothing=0, closing=10).mean()
    assert share == pytest.approx(0.5, abs=0.02)
    with pytest.raises(InputError, match=r"quantile: found 1\.5"):
        graphite_mask(solid, probability, quantile=1.5)


def test_noise_of_the_probability_is_averaged_over_the_solid():
    """A pore beside a voxel takes no part in its mean: a slab of constant probability keeps it."""
    solid = np.zeros((30, 30, 30), bool)
    solid[:, 5:20] = True
    probability = np.where(solid, 0.6, 0).astype(np.float32)
    assert np.array_equal(graphite_mask(solid, probability, threshold=0.599), solid)
    assert not graphite_mask(solid, probability, threshold=0.601).any()


@pytest.mark.parametrize(
    ("options", "line"), [({"smoothing": -1}, "smoothing: found -1"), ({"closing": -2}, "closing: found -2")]
)
def test_negative_lengths_are_refused(options, line):
    with pytest.raises(InputError, match=line):
        graphite_mask(np.ones((2, 2, 2), bool), np.ones((2, 2, 2), np.float32), **options)


def test_unknown_features_are_refused():
    with pytest.raises(InputError, match="features: found 'most', expected one of paper, extended"):
        train_graphite(np.ones((4, 5, 6), bool), {}, 1, features="most")


def test_labels_of_one_class_are_refused():
    with pytest.raises(ImageError, match=r"scribbles of graphite: found labels \[2\], expected 1 \(graphite\) and 2"):
        train_graphite(np.ones((4, 5, 6), bool), {0: np.full((5, 6), 2)}, 1)
