"""Drawn labels against the probabilities and theory; interpolation against SciPy."""

import math

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from nmcdist.learning.refine.interpolation import nearest, trilinear
from nmcdist.learning.refine.labels import drawn, likeliest

PROBABILITIES = (0.55, 0.3, 0.15)


def scores(probabilities, edge):
    values = np.log(np.asarray(probabilities, np.float64)) + 1.7  # a number common to all phases does not matter
    return np.broadcast_to(values[:, None, None, None], (len(values), edge, edge, edge)).astype(np.float32)


def test_drawn_labels_have_the_probabilities():
    """4,096 voxels eight correlation lengths apart, where noise has no site in common."""
    found = [drawn(scores(PROBABILITIES, 64), 20.0, 20.0, seed, 0, (0, 0, 0))[::8, ::8, ::8] for seed in range(8)]
    shares = np.bincount(np.ravel(found), minlength=3) / np.size(found)
    for share, p in zip(shares, PROBABILITIES, strict=True):
        assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / np.size(found))


@pytest.mark.parametrize("length", [1.0, 2.0])
def test_neighbours_are_drawn_alike(length):
    """Of two phases with p = 1/2, neighbours share a label with probability 1/2 + asin(rho) / pi (Sheppard, 1899).

    32,768 pairs, 8 voxels apart in each direction: beyond the reach of a site of the noise, which is 4.6 l, or close to
    it. The lattice of the noise changes rho by 1e-3 at most.
    """
    cut = (slice(None, None, 10), slice(None, None, 10))
    pairs = []
    for seed in range(32):
        found = drawn(scores((0.5, 0.5), 80), length, 1.0, seed, 0, (0, 0, 0))
        pairs.append(found[:, :, ::10][cut] == found[:, :, 1::10][cut])
    expected = 0.5 + math.asin(math.exp(-1 / length**2)) / math.pi
    error = math.sqrt(expected * (1 - expected) / np.size(pairs))
    assert abs(np.mean(pairs) - expected) < 4 * error + 1e-3


def test_labels_that_are_sure_are_not_drawn():
    sure = np.where(
        np.arange(3)[:, None, None, None] == np.random.default_rng(1).integers(0, 3, (12, 12, 12)), 90.0, 0.0
    )
    assert np.array_equal(drawn(sure.astype("f4"), 2.0, 1.0, 1, 0, (0, 0, 0)), sure.argmax(axis=0))


def test_drawn_labels_depend_on_the_position_alone():
    whole = drawn(scores(PROBABILITIES, 20), 30.0, 20.0, 5, 6, (-4, 10, 3))
    part = drawn(scores(PROBABILITIES, 9), 30.0, 20.0, 5, 6, (1, 12, 9))
    assert np.array_equal(part, whole[5:14, 2:11, 6:15])


def test_likeliest_is_the_first_of_equal_ones():
    found = np.random.default_rng(2).integers(0, 4, (3, 7, 6, 5)).astype("f4")
    assert np.array_equal(likeliest(found), found.argmax(axis=0))


def test_interpolation_is_that_of_scipy():
    labels = np.random.default_rng(3).integers(0, 3, (8, 9, 7)).astype(np.uint8)
    inner = tuple(n - 2 for n in labels.shape)
    centres = [1 + (np.arange(2 * n) + 0.5) / 2 - 0.5 for n in inner]  # of the parts, in voxels of the labels
    grid = np.meshgrid(*centres, indexing="ij")
    values = np.stack([map_coordinates((labels == k).astype(float), grid, order=1) for k in range(3)])
    found, best = trilinear(labels, 3), values.max(axis=0)
    assert found.shape == tuple(2 * n for n in inner)
    chosen = np.take_along_axis(values, found[None].astype(int), 0)[0]
    assert np.allclose(chosen, best, rtol=0, atol=1e-12)  # any of equal ones


def test_nearest_repeats_each_voxel():
    labels = np.random.default_rng(4).integers(0, 3, (3, 4, 5)).astype(np.uint8)
    found = nearest(labels)
    for z, y, x in np.ndindex(found.shape):
        assert found[z, y, x] == labels[z // 2, y // 2, x // 2]
