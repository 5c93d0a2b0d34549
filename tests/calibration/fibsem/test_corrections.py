"""Ramp and drift against known ones."""

import numpy as np
import pytest
from scipy import ndimage

from nmcdist.calibration.fibsem.drift import SLOW_SLICES, Drift, estimate_drift
from nmcdist.calibration.fibsem.ramp import Ramp, fit_ramp
from nmcdist.calibration.fibsem.stack import corrected_stack
from nmcdist.calibration.stages import Stages
from nmcdist.errors import ImageError
from nmcdist.report.labelling import _drift

RNG = np.random.default_rng(11)
ROWS = np.arange(256)


def stack(count, ramp=0.3, noise=0.03):
    """Blobs of solid (level 0.7) among pores (0.3) under a ramp, the same law in all rows."""
    field = ndimage.gaussian_filter(RNG.normal(size=(count, 256, 256)), (0, 4, 4))
    grey = np.where(field > np.quantile(field, 0.7), 0.7, 0.3) * (1 - ramp * ROWS / 255)[:, None]
    return (grey + noise * RNG.normal(size=grey.shape)).astype(np.float32)


@pytest.mark.parametrize("ramp", [0.0, 0.3, -0.2])
def test_a_known_ramp_is_found(in_memory, ramp):
    """Noise that does not follow the ramp moves the low quantile: by about 1.3 sd of it, smoothed, over the level."""
    found = fit_ramp(in_memory(stack(24, ramp, noise=0.01)))
    bias = 1.3 * 0.01 / (2 * np.sqrt(np.pi) * 1.5) / 0.3
    assert found.loss == pytest.approx(ramp, abs=4 * found.standard_error + bias)
    assert found.standard_error < 0.01


def test_some_rows_of_solid_do_not_turn_the_ramp(in_memory):
    grey = stack(16, noise=0.01)
    grey[:, 180:220] = 0.7 * (1 - 0.3 * ROWS[180:220] / 255)[:, None]
    assert fit_ramp(in_memory(grey)).loss == pytest.approx(0.3, abs=0.03)


def test_a_corrected_slice_is_level():
    plane = np.tile(1 - 0.25 * ROWS[:, None] / 255, (1, 4))
    assert plane / Ramp(0.25).brightness(slice(0, len(plane)), len(plane))[:, None] == pytest.approx(
        np.ones_like(plane), abs=1e-6
    )


def test_levels_below_zero_are_refused(in_memory):
    with pytest.raises(ImageError, match="memory: the dark level goes from"):
        fit_ramp(in_memory(stack(8) - 1))


def shaken(drift, noise=0.05):
    """One structure in every slice, moved by a drift."""
    base = ndimage.gaussian_filter(RNG.normal(size=(192, 192)), 2, mode="wrap")
    base /= base.std()
    planes = [np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(base), -d)).real for d in drift]
    return np.stack([plane + noise * RNG.normal(size=plane.shape) for plane in planes]).astype(np.float32)


def slow_part(places):
    """The line through a Gaussian window around each slice, there, by NumPy's weighted polynomials."""
    at = np.arange(len(places))
    roots = np.exp(-0.25 * ((at[None] - at[:, None]) / SLOW_SLICES) ** 2)  # polyfit squares them
    return np.array([np.polyfit(at - z, places, 1, w=root)[1] for z, root in enumerate(roots)])


def wandering(count):
    """A slow drift of 3 pixels, a line, and a jitter of 0.4 pixels."""
    at = np.arange(count)[:, None]
    return 3 * np.sin(2 * np.pi * at / 50 + [0, 1]) + 0.05 * at + RNG.normal(0, 0.4, (count, 2))


@pytest.mark.parametrize("drift", [np.cumsum(RNG.normal(0, 0.7, (20, 2)), axis=0), wandering(60)])
def test_a_known_drift_is_found_without_its_trend_and_its_slow_part(in_memory, drift):
    found = estimate_drift(in_memory(shaken(drift)))
    at = np.arange(len(drift)) - (len(drift) - 1) / 2
    slope = at @ drift / (at @ at)
    slow = slow_part(drift - drift.mean(axis=0) - at[:, None] * slope)
    assert found.shear_px == pytest.approx(slope, abs=0.02)
    assert found.shifts_px == pytest.approx(drift - slow_part(drift), abs=0.15)
    assert found.slow_px == pytest.approx(np.sqrt((slow**2).mean()), abs=0.1)
    assert found.is_consistent


def test_a_jump_between_two_slices_is_taken_out(in_memory):
    """What is left of it is spread over the slices around it: at once, the view moves by a tenth."""
    drift = np.zeros((40, 2))
    drift[20:] = 6.0, -4.0
    left = drift - estimate_drift(in_memory(shaken(drift))).shifts_px
    steps = abs(np.diff(left, axis=0)).max(axis=0)
    expected = abs(np.diff(slow_part(drift), axis=0)).max(axis=0)
    assert steps == pytest.approx(expected, abs=0.1)
    assert (expected < [0.6, 0.4]).all()


def test_a_stack_takes_the_jitter_out_and_reports_what_it_leaves(in_memory, tmp_path):
    drift = wandering(40)
    image, told = in_memory(shaken(drift)), []
    stages = Stages(tmp_path, progress=told.append)
    stack, _, facts = corrected_stack(image, stages, False, "estimate", "digest")
    assert stack.shifts_px == pytest.approx(drift - slow_part(drift), abs=0.15)
    (y, x), slow = facts["drift"]["shear_px"], facts["drift"]["slow_px"]
    page = _drift(facts["drift"])
    assert f"A shear of {y:+.3f} and {x:+.3f} pixels a slice along y and x, and slow wandering of {slow:.2f} " in page
    assert "--drift FILE" in page
    again, *_ = corrected_stack(image, stages, False, "estimate", "digest")
    assert told[-1]["kept"] == 1
    assert (again.shifts_px == stack.shifts_px).all()


@pytest.mark.parametrize(("disagreement", "is_consistent"), [(0.3, True), (0.36, False)])
def test_correction_needs_bands_that_agree_within_a_third_of_the_shifts(disagreement, is_consistent):
    shifts = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert Drift(shifts, np.zeros(2), 0.0, disagreement).is_consistent is is_consistent


def test_no_drift_gives_none(in_memory):
    found = estimate_drift(in_memory(shaken(np.zeros((20, 2)))))
    assert found.rms_px < 0.02
    assert abs(found.shear_px).max() < 0.005


def test_too_few_slices_are_refused(in_memory):
    with pytest.raises(ImageError, match="expected 8 slices of 64 x 64 pixels"):
        estimate_drift(in_memory(np.zeros((5, 80, 80))))
