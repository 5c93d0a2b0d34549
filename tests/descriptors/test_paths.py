"""Geodesic tortuosity and percolation as descriptors; their kernels are refereed with the geometry."""

import math

import numpy as np
import pytest

from nmcdist.descriptors.paths import geodesic_tortuosity, percolates
from nmcdist.errors import InputError


@pytest.fixture
def chequered():
    """Two halves that touch at an edge only: 26 neighbours join them, 6 do not."""
    phase = np.zeros((6, 6, 6), dtype=bool)
    phase[:3, :3] = phase[3:, 3:] = True
    return phase


def test_open_volume_is_straight():
    assert geodesic_tortuosity(np.ones((7, 8, 9), dtype=bool), 2) == 1


def test_inclined_channel():
    """Two of three steps straight, one diagonal: (2 + sqrt(2)) / 3 a layer, to the 6e-8 of the integer steps."""
    phase = np.zeros((31, 11, 1), dtype=bool)
    phase[np.arange(31), (np.arange(31) + 1) // 3, 0] = True
    assert geodesic_tortuosity(phase, 0) == pytest.approx((2 + math.sqrt(2)) / 3, rel=1e-7)


def test_mean_over_the_starting_voxels():
    """A straight channel and one that goes aside by 4 and back: 1 and (2 + 8 sqrt(2)) / 10."""
    phase = np.zeros((11, 9, 1), dtype=bool)
    phase[:, 0] = True
    phase[np.arange(11), [3, 4, 5, 6, 7, 7, 7, 6, 5, 4, 3], 0] = True
    assert geodesic_tortuosity(phase, 0) == pytest.approx((1 + (2 + 8 * math.sqrt(2)) / 10) / 2, rel=1e-7)


def test_dead_ends_do_not_count():
    phase = np.zeros((11, 5, 1), dtype=bool)
    phase[:, 0] = True
    phase[:8, 3] = True
    assert geodesic_tortuosity(phase, 0) == 1


def test_single_layer():
    phase = np.zeros((1, 3, 3), dtype=bool)
    assert math.isnan(geodesic_tortuosity(phase, 0))
    assert not percolates(phase, 0)
    phase[0, 1, 1] = True
    assert geodesic_tortuosity(phase, 0) == 1
    assert percolates(phase, 0)


def test_phase_that_does_not_percolate(chequered):
    chequered[2] = False
    assert math.isnan(geodesic_tortuosity(chequered, 0))
    assert not percolates(chequered, 0)
    assert percolates(chequered, 2)


def test_connectivity(chequered):
    assert percolates(chequered, 0)
    assert not percolates(chequered, 0, connectivity=6)
    # From row y of 0, 1, 2 to the edge between rows 2 and 3: of 5 steps, the 3 - y aside are diagonal.
    lengths = [5 - aside + aside * math.sqrt(2) for aside in (3, 2, 1)]
    assert geodesic_tortuosity(chequered, 0) == pytest.approx(np.mean(lengths) / 5, rel=1e-7)


def test_layout_does_not_matter():
    phase = np.random.default_rng(12).random((12, 13, 14)) < 0.5
    for axis in range(3):
        assert geodesic_tortuosity(np.asfortranarray(phase), axis) == geodesic_tortuosity(phase, axis)
        view = phase[::2, ::-1]
        assert geodesic_tortuosity(view, axis) == pytest.approx(geodesic_tortuosity(view.copy(), axis), nan_ok=True)


@pytest.mark.parametrize("function", [geodesic_tortuosity, percolates])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((4, 4), bool),), r"phase: found shape \(4, 4\)"),
        ((np.zeros((4, 4, 4)),), "phase: found dtype float64"),
        ((np.zeros((4, 4, 4), bool), -1), "axis: found -1"),
    ],
)
def test_bad_input_names_the_argument(function, arguments, message):
    with pytest.raises(InputError, match=message):
        function(*arguments)


def test_bad_connectivity():
    with pytest.raises(InputError, match="connectivity: found 18, expected 6 or 26"):
        percolates(np.ones((2, 2, 2), bool), 0, 18)
