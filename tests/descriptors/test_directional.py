"""Two-point coverage along lattice vectors, refereed by plain counting."""

import numpy as np
import pytest

from nmcdist.descriptors.directional import AXES_AND_DIAGONALS, directional_coverage
from nmcdist.errors import InputError


def test_coverage_equals_that_of_all_pairs():
    phase = np.random.default_rng(1).random((9, 10, 11)) < 0.4
    directions = np.vstack([AXES_AND_DIAGONALS, [(1, -1, 2), (-1, 0, -1)]])
    found = directional_coverage(phase, directions, 4)
    places = np.argwhere(np.ones(phase.shape, dtype=bool))
    for row, direction in zip(found, directions, strict=True):
        for k, value in enumerate(row):
            other = places + k * direction
            inside = ((other >= 0) & (other < phase.shape)).all(axis=1)
            both = phase[tuple(places[inside].T)] & phase[tuple(other[inside].T)]
            assert value == pytest.approx(both.mean())


def test_layers_show_their_direction():
    phase = np.zeros((16, 8, 8), dtype=bool)
    phase[np.arange(16) % 8 < 4] = True
    across, along = directional_coverage(phase, [(1, 0, 0), (0, 0, 1)], 4)
    assert along == pytest.approx([0.5] * 5)
    assert across == pytest.approx([0.5, 6 / 15, 4 / 14, 2 / 13, 0])


@pytest.mark.parametrize(
    ("directions", "lags", "fault"),
    [
        ([(0, 0, 1)], 8, r"lags: found 8, which reach \(0, 0, 8\) voxels, expected less than \(8, 8, 8\)"),
        ([(0, 0, 0)], 2, "directions: found a vector that is 0"),
        ([(0, 0.5, 0)], 2, "directions: found a vector that is 0, long or between voxels"),
        ([0, 0, 1], 2, r"directions: found shape \(3,\), expected whole numbers of shape"),
        ([(0, 0, 1)], 0, "lags: found 0, expected a whole number from 1"),
    ],
)
def test_impossible_arguments_are_refused(directions, lags, fault):
    with pytest.raises(InputError, match=fault):
        directional_coverage(np.ones((8, 8, 8), dtype=bool), directions, lags)
