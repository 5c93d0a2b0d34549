"""Filters, tensors and features against scipy and numpy."""

import numpy as np
import pytest
from scipy import ndimage

from nmcdist.calibration.fibsem.features import NAMES, SHAPE_NAMES, shape_features, slice_features
from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.tensors import eigenvalues

RNG = np.random.default_rng(5)
PLANE = RNG.normal(size=(37, 50)).astype(np.float32)
VOLUME = RNG.normal(size=(9, 20, 31)).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.6, 1.0, 3.5, 8.0])
@pytest.mark.parametrize("orders", [(0, 0), (1, 0), (0, 2), (1, 1)])
def test_filters_are_those_of_scipy(sigma, orders):
    expected = ndimage.gaussian_filter(PLANE.astype(np.float64), sigma, order=orders)
    assert gaussian(PLANE, sigma, orders) == pytest.approx(expected, abs=2e-6)


def test_filters_reach_over_images_shorter_than_themselves():
    expected = ndimage.gaussian_filter(VOLUME.astype(np.float64), 5.0, order=(2, 0, 1))  # 9 planes, 20 to each side
    assert gaussian(VOLUME, 5.0, (2, 0, 1)) == pytest.approx(expected, abs=2e-6)


def test_an_axis_without_width_is_left_alone():
    expected = ndimage.gaussian_filter1d(VOLUME.astype(np.float64), 2.0, axis=1)
    assert gaussian(VOLUME, (0, 2.0, 0)) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("size", [2, 3])
def test_eigenvalues_are_those_of_numpy(size):
    matrices = RNG.normal(size=(500, size, size))
    matrices += matrices.transpose(0, 2, 1)
    matrices[0] = np.eye(size)
    parts = [matrices[:, a, b].astype(np.float32) for a in range(size) for b in range(a, size)]
    expected = np.linalg.eigvalsh(matrices)[:, ::-1]
    assert np.stack(eigenvalues(parts), axis=1) == pytest.approx(expected, abs=5e-6)


def test_features_of_a_slice_are_those_of_scipy():
    found = dict(zip(NAMES, slice_features(PLANE), strict=True))
    blur = {s: ndimage.gaussian_filter(PLANE.astype(np.float64), s) for s in (2, 4)}
    gradient = [ndimage.gaussian_filter(PLANE.astype(np.float64), 2, order=o) for o in ((1, 0), (0, 1))]
    assert found["difference 2 4"] == pytest.approx(blur[2] - blur[4], abs=2e-6)
    assert found["gradient 2"] == pytest.approx(np.hypot(*gradient), abs=2e-6)
    tensor = [[ndimage.gaussian_filter(a * b, 1) for a in gradient] for b in gradient]
    values = np.linalg.eigvalsh(np.moveaxis(tensor, (0, 1), (-2, -1)))
    assert found["structure high 2"] == pytest.approx(values[..., 1], abs=2e-6)
    assert found["structure low 2"] == pytest.approx(values[..., 0], abs=2e-6)


def test_features_of_shape_see_plates():
    """At the middle of a plate that is wide beside the filter, the second derivative across it is the only one."""
    plate = np.zeros((60, 60, 60), np.uint8)
    plate[:, 27:33] = 1
    found = dict(zip(SHAPE_NAMES, shape_features(plate), strict=True))
    at = (30, 30, 30)
    along = [
        ndimage.gaussian_filter(plate.astype(np.float64), 5, order=order)[at] for order in 2 * np.eye(3, dtype=int)
    ]
    values = [found[f"hessian 5 {k}"][at] for k in (2, 0, 1)]
    assert values == pytest.approx([along[1], along[0], along[2]], abs=1e-6)
    assert abs(values[0]) > 100 * abs(values[1])
