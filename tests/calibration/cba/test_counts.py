"""Counts of blocks against brute force over all pairs of the whole image."""

import pickle
from itertools import product

import numpy as np
import pytest

from nmcdist.calibration.cba.counts import PHASE_LABELS, count_images, count_labels, joined
from nmcdist.calibration.cba.lags import lattice_lags
from nmcdist.descriptors.intrinsic import configuration_counts
from nmcdist.errors import ImageError
from nmcdist.images import open_image

RNG = np.random.default_rng(5)
LABELS = RNG.integers(0, 3, (44, 50, 137)).astype(np.uint8)  # rows longer than two words of bits


def shifted(labels, vector):
    """Return both ends of all pairs at a lattice vector."""
    pairs = [(slice(max(0, -s), min(n, n - s)), slice(max(0, s), min(n, n + s)))
             for n, s in zip(labels.shape, vector, strict=True)]  # fmt: skip
    return (labels[tuple(part[k] for part in pairs)] for k in (0, 1))


def expected(labels, vectors):
    rows = []
    for vector in vectors:
        p, q = shifted(labels, vector)
        rows.append([((p == 1) & (q == 1)).sum(), ((p != 2) & (q != 2)).sum(), ((p == 2) & (q == 2)).sum(), p.size])
    return np.array(rows).T


def image_of(folder, labels, size=20.0, name="labels.npy"):
    np.save(folder / name, labels)
    return open_image(folder / name, size, "zyx")


@pytest.mark.parametrize("size", [(80.0, 80.0, 80.0), (120.0, 80.0, 40.0)])
def test_sums_over_blocks_are_the_counts_of_the_image(tmp_path, size):
    counts = count_images([image_of(tmp_path, LABELS, size)])
    assert len(counts.voxels) > 8
    np.testing.assert_array_equal(counts.pairs.sum(axis=0), expected(LABELS, counts.lags.vectors))
    np.testing.assert_array_equal(counts.voxels.sum(axis=0), np.bincount(LABELS.ravel()))
    np.testing.assert_array_equal(counts.configurations.sum(axis=0), configuration_counts(LABELS == 2))


def test_other_labels_of_the_phases_give_the_same_counts(tmp_path):
    renamed = np.array([7, 0, 3], dtype=np.uint16)[LABELS]
    own = count_images([image_of(tmp_path, LABELS)])
    other = count_images([image_of(tmp_path, renamed, name="b.npy")], {"pore": 7, "carbon_binder": 0, "graphite": 3})
    np.testing.assert_array_equal(own.pairs, other.pairs)


def test_two_images_count_as_one_sample(tmp_path):
    lags = lattice_lags((20.0,) * 3, LABELS.shape)
    both = count_images([image_of(tmp_path, LABELS), image_of(tmp_path, LABELS[::-1], name="b.npy")])
    apart = joined([count_labels(LABELS, 20.0, lags), count_labels(LABELS[::-1], 20.0, lags)])
    np.testing.assert_array_equal(both.pairs, apart.pairs)
    assert both.volume_nm3 == 2 * LABELS.size * 8000.0


def test_pieces_may_be_counted_elsewhere(tmp_path):
    def elsewhere(function, items):
        return [pickle.loads(pickle.dumps(function))(pickle.loads(pickle.dumps(item))) for item in items]

    image = image_of(tmp_path, LABELS)
    plain, spread = count_images([image]), count_images([image], spread=elsewhere)
    np.testing.assert_array_equal(plain.pairs, spread.pairs)


def test_lattice_vectors_have_the_lengths_of_their_bins_and_no_mirror_images():
    lags = lattice_lags((40.0, 20.0, 10.0), (200, 200, 400))
    np.testing.assert_allclose(lags.length_nm, np.linalg.norm(lags.vectors * (40.0, 20.0, 10.0), axis=1))
    lengths, mean = lags.averages(np.ones(len(lags.vectors)))
    np.testing.assert_allclose(mean @ lengths, [lags.length_nm[lags.bin == b].mean() for b in range(lags.bins)])
    pairs = np.arange(1, len(lags.vectors) + 1)
    expected = [np.average(lags.length_nm[lags.bin == b], weights=pairs[lags.bin == b]) for b in range(lags.bins)]
    np.testing.assert_allclose(lags.averages(pairs)[1] @ lengths, expected)
    for b in range(1, lags.bins):
        own = lags.length_nm[lags.bin == b]
        assert own.max() < 1.3 * own.min()
    found = {tuple(v) for v in lags.vectors.tolist()}
    assert not any(tuple(-c for c in v) in found for v in found if any(v))
    # On cubic voxels, all thirteen directions appear at long lags.
    cubic = lattice_lags((20.0,) * 3, (400, 400, 400))
    directions = {tuple(np.sign(v)) for v in cubic.vectors[cubic.bin == cubic.bins - 1].tolist()}
    assert directions == {d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((60, 60, 60), np.uint8), "found one phase, pore, expected pore, carbon_binder and graphite"),
        (LABELS % 2, "found no voxel of graphite"),
        (np.where(LABELS == 1, 9, LABELS), "found the value 9, expected 0, 1 and 2"),
        (LABELS[:10, :10, :10], "expected a larger image or smaller voxels: lags up to 1200 nm have [0-9] lengths, of"),
    ],
)
def test_unusable_labels_get_one_clear_line(tmp_path, labels, message):
    with pytest.raises(ImageError, match=message) as caught:
        count_images([image_of(tmp_path, labels.astype(np.uint8))])
    assert "\n" not in str(caught.value)


def test_images_with_other_voxels_are_refused(tmp_path):
    images = [image_of(tmp_path, LABELS), image_of(tmp_path, LABELS, 10.0, "b.npy")]
    with pytest.raises(ImageError, match=r"expected .* as in"):
        count_images(images, PHASE_LABELS)
