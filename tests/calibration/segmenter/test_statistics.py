"""Statistics of images: against known laws of noise, and distances by definition."""

import math

import numpy as np
import pytest

from nmcdist.calibration.segmenter.draws import held, normal_stack
from nmcdist.calibration.segmenter.normal import looked_at
from nmcdist.calibration.segmenter.outside import Reference
from nmcdist.calibration.segmenter.statistics import NAMES, block_statistics, image_statistics
from nmcdist.errors import ImageError

RNG = np.random.default_rng(4)


def test_white_noise_has_the_same_energy_at_each_scale_divided_by_its_pixels():
    """A mean of 4^k pixels has the variance s^2 / 4^k; a detail is half the difference of sums of two of four."""
    sigma, edge = 0.3, 512
    found = dict(zip(NAMES, block_statistics((sigma * RNG.normal(size=(edge, edge))).astype("f4"), None), strict=True))
    for k in range(4):
        count = (edge / 2 ** (k + 1)) ** 2
        for way in ("x", "y", "both"):
            energy = math.exp(found[f"log details along {way}, {2**k} px"])
            assert abs(energy / (sigma**2 / 4**k) - 1) < 4 * math.sqrt(2 / count)
    for k in (1, 2):  # the fourth moment of a normal law is three times its squared variance; its error by sqrt(96 / n)
        count = 2 * (edge / 2 ** (k + 1)) ** 2
        assert abs(math.exp(found[f"log tails of details, {2**k} px"]) - 3 / 1) < 4 * math.sqrt(96 / count)
    assert abs(found["skewness of coarse values"]) < 4 * math.sqrt(6 / (edge / 4) ** 2)
    assert math.isnan(found["shine of what lies below"])


def test_differences_of_slices_and_shine_by_hand():
    here = np.full((64, 64), -1.0, np.float32)
    below = np.full((64, 64), -1.0, np.float32)
    below[:, 32:] = 1.0
    here[:, 32:] = -0.75  # the bright below shines through
    found = dict(zip(NAMES, block_statistics(here, below), strict=True))
    assert found["shine of what lies below"] == pytest.approx(0.25)
    difference = (here - below).astype(float)
    assert math.exp(found["log difference of neighbouring slices"]) == pytest.approx(difference.var())


def test_curtains_make_the_details_along_x_larger():
    stripes = np.tile(RNG.normal(size=(1, 128)), (128, 1)).astype("f4")
    found = dict(zip(NAMES, block_statistics(stripes, None), strict=True))
    assert found["log details along x, 1 px"] > found["log details along y, 1 px"] + 10


def test_an_image_has_the_median_of_its_blocks():
    grey = RNG.normal(size=(3, 256, 300)).astype("f4")
    plain = normal_stack(held(grey, (20.0, 10.0, 10.0)), ramp=False)[1]
    values = plain.read(slice(None))
    rows = [block_statistics(values[z, y : y + 128, x : x + 128], values[z + 1, y : y + 128, x : x + 128])
            for z in (0, 1) for y in (0, 128) for x in (0, 128)]  # fmt: skip
    assert (image_statistics(plain) == np.sort(rows, axis=0)[3]).all()
    with pytest.raises(ImageError, match="found slices of 12 x 300 pixels, expected at least 16"):
        image_statistics(normal_stack(held(grey[:, :12], (20.0, 10.0, 10.0)), ramp=False)[1])


def test_statistics_know_no_brightness_nor_contrast():
    grey = RNG.normal(size=(2, 128, 128)).astype("f4")
    one, two = (image_statistics(normal_stack(held(each.astype("f4"), (20.0, 10.0, 10.0)), ramp=False)[1])
                for each in (grey, 37 * grey + 250))  # fmt: skip
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3)


def test_the_distance_is_that_of_mahalanobis():
    rows = RNG.normal(size=(400, 3)) @ np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 3.0]]) + 5
    found = Reference.of(rows)
    point = np.array([6.0, 2.0, 9.0])
    by = point - rows.mean(axis=0)
    covariance = np.cov(rows.T)
    mixed = 0.99 * covariance + 0.01 * np.diag(np.diag(covariance))
    assert found.distance(point) == pytest.approx(math.sqrt(by @ np.linalg.solve(mixed, by)), rel=1e-6)
    # Squared distances of normal rows follow chi squared with three degrees; its quantile 0.9 is 6.2514.
    assert found.limit == pytest.approx(math.sqrt(6.2514), rel=4 * math.sqrt(0.9 * 0.1 / 400) / 0.25 / 6.2514)
    assert found.distance(np.array([np.nan] * 3)) == 0


def test_slices_that_are_looked_at_are_spread_over_a_stack():
    assert looked_at(3) == [0, 1, 2]
    assert looked_at(1) == [0]
    many = looked_at(1000)
    assert (many[0], many[-1], len(set(many))) == (0, 999, 64)
