"""Chords of a phase, refereed by counting and by the exact law of the pores of a Boolean model."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nmcdist.descriptors import phase_chord_lengths
from nmcdist.errors import InputError

EDGES = (20.0, 10.0, 13.0)
RADIUS, COVER = 120.0, 0.4


@settings(max_examples=80, deadline=None)
@given(arrays(np.bool_, st.tuples(*[st.integers(1, 7)] * 3)), st.integers(0, 2))
def test_every_run_between_two_others_is_a_chord(phase, axis):
    expected = []
    for line in np.moveaxis(phase, axis, 2).reshape(-1, phase.shape[axis]):
        others = np.flatnonzero(~line)
        expected += [EDGES[axis] * (b - a - 1) for a, b in pairwise(others) if b - a > 1]
    assert list(phase_chord_lengths(phase, EDGES, axis)) == pytest.approx(expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_plates_have_chords_across_and_none_along(axis):
    layers = np.moveaxis(np.broadcast_to(np.arange(60) // 5 % 3 == 1, (4, 3, 60)), 2, axis)
    found = phase_chord_lengths(layers, EDGES, axis)
    assert list(found) == [5 * EDGES[axis]] * 48
    assert not any(len(phase_chord_lengths(layers, EDGES, other)) for other in range(3) if other != axis)


def test_mean_chord_of_a_ball():
    """Four volumes over the surface: 4/3 of the radius; 2 % for the voxels."""
    axes = [np.arange(-440 // edge, 440 // edge + 1) * edge + 3 for edge in EDGES]
    phase = sum(np.square(c) for c in np.ix_(*axes)) <= 400**2
    for axis in range(3):
        assert phase_chord_lengths(phase, EDGES, axis).mean() == pytest.approx(4 / 3 * 400, rel=0.02)


def pores(seed: int) -> np.ndarray:
    """Return what balls leave free that overlap and cover COVER of a window of 1 um."""
    random, side = np.random.default_rng([91, seed]), 1000.0
    count = -math.log(1 - COVER) / (4 / 3 * math.pi * RADIUS**3) * (side + 2 * RADIUS) ** 3
    axes = [np.arange(round(side / edge)) * edge for edge in EDGES]
    free = np.ones([len(a) for a in axes], bool)
    for centre in random.random((random.poisson(count), 3)) * (side + 2 * RADIUS) - RADIUS:
        near = [np.abs(a - c) <= RADIUS for a, c in zip(axes, centre, strict=True)]
        parts = np.ix_(*(a[n] - c for a, n, c in zip(axes, near, centre, strict=True)))
        free[np.ix_(*near)] &= sum(np.square(part) for part in parts) > RADIUS**2
    return free


def test_chords_of_pores_between_random_balls_are_exponential():
    """On voxels exactly: the next voxel of a chord is free with the probability q of a ball that steps on.

    That is exp(-intensity pi (r^2 e - e^3 / 12)) for an edge e along the axis. 12 windows, 4 standard errors, with
    the weights of the docstring.
    """
    windows = [pores(seed) for seed in range(12)]
    intensity = -math.log(1 - COVER) / (4 / 3 * math.pi * RADIUS**3)
    for axis, edge in enumerate(EDGES):
        q = math.exp(-intensity * math.pi * (RADIUS**2 * edge - edge**3 / 12))
        n, means, shares = windows[0].shape[axis], [], []
        for window in windows:
            chords = np.rint(phase_chord_lengths(window, EDGES, axis) / edge)
            weights = 1 / (n - chords - 1)
            means.append(np.average(chords, weights=weights))
            shares.append(np.average(chords > 10, weights=weights))
        law = q ** np.arange(n - 2)  # of 1 to n - 2 voxels, the longest that fit
        exact = np.average(np.arange(1, n - 1), weights=law), law[10:].sum() / law.sum()
        for found, truth in zip((means, shares), exact, strict=True):
            assert np.mean(found) == pytest.approx(truth, abs=4 * np.std(found) / math.sqrt(len(found)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((4, 4), bool), 1.0), "phase: found shape"),
        ((np.zeros((4, 4, 4), int), 1.0), "phase: found dtype int64"),
        ((np.zeros((4, 4, 4), bool), (1.0, 2.0)), "voxel_size_nm: found .* three for"),
        ((np.zeros((4, 4, 4), bool), 1.0, 3), "axis: found 3"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        phase_chord_lengths(*arguments)
