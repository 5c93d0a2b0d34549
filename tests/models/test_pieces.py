"""Pieces of disconnected grains, refereed by scipy's component labels and a plain reading of the rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from nmcdist.errors import InputError
from nmcdist.models.pieces import merge_pieces

volumes = arrays(np.int32, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 4))


def by_hand(labels):
    """Read the rule one voxel at a time."""
    part = np.zeros(labels.shape, dtype=int)
    owner, small, number = {}, [], 0
    for label in sorted(set(labels.flat) - {0}):
        found, count = ndimage.label(labels == label)
        sizes = ndimage.sum_labels(np.ones(labels.shape), found, range(1, count + 1))
        for k in range(1, count + 1):
            number += 1
            part[found == k] = number
            owner[number] = int(label) if k - 1 == int(np.argmax(sizes)) else None
            if owner[number] is None:
                small.append(number)
    voxels = int(np.isin(part, small).sum())
    moving = True
    while moving:
        moving = False
        chosen = {}
        for piece in [p for p in small if owner[p] is None]:
            shared = {}
            for place in np.argwhere(part == piece):
                for step in np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)]):
                    to = tuple(place + step)
                    if all(0 <= t < n for t, n in zip(to, labels.shape, strict=True)) and part[to]:
                        label = owner[part[to]]
                        if part[to] != piece and label is not None:
                            shared[label] = shared.get(label, 0) + 1
            if shared:
                chosen[piece] = min(shared, key=lambda label: (-shared[label], label))
        owner.update(chosen)
        moving = bool(chosen)
    merged = np.array([0, *[owner[k] or 0 for k in range(1, number + 1)]])[part]
    return merged, len({labels[part == p][0] for p in small}), len(small), voxels


@settings(max_examples=200, deadline=None)
@given(volumes)
def test_the_rule_read_voxel_by_voxel(labels):
    expected, *counts = by_hand(labels)
    merged = labels.copy()
    assert list(merge_pieces(merged)) == counts
    assert np.array_equal(merged, expected)


@settings(max_examples=50, deadline=None)
@given(volumes)
def test_every_grain_is_connected_afterwards(labels):
    merge_pieces(labels)
    for label in set(labels.flat) - {0}:
        assert ndimage.label(labels == label)[1] == 1
    assert merge_pieces(labels) == (0, 0, 0)


def test_a_larger_volume_keeps_the_rule():
    rng = np.random.default_rng(4)
    fields = [ndimage.gaussian_filter(rng.standard_normal((40, 41, 42)), 2) for _ in range(6)]
    labels = np.argmax(fields, axis=0).astype(np.int32)
    expected, *counts = by_hand(labels)
    assert list(merge_pieces(labels)) == counts
    assert counts[1] > 10
    assert np.array_equal(labels, expected)


def test_a_tie_goes_to_the_lowest_label():
    labels = np.array([[[5, 5, 3, 2, 9, 3, 3]]], dtype=np.int32)
    assert merge_pieces(labels) == (1, 1, 1)
    assert labels.tolist() == [[[5, 5, 2, 2, 9, 3, 3]]]


def test_a_piece_without_neighbours_becomes_outside():
    labels = np.array([[[7, 7, 0, 7]]], dtype=np.int32)
    assert merge_pieces(labels) == (1, 1, 1)
    assert labels.tolist() == [[[7, 7, 0, 0]]]


@pytest.mark.parametrize("labels", [np.zeros((3, 3, 3)), np.zeros((3, 3), np.int32), np.full((2, 2, 2), -1, np.int32)])
def test_what_are_not_labels_is_refused(labels):
    with pytest.raises(InputError, match=r"^labels: found"):
        merge_pieces(labels)
