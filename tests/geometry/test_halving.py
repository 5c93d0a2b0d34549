"""Labels at twice the voxel size, against a count of each eight."""

import numpy as np

from nmcdist.geometry.halving import halved


def test_a_coarser_level_has_the_most_frequent_label():
    labels = np.random.default_rng(9).integers(0, 4, (6, 5, 7)).astype(np.int32)
    coarse = halved(labels)
    assert (coarse.shape, coarse.dtype) == ((3, 3, 4), np.int32)
    for index in np.ndindex(coarse.shape):
        part = labels[tuple(slice(2 * i, 2 * i + 2) for i in index)]
        counts = np.bincount(part.ravel())
        assert coarse[index] == np.flatnonzero(counts == counts.max()).max()
