"""Fewer voxels: the label with the largest share, by brute force, and no label lost."""

import numpy as np
import pytest

from nmcdist.errors import InputError
from nmcdist.geometry.coarsening import coarsened
from nmcdist.geometry.halving import halved

LABELS = np.random.default_rng(8).integers(0, 4, (12, 10, 9)).astype(np.int32)


def by_brute_force(labels, shape):
    """Return the most frequent label, the greatest in a tie, of copies so many that both grids are whole."""
    fine = np.kron(labels, np.ones(shape, dtype=labels.dtype))
    blocks = fine.reshape(shape[0], labels.shape[0], shape[1], labels.shape[1], shape[2], labels.shape[2])
    counts = np.array([(blocks == label).sum(axis=(1, 3, 5)) for label in range(labels.max() + 1)])
    return counts.shape[0] - 1 - counts[::-1].argmax(axis=0)


@pytest.mark.parametrize("shape", [(6, 5, 3), (7, 6, 5), (11, 9, 8), (12, 10, 9), (1, 1, 3), (5, 10, 2)])
def test_each_voxel_has_the_label_of_the_largest_share(shape):
    expected = by_brute_force(LABELS, shape)
    found, volumes = coarsened(LABELS, shape)
    assert volumes == pytest.approx(np.bincount(LABELS.ravel()) * np.prod(shape) / LABELS.size)
    assert found.dtype == LABELS.dtype and found.shape == shape
    assert (found != expected).sum() == len(np.setdiff1d(LABELS[LABELS > 0], expected))


def test_even_shapes_halve():
    labels = np.random.default_rng(9).integers(0, 3, (8, 12, 10)).astype(np.uint8)
    assert (coarsened(labels, (4, 6, 5))[0] == halved(labels)).all()


def test_a_label_that_wins_nowhere_gets_the_voxel_with_most_of_it():
    labels = np.ones((6, 6, 6), dtype=np.int32)
    labels[:, :, 3:] = 2
    labels[1, 1, 0] = labels[1, 2, 0] = 70_000
    labels[4, 4, 5] = 9
    found, _ = coarsened(labels, (2, 2, 2))
    assert np.argwhere(found == 70_000).tolist() == [[0, 0, 0]]
    assert np.argwhere(found == 9).tolist() == [[1, 1, 1]]
    assert set(found.ravel().tolist()) == {1, 2, 9, 70_000}


def test_labels_that_want_the_same_voxel_take_two():
    labels = np.ones((4, 4, 4), dtype=np.int32)
    labels[0, 0, 0], labels[0, 0, 1], labels[0, 0, 2] = 5, 6, 6
    found, _ = coarsened(labels, (2, 2, 2))
    assert sorted(found[0, 0].tolist()) == [5, 6]
    assert (found[0, 1:] == 1).all() and (found[1] == 1).all()


def test_too_few_voxels_are_refused():
    labels = np.arange(1, 28, dtype=np.int32).reshape(3, 3, 3)
    with pytest.raises(InputError, match="labels: found no voxel for 19 of 27, such as"):
        coarsened(labels, (2, 2, 2))
