"""The forest against scikit-learn, and what it refuses."""

import numpy as np
import pytest

from nmcdist.calibration.fibsem import forest as forests
from nmcdist.calibration.fibsem.forest import train_forest
from nmcdist.errors import ImageError

RNG = np.random.default_rng(7)
COUNT, WIDTH = 3000, 6
X = np.round(RNG.normal(size=(COUNT, WIDTH)), 1).astype(np.float32)  # many equal values, at thresholds too
Y = 3 + (X[:, 0] + X[:, 1] * X[:, 2] > 0) + 2 * (X[:, 3] > 1)
NAMES = [f"f{k}" for k in range(WIDTH)]


def sklearn_forest(x, y, seed, trees):
    ensemble = pytest.importorskip("sklearn.ensemble")
    return ensemble.RandomForestClassifier(
        trees, max_depth=forests.MOST_LEVELS, min_samples_leaf=forests.LEAST_PER_LEAF, max_features="sqrt",
        random_state=seed,
    ).fit(x, y)  # fmt: skip


def test_votes_are_those_of_scikit_learn():
    trained = train_forest(X, Y, NAMES, seed=2, trees=20)
    points = np.round(RNG.normal(size=(WIDTH, 40, 50)), 1).astype(np.float32)
    points[0, 0, :3] = (-0.0, 1e30, -1e30)
    expected = sklearn_forest(X, Y, 2, 20).predict_proba(points.reshape(WIDTH, -1).T)
    found = trained.forest.probabilities(points).reshape(4, -1).T
    assert found == pytest.approx(expected, abs=1e-6)
    assert trained.forest.classes == (3, 4, 5, 6)


def test_values_at_and_next_to_thresholds_go_the_same_way():
    trained = train_forest(X, Y, NAMES, seed=2, trees=5)
    model = sklearn_forest(X, Y, 2, 5)
    at = np.concatenate([tree.tree_.threshold[tree.tree_.feature == 0] for tree in model.estimators_])
    near = at.astype(np.float32)
    values = np.concatenate([near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9))])
    points = np.zeros((WIDTH, len(values)), np.float32)
    points[0] = values
    found = trained.forest.probabilities(points).T
    assert found == pytest.approx(model.predict_proba(points.T), abs=1e-6)


def test_out_of_bag_votes_of_noise_are_chance():
    """Labels that do not depend on the features: half right, sd 1/(2 sqrt n) of n votes."""
    labels = RNG.integers(1, 3, COUNT)
    confusion = train_forest(X + RNG.normal(size=X.shape), labels, NAMES, seed=1, trees=20).confusion
    assert np.trace(confusion) / confusion.sum() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(COUNT))


def test_the_threshold_gives_a_rare_class_its_share(monkeypatch):
    """One feature, sd 1, means 1.5 apart, shares 0.8 and 0.2; 3,000 pixels of each train.

    Above the threshold lies 0.2 of new pixels, with sd 0.8 sqrt(0.15 * 0.85 / 3000) = 0.005 from training and 0.003
    from their own number; votes are steps of 0.01. Above 1/2 lies 0.8 Q(0.75) + 0.2 Q(-0.75) = 0.336.
    """
    monkeypatch.setattr(forests, "MOST_PIXELS", 3000)
    rng = np.random.default_rng(8)
    labels = np.where(rng.random(20_000) < 0.2, 2, 1)
    one, two = (1.5 * (labels == 2) + rng.normal(size=len(labels)) for _ in range(2))
    trained = train_forest(one[:, None].astype(np.float32), labels, ["f"], seed=1)
    found = trained.forest.probabilities(two[None].astype(np.float32))[1]
    assert (found > trained.threshold).mean() == pytest.approx((labels == 2).mean(), abs=4 * 0.006 + 0.01)
    assert (found > 0.5).mean() > 0.3


def test_large_classes_are_thinned(monkeypatch):
    monkeypatch.setattr(forests, "MOST_PIXELS", 50)
    confusion = train_forest(X, np.where(X[:, 0] > 0, 2, 1), NAMES, seed=1, trees=20).confusion
    assert confusion.sum(axis=1) == pytest.approx([50, 50], abs=1)


@pytest.mark.parametrize(
    ("labels", "line"),
    [(np.full(COUNT, 2), "scribbles: found labels of 1 class, expected at least two"),
     (np.where(np.arange(COUNT) < 4, 2, 1), "scribbles: found 4 pixels of class 2, expected at least 10")],
)  # fmt: skip
def test_labels_that_teach_nothing_are_refused(labels, line):
    with pytest.raises(ImageError, match=line):
        train_forest(X, labels, NAMES, seed=1)
