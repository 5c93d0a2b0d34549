"""Agreement with a truth against loops over pixels, and shares corrected by a confusion against known fields."""

import numpy as np
import pytest
from scipy.stats import binom

from nmcdist.calibration.segmenter.corrected import corrected_shares
from nmcdist.calibration.segmenter.judging import (
    UNKNOWN,
    binned,
    calibration_error,
    confusion,
    reliability,
    scores_of,
)  # fmt: skip
from nmcdist.calibration.segmenter.properties import cubic_labels, errors_of, properties
from nmcdist.errors import ImageError

NAMES = ("pore", "binder", "graphite")
MATRIX = np.array([[0.9, 0.07, 0.03], [0.1, 0.8, 0.1], [0.05, 0.25, 0.7]])


@pytest.fixture
def judged():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, (4, 9, 11)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.2] = UNKNOWN
    return rng.integers(0, 3, truth.shape).astype(np.uint8), truth


def test_the_confusion_is_that_of_a_loop(judged):
    found, truth = judged
    expected = np.zeros((3, 3), int)
    for one, two in zip(found.ravel(), truth.ravel(), strict=True):
        if two != UNKNOWN:
            expected[two, one] += 1
    assert (confusion(found, truth, 3) == expected).all()


def test_scores_are_those_of_sets(judged):
    found, truth = judged
    scores = scores_of(confusion(found, truth, 3), NAMES)
    known = truth != UNKNOWN
    assert scores["pixels"] == known.sum()
    assert scores["accuracy"] == pytest.approx((found == truth)[known].mean())
    assert scores["accuracy_of_first"] == pytest.approx(((found == 0) == (truth == 0))[known].mean())
    for number, name in enumerate(NAMES):
        ours, true = (set(np.flatnonzero((each == number) & known)) for each in (found, truth))
        assert scores["iou"][name] == pytest.approx(len(ours & true) / len(ours | true))
        assert scores["dice"][name] == pytest.approx(2 * len(ours & true) / (len(ours) + len(true)))


def test_a_class_that_is_nowhere_has_no_dice():
    counts = confusion(np.zeros(5, np.uint8), np.zeros(5, np.uint8), 2)
    assert scores_of(counts, ("a", "b"))["dice"] == {"a": 1.0, "b": None}


def test_reliability_counts_pixels_by_probability(judged):
    truth = judged[1]
    shares = np.random.default_rng(4).integers(0, 256, (3, *truth.shape)).astype(np.uint8)
    counts = reliability(shares, truth)
    known = truth != UNKNOWN
    for number in range(3):
        for value in (0, 17, 255):
            has = known & (shares[number] == value)
            assert counts[number, value].tolist() == [has.sum(), (has & (truth == number)).sum()]
    bins = binned(counts)[1]
    assert sum(each["pixels"] for each in bins) == known.sum()
    first = known & (shares[1].astype(int) * 10 < 256)
    assert bins[0]["pixels"] == first.sum()
    assert bins[0]["probability"] == pytest.approx(shares[1][first].mean() / 255)
    assert bins[0]["share"] == pytest.approx((truth == 1)[first].mean())


def test_the_calibration_error_of_known_probabilities():
    """Of 200,000 pixels, a class is true with the stated probability, or with that less 0.1."""
    rng, values = np.random.default_rng(5), np.array([51, 128, 204], np.uint8)
    stated = rng.choice(values, 200_000)
    shares = np.stack([stated, 255 - stated])
    for lie in (0.0, 0.1):
        truth = (rng.random(len(stated)) >= stated / 255 - lie).astype(np.uint8)
        error = calibration_error(reliability(shares, truth))
        assert error == pytest.approx(lie, abs=4 * np.sqrt(0.25 / 66_000))


def field(rng, shape, shares, block):
    """Return classes in cubes of a few voxels, so that neighbours are alike, and their labels with known mistakes."""
    coarse = rng.choice(3, [n // block for n in shape], p=shares)
    truth = coarse.repeat(block, 0).repeat(block, 1)
    draws = rng.random(truth.shape)
    labels = (draws[..., None] > MATRIX.cumsum(axis=1)[truth]).sum(axis=-1)
    return truth.astype(np.uint8), labels.astype(np.uint8)


def blocks_of(truth, labels, edge, numbers):
    rows = truth.shape[1] // edge
    for number in numbers:
        part = np.s_[number // rows * edge :, number % rows * edge :]
        yield confusion(labels[part][:edge, :edge], truth[part][:edge, :edge], 3)


def test_exact_mistakes_are_taken_back_exactly():
    true = np.array([5000, 3000, 2000])
    blocks = np.rint(1000 * MATRIX).astype(int)[None].repeat(4, 0)
    found = corrected_shares((true @ MATRIX), blocks)
    assert found.shares == pytest.approx((0.5, 0.3, 0.2))
    assert max(found.standard_errors) < 1e-12
    assert (found.blocks, found.pixels) == (4, 12_000)


def test_shares_do_not_depend_on_how_much_of_each_class_is_labelled():
    seen = np.array([0.5, 0.3, 0.2]) @ MATRIX * 1e6
    even = np.rint(1000 * MATRIX).astype(int)
    uneven = even * np.array([[1], [10], [3]])
    first, second = (corrected_shares(seen, each[None].repeat(3, 0)) for each in (even, uneven))
    assert first.shares == pytest.approx(second.shares)


COUNT = 300


@pytest.fixture(scope="module")
def fields():
    """300 fields of 256 x 256 pixels with 12 labelled blocks of 32 x 32: corrected, seen and true shares."""
    found = []
    for seed in range(COUNT):
        rng = np.random.default_rng(1000 + seed)
        truth, labels = field(rng, (256, 256), (0.5, 0.4, 0.1), 4)
        blocks = np.stack(list(blocks_of(truth, labels, 32, rng.choice(64, 12, replace=False))))
        counts = [np.bincount(each.ravel(), minlength=3) for each in (labels, truth)]
        found.append((corrected_shares(counts[0], blocks), *(each / truth.size for each in counts)))
    return found


def test_intervals_cover_the_true_shares_and_labels_alone_do_not(fields):
    """Nominal 95 %, within 4 standard errors of 300 fields."""
    low, high = (binom.ppf(q, COUNT, 0.95) for q in (3.2e-5, 1 - 3.2e-5))
    inside = np.array([(np.array(f.low) <= true) & (true <= np.array(f.high)) for f, _, true in fields])
    assert (inside.sum(axis=0) >= low).all()
    assert (inside.sum(axis=0) <= high).all()
    naive = np.array([abs(seen - true) < np.array(f.high) - f.shares for f, seen, true in fields])
    assert (naive.sum(axis=0) < low)[1:].all()
    errors = np.array([f.shares - true for f, _, true in fields])
    assert (abs(errors.mean(axis=0)) < 4 * errors.std(axis=0, ddof=1) / np.sqrt(COUNT)).all()


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (np.ones((2, 2, 2), int), r"found them in 2 block\(s\), expected at least 3"),
        (np.array([[[5, 1], [0, 0]]] * 4), "found none of class 1, expected some of every class"),
        (np.array([[[3, 1], [3, 1]]] * 4), "found two classes whose labels are alike"),
        (np.array([[[5, 1], [0, 0]]] * 5 + [[[5, 1], [1, 5]]]), "found a class in too few blocks"),
    ],
)
def test_labels_that_say_too_little_are_refused(blocks, message):
    with pytest.raises(ImageError, match=message):
        corrected_shares(np.array([3, 4]), blocks)


def test_cubic_voxels_have_the_class_of_a_count():
    labels = np.random.default_rng(8).integers(0, 3, (3, 8, 11)).astype(np.uint8)
    found = cubic_labels(labels, (1, 2, 3), 3)
    assert found.shape == (3, 4, 3)
    for z, y, x in np.ndindex(found.shape):
        own = labels[z, 2 * y : 2 * y + 2, 3 * x : 3 * x + 3].ravel().tolist()
        expected = 0 if own.count(0) >= 3 else 2 if own.count(2) >= own.count(1) else 1
        assert found[z, y, x] == expected


def test_properties_of_slabs():
    """Slabs across z: known shares and surfaces; parallel conduction and flow between plates, by their formulas."""
    labels = np.zeros((24, 40, 40), np.uint8)
    labels[8:16], labels[16:] = 1, 2
    found = properties(labels, (10.0, 10.0, 10.0), NAMES, flow=True)
    for name in NAMES:
        assert found[f"share of {name}"] == pytest.approx(1 / 3)
    assert found["M-factor of pore"] == pytest.approx(1 / 3, rel=1e-6)
    assert 0.9 * 1000 / 240 < found["surface of pore"] < 1000 / 240 * 1.01  # one face, seen along 13 directions
    errors = errors_of({"a": 1.1, "b": 2.0, "c": 3.0}, {"a": 1.0, "b": 0.0, "c": np.inf})
    assert errors == {"a": pytest.approx(0.1), "b": None, "c": None}
