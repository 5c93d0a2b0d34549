"""Windows of replicates, and what their errors say of larger images."""

import numpy as np
import pytest

from nmcdist.calibration.cba import bootstrap as module
from nmcdist.calibration.cba.bootstrap import Bootstrap, Larger, bootstrap
from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.fit import UNITS
from nmcdist.calibration.cba.lags import lattice_lags
from nmcdist.calibration.cba.windows import windows
from nmcdist.errors import InputError

REACH = (60, 60, 60)


@pytest.mark.parametrize(
    ("shapes", "voxel_nm", "expected"),
    [
        ([(400, 400, 400)], 20.0, [(400, 400, 400)]),
        ([(400, 400, 400)] * 4, 20.0, [(400, 400, 400)] * 4),
        ([(400, 400, 400)] * 12, 20.0, [(400, 400, 400)] * 8),
        ([(1500, 1000, 1000)], 20.0, [(400, 400, 400)]),
        ([(1500, 1000, 1000)], 10.0, [(400, 400, 400)] * 8),
        ([(3000, 150, 3000)], 20.0, [(653, 150, 653), (653, 150, 653)]),
        ([(200, 300, 5000)], 20.0, [(200, 300, 1066), (200, 300, 1066)]),
    ],
)
def test_windows_hold_at_most_as_many_voxels_as_a_worker_can_draw(shapes, voxel_nm, expected):
    assert list(windows(shapes, voxel_nm, REACH)) == expected


def test_lags_longer_than_half_a_window_are_refused():
    with pytest.raises(InputError, match="found lags of 240 voxels, expected at most half of the edges") as caught:
        windows([(1000, 1000, 1000)], 5.0, (240, 240, 240))
    assert "\n" not in str(caught.value)


def test_mean_error_of_a_larger_image_is_extrapolated():
    """The error b + x^2 of a mean x of normal numbers: 2000 bootstraps of 10 replicates, within 4 standard errors."""
    rng, found = np.random.default_rng(4), []
    for _ in range(2000):
        x = rng.normal(size=10)  # the mean over a window; that of an image 50 times as large has the variance 1 / 50
        larger = Larger(1 / 50, np.array([50**-0.5]), np.array([0.3 + x.mean() ** 2]))
        found.append(Bootstrap((0.3 + x**2)[:, None], [], 0, ((1, 1, 1),), larger).bias[0])
    assert abs(np.mean(found) - (0.3 + 1 / 50)) < 4 * np.std(found) / np.sqrt(len(found))


def test_standard_error_of_a_larger_image_has_that_of_the_correction():
    errors = np.array([-1.0, 1.0, -1.0, 1.0, 0.0])[:, None]
    boot = Bootstrap(errors, [], 0, ((1, 1, 1),), Larger(0.04, np.array([0.2]), np.zeros(1)))
    assert boot.sd[0] == pytest.approx(0.2)
    assert boot.standard_error[0] == pytest.approx(np.sqrt(0.2**2 + 1 / 5))


def test_replicates_of_a_large_image_are_of_its_parts(monkeypatch):
    from nmcdist.bundle import load_bundle

    monkeypatch.setattr("nmcdist.calibration.cba.windows.LARGEST", 160**3)
    monkeypatch.setattr("nmcdist.calibration.cba.windows.ENOUGH_NM3", 1.0)
    drawn, draw = [], module.generate_cba
    monkeypatch.setattr(
        module, "generate_cba", lambda bundle, shape, *rest: drawn.append(shape) or draw(bundle, shape, *rest)
    )
    size, none = (20.0,) * 3, np.zeros(0, dtype=np.int64)
    like = Counts(lattice_lags(size, (160,) * 3), size, ((640, 320, 320),), none, none, none)
    boot = bootstrap(load_bundle("cba-cathode-2025").cba(), like, 5, 1, radii_nm=None)
    assert set(drawn) == {(160, 160, 160)} and len(drawn) == 5
    assert boot.larger is not None and boot.larger.share == pytest.approx(1 / 16)
    scale = dict(zip(UNITS, boot.larger.scale, strict=True))
    assert scale["eta"] == scale["mean_c"] == pytest.approx(0.25)
    assert 0.25 < scale["mu"] < 1  # the mean of the field over a box falls more slowly with its volume
    assert boot.curves == []
