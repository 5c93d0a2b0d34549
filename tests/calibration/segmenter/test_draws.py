"""Windows that are drawn: functions of recipe and number, within the ranges, their labels where the grey values are."""

import dataclasses

import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.calibration.microscope import FIB_SEM, NANO_CT, FibSem, fib_sem
from nmcdist.calibration.microscope.sections import needed_shape
from nmcdist.calibration.segmenter.draws import drawn_window, fib_sem_settings, held, nano_ct_settings, normal_stack
from nmcdist.calibration.segmenter.recipe import Imaging, SegmenterRecipe
from nmcdist.errors import ImageError
from nmcdist.models import streams
from nmcdist.models.cba import generate_cba

SMALL = {"name": "small", "slices": 4, "edge": 64, "windows": 2, "training": {"patch": 64}}
BASE = load_bundle("cba-cathode-2025")


def stream(number):
    return streams.draws(1, 999, number)


def test_a_window_is_a_function_of_recipe_and_number():
    recipe = SegmenterRecipe(**SMALL)
    one, again = (drawn_window(recipe, [BASE], 5) for _ in range(2))
    assert (one.grey.read(slice(None)) == again.grey.read(slice(None))).all()
    assert (one.labels == again.labels).all()
    other = drawn_window(SegmenterRecipe(**SMALL, seed=2), [BASE], 5)
    assert (other.labels != one.labels).any()
    assert (drawn_window(recipe, [BASE], 6).labels != one.labels).any()


@pytest.mark.parametrize(("quality", "name"), [(0.0, "easy"), (0.5, "paper-like"), (1.0, "hard")])
def test_the_ends_and_the_middle_of_the_quality_are_the_frozen_settings(quality, name):
    """Without factors and with ranges of no width, the settings are those that are frozen."""
    none = dict.fromkeys(("contrast", "dose", "charging", "shine", "blur_px", "curtain"), 1.0)
    ranges = {"pore": (0.3, 0.3), "ramp": (0.3, 0.3), "read_noise": (0.01, 0.01), "drift_px": (0.4, 0.4)}
    imaging = Imaging(quality=(quality, quality), factors=none, ranges=ranges)
    found = fib_sem_settings(SegmenterRecipe(**SMALL, imaging=imaging), stream(0))
    assert dataclasses.asdict(found) == pytest.approx(dataclasses.asdict(FIB_SEM[name]))
    imaging = Imaging(quality=(quality, quality), factors=dict.fromkeys(("contrast", "noise", "blur_px"), 1.0),
                      ranges={"background": (0.25, 0.25), "noise_px": (0.7, 0.7)})  # fmt: skip
    found = nano_ct_settings(SegmenterRecipe(**SMALL, instrument="nano-ct", imaging=imaging), stream(0))
    assert dataclasses.asdict(found) == pytest.approx(dataclasses.asdict(NANO_CT[name]))


def test_settings_stay_within_their_factors_and_fill_them():
    recipe = SegmenterRecipe(**SMALL, imaging=Imaging(quality=(0.5, 0.5)))
    found = [fib_sem_settings(recipe, stream(number)) for number in range(300)]
    for name, factor in recipe.factors.items():
        ratios = np.log([getattr(each, name) / getattr(FIB_SEM["paper-like"], name) for each in found])
        assert abs(ratios).max() <= np.log(factor) * (1 + 1e-9)
        # Uniform on the logarithm: the standard deviation is the half-width over sqrt(3), with an error of about 4 %.
        assert abs(ratios.std() / (np.log(factor) / np.sqrt(3)) - 1) < 4 * 0.04
    for name, (low, high) in recipe.ranges.items():
        values = np.array([getattr(each, name) for each in found])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high


def test_the_three_settings_are_within_the_defaults():
    recipe = SegmenterRecipe(**SMALL)
    for name, (low, high) in recipe.ranges.items():
        assert low <= getattr(FIB_SEM["hard"], name) <= high
    assert recipe.varied["eta_per_nm"][0] <= 1 <= 2 <= recipe.varied["eta_per_nm"][1]


@pytest.mark.parametrize("registered", [0.0, 1.0])
def test_labels_lie_where_the_grey_values_show_them(registered):
    """At the best quality, a shift of the labels by two pixels separates the grey values of the phases less."""
    imaging = Imaging(quality=(0.0, 0.0), registered=registered, ranges={"drift_px": (1.0, 1.0)})
    window = drawn_window(SegmenterRecipe(**{**SMALL, "edge": 128, "slices": 8}, imaging=imaging), [BASE], 3)
    grey = window.grey.read(slice(None))

    def apart(dy, dx):
        solid = np.roll(window.labels > 0, (dy, dx), (1, 2))[:, 8:-8, 8:-8]
        part = grey[:, 8:-8, 8:-8]
        return part[solid].mean() - part[~solid].mean()

    assert all(apart(0, 0) > apart(*by) for by in ((2, 0), (-2, 0), (0, 2), (0, -2)))


def test_the_ramp_is_taken_out_and_levels_become_minus_one_and_one():
    settings = FibSem(contrast=0.3, dose=600, charging=0.0, shine=0.0, blur_px=0.6, curtain=0.0, drift_px=0.0)
    seen = fib_sem(generate_cba(BASE, needed_shape((8, 320, 320), settings), 10.0, 4), settings, 4)
    grey = normal_stack(held(seen.grey, (20.0, 10.0, 10.0)), ramp=True)[0].read(slice(None))
    for rows in (slice(0, 100), slice(220, 320)):
        pores = grey[:, rows][seen.labels[:, rows] == 0]
        solid = grey[:, rows][seen.labels[:, rows] > 0]
        assert abs(np.median(pores) + 1) < 0.15
        assert abs(np.median(solid) - 1) < 0.15


def test_particles_of_a_nano_ct():
    recipe = SegmenterRecipe(**SMALL, instrument="nano-ct", imaging=Imaging(quality=(0.0, 0.0)))
    window = drawn_window(recipe, [load_bundle("nmc811-radial")], 0)
    grey = window.grey.read(slice(None))
    assert window.labels.shape == (4, 64, 64)
    assert set(np.unique(window.labels)) == {0, 1}
    assert grey[window.labels == 1].mean() > 0.5 > -0.5 > grey[window.labels == 0].mean()


def test_an_image_without_contrast_is_refused():
    with pytest.raises(ImageError, match="expected an image of contrast"):
        normal_stack(held(np.full((3, 32, 32), 7, np.uint8), (20.0, 10.0, 10.0)), ramp=False)
