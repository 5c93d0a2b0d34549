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
