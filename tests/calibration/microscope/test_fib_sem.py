"""The virtual FIB-SEM: each fault by itself against what it should do, and purity."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from nmcdist.calibration.microscope import FIB_SEM, drifts_px, fib_sem, fib_sem_slice
from nmcdist.calibration.microscope.noise import counted, smooth_noise
from nmcdist.calibration.microscope.sections import needed_shape
from nmcdist.errors import InputError
from nmcdist.models import streams

# No fault at all.
CLEAN = replace(
    FIB_SEM["easy"], dose=1e-9, charging=0, shine=0, blur_px=0, curtain=0, drift_px=0, ramp=0, read_noise=0
)  # fmt: skip
SHAPE = (3, 40, 50)
LABELS = (np.random.default_rng(1).random(needed_shape(SHAPE, CLEAN)) < 0.3).astype(np.uint8)


@pytest.fixture(autouse=True)
def _without_electrons(monkeypatch, request):
    if "electrons" not in request.fixturenames:
        monkeypatch.setattr("nmcdist.calibration.microscope.sections.counted", lambda stream, grey, dose: grey)


@pytest.fixture
def electrons():
    """Keep the Poisson noise."""


def test_without_faults_grey_values_are_those_of_the_phases():
    found = fib_sem(LABELS, CLEAN, 1)
    assert found.grey.shape == found.labels.shape == SHAPE
    assert np.array_equal(found.grey, np.where(found.labels > 0, 179, 76))
    assert np.array_equal(found.labels[1], LABELS[2, 8:-8, 8:-8])  # slices are two pixels thick


def test_the_ramp_is_linear_and_loses_its_share():
    grey = fib_sem(np.ones_like(LABELS), replace(CLEAN, ramp=0.3), 1).grey[0] / 255
    assert grey[:, 7] == pytest.approx(0.7 * np.linspace(1, 0.7, 40), abs=0.5 / 255)


def test_solid_below_a_pore_shines_through_and_fades():
    labels = np.zeros_like(LABELS)
    labels[3, :, 30:] = 1
    grey = fib_sem(labels, replace(CLEAN, shine=0.5), 1).grey[0] / 255
    assert grey[:, -1] == pytest.approx(0.3 + 0.4 * 0.5 * np.exp(-2 / 6), abs=0.5 / 255)
    assert grey[:, 0] == pytest.approx(0.3, abs=0.5 / 255)


def test_drift_moves_the_view_between_pixels():
    settings = replace(CLEAN, depth_px=1)
    slab = (255 * np.random.default_rng(3).random((1, 56, 66)) < 90).astype(np.uint8)
    found = fib_sem_slice(slab, 0, np.array([1.25, -2.5]), settings, 1) / 255
    moved = ndimage.shift(slab[0].astype(float), (-1.25, 2.5), order=1)[8:-8, 8:-8]
    assert found == pytest.approx(0.3 + 0.4 * moved, abs=0.6 / 255)


def test_drifts_are_a_stationary_walk_within_the_margin():
    """Variance step^2 / (1 - p^2) of a walk that is drawn back; correlated over (1 + p) / (1 - p) slices."""
    settings = FIB_SEM["paper-like"]
    drift = drifts_px(20_000, settings, 5)
    assert np.array_equal(drift[:50], drifts_px(50, settings, 5))
    variance = settings.drift_px**2 / (1 - settings.persistence**2)
    effective = 40_000 * (1 - 0.9**2) / (1 + 0.9**2)
    assert drift.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / effective))
    assert abs(drift).max() < settings.margin_px


def test_electrons_follow_the_law_of_poisson(electrons):
    """20,000 pixels: mean 90 and variance 90, each within four standard errors."""
    grey = np.full((100, 200), 0.3, np.float32)
    counts = 300 * counted(streams.draws(1, 801, 0), grey, 300).astype(np.float64)
    assert counts == pytest.approx(np.rint(counts), abs=1e-3)
    assert counts.mean() == pytest.approx(90, abs=4 * np.sqrt(90 / 20_000))
    assert counts.var() == pytest.approx(90, rel=4 * np.sqrt(2 / 20_000))
    assert not counted(streams.draws(1, 801, 0), -grey, 300).any()


def test_smooth_noise_has_unit_variance():
    """512^2 pixels of correlation area 4 pi sigma^2, so the variance has about 2,300 degrees of freedom."""
    field = smooth_noise(streams.draws(2, 801, 0), (512, 512), 3.0)[12:-12, 12:-12]
    freedom = field.size / (2 * np.pi * 9)
    assert field.var() == pytest.approx(1, rel=4 * np.sqrt(2 / freedom))


def test_images_are_pure_functions_of_structure_settings_and_seed(electrons):
    one, two, three = (fib_sem(LABELS, FIB_SEM["hard"], seed) for seed in (4, 4, 5))
    assert np.array_equal(one.grey, two.grey)
    assert (one.grey != three.grey).mean() > 0.5
    alone = fib_sem_slice(LABELS[2:18], 1, one.drift_px[1], FIB_SEM["hard"], 4)
    assert np.array_equal(alone, one.grey[1])  # a slice does not depend on others


def test_a_structure_without_room_is_refused():
    with pytest.raises(InputError, match=r"labels: found shape \(4, 10, 10\), expected at least \(16, 17, 17\)"):
        fib_sem(np.zeros((4, 10, 10), np.uint8), CLEAN, 1)
